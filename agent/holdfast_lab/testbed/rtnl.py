"""A few rtnetlink requests and the decoding of events, for the lab alone (rtnetlink(7)).

The lab keeps its own reading of netlink on purpose: it witnesses what ``holdfast.network`` does, so it must
not share its code. It also needs no ``ip`` program, so that the demo runs on a bare machine.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import NamedTuple

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 1, 4, 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO, IFLA_NET_NS_FD = 1, 3, 4, 10, 18, 28
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_CACHEINFO = 1, 2, 4, 6
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_TABLE = 1, 4, 5, 6, 15
IFF_UP, IFF_RUNNING = 1, 0x40
RTPROT_STATIC, RTPROT_DHCP, RT_TABLE_MAIN, RT_SCOPE_LINK, RTN_UNICAST = 4, 16, 254, 253, 1
RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE = 1, 0x10, 0x40
FOREVER = 0xFFFFFFFF


class Message(NamedTuple):
    """One netlink message: its type, the fixed header after nlmsghdr, and its attributes (last one wins)."""

    kind: int
    header: bytes
    attributes: dict[int, bytes]


class Address(NamedTuple):
    """One IPv4 address on an interface; ``valid`` seconds, None for one without an end."""

    ifindex: int
    interface: IPv4Interface
    valid: int | None


class Route(NamedTuple):
    """One unicast IPv4 route of the main table."""

    ifindex: int
    destination: IPv4Network
    gateway: IPv4Address | None
    metric: int
    protocol: int


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to four octets."""
    return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[4:length]
        data = data[(length + 3) & ~3 :]
    return found


_RTMSG = struct.Struct("=BBBBBBBBI")
_HEADER_SIZES = {
    RTM_NEWLINK: 16,
    RTM_DELLINK: 16,
    RTM_NEWADDR: 8,
    RTM_DELADDR: 8,
    RTM_NEWROUTE: 12,
    RTM_DELROUTE: 12,
}


def messages(data: bytes) -> Iterator[Message]:
    """The messages of one datagram. Errors raise OSError with the kernel's errno."""
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        body = data[16:length]
        if kind == NLMSG_ERROR:
            (code,) = struct.unpack_from("=i", body)
            if code:
                raise OSError(-code, os.strerror(-code))
        size = _HEADER_SIZES.get(kind, 0)
        yield Message(kind, body[:size], _attributes(body[size:]) if size else {})
        data = data[(length + 3) & ~3 :]


def read_address(message: Message) -> Address:
    """The address in an RTM_NEWADDR or RTM_DELADDR."""
    _family, prefix, _flags, _scope, index = struct.unpack("=BBBBI", message.header)
    local = message.attributes.get(IFA_LOCAL) or message.attributes[IFA_ADDRESS]
    valid: int | None = None
    if IFA_CACHEINFO in message.attributes:
        _preferred, seconds = struct.unpack_from("=II", message.attributes[IFA_CACHEINFO])
        valid = None if seconds == FOREVER else seconds
    return Address(index, IPv4Interface((local, prefix)), valid)


def read_route(message: Message) -> Route | None:
    """The route in an RTM_NEWROUTE or RTM_DELROUTE, or None when it is not a unicast route of table main."""
    _family, length, _src, _tos, table, protocol, _scope, kind, _flags = _RTMSG.unpack(message.header)
    if table != RT_TABLE_MAIN or kind != RTN_UNICAST:
        return None
    get = message.attributes.get
    gateway = get(RTA_GATEWAY)
    return Route(
        int.from_bytes(get(RTA_OIF, b""), "little"),
        IPv4Network((get(RTA_DST, bytes(4)), length)),
        IPv4Address(gateway) if gateway else None,
        int.from_bytes(get(RTA_PRIORITY, b""), "little"),
        protocol,
    )


