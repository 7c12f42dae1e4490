"""Text of others on its way to a terminal or a log: nothing in it may act, hide or pretend to be another line."""

from __future__ import annotations


def printable(text: str) -> str:
    """``text`` on one line, with every character that is not visible written as its Python escape: C0 and C1 controls,
    DEL, line separators, bidirectional overrides, zero-width and other format characters, blanks that are no space,
    lone surrogates (bytes that could not be decoded) and what Unicode has not assigned."""
    if text.isprintable():  # nearly always
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    if 0xDC80 <= ord(char) <= 0xDCFF:  # PEP 383: a byte of a file's name or an argument
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")
