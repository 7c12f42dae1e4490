"""ifupdown taken over and handed back, on a booted machine: with dhclient, udhcpc and dhcpcd."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.guests import File, Guest
from tests.support.guests.handover import FLOWS, Former, Handover, there_and_back
from tests.support.guests.net import client_id
from tests.support.guests.variants import LINK
from tests.support.monitor import boottime

pytestmark = [pytest.mark.vm, pytest.mark.root, pytest.mark.usefixtures("guests")]


#: ifup takes the first that can be executed of dhclient, udhcpc and dhcpcd; and resolvconf is systemd-resolved's here,
#: which does not run.
NOT_HERE = File("", 0o644)
#: A container's /proc/sys is read-only, and dhcpcd gives up when it cannot set its interface's.
WRITABLE = File(
    "[Service]\nExecStartPre=/bin/sh -c 'mount --bind /proc/sys/net /proc/sys/net && "
    "mount -o remount,bind,rw /proc/sys/net'\n"
)


def runs(guest: Guest) -> bool:
    """One of its clients runs."""
    return guest.run(["pgrep", "dhclient|udhcpc|dhcpcd"]).stdout != ""


FORMER = Former("ifupdown", runs, disturb=f"ifup -a; ifup {LINK}")


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.__name__)
def test_ifupdown_with_dhclient(flow: Callable[[Former], None]) -> None:
    flow(FORMER)


@pytest.mark.parametrize("client", ["udhcpc", "dhcpcd"])
def test_ifupdown_with_other_clients(client: str) -> None:
    absent = ("dhclient", "resolvconf") if client == "udhcpc" else ("dhclient", "resolvconf", "udhcpc")
    files = {f"/sbin/{program}": NOT_HERE for program in absent}
    files["/etc/systemd/system/networking.service.d/10-container.conf"] = WRITABLE
    there_and_back(FORMER._replace(files=files, discovers=client == "udhcpc"))


def test_a_restart_of_networking_is_mended() -> None:
    """``ifdown -a`` flushes every link that ``ifup`` has set up, whoever serves it; Holdfast puts its address back, and
    what an administrator has added is gone, as with dhclient: rule 60."""
    with FORMER.boot() as guest:
        guest.wait_booted()
        with Handover(guest) as handover:
            handover.holdfast("takeover", LINK)
            began = boottime()
            guest.run(["systemctl", "restart", "networking.service"], check=True)
            assert not runs(guest)
            guest.wait(lambda: handover.probe.answering(handover.address), 10, "the address answers")
            handover.assert_holdfast_serves()
            assert handover.net.packets.sent("DISCOVER", since=began) == []
            assert {client_id(seen) for seen in handover.net.packets.sent(since=began)} == {handover.client_id}
