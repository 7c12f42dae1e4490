"""The interface configuration that a lease asks for: ``spec_from_lease``, a pure function.

The server's values are checked here. Invalid values are left out and named in ``notices``; the rest of the lease is
used. Every list is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from holdfast.core.lease import Lease
from holdfast.wire import WireError
from holdfast.wire import options as opt
from holdfast.wire.record import TYPE_CHECKING, NamedTuple, record

if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")

#: rtnetlink(7) routing protocol "dhcp" (linux/rtnetlink.h, since 4.x also in iproute2's rt_protos).
RTPROT_DHCP = 16

#: The metric of NetworkManager and netplan for a machine's first Ethernet link. Routes that an operator adds without a
#: metric (0) and those of a VPN (usually 50) are preferred; those of Wi-Fi (600) and modems (700) are not.
DEFAULT_METRIC = 100

#: RFC 8200 section 5: below this the kernel takes IPv6 off the link.
MIN_IPV6_MTU = 1280

#: A full Ethernet packet has room for some 180 routes of the usual eight bytes; only relays of jumbo
#: frames could bring more, and each one costs a system call at every change.
MAX_ROUTES = 256

#: glibc reads three name servers, systemd-resolved tries them one after the other: more only cost time.
MAX_SERVERS = 8

#: glibc before 2.26 reads six search domains, and resolved tries each for every single-label name.
MAX_DOMAINS = 16

#: Reasons that are told of one option; the rest are counted.
TOLD = 2

#: RFC 8910 gives no limit. Longer than any URI in the field; it goes into status output and logs.
MAX_URI = 1024

LOOPBACK = IPv4Network("127.0.0.0/8")
MULTICAST_AND_ABOVE = IPv4Network("224.0.0.0/3")
THIS_NETWORK = IPv4Network("0.0.0.0/8")


@record
class Route(NamedTuple):
    """One route over our interface. ``gateway`` None is on-link (scope link). ``table`` is its routing table, 0 for the
    link's own: main, or that of the VRF which the link is in.

    ``source`` is the preferred source address; on ours it is the lease's address, and that is what
    makes the kernel take the route away together with the address. ``mtu`` is the route's own, 0 for none: dhcpcd
    sets it so, and what it left is put back with it.
    """

    destination: IPv4Network
    gateway: IPv4Address | None
    metric: int
    source: IPv4Address | None
    protocol: int = RTPROT_DHCP
    mtu: int = 0
    table: int = 0

    @property
    def onlink(self) -> bool:
        """True when the destination is reached without a gateway."""
        return self.gateway is None

    def __str__(self) -> str:
        via = f" via {self.gateway}" if self.gateway else ""
        return f"{'default' if self.destination.prefixlen == 0 else self.destination}{via}"


@record
class NetworkSpec(NamedTuple):
    """What should be on the interface. Pure data: comparable, and complete without the lease.

    ``broadcast`` None: the address has none (/31, /32). ``mtu`` None: leave it as it is.
    ``search`` are the search domains in use: option 119, or else the names in option 15, of which
    ``domain`` is the first; with ``search_routes`` they are to choose a server by. ``hostname`` is as offered; nothing
    acts on it, nor on ``captive_portal`` (RFC 8910; rule 68). ``valid_until`` is a CLOCK_BOOTTIME instant or inf.
    ``metric`` is the prefix route's.
    ``routes`` are in the order in which they can be added: on-link ones first. ``table`` is that of the prefix route,
    and of all that have none of their own; 0 for the link's own. ``label`` is the address's, None for the link's name.
    ``route_metrics`` are what routes are added with, by the names of ip-route(8): "mtu", "initcwnd", "initrwnd",
    "quickack". Of those that are there, the MTU alone is looked at.
    """

    address: IPv4Interface
    broadcast: IPv4Address | None = None
    routes: tuple[Route, ...] = ()
    mtu: int | None = None
    dns: tuple[IPv4Address, ...] = ()
    search: tuple[str, ...] = ()
    search_routes: bool = False
    domain: str | None = None
    hostname: str | None = None
    ntp: tuple[IPv4Address, ...] = ()
    captive_portal: str | None = None
    valid_until: float = float("inf")
    metric: int = DEFAULT_METRIC
    notices: tuple[str, ...] = ()
    table: int = 0
    label: str | None = None
    route_metrics: tuple[tuple[str, int], ...] = ()


def spec_from_lease(
    lease: Lease,
    *,
    metric: int | None = None,
    subnet_metric: int | None = None,
    use_mtu: bool = True,
    use_dns: bool = True,
    dns: Sequence[str] = (),
    own_search: Sequence[str] = (),
    use_routes: bool = True,
    use_domains: bool = True,
    use_ntp: bool = True,
    use_gateway: bool = True,
    use_domain_name: bool = False,
    dotted_search: bool = False,
    route_domains: bool = False,
    routes_to_dns: bool = False,
    routes_to_ntp: bool = False,
    edits: Sequence[str] = (),
    table: int | None = None,
    router_routes: Sequence[str] = (),
    route_metrics: Sequence[str] = (),
    address_label: str | None = None,
) -> NetworkSpec:
    """The configuration for ``lease``; never raises. ``notices`` names what was left out, and why.

    ``subnet_metric``: that of the prefix route; None: ``metric``, as the others have.
    ``use_routes`` False keeps the address alone (the kernel still makes its prefix route); ``use_gateway`` False leaves
    out the default route alone, from whichever option. ``dns`` and ``own_search`` are this machine's own servers and
    domains: they come first, and with such domains option 15 is none to be searched. ``use_domain_name``: that of
    option 15 is searched before those of option 119, which do not name it; with ``dotted_search`` those end with a dot,
    as dhclient has them. ``route_domains``: they are to route queries by, and not to be searched. ``routes_to_dns``,
    ``routes_to_ntp``: each of the reply's servers has a route. ``edits``: see ``edited``. ``table``: the routes go
    there instead of into the link's own table. ``router_routes``: routes by the lease's router, also where it is not
    used for the default route, such as "192.0.2.0/24 table 100 metric 50". ``route_metrics``: such as "mtu 1400".
    """
    reader = _Reader(lease._replace(options=edited(lease.options, edits)) if edits else lease)
    own_servers = b"".join(bytes.fromhex(text) for edit in edits if edit.split()[1] == "6" for text in edit.split()[2:])
    metric = DEFAULT_METRIC if metric is None else metric
    address = IPv4Interface((lease.address, _prefix_length(reader)))
    domains = reader.read_list(opt.DOMAIN_NAME, opt.domain_names) or ()
    listed = reader.read_list(opt.DOMAIN_SEARCH, opt.domain_search) or ()
    search = listed or (() if own_search else domains)
    if use_domain_name and listed and not own_search:
        # dhclient-script looks for the whole text of option 15 in the list.
        more = () if set(domains) <= set(listed) and not (dotted_search and len(domains) > 1) else domains
        search = (*more, *(f"{domain}." for domain in listed)) if dotted_search else (*more, *listed)
    search = search if use_dns and use_domains else ()
    searched = tuple(dict.fromkeys((*own_search, *search)))
    if len(searched) > MAX_DOMAINS:
        reader.ignore(opt.DOMAIN_SEARCH, f"all but the first {MAX_DOMAINS} of {len(searched)} domains")
    servers = _servers(reader, opt.DOMAIN_NAME_SERVER, own_servers) if use_dns else ()
    ntp = _servers(reader, opt.NTP_SERVERS) if use_ntp else ()
    routes = _routes(reader, address, metric, table or 0, use_gateway=use_gateway) if use_routes else ()
    routed = (servers if routes_to_dns else ()) + (ntp if routes_to_ntp else ())
    metrics = tuple((name, int(number)) for name, number in map(str.split, route_metrics))
    own = Route(address.network, None, metric, address.ip, mtu=dict(metrics).get("mtu", 0), table=table or 0)
    routes = (*routes, *_to_servers(routes, address, routed))
    return NetworkSpec(
        address=address,
        broadcast=_broadcast(reader, address),
        routes=(*(route._replace(mtu=own.mtu) for route in routes), *_by_the_router(reader, own, router_routes)),
        mtu=_mtu(reader) if use_mtu else None,
        dns=tuple(dict.fromkeys((*map(IPv4Address, dns), *servers)))[:MAX_SERVERS],
        search=searched[:MAX_DOMAINS],
        search_routes=route_domains,
        domain=domains[0] if domains and use_domains else None,
        hostname=reader.read(opt.HOST_NAME, opt.hostname),
        ntp=ntp,
        captive_portal=_captive_portal(reader),
        valid_until=lease.expires_at,
        metric=metric if subnet_metric is None else subnet_metric,
        notices=reader.notices,
        table=table or 0,
        label=address_label,
        route_metrics=metrics,
    )


def edited(options: Mapping[int, bytes], edits: Sequence[str]) -> Mapping[int, bytes]:
    """The options of a reply as dhclient.conf(5) changes them, in order: "supersede 6 0a000001" replaces option 6 by
    these bytes, and without any takes it out; "prepend" and "append" put them before and behind it, "default" is for a
    reply without it."""
    changed = dict(options)
    for verb, number, *text in map(str.split, edits):
        code, value = int(number), bytes.fromhex("".join(text))
        if not value:
            changed.pop(code, None)
            continue
        now = changed.get(code, b"")
        if now and code == opt.DOMAIN_SEARCH and verb in ("prepend", "append"):
            now = _uncompressed(now)
        changed[code] = {"supersede": value, "prepend": value + now, "append": now + value}.get(verb, now or value)
    return changed


def _uncompressed(search: bytes) -> bytes:
    """Option 119 without pointers, which count from its beginning; nothing when it cannot be read."""
    try:
        names = opt.domain_search(search)
    except WireError:
        return b""
    return b"".join(bytes([len(label)]) + label.encode() if label else b"\0"
                    for name in names for label in (*name.split("."), ""))


class _Reader:
    """A lease's options, and the notices that reading them made."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.assumed: list[str] = []
        self._ignored: dict[int, list[str]] = {}

    def read(self, code: int, decoder: Callable[[bytes], T]) -> T | None:
        """The option's value; None when it is absent, or invalid, which the notices then say."""
        value = self.lease.options.get(code)
        if value is None:
            return None
        try:
            meaning = decoder(value)
        except WireError as error:
            self.ignore(code, str(error))
            return None
        if meaning is None:
            self.ignore(code, f"{opt.quoted(value)} is not {_MEANT[code]}")
        return meaning

    def read_list(self, code: int, decoder: Callable[[bytes, list[str]], T]) -> T | None:
        """As ``read``, of an option some parts of which may be left out: the notices name the first of them."""
        left_out: list[str] = []
        value = self.lease.options.get(code)
        if value is None:
            return None
        try:
            meaning = decoder(value, left_out)
        except WireError as error:
            meaning, left_out = None, left_out or [str(error)]
        for why in left_out:
            self.ignore(code, why)
        return meaning

    def ignore(self, code: int, why: str) -> None:
        """Option ``code``, or a part of it, is not used."""
        self._ignored.setdefault(code, []).append(why)

    @property
    def notices(self) -> tuple[str, ...]:
        """One line for each option, whatever the server sent, and then what was assumed."""
        by = "" if self.lease.server_id is None else f" (by {self.lease.server_id})"
        ignored = [
            f"option {code} ({opt.NAMES[code]}) ignored: {'; '.join(whys[:TOLD])}"
            + (f"; and {len(whys) - TOLD} more" if len(whys) > TOLD else "") + by
            for code, whys in self._ignored.items()
        ]
        return (*ignored, *self.assumed)


