"""NetworkManager taken over and handed back, on a booted machine."""

from __future__ import annotations

import pytest
from tests.support.guests import SERVER, File, Nspawn, Terms
from tests.support.guests.handover import Handover
from tests.support.guests.variants import LINK

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.usefixtures("guests")]

#: The old client's first renewal comes soon after a hand-back.
TERMS = Terms(lease_time=120, t1=15, t2=100)


#: NetworkManager asks resolvconf here, which is systemd-resolved's, which does not run: it shall write the file.
FILES = {"/etc/NetworkManager/conf.d/10-dns.conf": File("[main]\nrc-manager=file\n")}


def state(guest: Nspawn) -> str:
    """"100 (connected)", "10 (unmanaged)", ... as NetworkManager sees the device."""
    return guest.shell("nmcli --get-values GENERAL.STATE device show \"$1\"", LINK).strip()


def test_there_and_back_without_anybody_noticing() -> None:
    with Nspawn("networkmanager", terms=TERMS, files=FILES) as guest:
        assert guest.wait_booted() == "running"
        with Handover(guest) as handover:
            handover.command("takeover", LINK)
            assert state(guest) == "10 (unmanaged)"
            handover.assert_holdfast_serves()
            guest.wait(lambda: SERVER in handover.names_work(), 10, "the name server is known")
            guest.run(["systemctl", "restart", "NetworkManager.service"], check=True)  # as an upgrade would
            assert state(guest) == "10 (unmanaged)"
            handover.command("handback", LINK)
            guest.wait(lambda: state(guest) == "100 (connected)", 20, "NetworkManager has the link")
            guest.wait(lambda: SERVER in handover.names_work(), 10, "the name server is known")
            handover.wait_renewal()
            handover.assert_nobody_noticed()
            handover.assert_holdfast_is_gone()


def test_every_boot_has_one_client() -> None:
    with Nspawn("networkmanager", terms=TERMS, files=FILES) as guest:
        guest.wait_booted()
        with Handover(guest) as handover:
            handover.holdfast("takeover", LINK)
        began = handover.reboot()
        assert guest.wait_booted() == "running"  # nobody waits for devices that NetworkManager does not manage
        handover.assert_holdfast_serves()
        assert state(guest) == "10 (unmanaged)"
        assert guest.addresses() == [handover.address]
        handover.assert_no_discover(since=began)
        guest.run(["systemctl", "start", "network-online.target"], timeout=30, check=True)
        handover.holdfast("handback", LINK)
        handover.assert_holdfast_is_gone()
        assert state(guest) == "100 (connected)"
        handover.reboot()
        assert guest.wait_booted() == "running"
        assert guest.wait_address() == handover.address
        assert state(guest) == "100 (connected)"
        handover.assert_holdfast_is_gone()


def test_a_boot_before_the_confirmation_is_the_old_clients() -> None:
    with Nspawn("networkmanager", terms=TERMS, files=FILES) as guest:
        guest.wait_booted()
        with Handover(guest) as handover:
            handover.holdfast("takeover", LINK, "--confirm-within", "300")
            assert state(guest) == "10 (unmanaged)"
        handover.reboot()
        assert guest.wait_booted() == "running"
        assert guest.wait_address() == handover.address
        assert state(guest) == "100 (connected)"
        assert guest.run(["systemctl", "is-active", f"holdfast@{LINK}.service"]).stdout.strip() == "inactive"
        handover.holdfast("takeover", LINK)  # and what the former one left is no obstacle
        handover.assert_holdfast_serves()
