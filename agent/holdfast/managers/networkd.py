"""systemd-networkd, also as netplan's backend: its .network files with their drop-ins (systemd.network(5))."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from holdfast.managers import cloud_init, networkd_conditions, networkd_settings
from holdfast.managers.formats import ini, systemd_units
from holdfast.managers.formats.link_patterns import covers, overlaps
from holdfast.managers.formats.tree import Tree
from holdfast.managers.model import Entry, File, Link, Symlink, Takeout
from holdfast.settings.links import Rule
from holdfast.wire.record import NamedTuple

UNIT, SOCKET = "systemd-networkd.service", "systemd-networkd.socket"
WAIT_ONLINE = "systemd-networkd-wait-online.service"
#: Where .network files and their drop-ins are, the strongest folder first.
FOLDERS = ("/etc/systemd/network", "/run/systemd/network", "/usr/local/lib/systemd/network", "/usr/lib/systemd/network",
           "/lib/systemd/network")
#: The program's own configuration: the strongest folder first, and drop-ins below it (networkd.conf(5)).
CONFIGURATION_FOLDERS = ("/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd", "/lib/systemd")
#: Where the overlay's files are. The first of the prefixes that puts them before the file in use is taken.
OVERLAY_FOLDER = "/run/systemd/network"
PREFIXES = ("05-", "00-", "0-")
OVERLAID = re.compile(rf"{OVERLAY_FOLDER}/0[05]?-holdfast-")
#: Sections that have networkd do something with a link.
_MANAGING = frozenset(("Network", "Address", "DHCPv4"))


class NetworkFile(NamedTuple):
    """A .network file with its drop-ins: (section, key, value) in the order in which networkd reads them. [DHCP], as
    the section was called and netplan calls it, is [DHCPv4] here. ``routes``: each [Route] section by itself.
    ``fulfilled``: keys of [Match] that are about the machine, and fit it."""

    path: str
    settings: tuple[tuple[str, str, str], ...]
    routes: tuple[Mapping[str, str], ...] = ()
    fulfilled: frozenset[str] = frozenset()

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
    def dhcp4(self) -> bool:
        """True if it has networkd do DHCPv4."""
        dhcp = (self.last("Network", "DHCP") or "").lower()
        return self.manages and (dhcp in ("ipv4", "v4", "both") or ini.is_on(dhcp))

    @property
    def dhcp6(self) -> bool:
        """True if it has networkd do DHCPv6, whether or not a router advertises it."""
        dhcp = (self.last("Network", "DHCP") or "").lower()
        return dhcp in ("ipv6", "v6", "both") or ini.is_on(dhcp)

    def matches(self, link: Link) -> bool | None:
        """Whether networkd takes it for ``link``, by all that [Match] says (systemd.network(5)); None where that is not
        known of the link, or only some of a pattern's links are meant."""
        answers = [self._names_fit(link.name)]
        for key in {key for section, key, _ in self.settings if section == "Match"} - {"Name", *self.fulfilled}:
            words = self.every("Match", key)
            if words:
                answers.append(_fits(words, _fact(link, key), addresses=key.endswith("MACAddress")))
        return False if False in answers else None if None in answers else True

    def _names_fit(self, link: str) -> bool | None:
        names = self.every("Match", "Name")
        if not names:
            return True
        negated = names[0].startswith("!")
        names = [names[0].removeprefix("!"), *names[1:]]
        if any(covers(name, link) for name in names):
            return not negated
        if any(overlaps(name, link) for name in names):
            return None
        return negated

    @property
    def links(self) -> tuple[str, ...]:
        """Names and patterns of the links that it may match."""
        names = self.every("Match", "Name")
        return tuple(names) if names and not names[0].startswith("!") else ("*",)

    @property
    def macs(self) -> tuple[str, ...]:
        """The hardware addresses that it is for, as aa:bb:cc:dd:ee:ff; empty: for all."""
        words = (*self.every("Match", "MACAddress"), *self.every("Match", "PermanentMACAddress"))
        return tuple(":".join(re.findall("..", re.sub("[^0-9a-f]", "", word.lower()))) for word in words)

    @property
    def conditional(self) -> bool:
        """True if neither names nor hardware addresses alone say which links it is for."""
        others = {(key, value) for section, key, value in self.settings
                  if section == "Match" and key not in ("Name", "MACAddress", "PermanentMACAddress", *self.fulfilled)}
        return bool(others - {("Type", "ether")})

    @property
    def for_cards(self) -> bool:
        """False if it certainly matches no wired network card: it is for wireless links, bridges and the like."""
        words = self.every("Match", "Type")
        return _fits(words, "ether", addresses=False) is not False if words else not any(
            self.every("Match", key) for key in _NOT_OF_CARDS)

    @property
    def by_name(self) -> bool:
        """True if it matches all ``links`` for certain: nothing but their names decides."""
        names = self.every("Match", "Name")
        return not self.conditional and not self.macs and not (names and names[0].startswith("!"))


