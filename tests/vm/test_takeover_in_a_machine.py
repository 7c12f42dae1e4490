"""What only a virtual machine has: udev, settings of the kernel that can be changed, the whole of `netplan apply`."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from tests.support.guests import LINK, File, Guest, Net, Qemu
from tests.support.guests.handover import TERMS, Former, Handover, every_boot
from tests.support.site import BRIDGE

pytestmark = [pytest.mark.vm, pytest.mark.machine, pytest.mark.root, pytest.mark.usefixtures("guests")]

PREFIX = "2001:db8:77::"
#: Seconds that an IPv6 address lives after the last advertisement, and between advertisements.
LIFETIME, EVERY = 20, 2


@contextmanager
def router(net: Net) -> Iterator[None]:
    """Router advertisements from the server's side (RFC 4861 4.2, 4.6.2)."""
    ended = threading.Event()

    def advertise() -> None:
        index = socket.if_nametoindex(BRIDGE)
        head = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, LIFETIME, 0, 0)
        prefix = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, LIFETIME, LIFETIME, 0)
        prefix += socket.inet_pton(socket.AF_INET6, PREFIX)
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sender:
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            while not ended.wait(EVERY):
                with suppress(OSError):  # no address of its own yet
                    sender.sendto(head + prefix, ("ff02::1", 0, 0, index))

    thread = threading.Thread(target=advertise, name="router", daemon=True)
    net.server.run(thread.start)  # a thread begins in its maker's namespace
    try:
        yield
    finally:
        ended.set()
        thread.join()


def address6(guest: Guest) -> str:
    """The guest's IPv6 address of that prefix, "" for none."""
    said = guest.shell(f"ip -6 -oneline address show dev {LINK} scope global").split()
    return said[3] if said else ""


def manages(guest: Guest) -> bool:
    """networkd has the link."""
    return guest.shell("networkctl --no-legend list \"$1\"", LINK).split()[-1] == "configured"


def test_netplan_with_ipv6() -> None:
    plan = f"network:\n  version: 2\n  ethernets:\n    {LINK}:\n      dhcp4: true\n"
    with Qemu("netplan", terms=TERMS, files={"/etc/netplan/50-wired.yaml": File(plan, 0o600)}) as guest, \
            router(guest.net):
        guest.wait_booted()
        with Handover(guest) as handover:
            guest.wait(lambda: address6(guest), 30, "an IPv6 address", pause=0.5)
            before = address6(guest)
            handover.command("takeover", LINK)
            guest.wait(lambda: manages(guest), 20, "networkd keeps the link", pause=0.5)
            guest.run(["netplan", "apply"], check=True)  # restarts networkd, and tells udev of every link
            guest.wait(lambda: manages(guest), 20, "networkd keeps the link", pause=0.5)
            handover.assert_holdfast_serves()
            # Longer than what networkd had configured before would live.
            guest.wait(lambda: guest.shell(f"ip -6 route show dev {LINK} default proto ra"), 10, "a route")
            guest.run(["sleep", str(LIFETIME + 2 * EVERY)], check=True)
            assert address6(guest) == before
            handover.command("handback", LINK)
            guest.wait(lambda: manages(guest), 20, "networkd has the link", pause=0.5)
            guest.run(["sleep", str(LIFETIME + 2 * EVERY)], check=True)
            assert address6(guest) == before
            handover.assert_nobody_noticed()


@pytest.mark.ondemand
def test_ifupdown_with_a_hotplugged_interface() -> None:
    stanza = File(f"allow-hotplug {LINK}\niface {LINK} inet dhcp\n")
    every_boot(Former(
        "ifupdown", lambda guest: guest.run(["pgrep", "dhclient"]).stdout != "", disturb="true",
        files={"/etc/network/interfaces.d/wired": stanza, "/sbin/resolvconf": File("", 0o644)}, machine=Qemu,
    ))
