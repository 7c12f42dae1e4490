"""IPv4 and UDP around a DHCP message (RFC 791, RFC 768), and the kernel filter in front of them.

A client without an address cannot use the kernel's UDP: it sends and receives on AF_PACKET, and checks
what the kernel would have checked.
"""

from __future__ import annotations

from struct import Struct

from holdfast.wire import WireError
from holdfast.wire.address import IPv4Address
from holdfast.wire.record import TYPE_CHECKING, NamedTuple, record

ETHERTYPE_IPV4 = 0x0800
ETHERTYPE_ARP = 0x0806
BROADCAST_MAC = b"\xff" * 6

_UDP_PROTOCOL = 17
_DONT_FRAGMENT = 0x4000
_MORE_FRAGMENTS_OR_OFFSET = 0x3FFF
_TTL = 64

#: version+ihl tos length id flags+offset ttl protocol checksum source destination
_IP = Struct("!2B3H2BH2I")
#: sport dport length checksum
_UDP = Struct("!4H")
_IP_AND_UDP_SIZE = _IP.size + _UDP.size


@record
class Datagram(NamedTuple):
    """A UDP datagram and the addresses it came with."""

    source: IPv4Address
    destination: IPv4Address
    sport: int
    dport: int
    payload: bytes


def _remainder(data: bytes) -> int:
    """The Internet checksum's sum (RFC 1071) of ``data``, up to a multiple of 0xffff.

    65536 is 1 modulo 65535, so the ones' complement sum of 16-bit words is the whole number's remainder:
    one long division in C instead of a loop over words in Python.
    """
    value = int.from_bytes(data, "big")
    return (value << 8 if len(data) & 1 else value) % 0xFFFF


def build_udp(
    source: IPv4Address, destination: IPv4Address, sport: int, dport: int, payload: bytes
) -> bytes:
    """An IPv4 packet with both checksums. It is never fragmented (DF), so its id may be 0 (RFC 6864)."""
    udp_length = _UDP.size + len(payload)
    if _IP.size + udp_length > 0xFFFF or not (0 <= sport <= 0xFFFF and 0 <= dport <= 0xFFFF):
        raise WireError("a port or the payload's size is out of range", "value")
    addresses = int(source), int(destination)
    partial = _UDP.pack(sport, dport, udp_length, 0) + payload
    udp_sum = _remainder(partial) + sum(addresses) + _UDP_PROTOCOL + udp_length
    udp_checksum = -udp_sum % 0xFFFF or 0xFFFF  # 0 would say "no checksum"
    fields = (0x45, 0, _IP.size + udp_length, 0, _DONT_FRAGMENT, _TTL, _UDP_PROTOCOL)
    ip_checksum = -_remainder(_IP.pack(*fields, 0, *addresses)) % 0xFFFF
    udp_header = _UDP.pack(sport, dport, udp_length, udp_checksum)
    return _IP.pack(*fields, ip_checksum, *addresses) + udp_header + payload


def ethernet(destination: bytes, source: bytes, ethertype: int, payload: bytes) -> bytes:
    """An Ethernet frame; the device pads it to its minimum."""
    if len(destination) != 6 or len(source) != 6 or not 0 <= ethertype <= 0xFFFF:
        raise WireError("an Ethernet header field is out of range", "value")
    return destination + source + ethertype.to_bytes(2, "big") + payload


def parse_ipv4_udp(packet: bytes, *, checksum_ready: bool = True) -> Datagram:
    """Read an IPv4 packet with a UDP datagram in it. WireError when it is anything else, or damaged.

    ``packet`` may be longer than the IP header says (Ethernet padding), and IP's length longer than
    UDP's; never the other way round. A UDP checksum of 0 means none. ``checksum_ready`` False (the kernel's
    TP_STATUS_CSUMNOTREADY, packet(7)): the sender is on this host and left the checksum to a device
    that the packet never passed, so the field holds only a part of it and is not looked at.
    """
    if len(packet) < _IP_AND_UDP_SIZE:
        raise WireError(f"length {len(packet)} is too short for IPv4 and UDP headers", "length")
    version, _, total, _, fragment, _, protocol, _, source, destination = _IP.unpack_from(packet)
    header = (version & 0x0F) * 4
    if version >> 4 != 4 or protocol != _UDP_PROTOCOL:
        raise WireError("not IPv4 and UDP", "protocol")
    if header < _IP.size or not header + _UDP.size <= total <= len(packet):
        raise WireError("the IP header's lengths contradict the packet's", "length")
    if fragment & _MORE_FRAGMENTS_OR_OFFSET:
        raise WireError("a fragment", "fragment")
    if _remainder(packet[:header]):
        raise WireError("wrong IP header checksum", "checksum")
    sport, dport, udp_length, checksum = _UDP.unpack_from(packet, header)
    end = header + udp_length
    if udp_length < _UDP.size or end > total:
        raise WireError("the UDP length contradicts the packet's", "length")
    if checksum and checksum_ready and (
        _remainder(packet[header:end]) + source + destination + _UDP_PROTOCOL + udp_length
    ) % 0xFFFF:
        raise WireError("wrong UDP checksum", "checksum")
    payload = packet[header + _UDP.size:end]
    return Datagram(IPv4Address(source), IPv4Address(destination), sport, dport, payload)


