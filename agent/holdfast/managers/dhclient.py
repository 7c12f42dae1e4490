"""dhclient's configuration (dhclient.conf(5)) as settings of ours, and the hooks of its script."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from holdfast.managers.formats import dhclient_expressions, dhclient_leases, dhclient_text
from holdfast.managers.formats.dhclient_expressions import Known
from holdfast.managers.formats.tree import Tree
from holdfast.managers.model import INSTEAD, Link, Value
from holdfast.settings import checks
from holdfast.wire.record import NamedTuple

CONFIGURATIONS = ("/etc/dhcp/dhclient.conf", "/etc/dhclient.conf")
#: What its script runs at each event (dhclient-script(8)).
HOOKS = ("/etc/dhcp/dhclient-enter-hooks.d", "/etc/dhcp/dhclient-exit-hooks.d", "/etc/dhcp/dhclient.d")
#: Hooks of distributions for what Holdfast does itself: routes of option 121, name servers, NTP servers.
_OURS = ("debug", "rfc3442-classless-routes", "resolved", "timesyncd", "chrony", "chrony.sh", "ntp", "ntp.sh")
#: What a reply is used for, and the options by which dhclient learns it. What is not requested is not used.
_USES = {
    "use_dns": ("domain-name-servers",), "use_domains": ("domain-name", "domain-search"), "use_gateway": ("routers",),
    "use_mtu": ("interface-mtu",), "use_ntp": ("ntp-servers",),
}
#: What is requested without a `request` (clparse.c of 4.4; Enterprise Linux adds to it).
REQUESTED = frozenset(("domain-name", "domain-name-servers", "routers"))
REQUESTED_REDHAT = REQUESTED | {"domain-search", "interface-mtu", "ntp-servers"}
#: How messages are timed and servers chosen, which Holdfast does in its own way; and what belongs to DHCPv6 or to DNS.
_TIMING = frozenset((
    "timeout", "retry", "reboot", "select-timeout", "initial-interval", "backoff-cutoff", "initial-delay",
    "do-forward-updates", "dhcp-cache-threshold", "key", "zone", "option", "db-time-format", "lease-id-format",
    "vendor", "bootp-broadcast-always",
))
#: Changes to what a server says. Of these options they are about the exchange itself, which Holdfast does its own way
#: (54: a server identifier of 255.255.255.255 has every renewal go by broadcast; 58, 59: when it begins) ...
_EDITS = ("supersede", "prepend", "append", "default")
_OF_EXCHANGE = frozenset((54, 58, 59))
#: ... or decides how long an address is used.
_NOT_EDITED = frozenset((50, 51, 53, 55, 61))
#: Options that are sent by settings of their own.
_SENT_BY_NAME = frozenset((12, 60, 77, 81))
#: What Holdfast takes no OFFER without anyway.
_REQUIRED = frozenset((51, 53))
#: Of the exchange itself: sent as Holdfast does it.
_OWN_WAY = ("dhcp-requested-address", "dhcp-max-message-size")
#: Seconds: shorter ones are no lease (schema).
_SHORTEST = 10
_SEND = re.compile(r"send (?:option )?([\w.-]+) ?=? ?(.+)", re.DOTALL)


class Reading(NamedTuple):
    """``settings`` for a link, and a line for each statement that cannot be honoured."""

    settings: dict[str, Value]
    refusals: tuple[str, ...]


class Declared(NamedTuple):
    """Options that the configuration declares: their numbers, and the names of those that are texts or bytes; and what
    its expressions may ask for."""

    codes: dict[str, int]
    texts: frozenset[str]
    known: Known


def read(
    tree: Tree, link: Link, requested: Collection[str] | None = REQUESTED, *, of_link: bool = False
) -> Reading:
    """What its configuration says for ``link``. ``requested``: what it requests where it says nothing of that; None:
    all that is used, whatever it says. ``of_link``: it is started with a file of the link's own, where there is one.
    FormatError, OSError."""
    named = [f"{path.removesuffix('.conf')}-{link.name}.conf" for path in CONFIGURATIONS] if of_link else []
    path = next((path for path in (*named, *CONFIGURATIONS) if tree.is_file(path)), CONFIGURATIONS[0])
    text = dhclient_text.with_included(tree.text(path) or "", lambda included: tree.text(included) or "")
    declared = Declared(dhclient_text.declared_options(text), dhclient_text.declared_texts(text), _known(tree, link))
    statements = list(_statements(text, link.name))
    unused = _unused(statements, requested) if requested is not None and tree.is_file(path) else set()
    settings: dict[str, Value] = {use: False for use, options in _USES.items() if unused.issuperset(options)}
    edits: list[str] = []
    refusals = [f"{path}: `{statement}` cannot be honoured; take it out, or leave this link to dhclient"
                for statement in statements if not _honoured(statement, declared, settings, edits)]
    edits = [*_undone(settings, unused, edits), *edits]
    if edits:
        settings["option_edits"] = tuple(edits)
    return Reading(settings, tuple(refusals))


def _known(tree: Tree, link: Link) -> Known:
    mac = bytes.fromhex(link.mac.replace(":", "")) if link.mac and not link.pattern else None
    name = (tree.text("/etc/hostname") or "").strip()
    return Known(b"\x01" + mac if mac else None, name.encode() or None)


def _unused(statements: Sequence[str], requested: Collection[str]) -> set[str]:
    """Options of a reply that are not used, because they are not requested, or are ignored."""
    wanted, ignored = set(requested), set[str]()
    for statement in statements:
        words = set(_words(statement.removeprefix("also ")))
        if statement.startswith("request "):
            wanted = words
        elif statement.startswith("also request "):
            wanted |= words
        elif statement.startswith("ignore "):
            ignored |= words
    return {name for options in _USES.values() for name in options} - (wanted - ignored)


def _undone(settings: dict[str, Value], unused: set[str], edits: Sequence[str]) -> list[str]:
    """Edits that come before ``edits``: an unused option of a reply that no setting leaves out alone, or that has a
    value of the configuration's own, is taken out of the reply."""
    changed = {int(edit.split()[1]) for edit in edits}
    found = []
    for use, options in _USES.items():
        codes = [code for name in options if name in unused and (code := dhclient_leases.code(name)) is not None]
        if use in settings and changed.isdisjoint(codes):
            continue
        settings.pop(use, None)
        found += [f"supersede {code}" for code in codes]
    return found


