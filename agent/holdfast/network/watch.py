"""Changes of one interface, from the kernel's messages (rtnetlink(7) multicast groups).

``LinkWatch`` is made before the first DISCOVER, so that nothing is missed, and costs a socket. A machine with many
containers or a routing daemon gets a flood of messages about others: those are recognised by a few bytes of their
fixed headers and not decoded.
"""

from __future__ import annotations

import _socket as socket  # `socket` itself makes enums of its constants: 5 ms before the first DISCOVER
import errno
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from holdfast.network import LinkError, link, rtnl
from holdfast.wire.record import TYPE_CHECKING, Enum, NamedTuple, record

if TYPE_CHECKING:
    from typing import Any

RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE = 0x1, 0x10, 0x40
RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR, RTM_DELROUTE = 16, 17, 20, 21, 25
RTPROT_DHCP = 16
IFLA_EVENT_NOTIFY_PEERS = 4

#: Datagrams taken in one ``read``, so that a flood cannot keep the loop from its timers; what is left
#: keeps the descriptor readable.
MAX_DATAGRAMS = 64

#: More than a socket's queue holds: its default of 208 KiB counts at least 768 bytes for each datagram.
MAX_QUEUED = 1024

#: A datagram holds at most this (netlink's NLMSG_GOODSIZE is a page, or 8 KiB; dumps up to 32 KiB).
MAX_DATAGRAM = 1 << 16

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence number, port id


#: Errors that say that there is no such link. All others (EMFILE, ENFILE, ENOMEM, ENOBUFS, ETIMEDOUT) say nothing.
NO_DEVICE = (errno.ENODEV, errno.ENXIO)


class Kind(str, Enum):
    """What happened."""

    CARRIER_UP = "carrier-up"
    CARRIER_DOWN = "carrier-down"
    GONE = "gone"  # removed, or moved to another network namespace
    APPEARED = "appeared"  # an interface of our name is there (again); ``ifindex`` may be new
    RENAMED = "renamed"  # the same interface, now ``name``
    NEW_MAC = "new-mac"
    MASTER = "master"  # it has become, or is no more, a port of a bridge or a bond, or a link of a VRF
    ANNOUNCED = "announced"  # its driver announced it to the neighbours: migration, restore or fail-over
    ADDRESS_ADDED = "address-added"  # added, or its lifetimes changed; the message does not say by whom
    ADDRESS_REMOVED = "address-removed"
    ROUTE_REMOVED = "route-removed"  # a route of protocol dhcp over this interface
    RESYNC = "resync"  # messages were lost: look at addresses and routes again


@record
class LinkEvent(NamedTuple):
    """One thing that happened. ``name`` and ``ifindex`` are the interface's after it.

    ``address`` is set for addresses; ``destination``, ``gateway`` (None for on-link) and ``table`` for routes;
    ``former`` is the name before RENAMED.
    """

    kind: Kind
    name: str
    ifindex: int
    mac: bytes = b""
    address: IPv4Interface | None = None
    destination: IPv4Network | None = None
    gateway: IPv4Address | None = None
    former: str = ""
    table: int = 0


