"""What the kernel says beside a packet and in a socket's error queue: packet(7), ip(7)."""

from __future__ import annotations

import os
import socket
import struct
from ipaddress import IPv4Address

from holdfast.core.events import Received
from holdfast.wire import WireError
from holdfast.wire.frame import parse_ipv4_udp
from holdfast.wire.message import decode

#: Longest packet read; a message of wire's maximum (2048) and its headers fit.
LONGEST = 4096

SOL_PACKET = 263
PACKET_AUXDATA = 8
_AUXDATA = struct.Struct("=IIIHHHH")  # struct tpacket_auxdata: status len snaplen mac net vlan_tci vlan_tpid
_CSUM_NOT_READY = 1 << 3  # TP_STATUS_CSUMNOTREADY
_VLAN_VALID = 1 << 4  # TP_STATUS_VLAN_VALID
_VLAN_ID = 0x0FFF

_EXTENDED_ERROR = struct.Struct("=I4B2I")  # struct sock_extended_err
_ORIGIN_ICMP = 2  # SO_EE_ORIGIN_ICMP


def read_packet(packet: bytes, ancillary: list[tuple[int, int, bytes]], flags: int) -> Received:
    """A received packet and its PACKET_AUXDATA -> the message. WireError when it is none for us."""
    if flags & socket.MSG_TRUNC:
        raise WireError(f"longer than {LONGEST} bytes", "length")
    checksum_ready = True
    for level, kind, data in ancillary:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA) and len(data) >= _AUXDATA.size:
            status, _, _, _, _, vlan, _ = _AUXDATA.unpack_from(data)
            checksum_ready = not status & _CSUM_NOT_READY
            if status & _VLAN_VALID and vlan & _VLAN_ID:
                raise WireError("tagged for a VLAN: it is for another interface", "vlan")
    datagram = parse_ipv4_udp(packet, checksum_ready=checksum_ready)
    return Received(decode(datagram.payload), datagram.source, datagram.destination)


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
