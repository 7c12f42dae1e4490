"""dhcpcd.conf(5) as settings of Holdfast: what is done otherwise than Holdfast would by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from holdfast.managers import lease_files
from holdfast.managers.formats import dhclient_leases, dhcp_options
from holdfast.managers.formats.dhcpcd_conf import Line
from holdfast.managers.formats.tree import Tree
from holdfast.managers.model import Link, Value
from holdfast.wire.record import NamedTuple

DUID_FILES = (f"{lease_files.DHCPCD}/duid", "/etc/dhcpcd.duid")
#: dhcpcd(8): a link's metric is this and its index; 2000 more for wireless ones.
_METRIC, _WIRELESS = 1000, 2000
#: Options for IPv6, for dhcpcd itself, for its link-local addresses, or for how messages are timed.
_NOT_DHCPV4 = frozenset((
    "ipv6", "ipv6rs", "noipv6", "noipv6rs", "ipv6ra_autoconf", "ipv6ra_noautoconf", "ipv6ra_fork", "ipv6ra_own",
    "ipv6ra_own_default", "ipv6ra_accept_nopublic", "slaac", "dhcp6", "nodhcp6", "inform6", "ia_na", "ia_ta", "ia_pd",
    "vendclass", "allowinterfaces", "denyinterfaces", "controlgroup", "debug", "quiet", "background", "persistent",
    "dev", "nodev", "nolink", "noup", "link_rcvbuf", "logfile", "env", "script", "waitip", "timeout", "reboot",
    "nodelay", "ipv4", "dhcp", "noipv4ll", "noarp", "ipv4ll_time", "release", "fqdn", "hostname_short", "iaid", "duid",
    "ipv6only", "ipv4only", "noipv4", "nodhcp", "option", "nooption", "request", "lastlease", "initial_interval",
    "backoff_cutoff", "backoff_jitter", "ntp",
))
#: Values that take the place of what the server says, by their names in `static`.
_STATIC = {"routers": (3, "use_gateway"), "interface_mtu": (26, "use_mtu"), "ntp_servers": (42, "use_ntp")}
#: dhcpcd.conf(5), fallback_time: seconds until the profile is used.
_FALLBACK = 5
#: What a reply is used for, and the options by which dhcpcd learns it. What is not requested is not used.
_USES = {
    "use_dns": ("domain_name_servers", "6"), "use_domains": ("domain_name", "domain_search", "15", "119"),
    "use_mtu": ("interface_mtu", "26"), "use_ntp": ("ntp_servers", "42"),
}
#: Options without which a reply is ignored: Holdfast's replies have them.
_REQUIRED = frozenset(("dhcp_server_identifier", "dhcp_message_type", "subnet_mask"))


class Read(NamedTuple):
    """``settings`` by the keys of [interfaces.NAME], and the lines that cannot be honoured."""

    settings: dict[str, Value]
    unknown: tuple[str, ...]


def of(tree: Tree, link: Link, lines: Sequence[Line], every: Sequence[Line] = ()) -> Read:
    """What ``lines``, those for the link, mean; ``every`` has the profiles that they name."""
    requested = {word for line in lines if line.option == "option" for word in line.words}
    requested -= {word for line in lines if line.option == "nooption" for word in line.words}
    made: dict[str, Value] = {use: False for use, words in _USES.items() if not requested & set(words)}
    unknown = []
    for line in lines:
        fallback = line.option == "fallback"
        said = {} if line.option in _NOT_DHCPV4 else _fallback(line, every) if fallback else _said(line)
        if said is None:
            unknown.append(f"{line.option} {line.value}".strip())
        else:
            for key, value in said.items():
                before = made.get(key)
                # Of what adds up, the earlier values stay.
                made[key] = (*before, *value) if key in _LISTS and isinstance(before, tuple) and isinstance(
                    value, tuple) else value
    classes = tuple(line.value for line in lines if line.option == "userclass")
    if classes:
        made["user_class"] = classes
    made.update(_client_id(tree, link, lines))
    if "metric" not in made and link.ifindex is not None:
        made["metric"] = _METRIC + link.ifindex + (_WIRELESS if link.kind == "wlan" else 0)
    return Read(made, tuple(unknown))


def _said(line: Line) -> dict[str, Value] | None:
    """What one line means; None for what is not known, or cannot be done."""
    option, value = line.option, line.value
    if option in ("hostname", "vendorclassid", "userclass", "clientid") and not _plain(value):
        return None
    if option == "hostname":
        return {"hostname": value or "@system"}
    if option == "vendorclassid":
        return None if _HEX.fullmatch(value) else {"vendor_class": value} if value else {}
    if option in ("userclass", "clientid"):
        return {}
    if option == "metric":
        return {"metric": int(value)} if value.isascii() and value.isdigit() and int(value) < 1 << 32 else None
    if option == "static":
        return _static(value)
    if option == "nohook":
        return dict.fromkeys(_hooks(line), False)
    if option == "require":
        codes = [_code(word) for word in line.words if word not in _REQUIRED]
        found = tuple(code for code in codes if code is not None)
        return None if None in codes else {"require": found} if found else {}
    return _FLAGS.get(option) or _valued(option, value)


def _valued(option: str, value: str) -> dict[str, Value] | None:
    if option in ("blacklist", "whitelist"):
        network = dhcp_options.network(value)
        return None if network is None else {"deny_servers" if option == "blacklist" else "allow_servers": (network,)}
    if option in ("leasetime", "fallback_time"):
        if not (value.isascii() and value.isdigit() and int(value) < 1 << 32):
            return None
        if option == "leasetime":
            return {"send_options": (f"51=hex:{int(value):08x}",)}
        return {"fallback_after": max(_FALLBACK, int(value))}
    if option == "mudurl" and _plain(value):
        return {"send_options": (f"161=hex:{value.encode().hex()}",)}
    return None


#: Settings of which several lines add up.
_LISTS = frozenset(("deny_servers", "allow_servers", "send_options", "require", "option_edits"))


def _code(name: str) -> int | None:
    """The number of an option by dhcpcd's name for it, which has the words of dhclient's."""
    return int(name) if name.isascii() and name.isdigit() else dhclient_leases.code(name.replace("_", "-"))


def _fallback(line: Line, every: Sequence[Line]) -> dict[str, Value] | None:
    """What the profile that is used where no server answers means; None where it says more than an address with its
    prefix, a router and name servers."""
    said = {name: value for one in every if one.block == f"profile {line.value}" and one.option == "static"
            for name, _, value in (one.value.partition("="),)}
    others = [one for one in every if one.block == f"profile {line.value}" and one.option != "static"]
    address, router = said.pop("ip_address", ""), said.pop("routers", "")
    said.pop("domain_name_servers", "")
    if others or said or "/" not in address or dhcp_options.network(address) is None or (
            router and dhcp_options.address(router) is None):
        return None
    made: dict[str, Value] = {"fallback_address": address, "fallback_after": _FALLBACK}
    return {**made, "fallback_gateway": router} if router else made


_FLAGS: dict[str, dict[str, Value]] = {
    "nogateway": {"use_gateway": False}, "gateway": {"use_gateway": True}, "broadcast": {"broadcast_flag": True},
    "anonymous": {"anonymize": True},
}
_HEX = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2})+")


def _plain(value: str) -> bool:
    """True for text without quotes and escapes."""
    return value.isprintable() and value.isascii() and not set(value) & set("\"'\\#")


def _static(value: str) -> dict[str, Value] | None:
    """What is put in the place of what the server says."""
    name, _, text = value.partition("=")
    words = tuple(text.replace('"', " ").split())
    if name == "domain_name_servers" and all(dhcp_options.address(word) for word in words):
        return {"dns": words, "use_dns": False}
    if name in ("domain_name", "domain_search"):
        return {"search": words, "use_domains": False}
    octets = dhcp_options.number(text.strip(), 2) if name == "interface_mtu" else dhcp_options.addresses(text)
    if name in _STATIC and octets:
        code, use = _STATIC[name]
        return {"option_edits": (f"supersede {code} {octets.hex()}",), use: True}
    return {} if name in ("ip6_address", "ip_address") else None


def _hooks(line: Line) -> Iterator[str]:
    """The uses of a lease that hooks which are left out would have made."""
    for word in line.words:
        name = re.sub(r"^\d\d-", "", word)
        if name.startswith("resolv.conf"):
            yield from ("use_dns", "use_domains")
        elif re.match("ntp|chrony|timesyncd|openntpd", name):
            yield "use_ntp"


def _client_id(tree: Tree, link: Link, lines: Sequence[Line]) -> dict[str, Value]:
    """Option 61, by the last line that says one. Not where it cannot be told: the agent goes on with that of its lease
    then."""
    said = next((line for line in reversed(lines) if line.option in ("clientid", "duid")), None)
    if said is None or not _plain(said.value):
        return {}
    if said.option == "duid":
        return _of_duid(tree, link, lines)
    if not said.value:
        return {"client_id": "mac"}
    return {"client_id": client_id(said.value)}


def client_id(text: str) -> str:
    """Option 61 in hex as `clientid` says it: bytes between colons, or a text."""
    return text.replace(":", "").lower() if _HEX.fullmatch(text) else "00" + text.encode().hex()


def _of_duid(tree: Tree, link: Link, lines: Sequence[Line]) -> dict[str, Value]:
    """RFC 4361, of the DUID that dhcpcd keeps, and of the end of the hardware address unless an IAID is said. Only
    where dhcpcd has had a lease: an image has no DUID before its first boot, and the second one would ask as somebody
    else."""
    if not any(map(tree.is_file, lease_files.dhcpcd(link.name))):
        return {}
    texts = ((tree.text(path) or "").strip() for path in DUID_FILES)
    duid = next((found for text in texts if (found := dhcp_options.hexadecimal(text))), None)
    said = next((line.value for line in reversed(lines) if line.option == "iaid"), None)
    if duid is None or link.mac is None or (said is None and link.kind == "vlan"):
        return {}
    if said is None:
        iaid = link.mac.replace(":", "")[-8:]
    elif said.isascii() and said.isdigit() and int(said) < 1 << 32:
        iaid = f"{int(said):08x}"
    else:
        return {}
    return {"client_id": f"ff{iaid}{duid.hex()}"}