#: What an option should be whose value is not used as a whole.
_MEANT = {opt.HOST_NAME: "a host's name", opt.CAPTIVE_PORTAL: "a web address"}


def _prefix_length(reader: _Reader) -> int:
    """From option 1. Without a usable mask: /32 when the server names a router, else the address's class.

    RFC 950 would have the class at any rate, but inside 10.0.0.0/8 that makes the whole of it on-link,
    and everything beyond the real subnet unreachable. With /32 all traffic goes through the router.
    Without a router there is only the link, and the class is the only information.
    """
    mask = reader.read(opt.SUBNET_MASK, opt.subnet_mask)
    if mask is not None:
        return 32 - (int(mask) ^ 0xFFFFFFFF).bit_length()
    routed = (opt.CLASSLESS_STATIC_ROUTE, opt.CLASSLESS_STATIC_ROUTE_MS, opt.ROUTER)
    first = reader.lease.address.packed[0]
    length = 8 if first < 128 else 16 if first < 192 else 24
    if any(opt.says_something(code, reader.lease.options) for code in routed):
        length = 32
    reader.assumed.append(f"no subnet mask from the server: {reader.lease.address}/{length} is assumed")
    return length


def _broadcast(reader: _Reader, address: IPv4Interface) -> IPv4Address | None:
    """Option 28 when it can be one (in the subnet, or all ones), else what the mask says."""
    if address.network.prefixlen >= 31:
        return None  # RFC 3021: such a link has no broadcast address
    offered = reader.read(opt.BROADCAST_ADDRESS, opt.address)
    usual = address.network.broadcast_address
    if offered is None or offered == usual:
        return usual
    if int(offered) == 0xFFFFFFFF:
        return offered
    reader.ignore(opt.BROADCAST_ADDRESS, f"{offered} is not the broadcast address of {address.network}")
    return usual


