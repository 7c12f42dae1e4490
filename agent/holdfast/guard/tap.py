"""One packet socket for all interfaces: what the clients of this machine send, and what servers answer.

It is also what guard sends with: a packet socket does not get what it sent itself.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address

from holdfast.sockets.filters import DROP_ALL, attach
from holdfast.sockets.reader import LONGEST, PACKET_OUTGOING, ask_auxdata, check_auxdata
from holdfast.wire import WireError
from holdfast.wire.frame import BROADCAST_MAC, ETHERTYPE_IPV4, Instruction, build_udp, parse_ipv4_udp
from holdfast.wire.message import BROADCAST, CLIENT_PORT, SERVER_PORT, Message, decode
from holdfast.wire.record import NamedTuple

#: Packets read in one wake-up.
BATCH = 64
#: More than a socket's queue holds.
MAX_QUEUED = 1024
ETH_P_ALL = 3


class Packet(NamedTuple):
    """A DHCP message on the interface ``ifindex``. ``outgoing``: this machine sent it."""

    ifindex: int
    outgoing: bool
    message: Message
    payload: bytes
    source: IPv4Address
    destination: IPv4Address


class Tap:
    """The socket. The constructor may raise OSError (EPERM: no CAP_NET_RAW)."""

    def __init__(self) -> None:
        # Python binds a packet socket to an interface only, so this one is bound from the start, and what came before
        # its filter is thrown away.
        protocol = socket.htons(ETH_P_ALL)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, protocol)
        try:
            attach(self._socket, DROP_ALL)
            self._discard()
            attach(self._socket, tap_filter())
            ask_auxdata(self._socket)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """For a selector."""
        return self._socket.fileno()

    def read(self) -> tuple[list[Packet], bool]:
        """The messages that are waiting, at most BATCH, and whether there may be more. Never blocks or raises."""
        found: list[Packet] = []
        for _ in range(BATCH):
            try:
                packet, ancillary, flags, address = self._socket.recvmsg(LONGEST, 128)
            except BlockingIOError:
                return found, False
            except OSError:  # ENETDOWN: an interface was set down
                continue
            try:
                ready = check_auxdata(ancillary, flags, address[2])
                outgoing = address[2] == PACKET_OUTGOING
                ifindex = socket.if_nametoindex(address[0])
                found.append(read_message(packet, ifindex, outgoing=outgoing, checksum_ready=ready and not outgoing))
            except (WireError, OSError):
                continue
        return found, True

    def _discard(self) -> None:
        for _ in range(MAX_QUEUED):
            try:
                self._socket.recv(1)
            except OSError:
                return

    def send(self, ifname: str, payload: bytes, source: IPv4Address) -> None:
        """Send ``payload`` by broadcast on ``ifname``, with IP and UDP headers of our own. OSError."""
        datagram = build_udp(source, BROADCAST, CLIENT_PORT, SERVER_PORT, payload)
        self._socket.sendto(datagram, (ifname, ETHERTYPE_IPV4, 0, 0, BROADCAST_MAC))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def read_message(packet: bytes, ifindex: int, *, outgoing: bool, checksum_ready: bool) -> Packet:
    """The message in an IPv4 packet. WireError when there is none."""
    datagram = parse_ipv4_udp(packet, checksum_ready=checksum_ready)
    return Packet(ifindex, outgoing, decode(datagram.payload), datagram.payload, datagram.source, datagram.destination)


def tap_filter() -> list[Instruction]:
    """For a SOCK_DGRAM socket on all protocols (offset 0 is the IP header): IPv4, UDP, whole, without a VLAN tag; to
    port 68 and coming in, or to port 67 and going out. linux/filter.h: SKF_AD_PROTOCOL, _PKTTYPE, _VLAN_TAG_PRESENT."""
    byte, half, word_at_x, x_is_header = 0x30, 0x28, 0x48, 0xB1
    equal, any_bit, give = 0x15, 0x45, 0x06
    extension = 0xFFFFF000
    return [
        (half, 0, 0, extension),
        (equal, 0, 14, ETHERTYPE_IPV4),
        (half, 0, 0, extension + 44),
        (equal, 0, 12, 0),
        (byte, 0, 0, 9),
        (equal, 0, 10, socket.IPPROTO_UDP),
        (half, 0, 0, 6),
        (any_bit, 8, 0, 0x3FFF),
        (x_is_header, 0, 0, 0),
        (half, 0, 0, extension + 4),
        (equal, 0, 2, PACKET_OUTGOING),
        (word_at_x, 0, 0, 2),
        (equal, 2, 3, SERVER_PORT),
        (word_at_x, 0, 0, 2),
        (equal, 0, 1, CLIENT_PORT),
        (give, 0, 0, 0xFFFF),
        (give, 0, 0, 0),
    ]
