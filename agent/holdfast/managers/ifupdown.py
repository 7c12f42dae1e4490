"""Debian's ifupdown: which links get a DHCPv4 client from ifup, at boot (networking.service) or from udev (ifup@)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from holdfast.managers.formats import interfaces5, systemd_units
from holdfast.managers.formats.interfaces5 import INTERFACES, Interfaces
from holdfast.managers.formats.link_patterns import covers, is_pattern, overlaps
from holdfast.managers.formats.shell_assignments import assignments
from holdfast.managers.formats.tree import Tree

UNIT = "networking.service"
#: What networking.service reads on Debian; a drop-in may name others.
DEFAULTS = "/etc/default/networking"
#: Which interfaces are up, and as what: "eth0=office".
STATE = "/run/network/ifstate"
_EXCLUDED = "EXCLUDE_INTERFACES"
_HOTPLUG = "allow-hotplug"


class Served(NamedTuple):
    """A name or pattern of links that get an address by DHCP, for which reason, and whether udev starts that."""

    links: str
    why: str
    hotplug: bool


def starts(tree: Tree) -> bool:
    """True if it runs at the next boot."""
    programs = (tree.is_file(path) for path in ("/usr/sbin/ifup", "/sbin/ifup"))
    return UNIT in systemd_units.enabled(tree) and any(programs)


def logical_name(tree: Tree, ifname: str) -> str | None:
    """How interfaces(5) calls an interface that ifup has brought up; None when it has not."""
    for line in (tree.text(STATE) or "").splitlines():
        name, _, logical = line.strip().partition("=")
        if name == ifname:
            return logical or name
    return None


def served(interfaces: Interfaces) -> Iterator[Served]:
    """The links that ``iface NAME inet dhcp`` means: by its name, by what ``auto`` and ``allow-hotplug`` call it, such
    as ``allow-hotplug /en*=x``, or by a ``mapping``."""
    for logical in dict.fromkeys(one.name for one in interfaces.stanzas if one.dhcp):
        stanza = f"`iface {logical} inet dhcp`"
        found = [*_selected(interfaces, logical, stanza), *_mapped(interfaces, logical, stanza)]
        yield from found or [Served(logical, stanza, hotplug=False)]  # a person or a script may bring it up


def _selected(interfaces: Interfaces, logical: str, stanza: str) -> Iterator[Served]:
    for one in interfaces.selections:
        hotplug = one.keyword == _HOTPLUG
        if not one.logical:  # a pattern of links that go by their own names
            if overlaps(one.links, logical):
                yield Served(logical, stanza, hotplug)
        elif one.logical == logical or (is_pattern(logical) and overlaps(one.logical, logical)):
            why = stanza if one.links == one.logical else f"`{one.keyword} {one.links}={one.logical}` and {stanza}"
            yield Served(one.links, why, hotplug)


def _mapped(interfaces: Interfaces, logical: str, stanza: str) -> Iterator[Served]:
    """A script decides, so whatever its lines name, or any stanza where they name none, may be what it says."""
    known = {one.name for one in interfaces.stanzas}
    for mapping in interfaces.mappings:
        said = known & set(mapping.maps)
        if logical in said or not said:
            for pattern in mapping.patterns:
                hotplug = any(one.keyword == _HOTPLUG and overlaps(one.links, pattern) for one in interfaces.selections)
                yield Served(pattern, f"`mapping {pattern}` and {stanza}", hotplug)


def claim(tree: Tree, interfaces: Interfaces, link: str, *, rendered: bool) -> Served | None:
    """Why ifup would start a DHCPv4 client on ``link`` (a name or a pattern), or might; None when it does not.
    ``rendered``: cloud-init will write the configuration."""
    every = [*served(interfaces), *([Served("*", "what cloud-init writes at boot", hotplug=False)] if rendered else [])]
    off, up = excluded(tree), marked_up(tree, UNIT)

    def kept_off(one: Served) -> bool:
        if one.hotplug:  # udev starts ifup@ with the name, and nothing is excluded then
            name = link if is_pattern(one.links) else one.links
            return name in up and name in marked_up(tree, hotplug_unit(name))
        return link in up or any(covers(pattern, link) for pattern in off)

    return next((one for one in every if overlaps(one.links, link) and not kept_off(one)), None)


def hotplug_unit(ifname: str) -> str:
    """The unit by which udev brings an ``allow-hotplug`` interface up, escaped as systemd.unit(5) says."""
    return "ifup@" + re.sub(r"[^a-zA-Z0-9:_.]", lambda match: f"\\x{ord(match.group()):02x}", ifname) + ".service"


def marked_up(tree: Tree, unit: str) -> frozenset[str]:
    """Interfaces that ``unit`` tells ifup beforehand are up already, as a take-over does it; ifup passes over them."""
    texts = [text for _, key, text in systemd_units.drop_ins(tree, unit) if key == "ExecStartPre"]
    return frozenset(name for text in texts for name in re.findall(rf">\s*{STATE}\.([^\s'\"]+)", text))


def excluded(tree: Tree) -> list[str]:
    """The names and patterns of EXCLUDE_INTERFACES of networking.service, by which ``ifup -a`` and ``ifdown -a`` leave
    interfaces alone. Environment files go before Environment=, a later one before an earlier (systemd.exec(5))."""
    own, paths = "", [DEFAULTS]
    for section, key, text in systemd_units.drop_ins(tree, UNIT):
        if (section, key) == ("Service", "Environment"):
            found = re.search(rf"{_EXCLUDED}=([^\"']*)", text)
            own = found[1] if found else own
        elif (section, key) == ("Service", "EnvironmentFile"):
            paths = [*paths, text.removeprefix("-")] if text else []
    for path in paths:
        own = assignments(tree.text(path) or "").get(_EXCLUDED, own)
    return own.replace("\\", " ").split()


def read(tree: Tree) -> Interfaces:
    """Its configuration."""
    return interfaces5.read(tree, INTERFACES)
