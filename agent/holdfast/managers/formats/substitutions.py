"""Lines of a text configuration that are replaced in a copy, which is then mounted over the file.

Whoever reads the file then reads the copy, Holdfast too, so a copy keeps what it replaces, as comments ("#" begins one
in interfaces(5), ifcfg files and dhcpcd.conf(5) alike): ``original`` gives the file's own text again, and two copies of
one file, for two links, are one by ``merged``.
"""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.wire.record import NamedTuple

_BEGIN, _FORMER, _END = "#holdfast{", "#holdfast: ", "#holdfast}"


class Substitution(NamedTuple):
    """``replaced`` lines of the original are replaced by ``lines``; none are, and ``lines`` are added before that line,
    when ``replaced`` is 0."""

    replaced: int
    lines: tuple[str, ...]


#: By the number (from 0) of the first line of the original.
Substitutions = Mapping[int, Substitution]


def copy(text: str, substitutions: Substitutions) -> str:
    """``text``, an original, with its lines replaced."""
    lines, out, at = text.split("\n"), [], 0
    for first, (count, new) in sorted(substitutions.items()):
        out += [*lines[at:first], _BEGIN, *(f"{_FORMER}{line}" for line in lines[first:first + count]), *new, _END]
        at = first + count
    return "\n".join([*out, *lines[at:]])


def original(text: str) -> str:
    """The text that ``text`` is a copy of; a text that is no copy is its own original."""
    return _parsed(text)[0]


def merged(one: str, other: str) -> str | None:
    """The copy with the substitutions of both; None for copies of different texts, or that replace a line in two ways.
    Lines that both add in one place are added one after the other."""
    (text, first), (same, second) = _parsed(one), _parsed(other)
    if text != same:
        return None
    every = dict(first)
    for at, substitution in second.items():
        known = every.setdefault(at, substitution)
        if known == substitution:
            continue
        if known.replaced or substitution.replaced:
            return None
        every[at] = Substitution(0, (*known.lines, *substitution.lines))
    return copy(text, every)


def _parsed(text: str) -> tuple[str, Substitutions]:
    if _BEGIN not in text:
        return text, {}
    lines: list[str] = []
    found: dict[int, Substitution] = {}
    former: list[str] = []
    new: list[str] | None = None
    for line in text.split("\n"):
        if new is None and line == _BEGIN:
            former, new = [], []
        elif new is None:
            lines.append(line)
        elif line == _END:
            found[len(lines)] = Substitution(len(former), tuple(new))
            lines += former
            new = None
        elif line.startswith(_FORMER) and not new:
            former.append(line[len(_FORMER):])
        else:
            new.append(line)
    return ("\n".join(lines), found) if new is None else (text, {})
