"""network-scripts' ifcfg files (RHEL, CentOS, Rocky, Alma, Oracle Linux, Fedora).

From the source of network-scripts (ifup, network-functions), the same from RHEL 5 on: ``ifup IF`` takes the file that
is named after the interface, else the one with its hardware address, else the one with its DEVICE; leftovers of editors
and packages are passed over (/etc/init.d/functions).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from holdfast.managers.formats import ini
from holdfast.managers.formats.link_patterns import overlaps
from holdfast.managers.formats.shell_assignments import assignments
from holdfast.managers.formats.tree import Tree

FOLDER = "/etc/sysconfig/network-scripts"
_IGNORED = (".bak", ".old", ".orig", ".rpmnew", ".rpmorig", ".rpmsave", ".swp", ",v", "~")


class IfcfgFile(NamedTuple):
    """One ifcfg file. ``name`` is what follows "ifcfg-"."""

    name: str
    path: str
    settings: Mapping[str, str]

    @property
    def dhcp(self) -> bool:
        """True if ifup-eth starts a DHCPv4 client."""
        return self.settings.get("BOOTPROTO", "").lower() in ("dhcp", "bootp")

    @property
    def at_boot(self) -> bool:
        """True if the link is brought up at boot."""
        return not ini.is_off(self.settings.get("ONBOOT"))

    @property
    def links(self) -> str:
        """The link that it is for; "*" when only its hardware address says which."""
        return self.settings.get("DEVICE") or ("*" if self.settings.get("HWADDR") else self.name)


def installed(tree: Tree) -> bool:
    """True if network-scripts are there; without them NetworkManager alone reads ifcfg files."""
    return tree.is_file(f"{FOLDER}/ifup-eth")


def files(tree: Tree) -> list[IfcfgFile]:
    """All that network-scripts read, by name."""
    names = [name for name in tree.names(FOLDER) if name.startswith("ifcfg-") and not name.endswith(_IGNORED)]
    return [IfcfgFile(name[6:], f"{FOLDER}/{name}", assignments(tree.text(f"{FOLDER}/{name}") or "")) for name in names]


def files_of(every: Sequence[IfcfgFile], ifname: str, mac: bytes) -> list[IfcfgFile]:
    """The files that are for the interface, in the order in which ``ifup IFNAME`` looks. More than one is a mistake:
    at boot every file is brought up."""
    by_name = [one for one in every if one.name == ifname and one.settings.get("DEVICE", ifname) == ifname]
    by_mac = [one for one in every if one.settings.get("HWADDR", "").lower() == mac.hex(":")]
    by_device = [one for one in every if one.settings.get("DEVICE") == ifname]
    return list({one.path: one for one in (*by_name, *by_mac, *by_device)}.values())


def claim(every: Sequence[IfcfgFile], link: str) -> IfcfgFile | None:
    """The file by which ``link`` (a name or a pattern) gets a DHCPv4 client at boot, or might; None when there is
    none."""
    return next((one for one in every if one.dhcp and one.at_boot and overlaps(one.links, link)), None)
