"""The client-id that networkd makes by default."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.settings.client import client_config
from holdfast.settings.model import InterfaceSettings, SettingsError
from holdfast.settings.networkd_client_id import client_id, iaid, siphash24

MAC = bytes.fromhex("020000000001")


def test_siphash_by_its_paper() -> None:
    """Appendix A of the paper."""
    assert siphash24(bytes(range(15)), bytes(range(16))) == 0xA129CA6149BE45E5


def test_it_is_what_networkd_252_sent(tmp_path: Path) -> None:
    """Read in a container, which has no udev: machine-id, MAC, and CLIENTID of /run/systemd/netif/leases."""
    machine = tmp_path / "machine-id"
    machine.write_text("0a15836d4141306f96aeabf2a0b5bf17\n")
    made = client_id(bytes.fromhex("525400b50a51"), "ens3", str(machine), root=str(tmp_path))
    assert made.hex() == "ffa890bcee00020000ab1144603fa8add84c34"


def test_the_name_of_udev_s_database_goes_before_the_mac(tmp_path: Path) -> None:
    machine = tmp_path / "machine-id"
    machine.write_text("0123456789abcdef0123456789abcdef\n")
    by_mac = client_id(MAC, "eth0", str(machine), root=str(tmp_path))
    assert by_mac[:1] + by_mac[5:11] == b"\xff\x00\x02\x00\x00\xab\x11"
    assert by_mac[1:5] == iaid(MAC)
    assert len(by_mac) == 19
    for path, text in (("sys/class/net/eth0/ifindex", "2\n"),
                       ("run/udev/data/n2", "E:ID_NET_NAME_MAC=enx020000000001\nE:ID_NET_NAME_SLOT=ens3\n")):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    by_name = client_id(MAC, "eth0", str(machine), root=str(tmp_path))
    assert (by_name[1:5], by_name[5:]) == (iaid(b"ens3"), by_mac[5:])


def test_an_iaid_of_one_s_own_goes_before_both(tmp_path: Path) -> None:
    machine = tmp_path / "machine-id"
    machine.write_text("0a15836d4141306f96aeabf2a0b5bf17\n")
    config = client_config(InterfaceSettings(client_id="networkd:305419896"), MAC, machine_id=str(machine))
    assert config.client_id == bytes.fromhex("ff12345678" "00020000ab1144603fa8add84c34")


def test_without_a_machine_id_it_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="machine-id"):
        client_config(InterfaceSettings(client_id="networkd"), MAC, machine_id=str(tmp_path / "none"))


def test_a_duid_of_the_link(tmp_path: Path) -> None:
    """DUIDType=link-layer needs no machine-id."""
    config = client_config(InterfaceSettings(client_id="networkd:7/link-layer"), MAC, machine_id=str(tmp_path / "none"))
    assert config.client_id == b"\xff\0\0\0\x07\x00\x03\x00\x01" + MAC
    config = client_config(InterfaceSettings(client_id="networkd/link-layer"), MAC, machine_id=str(tmp_path / "none"))
    assert config.client_id == b"\xff" + iaid(MAC) + b"\x00\x03\x00\x01" + MAC