def _routes(
    reader: _Reader, address: IPv4Interface, metric: int, table: int, *, use_gateway: bool
) -> tuple[Route, ...]:
    """Options 121, else 249, else 33 and 3 (RFC 3442; rule 64), in an order that the kernel accepts."""
    ours = Route(address.network, None, metric, address.ip, table=table)
    direct: dict[IPv4Network, Route] = {}
    routed: dict[IPv4Network, Route] = {}
    code, pairs = _offered_routes(reader)
    for destination, gateway in pairs:
        if destination.prefixlen == 0 and not use_gateway:
            continue
        if destination.subnet_of(MULTICAST_AND_ABOVE) or destination.subnet_of(LOOPBACK):
            reader.ignore(code, f"{destination} is not a destination that can be routed")
        elif destination in direct or destination in routed:
            reader.ignore(code, f"{destination} is there twice")
        # Some servers name the client itself as its router, and mean "on this link" (proxy ARP).
        elif int(gateway) == 0 or gateway == address.ip:
            if destination != address.network:  # the kernel makes that one itself
                direct[destination] = ours._replace(destination=destination)
        elif not _unicast(gateway):
            reader.ignore(code, f"{gateway} cannot be a gateway")
        else:
            routed[destination] = ours._replace(destination=destination, gateway=gateway)
    reached = [address.network, *(network for network in direct if network.prefixlen)]
    for gateway in [route.gateway for route in routed.values() if route.gateway is not None]:
        if not any(gateway in network for network in reached):
            # GCP and Hetzner: /32, and a router outside of it (rule 66)
            host = IPv4Network(gateway)
            routed.pop(host, None)  # a route to the gateway through the gateway cannot work
            direct[host] = ours._replace(destination=host)
            reached.append(host)
    return (*direct.values(), *routed.values())


