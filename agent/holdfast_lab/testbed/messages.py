"""DHCP messages for the lab, read and built with scapy: an oracle that shares no code with ``wire``."""

from __future__ import annotations

import random
import warnings
from typing import Any, NamedTuple

from holdfast_lab.witness.wirelog import Seen

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # scapy's own, on some Python versions
    from scapy.layers.dhcp import BOOTP, DHCP, DHCPTypes
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether

ANY = "0.0.0.0"  # noqa: S104 - an address field, nothing is bound
BROADCAST = "255.255.255.255"
#: scapy's names of the options that a lease of the lab's server has.
OPTION_NAMES = {
    1: "subnet_mask",
    3: "router",
    28: "broadcast_address",
    51: "lease_time",
    53: "message-type",
    54: "server_id",
    58: "renewal_time",
    59: "rebinding_time",
}


class Request(NamedTuple):
    """A client's message: what was seen of it, and scapy's reading."""

    seen: Seen
    bootp: Any


def parse_request(frame: bytes, at: float, *, port: int = 67) -> Request | None:
    """The client's DHCP message in an Ethernet frame, or None when it is something else. Port 68: a server's."""
    if len(frame) < 282 or frame[12:14] != b"\x08\x00" or frame[23] != 17:
        return None
    at_port = 14 + (frame[14] & 15) * 4 + 2
    if frame[at_port : at_port + 2] != port.to_bytes(2, "big"):
        return None
    packet = Ether(frame)
    if not packet.haslayer(DHCP):
        return None
    ip, bootp = packet[IP], packet[BOOTP]
    options = _options(packet[DHCP].options)
    seen = Seen(
        at=at,
        direction="in" if port == 67 else "out",
        kind=DHCPTypes.get(options.get("message-type"), "?").upper(),
        source=ip.src,
        destination=ip.dst,
        broadcast=packet.dst == "ff:ff:ff:ff:ff:ff",
        mac=bootp.chaddr[: bootp.hlen].hex(":"),
        xid=bootp.xid,
        secs=bootp.secs,
        flags=int(bootp.flags),
        ciaddr=bootp.ciaddr,
        yiaddr=bootp.yiaddr,
        server_id=options.get("server_id"),
        requested=options.get("requested_addr"),
        lease_time=options.get("lease_time"),
        length=len(bytes(bootp)),
        options=options,
    )
    return Request(seen, bootp)


def _options(raw: list[Any]) -> dict[str, Any]:
    """Scapy's option list as a dictionary of JSON values; bytes become hexadecimal text."""
    found: dict[str, Any] = {}
    for option in raw:
        if isinstance(option, tuple) and len(option) >= 2:
            values = [value.hex() if isinstance(value, bytes) else value for value in option[1:]]
            found[str(option[0])] = values[0] if len(values) == 1 else values
    return found


def _headers(mac: bytes, request: Request, server: str, destination: str) -> Any:
    ether = BROADCAST if destination == BROADCAST else "client"
    target = "ff:ff:ff:ff:ff:ff" if ether == BROADCAST else request.seen.mac
    return (
        Ether(src=mac.hex(":"), dst=target)
        / IP(src=server, dst=destination, ttl=64)
        / UDP(sport=67, dport=68)
    )


def encode_reply(
    request: Request, mac: bytes, server: str, destination: str, *, address: str, options: list[Any]
) -> tuple[bytes, Seen]:
    """The frame of a reply, and what will have been seen of it."""
    asked = request.bootp
    kind = options[0][1] if options and options[0][0] == "message-type" else "?"
    bootp = BOOTP(
        op=2,
        htype=1,
        hlen=6,
        xid=asked.xid,
        flags=asked.flags,
        ciaddr=asked.ciaddr if kind == "ack" else ANY,
        yiaddr=address,
        siaddr=server if kind != "nak" else ANY,
        chaddr=asked.chaddr,
    )
    frame = bytes(_headers(mac, request, server, destination) / bootp / DHCP(options=[*options, "end"]))
    named = {str(option[0]): option[1] for option in options}
    sent = Seen(
        at=0.0,
        direction="out",
        kind=str(kind).upper(),
        source=server,
        destination=destination,
        broadcast=destination == BROADCAST,
        mac=request.seen.mac,
        xid=asked.xid,
        flags=int(asked.flags),
        ciaddr=bootp.ciaddr,
        yiaddr=address,
        server_id=named.get("server_id"),
        lease_time=named.get("lease_time"),
        length=len(frame) - 42,
    )
    return frame, sent


def malformed_reply(
    request: Request, mac: bytes, server: str, destination: str, rng: random.Random
) -> bytes:
    """A reply with the right addresses and xid whose inside is broken in one of many ways."""
    asked = request.bootp
    good = bytes(
        BOOTP(op=2, htype=1, hlen=6, xid=asked.xid, yiaddr=asked.ciaddr, chaddr=asked.chaddr)
        / DHCP(options=[("message-type", "ack"), ("server_id", server), ("lease_time", 3600), "end"])
    )
    ways = [
        lambda: good[: rng.randrange(1, 242)],  # cut short, before the message type
        lambda: good[:236] + bytes(4) + good[240:],  # no cookie
        lambda: good[:240] + b"\x35\xff\x05",  # a length beyond the end
        lambda: good[:240] + bytes(rng.randrange(256) for _ in range(200)),  # noise
        lambda: good[:240] + b"\x35\x00\x33\x01\x05\xff",  # options of impossible lengths
        lambda: good[:2] + b"\xff" + good[3:],  # hlen 255
        lambda: good[:240] + b"\x35\x02\x05\x05\xff",  # a message type of two octets
        lambda: good[:240] + b"\x34\x01\x03" * 300,  # overload again and again
    ]
    return bytes(_headers(mac, request, server, destination) / rng.choice(ways)())
