"""dhclient's lease file: text -> lease, and back (dhclient.leases(5), dhcp-options(5), dhcp-eval(5)).

The file is a log: dhclient appends a block at each ACK and rewrites it now and then, and the last block for an
interface counts. It is hostile when read: a block cut short, or with a value that is none, is passed over.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address
from math import inf
from types import MappingProxyType

from holdfast.managers.formats import dhclient_text
from holdfast.managers.formats.errors import FormatError
from holdfast.wire.record import NamedTuple

NEVER = "never"
#: Mask, lease time, server: a block is none without them when it has them spoiled. Other options are left out then.
NEEDED = (1, 51, 54)
#: Unix seconds; the last instant of the year 9999.
LAST = 253_402_300_799
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
#: Characters of an option's value: 255 octets as escapes, and some that were joined.
_VALUE_LIMIT = 1 << 14


class Block(NamedTuple):
    """One ``lease { }``. Instants are Unix seconds, inf for never. ``options`` are raw, by number."""

    interface: str
    address: IPv4Address
    options: Mapping[int, bytes]
    renew: float
    rebind: float
    expire: float


def last_lease(text: str, ifname: str, declared: Mapping[str, int]) -> Block | None:
    """The last readable block for ``ifname``; ``declared`` are the configuration's own option names."""
    found = None
    for body in dhclient_text.bodies(text, "lease"):
        try:
            block = _block(body, declared)
        except (ValueError, OverflowError):
            continue
        if block.interface == ifname:
            found = block
    return found


def default_duid(text: str) -> bytes | None:
    """The DUID that dhclient wrote at the top of the file, None when there is none."""
    for words in dhclient_text.statements(text):
        if words.startswith("default-duid"):
            return octets(words.partition(" ")[2].strip())
    return None


def _block(body: list[str], declared: Mapping[str, int]) -> Block:
    """ValueError when something that must be there is not, or is not what it should be."""
    values: dict[str, str] = {}
    options: dict[int, bytes] = {}
    for words in body:
        name, _, value = words.partition(" ")
        if name == "option":
            name, _, value = value.strip().partition(" ")
            number = code(name, declared)
            if number is not None:
                try:
                    options[number] = _value(name, number, value.strip())
                except (ValueError, OverflowError):
                    if number in NEEDED:
                        raise
        else:
            values[name] = value.strip()
    for name in ("interface", "fixed-address", "expire"):
        if name not in values:
            raise ValueError(f"no {name}")
    expire = _instant(values["expire"])
    interface = octets(values["interface"])
    if interface is None:
        raise ValueError("no interface")
    return Block(
        interface.decode("utf-8", "replace"), IPv4Address(values["fixed-address"]), options,
        _instant(values.get("renew", values["expire"])), _instant(values.get("rebind", values["expire"])), expire,
    )


def _instant(text: str) -> float:
    """``W YYYY/MM/DD HH:MM:SS`` in UTC, ``epoch N``, or ``never``."""
    if text == NEVER:
        return inf
    words = text.split()
    if words[:1] == ["epoch"]:
        if 0 <= int(words[1]) <= LAST:
            return float(int(words[1]))
        raise ValueError(text)
    year, month, day = (int(part) for part in words[1].split("/"))
    hour, minute, second = (int(part) for part in words[2].split(":"))
    if not (1970 <= year <= 9999 and 1 <= month <= 12 and 1 <= day <= 31):
        raise ValueError(text)
    import calendar  # noqa: PLC0415 - nobody else here needs it

    return float(calendar.timegm((year, month, day, hour, minute, second)))


def _date(unix: float) -> str:
    if unix == inf:
        return NEVER
    moment = time.gmtime(unix)
    return f"{(moment.tm_wday + 1) % 7} {time.strftime('%Y/%m/%d %H:%M:%S', moment)}"


# -- option values -------------------------------------------------------------------------------------------------


def _read_addresses(text: str) -> bytes:
    return b"".join(IPv4Address(part.strip()).packed for part in re.split(r"[,\s]+", text) if part)


def _read_number(width: int) -> Callable[[str], bytes]:
    return lambda text: int(text).to_bytes(width, "big", signed=text.startswith("-"))


def _read_octets(text: str) -> bytes:
    return bytes(int(part) for part in text.split(",")) if "," in text or text.isdigit() else _must(octets(text))


def _read_names(text: str) -> bytes:
    """dhclient prints the search list as one quoted name each; on the wire they are labels (RFC 3397)."""
    names = [_must(octets(f'"{part}"')).decode("ascii").rstrip(".") for part in _QUOTED.findall(text)]
    labels = [[label.encode() for label in name.split(".")] for name in names]
    if not labels or any(not 0 < len(label) < 64 for name in labels for label in name):
        raise ValueError(text)
    return b"".join(b"".join(bytes([len(label)]) + label for label in name) + b"\0" for name in labels)


def _must(value: bytes | None) -> bytes:
    if value is None:
        raise ValueError("not a value")
    return value


