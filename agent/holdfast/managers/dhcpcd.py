"""dhcpcd as a manager of every link that its configuration does not deny (dhcpcd.conf(5)), as on Raspberry Pi OS.

It has no drop-ins. ``takeout`` makes a copy of dhcpcd.conf that ends with ``interface NAME`` and ``noipv4``, and has it
mounted over the file. Tried with 9.4.1 and 10.1.0, started anew with an address, its routes and others' on the link:
- with ``noipv4`` it leaves all that is IPv4 as it is, at its start, at a carrier loss and when it exits, and goes on
  with IPv6 (router advertisements, DHCPv6, static addresses, name servers).
- with ``nodhcp`` it makes a link-local address and takes the default route away.
- ``denyinterfaces`` would end IPv6 on the link as well.
A static address is no DHCPv4; nothing is taken out then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from holdfast.managers import dhcpcd_settings
from holdfast.managers.formats import dhcpcd_conf, ini, substitutions, systemd_units
from holdfast.managers.formats.dhcpcd_conf import Line
from holdfast.managers.formats.link_patterns import covers, overlaps
from holdfast.managers.formats.substitutions import Substitution
from holdfast.managers.formats.tree import Tree
from holdfast.managers.model import INSTEAD, Bind, File, Link, Takeout
from holdfast.settings.links import Rule
from holdfast.wire.record import NamedTuple

UNIT = "dhcpcd.service"
CONFIGURATION = "/etc/dhcpcd.conf"
#: Where the copy is.
COPY = f"/run/holdfast-overlay/dhcpcd{CONFIGURATION}"
#: What its script runs at each event (dhcpcd-run-hooks(8)).
HOOKS = ("/usr/lib/dhcpcd/dhcpcd-hooks", "/lib/dhcpcd/dhcpcd-hooks", "/usr/libexec/dhcpcd-hooks")
OWN_HOOKS = ("/etc/dhcpcd.enter-hook", "/etc/dhcpcd.exit-hook")
#: Hooks of distributions for what Holdfast does itself, or that have nothing to do with DHCPv4.
_OURS = re.compile(r"01-test|02-dump|10-wpa_supplicant|20-resolv\.conf|30-hostname|\d\d-(ntp|chrony|timesyncd|openntpd)"
                   r"[\w.-]*")
#: Options of its command line that change nothing of this.
_FLAGS = re.compile(r"-[qbdBLMwKJTjN]+|--(quiet|background|debug|nobackground|noipv4ll|manager|master|waitip|nolink|"
                    r"nodev)")


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
    return bool(systemd_units.enabled(tree, UNIT))


def options(tree: Tree) -> Options:
    """Its configuration; a missing file counts as an empty one."""
    text = substitutions.original(tree.text(CONFIGURATION) or "")
    lines = tuple(tuple(words) for line in text.splitlines() if (words := line.partition("#")[0].split()))
    return Options(lines, _links(lines, "denyinterfaces"), _links(lines, "allowinterfaces"))


def _links(lines: Sequence[tuple[str, ...]], option: str) -> tuple[str, ...]:
    return tuple(word for line in lines if line[0] == option for word in " ".join(line[1:]).replace(",", " ").split())


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


# -- the overlay -----------------------------------------------------------------------------------


def does_dhcpv4(tree: Tree, ifname: str) -> bool:
    """True if the configuration as dhcpcd reads it, which may be our copy, has it do DHCPv4 on a link of its own."""
    return _does(dhcpcd_conf.applied(tree.text(CONFIGURATION) or "", ifname))


def takeout(tree: Tree, link: Link) -> Takeout | None:
    """How DHCPv4, and only DHCPv4, is taken out of dhcpcd's hands on ``link``; None when it does none there.
    FormatError, OSError."""
    if not starts(tree) or claim(options(tree), link.name) is None:
        return None
    data = tree.read(CONFIGURATION)
    # Bytes that are no UTF-8 are kept; the reader, which replaces them, sees the same lines.
    text = substitutions.original((data or b"").decode("utf-8", "surrogateescape"))
    lines = dhcpcd_conf.applied(text, link.name)
    cared_for = link.name in dhcpcd_conf.named(text) or bool(options(tree).allowed)
    if not _does(lines) or (link.kind not in (None, "ether", "wlan", "vlan") and not cared_for):
        return None  # dhcpcd(8): bridges and the like are left alone unless they are named
    refusals = [] if data is not None else [f"{CONFIGURATION} is not there; make an empty one, for a copy is mounted "
                                            "over it"]
    refusals += [f"{UNIT}: `dhcpcd {word}` cannot be honoured; write it into {CONFIGURATION}" for word in _words(tree)
                 if not _FLAGS.fullmatch(word)]
    if link.pattern and not all(covers(link.name, each) for each in options(tree).allowed or ("*",)):
        refusals.append(f"{CONFIGURATION}: {link.name} is a pattern, and dhcpcd serves other links, too: name the "
                        f"links, or say `allowinterfaces {link.name}`")
    settings, unknown = dhcpcd_settings.of(tree, link, lines, list(dhcpcd_conf.lines(text)))
    refusals += [f"{CONFIGURATION}: `{line}` cannot be honoured; take it out, or leave this link to dhcpcd"
                 for line in unknown]
    copy = substitutions.copy(text, _added(text, link))
    entries = (File(COPY, copy.encode("utf-8", "surrogateescape")), Bind(CONFIGURATION, COPY))
    return Takeout("dhcpcd", CONFIGURATION, entries, settings, tuple(_lost(tree, lines)), tuple(refusals))


def _added(text: str, link: Link) -> substitutions.Substitutions:
    """A block of the link's own; for a pattern, which covers all links that dhcpcd serves, a line before all blocks."""
    if link.pattern:
        return {dhcpcd_conf.first_block(text): Substitution(0, ("noipv4",))}
    return {len(text.split("\n")): Substitution(0, (f"interface {link.name}", "noipv4"))}


