"""A client's texts as raw options."""

from __future__ import annotations

from math import inf

import pytest

from holdfast.managers.formats import dhcp_options
from holdfast.wire import options as opt


def test_addresses() -> None:
    assert dhcp_options.addresses("10.0.0.1 10.0.0.2,10.0.0.3") == bytes.fromhex("0a0000010a0000020a000003")
    for bad in (None, "", "10.0.0", "10.0.0.1 nonsense", "::1"):
        assert dhcp_options.addresses(bad) is None


@pytest.mark.parametrize(("text", "seconds"), [
    ("3600", 3600.0), ("1h", 3600.0), ("1h 30min", 5400.0), ("1min 500ms", 60.5), ("2d", 172800.0), ("infinity", inf),
    ("4294967295", inf), (None, -1.0), ("", -1.0), ("soon", -1.0), ("1 fortnight", -1.0),
])
def test_durations(text: str | None, seconds: float) -> None:
    assert dhcp_options.seconds(text, -1.0) == seconds


def test_a_duration_as_an_option() -> None:
    assert dhcp_options.duration("600") == (600).to_bytes(4, "big")
    assert dhcp_options.duration("infinity") == b"\xff\xff\xff\xff"
    assert dhcp_options.duration(None) is dhcp_options.duration("soon") is None


def test_numbers_and_octets() -> None:
    assert dhcp_options.number("1450", 2) == b"\x05\xaa"
    for bad in (None, "-1", "65536", "1e3", "٣"):
        assert dhcp_options.number(bad, 2) is None
    assert dhcp_options.hexadecimal("a8:3f:81:10") == dhcp_options.hexadecimal("a83f8110") == b"\xa8\x3f\x81\x10"
    assert dhcp_options.hexadecimal("a8:3") is dhcp_options.hexadecimal("zz") is dhcp_options.hexadecimal(None) is None


def test_domains_are_what_the_agent_reads() -> None:
    packed = dhcp_options.domains("a.example b.example.")
    assert packed is not None
    assert opt.domain_search(packed) == ("a.example", "b.example")
    assert dhcp_options.domains("a..b") is dhcp_options.domains("x" * 64) is dhcp_options.domains("") is None


@pytest.mark.parametrize("text", [
    "0.0.0.0/0,10.0.0.1 169.254.169.254/32,10.0.0.2 10.9.0.0/16,0.0.0.0",
    "0.0.0.0/0 10.0.0.1 169.254.169.254/32 10.0.0.2 10.9.0.0/16 0.0.0.0",
])
def test_routes_are_what_the_agent_reads(text: str) -> None:
    packed = dhcp_options.classless_routes(text)
    assert packed is not None
    assert [f"{network} {gateway}" for network, gateway in opt.classless_routes(packed)] == [
        "0.0.0.0/0 10.0.0.1", "169.254.169.254/32 10.0.0.2", "10.9.0.0/16 0.0.0.0",
    ]
    assert dhcp_options.classless_routes("10.0.0.0/40 10.0.0.1") is dhcp_options.classless_routes("") is None


@pytest.mark.parametrize(("text", "option"), [
    ("1:uint8:255", (1, b"\xff")), ("0xfe:uint16:1", (254, b"\0\1")), ("2:uint32:0", (2, bytes(4))),
    ("3:ipv4address:192.0.2.1", (3, b"\xc0\0\2\1")), ("4:string::a:b", (4, b"a:b")), ("5:string:", None),
    ("0:uint8:1", None), ("255:uint8:1", None), ("256:uint8:1", None), ("1:uint8:256", None), ("1:uint8:010", None),
    ("1:uint8:", None), ("1:ipv6address:::1", None), ("1:ipv4address:192.0.2.1 192.0.2.2", None), ("1", None),
    ("", None),
])
def test_options_with_their_type(text: str, option: tuple[int, bytes] | None) -> None:
    assert dhcp_options.typed(text) == option


def test_escapes_of_c() -> None:
    assert dhcp_options.unescaped(r"\a\n\s\\\"\x00\377\u00e9\U0001f600" + "\u00e9") == \
        b'\a\n \\"\x00\xff' + "\u00e9\U0001f600\u00e9".encode()
    for bad in ("\\", r"\q", r"\x0", r"\400", r"\ud800", r"\U00110000"):
        assert dhcp_options.unescaped(bad) is None
