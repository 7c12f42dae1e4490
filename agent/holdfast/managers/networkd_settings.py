"""[DHCPv4] of systemd.network(5) as settings of Holdfast: what is done otherwise than Holdfast would by itself."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from holdfast.managers.formats import dhcp_options, ini, systemd_units
from holdfast.managers.formats.tree import Tree
from holdfast.managers.model import Value
from holdfast.settings import checks
from holdfast.wire.record import NamedTuple

Settings = Sequence[tuple[str, str, str]]

#: systemd.network(5): networkd's own metric of routes from DHCPv4.
ROUTE_METRIC = 1024
#: rtnetlink(7).
_TABLES = {"default": 253, "main": 254, "local": 255}
#: Keys whose absence changes nothing: what they say is Holdfast's rule anyway, or only for networkd's lease file.
_WITHOUT_EFFECT = frozenset((
    "UseSIP", "UseCaptivePortal", "UseDNR", "RapidCommit", "SendRelease", "SendDecline", "RequestAddress",
    "MaxAttempts", "IPServiceType", "SocketPriority", "UseHostname", "CriticalConnection", "UseTimezone",
    # DHCPv6's, where [DHCP] is for both.
    "PrefixDelegationHint", "WithoutRA", "UseAddress", "UseDelegatedPrefix", "ForceDHCPv6PDOtherInformation",
))
#: Other names of keys (systemd before 247).
_ALIASES = {"BlackList": "DenyList", "UseDomainName": "UseDomains"}
#: How the routes of a lease are made.
_ROUTE_METRICS = {"RouteMTUBytes": "mtu", "InitialCongestionWindow": "initcwnd",
                  "InitialAdvertisedReceiveWindow": "initrwnd"}
#: Keys that are harmless when they say no, which is the default.
_ONLY_OFF = ("BOOTP", "Use6RD")
#: Keys that ``of`` reads.
_READ = frozenset((
    "UseDNS", "UseDomains", "UseNTP", "UseMTU", "UseRoutes", "UseGateway", "RouteMetric", "RouteTable",
    "ClientIdentifier", "DUIDType", "DUIDRawData", "IAID", "SendHostname", "Hostname", "VendorClassIdentifier",
    "UserClass", "RequestOptions", "RoutesToDNS", "RoutesToNTP", "RequestBroadcast", "Anonymize", "IPv6OnlyMode",
    "AllowList", "DenyList", "SendOption", "SendVendorOption", "MUDURL", "Label", "FallbackLeaseLifetimeSec",
    "QuickAck", "ListenPort",
    *_ROUTE_METRICS, *_ONLY_OFF,
))
#: Keys of a [Route] by the lease's router that are honoured, or that change nothing of it.
_OF_ROUTES = frozenset(("Gateway", "Destination", "Metric", "Table", "GatewayOnLink", "Protocol", "Scope"))


class Read(NamedTuple):
    """``settings`` by the keys of [interfaces.NAME]; ``lost`` and ``refusals`` as in ``model.Takeout``."""

    settings: Mapping[str, Value]
    lost: tuple[str, ...]
    refusals: tuple[str, ...]


def of(tree: Tree, settings: Settings, folders: Sequence[str], routes: Sequence[Mapping[str, str]] = ()) -> Read:
    """What a .network file's ``settings`` mean; ``folders`` have networkd.conf. ``routes``: its [Route] sections."""
    own = list(_configuration(tree, folders))
    # networkd.conf(5): [DHCPv4] has the defaults of DUIDType= and DUIDRawData=.
    said: dict[str, list[str]] = {}
    for section, key, value in (*(each for each in own if each[0] in ("DHCP", "DHCPv4")), *settings):
        if section in ("DHCP", "DHCPv4"):
            name = _ALIASES.get(key, key)
            said[name] = [*said.get(name, []), value] if value else []
    last = {key: values[-1] for key, values in said.items() if values}
    result: dict[str, Value] = {}
    refusals = [f"[DHCPv4] {key}={value} cannot be honoured" for key, value in last.items()
                if key not in _READ | _WITHOUT_EFFECT or (key in _ONLY_OFF and not ini.is_off(value))]
    if last.get("ListenPort", "68") != "68":
        refusals.append(f"[DHCPv4] ListenPort={last['ListenPort']} cannot be honoured")
    for one in (_uses, _routes, _route_metrics, _sent, _options, _servers, _client_id):
        made, refused = one(last, said, own)
        result.update(made)
        refusals += refused
    made, refused = _by_the_router([*_network_routes(settings), *routes], own)
    result.update(made)
    lost: list[str] = []
    if not ini.is_off(last.get("UseHostname")) and not (tree.text("/etc/hostname") or "").strip():
        lost.append("the host name that the server gives (option 12) is not set")
    if ini.is_on(last.get("UseTimezone")):
        lost.append("the time zone that the server gives (options 100 and 101) is not set")
    return Read(result, tuple(lost), (*refusals, *refused))


