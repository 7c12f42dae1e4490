"""``holdfast doctor --probe``: the only checks with packets of their own.

DHCPINFORM (RFC 2131 section 4.4.3) by broadcast and by unicast, to list the servers that answer, and which way; ARP for
the gateway, the server and our own address; ICMP echo of the size of the MTU to the gateway. ``discover``: one DISCOVER
with a client-id of its own that is never followed by a REQUEST. Nothing on the machine is changed.
"""

from __future__ import annotations

import errno
import os
import random
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from holdfast.doctor.capture import Capture, capture
from holdfast.doctor.finding import BAD, NOTE, OK, Finding
from holdfast.network.link import Link
from holdfast.wire import message as msg
from holdfast.wire import options as opt
from holdfast.wire.arp import build_probe, build_request
from holdfast.wire.frame import BROADCAST_MAC, ETHERTYPE_ARP, ETHERTYPE_IPV4, build_udp
from holdfast.wire.message import ANY, BROADCAST, CLIENT_PORT, SERVER_PORT, Message, encode

#: Seconds for answers; servers that ping an address before they offer it take one.
PATIENCE, OFFER_PATIENCE = 2.0, 3.5
_SIOCGIFMTU = 0x8921
_IP_MTU_DISCOVER, _IP_PMTUDISC_PROBE = 10, 3  # ip(7): DF set, and the path MTU that is known not looked at
#: IPv4 and ICMP headers.
_HEADERS = 28
_FAR_AWAY = IPv4Address("198.51.100.77")
_REQUESTED = bytes((opt.SUBNET_MASK, opt.ROUTER, opt.DOMAIN_NAME_SERVER, opt.SERVER_ID))


class Subject(NamedTuple):
    """What is probed: the link, its address, its DHCP server, its gateway and its network, None where there is none."""

    link: Link
    address: IPv4Address | None
    server: IPv4Address | None
    gateway: IPv4Address | None
    network: IPv4Network | None

    @property
    def on_link(self) -> bool:
        """True when the server is in the link's network."""
        return self.server is not None and self.network is not None and self.server in self.network


