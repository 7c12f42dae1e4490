"""JSON that anybody may have written, read strictly where JSON's readers are lenient: no NaN, no infinity, no number
that other implementations cannot hold, no text that is not Unicode, and a bounded depth. Length is for whoever reads
the bytes to bound."""

from __future__ import annotations

from math import isfinite

from holdfast import json_text
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

#: Values within values; a Status has six.
DEPTH_LIMIT = 16
#: Other implementations keep a whole number in 64 bits.
INT_MIN, INT_MAX = -(1 << 63), (1 << 63) - 1
#: Digits of an int that is worth converting: 2**63 has 19.
_DIGITS = 20


def loads(data: bytes) -> Any:
    """The value that ``data`` is. Raises ValueError, whose text says why, and nothing else."""
    try:
        value = json_text.loads(data, _STRICT)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    _look_at(value)
    return value


def _look_at(value: object) -> None:
    """Level by level, so that no depth is too much for this itself."""
    level = [value]
    for _ in range(DEPTH_LIMIT + 1):
        if not all(map(_is_unicode, level)):
            raise ValueError("a text that is not Unicode")
        level = [inner for outer in level if isinstance(outer, (dict, list))
                 for inner in ([*outer, *outer.values()] if isinstance(outer, dict) else outer)]
        if not level:
            return
    raise ValueError("nested too deeply")


def _is_unicode(value: object) -> bool:
    """False for a text with half a surrogate pair, which no terminal and no file could take."""
    if isinstance(value, str) and not value.isascii():
        return not any("\ud800" <= char <= "\udfff" for char in value)
    return True


def _int(text: str) -> int:
    value = int(text) if len(text) <= _DIGITS else None
    if value is None or not INT_MIN <= value <= INT_MAX:
        raise ValueError("a number that is too large")
    return value


def _float(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError("a number that is too large")
    return value


_STRICT = json_text.reader(_float, _int)