def _network_routes(settings: Settings) -> list[Mapping[str, str]]:
    """Those that Gateway= of [Network] makes."""
    return [{key: value} for section, key, value in settings if (section, key) == ("Network", "Gateway")]


def _by_the_router(routes: Sequence[Mapping[str, str]], own: Settings) -> Made:
    """Routes by the router of the lease, whichever it is (Gateway=_dhcp4): networkd gives them the lease's table and
    metric where they say none."""
    found: list[str] = []
    refused: list[str] = []
    names = {**_TABLES, **_table_names(own)}
    for route in routes:
        to = route.get("Destination", "0.0.0.0/0")
        if route.get("Gateway") not in ("_dhcp4", "_dhcp") or (route["Gateway"] == "_dhcp" and ":" in to):
            continue
        network = dhcp_options.network(to)
        table, metric = route.get("Table"), route.get("Metric")
        number = None if table is None else names.get(table, _number(table))
        strange = [f"{key}={value}" for key, value in route.items() if key not in _OF_ROUTES]
        if strange or network is None or (table and not number) or (metric and _number(metric) is None):
            said = strange or [f"{key}={value}" for key, value in route.items() if key != "Gateway"]
            refused.append(f"[Route] Gateway={route['Gateway']} with {', '.join(said)} cannot be honoured")
            continue
        words = [network, *(("table", str(number)) if number else ()),
                 *(("metric", str(_number(metric))) if metric else ())]
        found.append(" ".join(words))
    return ({"router_routes": tuple(found)} if found else {}), refused


def _configuration(tree: Tree, folders: Sequence[str]) -> list[tuple[str, str, str]]:
    """networkd.conf and its drop-ins."""
    main = next((path for folder in folders if tree.is_file(path := f"{folder}/networkd.conf")), None)
    drop_ins = tree.merged([f"{folder}/networkd.conf.d" for folder in folders], ".conf").values()
    return [each for path in (*([main] if main else []), *drop_ins) if not systemd_units.is_void(tree, path)
            for each in ini.settings(tree.text(path) or "")]


Made = tuple[dict[str, Value], list[str]]


def _uses(last: Mapping[str, str], _said: Mapping[str, list[str]], own: Settings) -> Made:
    """What of a reply is used. systemd.network(5): name and time servers by default, domains and MTU not."""
    domains = last.get("UseDomains") or next(
        (value for section, key, value in reversed(own) if (section, key) == ("Network", "UseDomains")), "no")
    made: dict[str, Value] = {}
    for use, key, routes, name in (("use_dns", "UseDNS", "routes_to_dns", "RoutesToDNS"),
                                   ("use_ntp", "UseNTP", "routes_to_ntp", "RoutesToNTP")):
        if ini.is_off(last.get(key)):
            made[use] = False
        elif not ini.is_off(last.get(name)):
            made[routes] = True
    route = domains.lower() == "route"
    if route:
        made["route_domains"] = True
    made["use_domain_name" if route or ini.is_on(domains) else "use_domains"] = route or ini.is_on(domains)
    if not ini.is_on(last.get("UseMTU")) or ini.is_on(last.get("Anonymize")):
        made["use_mtu"] = False
    return made, []


