"""NetworkManager: which links it does DHCPv4 on, by which profile, and how DHCPv4 alone is taken out of that profile.

From nm-settings-keyfile(5), nm-settings(5) and NetworkManager.conf(5); what is not written there was tried with 1.42:
of two profiles with one UUID that in /run counts, then that in /etc, and in one folder the one that was written last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from holdfast.managers import dhclient
from holdfast.managers.formats import dhcp_options, ini, systemd_units
from holdfast.managers.formats.keyfile import KeyFile
from holdfast.managers.formats.link_patterns import covers, is_pattern, overlaps
from holdfast.managers.formats.tree import Tree
from holdfast.managers.model import INSTEAD, Entry, File, Link, Passage, Takeout, Value
from holdfast.settings.checks import MOST_SERVERS
from holdfast.settings.links import Rule
from holdfast.wire.record import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ipaddress import IPv4Network

UNIT = "NetworkManager.service"
CONFIGURATION = "/etc/NetworkManager/NetworkManager.conf"
#: The strongest folder first; what is below /etc is read after ``CONFIGURATION``, the rest before it.
FOLDERS = ("/etc/NetworkManager/conf.d", "/run/NetworkManager/conf.d", "/usr/lib/NetworkManager/conf.d")
#: The same, of profiles.
PROFILES = ("/run/NetworkManager/system-connections", "/etc/NetworkManager/system-connections",
            "/usr/lib/NetworkManager/system-connections")
STATE = "/var/lib/NetworkManager"
#: What runs with [main] dhcp=dhclient.
DHCLIENTS = ("/usr/sbin/dhclient", "/sbin/dhclient")
DISPATCHERS = ("/etc/NetworkManager/dispatcher.d", "/usr/lib/NetworkManager/dispatcher.d")
IFCFG = "/etc/sysconfig/network-scripts"
#: What the names of our files begin with.
OURS = "holdfast-"
#: 2100-01-01: of files with one UUID NetworkManager takes that with the latest date, and netplan writes its own anew.
LATEST = 4102444800
#: NetworkManager's route metrics (ipv4.route-metric) by type of connection.
_METRICS = {"infiniband": 150, "bond": 300, "vlan": 400, "team": 350, "bridge": 425}
_METRIC = 100
#: The address that a profile gets which has none of its own: without an IPv4 address NetworkManager waits for IPv6, and
#: where none comes it has failed after half a minute, and takes all addresses from the link, ours too. It is one of
#: this machine's anyway (127.0.0.0/8), and none that leaves it. With these methods of IPv6 nothing is waited for.
STAND_IN = "127.72.70.1/32"
_AT_ONCE = ("disabled", "link-local", "manual")
#: ipv4.dhcp-client-id to ours.
_CLIENT_IDS = {"mac": "mac", "none": "none"}
_IGNORED = ("~", ".bak", ".orig", ".rpmnew", ".rpmorig", ".rpmsave", ".swp", ".tmp", ".nmmeta")
#: Namespace of the UUIDs that NetworkManager makes of texts (its nm_uuid_ns_1).
_NAMESPACE = bytes.fromhex("b425e9fb759844b49e3b5a2e3aaa4905")
#: How many "Wired connection N" are tried.
_MADE_UP = 16


class Profile(NamedTuple):
    """One connection profile."""

    path: str
    keys: KeyFile

    @property
    def uuid(self) -> str:
        """What it is known by; netplan writes none, and NetworkManager makes it of the file's name, as if the file was
        below /etc."""
        path = f"{PROFILES[1]}/{self.path.rpartition('/')[2]}"
        return self.keys.get("connection", "uuid") or uuid_of("keyfile", path)

    @property
    def name(self) -> str:
        """Its id."""
        return self.keys.get("connection", "id") or self.path.rpartition("/")[2].removesuffix(".nmconnection")

    @property
    def kind(self) -> str:
        """Its type, "ethernet" for 802-3-ethernet."""
        kind = self.keys.get("connection", "type") or ""
        return "ethernet" if kind == "802-3-ethernet" else kind

    @property
    def ifname(self) -> str:
        """The link that it is for; "" for none in particular."""
        return self.keys.get("connection", "interface-name") or ""

    @property
    def macs(self) -> tuple[str, ...]:
        """The hardware addresses that it is for; empty: for all."""
        mac = self.keys.get(self.kind, "mac-address")
        return (mac.lower(),) if mac else ()

    @property
    def bound(self) -> bool:
        """True if it says itself which one link it is for."""
        return bool(self.ifname or self.macs)

    @property
    def slave(self) -> bool:
        """True for a port of a bridge or the like, which has no addresses of its own."""
        return any(self.keys.get("connection", key) for key in ("master", "controller"))

    @property
    def dhcp(self) -> bool:
        """True if NetworkManager does DHCPv4 by it; that is the default."""
        return not self.slave and (self.keys.get("ipv4", "method") or "auto") == "auto"

    @property
    def static(self) -> bool:
        """True if it has IPv4 addresses beside that of the lease."""
        return any(key.rstrip("0123456789") in ("address", "addresses") and self.keys.get("ipv4", key)
                   for key in self.keys.keys("ipv4"))

    def fits(self, link: Link) -> bool:
        """True if it may be activated on the link, or on one of a pattern's."""
        if self.ifname and not fnmatchcase(self.ifname, link.name):
            return False
        if not self.ifname and (self.kind != "ethernet" or link.kind not in (None, "ether")):
            return False
        known = {mac.lower() for mac in (link.permanent_mac, link.mac) if mac}
        if self.macs and (known.isdisjoint(self.macs) if known else not link.pattern and not self.ifname):
            return False
        denied = {mac.lower() for key in ("mac-address-blacklist", "mac-address-denylist")
                  for mac in self.keys.items(self.kind, key)}
        return known.isdisjoint(denied) and self._matches(link)

    def _matches(self, link: Link) -> bool:
        name = _matched(self.keys.items("match", "interface-name"), link.name, unknown=False)
        return name and all(_matched(self.keys.items("match", key), said, unknown=link.pattern)
                            for key, said in (("driver", link.driver), ("path", link.path)))