# Classic BPF (linux/filter.h, linux/bpf_common.h): class | size | mode
_LOAD_BYTE = 0x30  # BPF_LD | BPF_B | BPF_ABS
_LOAD_HALF = 0x28  # BPF_LD | BPF_H | BPF_ABS
_LOAD_WORD_AT_X = 0x40  # BPF_LD | BPF_W | BPF_IND
_LOAD_HALF_AT_X = 0x48  # BPF_LD | BPF_H | BPF_IND
_LOAD_BYTE_AT_X = 0x50  # BPF_LD | BPF_B | BPF_IND
_X_IS_IP_HEADER_SIZE = 0xB1  # BPF_LDX | BPF_B | BPF_MSH
_AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
_JUMP_IF_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_IF_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K

#: Where the message begins, behind the IP header and the UDP header.
_BOOTP = 8

Instruction = tuple[int, int, int, int]
if TYPE_CHECKING:
    _Step = tuple[int, int, bool | None]


def udp_filter(dport: int) -> list[Instruction]:
    """A program for SO_ATTACH_FILTER on an AF_PACKET SOCK_DGRAM socket, where offset 0 is the IP header:
    IPv4, UDP, not a fragment, destination port ``dport``. As (code, jump if true, jump if false, k).

    The IP destination is not looked at: some virtual networks (neutron's OVS "dhcp" extension) copy it from
    our request, so that their answer to a unicast REQUEST bears the server's own address.
    """
    return _program(_udp_to(dport), ())


def reply_filter(dport: int, mac: bytes, xids: tuple[int, ...]) -> list[Instruction]:
    """As ``udp_filter``, and of those only replies (op 2 and the magic cookie) to ``mac`` and to one of ``xids``, at
    least one and at most 128."""
    return _program((
        *_udp_to(dport),  # X is the size of the IP header
        (_LOAD_BYTE_AT_X, _BOOTP, None), (_JUMP_IF_EQUAL, 2, True),
        (_LOAD_WORD_AT_X, _BOOTP + 236, None), (_JUMP_IF_EQUAL, 0x63825363, True),
        (_LOAD_WORD_AT_X, _BOOTP + 28, None), (_JUMP_IF_EQUAL, int.from_bytes(mac[:4], "big"), True),
        (_LOAD_HALF_AT_X, _BOOTP + 32, None), (_JUMP_IF_EQUAL, int.from_bytes(mac[4:6], "big"), True),
        (_LOAD_WORD_AT_X, _BOOTP + 4, None),
    ), xids)


def _udp_to(dport: int) -> tuple[_Step, ...]:
    return (
        (_LOAD_BYTE, 0, None), (_AND, 0xF0, None), (_JUMP_IF_EQUAL, 0x40, True),
        (_LOAD_BYTE, 9, None), (_JUMP_IF_EQUAL, _UDP_PROTOCOL, True),
        (_LOAD_HALF, 6, None), (_JUMP_IF_ANY_BIT, _MORE_FRAGMENTS_OR_OFFSET, False),
        (_X_IS_IP_HEADER_SIZE, 0, None), (_LOAD_HALF_AT_X, 2, None), (_JUMP_IF_EQUAL, dport, True),
    )


def _program(steps: tuple[_Step, ...], one_of: tuple[int, ...]) -> list[Instruction]:
    """``steps`` one after the other, then a comparison with each of ``one_of``, if there is any. A step is (code, k,
    what its condition must be, None for one that is no jump); a packet for which it is not so is refused."""
    accept = len(steps) + len(one_of)
    refuse = accept + 1
    program: list[Instruction] = []
    for at, (code, k, wanted) in enumerate(steps):
        away = refuse - at - 1
        program.append((code, away if wanted is False else 0, away if wanted is True else 0, k))
    for at, value in enumerate(one_of, len(steps)):
        program.append((_JUMP_IF_EQUAL, accept - at - 1, refuse - at - 1 if at == accept - 1 else 0, value))
    return [*program, (_RETURN, 0, 0, 0xFFFF), (_RETURN, 0, 0, 0)]  # the whole packet, or nothing


def pack_filter(program: list[Instruction]) -> bytes:
    """``program`` as an array of struct sock_filter, in this machine's byte order."""
    instruction = Struct("=HBBI")
    return b"".join(instruction.pack(*line) for line in program)
