"""Checks of one configured value: each takes what TOML gave and returns what the model holds.

A ValueError says what is wrong and what is allowed, and is put behind the file and the key.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

Check = Callable[[object], "Any"]

#: IFNAMSIZ without its final NUL (linux/if.h).
IFNAME_LIMIT = 15
#: Number of patterns, and bytes of one; "enp[0-9]*s[0-9]*" has 16.
PATTERN_LIMIT, PATTERN_LENGTH = 16, 64
#: Servers that are allowed or denied, and options that are sent.
MOST_SERVERS, MOST_SENT = 64, 32


def wrong_type(value: object, wanted: str) -> ValueError:
    """The error for a value of another TOML type."""
    got = {bool: "a boolean", int: "a number", float: "a number", str: "a text", list: "a list",
           dict: "a table"}
    return ValueError(f"{show(value)} is {got.get(type(value), 'a date or time')}; use {wanted}")


def show(value: object) -> str:
    """``value`` as TOML would write it, short enough for one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = '"' + value.replace('"', '\\"') + '"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _of(kind: type, value: object, wanted: str) -> Any:
    # bool is an int in Python, but not in TOML.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise wrong_type(value, wanted)
    return value


def boolean(value: object) -> bool:
    """true or false."""
    return bool(_of(bool, value, "true or false"))


def choice(*allowed: str) -> Check:
    """One of some words."""
    listed = ", ".join(f'"{word}"' for word in allowed[:-1]) + f' or "{allowed[-1]}"'

    def check(value: object) -> str:
        if _of(str, value, listed) not in allowed:
            raise ValueError(f"{show(value)} is not allowed; use {listed}")
        return str(value)

    return check


def integer(low: int, high: int) -> Check:
    """A whole number within bounds, both included."""

    def check(value: object) -> int:
        number = int(_of(int, value, f"a whole number from {low} to {high}"))
        if not low <= number <= high:
            raise ValueError(f"{number} is out of range; use a whole number from {low} to {high}")
        return number

    return check


_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(text: str) -> float:
    """``90``, ``90s``, ``1m``, ``1m30s``, ``2h`` in seconds. Raises ValueError."""
    plain = text.strip().lower().replace(" ", "")
    if re.fullmatch(r"\d+(\.\d+)?", plain):
        return float(plain)
    part = r"(\d+(?:\.\d+)?)(ms|min|s|m|h|d)"
    if not re.fullmatch(rf"({part})+", plain):
        raise ValueError(f"{show(text)} is no duration; use a number of seconds, or one such as 90s, 1m30s or 2h")
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(part, plain))


def seconds(low: float, high: float) -> Check:
    """A duration within bounds, both included: a number of seconds, or a text as ``duration`` takes it."""
    wanted = f"a number of seconds from {low:g} to {high:g}, or a duration such as \"90s\" or \"1m\""

    def check(value: object) -> float:
        if isinstance(value, str):
            value = duration(value)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise wrong_type(value, wanted)
        if not low <= value <= high:  # also refuses nan
            raise ValueError(f"{show(value)} is out of range; use {wanted}")
        return float(value)

    return check


def folder(value: object) -> str:
    """An absolute path: a service has no useful working directory."""
    path = str(_of(str, value, 'an absolute path such as "/var/lib/holdfast"'))
    if not path.startswith("/") or "\0" in path:
        raise ValueError(f"{show(path)} is not an absolute path; start it with /")
    return path


def group(value: object) -> str:
    """The name or number of a group; whether it exists is seen when the socket is made."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return str(value)
    name = str(_of(str, value, "the name of a group"))
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?", name):
        raise ValueError(f"{show(name)} is not the name of a group")
    return name


def class_text(value: object) -> str:
    """The content of option 60 or one instance of option 77."""
    text = str(_of(str, value, "a text of 1 to 255 bytes"))
    if not 1 <= len(text.encode()) <= 255:
        raise ValueError(f"{show(text)} has {len(text.encode())} bytes; use 1 to 255")
    return text


def class_texts(value: object) -> tuple[str, ...]:
    """One user class or a list of them (RFC 3004: each with its length, 255 bytes in all)."""
    values = value if isinstance(value, list) else [_of(str, value, "a text or a list of texts")]
    texts = tuple(class_text(one) for one in values)
    if sum(len(text.encode()) + 1 for text in texts) > 255:
        raise ValueError("the classes are longer than 255 bytes together, a length byte each included")
    return texts


def hostname(value: object) -> str:
    """A name by RFC 1123 section 2.1, or "@system": this machine's own name when the agent starts."""
    name = str(_of(str, value, 'a host name, or "@system" for this machine\'s name'))
    label = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    if name != "@system" and (len(name) > 253 or not re.fullmatch(rf"{label}(\.{label})*", name)):
        raise ValueError(f"{show(name)} is not a host name (RFC 1123: letters, digits and hyphens); "
                         'use one, or "@system" for this machine\'s name')
    return name


