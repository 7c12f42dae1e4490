"""network.spec: what a lease says the host should look like."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import strategies
from tests.support.fixtures import load_reply, reply_names
from tests.support.leases import PLAIN, classless, make_lease, make_spec, packed

from holdfast.network.spec import (
    MAX_DOMAINS,
    MAX_ROUTES,
    MAX_SERVERS,
    MAX_URI,
    Route,
    spec_from_lease,
)
from holdfast.wire import message as msg
from holdfast.wire import options as opt


def routes(options: dict[int, bytes], address: str = "10.0.0.5") -> list[str]:
    """The routes as text: "DESTINATION via GATEWAY", or "DESTINATION" when on-link."""
    return [str(route) for route in make_spec(address, options).routes]


def from_reply(name: str, **lease: float) -> list[str]:
    """What a reply of the field makes of the address and the routes."""
    reply = msg.decode(load_reply(name))
    spec = spec_from_lease(make_lease(str(reply.yiaddr), reply.options, **lease))
    return [str(spec.address), *map(str, spec.routes)]


# -- changes to replies ----------------------------------------------------------------------------


def test_an_option_is_taken_out_of_a_reply() -> None:
    edits = ("supersede 6", "supersede 15", "append 15 62", "supersede 26")
    spec = spec_from_lease(make_lease(options={6: b"\x0a\0\0\1", 15: b"a", 26: b"\x05\x78"}), edits=edits)
    assert (spec.dns, spec.search, spec.mtu) == ((), ("b",), None)


@pytest.mark.parametrize(("edits", "dns"), [
    (("supersede 6 c0000202",), ["192.0.2.2"]), (("prepend 6 7f000001",), ["127.0.0.1", "192.0.2.1"]),
    (("append 6 7f000001", "append 6 7f000002"), ["192.0.2.1", "127.0.0.1", "127.0.0.2"]),
    (("default 6 7f000001",), ["192.0.2.1"]),
])
def test_a_reply_is_changed_before_it_is_used(edits: tuple[str, ...], dns: list[str]) -> None:
    lease = make_lease(options={6: bytes((192, 0, 2, 1))})
    spec = spec_from_lease(lease, edits=(*edits, "default 26 0578"))
    assert [str(server) for server in spec.dns] == dns
    assert spec.mtu == 1400
    assert lease.options == {6: bytes((192, 0, 2, 1))}


def test_a_compressed_search_list_is_changed() -> None:
    search = b"\x01a\x07example\x00\x01b\xc0\x02"
    spec = spec_from_lease(make_lease(options={119: search}), edits=("prepend 119 01780479616d6c00",))
    assert spec.search == ("x.yaml", "a.example", "b.example")
    assert spec_from_lease(make_lease(options={119: b"\xc0"}), edits=("append 119 016100",)).search == ("a",)


@pytest.mark.parametrize(("name", "search", "wanted"), [
    (b"corp", b"\x01a\x00", ("corp", "a")), (b"a", b"\x01b\x00\x01a\x00", ("b", "a")), (b"corp", b"", ("corp",)),
])
def test_the_domain_of_option_15_is_searched_too(name: bytes, search: bytes, wanted: tuple[str, ...]) -> None:
    options = {15: name, **({119: search} if search else {})}
    spec = spec_from_lease(make_lease(options=options), use_domain_name=True, route_domains=True)
    assert (spec.search, spec.search_routes) == (wanted, True)


ROUTED = {1: bytes((255, 255, 255, 0)), 3: bytes((10, 0, 0, 1))}
CLASSLESS = {1: bytes((255, 255, 255, 0)), 121: bytes((0, 10, 0, 0, 2))}


@pytest.mark.parametrize(("options", "use_gateway", "wanted"), [
    (ROUTED, True, ["default via 10.0.0.1", "192.0.2.0/24 via 10.0.0.1", "default via 10.0.0.1"]),
    (ROUTED, False, ["192.0.2.0/24 via 10.0.0.1", "default via 10.0.0.1"]),
    (CLASSLESS, False, ["192.0.2.0/24 via 10.0.0.2", "default via 10.0.0.2"]),
    ({1: bytes((255, 255, 255, 0))}, True, []), ({3: bytes(4)}, True, []),
])
def test_routes_by_the_router_of_the_lease(options: dict[int, bytes], use_gateway: bool, wanted: list[str]) -> None:
    spec = spec_from_lease(make_lease(options=options), metric=7, table=9, use_gateway=use_gateway,
                           router_routes=("192.0.2.0/24", "0.0.0.0/0 table 100 metric 50"))
    assert [str(route) for route in spec.routes] == wanted
    if wanted:
        assert [(route.table, route.metric) for route in spec.routes[-2:]] == [(9, 7), (100, 50)]


def test_what_routes_and_address_have_besides() -> None:
    spec = spec_from_lease(make_lease(options=ROUTED), route_metrics=("initcwnd 30", "mtu 1400"), address_label="a:b")
    assert (spec.route_metrics, spec.label) == ((("initcwnd", 30), ("mtu", 1400)), "a:b")
    assert [route.mtu for route in spec.routes] == [1400]


@pytest.mark.parametrize(("name", "search", "wanted"), [
    (b"corp", b"\x01a\x00", ("corp", "a.")), (b"a", b"\x01b\x00\x01a\x00", ("b.", "a.")), (b"corp", b"", ("corp",)),
    (b"a", b"\x01a\x00", ("a.",)), (b"", b"\x01a\x00", ("a.",)),
    (b"a b", b"\x01a\x00\x01b\x00", ("a", "b", "a.", "b.")),
])
def test_listed_domains_end_with_a_dot_where_dhclient_wrote_one(
    name: bytes, search: bytes, wanted: tuple[str, ...]
) -> None:
    options = {code: value for code, value in ((15, name), (119, search)) if value}
    spec = spec_from_lease(make_lease(options=options), use_domain_name=True, dotted_search=True)
    assert spec.search == wanted


def test_servers_have_routes_of_their_own_where_networkd_made_them() -> None:
    options = {1: bytes((255, 255, 255, 0)), 3: bytes((10, 0, 0, 1)), 6: bytes((10, 0, 0, 1, 10, 0, 0, 53, 9, 9, 9, 9)),
               42: bytes((9, 9, 9, 9, 10, 0, 0, 5))}
    lease = make_lease(options=options)
    spec = spec_from_lease(lease, metric=1024, routes_to_dns=True, routes_to_ntp=True)
    assert [str(route) for route in spec.routes] == [
        "default via 10.0.0.1", "10.0.0.53/32", "9.9.9.9/32 via 10.0.0.1"]
    assert {route.metric for route in spec.routes} == {1024}
    assert len(spec_from_lease(lease, routes_to_dns=True, routes_to_ntp=True, use_gateway=False).routes) == 0
    assert len(spec_from_lease(lease).routes) == 1


# -- the field's replies -------------------------------------------------------------------------


def test_azure() -> None:  # rule 64
    address, *found = from_reply("azure-ack")
    assert address == "10.0.0.4/24"
    assert found == [
        "default via 10.0.0.1", "168.63.129.16/32 via 10.0.0.1", "169.254.169.254/32 via 10.0.0.1",
    ]


def test_gcp() -> None:  # rule 66
    address, *found = from_reply("gcp-ack")
    gateway = found[0].removesuffix("/32")
    assert address.endswith("/32")
    assert found == [f"{gateway}/32", f"default via {gateway}"]
    assert make_spec(options=msg.decode(load_reply("gcp-ack")).options).mtu == 1460


def test_hetzner() -> None:  # rule 66
    address, *found = from_reply("hetzner-ack")
    assert address.endswith("/32")
    assert found == ["172.31.1.1/32", "default via 172.31.1.1"]


@pytest.mark.parametrize("name", reply_names())
def test_every_reply_of_the_field_gives_routes_that_the_kernel_takes(name: str) -> None:  # rule 66
    reply = msg.decode(load_reply(name))
    spec = spec_from_lease(make_lease(str(reply.yiaddr), reply.options))
    reached = [spec.address.network]
    for route in spec.routes:
        assert route.gateway is None or any(route.gateway in network for network in reached)
        if route.onlink:
            reached.append(route.destination)
        assert route.source == spec.address.ip


# -- address -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mask", "address", "expected"),
    [
        ("255.255.255.0", "10.0.0.5", "10.0.0.5/24"),
        ("255.255.240.0", "10.0.0.5", "10.0.0.5/20"),
        ("255.255.255.254", "10.0.0.5", "10.0.0.5/31"),
        ("255.255.255.255", "10.0.0.5", "10.0.0.5/32"),
        ("255.0.0.0", "10.0.0.5", "10.0.0.5/8"),
    ],
)
def test_the_mask_is_option_1(mask: str, address: str, expected: str) -> None:
    spec = make_spec(address, {opt.SUBNET_MASK: packed(mask)})
    assert spec.address == IPv4Interface(expected)
    assert spec.notices == ()


@pytest.mark.parametrize("mask", [None, packed("0.0.0.0"), packed("128.0.0.0"), packed("255.0.255.0"), b"\xff\xff\xff"])
@pytest.mark.parametrize(
    ("address", "router", "length"),
    [("10.0.0.5", True, 32), ("10.0.0.5", False, 8), ("172.16.0.5", False, 16), ("192.0.2.5", False, 24)],
)
def test_without_a_usable_mask_everything_goes_through_the_router(
    mask: bytes | None, address: str, router: bool, length: int
) -> None:
    options = {} if mask is None else {opt.SUBNET_MASK: mask}
    if router:
        options[opt.ROUTER] = packed("10.0.0.1")
    spec = make_spec(address, options)
    assert spec.address.network.prefixlen == length
    assert [str(r) for r in spec.routes] == (["10.0.0.1/32", "default via 10.0.0.1"] if router else [])
    assert f"{address}/{length} is assumed" in spec.notices[-1]


@pytest.mark.parametrize(
    ("offered", "expected", "noticed"),
    [
        (None, "10.0.0.255", False), ("10.0.0.255", "10.0.0.255", False),
        ("255.255.255.255", "255.255.255.255", False), ("10.0.0.0", "10.0.0.255", True),
        ("10.9.9.255", "10.0.0.255", True),
    ],
)
def test_broadcast(offered: str | None, expected: str, noticed: bool) -> None:
    extra = {opt.BROADCAST_ADDRESS: packed(offered)} if offered else {}
    spec = make_spec(options={**PLAIN, **extra})
    assert spec.broadcast == IPv4Address(expected)
    assert bool(spec.notices) is noticed


@pytest.mark.parametrize("mask", ["255.255.255.254", "255.255.255.255"])
def test_small_subnets_have_no_broadcast(mask: str) -> None:
    options = {opt.SUBNET_MASK: packed(mask), opt.BROADCAST_ADDRESS: packed("10.0.0.255")}
    assert make_spec(options=options).broadcast is None


def test_the_end_is_the_lease_s() -> None:  # rule 32
    assert spec_from_lease(make_lease(start=10.0, time=120.0)).valid_until == 130.0
    assert make_spec(until=inf).valid_until == inf


# -- routes --------------------------------------------------------------------------------------

CLASSLESS = classless(("0.0.0.0/0", "10.0.0.2"), ("192.0.2.0/24", "10.0.0.3"))
MICROSOFT = classless(("0.0.0.0/0", "10.0.0.4"))
STATIC = {opt.STATIC_ROUTE: packed("192.0.2.0", "10.0.0.6")}


def test_121_goes_before_249_before_33_and_3() -> None:  # rule 64
    everything = {**PLAIN, **STATIC, opt.CLASSLESS_STATIC_ROUTE_MS: MICROSOFT}
    assert routes({**everything, opt.CLASSLESS_STATIC_ROUTE: CLASSLESS}) == [
        "default via 10.0.0.2", "192.0.2.0/24 via 10.0.0.3",
    ]
    assert routes(everything) == ["default via 10.0.0.4"]
    assert routes({**PLAIN, **STATIC}) == ["default via 10.0.0.1", "192.0.2.0/24 via 10.0.0.6"]


def test_121_without_a_default_route_means_none() -> None:  # rule 64
    assert routes({**PLAIN, opt.CLASSLESS_STATIC_ROUTE: classless(("192.0.2.0/24", "10.0.0.3"))}) == [
        "192.0.2.0/24 via 10.0.0.3"
    ]


def test_121_without_a_readable_route_is_no_121() -> None:  # rule 65
    spec = make_spec(options={**PLAIN, opt.CLASSLESS_STATIC_ROUTE: b"\x21abcdefgh"})
    assert [str(route) for route in spec.routes] == ["default via 10.0.0.1"]
    assert spec.notices == (
        "option 121 (classless-static-route) ignored: no classless route can be read (by 10.0.0.1)",)


def test_a_malformed_tail_drops_the_tail() -> None:  # rule 65
    value = CLASSLESS + b"\x18\x0a"
    assert routes({**PLAIN, opt.CLASSLESS_STATIC_ROUTE: value}) == [
        "default via 10.0.0.2", "192.0.2.0/24 via 10.0.0.3",
    ]


def test_gateway_zero_is_on_link_and_host_bits_are_masked() -> None:  # rule 65
    value = b"\x14\xc0\x00\x2f" + packed("0.0.0.0")  # 192.0.47.0/20 has host bits
    assert routes({**PLAIN, opt.CLASSLESS_STATIC_ROUTE: value}) == ["192.0.32.0/20"]


def test_on_link_routes_come_first_and_serve_as_way_to_gateways() -> None:  # rule 66
    value = classless(("0.0.0.0/0", "192.0.2.1"), ("192.0.2.0/24", "0.0.0.0"))
    assert routes({**PLAIN, opt.CLASSLESS_STATIC_ROUTE: value}) == ["192.0.2.0/24", "default via 192.0.2.1"]


def test_a_gateway_outside_of_the_subnet_gets_a_host_route_once() -> None:  # rule 66
    value = classless(("0.0.0.0/0", "192.0.2.1"), ("198.51.100.0/24", "192.0.2.1"))
    assert routes({**PLAIN, opt.CLASSLESS_STATIC_ROUTE: value}) == [
        "192.0.2.1/32", "default via 192.0.2.1", "198.51.100.0/24 via 192.0.2.1",
    ]


def test_an_on_link_default_route_does_not_make_gateways_reachable() -> None:  # rule 66
    value = classless(("0.0.0.0/0", "0.0.0.0"), ("198.51.100.0/24", "192.0.2.1"))
    assert routes({**PLAIN, opt.CLASSLESS_STATIC_ROUTE: value}) == [
        "default", "192.0.2.1/32", "198.51.100.0/24 via 192.0.2.1",
    ]


def test_a_route_to_the_gateway_through_the_gateway_is_made_on_link() -> None:  # rule 66
    value = classless(("192.0.2.1/32", "192.0.2.1"), ("0.0.0.0/0", "192.0.2.1"))
    assert routes({**PLAIN, opt.CLASSLESS_STATIC_ROUTE: value}) == ["192.0.2.1/32", "default via 192.0.2.1"]


def test_a_server_that_names_us_as_router_means_on_link() -> None:
    assert routes({**PLAIN, opt.ROUTER: packed("10.0.0.5")}) == ["default"]


def test_the_first_router_that_is_one_counts() -> None:
    assert routes({**PLAIN, opt.ROUTER: packed("0.0.0.0", "10.0.0.3", "10.0.0.4")}) == ["default via 10.0.0.3"]
    assert routes({**PLAIN, opt.ROUTER: packed("0.0.0.0")}) == []


def test_the_subnet_s_own_route_is_the_kernel_s() -> None:
    value = classless(("10.0.0.0/24", "0.0.0.0"), ("0.0.0.0/0", "10.0.0.1"))
    assert routes({**PLAIN, opt.CLASSLESS_STATIC_ROUTE: value}) == ["default via 10.0.0.1"]


@pytest.mark.parametrize(
    ("destination", "gateway"),
    [
        ("127.0.0.0/8", "10.0.0.1"), ("127.1.0.0/16", "0.0.0.0"), ("224.0.0.0/4", "10.0.0.1"),
        ("255.255.255.255/32", "0.0.0.0"), ("192.0.2.0/24", "127.0.0.1"), ("192.0.2.0/24", "224.0.0.1"),
        ("192.0.2.0/24", "255.255.255.255"), ("192.0.2.0/24", "0.0.0.9"),
    ],
)
def test_nonsense_is_left_out_and_told(destination: str, gateway: str) -> None:  # rule 65
    value = classless((destination, gateway), ("0.0.0.0/0", "10.0.0.1"))
    spec = make_spec(options={**PLAIN, opt.CLASSLESS_STATIC_ROUTE: value})
    assert [str(route) for route in spec.routes] == ["default via 10.0.0.1"]
    assert len(spec.notices) == 1


def test_a_destination_twice_is_used_once() -> None:
    value = classless(("192.0.2.0/24", "10.0.0.1"), ("192.0.2.0/24", "10.0.0.2"))
    spec = make_spec(options={**PLAIN, opt.CLASSLESS_STATIC_ROUTE: value})
    assert [str(route) for route in spec.routes] == ["192.0.2.0/24 via 10.0.0.1"]
    assert "twice" in spec.notices[0]


def test_routes_are_bounded_and_the_default_route_is_not_lost() -> None:
    many = [(f"10.{i // 256}.{i % 256}.0/24", "10.0.0.1") for i in range(1, MAX_ROUTES + 50)]
    value = classless(*many, ("0.0.0.0/0", "10.0.0.1"))
    spec = make_spec(options={opt.SUBNET_MASK: packed("255.255.255.255"), opt.CLASSLESS_STATIC_ROUTE: value})
    assert str(spec.routes[1]) == "default via 10.0.0.1"
    assert len(spec.routes) == MAX_ROUTES + 1  # and the way to the gateway
    assert "all but the first" in spec.notices[0]


def test_metric_and_source_are_on_every_route() -> None:
    gateway, default = make_spec("192.0.2.9", {**PLAIN, opt.SUBNET_MASK: packed("255.255.255.255")}, metric=7).routes
    ours = IPv4Address("192.0.2.9")
    assert gateway == Route(IPv4Network("10.0.0.1/32"), None, 7, ours)
    assert default == Route(IPv4Network("0.0.0.0/0"), IPv4Address("10.0.0.1"), 7, ours)


def test_the_subnets_route_may_have_a_metric_of_its_own() -> None:
    spec = make_spec("10.0.0.9", PLAIN, metric=7, subnet_metric=0)
    assert (spec.metric, [route.metric for route in spec.routes]) == (0, [7])
    assert make_spec("10.0.0.9", PLAIN, metric=7).metric == 7


# -- MTU -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected", "notice"),
    [
        (b"\x05\xdc", 1500, ""), (b"\x23\x28", 9000, ""), (b"\x02\x3f", None, "575 is below 576"),
        (b"\x00\x44", None, "68 is below 576"), (b"\x00\x00", None, "0 is below 576"),
        (b"\x02\x40", 576, ""), (b"\x05\x00", 1280, ""), (b"\x05", None, "ignored"),
    ],
)
def test_mtu(value: bytes, expected: int | None, notice: str) -> None:  # rule 62
    spec = make_spec(options={**PLAIN, opt.INTERFACE_MTU: value})
    assert spec.mtu == expected
    assert len(spec.notices) == bool(notice)
    assert notice in "".join(spec.notices)


# -- names and servers ---------------------------------------------------------------------------


def test_servers_are_checked_and_bounded() -> None:
    odd = packed("0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "10.0.0.2", "10.0.0.2")
    spec = make_spec(options={**PLAIN, opt.DOMAIN_NAME_SERVER: odd, opt.NTP_SERVERS: packed("10.0.0.3")})
    assert spec.dns == (IPv4Address("10.0.0.2"),)
    assert spec.ntp == (IPv4Address("10.0.0.3"),)
    assert spec.notices == ("option 6 (domain-name-server) ignored: 0.0.0.0 cannot be a server (by 10.0.0.1)",)
    many = packed(*(f"10.0.1.{i}" for i in range(MAX_SERVERS + 3)))
    spec = make_spec(options={**PLAIN, opt.DOMAIN_NAME_SERVER: many})
    assert len(spec.dns) == MAX_SERVERS
    assert "all but the first" in spec.notices[0]


def name(*labels: str) -> bytes:
    """A name in DNS form."""
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


LONG = b"a" * 64


@pytest.mark.parametrize(("code", "value", "why"), [
    (12, b"my host", '"my host" is not a host\'s name'), (12, b"", '"" is not a host\'s name'),
    (12, b"\x1b]0;owned\x07", '"?]0;owned?" is not a host\'s name'),
    (15, b"good.example `id`", '"`id`" is not a domain'), (15, b" ", '"" is not a domain'),
    (15, b"a.-b " + LONG + b"x", f'"a.-b" is not a domain; "{"a" * 64}..." is not a domain'),
    (119, name("a") + name("b c") + name("-d") + name("e-") + name("f_"),
     '"b c" is not a domain; "-d" is not a domain; and 1 more'),
    (119, name("a") + b"\x3fb", "what is there from octet 3 on is no domain"),
    (119, b"\xc0\0", "what is there from octet 0 on is no domain"), (119, b"", "no domain can be read"),
    (119, name("b c"), '"b c" is not a domain'),
    (119, b"".join(name(f"d{n}") for n in range(20)), "all but the first 16 of 20 domains"),
    (114, b"gopher://x", '"gopher://x" is not a web address'),
    (33, packed("0.0.0.0", "10.0.0.9"), "0.0.0.0 is not a destination that can be routed"),
    (33, packed("192.168.0.0", "10.0.0.9") + b"\1", "length 9 is not that of a list of routes, eight bytes each"),
    (121, classless(("0.0.0.0/0", "10.0.0.1")) + b"\x18\x0a", "the last 2 octets are no route"),
    (3, packed("0.0.0.0", "10.0.0.1"), "0.0.0.0 cannot be a gateway"),
    (28, packed("10.9.9.9"), "10.9.9.9 is not the broadcast address of 10.0.0.0/24"),
    (26, b"\0\1", "1 is below 576"), (42, packed("127.0.0.1"), "127.0.0.1 cannot be a server"),
    (6, b"\1", "length 1 is not that of a list of addresses, four bytes each"),
])
def test_what_is_not_used_is_told_in_one_line_with_its_value_and_its_server(code: int, value: bytes, why: str) -> None:
    spec = make_spec(options={**PLAIN, code: value})
    assert spec.notices == (f"option {code} ({opt.NAMES[code]}) ignored: {why} (by 10.0.0.1)",)


@pytest.mark.parametrize("code", [3, 6, 12, 15, 26, 28, 33, 42, 114, 119, 121, 249])
@pytest.mark.parametrize("value", [b"\xff" * 2040, b"\0" * 2040, b"\1" * 2040, b"\x3f" + b"a " * 1000, b"-.- " * 510])
def test_no_value_makes_more_than_a_line(code: int, value: bytes) -> None:
    spec = make_spec(options={**PLAIN, code: value})
    assert len(spec.notices) <= (2 if code == 33 else 1)  # its routes and the router's are counted together
    assert all(len(notice) < 300 for notice in spec.notices)


@pytest.mark.parametrize("value", [
    packed("10.0.0.2") + b"\x0a", b"\x0a\0\0", packed("10.0.0.2", "10.0.0.3") + b"\0\0", b"ntp.example.", b"",
])
def test_a_list_that_is_none_is_void_as_a_whole_and_told(value: bytes) -> None:  # rule 77
    spec = make_spec(options={opt.SUBNET_MASK: PLAIN[opt.SUBNET_MASK], **dict.fromkeys((3, 6, 42), value)})
    assert (spec.dns, spec.ntp, spec.routes) == ((), (), ())
    assert sorted(notice.partition(" ignored:")[0] for notice in spec.notices) == [
        "option 3 (router)", "option 42 (ntp-servers)", "option 6 (domain-name-server)",
    ]


def test_a_void_router_is_as_good_as_none_for_the_mask() -> None:  # rule 77
    """Without a mask all goes through the router, if there is one."""
    spec = make_spec(options={opt.ROUTER: b"\x0a\0\0\1\0"})
    assert (spec.address.network.prefixlen, spec.routes) == (8, ())


def test_the_search_list_is_option_119_or_else_15() -> None:
    options = {**PLAIN, opt.DOMAIN_NAME: b"example.org lab.example.org"}
    spec = make_spec(options=options)
    assert (spec.domain, spec.search) == ("example.org", ("example.org", "lab.example.org"))
    spec = make_spec(options={**options, opt.DOMAIN_SEARCH: name("example", "net") + name("example", "net")})
    assert (spec.domain, spec.search) == ("example.org", ("example.net",))


@pytest.mark.parametrize(
    "evil", [b"a b; reboot", b"$(reboot)", b"x\nnameserver 6.6.6.6", b"-x.org", b"a..b", b"a" * 64, b"\xff\xfe", b""]
)
def test_names_that_are_none_reach_nobody(evil: bytes) -> None:  # rule 73
    label = evil[:63]
    spec = make_spec(options={
        **PLAIN, opt.HOST_NAME: evil, opt.DOMAIN_NAME: evil,
        opt.DOMAIN_SEARCH: bytes([len(label)]) + label + b"\0",
    })
    safe = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.")
    for text in (spec.hostname or "", spec.domain or "", *spec.search):
        assert set(text) <= safe
        assert not text.startswith("-")
    assert spec.hostname is None
    assert any("option 12" in notice for notice in spec.notices)


def test_search_domains_are_bounded() -> None:
    value = b"".join(name(f"d{i}", "example") for i in range(MAX_DOMAINS + 5))
    assert len(make_spec(options={**PLAIN, opt.DOMAIN_SEARCH: value}).search) == MAX_DOMAINS


def test_the_captive_portal_is_kept_to_be_shown() -> None:  # rule 68
    options = {**PLAIN, opt.CAPTIVE_PORTAL: b"https://portal.example.org/api?x=1"}
    assert make_spec(options=options).captive_portal == "https://portal.example.org/api?x=1"
    for odd in (b"javascript:alert(1)", b"https://x y", b"https://" + b"x" * MAX_URI):
        spec = make_spec(options={**PLAIN, opt.CAPTIVE_PORTAL: odd})
        assert spec.captive_portal is None
        assert "option 114" in spec.notices[0]


def test_what_the_operator_does_not_want_is_left_out() -> None:
    lease = make_lease(options={
        **PLAIN, opt.INTERFACE_MTU: b"\x05\x78", opt.DOMAIN_NAME_SERVER: packed("10.0.0.2"),
        opt.DOMAIN_NAME: b"example.org",
    })
    spec = spec_from_lease(lease, use_mtu=False, use_dns=False, use_routes=False)
    assert (spec.mtu, spec.dns, spec.search, spec.routes) == (None, (), (), ())
    assert spec.domain == "example.org"


def test_all_routes_go_into_the_table_that_is_asked_for() -> None:  # rule 97
    routes = classless(("0.0.0.0/0", "192.0.2.1"), ("198.51.100.0/24", "0.0.0.0"))
    options = {**PLAIN, opt.CLASSLESS_STATIC_ROUTE: routes}
    spec = spec_from_lease(make_lease(options=options), table=1001)
    assert spec.table == 1001
    assert [(str(route.destination), route.table) for route in spec.routes] == [
        ("198.51.100.0/24", 1001), ("192.0.2.1/32", 1001), ("0.0.0.0/0", 1001)]
    assert {route.table for route in spec_from_lease(make_lease(options=options)).routes} == {0}


# -- anything ------------------------------------------------------------------------------------

READ = [
    opt.SUBNET_MASK, opt.ROUTER, opt.DOMAIN_NAME_SERVER, opt.HOST_NAME, opt.DOMAIN_NAME, opt.INTERFACE_MTU,
    opt.BROADCAST_ADDRESS, opt.STATIC_ROUTE, opt.NTP_SERVERS, opt.CAPTIVE_PORTAL, opt.DOMAIN_SEARCH,
    opt.CLASSLESS_STATIC_ROUTE, opt.CLASSLESS_STATIC_ROUTE_MS,
]


@given(
    address=strategies.unicast_addresses,
    options=st.dictionaries(st.sampled_from(READ), st.binary(max_size=300), max_size=len(READ)),
)
def test_whatever_a_server_says_gives_a_bounded_spec(
    address: IPv4Address, options: dict[int, bytes]
) -> None:  # rules 22, 65, 73
    spec = make_spec(str(address), options)
    assert spec.address.ip == address
    assert len(spec.routes) <= 2 * MAX_ROUTES
    assert len(spec.dns) <= MAX_SERVERS
    assert len({route.destination for route in spec.routes}) == len(spec.routes)
    reached = [spec.address.network]
    for route in spec.routes:
        assert route.gateway is None or any(route.gateway in network for network in reached)
        if route.onlink and route.destination.prefixlen:
            reached.append(route.destination)
