"""The lists of links that Holdfast serves instead of their managers, which go on with everything but DHCPv4.

``/etc/holdfast/links`` has one name or shell pattern (fnmatch(3)) a line; ``#`` starts a comment.
``/run/holdfast-overlay/links.d`` has files of the same form, for take-overs that are not confirmed yet. One bad line
makes all of them void: what is overlaid and what is served must be the same.

A pattern stands for those links that fit and that a manager would do DHCPv4 on, as ``/run/holdfast-overlay/rules``
says; where no manager starts at all, for all that fit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable

from holdfast.settings.dirs import OVERLAY_DIR
from holdfast.settings.model import SettingsError
from holdfast.wire.record import NamedTuple, record

LIST = "/etc/holdfast/links"
VOLATILE_DIR = f"{OVERLAY_DIR}/links.d"
#: A file for each link that has no overlay, with the reason.
REFUSED_DIR = f"{OVERLAY_DIR}/refused"
#: A file for each link that was given back to its former client because its agent did not come up.
FALLEN_DIR = f"{OVERLAY_DIR}/fallen"
#: A file for each pattern: on which of its links managers would do DHCPv4.
RULES_DIR = f"{OVERLAY_DIR}/rules"
#: Bytes of one list, and links of all of them together.
SIZE_LIMIT, LINK_LIMIT = 64 << 10, 256


@record
class Served(NamedTuple):
    """What an agent without arguments leaves to others and takes from the lists: ``patterns`` are the lists' own that
    have an overlay; ``others`` are names of links that have an agent of their own, or no overlay."""

    patterns: tuple[str, ...] = ()
    others: frozenset[str] = frozenset()


@record
class Rule(NamedTuple):
    """What ``manager`` would do on links of the name or pattern ``names`` with the hardware address ``mac`` ("" for
    any): DHCPv4 or not. Of a manager's rules the first that fits counts."""

    manager: str
    names: str
    mac: str
    dhcp: bool


def is_pattern(link: str) -> bool:
    """True if ``link`` has a wildcard of fnmatch(3)."""
    return any(character in link for character in "*?[")


def parse(data: bytes, path: str) -> tuple[str, ...]:
    """The names and patterns in the list ``path``, each once. SettingsError with a line for each that is neither."""
    from holdfast.settings.checks import link_pattern  # noqa: PLC0415 - regular expressions, and seldom a list

    if len(data) > SIZE_LIMIT:
        raise SettingsError((f"{path}: is larger than {SIZE_LIMIT} bytes",))
    links, problems = [], []
    for number, line in enumerate(data.decode("utf-8", "surrogateescape").split("\n"), 1):
        link = line.partition("#")[0].strip()
        if not link:
            continue
        try:
            if not link.isascii() or not link.isprintable():
                raise ValueError("only printable ASCII is allowed")
            links.append(link_pattern(link))
        except ValueError as error:
            problems.append(f"{path}: line {number}: {error}")
    if problems:
        raise SettingsError(tuple(problems))
    return tuple(dict.fromkeys(links))


def read(content: Callable[[str], bytes | None], names: Callable[[str], list[str]]) -> tuple[str, ...]:
    """The links of all lists, each once. ``content(path)`` is a file's bytes, None when there is none; ``names(path)``
    what is in a folder. SettingsError for a list that is wrong or cannot be read."""
    links: list[str] = []
    for path in _lists(names):
        try:
            data = content(path)
        except OSError as error:
            raise SettingsError((f"{path}: cannot be read: {error.strerror}",)) from None
        links += () if data is None else parse(data, path)
    if len(links) > LINK_LIMIT:
        raise SettingsError((f"{LIST}: {len(links)} links are too many; use {LINK_LIMIT} or fewer",))
    return tuple(dict.fromkeys(links))


def read_here() -> tuple[str, ...]:
    """``read`` of this machine's lists."""
    return read(_content, _names)


def served() -> Served:
    """What the lists of this machine, and what became of their links, mean for an agent without arguments.
    SettingsError as ``read``."""
    links = read_here()
    refused = frozenset((*_names(REFUSED_DIR), *_names(FALLEN_DIR)))
    names = frozenset(link for link in links if not is_pattern(link))
    return Served(tuple(link for link in links if is_pattern(link) and link not in refused), names | refused)


def awaited() -> frozenset[str] | None:
    """The names on the list that have an agent each; None without a list. SettingsError as ``read``."""
    links = read_here()
    away = {*_names(REFUSED_DIR), *_names(FALLEN_DIR)}
    return frozenset(link for link in links if not is_pattern(link) and link not in away) if links else None


def rules_text(rules: Iterable[Rule]) -> str:
    """The rules of a pattern as its file has them."""
    return "".join(f"{one.manager} {one.names} {one.mac or '*'} {'dhcp' if one.dhcp else 'no'}\n" for one in rules)


def rule_for(pattern: str, name: str, macs: Collection[str]) -> Rule | None:
    """The rule by which a manager would do DHCPv4 on the link ``name``, which fits the list's ``pattern``; None when
    none would. Where no manager starts, it is the pattern itself."""
    data = _content(f"{RULES_DIR}/{pattern}")
    if data is None:
        return Rule("", pattern, "", dhcp=True)
    from fnmatch import fnmatchcase  # noqa: PLC0415 - only with patterns; it brings ``re``

    found: dict[str, Rule] = {}
    for line in data.decode("utf-8", "replace").splitlines():
        words = line.split(" ")
        if len(words) == 4 and fnmatchcase(name, words[1]) and (words[2] == "*" or words[2] in macs):
            rule = Rule(words[0], words[1], words[2].strip("*"), words[3] == "dhcp")
            found.setdefault(rule.manager, rule)
    return next((rule for rule in found.values() if rule.dhcp), None)


def _lists(names: Callable[[str], list[str]]) -> list[str]:
    try:
        volatile = [name for name in names(VOLATILE_DIR) if not name.startswith(".")]
    except OSError as error:
        raise SettingsError((f"{VOLATILE_DIR}: cannot be read: {error.strerror}",)) from None
    return [LIST, *(f"{VOLATILE_DIR}/{name}" for name in volatile)]


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        return None


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except FileNotFoundError:
        return []
