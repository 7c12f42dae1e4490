"""Would ifupdown configure our links at the next boot? Read from its files (interfaces(5)) and its units' drop-ins."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from holdfast.doctor.finding import Finding, verdict
from holdfast.doctor.globs import covers, overlaps
from holdfast.managers.formats import systemd_units
from holdfast.managers.formats.tree import Tree

_DROP_IN = "cloud-init/image/etc/systemd/system/networking.service.d/90-holdfast.conf"
_FILE = "/etc/network/interfaces"


class Served(NamedTuple):
    """A name or pattern of links that get an address by DHCP, for which reason, and whether udev starts that."""

    name: str
    why: str
    hotplug: bool


def check_ifupdown(tree: Tree, links: Sequence[str], renderer: str) -> Iterator[Finding]:
    """``renderer``: for whom cloud-init will write the configuration."""
    if "networking.service" not in systemd_units.enabled(tree) or not (tree.is_file("/usr/sbin/ifup")
                                                               or tree.is_file("/sbin/ifup")):
        return
    served = list(_served(tree, renderer))
    excluded, up = _excluded(tree), _marked_up(tree, "networking.service")

    def kept_off(link: str, one: Served) -> bool:
        if one.hotplug:  # udev starts ifup@ with the name, and nothing is excluded then
            name = link if set("*?[") & set(one.name) else one.name
            return name in up and name in _marked_up(tree, f"ifup@{name}.service")
        return link in up or any(covers(pattern, link) for pattern in excluded)

    def first(link: str) -> Served | None:
        return next((one for one in served if overlaps(one.name, link) and not kept_off(link, one)), None)

    def why(link: str) -> str | None:
        one = first(link)
        return one and one.why

    def todo(link: str) -> str:
        one = first(link)
        if one and one.hotplug:
            return f"say `auto` there instead of `allow-hotplug`, which goes past {_DROP_IN}, or take the link out"
        return f"put {_DROP_IN} there, or take the link out of {_FILE}"

    yield from verdict("ifupdown", links, why, todo)


def _served(tree: Tree, renderer: str) -> Iterator[Served]:
    """`iface` names a link, or what `auto` and `allow-hotplug` call it: `allow-hotplug /en*=x` and `iface x`."""
    stanzas = list(_stanzas(tree))
    for kind, logical, _ in stanzas:
        if kind != "iface":
            continue
        named = [(word, physical) for word, physical, name in stanzas if word != "iface" and name == logical]
        stanza = f"`iface {logical} inet dhcp`"
        for word, physical in named:
            why = stanza if physical == logical else f"`{word} {physical}={logical}` and {stanza}"
            yield Served(physical, why, word == "allow-hotplug")
        if not named:  # a pattern without `=` may mean it
            hotplug = any(word == "allow-hotplug" and not name and overlaps(physical, logical)
                          for word, physical, name in stanzas)
            yield Served(logical, stanza, hotplug)
    if renderer == "eni":
        yield Served("*", "what cloud-init writes at boot", hotplug=False)


def _stanzas(tree: Tree) -> Iterator[tuple[str, str, str]]:
    """("iface", logical name, "") of those by DHCP; (word, name or pattern, logical name or "" for any) of the rest."""
    folder = f"{_FILE}.d"
    for path in (_FILE, *(f"{folder}/{name}" for name in tree.names(folder))):
        for line in (tree.text(path) or "").splitlines():
            words = line.split()
            if words[:1] == ["iface"] and words[2:4] == ["inet", "dhcp"]:
                yield "iface", words[1], ""
            elif words[:1] in (["allow-hotplug"], ["auto"], ["allow-auto"]):
                yield from ((words[0], *_selected(word)) for word in words[1:])


def _selected(word: str) -> tuple[str, str]:
    """The links that a word of `auto` or `allow-hotplug` fits, and the logical name that they get; "" for their own.

    "/eth*" is a pattern, "/eth*/1" the first link that fits it; "/mac/.../" and the like go by something else than the
    name, and may be any.
    """
    pattern, _, logical = word.partition("=")
    if not pattern.startswith("/"):
        return pattern, logical or pattern
    first, *rest = pattern[1:].split("/")
    by_name = not rest or re.fullmatch("-?[0-9]+", rest[0])
    return (first if by_name else "*"), logical


def _marked_up(tree: Tree, unit: str) -> set[str]:
    """Links that ifup is told are up already, as a take-over does it."""
    texts = [text for _, key, text in systemd_units.drop_ins(tree, unit) if key == "ExecStartPre"]
    return {name for text in texts for name in re.findall(r">\s*/run/network/ifstate\.([^\s'\"]+)", text)}


def _excluded(tree: Tree) -> list[str]:
    """EXCLUDE_INTERFACES of networking.service: an EnvironmentFile goes before Environment (systemd.exec(5))."""
    value = ""
    for section, key, text in systemd_units.drop_ins(tree, "networking.service"):
        found = re.search(r"EXCLUDE_INTERFACES=([^\"']*)", text)
        if (section, key) == ("Service", "Environment") and found:
            value = found[1]
    for line in (tree.text("/etc/default/networking") or "").splitlines():
        if line.startswith("EXCLUDE_INTERFACES="):
            value = line.partition("=")[2].strip("\"' ")
    return value.split()