def octets(text: str) -> bytes | None:
    """A value as dhclient writes it: a quoted text with octal escapes, or hexadecimal octets between colons. None
    for anything else."""
    match = _QUOTED.fullmatch(text)
    if match:
        plain = re.sub(r"\\([0-3][0-7]{2}|.)", _unescape, match.group(1), flags=re.DOTALL)
        return plain.encode("latin-1", "replace")
    if re.fullmatch(r"[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2})*", text):
        return bytes(int(part, 16) for part in text.split(":"))
    return None


def _unescape(match: re.Match[str]) -> str:
    word = match.group(1)
    return chr(int(word, 8)) if len(word) == 3 else {"n": "\n", "t": "\t", "r": "\r", "b": "\b"}.get(word, word)


def _quoted(value: bytes) -> str:
    return '"' + "".join(
        chr(octet) if 32 <= octet < 127 and chr(octet) not in '"\\' else f"\\{octet:03o}" for octet in value
    ) + '"'


def _write_addresses(value: bytes) -> str:
    return ",".join(str(IPv4Address(value[at:at + 4])) for at in range(0, len(value) - 3, 4))


def _write_number(value: bytes) -> str:
    return str(int.from_bytes(value, "big"))


def _write_octets(value: bytes) -> str:
    return ",".join(str(octet) for octet in value)


def _write_hex(value: bytes) -> str:
    return value.hex(":")


#: number -> (name, text to octets, octets to text), for what dhclient prints in a form of its own.
_ADDRESSES = (_read_addresses, _write_addresses)
_TEXT = (lambda text: _must(octets(text)), _quoted)
_OCTETS = (_read_octets, _write_octets)
#: Options whose form we know, as in dhclient's table (dhcp-options(5)): name, reader, writer.
KNOWN: dict[int, tuple[str, tuple[Callable[[str], bytes], Callable[[bytes], str]]]] = {
    1: ("subnet-mask", _ADDRESSES),
    2: ("time-offset", (_read_number(4), lambda value: str(int.from_bytes(value, "big", signed=True)))),
    3: ("routers", _ADDRESSES),
    6: ("domain-name-servers", _ADDRESSES),
    12: ("host-name", _TEXT),
    15: ("domain-name", _TEXT),
    17: ("root-path", _TEXT),
    26: ("interface-mtu", (_read_number(2), _write_number)),
    28: ("broadcast-address", _ADDRESSES),
    33: ("static-routes", _ADDRESSES),
    40: ("nis-domain", _TEXT),
    41: ("nis-servers", _ADDRESSES),
    42: ("ntp-servers", _ADDRESSES),
    44: ("netbios-name-servers", _ADDRESSES),
    47: ("netbios-scope", _TEXT),
    51: ("dhcp-lease-time", (_read_number(4), _write_number)),
    53: ("dhcp-message-type", (_read_number(1), _write_number)),
    54: ("dhcp-server-identifier", _ADDRESSES),
    58: ("dhcp-renewal-time", (_read_number(4), _write_number)),
    59: ("dhcp-rebinding-time", (_read_number(4), _write_number)),
}
_CODES = {name: code for code, (name, _) in KNOWN.items()} | {"domain-search": 119}


def code(name: str, declared: Mapping[str, int] = MappingProxyType({})) -> int | None:
    """The number of an option's name; None for names that nobody declared."""
    if name in declared:
        return declared[name]
    if name.startswith("unknown-") and name[8:].isdigit():
        return int(name[8:]) if 0 < int(name[8:]) < 255 else None
    return _CODES.get(name)


def option(name: str, text: str, declared: Mapping[str, int]) -> tuple[int, bytes] | None:
    """The number and the bytes of an option as a configuration has it; None when it cannot be read."""
    number = code(name, declared)
    try:
        return None if number is None else (number, _value(name, number, text))
    except (ValueError, OverflowError):
        return None


def _value(name: str, code: int, text: str) -> bytes:
    if len(text) > _VALUE_LIMIT:
        raise ValueError(name)
    if name.startswith("unknown-"):  # hexadecimal also where it looks like a number
        value = _must(octets(text))
    elif code == 119:
        value = _read_names(text)
    else:
        value = KNOWN[code][1][0](text) if code in KNOWN else _read_octets(text)
    return _must(value or None)  # dhclient reads no option without a value


def render(block: Block, declared: Mapping[str, int]) -> str:
    """The block as dhclient would append it. An option whose form we do not know is written by its number. FormatError
    for an interface whose name cannot be written."""
    if '"' in block.interface or "\\" in block.interface:
        raise FormatError(f"{block.interface!r} cannot be written into a lease file")
    named = {code: name for name, code in declared.items()}
    lines = [f'interface "{block.interface}"', f"fixed-address {block.address}"]
    for code, value in sorted(block.options.items()):
        if code in KNOWN:
            name, (_, write) = KNOWN[code]
        elif code in named:
            name, write = named[code], _write_octets
        else:
            name, write = f"unknown-{code}", _write_hex
        text = write(value) if value and code != 119 else ""  # the search list comes with the next ACK
        if text:
            lines.append(f"option {name} {text}")
    for name, unix in (("renew", block.renew), ("rebind", block.rebind), ("expire", block.expire)):
        lines.append(f"{name} {_date(unix)}")
    return "lease {\n" + "".join(f"  {line};\n" for line in lines) + "}\n"
