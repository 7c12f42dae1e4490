"""The guests themselves: what every other test in this folder stands on."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.guests import Nspawn, Terms, Variant, client_id

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.usefixtures("guests")]

VARIANTS: tuple[Variant, ...] = ("networkd", "netplan", "ifupdown", "networkmanager")


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_container_gets_an_address_and_keeps_it_over_a_reboot(variant: Variant) -> None:
    with Nspawn(variant) as guest:
        assert guest.wait_booted() == "running", guest.shell("systemctl --failed")
        address = guest.wait_address()
        assert guest.net.given() == address
        assert client_id(guest.net.packets.sent("REQUEST")[0])
        boot = guest.boot_id()
        guest.reboot()
        guest.wait_booted()
        assert guest.boot_id() != boot
        assert guest.wait_address() == address


def test_a_bare_container_has_no_address() -> None:
    with Nspawn() as guest:
        guest.wait_booted()
        assert guest.addresses() == []
        assert guest.net.packets.sent() == []
        assert guest.pull("/etc/machine-id").decode().strip() == guest.machine_id


def test_cloud_init_configures_a_container() -> None:
    seed = {"user-data": "#cloud-config\nwrite_files:\n  - {path: /etc/seeded, content: 'yes'}\n"}
    with Nspawn("networkd", seed=seed) as guest:
        said = guest.wait_cloud_init()
        assert "status: done" in said, said
        assert guest.pull("/etc/seeded") == b"yes"
        guest.wait_address()


def test_faults_probe_and_packets(tmp_path: Path) -> None:
    (tmp_path / "package").write_text("content")
    with Nspawn("networkd", terms=Terms(t1=4, t2=8)) as guest:
        address = guest.wait_address()
        guest.net.drop_unicast()
        probe, events = guest.net.probe(address), guest.net.watch()
        guest.net.packets.wire.wait_for(lambda seen: seen.broadcast_renewal, 20)
        url = guest.net.serve_http(tmp_path)
        assert guest.shell('curl --silent --fail "$1"', f"{url}package") == "content"
        assert guest.net.dropped() > 0
        probe.finish()
        assert probe.missed(address) == []
        assert probe.longest_gap(address) == 0.0
        assert events.events("address-") == []


def test_a_copied_disk_has_what_was_written(tmp_path: Path) -> None:
    with Nspawn() as guest:
        guest.wait_booted()
        guest.push("/var/lib/a/file", "kept")
        guest.power_off()
        disk = guest.keep_disk(tmp_path)
    with Nspawn(disk=disk, machine_id="0123456789abcdef0123456789abcdef") as copy:
        copy.wait_booted()
        assert copy.pull("/var/lib/a/file") == b"kept"
        assert copy.pull("/etc/machine-id").strip() == b"0123456789abcdef0123456789abcdef"
        assert copy.mac != guest.mac
