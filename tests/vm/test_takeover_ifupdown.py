"""ifupdown with dhclient taken over and handed back, on a booted machine."""

from __future__ import annotations

import pytest
from tests.support.guests import SERVER, Nspawn, Terms
from tests.support.guests.handover import Handover
from tests.support.guests.variants import LINK

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.usefixtures("guests")]

#: The old client's first renewal comes soon after a hand-back.
TERMS = Terms(lease_time=120, t1=15, t2=100)



def dhclient(guest: Nspawn) -> str:
    """Its command line, "" when none runs."""
    return guest.run(["pgrep", "--full", "--list-full", "^[^ ]*dhclient "]).stdout


def test_there_and_back_without_anybody_noticing() -> None:
    with Nspawn("ifupdown", terms=TERMS) as guest:
        assert guest.wait_booted() == "running"
        with Handover(guest) as handover:
            handover.command("takeover", LINK)
            assert not dhclient(guest)
            handover.assert_holdfast_serves()
            guest.wait(lambda: SERVER in handover.names_work(), 10, "the name server is known")
            guest.run(["systemctl", "restart", "networking.service"], check=True)  # ifdown -a, then ifup -a
            assert not dhclient(guest)
            handover.command("handback", LINK)
            guest.wait(lambda: dhclient(guest), 20, "dhclient runs")
            guest.wait(lambda: SERVER in handover.names_work(), 10, "the name server is known")
            handover.wait_renewal()
            handover.assert_nobody_noticed()
            handover.assert_holdfast_is_gone()


def test_every_boot_has_one_client() -> None:
    with Nspawn("ifupdown", terms=TERMS) as guest:
        guest.wait_booted()
        with Handover(guest) as handover:
            handover.holdfast("takeover", LINK)
        began = handover.reboot()
        assert guest.wait_booted() == "running"
        handover.assert_holdfast_serves()
        assert not dhclient(guest)
        assert guest.addresses() == [handover.address]
        handover.assert_no_discover(since=began)
        guest.run(["systemctl", "start", "network-online.target"], timeout=30, check=True)
        handover.holdfast("handback", LINK)
        handover.assert_holdfast_is_gone()
        assert dhclient(guest)
        handover.reboot()
        assert guest.wait_booted() == "running"
        assert guest.wait_address() == handover.address
        assert dhclient(guest)
        handover.assert_holdfast_is_gone()


def test_a_boot_before_the_confirmation_is_the_old_clients() -> None:
    with Nspawn("ifupdown", terms=TERMS) as guest:
        guest.wait_booted()
        with Handover(guest) as handover:
            handover.holdfast("takeover", LINK, "--confirm-within", "300")
            assert not dhclient(guest)
        handover.reboot()
        assert guest.wait_booted() == "running"
        assert guest.wait_address() == handover.address
        assert dhclient(guest)
        assert guest.run(["systemctl", "is-active", f"holdfast@{LINK}.service"]).stdout.strip() == "inactive"
        handover.holdfast("takeover", LINK)  # and what the former one left is no obstacle
        handover.assert_holdfast_serves()