def name_servers(value: object) -> tuple[str, ...]:
    """IPv4 addresses as texts: one or a list of up to eight."""
    texts = _texts(value, 8, "an IPv4 address or a list of up to eight")
    for text in texts:
        octets = text.split(".")
        if len(octets) != 4 or not all(octet.isascii() and octet.isdecimal() and int(octet) < 256 for octet in octets):
            raise ValueError(f"{show(text)} is not an IPv4 address")
    return texts


def option_edits(value: object) -> tuple[str, ...]:
    """Changes to the options of a reply (``network.spec.edited``)."""
    texts = _texts(value, 64, "a change or a list of up to 64")
    for text in texts:
        found = re.fullmatch(r"(?:supersede (?=\d+$)|(?:supersede|prepend|append|default) (?=\d+ ))(\d{1,3})"
                             r"(?: (?:[0-9a-f]{2}){1,1024})?", text)
        if found is None or not 1 <= int(found[1]) <= 254:
            raise ValueError(f'{show(text)} is no change to an option; write it as "supersede 6 0a000001"')
    return texts


def router_routes(value: object) -> tuple[str, ...]:
    """Routes by the lease's router (``network.spec``): one or a list of up to 64."""
    from ipaddress import IPv4Network  # noqa: PLC0415 - only when configured

    texts = _texts(value, 64, "a route or a list of up to 64")
    for text in texts:
        found = re.fullmatch(r"([0-9./]+)((?: (?:table|metric) [0-9]{1,10})*)", text)
        try:
            words = found[2].split() if found is not None else ["?"]
            IPv4Network(text.split()[0] if text else "")
            if len(set(words[::2])) != len(words) // 2 or any(int(word) >= 1 << 32 for word in words[1::2]):
                raise ValueError
        except ValueError:
            raise ValueError(f'{show(text)} is no route; use one such as "192.0.2.0/24 table 100 metric 50"') from None
    return texts


def route_metrics(value: object) -> tuple[str, ...]:
    """What routes are added with: a list of a name of ip-route(8) and a number each."""
    wanted = 'a list such as ["mtu 1400", "initcwnd 30"]'
    texts = _texts(value, 4, wanted)
    for text in texts:
        found = re.fullmatch("(?:mtu|initcwnd|initrwnd|quickack) ([0-9]{1,10})", text)
        if found is None or not 0 < int(found[1]) < 1 << 32:
            raise ValueError(f"{show(text)} is nothing that a route has; use {wanted}, with mtu, initcwnd, initrwnd or "
                             "quickack")
    return texts


def address_label(value: object) -> str:
    """A label of an address: up to 15 characters that no program could misread."""
    text = str(_of(str, value, "a label"))
    if not re.fullmatch("[A-Za-z0-9_.:@-]{1,15}", text):
        raise ValueError(f"{show(text)} is no label; use up to 15 letters, digits and _.:@-")
    return text


def search_domains(value: object) -> tuple[str, ...]:
    """Domains: one or a list of up to sixteen."""
    texts = _texts(value, 16, "a domain or a list of up to sixteen")
    for text in texts:
        if text == "@system":
            raise ValueError(f"{show(text)} is not a domain")
        hostname(text)
    return texts


def _texts(value: object, most: int, wanted: str) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    texts = tuple(str(_of(str, one, wanted)) for one in values)
    if len(texts) > most:
        raise ValueError(f"{len(texts)} are too many; use {wanted}")
    return texts


def client_id(value: object) -> str:
    """"mac", "duid", "networkd", "networkd:IAID", either with "/link-layer", "none" or the bytes of option 61 in hex,
    which are returned as plain hex."""
    allowed = ('"mac", "duid", "networkd", "networkd:IAID", "none", or option 61 in hex with its type byte, such as '
               '"01:52:54:00:12:34:56"')
    text = str(_of(str, value, allowed)).strip()
    if text in ("mac", "duid", "networkd", "none"):
        return text
    found = re.fullmatch(r"networkd(?::([0-9]{1,10}))?(?:/link-layer)?", text)
    if found is not None and int(found[1] or 0) < 1 << 32:
        return text
    digits = re.sub("[:.-]", "", text).lower()
    if not re.fullmatch(r"([0-9a-f]{2}){2,255}", digits):
        raise ValueError(f"{show(text)} is not allowed; use {allowed} (2 to 255 bytes)")
    return digits


def link_pattern(value: object) -> str:
    """The name of a link, or a pattern of names with shell wildcards."""
    pattern = str(_of(str, value, 'patterns such as "en*"'))
    if not 1 <= len(pattern.encode()) <= PATTERN_LENGTH or any(c in "/:" or c.isspace() for c in pattern):
        raise ValueError(f"{show(pattern)} cannot fit an interface's name; use a pattern such as \"en*\"")
    if pattern.count("[") > pattern.count("]"):
        raise ValueError(f"{show(pattern)} opens a bracket and does not close it; use one such as \"enp[0-9]s*\"")
    if not set("*?[").intersection(pattern) and ifname_problem(pattern):
        raise ValueError(f"{show(pattern)} is no pattern, and {ifname_problem(pattern)}")
    return pattern