def lost_hooks(tree: Tree) -> Iterator[str]:
    """A line for each hook that is not run for DHCPv4 any more."""
    for folder in HOOKS:
        for name in tree.names(folder):
            if name not in _OURS and tree.is_file(f"{folder}/{name}"):
                yield f"{folder}/{name} is not run for DHCPv4 any more{INSTEAD}"


def client_id(tree: Tree, mac: str | None, leases: str) -> str | None:
    """Option 61 in hex, as ``dhclient -i`` makes it (RFC 4361) of the DUID in the file ``leases`` and of the end of the
    hardware address; None when one of them is not known."""
    duid = dhclient_leases.default_duid(tree.text(leases) or "")
    return None if duid is None or mac is None else "ff" + mac.replace(":", "")[-8:] + duid.hex()


def _statements(text: str, link: str) -> Iterator[str]:
    """Those outside of braces, then those of the link; a block of something else is a statement by its head."""
    yield from dhclient_text.statements(text)
    for words, end in dhclient_text.pieces(text):
        if end == "{" and not words.startswith("interface "):
            yield words.rpartition(";")[2].strip()
    for name in dict.fromkeys(re.findall(r'\binterface\s+"([^"]+)"\s*\{', text)):
        if fnmatchcase(name, link):
            yield from dhclient_text.sections(text, f'interface "{name}"')


def _honoured(statement: str, declared: Declared, settings: dict[str, Value], edits: list[str]) -> bool:
    """Add what ``statement`` says to ``settings`` or ``edits``; False when it cannot be honoured."""
    keyword = statement.partition(" ")[0]
    if keyword in _EDITS:
        return _edit(statement, declared.codes, settings, edits)
    sent = _SEND.fullmatch(statement)
    if sent is not None:
        option, value = sent[1], sent[2].strip()
        return option in _OWN_WAY or _send(option, value, declared.known, settings) or _send_octets(
            option, value, declared, settings)
    if keyword == "reject":
        return _reject(statement, settings)
    if statement.startswith(("require ", "also require ")):
        return _require(_words(statement.removeprefix("also ")), declared.codes, settings)
    if statement == "bootp-broadcast-always":
        settings["broadcast_flag"] = True
        return True
    return keyword in _TIMING or statement.startswith(("request ", "also request ", "ignore ")) or not statement