class Rtnl:
    """A NETLINK_ROUTE socket of the namespace in which it was made. Every method raises OSError."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._socket.bind((0, 0))
        self._socket.settimeout(10)
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __enter__(self) -> Rtnl:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def request(self, kind: int, flags: int, body: bytes) -> list[Message]:
        """Send one request; the answers up to the acknowledgement or the end of the dump."""
        self._sequence += 1
        header = struct.pack("=IHHII", 16 + len(body), kind, flags | NLM_F_REQUEST, self._sequence, 0)
        self._socket.send(header + body)
        answers: list[Message] = []
        while True:
            for message in messages(self._socket.recv(1 << 16)):
                if message.kind in (NLMSG_DONE, NLMSG_ERROR):
                    return answers
                answers.append(message)

    def add_veth(self, name: str, peer: str, peer_namespace: int) -> None:
        """A pair of virtual Ethernet ports; ``peer`` appears in the namespace of that file descriptor."""
        far = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + attribute(IFLA_IFNAME, peer.encode() + b"\0")
        far += attribute(IFLA_NET_NS_FD, struct.pack("=i", peer_namespace))
        self._add_link(name, b"veth\0", attribute(VETH_INFO_PEER, far))

    def add_bridge(self, name: str) -> None:
        """An Ethernet bridge without spanning tree (the kernel's default)."""
        self._add_link(name, b"bridge\0", b"")

    def add_dummy(self, name: str) -> None:
        """A dummy interface, where the kernel has them."""
        self._add_link(name, b"dummy\0", b"")

    def _add_link(self, name: str, kind: bytes, data: bytes) -> None:
        info = attribute(IFLA_INFO_KIND, kind)
        if data:
            info += attribute(IFLA_INFO_DATA, data)
        body = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + attribute(IFLA_IFNAME, name.encode() + b"\0")
        self.request(
            RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, body + attribute(IFLA_LINKINFO, info)
        )

    def set_link(
        self,
        name: str,
        *,
        up: bool | None = None,
        address: bytes | None = None,
        master: str | None = None,
        mtu: int | None = None,
        rename: str | None = None,
        namespace: int | None = None,
    ) -> None:
        """Change what is given, leave the rest. ``namespace`` is a file descriptor to move the link to."""
        change = 0 if up is None else IFF_UP
        body = struct.pack("=BxHiII", 0, 0, socket.if_nametoindex(name), IFF_UP if up else 0, change)
        if address is not None:
            body += attribute(IFLA_ADDRESS, address)
        if master is not None:
            body += attribute(IFLA_MASTER, struct.pack("=I", socket.if_nametoindex(master) if master else 0))
        if mtu is not None:
            body += attribute(IFLA_MTU, struct.pack("=I", mtu))
        if rename is not None:
            body += attribute(IFLA_IFNAME, rename.encode() + b"\0")
        if namespace is not None:
            body += attribute(IFLA_NET_NS_FD, struct.pack("=i", namespace))
        self.request(RTM_NEWLINK, NLM_F_ACK, body)

    def delete_link(self, name: str) -> None:
        """Remove a link (and its veth peer)."""
        self.request(RTM_DELLINK, NLM_F_ACK, struct.pack("=BxHiII", 0, 0, socket.if_nametoindex(name), 0, 0))

    def add_address(self, name: str, interface: str, valid: int = FOREVER) -> None:
        """Add or replace ``interface`` ("192.0.2.1/24") on link ``name``; ``valid`` in seconds."""
        ip = IPv4Interface(interface)
        body = struct.pack("=BBBBI", socket.AF_INET, ip.network.prefixlen, 0, 0, socket.if_nametoindex(name))
        body += attribute(IFA_LOCAL, ip.ip.packed) + attribute(IFA_ADDRESS, ip.ip.packed)
        if ip.network.prefixlen < 31:
            body += attribute(IFA_BROADCAST, ip.network.broadcast_address.packed)
        body += attribute(IFA_CACHEINFO, struct.pack("=IIII", valid, valid, 0, 0))
        self.request(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, body)

    def delete_address(self, name: str, interface: str) -> None:
        """Remove an address."""
        ip = IPv4Interface(interface)
        body = struct.pack("=BBBBI", socket.AF_INET, ip.network.prefixlen, 0, 0, socket.if_nametoindex(name))
        self.request(RTM_DELADDR, NLM_F_ACK, body + attribute(IFA_LOCAL, ip.ip.packed))

    def add_route(self, name: str, destination: str, gateway: str | None = None, metric: int = 0) -> None:
        """Add a static route over link ``name``."""
        self._route(
            RTM_NEWROUTE,
            NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
            name,
            destination,
            gateway=gateway,
            metric=metric,
        )

    def delete_route(self, name: str, destination: str, gateway: str | None = None, metric: int = 0) -> None:
        """Remove a route over link ``name``, whoever made it."""
        self._route(RTM_DELROUTE, NLM_F_ACK, name, destination, gateway=gateway, metric=metric)

    def _route(
        self, kind: int, flags: int, name: str, destination: str, *, gateway: str | None, metric: int
    ) -> None:
        network = IPv4Network(destination)
        scope = 0 if gateway or kind == RTM_DELROUTE else RT_SCOPE_LINK
        protocol = 0 if kind == RTM_DELROUTE else RTPROT_STATIC
        inet, length = socket.AF_INET, network.prefixlen
        body = _RTMSG.pack(inet, length, 0, 0, RT_TABLE_MAIN, protocol, scope, RTN_UNICAST, 0)
        body += attribute(RTA_DST, network.network_address.packed)
        body += attribute(RTA_OIF, struct.pack("=I", socket.if_nametoindex(name)))
        if gateway:
            body += attribute(RTA_GATEWAY, IPv4Address(gateway).packed)
        if metric:
            body += attribute(RTA_PRIORITY, struct.pack("=I", metric))
        self.request(kind, flags, body)

    def addresses(self, name: str) -> list[Address]:
        """The IPv4 addresses of link ``name``, in the kernel's order (primaries before their secondaries)."""
        index = socket.if_nametoindex(name)
        answers = self.request(RTM_GETADDR, NLM_F_DUMP, struct.pack("=BBBBI", socket.AF_INET, 0, 0, 0, 0))
        found = [read_address(message) for message in answers if message.kind == RTM_NEWADDR]
        return [address for address in found if address.ifindex == index]

    def routes(self, name: str) -> list[Route]:
        """The unicast IPv4 routes of table main over link ``name``."""
        index = socket.if_nametoindex(name)
        body = _RTMSG.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)
        answers = self.request(RTM_GETROUTE, NLM_F_DUMP, body)
        found = [read_route(message) for message in answers if message.kind == RTM_NEWROUTE]
        return [route for route in found if route is not None and route.ifindex == index]
