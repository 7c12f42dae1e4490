"""One Varlink message (varlink.org/Wire-Protocol): a JSON object and a NUL. The peer is not trusted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from holdfast import strict_json


class MessageError(ValueError):
    """Bytes that are no message; the text says why."""


def encode(message: Mapping[str, object]) -> bytes:
    """``message`` as it is sent, its NUL included. Raises ValueError for NaN and infinity, which JSON does not have."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\0"


def decode(data: bytes) -> dict[str, Any]:
    """The message that ``data`` is, without its NUL, read as strictly as ``strict_json`` does. Raises MessageError."""
    try:
        value = strict_json.loads(data)
    except ValueError as error:
        raise MessageError(str(error)) from None
    if not isinstance(value, dict):
        raise MessageError("not a Varlink message")
    return value
