"""systemd-networkd, also as netplan's backend: its .network files with their drop-ins (systemd.network(5))."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from typing import NamedTuple

from holdfast.managers.formats import ini, systemd_units
from holdfast.managers.formats.link_patterns import covers, overlaps
from holdfast.managers.formats.tree import Tree

UNIT, SOCKET = "systemd-networkd.service", "systemd-networkd.socket"
WAIT_ONLINE = "systemd-networkd-wait-online.service"
#: Where .network files and their drop-ins are, the strongest folder first.
FOLDERS = ("/etc/systemd/network", "/run/systemd/network", "/usr/local/lib/systemd/network", "/usr/lib/systemd/network",
           "/lib/systemd/network")
#: Sections that have networkd do something with a link.
_MANAGING = frozenset(("Network", "Address", "DHCPv4"))


class NetworkFile(NamedTuple):
    """A .network file with its drop-ins: (section, key, value) in the order in which networkd reads them. [DHCP], as
    the section was called and netplan calls it, is [DHCPv4] here."""

    path: str
    settings: tuple[tuple[str, str, str], ...]

    @property
    def name(self) -> str:
        """Its file name: of all that match a link the first by name counts, whatever folder it is in."""
        return posixpath.basename(self.path)

    def last(self, section: str, key: str) -> str | None:
        """The value that counts of a setting that has one, None where it is not set."""
        return next((value for *where, value in reversed(self.settings) if where == [section, key]), None)

    def every(self, section: str, key: str) -> list[str]:
        """The words of a setting that adds up; an empty value takes back what was before."""
        words: list[str] = []
        for *where, value in self.settings:
            if where == [section, key]:
                words = [*words, *value.split()] if value else []
        return words

    @property
    def unmanaged(self) -> bool:
        """True if it keeps networkd off the links that it matches."""
        return ini.is_on(self.last("Link", "Unmanaged"))

    @property
    def manages(self) -> bool:
        """True if it has networkd configure the links that it matches."""
        return not self.unmanaged and any(section in _MANAGING for section, _, _ in self.settings)

    @property
    def links(self) -> tuple[str, ...]:
        """Names and patterns of the links that it may match."""
        names = self.every("Match", "Name")
        return tuple(names) if names and not names[0].startswith("!") else ("*",)

    @property
    def by_name(self) -> bool:
        """True if it matches all ``links`` for certain: nothing but their names decides."""
        others = {(key, value) for section, key, value in self.settings if section == "Match" and key != "Name"}
        names = self.every("Match", "Name")
        return not others - {("Type", "ether")} and not (names and names[0].startswith("!"))


def starts(tree: Tree, *, rendered: bool) -> bool:
    """True if networkd runs after the next boot. ``rendered``: netplan or cloud-init write something for it."""
    if not systemd_units.exists(tree, UNIT) or systemd_units.masked(tree, UNIT):
        return False
    return rendered or not systemd_units.enabled(tree).isdisjoint((UNIT, SOCKET))


def netplan_renders(tree: Tree) -> bool:
    """True if netplan has something to write for networkd; it starts networkd then."""
    texts = [tree.text(f"/etc/netplan/{name}") or "" for name in tree.names("/etc/netplan") if name.endswith(".yaml")]
    ours = [text for text in texts if not re.search(r"renderer:\s*NetworkManager", text)]
    return bool(ours) and tree.is_file("/usr/sbin/netplan")


#: What stands for the file that netplan or cloud-init's own renderer write for each link at boot.
RENDERED = NetworkFile("10-", (("Match", "PermanentMACAddress", "that of the link"), ("Network", "DHCP", "yes")))


def network_files(tree: Tree, *, rendered: bool) -> list[NetworkFile]:
    """All that are in force, in the order in which they count. ``rendered``: with what is yet to be written."""
    paths = tree.merged(FOLDERS, ".network").values()
    files = [network_file(tree, path) for path in paths if not systemd_units.is_void(tree, path)]
    return sorted([*files, *([RENDERED] if rendered else [])], key=lambda file: file.name)


def network_file(tree: Tree, path: str) -> NetworkFile:
    """One of them with its drop-ins, which may be in every folder, and are read in the order of their names. A file
    that is not there has its drop-ins."""
    folders = [f"{folder}/{posixpath.basename(path)}.d" for folder in FOLDERS]
    return NetworkFile(path, tuple(
        ("DHCPv4" if section == "DHCP" else section, key, value)
        for each in (path, *tree.merged(folders, ".conf").values())
        for section, key, value in ini.settings(tree.text(each) or "")
    ))


def claim(files: Sequence[NetworkFile], link: str) -> NetworkFile | None:
    """The file by which networkd would configure ``link`` (a name or a pattern), or might; None when it does not."""
    for file in files:
        if file.by_name and any(covers(name, link) for name in file.links):
            if file.manages or file.unmanaged:
                return file if file.manages else None
        elif file.manages and any(overlaps(name, link) for name in file.links):
            return file
    return None
