"""JSON by the C functions that ``json`` is made of. ``json`` itself brings ``re`` and ``enum`` along, 1.6 MiB that a
daemon with nothing to do need not hold."""

from __future__ import annotations

from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    def make_scanner(context: object) -> Callable[[str, int], tuple[Any, int]]:
        """json.scanner's: reads one value from a position on, and says where it ends."""

    def make_encoder(*settings: object) -> Callable[[object, int], tuple[str, ...]]:
        """json.encoder's: the parts of a value's text."""

    def encode_basestring_ascii(text: str) -> str:
        """json.encoder's."""
else:
    from _json import encode_basestring_ascii, make_encoder, make_scanner

_BLANK = " \t\n\r"


class _Scanning:
    """What json.scanner asks its decoder for; as json.JSONDecoder has it."""

    strict = True
    object_hook = object_pairs_hook = None

    def __init__(self, parse_float: Callable[[str], Any], parse_int: Callable[[str], Any]) -> None:
        self.parse_float, self.parse_int, self.parse_constant = parse_float, parse_int, no_constant


def no_constant(text: str) -> float:
    """NaN and infinity are no JSON: raises ValueError."""
    raise ValueError(f"{text} is no JSON")


def reader(
    parse_float: Callable[[str], Any], parse_int: Callable[[str], Any]
) -> Callable[[str, int], tuple[Any, int]]:
    """For ``loads``: how it reads numbers. To be made once: each one that is made leaves names of attributes in the
    interpreter's cache of them, a quarter of a MiB in the end."""
    return make_scanner(_Scanning(parse_float, parse_int))


_USUAL = reader(float, int)


def loads(data: bytes, scan: Callable[[str, int], tuple[Any, int]] = _USUAL) -> Any:
    """The value that ``data``, UTF-8, is. Raises ValueError, and RecursionError for one that is nested too deeply."""
    text = data.decode()
    start = len(text) - len(text.lstrip(_BLANK))
    try:
        try:
            value, end = scan(text, start)
        except SystemError:  # they raise what json.decoder defines, and nothing at all where nobody has imported it
            import json.decoder  # noqa: F401, PLC0415 - only for a text that is no JSON

            value, end = scan(text, start)
    except StopIteration as stop:
        raise ValueError(f"no value at character {stop.value}") from None
    if text[end:].strip(_BLANK):
        raise ValueError(f"more than one value, at character {end}")
    return value


def dumps(value: object, *, spaces: bool = True) -> str:
    """The text of ``value``, of one line and ASCII; ``spaces`` after colons and commas. Raises ValueError for NaN and
    infinity, TypeError for what is no JSON."""
    colon, comma = (": ", ", ") if spaces else (":", ",")
    encode = make_encoder({}, _refuse, encode_basestring_ascii, None, colon, comma, False, False, False)
    return "".join(encode(value, 0))


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is no JSON")
