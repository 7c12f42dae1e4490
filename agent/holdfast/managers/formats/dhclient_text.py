"""dhclient's texts, its configuration and its lease file alike: words, statements, braces (dhclient.conf(5)).

Hostile when read: every function takes time that grows with the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_BLANKS = re.compile(r"\s+")
#: A quoted text (one that nobody closes ends with its line), a comment, a mark, anything else.
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\[^\n])*"?|#[^\n]*|[;{}]|[^";{}#]+')
#: The same, but for a statement that reads another file.
_INCLUDE = re.compile(r'"(?:[^"\\\n]|\\[^\n])*"?|#[^\n]*|\binclude\s+"([^"\\\n]*)"\s*;')
#: Files that read each other.
MAX_FILES = 32


def with_included(text: str, read: Callable[[str], str]) -> str:
    """A configuration with the text of each file that it includes in its place; ``read`` gives a file's text. A file
    that reads itself is read ``MAX_FILES`` times altogether, and then no more."""
    left = MAX_FILES

    def put(match: re.Match[str]) -> str:
        nonlocal left
        if match.group(1) is None:
            return match.group()
        left -= 1
        return _INCLUDE.sub(put, read(match.group(1))) if left >= 0 else ""

    return _INCLUDE.sub(put, text)


def declared_options(configuration: str) -> dict[str, int]:
    """``option NAME code N = ...`` of a configuration: name -> number."""
    found = re.findall(r"\boption\s+([\w.-]+)\s+code\s+(\d{1,3})\s*=", configuration)
    return {name: int(code) for name, code in found if 0 < int(code) < 255}


def declared_texts(configuration: str) -> frozenset[str]:
    """The names of those whose value is a text or plain bytes: ``option NAME code N = text`` or ``= string``."""
    return frozenset(re.findall(r"\boption\s+([\w.-]+)\s+code\s+\d{1,3}\s*=\s*(?:text|string)\s*;", configuration))


def statements(text: str) -> Iterator[str]:
    """What is outside of any braces, one statement at a time, without comments."""
    depth = 0
    for words, end in pieces(text):
        if depth == 0 and end == ";":
            yield words
        depth = max(0, depth + {"{": 1, "}": -1}.get(end, 0))


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """Words and the mark that ends them (";", "{" or "}"); blanks outside of quotes are one space."""
    words: list[str] = []
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token in (";", "{", "}"):
            yield "".join(words).strip(), token
            words = []
        elif token[0] == '"':
            words.append(token)
        elif token[0] != "#":
            words.append(_BLANKS.sub(" ", token))


def bodies(text: str, head: str) -> Iterator[list[str]]:
    """The statements inside each ``head { }`` that is closed."""
    body: list[str] | None = None
    for words, end in pieces(text):
        if end == "{":
            body = [] if words == head or words.endswith(f" {head}") else None  # after a block cut short
        elif end == "}":
            if body is not None:
                yield body
            body = None
        elif body is not None:
            body.append(words)


def sections(text: str, head: str) -> list[str]:
    """The statements inside every ``head { }``, such as ``interface "eth0"`` of dhclient.conf(5)."""
    return [words for body in bodies(text, head) for words in body]
