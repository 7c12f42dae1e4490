"""A few seconds of a link, only listened to: VLAN tags, and DHCP clients of this machine that are not ours."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from ipaddress import IPv4Address

from holdfast.doctor.finding import BAD, Finding
from holdfast.observe.words import counted
from holdfast.sockets.reader import LONGEST, PACKET_OUTGOING, ask_auxdata
from holdfast.wire import WireError
from holdfast.wire.arp import ArpPacket
from holdfast.wire.arp import parse as parse_arp
from holdfast.wire.frame import ETHERTYPE_ARP, parse_ipv4_udp
from holdfast.wire.message import BOOTREPLY, BOOTREQUEST, MESSAGE_NAMES, Message, decode

_ETH_P_ALL, _ETH_P_IP = 3, 0x0800
_SOL_PACKET, _PACKET_AUXDATA = 263, 8
#: struct tpacket_auxdata: status len snaplen mac net vlan_tci vlan_tpid; TP_STATUS_VLAN_VALID
_AUXDATA, _VLAN_VALID = struct.Struct("=IIIHHHH"), 1 << 4
#: Frames that are read in one capture: a busy link brings as many in a second.
FRAME_LIMIT = 20000


class Capture:
    """``untagged`` frames of others, ``tagged`` ones by VLAN, ``requests`` that this machine sent to DHCP servers,
    ``replies`` of servers to whomever with their IP source, ARP packets of others, and the lengths of ICMP echo
    replies."""

    def __init__(self) -> None:
        self.untagged = 0
        self.tagged: dict[int, int] = {}
        self.requests: list[Message] = []
        self.replies: list[tuple[Message, IPv4Address]] = []
        self.arp: list[ArpPacket] = []
        self.echoes: list[int] = []


def capture(
    ifname: str, seconds: float, sends: Iterable[Callable[[], None]] = (),
    enough: Callable[[Capture], bool] = lambda _: False,
) -> Capture:
    """Listen on ``ifname`` for ``seconds``, or until it is ``enough``; ``sends`` are called when it has begun. Raises
    OSError, and what those raise."""
    seen = Capture()
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as tap:
        ask_auxdata(tap)
        tap.bind((ifname, _ETH_P_ALL))
        for send in sends:
            send()
        until = time.monotonic() + seconds
        for _ in range(FRAME_LIMIT):
            left = until - time.monotonic()
            if left <= 0:
                break
            tap.settimeout(left)
            try:
                packet, ancillary, _, address = tap.recvmsg(LONGEST, 128)
            except TimeoutError:
                break
            except OSError:
                continue  # the link went down for a moment
            vlan = _vlan(list(ancillary))
            if address[2] == PACKET_OUTGOING:
                _on_outgoing(seen, packet, address[1])
            elif vlan:
                seen.tagged[vlan] = seen.tagged.get(vlan, 0) + 1
            else:
                seen.untagged += 1
                _on_incoming(seen, packet, address[1])
            if enough(seen):
                break
    return seen


def _on_outgoing(seen: Capture, packet: bytes, protocol: int) -> None:
    message = _message(packet) if protocol == _ETH_P_IP else None
    if message is not None and message[0].op == BOOTREQUEST:
        seen.requests.append(message[0])


def _on_incoming(seen: Capture, packet: bytes, protocol: int) -> None:
    if protocol == ETHERTYPE_ARP:
        with suppress(WireError):
            seen.arp.append(parse_arp(packet))
    elif protocol == _ETH_P_IP and len(packet) > 28 and packet[9] == socket.IPPROTO_ICMP:
        header = 4 * (packet[0] & 0x0F)
        if packet[header:header + 1] == b"\0":  # echo reply
            seen.echoes.append(int.from_bytes(packet[2:4], "big"))
    elif protocol == _ETH_P_IP:
        message = _message(packet)
        if message is not None and message[0].op == BOOTREPLY:
            seen.replies.append(message)


def _message(packet: bytes) -> tuple[Message, IPv4Address] | None:
    """The BOOTP message in an IP packet, with its source; None when there is none."""
    try:
        datagram = parse_ipv4_udp(packet, checksum_ready=False)
        return decode(datagram.payload), datagram.source
    except WireError:
        return None


def _vlan(ancillary: list[tuple[int, int, bytes]]) -> int:
    """The VLAN of a frame, 0 for none."""
    for level, number, data in ancillary:
        if (level, number) == (_SOL_PACKET, _PACKET_AUXDATA) and len(data) >= _AUXDATA.size:
            status, _, _, _, _, tci, _ = _AUXDATA.unpack_from(data)
            return int(tci) & 0x0FFF if status & _VLAN_VALID else 0
    return 0


def check_vlan(ifname: str, seen: Capture) -> Iterator[Finding]:
    """A trunk port where an access port is expected: everything that arrives is tagged."""
    if seen.tagged and not seen.untagged:
        vlans = ", ".join(map(str, sorted(seen.tagged)))
        yield Finding("vlan", BAD, f"only frames with a VLAN tag arrive, of VLAN {vlans}: the port is a trunk",
                      f"make the switch's port an access port, or serve a VLAN link such as {ifname}."
                      f"{min(seen.tagged)}",
                      (f"{counted(sum(seen.tagged.values()), 'tagged frame')}, no untagged one",), ifname)


def check_requests(ifname: str, seen: Capture, ours: int) -> Iterator[Finding]:
    """DHCP messages that this machine sent and Holdfast did not; ``ours`` is how many are Holdfast's."""
    number = len(seen.requests) - ours
    if number > 0:
        kinds = ", ".join(sorted({MESSAGE_NAMES.get(message.message_type or 0, "BOOTP") for message in seen.requests}))
        yield Finding("second-client", BAD, "another DHCP client of this machine sends on the link",
                      "stop it, and make sure that nothing starts it again",
                      (f"{counted(number, 'message')} that are not Holdfast's, among {kinds}",), ifname)
