"""Loads the replies of tests/fixtures/replies (build_replies.py there made them with scapy)."""

from __future__ import annotations

from pathlib import Path

REPLIES = Path(__file__).resolve().parent.parent / "fixtures" / "replies"

#: What every reply bears, unless load_reply is told otherwise.
REPLY_XID = 0x3903F326
REPLY_CHADDR = bytes.fromhex("fa163e5a0b1c")


def reply_names() -> list[str]:
    """The names that ``load_reply`` knows, sorted."""
    return sorted(path.stem for path in REPLIES.glob("*.hex"))


def load_reply(name: str, *, xid: int = REPLY_XID, chaddr: bytes = REPLY_CHADDR) -> bytes:
    """The UDP payload (BOOTP header, cookie, options) of the reply called ``name``, for another exchange or
    another client's Ethernet address if wanted."""
    lines = (REPLIES / f"{name}.hex").read_text(encoding="ascii").splitlines()
    data = bytes.fromhex("".join(line for line in lines if not line.startswith("#")))
    return data[:4] + xid.to_bytes(4, "big") + data[8:28] + chaddr + data[34:]