def starts(tree: Tree) -> bool:
    """True if it runs after the next boot."""
    return bool(systemd_units.enabled(tree, UNIT))


def configuration(tree: Tree) -> Iterator[tuple[str, str, str]]:
    """(section, key, value) of its configuration in the order in which it is read."""
    files = tree.merged(FOLDERS, ".conf").values()
    for folder in (FOLDERS[2], FOLDERS[1], "", FOLDERS[0]):
        paths = [path for path in files if path.startswith(f"{folder}/")] if folder else [CONFIGURATION]
        for path in paths:
            yield from ini.settings(tree.text(path) or "")


def unmanaged_devices(tree: Tree) -> list[str]:
    """The device specs that ``unmanaged-devices`` holds after all files, and those of [device*] sections with
    managed=0."""
    specs: list[str] = []
    devices: dict[str, dict[str, str]] = {}
    for section, key, value in configuration(tree):
        items = ini.items(value)
        if (section, key) == ("keyfile", "unmanaged-devices"):
            specs = items
        elif (section, key) == ("keyfile", "unmanaged-devices+"):
            specs += items
        elif (section, key) == ("keyfile", "unmanaged-devices-"):
            specs = [spec for spec in specs if spec not in items]
        elif section.startswith("device"):
            devices.setdefault(section, {})[key] = value
    for device in devices.values():
        if ini.is_off(device.get("managed")):
            specs += ini.items(device.get("match-device", "*"))
    return specs


def claim(specs: Sequence[str], link: str) -> str | None:
    """Why NetworkManager would configure ``link`` (a name or a pattern) with ``specs`` as its unmanaged devices, or
    might; None when it keeps off."""
    if any(spec.startswith("except:") and overlaps(_names(spec[7:]) or "*", link) for spec in specs):
        return "an exception in unmanaged-devices"
    if any((names := _names(spec)) and covers(names, link) for spec in specs):
        return None
    return "no unmanaged-devices names it"


def _names(spec: str) -> str | None:
    """The pattern of names that a device spec fits, None when it goes by something else."""
    if spec == "type:ethernet":
        return "*"
    kind, colon, rest = spec.partition(":")
    if not colon:
        return spec
    return rest.removeprefix("=") if kind == "interface-name" else None


