"""Changes of interfaces, from the kernel's messages (rtnetlink(7) multicast groups).

``LinkMessages`` is the socket of all interfaces of a process, and ``LinkWatch`` what it tells of one of them; both are
made before the first DISCOVER, so that nothing is missed. A machine with many containers or a routing daemon gets a
flood of messages about others: those are recognised by a few bytes of their fixed headers and not decoded.
"""

from __future__ import annotations

import _socket as socket  # `socket` itself makes enums of its constants: 5 ms before the first DISCOVER
import errno
import struct

from holdfast.network import LinkError, link, rtnl
from holdfast.wire.address import IPv4Address
from holdfast.wire.record import TYPE_CHECKING, Enum, NamedTuple, record

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from ipaddress import IPv4Interface, IPv4Network
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

_KINDS = frozenset({RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR, RTM_DELROUTE})
_SHORTEST = 24  # bytes of the shortest message of these kinds: struct nlmsghdr and struct ifaddrmsg

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


class LinkMessages:
    """The kernel's messages about all links, addresses and routes of this network namespace, on one socket.

    ``receive`` hands them to the watches that they may concern, and calls ``on_news`` when one has something to read.
    Raises LinkError when there is no netlink.
    """

    def __init__(self, on_news: Callable[[], None] = lambda: None) -> None:
        self._on_news = on_news
        self._watches: list[LinkWatch] = []
        self._macs: dict[int, bytes] | None = None  # by index; None: not asked for yet, or not known
        try:
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
                socket.NETLINK_ROUTE,
            )
            self._socket.bind((0, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE))
        except OSError as error:
            raise LinkError(error.errno, f"cannot watch the links: {error.strerror}") from None

    def fileno(self) -> int:
        """For a selector."""
        return self._socket.fileno()

    def close(self) -> None:
        """Receive nothing any more."""
        self._socket.close()

    def add(self, watch: LinkWatch) -> None:
        """Hand ``watch`` what comes from now on: what is queued is older than what it will see of its link."""
        self.receive(MAX_QUEUED)
        self._watches.append(watch)

    def remove(self, watch: LinkWatch) -> None:
        """Hand ``watch`` nothing any more."""
        if watch in self._watches:
            self._watches.remove(watch)

    def receive(self, limit: int = MAX_DATAGRAMS) -> None:
        """Hand out up to ``limit`` datagrams; never blocks, never raises."""
        news = False
        for _ in range(limit):
            try:
                data = self._socket.recv(MAX_DATAGRAM)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    break
                self._lose()
                news = True
                continue
            for kind, message in split(data):
                news = self._deliver(kind, message) or news
        if news:
            self._on_news()

    def own_macs(self) -> Collection[bytes]:
        """The hardware addresses of all links of this network namespace (rule 71), as of now. The kernel is asked for
        them once; messages tell the rest. OSError."""
        self.receive(MAX_QUEUED)
        if self._macs is None:
            self._macs = link.own_macs()
        return self._macs.values()

    def _lose(self) -> None:
        """The socket's buffer was full (netlink(7)). What it still holds is older than what was lost: read after
        looking, it would take a watch back in time."""
        self._macs = None
        for watch in self._watches:
            watch.lose()
        for _ in range(MAX_QUEUED):
            try:
                self._socket.recv(1)
            except BlockingIOError:
                return
            except OSError:
                continue  # lost some more meanwhile

    def _deliver(self, kind: int, message: bytes) -> bool:
        """Hand one message out; True when somebody got it."""
        if len(message) < _SHORTEST or kind not in _KINDS:
            return False
        if self._macs is not None and kind in (RTM_NEWLINK, RTM_DELLINK) and message[16] == socket.AF_UNSPEC:
            self._learn_mac(self._macs, kind, message)
        return bool([watch for watch in self._watches if watch.hand(kind, message)])

    @staticmethod
    def _learn_mac(macs: dict[int, bytes], kind: int, message: bytes) -> None:
        ifindex: int = struct.unpack_from("=i", message, 20)[0]
        macs.pop(ifindex, None)
        mac = rtnl.attributes(message[rtnl.HEADER + rtnl.LINK.size:]).get(rtnl.IFLA_ADDRESS, b"")[:6]
        if kind == RTM_NEWLINK and any(mac):
            macs[ifindex] = mac


class LinkWatch:
    """Watches the interface called ``name``, present or not yet, by ``messages``, and follows it through renames.

    ``link`` is what is known of it now, None while there is none. After GONE an interface that gets
    the name (the last one it had) is APPEARED. Only "no such device" is GONE: while the machine is short of descriptors
    or memory nothing is learned, ``unsure`` is True, and ``read`` looks again (rule 90).
    """

    def __init__(self, name: str, messages: LinkMessages) -> None:
        self.name = name
        self.link: link.Link | None = None
        self.unsure = False
        self._lost = False
        self._pending: list[tuple[int, bytes]] = []
        self._master = 0  # the index of the bridge or the like that it belongs to, as the last message said
        self._messages = messages
        messages.add(self)
        self._look()  # after the subscription: later changes are reported
        if self.link is not None:
            self.name = self.link.name

    @property
    def waiting(self) -> bool:
        """Whether there is something to read."""
        return self._lost or bool(self._pending)

    def close(self) -> None:
        """Stop watching."""
        self._messages.remove(self)

    def hand(self, kind: int, message: bytes) -> bool:
        """Keep the message for ``read`` when it may concern this interface; False when it does not."""
        if not self._pending:  # else those may change which link is meant
            if kind == RTM_DELROUTE:
                # struct rtmsg: family dst_len src_len tos table protocol scope type, one byte each
                if self.link is None or message[21] != RTPROT_DHCP:
                    return False
            elif self.link is not None:
                if struct.unpack_from("=i", message, 20)[0] != self.link.ifindex:
                    return False
            elif kind not in (RTM_NEWLINK, RTM_DELLINK):
                return False
        self._pending.append((kind, message))
        return True

    def lose(self) -> None:
        """Messages were lost: ``read`` has to look."""
        self._lost = True
        self._pending.clear()

    def read(self) -> list[LinkEvent]:
        """What has happened since; never blocks, never raises. Empty when nothing did."""
        self._messages.receive(MAX_QUEUED if self.unsure else MAX_DATAGRAMS)
        handed, self._pending = self._pending, []
        events: list[LinkEvent] = []
        if self.unsure or self._lost:  # what was handed is older than what is seen now
            self._lost = False
            events += self._look()
            if not self.unsure:
                events.append(self._event(Kind.RESYNC))
            return events
        for kind, message in handed:
            events += self._events(kind, message)
        return events

    def _events(self, kind: int, message: bytes) -> list[LinkEvent]:
        family = message[16]
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
        from ipaddress import IPv4Interface  # noqa: PLC0415 - not before the first DISCOVER

        what = Kind.ADDRESS_ADDED if kind == RTM_NEWADDR else Kind.ADDRESS_REMOVED
        return [self._event(what, address=IPv4Interface((local, message[17])))]

    def _route_events(self, message: bytes) -> list[LinkEvent]:
        route = rtnl.attributes(message[rtnl.HEADER + rtnl.ROUTE.size:])
        if self.link is None or rtnl.number(route.get(rtnl.RTA_OIF)) != self.link.ifindex:
            return []
        from ipaddress import IPv4Network  # noqa: PLC0415 - as above

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