def _by_the_router(reader: _Reader, own: Route, wanted: Sequence[str]) -> list[Route]:
    """This machine's own routes by the lease's router; none where it has none. ``own``: what they are like where they
    say nothing else."""
    if not wanted:
        return []
    routers = [*(reader.read(opt.ROUTER, opt.addresses) or ()),
               *(gateway for destination, gateway in _offered_routes(reader)[1] if not destination.prefixlen)]
    router = next((router for router in routers if _unicast(router)), None)
    if router is None:
        return []
    found = []
    for destination, *words in map(str.split, wanted):
        said = dict(zip(words[::2], map(int, words[1::2]), strict=True))
        found.append(own._replace(destination=IPv4Network(destination), gateway=router,
                                  metric=said.get("metric", own.metric), table=said.get("table", own.table)))
    return found


def _to_servers(routes: Sequence[Route], address: IPv4Interface, servers: Sequence[IPv4Address]) -> list[Route]:
    """Routes to servers, as networkd has them (RoutesToDNS=): on the link where that reaches them, else by the gateway
    of the default route; none without one, and none to the gateway."""
    default = next((route for route in routes if not route.destination.prefixlen), None)
    if default is None:
        return []
    known = {route.destination for route in routes}
    found = []
    for host in dict.fromkeys(map(IPv4Network, servers)):
        if host not in known and host.network_address not in (address.ip, default.gateway):
            near = host.subnet_of(address.network)
            found.append(default._replace(destination=host, gateway=None if near else default.gateway))
    return found


