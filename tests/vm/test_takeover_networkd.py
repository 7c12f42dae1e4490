"""systemd-networkd taken over and handed back, on a booted machine."""

from __future__ import annotations

import pytest
from tests.support.guests import SERVER, Nspawn, Terms
from tests.support.guests.handover import Handover
from tests.support.guests.variants import LINK

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.usefixtures("guests")]

#: The old client's first renewal comes soon after a hand-back.
TERMS = Terms(lease_time=120, t1=15, t2=100)


def state(guest: Nspawn) -> str:
    """"configured", "unmanaged", ... as networkd sees the link."""
    return guest.shell("networkctl --no-legend list \"$1\"", LINK).split()[-1]


def test_there_and_back_without_anybody_noticing() -> None:
    with Nspawn("networkd", terms=TERMS) as guest:
        assert guest.wait_booted() == "running"
        with Handover(guest) as handover:
            handover.command("takeover", LINK)
            assert state(guest) == "unmanaged"
            handover.assert_holdfast_serves()
            guest.wait(lambda: SERVER in guest.shell(f"resolvectl dns {LINK}"), 10, "resolved knows the name server")
            guest.run(["systemctl", "restart", "systemd-networkd.service"], check=True)  # as an upgrade would
            assert state(guest) == "unmanaged"
            handover.command("handback", LINK)
            guest.wait(lambda: state(guest) == "configured", 20, "networkd has the link")
            guest.wait(lambda: SERVER in guest.shell(f"resolvectl dns {LINK}"), 10, "resolved knows the name server")
            handover.wait_renewal()
            handover.assert_nobody_noticed()
            handover.assert_holdfast_is_gone()


def test_every_boot_has_one_client() -> None:
    with Nspawn("networkd", terms=TERMS) as guest:
        guest.wait_booted()
        with Handover(guest) as handover:
            handover.holdfast("takeover", LINK)
        began = handover.reboot()
        assert guest.wait_booted() == "running"  # nobody waits for links that networkd does not manage
        handover.assert_holdfast_serves()
        assert state(guest) == "unmanaged"
        assert guest.addresses() == [handover.address]
        handover.assert_no_discover(since=began)
        guest.run(["systemctl", "start", "network-online.target"], timeout=30, check=True)
        handover.holdfast("handback", LINK)
        handover.assert_holdfast_is_gone()
        assert state(guest) == "configured"
        handover.reboot()
        assert guest.wait_booted() == "running"
        assert guest.wait_address() == handover.address
        guest.wait(lambda: state(guest) == "configured", 20, "networkd has the link")
        handover.assert_holdfast_is_gone()


def test_a_boot_before_the_confirmation_is_the_old_clients() -> None:
    with Nspawn("networkd", terms=TERMS) as guest:
        guest.wait_booted()
        with Handover(guest) as handover:
            handover.holdfast("takeover", LINK, "--confirm-within", "300")
            assert state(guest) == "unmanaged"
        handover.reboot()
        assert guest.wait_booted() == "running"
        assert guest.wait_address() == handover.address
        guest.wait(lambda: state(guest) == "configured", 20, "networkd has the link")
        assert guest.run(["systemctl", "is-active", f"holdfast@{LINK}.service"]).stdout.strip() == "inactive"
        handover.holdfast("takeover", LINK)  # and what the former one left is no obstacle
        handover.assert_holdfast_serves()
