"""From 0.1.0: what it has taken over and baked is upgraded, booted and handed back."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.distribution import Distribution
from tests.support.firstboot import BY_NAME
from tests.support.guests import LINK, Guest, GuestProbe, Nspawn, Terms, client_id
from tests.support.guests.variants import Variant
from tests.support.images import ImageRoot
from tests.support.monitor import boottime

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.ondemand, pytest.mark.usefixtures("guests")]

TERMS = Terms(lease_time=600)
VARIANTS: list[Variant] = ["networkd", "ifupdown", "networkmanager"]
#: What 0.1 keeps managers off with after a boot.
OURS = "find /etc -name '*holdfast*' -type f | " \
       "grep -E 'systemd/network/|NetworkManager/|networking.service.d|ifup@|interfaces.d' || true"


def install(guest: Guest, package: Path) -> None:
    """As apt does it."""
    guest.push("/var/tmp/holdfast.deb", package.read_bytes())
    guest.run(["dpkg", "--install", "/var/tmp/holdfast.deb"], check=True, timeout=180)


def probed(guest: Guest, address: str) -> GuestProbe:
    probe = guest.net.probe(address)
    guest.wait(lambda: probe.answering(address), 10, f"{address} answers")
    return probe


def assert_kept(guest: Guest, probe: GuestProbe, address: str) -> None:
    """Not one probe was missed."""
    probe.finish()
    assert probe.missed(address) == []
    assert guest.addresses() == [address]


def assert_holdfast_serves(guest: Guest, address: str) -> None:
    """Alone, with one renewal that is answered."""
    guest.run(["holdfast", "wait-online", LINK, "--timeout", "60"], check=True, timeout=90)
    assert guest.addresses() == [address]
    assert "renewed" in guest.run(["holdfast", "renew", LINK], check=True).stdout


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_was_taken_over(  # rule 53
    variant: Variant, former_package: Path, distribution: Distribution
) -> None:
    """It stays Holdfast's over the upgrade and boots, is handed back, and is taken over in the new way."""
    with Nspawn(variant, terms=TERMS) as guest:
        address = guest.wait_address()
        name = client_id(guest.net.packets.sent("REQUEST")[-1])
        install(guest, former_package)
        guest.run(["holdfast", "takeover", LINK], check=True, timeout=120)
        assert guest.shell(OURS)
        began, probe = boottime(), probed(guest, address)
        install(guest, distribution.deb)
        assert_holdfast_serves(guest, address)
        assert_kept(guest, probe, address)
        for _ in range(2):
            guest.reboot()
            guest.wait_booted()
            assert_holdfast_serves(guest, address)
            assert "note  former  " in guest.run(["holdfast", "doctor"]).stdout
        probe = probed(guest, address)
        guest.run(["holdfast", "handback", LINK], check=True, timeout=120)
        assert guest.shell(OURS) == ""
        guest.run(["holdfast", "takeover", LINK], check=True, timeout=120)
        assert_kept(guest, probe, address)
        assert guest.pull("/etc/holdfast/links").decode().splitlines()[-1] == LINK
        guest.reboot()
        guest.wait_booted()
        assert_holdfast_serves(guest, address)
        assert {client_id(seen) for seen in guest.net.packets.sent(since=began)} == {name}, "rule 8"


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_was_baked(  # rule 53
    variant: Variant, former_package: Path, distribution: Distribution
) -> None:
    """Its files are honoured, and go with the package; the former client boots then."""
    seed = {"user-data": "#cloud-config\n{}\n", "network-config": BY_NAME}
    with ImageRoot(variant, seed=seed) as image:
        image.bring(former_package, "/var/tmp/holdfast.deb")
        done = image.run(["sh", "-euc", "dpkg --install /var/tmp/holdfast.deb; cp -R /usr/share/holdfast/image/. /; "
                          "systemctl enable holdfast.service holdfast-wait-online.service"])
        assert done.returncode == 0, done.stderr.decode()
        disk = image.disk()
        with Nspawn(variant, terms=TERMS, disk=disk) as guest:
            address = guest.wait_address()
            guest.wait_booted()
            began, probe = boottime(), probed(guest, address)
            install(guest, distribution.deb)
            assert_holdfast_serves(guest, address)
            assert_kept(guest, probe, address)
            guest.reboot()
            guest.wait_booted()
            assert_holdfast_serves(guest, address)
            assert len({client_id(seen) for seen in guest.net.packets.sent()}) == 1, "rule 8"
            assert guest.net.packets.sent("DISCOVER", since=began) == []
            guest.run(["dpkg", "--remove", "holdfast"], check=True, timeout=120)
            assert guest.shell(OURS) == ""
            guest.reboot()
            guest.wait_booted()
            assert guest.wait_address()
