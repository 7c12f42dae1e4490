"""Links that nobody named: those that fit a pattern, now or when they appear.

A pattern of ``[agent] serve`` means all that fit, one of the list of links those of them on which a manager would do
DHCPv4 (``settings.links``).

A pattern with a wildcard means hardware, and what a hypervisor shows as hardware: loopback, tunnels,
bridges, VLANs, the ends of containers' cables and the slaves of a bond are left alone, whatever they are
called (a cloud's container plug-in calls its own "eni..."). An entry without a wildcard names one link, and
then only Ethernet matters. Inside a container its own cable is a veth or a macvlan, and is served.

udev gives a new link its name a moment after the kernel did, and before Linux 6.2 can do so only while the
link is down. So a link is left down until udev has done with it, as its database tells.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from fnmatch import fnmatchcase

from holdfast.network.census import Census, Found, all_links
from holdfast.observe.limit import SayOnce
from holdfast.settings.links import Rule, rule_for
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.eventloop.ports import Loop

#: Links served at a time because of a pattern. Each takes three descriptors, and more while it binds (LimitNOFILE= of
#: holdfast.service).
MAX_SERVED = 256
#: Seconds that udev may take: a rename that failed leaves its mark in the database for ever.
UDEV_PATIENCE = 30.0
#: What a container's own links are.
CONTAINER_KINDS = ("veth", "macvlan")

_NETLINK_KOBJECT_UEVENT, _UDEV_GROUP = 15, 2


def fits(link: Found, patterns: tuple[str, ...], *, container: bool) -> bool:
    """Whether ``link`` is meant by one of ``patterns``."""
    if not link.ethernet:
        return False
    if link.name in patterns:
        return True
    ordinary = not link.enslaved and (not link.kind or (container and link.kind in CONTAINER_KINDS))
    return ordinary and any(fnmatchcase(link.name, pattern) for pattern in patterns)


def fits_rule(link: Found, rule: Rule | None, *, container: bool) -> bool:
    """Whether ``link`` is the agent's by a rule about a pattern of the list: what a manager's file calls by its
    name may be of any kind (VLAN, bridge), and a pattern may mean VLANs where managers go by names alone."""
    if rule is None or link.enslaved or not link.ethernet:
        return False
    vlans = link.kind == "vlan" and rule.manager not in ("", "NetworkManager") and not rule.mac
    return link.name == rule.names or vlans or fits(link, (rule.names,), container=container)


class Hotplug:
    """Calls ``begin(name, ifindex)`` for each link that fits, in the order in which they come. It may be
    called again for one that is served already, and answers whether there is room for more."""

    def __init__(
        self, patterns: tuple[str, ...], loop: Loop, begin: Callable[[str, int], bool], say: Callable[[int, str], None],
        *, listed: tuple[str, ...] = (), run: str = "/run",
    ) -> None:
        self._patterns, self._listed, self._loop, self._begin = patterns, listed, loop, begin
        self._container = os.path.exists(os.path.join(run, "systemd/container"))
        self._udev = UdevDatabase(os.path.join(run, "udev"), loop, self.look) if not self._container else None
        self._said = SayOnce(say)
        self._census = Census()
        loop.register(self._census.fileno(), lambda _mask: self._consider(self._census.read()))

    def look(self) -> None:
        """Consider every link that there is."""
        self._consider(all_links())

    def _consider(self, links: list[Found]) -> None:
        for link in links:
            if not self._means(link):
                continue
            if self._udev is not None and not self._udev.done_with(link.ifindex):
                continue
            if not self._begin(link.name, link.ifindex):
                self._said.say("full", 4, f"{MAX_SERVED} interfaces are served already, and no more of those that fit "
                                          "a pattern: name those that matter in the configuration")

    def _means(self, link: Found) -> bool:
        return fits(link, self._patterns, container=self._container) or any(
            fits_rule(link, rule_for(pattern, link.name, link.macs), container=self._container)
            for pattern in self._listed if fnmatchcase(link.name, pattern)
        )

    def close(self) -> None:
        """Stop watching."""
        self._loop.unregister(self._census.fileno())
        self._census.close()
        if self._udev is not None:
            self._udev.close()


class UdevDatabase:
    """Whether udev has done with a link; ``again`` is called when that may have changed for one that it had
    not. ``folder`` is /run/udev; without udev's control socket in it nobody gives names."""

    def __init__(self, folder: str, loop: Loop, again: Callable[[], None]) -> None:
        self._folder, self._loop, self._again = folder, loop, again
        self._waiting: dict[int, float] = {}  # ifindex: until when
        self._socket: socket.socket | None = None

    def done_with(self, ifindex: int) -> bool:
        """True when the link has the name that it will keep, as far as udev goes, or udev takes too long."""
        if not os.path.exists(os.path.join(self._folder, "control")) or self._settled(ifindex):
            self._waiting.pop(ifindex, None)
            return True
        now = self._loop.now()
        until = self._waiting.setdefault(ifindex, now + UDEV_PATIENCE)
        if len(self._waiting) > MAX_SERVED:  # links that went before udev had done with them
            del self._waiting[min(self._waiting, key=lambda waiting: self._waiting[waiting])]
        if now >= until:
            return True
        self._listen()
        if self._settled(ifindex):  # between the first look and the socket
            del self._waiting[ifindex]
            return True
        self._loop.set_timer((self, "patience"), min(at for at in self._waiting.values() if at > now), self._look)
        return False

    def _settled(self, ifindex: int) -> bool:
        """The database has a file for each link that udev has seen; ID_RENAMING is in it during a rename."""
        try:
            with open(os.path.join(self._folder, "data", f"n{ifindex}"), "rb") as file:
                return b"\nE:ID_RENAMING=1" not in b"\n" + file.read(1 << 16)
        except OSError:
            return False

    def _listen(self) -> None:
        """Hear when udev has dealt with any device, while links wait for it."""
        if self._socket is not None:
            return
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        with suppress(OSError):  # then patience alone decides
            self._socket = socket.socket(socket.AF_NETLINK, kind, _NETLINK_KOBJECT_UEVENT)
            self._socket.bind((0, _UDEV_GROUP))
            self._loop.register(self._socket.fileno(), self._on_event)

    def _on_event(self, _mask: int) -> None:
        assert self._socket is not None
        with suppress(OSError):
            while True:  # what it says is not believed, only that there is news
                self._socket.recv(1)
        self._look()

    def _look(self) -> None:
        self._again()
        if not any(until > self._loop.now() for until in self._waiting.values()):
            self.close()

    def close(self) -> None:
        """Wait for nothing any more."""
        self._loop.set_timer((self, "patience"), None, self._look)
        if self._socket is not None:
            self._loop.unregister(self._socket.fileno())
            self._socket.close()
            self._socket = None
