"""Debian's ifupdown: which links get a DHCPv4 client from ifup, at boot (networking.service) or from udev (ifup@), and
how they get none.

ifupdown has no drop-ins. ``takeout`` makes a copy of each file with an ``iface NAME inet dhcp`` of the link, and has it
mounted over the file, so that whoever runs ifup and ifdown (the units, udev, cloud-init, a person) reads it; the mounts
are gone after a boot, and made again before networking.service. In the copy:
- the method is ``manual``, which sets the link up as a client does, and applies ``hwaddress``. It also applies ``mtu``,
  which ``dhcp`` does not, so that option is written ``MTU``: hooks get the same IF_MTU, and ifup passes over it. All of
  this is tried with 0.8.41.
- a folder below /run, which udev fills with stanzas of cards that it finds (Debian's cloud images before 12), is read
  from copies likewise: what is written there later is read when the overlay has been made anew, before ifup@ starts.
- an ``up`` line waits for the address, at most as long as dhclient does, because what follows may need it.
Everything else is as it was, byte for byte.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from holdfast.managers import dhclient, dhcpcd_settings, served_links
from holdfast.managers.formats import dhcp_options, interfaces5, substitutions, systemd_units
from holdfast.managers.formats.errors import FormatError
from holdfast.managers.formats.interfaces5 import INTERFACES, Interfaces, Source, Stanza
from holdfast.managers.formats.link_patterns import covers, is_pattern, overlaps
from holdfast.managers.formats.shell_assignments import assignments
from holdfast.managers.formats.substitutions import Substitution
from holdfast.managers.formats.tree import Tree
from holdfast.managers.model import Bind, Entry, File, Link, Takeout, Value
from holdfast.settings.links import Rule
from holdfast.wire.record import NamedTuple

UNIT = "networking.service"
#: What networking.service reads on Debian; a drop-in may name others.
DEFAULTS = "/etc/default/networking"
#: Which interfaces are up, and as what: "eth0=office".
STATE = "/run/network/ifstate"
#: Where the copies are, each with the path of its file below.
COPIES = "/run/holdfast-overlay/ifupdown"
#: What ifup runs for ``inet dhcp``, the first that is there.
CLIENTS = ("dhclient", "udhcpc", "dhcpcd")
#: dhclient waits for an address for a minute, and ifup for dhclient. Without the copy nobody serves the link any more.
#: A boot waits for ifup: it looks twenty times a second for two seconds, then five times.
_WAIT = ("\tup n=0; while [ $n -lt 330 ] && [ -e {copy} ] && ! ip -4 -o addr show dev \"$IFACE\" scope global | "
         "grep -q .; do [ $n -lt 40 ] || sleep 0.15; sleep 0.05; n=$((n+1)); done")
_BLANK = r"(?:[ \t\r\v\f]|\\\n)"
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
    return bool(systemd_units.enabled(tree, UNIT)) and any(programs)


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
        yield from _served_as(interfaces, logical)


def _served_as(interfaces: Interfaces, logical: str) -> list[Served]:
    stanza = f"`iface {logical} inet dhcp`"
    found = [*_selected(interfaces, logical, stanza), *_mapped(interfaces, logical, stanza)]
    return found or [Served(logical, stanza, hotplug=False)]  # a person or a script may bring it up


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


def takeout(tree: Tree, link: Link) -> Takeout | None:
    """How ifup starts no DHCPv4 client on ``link`` any more; None when it starts none. FormatError, OSError."""
    if not starts(tree):
        return None
    interfaces = read(tree)
    reached = {one.name: _served_as(interfaces, one.name) for one in interfaces.stanzas if one.dhcp}
    logical = {name for name, every in reached.items() if any(overlaps(one.links, link.name) for one in every)}
    taken = [one for one in interfaces.stanzas if one.dhcp and one.name in logical]
    if not taken and not any(map(_volatile, interfaces.sources)):
        return None
    refusals = [
        f"{INTERFACES}: {one.why} also serves other links than {link.name}; serve {one.links}, or give {link.name} a "
        "stanza of its own" for name in sorted(logical) for one in reached[name] if not covers(link.name, one.links)
    ]
    sole = {one.links for every in reached.values() for one in every}
    if link.pattern and len(sole) == 1 and not is_pattern(*sole):  # the one link that the pattern means here
        link = served_links.describe(tree, *sole)
    settings, unknown, lost = _settings(tree, link, taken)
    templates = {one.inherits for one in interfaces.stanzas}
    brought_up = (name for name in reached
                  if name in logical or name not in templates or any(_selected(interfaces, name, "")))
    first = next(brought_up, None) in (None, *logical)
    if first and not link.pattern and "metric" not in settings and _client(tree) != "dhcpcd":
        # The scripts' own. The kernel has but one route of that metric: the default route is the first link's.
        settings["metric"] = 0
    if _client(tree) != "dhcpcd" and settings.get("metric") != 0:
        settings["subnet_metric"] = 0  # the scripts leave that route to the kernel, and give the others the metric
    source = taken[0].path if taken else INTERFACES
    return Takeout("ifupdown", source, tuple(_entries(tree, interfaces, taken)), settings, lost,
                   (*dict.fromkeys(refusals), *unknown))


def rules(tree: Tree, link: Link) -> list[Rule] | None:
    """On which links of a pattern ifup starts a client; None when it does not start, or has nothing but loopback to do.
    FormatError, OSError."""
    if not starts(tree):
        return None
    interfaces = read(tree)
    if all(one.name == "lo" for one in interfaces.stanzas):
        return None
    return [Rule("ifupdown", one.links, "", dhcp=True) for one in served(interfaces) if overlaps(one.links, link.name)]


def _volatile(source: Source) -> bool:
    """True for what another program writes at each boot."""
    return source.pattern.startswith("/run/")


def _settings(tree: Tree, link: Link, taken: list[Stanza]) -> tuple[dict[str, Value], tuple[str, ...], tuple[str, ...]]:
    """Ours for the link, what cannot be honoured, and the hooks that are not run any more, by the client that ifup
    would start: dhclient's options are ``client`` and ``metric``, udhcpc's ``hostname``, dhcpcd's all."""
    options = {word: value for stanza in taken for word, value in stanza.options}
    client = _client(tree)
    metric = options.get("metric", "")
    settings: dict[str, Value] = {}
    if metric.isascii() and metric.isdigit() and client != "udhcpc":
        settings["metric"] = int(metric)
    if client == "dhclient":
        told = dhclient.read(tree, link)
        own = None if options.get("client") == "no" else \
            dhclient.client_id(tree, link.mac, f"/var/lib/dhcp/dhclient.{link.name}.leases")
        # Debian's dhclient-script searches both, and its name before the list.
        settings = {"use_domain_name": True, "dotted_search": True, **({"client_id": own} if own else {}), **settings,
                    **told.settings}
        return settings, told.refusals, \
            tuple(dhclient.lost_hooks(tree))
    if "hostname" in options:
        settings["hostname"] = options["hostname"]
    if client == "dhcpcd" and "vendor" in options:
        settings["vendor_class"] = options["vendor"]
    if client == "dhcpcd" and options.get("client"):
        settings["client_id"] = dhcpcd_settings.client_id(options["client"])
    time = dhcp_options.number(options.get("leasetime"), 4) if client == "dhcpcd" else None
    if time is not None:
        settings["send_options"] = (f"51=hex:{time.hex()}",)
    return settings, (), ()