class Probe:
    """One round of probes of one link. ``sent`` counts the DHCP messages of its own."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.sent = 0
        self.broadcast_xid, self.unicast_xid, self.discover_xid = (random.getrandbits(32) for _ in range(3))
        self.unicast_error = ""

    def run(self, *, discover: bool) -> tuple[Capture, list[Finding]]:
        """What was seen, and what it means. Raises OSError when the link cannot be used."""
        one = self.subject
        sends = [self._ask_arp, self._inform_by_broadcast, self._inform_by_unicast] if one.address is not None else []
        if discover:
            sends.append(self._discover)
        seen = capture(one.link.name, OFFER_PATIENCE if discover else PATIENCE, sends)
        findings = []
        if one.address is not None:
            findings += [*self._check_arp(seen), *self._check_inform(seen), *self._check_mtu()]
        if discover:
            findings += self._check_offers(seen)
        return seen, findings

    # -- what is sent ------------------------------------------------------------------------------

    def _ask_arp(self) -> None:
        one = self.subject
        assert one.address is not None
        packets = [build_probe(one.link.mac, one.address)]
        asked = (*self._neighbours(), *self._strangers())
        packets += [build_request(one.link.mac, one.address, host) for host in asked]
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as arp:
            for packet in packets:
                arp.sendto(packet, (one.link.name, ETHERTYPE_ARP, 0, 0, BROADCAST_MAC))

    def _neighbours(self) -> list[IPv4Address]:
        one = self.subject
        hosts = [one.gateway, one.server if one.on_link else None]
        return list(dict.fromkeys(host for host in hosts if host is not None))

    def _strangers(self) -> list[IPv4Address]:
        """Addresses that no machine of this link should answer for: of TEST-NET-2, and the last ones of our network,
        which a router that answers for everything answers, too."""
        network = self.subject.network
        last = [] if network is None or network.prefixlen > 29 else [network[-2], network[-3]]
        return [_FAR_AWAY, *(host for host in last if host not in (self.subject.address, *self._neighbours()))]

    def _inform_by_broadcast(self) -> None:
        assert self.subject.address is not None
        self._broadcast(self._inform(self.broadcast_xid), self.subject.address)

    def _inform(self, xid: int) -> Message:
        options = {opt.MESSAGE_TYPE: bytes([msg.INFORM]), opt.PARAMETER_REQUEST_LIST: _REQUESTED}
        return Message(msg.BOOTREQUEST, xid, ciaddr=self.subject.address or ANY, chaddr=self.subject.link.mac,
                       htype=self.subject.link.htype, options=options)

    def _broadcast(self, message: Message, source: IPv4Address) -> None:
        datagram = build_udp(source, BROADCAST, CLIENT_PORT, SERVER_PORT, encode(message))
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as packet:
            packet.sendto(datagram, (self.subject.link.name, ETHERTYPE_IPV4, 0, 0, BROADCAST_MAC))
        self.sent += 1

    def _inform_by_unicast(self) -> None:
        one = self.subject
        if one.server is None or one.address is None:
            return
        udp = build_udp(one.address, one.server, CLIENT_PORT, SERVER_PORT, encode(self._inform(self.unicast_xid)))[20:]
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
            try:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, one.link.name.encode() + b"\0")
                raw.bind((str(one.address), 0))
                raw.sendto(udp, (str(one.server), SERVER_PORT))
                self.sent += 1
            except OSError as error:
                self.unicast_error = f"{errno.errorcode.get(error.errno or 0, '')}: {error.strerror}"

    def _discover(self) -> None:
        options = {opt.MESSAGE_TYPE: bytes([msg.DISCOVER]), opt.PARAMETER_REQUEST_LIST: _REQUESTED,
                   opt.CLIENT_ID: b"\0holdfast-doctor-" + os.urandom(4).hex().encode()}
        self._broadcast(Message(msg.BOOTREQUEST, self.discover_xid, flags=0x8000, chaddr=self.subject.link.mac,
                                htype=self.subject.link.htype, options=options), ANY)

    # -- what it means -----------------------------------------------------------------------------

    def _check_arp(self, seen: Capture) -> Iterator[Finding]:
        one, found = self.subject, partial(Finding, interface=self.subject.link.name)
        by: dict[IPv4Address, set[str]] = {}
        for packet in seen.arp:
            if packet.sha != one.link.mac:
                by.setdefault(packet.spa, set()).add(packet.sha.hex(":"))
        routers = set().union(*(by.get(host, set()) for host in self._neighbours()))
        strangers = [host for host in self._strangers() if not routers.isdisjoint(by.get(host, ()))]
        if strangers:
            yield found("proxy-arp", NOTE, f"the router {', '.join(sorted(routers))} answers ARP for other machines "
                        f"(proxy ARP): {', '.join(map(str, strangers))}", "nothing; for Holdfast it is no conflict")
        assert one.address is not None
        for mac in sorted(by.get(one.address, ())):
            if mac in routers:
                yield found("proxy-arp", NOTE, f"{mac}, which is the gateway or the server, answers ARP for our "
                            f"address {one.address} too, as proxy ARP does", "nothing; it is no conflict")
            else:
                yield found("conflict", BAD, f"{mac} answers ARP for our address {one.address}",
                            "find the machine with that hardware address; ask the server whose address it is")
        for host in self._neighbours():
            what = "gateway" if host == one.gateway else "DHCP server"
            macs = sorted(by.get(host, ()))
            if not macs:
                yield found("arp", BAD if what == "gateway" else NOTE, f"the {what} {host} does not answer ARP",
                            "check that it is up, and in this network (VLAN)")
            elif len(macs) > 1:
                yield found("conflict", BAD, f"{len(macs)} machines answer ARP for {host}, the {what}: "
                            f"{', '.join(macs)}",
                            "find the one that does not belong there")
            else:
                yield found("arp", OK, f"the {what} {host} is {macs[0]}")

    def _check_inform(self, seen: Capture) -> Iterator[Finding]:
        one, found = self.subject, partial(Finding, interface=self.subject.link.name)
        broadcast, unicast = (_answers(seen, xid) for xid in (self.broadcast_xid, self.unicast_xid))
        if one.server is not None and self.unicast_error:
            own = "EPERM" in self.unicast_error
            yield found("firewall" if own else "unicast", NOTE,
                        f"{'this machine does not let' if own else 'the kernel cannot send'} unicast to {one.server}"
                        f"{' out' if own else ''}: {self.unicast_error}",
                        "let UDP from port 68 to port 67 out" if own else "see `ip route get` for the server")
        elif one.server is not None and not unicast and broadcast:
            yield found("unicast", NOTE, f"{one.server} answers DHCPINFORM by broadcast and not by unicast; renewals "
                        "go by broadcast", "look on the DHCP host for several servers on one port, or a firewall")
        both = sorted({*broadcast, *unicast})
        if not both:
            yield found("servers", NOTE, "no DHCP server answers DHCPINFORM, as some never do")
        elif len(both) > 1:
            yield found("servers", NOTE, f"{len(both)} DHCP servers answer: {', '.join(both)}",
                        "find those that do not belong there" if one.server is None else
                        f"the lease is {one.server}'s; find those that do not belong there")
        else:
            yield found("servers", OK, f"one DHCP server answers: {both[0]}")

    def _check_offers(self, seen: Capture) -> Iterator[Finding]:
        found = partial(Finding, interface=self.subject.link.name)
        said = "one DISCOVER was sent, and is not followed by a REQUEST; a server may reserve an address for a moment"
        offers = sorted({f"{message.server_id or source} offers {message.yiaddr}" for message, source in seen.replies
                         if message.xid == self.discover_xid and message.message_type == msg.OFFER})
        servers = {offer.split()[0] for offer in offers}
        if not offers:
            yield found("discover", BAD, "no DHCP server offers an address to a new client",
                        "see whether the server has free addresses, and which clients it knows", (said,))
        elif len(servers) > 1:
            yield found("discover", NOTE, f"{len(servers)} DHCP servers offer addresses: {', '.join(offers)}",
                        "find those that do not belong there", (said,))
        else:
            yield found("discover", OK, offers[0], "", (said,))

    def _check_mtu(self) -> Iterator[Finding]:
        one, found = self.subject, partial(Finding, interface=self.subject.link.name)
        if one.gateway is None or one.address is None:
            return
        mtu = mtu_of(one.link.name)
        gateway = one.gateway
        if not self._echo(gateway, 84):
            yield found("mtu", NOTE, f"the gateway {gateway} answers no ICMP echo; the MTU was not probed")
            return
        if self._echo(gateway, mtu):
            yield found("mtu", OK, f"packets of the MTU {mtu} reach the gateway {gateway}")
            return
        low, high = 84, mtu
        while high - low > 4 and high > low:  # ten steps at most for 9000
            middle = (low + high) // 2
            low, high = (middle, high) if self._echo(gateway, middle, 0.3) else (low, middle)
        yield found("mtu", BAD, f"the MTU is {mtu}, and packets of that size do not reach the gateway {gateway}",
                    f"have the server send option 26 with {low}, or correct the switches",
                    (f"an echo of {low} bytes is answered, one of {mtu} is not",))

    def _echo(self, host: IPv4Address, size: int, patience: float = 1.0) -> bool:
        """True when an echo of ``size`` bytes, IP header included, that must not be fragmented is answered."""
        def send() -> None:
            body = struct.pack("!BBHHH", 8, 0, 0, os.getpid() & 0xFFFF, size & 0xFFFF) + bytes(size - _HEADERS)
            body = body[:2] + struct.pack("!H", _checksum(body)) + body[4:]
            with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw, suppress(OSError):
                raw.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_PROBE)
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self.subject.link.name.encode() + b"\0")
                raw.sendto(body, (str(host), 0))

        return size in capture(self.subject.link.name, patience, [send], enough=lambda seen: size in seen.echoes).echoes


def mtu_of(ifname: str) -> int:
    """The link's MTU. Raises OSError."""
    import fcntl  # noqa: PLC0415

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16si20x", ifname.encode(), 0)
        mtu: int = struct.unpack_from("i", fcntl.ioctl(control, _SIOCGIFMTU, request), 16)[0]
        return mtu


def _answers(seen: Capture, xid: int) -> list[str]:
    """The servers that answered with this transaction id."""
    return [str(message.server_id or source) for message, source in seen.replies if message.xid == xid]


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    padded = data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)