#: Keys of [Match] that no wired network card fits.
_NOT_OF_CARDS = ("WLANInterfaceType", "SSID", "BSSID", "Kind")


def starts(tree: Tree, *, rendered: bool) -> bool:
    """True if networkd runs after the next boot. ``rendered``: netplan or cloud-init write something for it."""
    if not systemd_units.exists(tree, UNIT) or systemd_units.masked(tree, UNIT):
        return False
    return rendered or bool(systemd_units.enabled(tree, UNIT, SOCKET))


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
    files = [file for path in paths if not systemd_units.is_void(tree, path)
             if (file := _on_this_machine(tree, network_file(tree, path))) is not None]
    return sorted([*files, *([RENDERED] if rendered else [])], key=lambda file: file.name)


def _on_this_machine(tree: Tree, file: NetworkFile) -> NetworkFile | None:
    """The file with what is known of the machine; None for one that is for others."""
    said = {key: value for section, key, value in file.settings if section == "Match" and value}
    answers = {key: networkd_conditions.fits(tree, key, value) for key, value in said.items()}
    if False in answers.values():
        return None
    return file._replace(fulfilled=frozenset(key for key, answer in answers.items() if answer))


def network_file(tree: Tree, path: str) -> NetworkFile:
    """One of them with its drop-ins, which may be in every folder, and are read in the order of their names. A file
    that is not there has its drop-ins."""
    folders = [f"{folder}/{posixpath.basename(path)}.d" for folder in FOLDERS]
    sections = [one for each in (path, *tree.merged(folders, ".conf").values())
                for one in ini.sections(tree.text(each) or "")]
    return NetworkFile(
        path,
        tuple(("DHCPv4" if section == "DHCP" else section, key, value)
              for section, assignments in sections for key, value in assignments),
        tuple(dict(assignments) for section, assignments in sections if section == "Route"),
    )


def claim(files: Sequence[NetworkFile], link: str) -> NetworkFile | None:
    """The file by which networkd would configure ``link`` (a name or a pattern), or might; None when it does not. A
    pattern means network cards, and so does a name that udev gives to those."""
    card = bool(set("*?[") & set(link)) or link.startswith(("en", "eth"))
    for file in [file for file in files if file.for_cards or not card]:
        if file.by_name and any(covers(name, link) for name in file.links):
            if file.manages or file.unmanaged:
                return file if file.manages else None
        elif file.manages and any(overlaps(name, link) for name in file.links):
            return file
    return None


# -- the overlay -----------------------------------------------------------------------------------


def takeout(tree: Tree, link: Link) -> Takeout | None:
    """How DHCPv4, and only DHCPv4, is taken out of networkd's hands on ``link``; None when it does none there.

    networkd reads drop-ins by a file's own name, and the first file by name counts. So a symbolic link to the file in
    use comes first, under a name of ours, with links to that file's drop-ins and one more. Whatever is rendered anew
    is in force at once. Where several files may match, each gets such a link, in their order. [Match] stays, but for
    its names: what else it wants is networkd's to decide, as before.
    """
    image = not tree.names("/run/systemd")
    rendered = netplan_renders(tree) or (image and cloud_init.renderer(tree) in ("netplan", "networkd"))
    if not starts(tree, rendered=rendered):
        return None
    if image and rendered:
        return Takeout("systemd-networkd", "what netplan or cloud-init render at boot")
    files = _candidates([file for file in network_files(tree, rendered=False) if not OVERLAID.match(file.path)], link)
    dhcp = [file for file in files if file.dhcp4]
    if not dhcp:
        return None
    if len(dhcp) > 1:
        settings = [networkd_settings.of(tree, file.settings, CONFIGURATION_FOLDERS, file.routes) for file in dhcp]
        if any(each != settings[0] for each in settings):
            return _refused(dhcp[0], f"{link.name} is configured by {' or '.join(file.path for file in dhcp)}, which "
                                     "differ in [DHCPv4]: name the links instead of a pattern")
    prefix = next((prefix for prefix in PREFIXES if f"{prefix}holdfast-" < min(file.name for file in files)), None)
    if prefix is None:
        return _refused(files[0], f"{files[0].path} comes before any name of ours; rename it to 10-{files[0].name}")
    read = networkd_settings.of(tree, dhcp[0].settings, CONFIGURATION_FOLDERS, dhcp[0].routes)
    entries: list[Entry] = []
    refusals = [f"{dhcp[0].path}: {line}" for line in read.refusals]
    for number, file in enumerate(files):
        names = _narrowed(file, link.name)
        if names is None:
            refusals.append(f"{file.path} matches only some of {link.name}, not by a pattern of names alone: name the "
                            "links instead")
            continue
        path = f"{OVERLAY_FOLDER}/{prefix}holdfast-{link.name}{f'+{number}' if len(files) > 1 else ''}.network"
        entries += _overlaid(tree, file, path, names)
    return Takeout("systemd-networkd", dhcp[0].path, tuple(entries), read.settings, read.lost, tuple(refusals))


