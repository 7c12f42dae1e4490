"""On which links of a pattern managers would do DHCPv4: from their files to what an agent serves by the list."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.unit.managers.conftest import Put

from holdfast.managers import overlay
from holdfast.managers.formats.tree import Tree
from holdfast.managers.model import Link
from holdfast.network.census import Found
from holdfast.runtime.host.hotplug import fits_rule
from holdfast.settings import links

MAC, OTHER = "fa:16:3e:d4:57:ad", "fa:16:3e:00:00:01"
NETWORK = "etc/systemd/network"
PROFILES = "etc/NetworkManager/system-connections"
IFCFG = "etc/sysconfig/network-scripts"
LOOPBACK = "auto lo\niface lo inet loopback\n"
UNITS = "etc/systemd/system/multi-user.target.wants"
#: What makes each of them start at boot.
STARTS = {
    "networkd": {f"{UNITS}/systemd-networkd.service": "", "lib/systemd/system/systemd-networkd.service": "[Unit]\n"},
    "NetworkManager": {f"{UNITS}/NetworkManager.service": "", "lib/systemd/system/NetworkManager.service": "[Unit]\n"},
    "ifupdown": {f"{UNITS}/networking.service": "", "sbin/ifup": ""},
    "ifcfg": {f"{IFCFG}/ifup-eth": ""},
    "dhcpcd": {f"{UNITS}/dhcpcd.service": ""},
}
Serves = Callable[..., list[str]]


def card(name: str, mac: str = OTHER, kind: str = "", *, enslaved: bool = False) -> Found:
    return Found(name, 2, 1, 0x1003, kind, enslaved, (mac,))


CARDS = (card("ens3", MAC), card("ens4"), card("ens3.5", MAC, "vlan"), card("ens9", enslaved=True))


@pytest.fixture
def serves(tree: Tree, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serves:
    """Writes files, makes the overlay of en*, and says which of ``CARDS`` an agent serves because of that pattern."""
    monkeypatch.setattr(links, "RULES_DIR", str(tmp_path / links.RULES_DIR[1:]))

    def of(manager: str, files: Mapping[str, str]) -> list[str]:
        for path, text in {**STARTS.get(manager, {}), "run/systemd/x": "", **files}.items():
            put(path, text)
        made = overlay.compute(tree, [Link("en*")])
        assert made.links[0].refusals == ()
        overlay.write(made, str(tmp_path), binds=False)
        return [each.name for each in CARDS
                if fits_rule(each, links.rule_for("en*", each.name, each.macs), container=False)]

    return of


def network(match: str, rest: str = "[Network]\nDHCP=ipv4\n") -> str:
    return f"[Match]\n{match}\n{rest}"


def profile(keys: str = "", ipv4: str = "method=auto\n") -> str:
    return f"[connection]\nuuid=6a0e0f43-4e43-4b4b-9d5d-0d8e2b1c9b{len(keys):02x}\ntype=ethernet\n{keys}[ipv4]\n{ipv4}"


@pytest.mark.parametrize(("manager", "files", "served"), [
    ("", {}, ["ens3", "ens4"]),  # no manager: all cards, and nothing else
    ("networkd", {}, []),
    ("networkd", {f"{NETWORK}/10.network": network("Name=ens3")}, ["ens3"]),
    ("networkd", {f"{NETWORK}/10.network": network(f"PermanentMACAddress={MAC.upper()}")}, ["ens3"]),
    ("networkd", {f"{NETWORK}/10.network": network("Name=en*")}, ["ens3", "ens4", "ens3.5"]),
    ("networkd", {f"{NETWORK}/10.network": network("Name=ens3.5")}, ["ens3.5"]),
    ("networkd", {f"{NETWORK}/10.network": network("Name=ens3", "[Network]\nBridge=br0\n"),
                  f"{NETWORK}/20.network": network("Name=br0")}, []),
    ("networkd", {f"{NETWORK}/10.network": network("Name=ens4", "[Network]\nAddress=10.0.0.1/24\n"),
                  f"{NETWORK}/20.network": network("Type=ether")}, ["ens3", "ens3.5"]),
    ("networkd", {f"{NETWORK}/10.network": network("Name=en*\nDriver=mlx4_core", "[Link]\nUnmanaged=yes\n"),
                  f"{NETWORK}/20.network": network("Name=ens3")}, ["ens3"]),
    ("NetworkManager", {}, ["ens3", "ens4"]),  # its automatic connections
    ("NetworkManager", {"etc/NetworkManager/NetworkManager.conf": "[main]\nno-auto-default=*\n"}, []),
    ("NetworkManager", {f"{PROFILES}/a": profile("interface-name=ens3\n")}, ["ens3"]),
    ("NetworkManager", {f"{PROFILES}/a": profile("interface-name=ens3\nautoconnect=false\n")}, []),
    ("NetworkManager", {f"{PROFILES}/a": profile("interface-name=ens4\n", "method=manual\naddress1=10.0.0.1/24\n"),
                        f"{PROFILES}/b": profile("id=any\n")}, ["ens3"]),
    ("NetworkManager", {"etc/NetworkManager/NetworkManager.conf": "[keyfile]\nunmanaged-devices=interface-name:ens4\n"},
     ["ens3"]),
    ("ifupdown", {"etc/network/interfaces": LOOPBACK}, ["ens3", "ens4"]),  # it has nothing to do with cards
    ("ifupdown", {"etc/network/interfaces": f"{LOOPBACK}auto ens3\niface ens3 inet dhcp\n"}, ["ens3"]),
    ("ifupdown", {"etc/network/interfaces": "auto br0\niface br0 inet dhcp\nbridge_ports ens3\n"}, []),
    ("ifupdown", {"etc/network/interfaces": "allow-hotplug /en*=x\niface x inet dhcp\n"}, ["ens3", "ens4", "ens3.5"]),
    ("ifcfg", {f"{IFCFG}/ifcfg-ens3": "DEVICE=ens3\nBOOTPROTO=dhcp\nONBOOT=yes\n",
               f"{IFCFG}/ifcfg-ens4": "DEVICE=ens4\nBOOTPROTO=none\n"}, ["ens3"]),
    ("ifcfg", {f"{IFCFG}/ifcfg-x": f"HWADDR={MAC}\nBOOTPROTO=dhcp\n"}, ["ens3"]),
    ("dhcpcd", {"etc/dhcpcd.conf": "allowinterfaces en*\ndenyinterfaces ens4\n"}, ["ens3", "ens3.5"]),
])
def test_a_pattern_means_the_links_that_managers_do_dhcp_on(
    serves: Serves, manager: str, files: Mapping[str, str], served: list[str]
) -> None:
    assert serves(manager, files) == served


def test_a_refused_pattern_has_no_rules(tree: Tree, put: Put) -> None:
    for path, text in {**STARTS["networkd"], "run/systemd/x": "",
                       f"{NETWORK}/10.network": network("Name=ens3"), f"{NETWORK}/20.network": network(
                           "Name=ens4", "[Network]\nDHCP=yes\n[DHCPv4]\nRouteMetric=7\n")}.items():
        put(path, text)
    (one,) = overlay.compute(tree, [Link("en*")]).links
    assert one.refusals
    assert one.rules is None


def test_nonsense_in_the_rules_serves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "RULES_DIR", str(tmp_path))
    (tmp_path / "en*").write_bytes(b"\xff\xfe\nnetworkd en*\n\n")
    assert links.rule_for("en*", "ens3", ()) is None