def profiles(tree: Tree) -> list[Profile]:
    """All profiles but ours; of those with one UUID the one that counts. FormatError for one that is too large."""
    found: dict[str, Profile] = {}
    for folder in PROFILES:
        suffix = "" if folder.startswith("/etc/") else ".nmconnection"
        for name in tree.names(folder):
            if name.startswith((".", OURS)) or name.endswith(_IGNORED) or not name.endswith(suffix):
                continue
            profile = Profile(f"{folder}/{name}", KeyFile(tree.text(f"{folder}/{name}") or ""))
            if profile.kind and not profile.keys.on(".nmmeta", "external", default=False):
                found.setdefault(profile.uuid, profile)
    return list(found.values())


def takeout(tree: Tree, link: Link) -> Takeout | None:
    """See ``model.Takeout``; None when NetworkManager does no DHCPv4 on the link after a boot."""
    if not starts(tree) or claim(unmanaged_devices(tree), link.name) is None:
        return None
    fitting = [profile for profile in profiles(tree) if profile.fits(link)]
    if link.pattern:  # each of its links may have a profile of its own; those without one get an automatic one
        fitting = [profile for profile in fitting if profile.dhcp or not profile.bound]
    used = _used(tree, fitting)
    if used is None:
        if fitting:
            return None
        script = _ifcfg(tree, link)
        if script:
            return Takeout("NetworkManager", script, refusals=(
                f"{script}: an ifcfg profile of NetworkManager's; `nmcli connection migrate` makes a keyfile of it",))
        used = _made_up(tree, link)
    if used is None or not used.dhcp:
        return None
    shadowed = [profile for profile in dict.fromkeys((used, *fitting)) if profile.dhcp]
    return Takeout(
        "NetworkManager", used.path,
        # netplan makes that folder for root alone; the agent, which is not root, has to read the link's state in it.
        entries=(_ignored_carrier(link), *(entry for profile in shadowed for entry in _shadows(profile, link)),
                 Passage("/run/NetworkManager")),
        settings=_settings(tree, used, link), lost=tuple(_lost(tree)),
        refusals=tuple(_refusals(tree, used, link, shadowed)),
    )


def rules(tree: Tree, link: Link) -> list[Rule] | None:
    """On which links of a pattern NetworkManager does DHCPv4; None when it does not start."""
    if not starts(tree):
        return None
    found = [Rule("NetworkManager", kept_off, "", dhcp=False) for spec in unmanaged_devices(tree)
             if (kept_off := _names(spec)) is not None]
    fitting = _by_preference(tree, [profile for profile in profiles(tree) if profile.fits(link)])
    for profile in sorted(fitting, key=_starts_itself, reverse=True):
        names = [profile.ifname] if profile.ifname else [
            item for item in profile.keys.items("match", "interface-name") if item[0] not in "&|!"]
        found += [Rule("NetworkManager", name, mac, profile.dhcp and _starts_itself(profile))
                  for name in names or [link.name] for mac in profile.macs or ("",)]
    # As ``takeout``: where some of the links have a profile of their own, the rest stay NetworkManager's.
    automatic = not any(profile.dhcp or not profile.bound for profile in fitting) and _made_up(tree, link) is not None
    return [*found, Rule("NetworkManager", link.name, "", dhcp=True)] if automatic else found


def _starts_itself(profile: Profile) -> bool:
    return profile.keys.on("connection", "autoconnect", default=True)


def _used(tree: Tree, fitting: Sequence[Profile]) -> Profile | None:
    """The one that is activated at boot: by autoconnect-priority, then the one that was used last."""
    return next(iter(_by_preference(tree, list(filter(_starts_itself, fitting)))), None)


def _by_preference(tree: Tree, fitting: Sequence[Profile]) -> list[Profile]:
    last = KeyFile(tree.text(f"{STATE}/timestamps") or "")
    return sorted(fitting, reverse=True, key=lambda profile: (
        profile.keys.number("connection", "autoconnect-priority") or 0, last.number("timestamps", profile.uuid) or 0,
        profile.bound,
    ))