def _client(tree: Tree) -> str:
    return next((one for one in CLIENTS for folder in ("/usr/sbin", "/sbin", "/usr/bin", "/bin")
                 if tree.is_file(f"{folder}/{one}")), CLIENTS[0])


def _entries(tree: Tree, interfaces: Interfaces, taken: list[Stanza]) -> Iterator[Entry]:
    """A copy of each file with a stanza that changes, and its mount."""
    for path in interfaces.files:
        # Bytes that are no UTF-8 are kept; the reader, which replaces them, sees the same lines.
        text = substitutions.original((tree.read(path) or b"").decode("utf-8", "surrogateescape"))
        copy = f"{COPIES}{path}"
        found = _substitutions(interfaces, path, text, taken, copy)
        volatile = any(_volatile(one) and _reads(one, path) for one in interfaces.sources)
        if found or volatile:
            content = substitutions.copy(text, found).encode("utf-8", "surrogateescape")
            yield File(copy, content, tree.permissions(path))
            if not volatile:  # else it is read from the copy's own place
                yield Bind(path, copy)


def _substitutions(
    interfaces: Interfaces, path: str, text: str, taken: list[Stanza], copy: str
) -> dict[int, Substitution]:
    stanzas = {one.line: one for one in interfaces.stanzas if one.path == path}
    sources = [one for one in interfaces.sources if one.path == path]
    physical, inside = text.split("\n"), False
    found: dict[int, Substitution] = {}
    for first, end, whole in interfaces5.spans(physical):
        word, now = whole.split(None, 1)[0], physical[first:end]
        if word == "iface" and first + 1 in stanzas:
            stanza = stanzas[first + 1]
            inside = stanza in taken
            new = _header(interfaces, stanza, now, taken)
            new += [_WAIT.format(copy=copy)] if inside else []
        elif interfaces5.ends_stanza(word):
            inside = False
            new = _sourced([one for one in sources if one.line == first + 1]) or now
        elif inside and word == "mtu":
            new = [re.sub(r"\bmtu\b", "MTU", now[0], count=1), *now[1:]]
        else:
            continue
        if new != now:
            found[first] = Substitution(len(now), tuple(new))
    return found


