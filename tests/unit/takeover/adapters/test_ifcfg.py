"""network-scripts' adapter on a fake machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.fake_host import FakeHost
from tests.unit.takeover.adapters.machines import DHCLIENT_LEASE, files, find, own

from holdfast.managers.ifcfg import FOLDER
from holdfast.takeover.adapters.dhclient import Dhclient
from holdfast.takeover.adapters.ifcfg import Ifcfg
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Completed
from holdfast.takeover.model import ListEntry

LEASES = "/var/lib/dhclient/dhclient-eth0.leases"
FILE = f"{FOLDER}/ifcfg-eth0"
CONTENT = """\
# of the image
DEVICE=eth0
HWADDR="02:00:00:00:00:01"
BOOTPROTO="dhcp"  # from the cloud
ONBOOT=yes
PERSISTENT_DHCLIENT=yes
PEERDNS=yes
NM_CONTROLLED=no
"""



def argv(*oneshot: str) -> tuple[str, ...]:
    return ("/sbin/dhclient", *oneshot, "-q", "-lf", LEASES, "-pf", "/run/dhclient-eth0.pid", "-H", "guest", "eth0")


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    host = FakeHost(tmp_path)
    host.boot_systemd()
    host.answers["systemctl is-enabled"] = Completed(1, "disabled\n", "")
    host.add_process(64, *argv())
    host.put(LEASES, DHCLIENT_LEASE)
    host.put(FILE, CONTENT, 0o640)
    host.put(f"{FOLDER}/ifcfg-lo", "DEVICE=lo\n")
    return host


@pytest.fixture
def adapter() -> Ifcfg:
    return Ifcfg(Dhclient())


@pytest.mark.parametrize(("oneshot", "said"), [((), True), (("-1",), False)])
def test_it_is_found_with_and_without_persistent_dhclient(
    host: FakeHost, adapter: Ifcfg, oneshot: tuple[str, ...], said: bool
) -> None:
    host.add_process(64, *argv(*oneshot))
    found = find(host, adapter)
    assert (found.name, found.pids, found.facts["ifcfg"]) == ("dhclient under ifcfg", (64,), FILE)
    assert ("PERSISTENT_DHCLIENT" in found.evidence) is said


def test_its_file_is_found_by_name_address_or_device(host: FakeHost, adapter: Ifcfg) -> None:
    host.remove(FILE)
    assert adapter.find(host, "eth0") is None
    for name, content in (
        ("ifcfg-a", "DEVICE='eth0'\nBOOTPROTO=bootp\n"), ("ifcfg-b", "HWADDR=02:00:00:00:00:01\nBOOTPROTO=dhcp\n"),
    ):
        host.put(f"{FOLDER}/{name}", content)
        assert find(host, adapter).facts["ifcfg"] == f"{FOLDER}/{name}"  # the later one goes before the earlier


def test_leftovers_of_editors_and_packages_are_passed_over(host: FakeHost, adapter: Ifcfg) -> None:
    host.remove(FILE)
    for ending in ("bak", "orig", "rpmsave", "rpmnew"):
        host.put(f"{FOLDER}/ifcfg-eth0.{ending}", CONTENT)
    assert adapter.find(host, "eth0") is None


@pytest.mark.parametrize("content", [
    "DEVICE=eth0\nBOOTPROTO=none\n", "DEVICE=eth0\n", "BOOTPROTO=dhcp\nBOOTPROTO=static\n",
])
def test_a_file_without_dhcp_is_not_its_business(host: FakeHost, adapter: Ifcfg, content: str) -> None:
    host.put(FILE, content)
    assert adapter.find(host, "eth0") is None


def test_a_dhclient_of_networkmanager_is_not_its_business(host: FakeHost, adapter: Ifcfg) -> None:
    host.add_process(64, "/sbin/dhclient", "-d", "-q", "-sf", "/usr/libexec/nm-dhcp-helper", "-lf", LEASES, "eth0")
    assert adapter.find(host, "eth0") is None


def test_the_overlay_and_the_list_are_all_that_changes(host: FakeHost, adapter: Ifcfg) -> None:
    owned = own(host, adapter)
    assert set(files(owned.volatile)) == {"/run/holdfast-overlay/links.d/eth0"}
    assert ListEntry("/etc/holdfast/links", "eth0") in owned.persistent
    assert not files(owned.persistent)


def test_two_files_for_one_link_are_refused(host: FakeHost, adapter: Ifcfg) -> None:
    host.put(f"{FOLDER}/ifcfg-lan", "DEVICE=eth0\nBOOTPROTO=dhcp\n")
    with pytest.raises(TakeoverError, match=r"ifcfg-eth0 and .*ifcfg-lan say BOOTPROTO=dhcp"):
        own(host, adapter)


def test_it_is_stopped_and_leaves_no_pid_for_ifdown(host: FakeHost, adapter: Ifcfg) -> None:
    host.put("/run/dhclient-eth0.pid", "64\n")
    adapter.stop(host, find(host, adapter))
    assert host.killed == [(64, 9)]
    assert not host.exists("/run/dhclient-eth0.pid")


def test_it_is_given_back_with_the_same_words(host: FakeHost, adapter: Ifcfg) -> None:
    found = find(host, adapter)
    lease = adapter.read(host, found)
    assert lease.client_id == b""  # none is sent; rule 8
    adapter.stop(host, found)
    adapter.give_back(host, found, lease)
    ((words, _),) = host.started
    assert words[words.index("--") + 2:] == argv()[1:]
    assert words[1] == "--scope"  # it outlives what we run in