def _ifcfg(tree: Tree, link: Link) -> str | None:
    """The file of the ifcfg-rh plugin that is named after the link."""
    path = f"{IFCFG}/ifcfg-{link.name}"
    return path if not link.pattern and tree.is_file(path) and not tree.is_file(f"{IFCFG}/ifup-eth") else None


# -- the profile that NetworkManager makes up ----------------------------------------------------------


def _made_up(tree: Tree, link: Link) -> Profile | None:
    """The automatic connection of an Ethernet card without a profile, "Wired connection N"; None when there is none.
    Its UUID counts: stable-privacy addresses are made of it."""
    if link.kind not in (None, "ether") or _no_auto_default(tree, link):
        return None
    name, uuid = _made_up_name(tree, link)
    match = "" if link.pattern else f"interface-name={link.name}\n"
    several = "multi-connect=3\n" if link.pattern else ""
    return Profile("its automatic connection (no profile)", KeyFile(
        f"[connection]\nid={name}\nuuid={uuid}\ntype=ethernet\nautoconnect-priority=-999\n{match}{several}\n[ethernet]\n\n"
        "[ipv4]\nmethod=auto\n\n[ipv6]\naddr-gen-mode=default\nmethod=auto\n\n[proxy]\n"
    ))


def _made_up_name(tree: Tree, link: Link) -> tuple[str, str]:
    """Name and UUID: of the numbers the one that NetworkManager has used on this card before, else the first."""
    machine = (tree.text("/etc/machine-id") or "").strip()
    card = (link.permanent_mac or link.mac or link.name).upper() if link.permanent_mac or link.mac else link.name
    last = KeyFile(tree.text(f"{STATE}/timestamps") or "")
    every = [(name, uuid_of("default-wired", machine, name, card))
             for name in (f"Wired connection {number}" for number in range(1, _MADE_UP))]
    return max(every, key=lambda one: last.number("timestamps", one[1]) or 0)


def uuid_of(*texts: str) -> str:
    """The UUID (version 3) that NetworkManager makes of texts, each with a NUL behind it."""
    from hashlib import md5  # noqa: PLC0415 - seldom needed

    whole = _NAMESPACE + "".join(f"{text}\0" for text in texts).encode()
    digest = bytearray(md5(whole, usedforsecurity=False).digest())
    digest[6] = digest[6] & 0x0F | 0x30
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _no_auto_default(tree: Tree, link: Link) -> bool:
    said: list[str] = []
    for section, key, value in configuration(tree):
        if section == "main" and key.rstrip("+") == "no-auto-default":
            said = [*said, *ini.items(value)] if key.endswith("+") else ini.items(value)
    said += KeyFile(tree.text(f"{STATE}/no-auto-default.state") or "").items("main", "no-auto-default")
    macs = {mac.lower() for mac in (link.permanent_mac, link.mac) if mac}
    return any(spec.lower().removeprefix("mac:") in macs or ((names := _names(spec)) and covers(names, link.name))
               for spec in said)


# -- the overlay -----------------------------------------------------------------------------------------


def _shadows(profile: Profile, link: Link) -> Iterator[Entry]:
    """The profile without DHCPv4, for the link alone, by its UUID; and as it was for other links, where one that fits
    them at the same time would be gone."""
    alone = not profile.static and profile.keys.get("ipv6", "method") in _AT_ONCE
    values = {("ipv4", "method"): "disabled" if alone else "manual"}
    for key, value in (("uuid", profile.uuid), ("id", profile.name)):  # made of the file's name, which is another here
        if not profile.keys.get("connection", key):
            values["connection", key] = value
    if not profile.static and not alone:
        values["ipv4", "address1"] = STAND_IN
    values.update(_onlink_routes(profile))
    # Its name servers come before the lease's, so whoever has those has to have them.
    without = [("ipv4", key) for key in ("dns", "dns-search", *(() if profile.static else ("may-fail", "gateway")))]
    matched = profile.keys.get("match", "interface-name")
    if not profile.bound and link.pattern:
        values["match", "interface-name"] = "".join(f"{item};" for item in (matched, f"&{link.name}") if item)
    elif not profile.bound:
        values["connection", "interface-name"] = link.name
    name = f"{OURS}{profile.uuid}-{_plain(link.name)}"
    yield _profile(name, profile.keys.changed(values, without))
    if not profile.bound and (profile.keys.number("connection", "multi-connect") or 0) > 1 and profile.path[0] == "/":
        others = "".join(f"{item};" for item in (matched, f"!{link.name}") if item)
        yield _profile(f"{name}-others", profile.keys.changed({
            ("connection", "uuid"): uuid_of("holdfast", profile.uuid, link.name), ("match", "interface-name"): others,
        }))


