"""wire.options: values as meaning."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network

import pytest

from holdfast.wire import WireError
from holdfast.wire import options as opt

A, B = IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")
ON_LINK = IPv4Address(0)


@pytest.mark.parametrize(
    ("decoder", "value"),
    [
        (opt.address, b""),
        (opt.address, b"abc"),
        (opt.address, b"abcde"),
        (opt.addresses, b""),
        (opt.addresses, b"abc"),
        (opt.uint16, b"a"),
        (opt.uint16, b"abc"),
        (opt.classless_routes, b""),
        (opt.static_routes, b""),
        (opt.domain_search, b""),
    ],
)
def test_a_value_of_which_nothing_can_be_used_is_refused(
    decoder: Callable[[bytes], object], value: bytes
) -> None:  # rule 22
    with pytest.raises(WireError) as caught:
        decoder(value)
    assert caught.value.reason == "option"


def test_numbers_and_addresses() -> None:
    assert opt.address(A.packed) == A
    assert opt.addresses(A.packed + B.packed) == (A, B)
    assert opt.uint16(b"\x05\xdc") == 1500


@pytest.mark.parametrize("value", [
    A.packed + b"\x0a\x00\x00", A.packed + b"\x0a", A.packed + B.packed + b"\x0a\x00", b"\x0a\x00\x00\x01\x00",
    b"ntp.example.", b"ntp1.example.com", b"time.example", b"pool.ntp.org", b"dns_1.example\0\0\0", b"a.bc.de\0",
])
def test_what_is_no_list_of_addresses_is_void_as_a_whole(value: bytes) -> None:  # rules 22, 77
    with pytest.raises(WireError):
        opt.addresses(value)


@pytest.mark.parametrize("text", [
    "100.100.100.100", "46.46.97.97", "97.46.98.99", "100.100.100.100 100.100.100.101", "97.98.46.99 49.50.51.52",
    "45.46.97.97 97.97.97.97", "10.46.97.98 99.100.101.102",
])
def test_addresses_whose_octets_are_letters_are_addresses(text: str) -> None:  # rule 77
    meant = tuple(map(IPv4Address, text.split()))
    assert opt.addresses(b"".join(each.packed for each in meant)) == meant


def test_every_named_code_is_a_constant() -> None:
    constants = {value for name, value in vars(opt).items() if name[0].isupper() and isinstance(value, int)}
    assert set(opt.NAMES) == constants - {opt.PAD, opt.END}
    assert len(set(opt.NAMES.values())) == len(opt.NAMES)


def test_text_is_fit_for_a_log_line() -> None:
    assert opt.text(b"all fine\0 hidden") == "all fine"
    assert opt.text(b"\x1b[2J\n\xc3\xa9") == "?[2J???"
    assert opt.text(b"") == ""
    assert len(opt.text(b"y" * 999)) == 255


# Names


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"host", "host"),
        (b"Host-1.example.COM", "Host-1.example.COM"),
        (b"host.", "host"),
        (b"host\0\0", "host"),
        (b"3com", "3com"),
        (b"a" * 63, "a" * 63),
        (b"123", "123"),
        (b"a" * 64, None),
        (b"", None),
        (b".", None),
        (b"\0", None),
        (b"-a", None),
        (b"a-", None),
        (b"a..b", None),
        (b".a", None),
        (b"a.-b", None),
        (b"my_host", None),
        (b"a b", None),
        (b"a;reboot", None),
        (b"$(id)", None),
        (b"a\nb", None),
        (b"a\0b", None),
        (b"\xc3\xa9", None),
        (b"10.0.0.1", None),
        (b"a.1", None),
        (b".".join([b"a" * 49] * 5) + b".abc", ".".join(["a" * 49] * 5) + ".abc"),
        (b".".join([b"a" * 49] * 5) + b".abcd", None),
    ],
)
def test_names_are_checked_by_rfc_1123(value: bytes, name: str | None) -> None:  # rule 73
    assert opt.hostname(value) == name


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"_msdcs.corp.example", "_msdcs.corp.example"),
        (b"my_domain.example.", "my_domain.example"),
        (b"_", "_"),
        (b"a_", "a_"),
        (b"-a_b.example", None),
        (b"a_b-.example", None),
        (b"a_b.1", None),
        (b"a_`id`", None),
        (b"a_b\nnameserver 192.0.2.66", None),
        (b"a_b\0c", None),
        (b"a_b c", None),
        (b"a_*", None),
        (b"../a_b", None),
        (b"a_~.example", None),
    ],
)
def test_a_search_domain_may_hold_underscores_and_nothing_that_could_be_misread(
    value: bytes, name: str | None
) -> None:  # rules 73, 95
    assert opt.domain(value) == name
    assert opt.hostname(value) is None


def test_several_domains_in_option_15() -> None:  # rule 73
    assert opt.domain_names(b"us-east-2.compute.internal  example.com\0") == (
        "us-east-2.compute.internal",
        "example.com",
    )
    assert opt.domain_names(b"good.example good_one.example `id`") == ("good.example", "good_one.example")
    assert opt.domain_names(b"") == ()


@pytest.mark.parametrize(
    ("value", "uri"),
    [
        (b"https://portal.example/api", "https://portal.example/api"),
        (b"HTTP://a/\0", "HTTP://a/"),
        (b"ftp://a/", None),
        (b"javascript:alert(1)", None),
        (b"https://a/ b", None),
        (b"https://a/\n", None),
        (b"https://a/\xc3", None),
        (b"", None),
    ],
)
def test_a_captive_portal_is_a_web_address(value: bytes, uri: str | None) -> None:
    assert opt.uri(value) == uri


# Routes


def test_classless_routes() -> None:  # rule 65
    value = (
        b"\x00"
        + A.packed
        + b"\x18\x0a\x01\x02"
        + bytes(4)
        + b"\x20\xa9\xfe\xa9\xfe"
        + B.packed
        + b"\x13\xac\x10\x20"
        + A.packed
    )
    assert opt.classless_routes(value) == (
        (IPv4Network("0.0.0.0/0"), A),
        (IPv4Network("10.1.2.0/24"), ON_LINK),
        (IPv4Network("169.254.169.254/32"), B),
        (IPv4Network("172.16.32.0/19"), A),
    )


def test_host_bits_of_a_classless_route_are_masked() -> None:  # rule 65
    assert opt.classless_routes(b"\x14\x0a\x01\xff" + A.packed) == ((IPv4Network("10.1.240.0/20"), A),)
    assert opt.classless_routes(b"\x01\xff" + A.packed) == ((IPv4Network("128.0.0.0/1"), A),)


@pytest.mark.parametrize(
    "tail",
    [b"\x21\x0a\x00\x00\x00\x00" + A.packed, b"\xff", b"\x18", b"\x18\x0a\x01\x02\x0a\x00\x00", b"\x00\x0a"],
)
def test_a_malformed_tail_drops_the_tail(tail: bytes) -> None:  # rule 65
    assert opt.classless_routes(b"\x00" + A.packed + tail) == ((IPv4Network("0.0.0.0/0"), A),)
    with pytest.raises(WireError):
        opt.classless_routes(tail)


def test_static_routes_are_of_their_class() -> None:
    pairs = (
        ("10.0.0.0", "10.0.0.0/8"),
        ("172.16.0.0", "172.16.0.0/16"),
        ("192.168.5.0", "192.168.5.0/24"),
        ("169.254.169.254", "169.254.169.254/32"),
    )
    value = b"".join(IPv4Address(destination).packed + A.packed for destination, _ in pairs)
    assert opt.static_routes(value + b"ragged") == tuple((IPv4Network(network), A) for _, network in pairs)


@pytest.mark.parametrize("destination", ["0.0.0.0", "127.0.0.0", "224.0.0.0", "255.255.255.255"])
def test_static_routes_to_no_unicast_destination_are_left_out(destination: str) -> None:
    bad = IPv4Address(destination).packed + A.packed
    assert opt.static_routes(bad + bytes([10, 0, 0, 0]) + B.packed) == ((IPv4Network("10.0.0.0/8"), B),)
    with pytest.raises(WireError):
        opt.static_routes(bad)


# Domain search


def test_domain_search_with_compression() -> None:
    """The example of RFC 3397 section 2: eng.apple.com. and marketing.apple.com."""
    value = b"\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04"
    assert opt.domain_search(value) == ("eng.apple.com", "marketing.apple.com")


def test_a_name_may_be_a_pointer_or_follow_a_chain_of_them() -> None:
    value = b"\x03com\x00" + b"\x01a\xc0\x00" + b"\xc0\x05" + b"\x01b\xc0\x05"
    assert opt.domain_search(value) == ("com", "a.com", "a.com", "b.a.com")


@pytest.mark.parametrize(
    "tail",
    [
        b"\xc0\x05",  # itself
        b"\x01a\xc0\x05",  # its own start: a loop
        b"\xc0\x07\xc0\x05",  # forward
        b"\xc0",  # half a pointer
        b"\x05ab",  # label past the end
        b"\x02ab",  # no end
        b"\x40" + b"a" * 64,  # reserved kinds of label
        b"\x80a",
    ],
)
def test_a_malformed_domain_drops_the_tail(tail: bytes) -> None:  # rules 22, 73
    assert opt.domain_search(b"\x03com\x00" + tail) == ("com",)


def test_domains_that_are_no_names_are_left_out() -> None:  # rule 73
    assert opt.domain_search(b"\x03a_b\x00\x03com\x00\x00\x04`id`\x00\x02-a\x00") == ("a_b", "com")  # rule 95
    with pytest.raises(WireError):
        opt.domain_search(b"\x00")


def test_a_name_of_endless_labels_is_refused() -> None:  # rule 22
    with pytest.raises(WireError):
        opt.domain_search(b"\x01a" * 1000 + b"\x00")


def test_pointers_cannot_blow_a_packet_up() -> None:  # rule 22
    value = b"\x01a" * 126 + b"\x00" + b"\xc0\x00" * 800
    assert opt.domain_search(value) == (".".join("a" * 126),) * 32


@pytest.mark.parametrize("value", [
    b"\x01`" * 126 + b"\x00" + b"\xc0\x00" * 800,  # each pointer is 126 labels of a refused name
    b"\x01a\x00" + b"".join(b"\xc0" + bytes([at]) for at in (0, *range(3, 250, 2))) + b"\xc0\xfb" * 800,
    b"\x00" + b"".join((0xC000 | max(0, at - 2)).to_bytes(2, "big") for at in range(1, 1900, 2)),  # a chain of all
    b"\x01`\x00" * 680,
    b"`id` " * 380,
])
def test_domains_that_are_left_out_cost_little(value: bytes) -> None:  # rules 22, 95
    """What 1.9 KiB of refused names cost was 160 to 250 ms; in which nothing else is done."""
    costs = []
    for _ in range(5):  # a busy machine's caches, and a collection, cost time, too: the least is the work
        began = time.process_time()
        for decoder in (opt.domain_search, opt.domain_names):
            with suppress(WireError):
                decoder(value)
        costs.append(time.process_time() - began)
    assert min(costs) < 0.05
    assert opt.domain_search(b"\x03com\x00" + value)[0] == "com"