def _require(names: Collection[str], declared: Mapping[str, int], settings: dict[str, Value]) -> bool:
    """Add the options without which no OFFER is taken; False for one that is not known."""
    codes = [dhclient_leases.code(name, declared) for name in names if name]
    before = settings.get("require", ())
    every = dict.fromkeys((*(before if isinstance(before, tuple) else ()), *codes))
    required = tuple(code for code in every if isinstance(code, int) and code not in _REQUIRED)
    if required:
        settings["require"] = required
    return bool(codes) and None not in codes


def _edit(statement: str, declared: Mapping[str, int], settings: dict[str, Value], edits: list[str]) -> bool:
    """Add a change to what a server says to ``edits``; False when it cannot be made."""
    verb, name, value = (*statement.split(" ", 2), "", "")[:3]
    if name.startswith("dhcp6."):
        return True
    if name == "dhcp-lease-time":
        return _lease_time(verb, value.strip(), settings)
    if verb == "supersede" and value.strip() == '""' and (code := dhclient_leases.code(name, declared)) is not None:
        edits.append(f"supersede {code}")
        return code not in _NOT_EDITED
    read = dhclient_leases.option(name, value.strip(), declared)
    if read is None or read[0] in _NOT_EDITED:
        return False
    if read[0] not in _OF_EXCHANGE:
        edits.append(f"{verb} {read[0]} {read[1].hex()}")
    return True


def _lease_time(verb: str, value: str, settings: dict[str, Value]) -> bool:
    """Add a change to the time of a lease to ``settings``; False when it cannot be made."""
    key = {"supersede": "lease_time_limit", "default": "default_lease_time"}.get(verb)
    if key is None or not (value.isascii() and value.isdecimal()) or not _SHORTEST <= int(value) < 0xFFFFFFFF:
        return False
    settings[key] = int(value)
    return True


def _send(option: str, value: str, known: Known, settings: dict[str, Value]) -> bool:
    """Add what is sent to ``settings``; False when that cannot be."""
    octets = dhclient_expressions.value(value, known)
    key = {"host-name": "hostname", "fqdn.fqdn": "fqdn"}.get(option)
    if key is not None:
        if re.match(r"(pick-first-value ?\( ?)?gethostname ?\( ?\) ?(,|$)", value):
            settings[key] = "@system"
            return True
        name = (octets or b"").decode("ascii", "replace").rstrip(".")
        try:
            settings[key] = checks.hostname(name)
        except ValueError:
            return False
        return True
    if option.startswith("fqdn."):
        return True  # flags of the option above
    if option == "dhcp-client-identifier":
        if value == "hardware":
            settings["client_id"] = "mac"
        elif octets and len(octets) > 1:
            settings["client_id"] = octets.hex()
        return value == "hardware" or bool(octets and len(octets) > 1)
    key = {"vendor-class-identifier": "vendor_class", "user-class": "user_class"}.get(option)
    if key is None or not octets:
        return False
    text = octets.decode("ascii", "replace")
    settings[key] = (text,) if key == "user_class" else text
    return text.isprintable() and "\ufffd" not in text


def _send_octets(option: str, value: str, declared: Declared, settings: dict[str, Value]) -> bool:
    """Add an option without a setting of its own to ``send_options``, in the place of what was to be sent before; False
    when it cannot be read, or is the protocol's own."""
    read = dhclient_leases.option(option, value, declared.codes)
    if read is None or read[0] in _SENT_BY_NAME or (option in declared.codes and option not in declared.texts):
        return False
    before = settings.get("send_options", ())
    others = [str(one) for one in (before if isinstance(before, tuple) else ())
              if not str(one).startswith(f"{read[0]}=")]
    try:
        settings["send_options"] = checks.sent_options([*others, f"{read[0]}=hex:{read[1].hex()}"])
    except ValueError:
        return False
    return True


def _reject(statement: str, settings: dict[str, Value]) -> bool:
    """Add the servers of a `reject`, meant by their identifiers (dhclient.conf(5)), to ``settings``; False when that
    cannot be."""
    words = [word for word in _words(statement) if word]
    before = settings.get("deny_servers", ())
    every = [*(map(str, before) if isinstance(before, tuple) else ()), *words]
    try:
        settings["deny_servers"] = checks.servers(every)
    except ValueError:
        return False
    return bool(words)


def _words(statement: str) -> list[str]:
    return re.split(r"[ ,]+", statement)[1:]
