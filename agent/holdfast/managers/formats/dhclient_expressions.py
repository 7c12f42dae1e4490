"""Data expressions of dhclient.conf (dhcp-eval(5)) whose value is known without a packet."""

from __future__ import annotations

import re
from collections.abc import Sequence

from holdfast.managers.formats import dhclient_leases
from holdfast.wire.record import NamedTuple

#: Expressions inside each other, and octets of a value: no option is longer.
_DEPTH, _LIMIT = 16, 1024
_CALL = re.compile(r"([a-z-]+) ?\((.*)\)", re.DOTALL)
_PARTS = re.compile(r'"(?:[^"\\]|\\.)*"|[^"]', re.DOTALL)


class Known(NamedTuple):
    """What an expression may ask for: ``hardware``, the link's type byte and address, and the machine's name. None
    where it is not known."""

    hardware: bytes | None = None
    hostname: bytes | None = None


def value(text: str, known: Known, depth: int = 0) -> bytes | None:
    """The octets of ``text``; None for an expression that is none of these, or asks for what is not known."""
    text = text.strip()
    plain = dhclient_leases.octets(text)
    if plain is not None or text == "hardware":
        return plain if text != "hardware" else known.hardware
    call = _CALL.fullmatch(text)
    if call is None or depth > _DEPTH:
        return None
    words = _arguments(call[2])
    if call[1] == "gethostname":
        return known.hostname if not words else None
    found = [value(word, known, depth + 1) for word in words]
    made = _called(call[1], words, found)
    return made if made is None or len(made) <= _LIMIT else None


def _called(name: str, words: Sequence[str], found: Sequence[bytes | None]) -> bytes | None:
    if name == "concat" and None not in found:
        return b"".join(each for each in found if each is not None)
    if name == "pick-first-value":  # a value that is not known is not passed over: it may be one
        return next(iter(found), None)
    data = found[0] if found else None
    numbers = [int(word) for word in words[1:] if word.isascii() and word.isdecimal()]
    if data is None or len(numbers) != len(words) - 1:
        return None
    if name == "substring" and len(numbers) == 2:
        return data[numbers[0]:numbers[0] + numbers[1]]
    if name == "suffix" and len(numbers) == 1:
        return data[max(0, len(data) - numbers[0]):]
    if name in ("lcase", "ucase") and not numbers:
        return data.lower() if name == "lcase" else data.upper()
    return None


def _arguments(text: str) -> list[str]:
    """What is between commas that are in no quotes and no inner parentheses."""
    words, depth = [""], 0
    for part in _PARTS.findall(text):
        depth += {"(": 1, ")": -1}.get(part, 0)
        if part == "," and not depth:
            words.append("")
        else:
            words[-1] += part
    words = [word.strip() for word in words]
    return words if words != [""] else []