def _offered_routes(reader: _Reader) -> tuple[int, list[tuple[IPv4Network, IPv4Address]]]:
    """The option that counts, and its (destination, gateway) pairs, the default route first if there is one.

    An option 121 that cannot be read is treated as absent, so that the router of option 3 is used.
    """
    for code in (opt.CLASSLESS_STATIC_ROUTE, opt.CLASSLESS_STATIC_ROUTE_MS):
        classless = reader.read_list(code, opt.classless_routes)
        if classless:
            return code, _bounded(reader, code, sorted(classless, key=lambda pair: pair[0].prefixlen > 0))
    pairs = list(reader.read_list(opt.STATIC_ROUTE, opt.static_routes) or ())
    offered = reader.read(opt.ROUTER, opt.addresses) or ()
    routers = [router for router in offered if int(router)]
    if len(routers) < len(offered):
        reader.ignore(opt.ROUTER, "0.0.0.0 cannot be a gateway")
    if not routers:
        return opt.STATIC_ROUTE, _bounded(reader, opt.STATIC_ROUTE, pairs)
    # Routers are in order of preference (RFC 2132 section 3.5). The kernel would not fail over to a second default
    # route, so only the first is used.
    default = (IPv4Network("0.0.0.0/0"), routers[0])
    return opt.ROUTER, _bounded(reader, opt.ROUTER, [default, *pairs])


def _bounded(
    reader: _Reader, code: int, pairs: list[tuple[IPv4Network, IPv4Address]]
) -> list[tuple[IPv4Network, IPv4Address]]:
    if len(pairs) > MAX_ROUTES:
        reader.ignore(code, f"all but the first {MAX_ROUTES} of {len(pairs)} routes")
    return pairs[:MAX_ROUTES]


def _mtu(reader: _Reader) -> int | None:
    """Option 26 from 576 up (rule 62). Whether the link can do it, and IPv6 on it, is seen when it is applied."""
    return reader.read(opt.INTERFACE_MTU, opt.mtu)


def _servers(reader: _Reader, code: int, own: bytes = b"") -> tuple[IPv4Address, ...]:
    """The addresses of an option that can be a server's, or are this machine's ``own`` choice, each once."""
    offered = reader.read(code, opt.addresses) or ()
    chosen = {own[at:at + 4] for at in range(0, len(own), 4)}
    usable = tuple(dict.fromkeys(server for server in offered if _unicast(server) or server.packed in chosen))
    for server in dict.fromkeys(offered):
        if server not in usable:
            reader.ignore(code, f"{server} cannot be a server")
            break  # one example is enough
    if len(usable) > MAX_SERVERS:
        reader.ignore(code, f"all but the first {MAX_SERVERS} of {len(usable)} servers")
    return usable[:MAX_SERVERS]


def _captive_portal(reader: _Reader) -> str | None:
    """Option 114: shown in the status, never opened."""
    uri = reader.read(opt.CAPTIVE_PORTAL, opt.uri)
    if uri is not None and len(uri) > MAX_URI:
        reader.ignore(opt.CAPTIVE_PORTAL, f"{len(uri)} characters")
        return None
    return uri


def _unicast(address: IPv4Address) -> bool:
    """Could belong to another host: not "this network", loopback, multicast, reserved or broadcast."""
    return not any(address in network for network in (THIS_NETWORK, LOOPBACK, MULTICAST_AND_ABOVE))
