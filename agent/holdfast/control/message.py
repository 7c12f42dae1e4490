"""One Varlink message (varlink.org/Wire-Protocol): a JSON object and a NUL. The peer is not trusted."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast import json_text, strict_json
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


class MessageError(ValueError):
    """Bytes that are no message; the text says why."""


def encode(message: Mapping[str, object]) -> bytes:
    """``message`` as it is sent, its NUL included. Raises ValueError for NaN and infinity, which JSON does not have."""
    return json_text.dumps(message, spaces=False).encode() + b"\0"


def decode(data: bytes) -> dict[str, Any]:
    """The message that ``data`` is, without its NUL, read as strictly as ``strict_json`` does. Raises MessageError."""
    try:
        value = strict_json.loads(data)
    except ValueError as error:
        raise MessageError(str(error)) from None
    if not isinstance(value, dict):
        raise MessageError("not a Varlink message")
    return value
