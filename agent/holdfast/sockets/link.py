"""The sockets of one link: everything in on AF_PACKET, broadcasts out on it, unicast out through UDP.

Receiving on AF_PACKET works without an address and whatever IP destination the server wrote. Sending
unicast through the kernel's UDP leaves routing and neighbours to it, and brings ICMP errors back
(IP_RECVERR). Holding UDP port 68 keeps the kernel from answering the server with "port unreachable".
"""

from __future__ import annotations

import _socket as socket  # `socket` itself makes enums of its constants: 5 ms before the first DISCOVER
import errno
import os
import struct

from holdfast.core.actions import AskGateway, Transmit
from holdfast.core.events import Received
from holdfast.eventloop.ports import Loop
from holdfast.sockets.arp import ArpSocket, Claim
from holdfast.sockets.filters import DROP_ALL, attach
from holdfast.sockets.reader import LONGEST, PACKET_OUTGOING, ask_auxdata, describe_error, read_packet
from holdfast.wire import WireError
from holdfast.wire.frame import BROADCAST_MAC, ETHERTYPE_IPV4, build_udp, reply_filter, udp_filter
from holdfast.wire.lean import suppress
from holdfast.wire.message import BOOTREPLY, BROADCAST, CLIENT_PORT, SERVER_PORT, Message, encode
from holdfast.wire.record import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from ipaddress import IPv4Address

#: Messages read in one wake-up. A flood of 50,000 packets a second must not keep the timers waiting:
#: 64 take a few milliseconds, then the loop serves the timers and comes back.
BATCH = 64
#: So many wake-ups in a row that were full, and brought nothing that answers us, are a flood. For so many seconds the
#: kernel then passes on replies to our own questions alone, and nothing else is read or counted.
FLOOD_BATCHES = 4
FLOOD_TIME = 10.0
#: ICMP errors read in one wake-up.
_ERROR_BATCH = 16
#: Servers and relays of one link that are remembered by their MAC, and questions of ours by their transaction id.
_ANSWERERS = 8
_QUESTIONS = 16

_IP_PKTINFO = 8
_IP_RECVERR = 11
_SO_MEMINFO, _MEMINFO_DROPS = 55, 8  # asm-generic/socket.h; linux/sock_diag.h: SK_MEMINFO_DROPS


class Batch(NamedTuple):
    """What one wake-up brought: messages, and the reasons of packets that were none, ``tagged`` of them because they
    have a VLAN tag. ``flood``: it is the last of a flood that is read."""

    messages: list[Received]
    malformed: list[str]
    tagged: int = 0
    flood: bool = False


class Listener(NamedTuple):
    """The callbacks for what is received."""

    on_batch: Callable[[Batch], None]
    on_unicast_error: Callable[[str], None]
    on_claim: Callable[[Claim], None]
    on_gone: Callable[[], None]