def _onlink_routes(profile: Profile) -> Iterator[tuple[tuple[str, str], str]]:
    """Options of its routes by a router of the lease's subnet, which no address of the profile's is in any more: on the
    link, or NetworkManager would add a route to the router itself."""
    own = [network for key in profile.keys.keys("ipv4") if re.fullmatch("address(es)?[0-9]*", key)
           and (network := _network(profile.keys.items("ipv4", key)[:1]))]
    for key in profile.keys.keys("ipv4"):
        said = profile.keys.items("ipv4", key) if re.fullmatch("routes?[0-9]*", key) else ()
        router = _network(said[1:2])
        options = profile.keys.get("ipv4", f"{key}_options") or ""
        if router and not any(router.subnet_of(network) for network in own) and "onlink=" not in options:
            yield ("ipv4", f"{key}_options"), ",".join(filter(None, (options, "onlink=true")))


def _network(words: Sequence[str]) -> IPv4Network | None:
    """That of the address, with a prefix length or without one; None for none, and for 0.0.0.0."""
    from ipaddress import IPv4Network  # noqa: PLC0415 - few profiles have routes or addresses, and a boot waits for this

    try:
        network = IPv4Network(words[0], strict=False)
    except (IndexError, ValueError):
        return None
    return network if int(network.network_address) else None


def _profile(name: str, text: str) -> File:
    return File(f"{PROFILES[0]}/{name}.nmconnection", text.encode(), 0o600, LATEST)


def _plain(links: str) -> str:
    """A name or pattern of links as part of a file's name."""
    return "".join(each if each.isalnum() or each in "._-" else f"+{ord(each):x}" for each in links)


def _ignored_carrier(link: Link) -> File:
    """Without it, a cable that is out for some seconds has NetworkManager take all addresses away, also ours."""
    spec = f"interface-name:{link.name}" if link.pattern else f"interface-name:={link.name}"
    name = f"{OURS}{_plain(link.name)}"
    text = f"# Holdfast does DHCPv4 on {link.name}.\n[device-{name}]\nmatch-device={spec}\nignore-carrier=yes\n"
    return File(f"{FOLDERS[1]}/90-{name}.conf", text.encode())


# -- settings, and what cannot be kept -------------------------------------------------------------------


def _ipv4(tree: Tree, profile: Profile, link: Link, key: str) -> str | None:
    """A key of [ipv4]: the profile's, else the default of NetworkManager.conf's [connection*] sections."""
    said = profile.keys.get("ipv4", key)
    if said:
        return said
    sections: dict[str, dict[str, str]] = {}
    for section, name, value in configuration(tree):
        if section.startswith("connection"):
            sections.setdefault(section, {})[name] = value
    for section in sorted(sections, key="connection".__eq__):
        values = sections[section]
        specs = ini.items(values.get("match-device", "*"))
        if f"ipv4.{key}" in values and any((names := _names(spec)) and overlaps(names, link.name) for spec in specs):
            return values[f"ipv4.{key}"]
    return None


def _dhclient(tree: Tree, link: Link) -> dhclient.Reading | None:
    """What dhclient's configuration says, where NetworkManager runs dhclient: it requests all that is used, and sends a
    client-id only where one is said."""
    main = {key: value for section, key, value in configuration(tree) if section == "main"}
    if main.get("dhcp") != "dhclient" or not any(map(tree.is_file, DHCLIENTS)):
        return None
    told = dhclient.read(tree, link, None, of_link=True)
    return told._replace(settings={"client_id": "none", **told.settings})