def rules(tree: Tree, link: Link) -> list[Rule] | None:
    """On which links of a pattern networkd does DHCPv4, by the files that may be for them; None when it does not
    start."""
    if not starts(tree, rendered=netplan_renders(tree)):
        return None
    files = [file for file in network_files(tree, rendered=False) if not OVERLAID.match(file.path)]
    return [Rule("networkd", name, mac, file.dhcp4)
            for file in _candidates(files, link) if file.dhcp4 or not file.conditional
            for name in _narrowed(file, link.name) or () for mac in file.macs or ("",)]


def _refused(file: NetworkFile, reason: str) -> Takeout:
    return Takeout("systemd-networkd", file.path, refusals=(reason,))


def _candidates(files: Sequence[NetworkFile], link: Link) -> list[NetworkFile]:
    """The files by which networkd may configure the link, in their order: up to the first that does for certain."""
    found = []
    for file in files:
        answer = file.matches(link)
        if answer is not False and any(section == "Match" for section, _, _ in file.settings):
            found.append(file)
            if answer:
                break
    return found


def _narrowed(file: NetworkFile, link: str) -> tuple[str, ...] | None:
    """The names that a copy of ``file`` for ``link`` (a name or a pattern) is to match: those that both do. None when
    no pattern says that."""
    names = file.every("Match", "Name")
    if not names or (any(covers(name, link) for name in names) and not names[0].startswith("!")):
        return (link,)
    if names[0].startswith("!"):
        return (link,) if not any(overlaps(name.removeprefix("!"), link) for name in names) else None
    common = [name for name in names if overlaps(name, link)]
    return tuple(common) if all(covers(link, name) for name in common) else None


def _overlaid(tree: Tree, file: NetworkFile, path: str, names: Sequence[str]) -> Iterator[Entry]:
    """The entries that put ``path`` in the place of ``file``."""
    drop_ins = tree.merged([f"{folder}/{file.name}.d" for folder in FOLDERS], ".conf")
    yield from (Symlink(f"{path}.d/{name}", target) for name, target in drop_ins.items())
    last = "zz-holdfast.conf"
    if drop_ins and max(drop_ins) >= last:
        last = max(drop_ins).removesuffix(".conf") + "~holdfast.conf"
    lines = ["# Holdfast does DHCPv4 here, and networkd all else. Made anew at each boot.", "[Match]", "Name=",
             f"Name={' '.join(names)}"]
    if file.dhcp4:
        lines += ["[Network]", f"DHCP={'ipv6' if file.dhcp6 else 'no'}", f"KeepConfiguration={_kept(file)}"]
    yield File(f"{path}.d/{last}", "".join(f"{line}\n" for line in lines).encode())
    yield Symlink(path, file.path)


def _kept(file: NetworkFile) -> str:
    """The narrowest KeepConfiguration= with which networkd lets addresses with a lifetime and routes from DHCP be, and
    all that the file itself keeps."""
    kept = (file.last("Network", "KeepConfiguration") or "").lower()
    if not kept:  # netplan's `critical`, before systemd 243
        kept = "yes" if ini.is_on(file.last("DHCPv4", "CriticalConnection")) else ""
    return "yes" if kept == "static" or ini.is_on(kept) else "dhcp"


def _fact(link: Link, key: str) -> str | None:
    """What is known of the link for a key of [Match]."""
    return {"MACAddress": link.mac, "PermanentMACAddress": link.permanent_mac, "Driver": link.driver,
            "Path": link.path, "Type": link.kind}.get(key)


def _fits(words: Sequence[str], fact: str | None, *, addresses: bool) -> bool | None:
    """Whether one of ``words`` (shell patterns, after a "!" none of them) fits ``fact``; None when that is unknown."""
    if fact is None:
        return None
    if addresses:
        plain = [re.sub("[^0-9a-f]", "", word.lower()) for word in words]
        return re.sub("[^0-9a-f]", "", fact.lower()) in plain
    negated = words[0].startswith("!")
    return any(fnmatchcase(fact, word.removeprefix("!")) for word in words) != negated