def _sourced(sources: list[Source]) -> list[str]:
    """A ``source`` line of the same, with copies of what is below /run; nothing where that is no part of it."""
    if not any(map(_volatile, sources)):
        return []
    patterns = (f"{COPIES if _volatile(one) else ''}{one.pattern}" for one in sources)
    return [" ".join((sources[0].keyword, *patterns))]


def _reads(source: Source, path: str) -> bool:
    folder, name = posixpath.split(path)
    return fnmatchcase(folder, source.folder) and source.reads(name)


def _header(interfaces: Interfaces, stanza: Stanza, now: list[str], taken: list[Stanza]) -> list[str]:
    """The lines of an ``iface`` line, with the method that it shall have. FormatError when that cannot be written."""
    if not stanza.dhcp or (stanza not in taken and not any(one.name == stanza.inherits for one in taken)):
        return now
    text, method = "\n".join(now), "manual" if stanza in taken else "dhcp"
    begin = rf"^({_BLANK}*iface{_BLANK}+{re.escape(stanza.name)}{_BLANK}+inet{_BLANK}+)"
    text, count = re.subn(rf"{begin}dhcp(?={_BLANK}|$)", rf"\g<1>{method}", text)
    if not count:  # the method is another stanza's
        begin = rf"^({_BLANK}*iface{_BLANK}+{re.escape(stanza.name)})(?:{_BLANK}+inet)?"
        text, count = re.subn(rf"{begin}(?={_BLANK}+inherits{_BLANK})", rf"\g<1> inet {method}", text)
    if not count:
        raise FormatError(f"{stanza.path}:{stanza.line}: `{now[0].strip()}` cannot be read without `inherits`; write "
                          f"`iface {stanza.name} inet dhcp` with its own options")
    others = [one for one in interfaces.stanzas if stanza.inherits and one.name == stanza.inherits and one not in taken]
    inherited = [option for one in others for option in one.options]
    if stanza in taken and any(word == "mtu" for word, _ in inherited):  # written out: dhcp has no mtu, and manual has
        text = re.sub(rf"{_BLANK}+inherits{_BLANK}+\S+", "", text)
        return [*text.split("\n"), *(f"    {'MTU' if word == 'mtu' else word} {value}" for word, value in inherited)]
    return text.split("\n")
