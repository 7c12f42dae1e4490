"""Ancillary data of packets, and a socket's error queue: packet(7), ip(7)."""

from __future__ import annotations

import _socket as socket  # `socket` itself makes enums of its constants: 5 ms before the first DISCOVER
import os
import struct

from holdfast.core.events import Received
from holdfast.wire import WireError
from holdfast.wire.address import IPv4Address
from holdfast.wire.frame import parse_ipv4_udp
from holdfast.wire.message import decode

#: Longest packet read; a message of wire's maximum (2048) and its headers fit.
LONGEST = 4096

SOL_PACKET = 263
PACKET_AUXDATA = 8
#: sll_pkttype of packet(7).
PACKET_OTHERHOST, PACKET_OUTGOING = 3, 4
_AUXDATA = struct.Struct("=IIIHHHH")  # struct tpacket_auxdata: status len snaplen mac net vlan_tci vlan_tpid
_CSUM_NOT_READY = 1 << 3  # TP_STATUS_CSUMNOTREADY
_VLAN_VALID = 1 << 4  # TP_STATUS_VLAN_VALID
_VLAN_ID = 0x0FFF

_EXTENDED_ERROR = struct.Struct("=I4B2I")  # struct sock_extended_err
_ORIGIN_ICMP = 2  # SO_EE_ORIGIN_ICMP


def ask_auxdata(sock: socket.socket) -> None:
    """Enable PACKET_AUXDATA on a packet socket. Raises OSError."""
    sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)


def read_packet(packet: bytes, ancillary: list[tuple[int, int, bytes]], flags: int, kind: int) -> Received:
    """What recvmsg(2) gave of a packet socket -> the message. ``kind`` is its address's sll_pkttype (packet(7)).
    WireError when it is none for us."""
    datagram = parse_ipv4_udp(packet, checksum_ready=check_auxdata(ancillary, flags, kind))
    return Received(decode(datagram.payload), datagram.source, datagram.destination)


def check_auxdata(ancillary: list[tuple[int, int, bytes]], flags: int, kind: int) -> bool:
    """Reads a packet's ancillary data; returns False when its checksum is yet to be filled in by hardware. WireError
    for a packet that was cut, and for one that is tagged for a VLAN: a socket of eth0 gets those of eth0.5, too. A
    socket for all protocols gets the tag; one for a single protocol gets the packet without it, as one for another host
    (Linux, net/core/dev.c: __netif_receive_skb_core)."""
    if flags & socket.MSG_TRUNC:
        raise WireError(f"longer than {LONGEST} bytes", "length")
    if kind == PACKET_OTHERHOST:
        raise WireError("for another host, or tagged for a VLAN that is not there", "vlan")
    checksum_ready = True
    for level, number, data in ancillary:
        if (level, number) == (SOL_PACKET, PACKET_AUXDATA) and len(data) >= _AUXDATA.size:
            status, _, _, _, _, vlan, _ = _AUXDATA.unpack_from(data)
            checksum_ready = not status & _CSUM_NOT_READY
            if status & _VLAN_VALID and vlan & _VLAN_ID:
                raise WireError("tagged for a VLAN: it is for another interface", "vlan")
    return checksum_ready


def describe_error(data: bytes) -> str:
    """``Connection refused (ICMP from 192.0.2.1)`` from struct sock_extended_err and the offender behind it."""
    if len(data) < _EXTENDED_ERROR.size:
        return "an unreadable error"
    number, origin, *_ = _EXTENDED_ERROR.unpack_from(data)
    text = os.strerror(number)
    offender = data[_EXTENDED_ERROR.size:_EXTENDED_ERROR.size + 16]  # struct sockaddr_in
    if origin == _ORIGIN_ICMP and len(offender) >= 8 and offender[:2] == struct.pack("=H", socket.AF_INET):
        text += f" (ICMP from {IPv4Address(offender[4:8])})"
    return text