def _routes(last: Mapping[str, str], _said: Mapping[str, list[str]], own: Settings) -> Made:
    made: dict[str, Value] = {}
    refused: list[str] = []
    metric = _number(last.get("RouteMetric", str(ROUTE_METRIC)))
    if metric is None:
        refused.append(f"[DHCPv4] RouteMetric={last['RouteMetric']} is no number")
    else:
        made["metric"] = metric
    if ini.is_off(last.get("UseRoutes")) and ini.is_on(last.get("UseGateway")):
        made["option_edits"] = tuple(f"supersede {code}" for code in (121, 249, 33))  # the router of option 3 alone
    elif ini.is_off(last.get("UseRoutes")):
        made["use_routes"] = False
    elif ini.is_off(last.get("UseGateway")):
        made["use_gateway"] = False
    if "RouteTable" in last:
        names = {**_TABLES, **_table_names(own)}
        table = names.get(last["RouteTable"], _number(last["RouteTable"]))
        if table is None:
            refused.append(f"[DHCPv4] RouteTable={last['RouteTable']} is the name of no table")
        else:
            made["route_table"] = table
    return made, refused


def _route_metrics(last: Mapping[str, str], _said: Mapping[str, list[str]], _own: Settings) -> Made:
    """What the routes and the address have besides; how long a lease without a time lasts."""
    made: dict[str, Value] = {}
    refused: list[str] = []
    metrics = {"quickack": 1} if ini.is_on(last.get("QuickAck")) else {}
    for key, name in _ROUTE_METRICS.items():
        number = _number(last[key]) if key in last else None
        if number:
            metrics[name] = number
        elif key in last:
            refused.append(f"[DHCPv4] {key}={last[key]} cannot be honoured")
    if metrics:
        made["route_metrics"] = tuple(f"{name} {number}" for name, number in sorted(metrics.items()))
    if "Label" in last:
        made["address_label"] = last["Label"]
    if last.get("FallbackLeaseLifetimeSec") in ("forever", "infinity"):
        made["default_lease_time"] = dhcp_options.FOREVER
    return made, refused


def _table_names(own: Settings) -> dict[str, int]:
    """Names of tables (networkd.conf(5), RouteTable=)."""
    pairs = [word.rpartition(":") for section, key, value in own if (section, key) == ("Network", "RouteTable")
             for word in value.split()]
    return {name: number for name, _, text in pairs if (number := _number(text)) is not None}


def _sent(last: Mapping[str, str], said: Mapping[str, list[str]], _own: Settings) -> Made:
    """What is sent besides the client-id."""
    made: dict[str, Value] = {}
    refused: list[str] = []
    if not ini.is_off(last.get("SendHostname")):
        made["hostname"] = last.get("Hostname", "@system")
    if "VendorClassIdentifier" in last:
        made["vendor_class"] = _unescaped(last["VendorClassIdentifier"])
    try:
        classes = tuple(word for value in said.get("UserClass", ()) for word in shlex.split(value))
        if classes:
            made["user_class"] = classes
    except ValueError:
        refused.append(f"[DHCPv4] UserClass={last['UserClass']} cannot be read")
    codes = [_number(word) for value in said.get("RequestOptions", ()) for word in value.split()]
    codes = [code for code in codes if code is not None and 1 <= code <= 254]  # networkd passes over the others
    if codes:
        made["request"] = tuple(code for code in codes if code is not None)
    for key, name in (
        ("RequestBroadcast", "broadcast_flag"), ("Anonymize", "anonymize"), ("IPv6OnlyMode", "ipv6_only"),
    ):
        if ini.is_on(last.get(key)):
            made[name] = True
    return made, refused


def _options(last: Mapping[str, str], said: Mapping[str, list[str]], _own: Settings) -> Made:
    """Options that are sent in addition: of each number the last; none with Anonymize= (systemd.network(5)). One that
    networkd would send a second time is refused."""
    if ini.is_on(last.get("Anonymize")):
        return {}, []
    named = not ini.is_off(last.get("SendHostname"))
    twice = {12: named, 60: "VendorClassIdentifier" in last, 77: "UserClass" in last, 81: named}
    options: dict[int, str] = {}
    refused: list[str] = []
    if "MUDURL" in last:
        options[161] = f"161=hex:{last['MUDURL'].encode().hex()}"
    vendor = b""
    for value in said.get("SendVendorOption", ()):
        one = dhcp_options.typed(value)
        if one is None or len(one[1]) > 255:
            refused.append(f"[DHCPv4] SendVendorOption={value} cannot be honoured: it is not NUMBER:TYPE:DATA")
        else:
            vendor += bytes((one[0], len(one[1]))) + one[1]
    if vendor:
        options[43] = f"43=hex:{vendor.hex()}"
    for value in said.get("SendOption", ()):
        read = dhcp_options.typed(value)
        try:
            if read is None:
                raise ValueError("it is not NUMBER:TYPE:DATA")
            if twice.get(read[0]):
                raise ValueError(f"option {read[0]} is sent already")
            options[read[0]] = checks.sent_options([f"{read[0]}=hex:{read[1].hex()}"])[0]
        except ValueError as error:
            refused.append(f"[DHCPv4] SendOption={value} cannot be honoured: {error}")
    if len(options) > checks.MOST_SENT:
        refused.append(f"[DHCPv4] SendOption= has {len(options)} options, and Holdfast sends {checks.MOST_SENT}")
    return ({"send_options": tuple(options.values())} if options else {}), refused


