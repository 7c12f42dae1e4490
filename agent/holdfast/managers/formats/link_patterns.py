"""Names of links with shell wildcards, compared with each other: before a boot the names of links are not known."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache

#: A word with one of them is a pattern.
WILDCARDS = frozenset("*?[")
#: No name has it, so a pattern that fits it fits every name that the other pattern does.
_ANY = "\x01"
#: Interface names have 15 bytes; of a much longer pattern the answer is "not sure".
_LIMIT = 64


def _parts(pattern: str) -> tuple[str, ...]:
    """Single characters, "*", and "?" also for a set in brackets."""
    parts, at = [], 0
    while at < len(pattern):
        close = pattern.find("]", at + 2) if pattern[at] == "[" else -1
        parts.append("?" if close > 0 else pattern[at])
        at = close + 1 if close > 0 else at + 1
    return tuple(parts)


def is_pattern(links: str) -> bool:
    """True if ``links`` has a wildcard, and may so fit more than one link."""
    return not WILDCARDS.isdisjoint(links)


def covers(pattern: str, links: str) -> bool:
    """True if ``pattern`` fits every link that ``links`` (a name or a pattern) fits; False when that is not sure."""
    if max(len(pattern), len(links)) > _LIMIT:
        return False
    # "*" once as nothing and once as more than any "?" takes: what fits both has a "*" in the same place.
    parts = _parts(links)
    samples = ("".join({"*": many, "?": _ANY}.get(part, part) for part in parts) for many in ("", _ANY * _LIMIT))
    return all(fnmatchcase(sample, pattern) for sample in samples)


def overlaps(one: str, other: str) -> bool:
    """True if some name fits both; True when that is not sure (sets in brackets)."""
    if max(len(one), len(other)) > _LIMIT:
        return True
    first, second = _parts(one), _parts(other)

    @cache
    def meet(i: int, j: int) -> bool:
        if i == len(first) or j == len(second):
            return all(part == "*" for part in first[i:] + second[j:])
        if first[i] == "*":
            return meet(i + 1, j) or meet(i, j + 1)
        if second[j] == "*":
            return meet(i, j + 1) or meet(i + 1, j)
        return ("?" in (first[i], second[j]) or first[i] == second[j]) and meet(i + 1, j + 1)

    return meet(0, 0)
