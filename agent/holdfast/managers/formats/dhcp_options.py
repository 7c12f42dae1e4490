"""What several adapters need: a client's texts as raw DHCP options, and what becomes of IPv6.

Clients keep a lease as text; the agent wants options as the server sent them. Every function gives None for a text
that is missing or is not what it should be: an option more or less is no reason to leave a lease alone.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface
from math import inf

from holdfast.takeover.host import Host
from holdfast.takeover.model import Command, TakeoverError

#: RFC 2131 section 3.3: a lease without an end.
FOREVER = 0xFFFFFFFF
#: Seconds per unit of systemd.time(7), as networkd writes times since version 253 ("1h 30min").
_UNITS = {
    "us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "day": 86400.0,
    "days": 86400.0, "w": 604800.0, "month": 2629800.0, "y": 31557600.0,
}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)([a-z]*)")


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


def is_on(value: str | None) -> bool:
    """systemd.syntax(7): booleans."""
    return (value or "").lower() in ("1", "yes", "y", "true", "t", "on")


def is_off(value: str | None) -> bool:
    return (value or "").lower() in ("0", "no", "n", "false", "f", "off")


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


def lifetime(host: Host, ifname: str, interface: IPv4Interface) -> float:
    """Seconds that the kernel still gives the address, inf for no end. TakeoverError when it is not there."""
    held = host.observe(ifname).find(interface)
    if held is None:
        raise TakeoverError(f"{ifname}: the lease is for {interface}, which is not on it; try again")
    return held.valid


def machine_name(host: Host) -> str | None:
    """The name that clients send as option 12 by default, None when the machine has none of its own."""
    name = host.nodename().partition(".")[0]
    return None if name in ("", "localhost", "(none)") else name


def refuse_dhcpv6(host: Host, ifname: str, client: str) -> None:
    """TakeoverError when the interface has an IPv6 address that only ``client`` can keep: one from DHCPv6."""
    done = host.run(["ip", "-6", "-o", "addr", "show", "dev", ifname, "scope", "global", "dynamic"])
    if done.ok and "/128 " in done.stdout:
        raise TakeoverError(
            f"{ifname}: {client} also holds an IPv6 address from DHCPv6; leave this one to it"
        )


def kernel_router_advertisements(host: Host, ifname: str) -> list[Command]:
    """Let the kernel do what a manager that listened to router advertisements itself has switched off, so that IPv6
    lives on; at the next boot that is the kernel's default. TakeoverError where it would not be the same."""
    settings = f"/proc/sys/net/ipv6/conf/{ifname}"
    if host.text(f"{settings}/accept_ra").strip() != "0":
        return []
    done = host.run(["ip", "-6", "route", "show", "dev", ifname, "proto", "ra"])
    if not (done.ok and done.stdout.strip() and host.which("sysctl")):
        return []
    if host.text(f"{settings}/forwarding").strip() == "1":
        raise TakeoverError(
            f"{ifname}: its manager has IPv6 routes from router advertisements, to which the kernel would not listen "
            "because this machine forwards IPv6; leave this one to it"
        )
    _refuse_private_address(host, ifname)
    key = f"net/ipv6/conf/{ifname}/accept_ra"
    return [Command(("sysctl", "-q", "-w", f"{key}=1"), ("sysctl", "-q", "-w", f"{key}=0"))]


def _refuse_private_address(host: Host, ifname: str) -> None:
    """TakeoverError when an advertised prefix has an address that the kernel would not make: of a secret (RFC 7217) or
    a token, not of the hardware address (RFC 4291, appendix A)."""
    mac = host.mac(ifname)
    made = int.from_bytes(bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:], "big")
    done = host.run(["ip", "-6", "-o", "addr", "show", "dev", ifname, "scope", "global", "dynamic"])
    for line in done.stdout.splitlines():
        words = line.split()
        if "temporary" in words or len(words) < 4:
            continue
        try:
            held = IPv6Interface(words[3])
        except ValueError:
            continue
        if int(held) & (1 << 64) - 1 != made:
            raise TakeoverError(
                f"{ifname}: the kernel would make another IPv6 address than {held}, so that one would be gone when its "
                "lifetime ends; first let its manager make it of the hardware address (NetworkManager: "
                "ipv6.addr-gen-mode eui64; networkd: no Token= in [IPv6AcceptRA]), or leave this one to it"
            )
