"""network-scripts' ifcfg files (RHEL, CentOS, Rocky, Alma, Oracle Linux, Fedora).

From the source of network-scripts (ifup, network-functions), the same from RHEL 5 on: ``ifup IF`` takes the file that
is named after the interface, else the one with its hardware address, else the one with its DEVICE; leftovers of editors
and packages are passed over (/etc/init.d/functions).

With any other BOOTPROTO than dhcp or bootp, and without IPADDR, ``ifup`` sets the link up and applies the rest (MTU,
bridge, VLAN, IPv6). So ``takeout`` mounts a copy of the file over it that says BOOTPROTO=none, without the lines that
BOOTPROTO=dhcp hides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from holdfast.managers import dhclient
from holdfast.managers import networkmanager as nm
from holdfast.managers.formats import ini, substitutions
from holdfast.managers.formats.errors import FormatError
from holdfast.managers.formats.link_patterns import covers, overlaps
from holdfast.managers.formats.shell_assignments import assignments
from holdfast.managers.formats.substitutions import Substitution
from holdfast.managers.formats.tree import Tree
from holdfast.managers.model import Bind, File, Link, Takeout, Value
from holdfast.settings.links import Rule
from holdfast.wire.record import NamedTuple

FOLDER = "/etc/sysconfig/network-scripts"
#: Where the copies are, each with the path of its file below.
COPIES = "/run/holdfast-overlay/ifcfg"
_BOOTPROTO = re.compile(r"^([ \t]*(?:export[ \t]+)?BOOTPROTO=)[^\r#;]*?([ \t]*(?:[#;][^\r]*)?\r?)$")
#: Read by ifup-eth with BOOTPROTO=none alone.
_HIDDEN = re.compile(r"^[ \t]*(?:export[ \t]+)?(?:IPADDR|PREFIX|NETMASK)\d*=")
#: Switches of the use of replies, which are on unless they say no.
_SWITCHES = {"PEERDNS": "use_dns", "PEERNTP": "use_ntp", "DEFROUTE": "use_gateway"}
#: Of DHCLIENTARGS: how dhclient runs, not what it sends.
_RUNS = frozenset(("-1", "-nw", "-q", "-v", "-d"))
#: What it sends (dhclient(8) of Enterprise Linux).
_SENDS = {"-H": "hostname", "-F": "fqdn", "-V": "vendor_class", "-C": "client_id"}
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
    return [IfcfgFile(name[6:], f"{FOLDER}/{name}",
                      assignments(substitutions.original(tree.text(f"{FOLDER}/{name}") or ""))) for name in names]


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


def takeout(tree: Tree, link: Link) -> Takeout | None:
    """How ``ifup`` starts no DHCPv4 client on ``link`` any more; None when it starts none, or where NetworkManager
    does it. FormatError, OSError."""
    every = [one for one in files(tree) if one.dhcp]
    taken = [one for one in every if _is_for(one, link) and not _networkmanager_s(tree, one)]
    if not taken:
        return None
    refusals = [f"{one.path} also serves other links than {link.name}; serve {one.links}"
                for one in taken if one.links != "*" and not covers(link.name, one.links)]
    told = dhclient.read(tree, link, dhclient.REQUESTED_REDHAT, of_link=True)
    settings: dict[str, Value] = dict(told.settings)
    if len(every) == 1 and not link.pattern:
        settings["metric"] = 0  # dhclient-script's own; with more links the kernel has but one route of that metric
    entries: list[File | Bind] = []
    for one in taken:
        text = substitutions.original((tree.read(one.path) or b"").decode("utf-8", "surrogateescape"))
        copy = f"{COPIES}{one.path}"
        content = substitutions.copy(text, _substitutions(one, text)).encode("utf-8", "surrogateescape")
        entries += [File(copy, content, tree.permissions(one.path)), Bind(one.path, copy)]
        settings.update(_settings(one))
        said, unknown = _arguments(one.settings.get("DHCLIENTARGS", "").split())
        settings.update(said)
        if unknown:
            refusals.append(f"{one.path}: DHCLIENTARGS={' '.join(unknown)} cannot be honoured; take it out, or leave "
                            "this link to dhclient")
    if settings.get("metric") != 0:
        settings["subnet_metric"] = 0  # dhclient-script leaves that route to the kernel
    return Takeout("ifcfg", taken[0].path, tuple(entries), settings, tuple(dhclient.lost_hooks(tree)),
                   (*refusals, *told.refusals))


def rules(tree: Tree, link: Link) -> list[Rule] | None:
    """On which links of a pattern ``ifup`` starts a client at boot; None when no file is for a link of it."""
    every = [one for one in files(tree) if one.name != "lo" and not _networkmanager_s(tree, one)]
    return [Rule("ifcfg", one.links, one.settings.get("HWADDR", "").lower(), one.dhcp and one.at_boot)
            for one in every if overlaps(one.links, link.name)] if every else None


def _is_for(file: IfcfgFile, link: Link) -> bool:
    mac = file.settings.get("HWADDR", "").lower()
    if file.links == "*":
        return link.pattern or mac in (link.mac, link.permanent_mac)
    return overlaps(file.links, link.name)


def _networkmanager_s(tree: Tree, file: IfcfgFile) -> bool:
    """True if NetworkManager reads the file; network-scripts leave it to it then."""
    return nm.starts(tree) and not ini.is_off(file.settings.get("NM_CONTROLLED"))


def _settings(file: IfcfgFile) -> dict[str, Value]:
    said = file.settings
    settings: dict[str, Value] = {ours: False for key, ours in _SWITCHES.items() if ini.is_off(said.get(key))}
    metric, name = said.get("METRIC", ""), said.get("DHCP_HOSTNAME") or said.get("DHCP_FQDN")
    if metric.isascii() and metric.isdigit():
        settings["metric"] = int(metric)
    if name:
        settings["hostname"] = name
    return settings


def _arguments(words: list[str]) -> tuple[dict[str, Value], list[str]]:
    """What the words of DHCLIENTARGS mean as settings of ours, and those that mean something else."""
    settings: dict[str, Value] = {}
    unknown: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in _SENDS:
            value = next(rest, "")
            settings[_SENDS[word]] = value.encode().hex() if word == "-C" else value
        elif word == "-B":
            settings["broadcast_flag"] = True
        elif word == "-timeout":
            next(rest, "")
        elif word not in _RUNS:
            unknown.append(word)
    return settings, unknown


def _substitutions(file: IfcfgFile, text: str) -> dict[int, Substitution]:
    found: dict[int, Substitution] = {}
    for number, line in enumerate(text.split("\n")):
        new, count = _BOOTPROTO.subn(r"\1none\2", line)
        if count:
            found[number] = Substitution(1, (new,))
        elif _HIDDEN.match(line):
            found[number] = Substitution(1, ())
    if not any(one.lines for one in found.values()):
        raise FormatError(f"{file.path} sets BOOTPROTO in a way that cannot be read; write BOOTPROTO=dhcp on a line of "
                          "its own")
    return found
