"""What the client in place should be told."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.guard.advice import Advice, advice
from holdfast.guard.programs import Client
from holdfast.managers.formats.tree import Tree

IFCFG = "/etc/sysconfig/network-scripts/ifcfg-eth0"
PROFILE = "/etc/NetworkManager/system-connections/a.nmconnection"
UUID = "0c1f6c7e-3d5b-4a44-9d3f-6f0f4b8f7a11"


def advised(root: Path, name: str, files: dict[str, str], *words: str) -> Advice:
    for path, text in files.items():
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return advice(Client(name, f"{name} (pid 7)", 7, words), "eth0", 2, Tree(str(root)))


def network(text: str, **more: str) -> dict[str, str]:
    path = "/run/systemd/network/10-netplan-eth0.network"
    return {"/run/systemd/netif/links/2": f"ADMIN_STATE=configured\nNETWORK_FILE={path}\n", path: text, **more}


def test_networkd_gets_a_drop_in_that_netplan_does_not_write_anew(tmp_path: Path) -> None:
    said = advised(tmp_path, "networkd", network("[Match]\nName=eth0\n[Network]\nDHCP=ipv4\n"))
    assert said.path == "/etc/systemd/network/10-netplan-eth0.network.d/90-keep-address.conf"
    assert (said.before, said.after) == (
        "", "[Network]\nKeepConfiguration=dhcp-on-stop\nIgnoreCarrierLoss=yes\n\n[DHCPv4]\nSendRelease=no\n")
    assert len(said.reasons) == 3


def test_networkd_is_told_only_what_it_lacks(tmp_path: Path) -> None:
    text = "[Match]\nName=eth0\n[Network]\nDHCP=yes\nKeepConfiguration=yes\nIgnoreCarrierLoss=true\n[DHCPv4]\n"
    said = advised(tmp_path, "networkd", network(text + "SendRelease=true\n"))
    assert said.after == "[DHCPv4]\nSendRelease=no\n"
    said = advised(tmp_path, "networkd", network(text + "SendRelease=false\n"))
    assert (said.path, said.reasons) == ("", ("its settings keep the address already",))
    assert advised(tmp_path, "networkd", {"/run/systemd/netif/links/2": "ADMIN_STATE=unmanaged\n"}).path == ""


def test_networkmanagers_active_profile(tmp_path: Path) -> None:
    text = f"[connection]\nid=a\nuuid={UUID}\ntype=ethernet\n\n[ipv4]\nmethod=auto\nmay-fail=false\n"
    files = {"/run/NetworkManager/devices/2": f"[device]\nconnection-uuid={UUID}\n", PROFILE: text}
    said = advised(tmp_path, "NetworkManager", files)
    assert said.path == PROFILE
    assert "dhcp-timeout=2147483647\n" in said.after
    assert "may-fail=true\n" in said.after
    assert "may-fail=false" not in said.after
    assert len(said.reasons) == 2
    (tmp_path / PROFILE.lstrip("/")).write_text(said.after)
    assert advised(tmp_path, "NetworkManager", {}).reasons == ("its settings keep the address already",)


def test_networkmanagers_profile_without_a_file(tmp_path: Path) -> None:
    assert "no file" in advised(tmp_path, "NetworkManager", {}).reasons[0]


def test_dhclient_with_1_of_network_scripts(tmp_path: Path) -> None:
    files = {IFCFG: "DEVICE=eth0\nBOOTPROTO=dhcp\nPERSISTENT_DHCLIENT=no\n"}
    said = advised(tmp_path, "dhclient", files, "dhclient", "-1", "eth0")
    assert (said.path, said.after) == (IFCFG, "DEVICE=eth0\nBOOTPROTO=dhcp\nPERSISTENT_DHCLIENT=yes\n")


def test_dhclient_with_1_of_something_else(tmp_path: Path) -> None:
    said = advised(tmp_path, "dhclient", {}, "dhclient", "-1", "eth0")
    assert said.path == ""
    assert "start it without -1" in said.reasons[0]


def test_dhcpcd_before_the_lines_of_an_interface(tmp_path: Path) -> None:
    said = advised(tmp_path, "dhcpcd", {"/etc/dhcpcd.conf": "duid\n\ninterface eth1\nmetric 5\n"})
    assert said.after == "duid\npersistent\n\ninterface eth1\nmetric 5\n"
    assert advised(tmp_path, "dhcpcd", {"/etc/dhcpcd.conf": said.after}).path == ""


@pytest.mark.parametrize(("name", "words", "said"), [
    ("dhclient", ("dhclient", "eth0"), "none that it lacks"), ("udhcpc", ("udhcpc", "-R"), "with -R"),
    ("udhcpc", ("udhcpc",), "no setting"), ("unknown", (), "no client"),
])
def test_where_there_is_nothing_to_change(tmp_path: Path, name: str, words: tuple[str, ...], said: str) -> None:
    found = advised(tmp_path, name, {}, *words)
    assert (found.path, found.after) == ("", "")
    assert said in found.reasons[0]