def _settings(tree: Tree, profile: Profile, link: Link) -> dict[str, Value]:
    keys = profile.keys
    settings: dict[str, Value] = {"wait_for": "networkmanager"}
    told = _dhclient(tree, link)
    if told is not None:
        settings.update(told.settings)
    if told is None or _ipv4(tree, profile, link, "dhcp-client-id"):
        settings["client_id"] = _client_id(tree, profile, link)
    if keys.on("ipv4", "dhcp-send-hostname", default=True):
        full = keys.get("ipv4", "dhcp-fqdn")
        name = full or keys.get("ipv4", "dhcp-hostname")
        settings["fqdn" if full else "hostname"] = name or settings.get("hostname", "@system")
    vendor = _ipv4(tree, profile, link, "dhcp-vendor-class-identifier")
    if vendor:
        settings["vendor_class"] = vendor
    metric = int(said) if (said := _ipv4(tree, profile, link, "route-metric") or "-1").isdigit() else -1
    settings["metric"] = metric if metric >= 0 else _METRICS.get(profile.kind, _METRIC)
    table = _ipv4(tree, profile, link, "route-table") or "0"
    if table.isdigit() and int(table):
        settings["route_table"] = int(table)
    for key, ours in (("ignore-auto-dns", "use_dns"), ("ignore-auto-routes", "use_routes"),
                      ("never-default", "use_gateway")):
        if keys.on("ipv4", key, default=False):
            settings[ours] = False
    if keys.number("ethernet", "mtu"):
        settings["use_mtu"] = False
    if keys.items("ipv4", "dns"):  # what follows "#" is the server's name, for DNS over TLS
        settings["dns"] = tuple(server.partition("#")[0] for server in keys.items("ipv4", "dns"))
    if keys.items("ipv4", "dns-search"):
        settings["search"] = keys.items("ipv4", "dns-search")
    denied = tuple(filter(None, map(dhcp_options.network, keys.items("ipv4", "dhcp-reject-servers"))))
    if denied:
        settings["deny_servers"] = denied  # by option 54, as NetworkManager does
    return settings


def _client_id(tree: Tree, profile: Profile, link: Link) -> str:
    """``client_id`` of ours. NetworkManager's "duid" is networkd's default, but for an IAID of the link's present name
    or of ipv4.dhcp-iaid."""
    said = (_ipv4(tree, profile, link, "dhcp-client-id") or "mac").strip()
    if said == "perm-mac":
        said = f"01:{link.permanent_mac}" if link.permanent_mac else "mac"
    if said == "duid":
        iaid = _iaid(tree, profile, link)
        return "networkd" if iaid is None else f"networkd:{iaid}"
    return _CLIENT_IDS.get(said) or _hexadecimal(said) or (b"\0" + said.encode()).hex()


def _iaid(tree: Tree, profile: Profile, link: Link) -> int | None:
    """That of ipv4.dhcp-client-id=duid as a number; None where it cannot be told (of a pattern, "stable")."""
    said = _ipv4(tree, profile, link, "dhcp-iaid") or "ifname"
    mac = {"mac": link.mac, "perm-mac": link.permanent_mac}.get(said)
    if mac:
        return int(mac.replace(":", "")[-8:], 16)
    if said == "ifname" and not link.pattern:
        from holdfast.settings import networkd_client_id  # noqa: PLC0415 - seldom said

        return int.from_bytes(networkd_client_id.iaid(link.name.encode()), "big")
    if re.fullmatch("[0-9]{1,10}|0x[0-9a-f]{1,8}", said) and int(said, 0) < 1 << 32:
        return int(said, 0)
    return None


def _hexadecimal(text: str) -> str:
    """Bytes in hexadecimal with colons, without them; "" when it is something else."""
    parts = text.lower().split(":")
    plain = len(parts) > 1 and all(0 < len(part) < 3 and not set(part) - set("0123456789abcdef") for part in parts)
    return "".join(part.zfill(2) for part in parts) if plain else ""


