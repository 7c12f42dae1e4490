"""dhcpcd as a manager of every link that its configuration does not deny (dhcpcd.conf(5))."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from holdfast.managers.formats import systemd_units
from holdfast.managers.formats.link_patterns import covers, overlaps
from holdfast.managers.formats.tree import Tree
from holdfast.managers.model import Link
from holdfast.settings.links import Rule

UNIT = "dhcpcd.service"
CONFIGURATION = "/etc/dhcpcd.conf"


class Options(NamedTuple):
    """What dhcpcd.conf says: every option with its words in order, and the links that it denies and allows."""

    lines: tuple[tuple[str, ...], ...]
    denied: tuple[str, ...]
    allowed: tuple[str, ...]

    def names(self) -> frozenset[str]:
        """The options that are there."""
        return frozenset(line[0] for line in self.lines)


def starts(tree: Tree) -> bool:
    """True if it runs for all links after the next boot."""
    return UNIT in systemd_units.enabled(tree)


def options(tree: Tree) -> Options:
    """Its configuration; a missing file counts as an empty one."""
    lines = tuple(_lines(tree.text(CONFIGURATION) or ""))
    return Options(lines, _links(lines, "denyinterfaces"), _links(lines, "allowinterfaces"))


def claim(said: Options, link: str) -> str | None:
    """Why dhcpcd would configure ``link`` (a name or a pattern), or might; None when it does not."""
    if any(covers(pattern, link) for pattern in said.denied):
        return None
    if said.allowed and not any(overlaps(pattern, link) for pattern in said.allowed):
        return None
    return "nothing denies it"


def rules(tree: Tree, link: Link) -> list[Rule] | None:
    """On which links of a pattern it does DHCPv4; None when it does not start for all of them."""
    if not starts(tree):
        return None
    said = options(tree)
    return [*(Rule("dhcpcd", names, "", dhcp=False) for names in said.denied),
            *(Rule("dhcpcd", names, "", dhcp=True) for names in said.allowed or (link.name,))]


def _lines(text: str) -> Iterator[tuple[str, ...]]:
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words:
            yield tuple(words)


def _links(lines: tuple[tuple[str, ...], ...], option: str) -> tuple[str, ...]:
    return tuple(word for line in lines if line[0] == option for word in line[1:])
