"""One Varlink message (varlink.org/Wire-Protocol): a JSON object and a NUL.

Strict where JSON's readers are lenient, because the other end may be anybody: no NaN, no infinity, no number that
other implementations cannot hold, no text that is not Unicode, and a bounded depth. Length is for whoever reads the
socket to bound.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

from holdfast.control.idl import INT_MAX, INT_MIN

#: Values within values; a Status has six.
DEPTH_LIMIT = 16
#: Digits of an int that is worth converting: 2**63 has 19.
_DIGITS = 20


class MessageError(ValueError):
    """Bytes that are no message; the text says why."""


def encode(message: Mapping[str, object]) -> bytes:
    """``message`` as it is sent, its NUL included. Raises ValueError for NaN and infinity, which JSON does not have."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\0"


def decode(data: bytes) -> dict[str, Any]:
    """The message that ``data`` is, without its NUL. Raises MessageError."""
    try:
        value = json.loads(data.decode(), parse_constant=_no_constant, parse_int=_int, parse_float=_float)
    except RecursionError:
        raise MessageError("nested too deeply") from None
    except MessageError:
        raise
    except UnicodeDecodeError:
        raise MessageError("not UTF-8") from None
    except ValueError as error:
        raise MessageError(str(error)) from None
    _look_at(value)
    if not isinstance(value, dict):
        raise MessageError("not a Varlink message")
    return value


def _look_at(value: object) -> None:
    """Level by level, so that no depth is too much for this itself."""
    level = [value]
    for _ in range(DEPTH_LIMIT + 1):
        if not all(map(_is_unicode, level)):
            raise MessageError("a text that is not Unicode")
        level = [inner for outer in level if isinstance(outer, (dict, list))
                 for inner in ([*outer, *outer.values()] if isinstance(outer, dict) else outer)]
        if not level:
            return
    raise MessageError("nested too deeply")


def _is_unicode(value: object) -> bool:
    """False for a text with half a surrogate pair, which no terminal and no file could take."""
    if isinstance(value, str) and not value.isascii():
        return not any("\ud800" <= char <= "\udfff" for char in value)
    return True


def _no_constant(text: str) -> float:
    raise MessageError(f"{text} is no JSON")


def _int(text: str) -> int:
    value = int(text) if len(text) <= _DIGITS else None
    if value is None or not INT_MIN <= value <= INT_MAX:
        raise MessageError("a number that is too large")
    return value


def _float(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise MessageError("a number that is too large")
    return value