def link_patterns(value: object) -> tuple[str, ...]:
    """Names of links with shell wildcards (``*``, ``?``, ``[...]``), as fnmatch knows them."""
    items = _of(list, value, 'a list of patterns such as ["en*", "eth*"]')
    if len(items) > PATTERN_LIMIT:
        raise ValueError(f"{len(items)} patterns are too many; use {PATTERN_LIMIT} or fewer")
    patterns = tuple(link_pattern(item) for item in items)
    return tuple(dict.fromkeys(patterns))


def option_codes(value: object) -> tuple[int, ...]:
    """Options by number, or by their RFC 2132 name as in ``ntp-servers``."""
    items = _of(list, value, 'a list of option numbers or names such as [42, "captive-portal"]')
    return tuple(dict.fromkeys(_option_code(item) for item in items))


def _option_code(item: object) -> int:
    from holdfast.wire.options import NAMES  # noqa: PLC0415 - only when options are named

    if isinstance(item, int) and not isinstance(item, bool):
        if not 1 <= item <= 254:
            raise ValueError(f"{item} is not an option; use numbers from 1 to 254")
        return item
    wanted = _plain(str(_of(str, item, "option numbers or names")))
    known = {_plain(name): code for code, name in NAMES.items()}
    if wanted not in known:
        raise ValueError(f"{show(item)} is not the name of an option{nearest(wanted, known)}; "
                         "numbers from 1 to 254 are allowed too")
    return known[wanted]


#: What the protocol itself sends, or what only a server or a relay does.
_NOT_TO_SEND = (0, 50, 52, 53, 54, 55, 56, 57, 61, 80, 82, 255)


def sent_options(value: object) -> tuple[str, ...]:
    """Options to send, each ``CODE=TEXT`` or ``CODE=hex:BYTES``; CODE is a number or a name of RFC 2132."""
    wanted = 'a list such as ["224=site A", "43=hex:0104"]'
    texts = _texts(value, MOST_SENT, wanted)
    for text in texts:
        sent_option(text)
    return texts


def sent_option(text: str) -> tuple[int, bytes]:
    """One option to send: its code and value. Raises ValueError."""
    name, equals, value = text.partition("=")
    if not equals or not value:
        raise ValueError(f'{show(text)} is no option to send; use one such as "224=site A" or "43=hex:0104"')
    code = _option_code(int(name) if name.strip().isdigit() else name)
    if code in _NOT_TO_SEND:
        raise ValueError(f"option {code} is the protocol's own and cannot be set; use another")
    if not value.startswith("hex:"):
        data = value.encode()
    else:
        digits = re.sub("[:. -]", "", value.removeprefix("hex:"))
        if not re.fullmatch(r"([0-9a-fA-F]{2})+", digits):
            raise ValueError(f'{show(text)} has no bytes in hex; use one such as "43=hex:0104"')
        data = bytes.fromhex(digits)
    if len(data) > 255:
        raise ValueError(f"option {code} has {len(data)} bytes; use 255 or fewer")
    return code, data


def servers(value: object) -> tuple[str, ...]:
    """IPv4 addresses and networks as texts: one or a list of up to 64."""
    texts = _texts(value, MOST_SERVERS, f"an IPv4 address or network, or a list of up to {MOST_SERVERS}")
    for text in texts:
        server_network(text)
    return texts


def interface_address(value: object) -> str:
    """An IPv4 address with the length of its prefix."""
    from ipaddress import IPv4Interface  # noqa: PLC0415 - only when configured

    text = str(_of(str, value, 'an address such as "192.168.1.10/24"'))
    try:
        if "/" not in text:
            raise ValueError
        return str(IPv4Interface(text))
    except ValueError:
        raise ValueError(f'{show(text)} is no address with its prefix; use one such as "192.168.1.10/24"') from None


def address(value: object) -> str:
    """An IPv4 address."""
    return name_servers(_of(str, value, "an IPv4 address"))[0]


def server_network(text: str) -> tuple[int, int]:
    """An IPv4 address or network (``192.0.2.0/24``) as (address, mask). Raises ValueError."""
    from ipaddress import IPv4Network  # noqa: PLC0415 - only when configured

    try:
        network = IPv4Network(text)
    except ValueError:
        raise ValueError(f'{show(text)} is neither an IPv4 address nor a network such as "192.0.2.0/24"') from None
    return int(network.network_address), int(network.netmask)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def nearest(name: str, known: Any) -> str:
    """``; did you mean "..."?`` when one of ``known`` is like ``name``, else nothing."""
    import difflib  # noqa: PLC0415 - only after a mistake

    like = difflib.get_close_matches(name, list(known), n=1)
    return f'; did you mean "{like[0]}"?' if like else ""


def ifname_problem(name: str) -> str | None:
    """Why ``name`` cannot be an interface's name (dev_valid_name() in the kernel), or None."""
    if not name or len(name.encode()) > IFNAME_LIMIT:
        return f"an interface's name has 1 to {IFNAME_LIMIT} bytes"
    if name in (".", "..") or any(char in "/:" or char.isspace() for char in name):
        return "an interface's name has no slash, colon or blank, and is not . or .."
    return None
