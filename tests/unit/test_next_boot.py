"""The doctor and a take-over over the same trees: they agree on which client would serve the link at the next boot.

Before a take-over the doctor names the manager whose client the take-over finds; with the files that a confirmed
take-over leaves it says that this manager keeps off. Both read through ``managers``; this holds them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.support.fake_host import FakeHost
from tests.unit.takeover.adapters.machines import MACHINES, Machine

from holdfast.doctor.finding import BAD
from holdfast.doctor.rivals import check_rivals
from holdfast.managers.formats.tree import Tree
from holdfast.managers.served_links import GENERATORS
from holdfast.takeover.detection import ADAPTERS
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.model import FileChange, ListEntry

INTERFACES = "/etc/network/interfaces"
SCRIPTS = "/etc/sysconfig/network-scripts"


class Case(NamedTuple):
    """Files over those of ``machine``; ``logical``: as what ifup has brought eth0 up; whether its manager starts a
    client on eth0 by them."""

    machine: str
    files: Mapping[str, str]
    served: bool
    logical: str = "eth0"


CASES = {
    "sourced": Case("ifupdown", {INTERFACES: "source /etc/network/more/*\n",
                                 "/etc/network/more/eth0": "auto eth0\niface eth0 inet dhcp\n"}, served=True),
    "continued": Case("ifupdown", {INTERFACES: "source interfaces.d/*\nauto eth0\niface eth0 \\\n  inet dhcp\n"},
                      served=True),
    "not sourced": Case("ifupdown", {INTERFACES: "source /etc/network/interfaces.d/*.cfg\n",
                                     "/etc/network/interfaces.d/eth0": "auto eth0\niface eth0 inet dhcp\n"},
                        served=False),
    "a name that source-directory passes over": Case(
        "ifupdown", {INTERFACES: "source-directory interfaces.d\n",
                     "/etc/network/interfaces.d/eth0.old": "auto eth0\niface eth0 inet dhcp\n"}, served=False),
    "commented out": Case("ifupdown", {INTERFACES: "source interfaces.d/*\n# iface eth0 inet dhcp \\\nauto eth0\n"
                                                   "iface eth0 inet manual\n"}, served=False),
    "inherited": Case("ifupdown", {INTERFACES: "source interfaces.d/*\nauto eth0\niface base inet dhcp\n"
                                               "iface eth0 inherits base\n"}, served=True),
    "a pattern": Case("ifupdown", {INTERFACES: "source interfaces.d/*\nauto /e*=x\niface x inet dhcp\n"}, served=True,
                      logical="x"),
    "a stanza for many": Case("ifupdown", {INTERFACES: "source interfaces.d/*\nauto eth0\niface eth* inet dhcp\n"},
                              served=True),
    "hotplug": Case("ifupdown", {INTERFACES: "source interfaces.d/*\nallow-hotplug eth0\niface eth0 inet dhcp\n"},
                    served=True),
    "mapped": Case("ifupdown", {INTERFACES: "source interfaces.d/*\nauto eth0\nmapping eth0\n  script /x\n"
                                            "  map a office\niface office inet dhcp\n"}, served=True, logical="office"),
    "IPv6 only": Case("ifupdown", {INTERFACES: "source interfaces.d/*\nauto eth0\niface eth0 inet6 dhcp\n"},
                      served=False),
    "by another name": Case("ifcfg", {f"{SCRIPTS}/ifcfg-lan": "DEVICE=eth0\nBOOTPROTO=dhcp\n",
                                      f"{SCRIPTS}/ifcfg-eth0": ""}, served=True),
    "for another": Case("ifcfg", {f"{SCRIPTS}/ifcfg-eth0": "DEVICE=eth1\nBOOTPROTO=dhcp\n"}, served=False),
    "bootp": Case("ifcfg", {f"{SCRIPTS}/ifcfg-eth0": "export BOOTPROTO='bootp'\n"}, served=True),
    "static": Case("ifcfg", {f"{SCRIPTS}/ifcfg-eth0": "BOOTPROTO=dhcp\nBOOTPROTO=static\nIPADDR=192.0.2.5\n"},
                   served=False),
    "a leftover": Case("ifcfg", {f"{SCRIPTS}/ifcfg-eth0": "BOOTPROTO=none\n",
                                 f"{SCRIPTS}/ifcfg-eth0.rpmsave": "DEVICE=eth0\nBOOTPROTO=dhcp\n"}, served=False),
    **{name: Case(name, {}, served=True) for name in ("systemd-networkd", "NetworkManager", "ifupdown", "ifcfg")},
}
#: How the doctor calls them.
NAMES = {"ifcfg": "network-scripts"}


@pytest.mark.parametrize("name", CASES)
def test_they_agree(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    machine = MACHINES[case.machine]
    host = _boot(tmp_path, machine, case)
    adapter = next(each for each in ADAPTERS if each.name == machine.adapter)
    found = adapter.find(host, "eth0")
    assert (found is not None) is case.served, "the take-over"
    assert _named(tmp_path, machine) is case.served, "the doctor"
    if found is None:
        return
    try:
        owned = adapter.own(host, found, adapter.read(host, found))
    except TakeoverError as error:
        assert "inherits" in str(error) or "also serves other links" in str(error)  # noqa: PT017 - an answer, too
        return
    host.put(GENERATORS[0], "#!/bin/sh\n")
    for change in owned.persistent:
        if isinstance(change, ListEntry):
            host.put(change.path, f"{change.entry}\n")
        if isinstance(change, FileChange) and change.content is not None:
            host.put(change.path, change.content, change.mode)
    assert not _named(tmp_path, machine), "the doctor, after the take-over"


def _boot(root: Path, machine: Machine, case: Case) -> FakeHost:
    host = machine.make(root)
    _enable(host, machine.unit)
    for path, text in {**machine.installed, **case.files}.items():
        host.put(path, text)
    if case.machine == "ifupdown":
        host.put("/run/network/ifstate", f"lo=lo\neth0={case.logical}\n")
    return host


def _enable(host: FakeHost, unit: str) -> None:
    if unit:
        host.put(f"/lib/systemd/system/{unit}", "[Service]\n")
        wanted = Path(host.path(f"/etc/systemd/system/multi-user.target.wants/{unit}"))
        wanted.parent.mkdir(parents=True, exist_ok=True)
        wanted.unlink(missing_ok=True)
        wanted.symlink_to(f"/lib/systemd/system/{unit}")


def _named(root: Path, machine: Machine) -> bool:
    """Whether the doctor says that the manager would configure eth0."""
    tree = Tree(str(root))
    try:
        findings = list(check_rivals(tree, ["eth0"], booted=True))
    finally:
        tree.close()
    name = NAMES.get(machine.adapter, machine.adapter)
    told = [finding.text for finding in findings if finding.status == BAD]
    return any(text.startswith(f"{name} would configure eth0") for text in told)