class LinkWatch:
    """Watches the interface called ``name``, present or not yet, and follows it through renames.

    ``link`` is what is known of it now, None while there is none. After GONE an interface that gets
    the name (the last one it had) is APPEARED. Only "no such device" is GONE: while the machine is short of descriptors
    or memory nothing is learned, ``unsure`` is True, and ``read`` looks again (rule 90). Raises LinkError when there is
    no netlink.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.link: link.Link | None = None
        self.unsure = False
        self._master = 0  # the index of the bridge or the like that it belongs to, as the last message said
        try:
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
                socket.NETLINK_ROUTE,
            )
            self._socket.bind((0, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE))
        except OSError as error:
            raise LinkError(error.errno, f"cannot watch {name}: {error.strerror}") from None
        self._look()  # after the subscription: later changes are reported
        if self.link is not None:
            self.name = self.link.name

    def fileno(self) -> int:
        """For a selector."""
        return self._socket.fileno()

    def close(self) -> None:
        """Stop watching."""
        self._socket.close()

    def read(self) -> list[LinkEvent]:
        """What has happened since; never blocks, never raises. Empty when nothing did."""
        events: list[LinkEvent] = []
        if self.unsure:
            self._discard()
            events += self._look()
            if not self.unsure:
                events.append(self._event(Kind.RESYNC))
        for _ in range(MAX_DATAGRAMS):
            try:
                data = self._socket.recv(MAX_DATAGRAM)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    break
                # The socket's buffer was full (netlink(7)). What it still holds
                # is older than what was lost: read after looking, it would take us back in time.
                self._discard()
                events += self._look()
                if not self.unsure:
                    events.append(self._event(Kind.RESYNC))
                continue
            for kind, message in split(data):
                events += self._events(kind, message)
        return events

    def _discard(self) -> None:
        """Throw away what is queued."""
        for _ in range(MAX_QUEUED):
            try:
                self._socket.recv(1)
            except BlockingIOError:
                return
            except OSError:
                continue  # lost some more meanwhile

    def _events(self, kind: int, message: bytes) -> list[LinkEvent]:
        family = message[16] if len(message) > 16 else -1
        if kind in (RTM_NEWLINK, RTM_DELLINK):
            # A bridge sends messages of family AF_BRIDGE about its ports: leaving a bridge is a "DELLINK".
            return self._link_events(kind, message) if family == socket.AF_UNSPEC else []
        if self.link is None or family != socket.AF_INET:
            return []
        if kind in (RTM_NEWADDR, RTM_DELADDR):
            return self._address_events(kind, message)
        # struct rtmsg: family dst_len src_len tos table protocol scope type, one byte each
        if kind == RTM_DELROUTE and message[20] != rtnl.RT_TABLE_LOCAL and message[21] == RTPROT_DHCP:
            return self._route_events(message)
        return []

    def _link_events(self, kind: int, message: bytes) -> list[LinkEvent]:
        # struct ifinfomsg: family, pad, type (u16), index (i32), flags (u32), change (u32)
        htype, ifindex, flags = struct.unpack_from("=HiI", message, 18)
        if self.link is not None and ifindex != self.link.ifindex:
            return []
        if kind == RTM_DELLINK:
            return self._change(None) if self.link is not None else []
        attributes = rtnl.attributes(message[rtnl.HEADER + rtnl.LINK.size:])
        name = rtnl.text(attributes.get(rtnl.IFLA_IFNAME)) or ""
        if self.link is None and name != self.name:
            return []
        mac = attributes.get(rtnl.IFLA_ADDRESS, b"")[:6]
        events = self._change(link.Link(name, ifindex, mac, htype, flags & 0xFFFF))
        master = rtnl.number(attributes.get(rtnl.IFLA_MASTER))
        if master != self._master:
            events.append(self._event(Kind.MASTER))
        self._master = master
        if rtnl.number(attributes.get(rtnl.IFLA_EVENT)) == IFLA_EVENT_NOTIFY_PEERS:
            events.append(self._event(Kind.ANNOUNCED))
        return events

    def _look(self) -> list[LinkEvent]:
        """Read the interface, and report what changed since the last message. ``unsure`` is True
        afterwards when there was no answer."""
        self.unsure = False
        gone: list[LinkEvent] = []
        if self.link is not None:
            try:
                return self._change(link.find(socket.if_indextoname(self.link.ifindex)))
            except OSError as error:
                if error.errno not in NO_DEVICE:
                    self.unsure = True
                    return []
                gone = self._change(None)
        try:
            return gone + self._change(link.find(self.name))
        except OSError as error:
            self.unsure = error.errno not in NO_DEVICE
            return gone

    def _change(self, now: link.Link | None) -> list[LinkEvent]:
        """The events that lead from ``self.link`` to ``now``."""
        before, self.link = self.link, now
        if now is None:
            return [] if before is None else [self._event(Kind.GONE, ifindex=before.ifindex, mac=before.mac)]
        events = []
        if before is None:
            events.append(self._event(Kind.APPEARED))
        elif before.name != now.name:
            self.name = now.name
            events.append(self._event(Kind.RENAMED, former=before.name))
        if before is not None and before.mac != now.mac:
            events.append(self._event(Kind.NEW_MAC))
        if now.carrier and (before is None or not before.carrier):
            events.append(self._event(Kind.CARRIER_UP))
        elif before is not None and before.carrier and not now.carrier:
            events.append(self._event(Kind.CARRIER_DOWN))
        return events

    def _address_events(self, kind: int, message: bytes) -> list[LinkEvent]:
        assert self.link is not None
        # struct ifaddrmsg: family, prefixlen, flags, scope (one byte each), index (u32)
        if struct.unpack_from("=I", message, 20)[0] != self.link.ifindex:
            return []
        local = rtnl.attributes(message[rtnl.HEADER + rtnl.ADDRESS.size:]).get(rtnl.IFA_LOCAL)
        if local is None or len(local) != 4:
            return []
        what = Kind.ADDRESS_ADDED if kind == RTM_NEWADDR else Kind.ADDRESS_REMOVED
        return [self._event(what, address=IPv4Interface((local, message[17])))]

    def _route_events(self, message: bytes) -> list[LinkEvent]:
        route = rtnl.attributes(message[rtnl.HEADER + rtnl.ROUTE.size:])
        if self.link is None or rtnl.number(route.get(rtnl.RTA_OIF)) != self.link.ifindex:
            return []
        destination = IPv4Network((route.get(rtnl.RTA_DST, bytes(4)), message[17]))
        gateway = route.get(rtnl.RTA_GATEWAY)
        return [self._event(
            Kind.ROUTE_REMOVED, destination=destination, gateway=IPv4Address(gateway) if gateway else None,
            table=rtnl.number(route.get(rtnl.RTA_TABLE)),
        )]

    def _event(self, kind: Kind, **more: Any) -> LinkEvent:
        if self.link is not None:
            more = {"ifindex": self.link.ifindex, "mac": self.link.mac, **more}
        return LinkEvent(kind, self.name, more.pop("ifindex", 0), **more)


def split(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The (type, whole message) pairs of one netlink datagram; a cut-off tail is left out."""
    position = 0
    while position + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, position)
        if length < _HEADER.size or position + length > len(data):
            return
        yield kind, data[position:position + length]
        position += (length + 3) & ~3
