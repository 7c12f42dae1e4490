"""ARP for IPv4 over Ethernet (RFC 826), and the forms that RFC 5227 gives a meaning to.

Packets start at the ARP header, as AF_PACKET SOCK_DGRAM has them.
"""

from __future__ import annotations

from struct import Struct

from holdfast.wire import WireError
from holdfast.wire.address import IPv4Address
from holdfast.wire.record import NamedTuple, record

REQUEST = 1
REPLY = 2

_ANY = IPv4Address(0)
_NOBODY = b"\0" * 6
#: htype ptype hlen plen op, and the only values of the first four that are Ethernet and IPv4
_PREFIX = Struct("!2H2BH")
_ETHERNET_AND_IPV4 = (1, 0x0800, 6, 4)
_SIZE = 28


@record
class ArpPacket(NamedTuple):
    """``sha``/``spa``: the sender's hardware and IP address; ``tha``/``tpa``: the target's."""

    op: int
    sha: bytes
    spa: IPv4Address
    tha: bytes
    tpa: IPv4Address


def build_probe(mac: bytes, address: IPv4Address) -> bytes:
    """Ask whether anybody uses ``address``, without claiming it (RFC 5227 section 2.1.1)."""
    return _build(REQUEST, mac, _ANY, _NOBODY, address)


def build_announcement(mac: bytes, address: IPv4Address) -> bytes:
    """Claim ``address`` (RFC 5227 section 2.3)."""
    return _build(REQUEST, mac, address, _NOBODY, address)


def build_request(mac: bytes, source: IPv4Address, target: IPv4Address) -> bytes:
    """Ask for the hardware address of ``target``, on behalf of ``source``."""
    return _build(REQUEST, mac, source, _NOBODY, target)


def build_reply(mac: bytes, source: IPv4Address, target_mac: bytes, target: IPv4Address) -> bytes:
    """Tell ``target`` that ``source`` is at ``mac``."""
    return _build(REPLY, mac, source, target_mac, target)


def _build(op: int, sha: bytes, spa: IPv4Address, tha: bytes, tpa: IPv4Address) -> bytes:
    if len(sha) != 6 or len(tha) != 6:
        raise WireError("a hardware address is not six bytes", "value")
    return _PREFIX.pack(*_ETHERNET_AND_IPV4, op) + sha + spa.packed + tha + tpa.packed


def parse(packet: bytes) -> ArpPacket:
    """Read a request or a reply; bytes after it are Ethernet padding. WireError when it is anything else."""
    if len(packet) < _SIZE:
        raise WireError(f"length {len(packet)} is too short for an ARP packet", "length")
    *kind, op = _PREFIX.unpack_from(packet)
    if tuple(kind) != _ETHERNET_AND_IPV4 or op not in (REQUEST, REPLY):
        raise WireError("not an ARP request or reply for IPv4 over Ethernet", "protocol")
    return ArpPacket(
        op, packet[8:14], IPv4Address(packet[14:18]), packet[18:24], IPv4Address(packet[24:28])
    )