def _does(lines: Sequence[Line]) -> bool:
    """Whether DHCPv4 is done; the last word counts."""
    dhcp = ipv4 = True
    for line in lines:
        if line.option in ("ipv4", "ipv4only", "noipv4", "ipv6only"):
            ipv4 = line.option in ("ipv4", "ipv4only")
        elif line.option in ("dhcp", "nodhcp"):
            dhcp = line.option == "dhcp"
        elif line.option == "inform" or (line.option == "static" and re.match(r"ip_address=\S", line.value)):
            dhcp = False
    return dhcp and ipv4


def _words(tree: Tree) -> list[str]:
    """What the unit starts dhcpcd with."""
    path = next((path for folder in systemd_units.FOLDERS if tree.is_file(path := f"{folder}/{UNIT}")), None)
    said = [*ini.settings((path and tree.text(path)) or ""), *systemd_units.drop_ins(tree, UNIT)]
    started = [value for section, key, value in said if (section, key) == ("Service", "ExecStart") and value]
    return started[-1].split()[1:] if started else []


def _lost(tree: Tree, lines: Sequence[Line]) -> Iterator[str]:
    """A line for each thing that is not done any more."""
    said = {line.option for line in lines}
    hooks = {path for folder in HOOKS for name in tree.names(folder)
             if not _OURS.fullmatch(name) and tree.is_file(path := f"{folder}/{name}")}
    for path in (*sorted(hooks), *(path for path in OWN_HOOKS if tree.is_file(path))):
        yield f"{path} is not run for DHCPv4 any more{INSTEAD}"
    if not said & {"noipv4ll", "noarp"}:
        yield "dhcpcd makes no link-local address (169.254.0.0/16) any more when no server answers"
    in_background = "background" in said or any(re.match("-[a-zA-Z]*b|--background", word) for word in _words(tree))
    if not in_background:
        yield (f"at boot {UNIT} waits up to 30 s for an address of dhcpcd's own, also where no IPv6 one comes; "
               f"`background` in {CONFIGURATION} has it wait for none")
    if "vendorclassid" not in said:
        yield "the vendor class of dhcpcd's own (option 60: its version and the kernel's) is not sent any more"