def _servers(_last: Mapping[str, str], said: Mapping[str, list[str]], _own: Settings) -> Made:
    """Which servers may give a lease, by their identifiers (option 54). systemd.network(5): beside AllowList= a
    DenyList= is ignored. Bits behind the prefix are, too."""
    key, name = ("AllowList", "allow_servers") if said.get("AllowList") else ("DenyList", "deny_servers")
    words = [word for value in said.get(key, ()) for word in value.split()]
    networks = {word: dhcp_options.network(word) for word in words}
    refused = [f"[DHCPv4] {key}={word} is neither an IPv4 address nor a network"
               for word, network in networks.items() if network is None]
    if len(networks) > checks.MOST_SERVERS:
        refused.append(f"[DHCPv4] {key}= has {len(networks)} entries, and Holdfast takes {checks.MOST_SERVERS}")
    return ({name: tuple(filter(None, networks.values()))} if words else {}), refused


def _unescaped(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _client_id(last: Mapping[str, str], _said: Mapping[str, list[str]], _own: Settings) -> Made:
    """Option 61. Without another DUID the agent computes it, of the link (or IAID=) and the machine that it runs on: an
    image has neither."""
    kind = last.get("ClientIdentifier", "duid")
    if kind == "mac":
        return {"client_id": "mac"}, []
    changed = [f"{key}={last[key]}" for key in ("IAID", "DUIDType", "DUIDRawData") if key in last]
    if kind == "duid" and (not changed or changed == ["DUIDType=vendor"]):
        return {"client_id": "networkd"}, []
    if kind == "duid" and last.get("DUIDType") == "link-layer" and "DUIDRawData" not in last and (
            "IAID" not in last or _number(last["IAID"]) is not None):
        own = f":{_number(last['IAID'])}" if "IAID" in last else ""
        return {"client_id": f"networkd{own}/link-layer"}, []
    raw = _raw_duid(last)
    iaid = _number(last.get("IAID", ""))
    if kind == "duid" and iaid is not None and "DUIDRawData" not in last and last.get("DUIDType", "vendor") == "vendor":
        return {"client_id": f"networkd:{iaid}"}, []
    if kind == "duid" and raw is not None and iaid is not None:
        return {"client_id": (b"\xff" + iaid.to_bytes(4, "big") + raw).hex()}, []
    words = ", ".join([*([f"ClientIdentifier={kind}"] if kind != "duid" else []), *changed])
    return {}, [f"[DHCPv4] {words} cannot be honoured; set client_id in /etc/holdfast, or leave the link to networkd"]


def _raw_duid(last: Mapping[str, str]) -> bytes | None:
    """A DUID that DUIDType= and DUIDRawData= give in full (networkd.conf(5)), else None."""
    types: Mapping[str, int] = {"link-layer-time": 1, "vendor": 2, "link-layer": 3, "uuid": 4}
    number = types.get(last.get("DUIDType", "vendor"), _number(last.get("DUIDType", "")))
    try:
        body = bytes(int(part, 16) for part in last.get("DUIDRawData", "").split(":"))
    except ValueError:
        return None
    return None if number is None or not 0 < number < 1 << 16 or not body else number.to_bytes(2, "big") + body


def _number(text: str) -> int | None:
    """A whole number below 2**32, None for anything else."""
    try:
        number = int(text, 0)
    except ValueError:
        return None
    return number if 0 <= number < 1 << 32 else None