def _refusals(tree: Tree, used: Profile, link: Link, shadowed: Sequence[Profile]) -> Iterator[str]:
    said = used.path
    for profile in shadowed:
        if profile.keys.get("match", "kernel-command-line"):
            yield f"{profile.path}: [match] kernel-command-line= cannot be followed"
    if link.pattern:
        wanted = _settings(tree, used, link)
        for profile in shadowed:
            if _settings(tree, profile, link) != wanted:
                yield f"{profile.path} and {said} differ in what they say of DHCPv4; list the links by name"
    client_id = _ipv4(tree, used, link, "dhcp-client-id") or ""
    if client_id in ("stable", "ipv6-duid") or "${" in client_id:
        yield f"{said}: ipv4.dhcp-client-id={client_id} is NetworkManager's own; set the bytes that it sends"
    told = _dhclient(tree, link)
    yield from () if told is None else told.refusals
    yield from _unknown_servers(used)
    if client_id == "duid" and _iaid(tree, used, link) is None:
        iaid = _ipv4(tree, used, link, "dhcp-iaid") or "ifname"
        yield f"{said}: ipv4.dhcp-client-id=duid with ipv4.dhcp-iaid={iaid} cannot be honoured for {link.name}"
    if (used.keys.number("ipv4", "dns-priority") or 0) < 0:
        yield f"{said}: ipv4.dns-priority= below 0 cannot be honoured"
    # resolv.conf has no names of servers; resolved would be without those that it had.
    servers = used.keys.items("ipv4", "dns")
    plain = servers if _by_resolved(tree) else [server.partition("#")[0] for server in servers]
    strange = [server for server, address in zip(servers, plain, strict=True) if dhcp_options.address(address) is None]
    if strange:
        yield f"{said}: ipv4.dns={strange[0]} cannot be honoured"
    if any((section, key) == ("main", "dns") and value in ("dnsmasq", "unbound") for section, key, value
           in configuration(tree)):
        yield f"{CONFIGURATION}: [main] dns= is a name server of NetworkManager's, which cannot be given ours"


def _by_resolved(tree: Tree) -> bool:
    """True if NetworkManager gives name servers to systemd-resolved."""
    said = [value for section, key, value in configuration(tree) if (section, key) == ("main", "dns")]
    if said and said[-1] != "default":
        return said[-1] == "systemd-resolved"
    return "systemd/resolve" in (tree.link("/etc/resolv.conf") or "")


def _unknown_servers(used: Profile) -> Iterator[str]:
    said = f"{used.path}: ipv4.dhcp-reject-servers="
    servers = used.keys.items("ipv4", "dhcp-reject-servers")
    if len(servers) > MOST_SERVERS:
        yield f"{said} has {len(servers)} entries, and Holdfast takes {MOST_SERVERS}"
    for server in servers:
        if dhcp_options.network(server) is None:
            yield f"{said}{server} is neither an IPv4 address nor a network"


def _lost(tree: Tree) -> Iterator[str]:
    for folder in DISPATCHERS:
        for name in tree.names(folder):
            path = f"{folder}/{name}"
            mode = tree.mode(path)
            if mode is None or not tree.is_file(path) or not mode & 0o100:
                continue
            if folder == DISPATCHERS[0] or "dhcp4" in (tree.text(path) or "").lower():
                yield f"{path} is no longer run for dhcp4-change, and without DHCP4_ variables for the rest{INSTEAD}"


# -- [match] ---------------------------------------------------------------------------------------------


def _matched(items: Sequence[str], said: str | None, *, unknown: bool) -> bool:
    """A list of [match] (nm-settings(5)): all items with "&" or "!", and one of the others, if there are any.
    ``unknown``: the answer when it is not known what they are compared with."""
    if not items or said is None:
        return not items or unknown
    optional: list[bool] = []
    for item in items:
        kind, pattern = (item[0], item[1:]) if item[0] in "&|" else ("", item)
        inverted = pattern.startswith("!")
        pattern = pattern.removeprefix("!").replace("\\", "")
        fits = (overlaps(pattern, said) if is_pattern(said) else fnmatchcase(said, pattern)) != inverted
        if kind == "&" or (inverted and kind != "|"):
            if not fits:
                return False
        else:
            optional.append(fits)
    return not optional or any(optional)