class LinkSockets:
    """All sockets of the interface ``ifname``. ``open`` and every sending method may raise OSError."""

    def __init__(self, loop: Loop, listener: Listener) -> None:
        self._loop = loop
        self._listener = listener
        self._ifname = ""
        self._packet: socket.socket | None = None
        self._udp: socket.socket | None = None
        self._raw: socket.socket | None = None
        self._arp: ArpSocket | None = None
        self._watched: tuple[IPv4Address, ...] = ()
        self._gateway: IPv4Address | None = None
        self._mac = bytes(6)
        self._answerers: list[bytes] = []
        self._questions: list[int] = []
        self._full = 0  # wake-ups in a row that brought as much as is read, and nothing for us
        self._guarded = False  # the kernel passes on answers to us alone
        self._source: IPv4Address | None = None  # our address, when we last sent from it
        self._delivered = 0  # answers to it since we hold the port

    def open(self, ifname: str, mac: bytes) -> None:
        """Open for receiving; what was open before is closed. Nothing that came before is read: the filter
        is attached while the socket has no protocol yet, so that no packet can be in its queue."""
        self.close()
        packet = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
        try:
            attach(packet, udp_filter(CLIENT_PORT))
            ask_auxdata(packet)
            packet.bind((ifname, ETHERTYPE_IPV4))
        except OSError:
            packet.close()
            raise
        self._ifname, self._mac, self._packet = ifname, mac, packet
        self._answerers = []
        self._full, self._guarded = 0, False
        self._loop.register(packet.fileno(), self._on_packet)
        self.watch(self._watched, self._gateway)

    def rename(self, ifname: str) -> None:
        """Use ``ifname``, the new name of the same link."""
        self._ifname = ifname
        if self._arp is not None:
            self._arp.rename(ifname)

    @property
    def holds_port(self) -> bool:
        """True while UDP port 68 is ours on this link."""
        return self._udp is not None

    def hold_port(self) -> None:
        """Bind UDP port 68 on this link, if it is not yet ours. OSError (EADDRINUSE: another has it alone)."""
        if self._udp is not None or self._packet is None:
            return
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._ifname.encode() + b"\0")
            # dhclient of another link binds the port of all links, with this option, and ends where it cannot.
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            attach(udp, DROP_ALL)  # answers are read on the packet socket; a queue here would only fill
            udp.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            udp.bind(("", CLIENT_PORT))
        except OSError:
            udp.close()
            raise
        self._udp, self._delivered = udp, 0
        self._loop.register(udp.fileno(), self._on_error)

    def transmit(self, action: Transmit) -> None:
        """Send once. OSError when the kernel refuses, WireError when the message cannot be written."""
        payload = encode(action.message)
        if self._packet is None:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        if action.message.xid not in self._questions:
            self._questions = [*self._questions[1 - _QUESTIONS:], action.message.xid]
            if self._guarded:
                self._let_through()
        if action.destination == BROADCAST:
            datagram = build_udp(action.source, BROADCAST, CLIENT_PORT, SERVER_PORT, payload)
            clear_error(self._packet)
            self._packet.sendto(datagram, (self._ifname, ETHERTYPE_IPV4, 0, 0, BROADCAST_MAC))
        else:
            self._unicast(action.source, action.destination, payload)

    def _unicast(self, source: IPv4Address, destination: IPv4Address, payload: bytes) -> None:
        self._source = source
        with suppress(OSError):  # reported when the port was first missing; without it a raw socket sends
            self.hold_port()
        if self._udp is not None:
            self._drain_errors()  # an old error would be reported instead of sending
            sock = self._udp
        else:
            sock = self._raw_socket()
            payload = build_udp(source, destination, CLIENT_PORT, SERVER_PORT, payload)[20:]
        # The source address of this one datagram (ip(7): ipi_spec_dst); the link is the socket's.
        info = struct.pack("=I4s4s", 0, source.packed, bytes(4))
        sock.sendmsg([payload], [(socket.IPPROTO_IP, _IP_PKTINFO, info)], 0, (str(destination), SERVER_PORT))

    def _raw_socket(self) -> socket.socket:
        """IPv4 with a UDP header of our own: the kernel still does the routing and finds the neighbour."""
        if self._raw is None:
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_UDP)
            try:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._ifname.encode() + b"\0")
                attach(raw, DROP_ALL)  # it would receive a copy of every UDP packet
            except OSError:
                raw.close()
                raise
            self._raw = raw
        return self._raw

    def probe(self, address: IPv4Address) -> None:
        """Send one ARP probe."""
        self._open_arp().probe(address)

    def announce(self, address: IPv4Address) -> None:
        """Send one ARP announcement."""
        self._open_arp().announce(address)

    def ask_gateway(self, action: AskGateway) -> None:
        """Send one ARP request for the gateway."""
        self._open_arp().ask(action.gateway, action.mac, action.source)

    def watch(self, addresses: tuple[IPv4Address, ...], gateway: IPv4Address | None = None) -> None:
        """Report the ARP claims of others to ``addresses``, and what ``gateway`` answers; neither closes the
        socket again."""
        self._watched, self._gateway = addresses, gateway
        if addresses or gateway is not None:
            self._open_arp().watch(addresses, gateway)
        elif self._arp is not None:
            self._close_arp()

    def _open_arp(self) -> ArpSocket:
        if self._packet is None:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        if self._arp is None:
            self._arp = ArpSocket(self._ifname, self._mac)
            self._loop.register(self._arp.fileno(), self._on_arp)
        return self._arp

    def _on_packet(self, _mask: int) -> None:
        batch = self._receive()
        full = len(batch.messages) + len(batch.malformed) == BATCH
        self._full = self._full + 1 if full and not any(map(self._answers_us, batch.messages)) else 0
        if self._full >= FLOOD_BATCHES and self._questions and not self._guarded:
            self._guard()
            batch = batch._replace(flood=True)
        if batch.messages or batch.malformed:
            self._listener.on_batch(batch)

    def _guard(self) -> None:
        """Have the kernel refuse what does not answer our questions, for a while."""
        self._guarded = True
        self._let_through()
        self._loop.set_timer((self, "flood"), self._loop.now() + FLOOD_TIME, self._end_guard)

    def _end_guard(self) -> None:
        self._full, self._guarded = 0, False
        if self._packet is not None:
            attach(self._packet, udp_filter(CLIENT_PORT))

    def _let_through(self) -> None:
        if self._packet is not None:
            attach(self._packet, reply_filter(CLIENT_PORT, self._mac, tuple(self._questions)))

    def _receive(self) -> Batch:
        messages: list[Received] = []
        malformed: list[str] = []
        tagged = 0
        for _ in range(BATCH):
            if self._packet is None:
                break
            try:
                packet, ancillary, flags, address = self._packet.recvmsg(LONGEST, 128)
            except BlockingIOError:
                break
            except OSError:
                if self._lost():
                    break
                continue
            if address[2] == PACKET_OUTGOING:
                continue
            try:
                received = read_packet(packet, ancillary, flags, address[2])
                messages.append(received)
                self._answered(received.message, address[4])
                self._delivered += self._udp is not None and received.destination == self._source
            except WireError as error:
                malformed.append(str(error))
                tagged += error.reason == "vlan"
        return Batch(messages, malformed, tagged)

    @property
    def filtered(self) -> int:
        """How many answers to our own address came in on the packet socket and never reached UDP port 68: something on
        this machine, such as a firewall or rp_filter, drops them. 0 while we do not hold the port."""
        if self._udp is None:
            return 0
        # The filter of that socket drops everything, and the kernel counts what it dropped.
        counted = struct.unpack_from("=I", self._udp.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 64), 4 * _MEMINFO_DROPS)
        return max(0, self._delivered - int(counted[0]))

    def _answered(self, message: Message, mac: bytes) -> None:
        """Remember the hardware address from which replies to our messages come: the server, or the gateway that relays
        them."""
        if self._is_answer(message) and mac not in self._answerers:
            self._answerers = [*self._answerers[1 - _ANSWERERS:], mac]

    def _answers_us(self, received: Received) -> bool:
        return self._is_answer(received.message)

    def _is_answer(self, message: Message) -> bool:
        return message.op == BOOTREPLY and message.chaddr[:6] == self._mac and message.xid in self._questions

    def _on_error(self, _mask: int) -> None:
        for text in self._drain_errors():
            self._listener.on_unicast_error(text)

    def _drain_errors(self) -> list[str]:
        """The ICMP errors that came back for what was sent by UDP."""
        errors: list[str] = []
        for _ in range(_ERROR_BATCH):
            if self._udp is None:
                break
            try:
                _, ancillary, _, _ = self._udp.recvmsg(512, 512, socket.MSG_ERRQUEUE)
            except OSError:
                break  # EAGAIN: no more
            errors += [describe_error(data) for level, kind, data in ancillary
                       if (level, kind) == (socket.IPPROTO_IP, _IP_RECVERR)]
        if self._udp is not None:
            clear_error(self._udp)
        return errors

    def _on_arp(self, _mask: int) -> None:
        for _ in range(BATCH):
            try:
                claim = self._arp.receive() if self._arp is not None else None
            except OSError:
                if self._lost():
                    break
                continue
            if claim is None:
                break
            # Rule 71: a gateway that answers ARP for every address (proxy ARP) claims ours as well. It hands us the
            # very messages that give the address to us, so its claim is no conflict.
            if claim.gateway or claim.by not in self._answerers:
                self._listener.on_claim(claim)

    def _lost(self) -> bool:
        """True when the interface is gone for good: a packet socket is bound to nothing then. Both that
        and setting the link down are reported by one ENETDOWN; after the latter the socket works on when the
        link is up again. Netlink reports it too; this is for when its messages were lost."""
        if self._packet is not None and self._packet.getsockname()[0]:
            return False
        self.close()
        self._listener.on_gone()
        return True

    def _close_arp(self) -> None:
        if self._arp is not None:
            self._loop.unregister(self._arp.fileno())
            self._arp.close()
            self._arp = None

    def close(self) -> None:
        """Close everything; ``open`` works again afterwards."""
        self._close_arp()
        self._loop.set_timer((self, "flood"), None, self._end_guard)
        for sock in (self._packet, self._udp, self._raw):
            if sock is not None:
                self._loop.unregister(sock.fileno())
                sock.close()
        self._packet = self._udp = self._raw = None


def clear_error(sock: socket.socket) -> None:
    """Take a pending error (the link was down a moment ago, an ICMP error) off the socket: the next send
    would report it instead of sending."""
    sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
