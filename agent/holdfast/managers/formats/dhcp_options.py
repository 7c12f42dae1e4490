"""A client's texts as raw DHCP options.

Clients keep a lease as text; the agent wants options as the server sent them. Every function gives None for a text
that is missing or is not what it should be: an option more or less is no reason to leave a lease alone.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network
from math import inf

#: RFC 2131 section 3.3: a lease without an end.
FOREVER = 0xFFFFFFFF
#: Seconds per unit of systemd.time(7), as networkd writes times since version 253 ("1h 30min").
_UNITS = {
    "us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "day": 86400.0,
    "days": 86400.0, "w": 604800.0, "month": 2629800.0, "y": 31557600.0,
}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)([a-z]*)")


def network(text: str) -> str | None:
    """An address, or a network with the length of its prefix, as text without the bits behind the prefix."""
    bare, slash, length = text.partition("/")
    try:
        if slash and not (length.isascii() and length.isdecimal()):
            raise ValueError
        return str(IPv4Network(text, strict=False)) if slash else str(IPv4Address(bare))
    except ValueError:
        return None


def address(text: str | None) -> IPv4Address | None:
    """One address."""
    try:
        return IPv4Address((text or "").strip())
    except ValueError:
        return None


def addresses(text: str | None) -> bytes | None:
    """Addresses between blanks or commas, packed."""
    found = [address(word) for word in re.split(r"[\s,]+", text or "") if word]
    return b"".join(each.packed for each in found if each is not None) if found and None not in found else None


def text(value: str | None) -> bytes | None:
    """A name or a path."""
    return value.encode("utf-8", "surrogateescape")[:255] if value else None


def number(value: str | None, width: int) -> bytes | None:
    """An unsigned number of ``width`` bytes."""
    if value is None or not (value.isascii() and value.isdigit()) or int(value) >= 1 << (8 * width):
        return None
    return int(value).to_bytes(width, "big")


def seconds(value: str | None, missing: float = inf) -> float:
    """A duration: plain seconds, or systemd's "1h 30min"; inf for the longest. ``missing`` when there is none."""
    words = (value or "").split()
    if not words:
        return missing
    if words == ["infinity"]:
        return inf
    total = 0.0
    for word in words:
        match = _SPAN.fullmatch(word)
        if match is None or (match.group(2) or "s") not in _UNITS:
            return missing
        total += float(match.group(1)) * _UNITS[match.group(2) or "s"]
    return inf if total >= FOREVER else total


def duration(value: str | None) -> bytes | None:
    """A duration as options 51, 58 and 59 have it."""
    if not value:
        return None
    length = seconds(value, -1.0)
    return None if length < 0 else (FOREVER if length == inf else int(length)).to_bytes(4, "big")


def hexadecimal(value: str | None) -> bytes | None:
    """Hexadecimal digits, also with colons between the octets; at most 255 octets."""
    try:
        found = bytes.fromhex((value or "").replace(":", " "))
    except ValueError:
        return None
    return found[:255] or None


def domains(value: str | None) -> bytes | None:
    """Names between blanks, in RFC 3397's form without compression."""
    packed = b""
    for name in (value or "").split():
        labels = [label.encode("ascii", "replace") for label in name.rstrip(".").split(".")]
        if not all(0 < len(label) < 64 for label in labels):
            return None
        packed += b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return packed or None


def classless_routes(value: str | None) -> bytes | None:
    """"10.0.0.0/8,10.1.1.1 ..." or "10.0.0.0/8 10.1.1.1 ..." in RFC 3442's form."""
    words = re.split(r"[\s,]+", (value or "").strip())
    packed = b""
    try:
        for destination, gateway in zip(words[::2], words[1::2], strict=False):
            network = IPv4Network(destination, strict=False)
            significant = (network.prefixlen + 7) // 8
            packed += bytes([network.prefixlen]) + network.network_address.packed[:significant]
            packed += IPv4Address(gateway).packed
    except ValueError:
        return None
    return packed or None


def typed(value: str) -> tuple[int, bytes] | None:
    """The number and bytes of ``NUMBER:TYPE:DATA`` as SendOption= of systemd.network(5) has it; several colons count as
    one."""
    code, _, rest = value.partition(":")
    kind, _, data = rest.lstrip(":").partition(":")
    data = data.lstrip(":")
    if kind == "string":
        octets = unescaped(data)
    elif kind == "ipv4address":
        octets = addresses(data) if address(data) is not None else None
    else:
        octets = number(_decimal(data), {"uint8": 1, "uint16": 2, "uint32": 4}.get(kind, 0))
    which = number(_decimal(code), 1)
    return (which[0], octets) if octets and which is not None and 0 < which[0] < 255 else None


def _decimal(value: str) -> str | None:
    """A decimal or hexadecimal number in decimal digits. One with a leading zero would be octal to systemd."""
    if re.fullmatch(r"0|[1-9][0-9]*", value):
        return value
    return str(int(value, 16)) if re.fullmatch(r"0[xX][0-9a-fA-F]+", value) else None


#: Escapes of C that systemd reads, \s for a blank among them (systemd.syntax(7)).
_ESCAPE = re.compile(r"\\(?:([abfnrtvs\\\"'])|x([0-9a-fA-F]{2})|([0-3][0-7]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|)")
_CONTROL = dict(zip("abfnrtvs", b"\a\b\f\n\r\t\v ", strict=True))


def unescaped(value: str) -> bytes | None:
    """A text with C's escapes as bytes; None for an escape that is none."""
    octets, last = b"", 0
    for match in _ESCAPE.finditer(value):
        octets += value[last:match.start()].encode("utf-8", "surrogateescape")
        last = match.end()
        plain, digits, octal, *wide = match.groups()
        if plain:
            octets += bytes((_CONTROL.get(plain, ord(plain)),))
        elif digits or octal:
            octets += bytes((int(digits, 16) if digits else int(octal, 8),))
        else:
            point = next((int(each, 16) for each in wide if each), -1)
            if not 0 <= point < 0x110000 or 0xD800 <= point < 0xE000:
                return None
            octets += chr(point).encode()
    return octets + value[last:].encode("utf-8", "surrogateescape")
