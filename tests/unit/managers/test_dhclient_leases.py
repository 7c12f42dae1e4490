"""dhclient's lease file: what it writes is read, what is broken is passed over, what we write it would read."""

from __future__ import annotations

from ipaddress import IPv4Address
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import strategies as _profile  # noqa: F401 - the same examples in every run

from holdfast.managers.formats import dhclient_leases as leases
from holdfast.managers.formats import dhclient_text
from holdfast.managers.formats.errors import FormatError

CONF = "option rfc3442-classless-static-routes code 121 = array of unsigned integer 8;\n"
DECLARED = dhclient_text.declared_options(CONF)
LEASE = r'''
lease {
  interface "eth0";
  fixed-address 10.77.0.50;
  filename "boot;}.img";
  option subnet-mask 255.255.255.0;
  option routers 10.77.0.1;
  option dhcp-lease-time 120;
  option domain-name-servers 10.77.0.1,10.77.0.2;
  option dhcp-server-identifier 10.77.0.1;
  option interface-mtu 1400;
  option time-offset -3600;
  option rfc3442-classless-static-routes 0,10,77,0,1,24,192,0,2,10,77,0,1;
  option domain-name "lab\040example; } x";
  option domain-search "a.example.", "b.example.";
  option unknown-245 a8:3f:81:10;
  option nobody-knows-this 1;
  renew 0 2026/11/22 19:36:49;
  rebind 0 2026/11/22 19:37:33;
  expire 0 2026/11/22 19:37:53;
}
'''


def test_a_whole_block() -> None:
    block = leases.last_lease(LEASE, "eth0", DECLARED)

    assert block is not None
    assert block.address == IPv4Address("10.77.0.50")
    assert (block.renew, block.rebind, block.expire) == (1795376209, 1795376253, 1795376273)
    assert block.options == {
        1: b"\xff\xff\xff\0", 2: (-3600).to_bytes(4, "big", signed=True), 3: b"\x0a\x4d\0\x01",
        6: b"\x0a\x4d\0\x01\x0a\x4d\0\x02", 15: b"lab example; } x", 26: b"\x05\x78", 51: b"\0\0\0\x78",
        54: b"\x0a\x4d\0\x01", 119: b"\x01a\x07example\0\x01b\x07example\0",
        121: bytes.fromhex("000a4d000118c000020a4d0001"), 245: bytes.fromhex("a83f8110"),
    }


def test_the_last_of_the_interface_counts() -> None:
    other = LEASE.replace("eth0", "eth1").replace("77.0.50", "77.0.60")
    newer = LEASE.replace("77.0.50", "77.0.51")
    block = leases.last_lease(LEASE + newer + other, "eth0", DECLARED)
    assert block is not None
    assert str(block.address) == "10.77.0.51"
    assert leases.last_lease(LEASE, "eth2", DECLARED) is None


@pytest.mark.parametrize(("text", "expected"), [
    ("never", inf),
    ("epoch 1795376273; # Sun Nov 22 2026", 1795376273.0),
    ("0 2026/11/22 19:37:53", 1795376273.0),
])
def test_times(text: str, expected: float) -> None:
    block = leases.last_lease(LEASE.replace("0 2026/11/22 19:37:53", text), "eth0", DECLARED)
    assert block is not None
    assert block.expire == expected


@pytest.mark.parametrize("broken", [
    'lease { interface "eth0"; fixed-addr',
    'lease { interface "eth0"; fixed-address 10.0.0.300; expire never; }',
    'lease { interface "eth0"; fixed-address 10.0.0.3; expire 0 2026/13/45 99:99:99; }',
    'lease { interface "eth0"; fixed-address 10.0.0.3; expire never; option subnet-mask none; }',
    'lease { interface "eth0"; fixed-address 10.0.0.3; expire never; option dhcp-server-identifier ; }',
    'lease { interface "eth0"; fixed-address 10.0.0.3; expire never; option dhcp-lease-time -99999999999; }',
    'lease { fixed-address 10.0.0.3; expire never; }',
    'lease { interface "eth0"; expire never; }',
    'lease { interface "eth0"; fixed-address 10.0.0.3; expire epoch 99999999999999999999999999; }',
    '"', "{{{{", "}}}}", "lease {", "\0\0\0",
])
def test_a_broken_block_is_passed_over(broken: str) -> None:
    for text in (LEASE + broken, broken + LEASE):
        block = leases.last_lease(text, "eth0", DECLARED)
        # A quotation mark that is never closed swallows what follows: nothing is better than something wrong.
        assert block is None or str(block.address) == "10.77.0.50"
    assert leases.last_lease(broken, "eth0", DECLARED) is None


def test_a_block_cut_short_in_a_text_costs_itself_alone() -> None:
    """A full disk: the next block was appended to half a line, or to a line of its own."""
    block = leases.last_lease('lease { interface "eth0"; option domain-name "exam\n' + LEASE, "eth0", DECLARED)
    assert block is not None
    assert str(block.address) == "10.77.0.50"


@pytest.mark.parametrize("unit", ['"\\', '"', "lease {", '#"', 'option domain-search "\\', 'include "'])
def test_however_it_is_made_it_is_read_in_time(unit: str) -> None:
    """Time grows with the length, not with its square: this would take minutes."""
    text = unit * (400_000 // len(unit))
    assert leases.last_lease(text, "eth0", DECLARED) is None
    assert dhclient_text.with_included(text, lambda _: "") == text
    body = f'lease {{ interface "eth0"; fixed-address 10.0.0.3; expire never; option domain-search {text}\n; }}'
    leases.last_lease(body, "eth0", DECLARED)


def test_included_files() -> None:
    files = {"/a": 'send host-name "a"; include "/b";', "/b": 'send host-name "b";\n', "/loop": 'x; include "/loop";'}
    text = '# include "/a";\nsend x "include \\"/a\\";";\ninclude "/a" ; interface "eth0" { include "/b"; }'
    read = dhclient_text.with_included(text, lambda path: files[path])
    assert read == text.replace('include "/a" ;', 'send host-name "a"; send host-name "b";\n').replace(
        '{ include "/b"; }', '{ send host-name "b";\n }'
    )
    looped = dhclient_text.with_included(files["/loop"], lambda path: files[path])
    assert looped.count("x;") == dhclient_text.MAX_FILES + 1


@pytest.mark.parametrize("option", [
    "routers none", "routers", "interface-mtu 70000", "domain-search x", "unknown-245 zz", 'unknown-245 ""',
    "mine true", "time-offset 1.5",
])
def test_an_option_that_is_no_value_is_left_out(option: str) -> None:
    """The newest lease counts, whatever else is in it."""
    options = f'option {option}; option domain-name "x"'
    newest = f'lease {{ interface "eth0"; fixed-address 10.77.0.51; {options}; expire never; }}'
    block = leases.last_lease(LEASE + newest, "eth0", {**DECLARED, "mine": 224})
    assert block is not None
    assert (str(block.address), block.options) == ("10.77.0.51", {15: b"x"})


def test_options_without_a_value_are_not_written() -> None:
    empty = dict.fromkeys((3, 12, 26, 121, 245), b"")
    block = leases.Block("eth0", IPv4Address("10.0.0.9"), {**empty, 6: b"\x0a", 54: b"\x0a\0\0\x01"}, inf, inf, inf)
    text = leases.render(block, DECLARED)
    assert [line for line in text.splitlines() if "option" in line] == ["  option dhcp-server-identifier 10.0.0.1;"]


def test_duid_and_configuration() -> None:
    assert leases.default_duid(r'default-duid "\000\001\000\001*\"\\x";' + LEASE) == b'\0\1\0\1*"\\x'
    assert leases.default_duid("default-duid 00:01:ff;") == b"\0\1\xff"
    assert leases.default_duid(LEASE) is None
    assert DECLARED == {"rfc3442-classless-static-routes": 121}
    declared = dhclient_text.declared_options
    assert declared("option a code 0 = text; option b code 255 = text; option c code 999 = text;") == {}
    conf = '# send host-name "no";\nsend host-name "a # b"; interface "eth0" { send dhcp-client-identifier 1:2; }'
    assert list(dhclient_text.statements(conf)) == ['send host-name "a # b"']
    assert dhclient_text.sections(conf, 'interface "eth0"') == ["send dhcp-client-identifier 1:2"]


@given(st.dictionaries(st.integers(1, 254), st.binary(min_size=1, max_size=40), max_size=12),
       st.integers(0, 4_000_000_000))
def test_what_we_write_is_read_again(options: dict[int, bytes], expire: int) -> None:
    whole = {code: value for code, value in options.items() if code not in leases.KNOWN and code != 119}
    block = leases.Block("eth0", IPv4Address("10.0.0.9"), whole, float(expire), float(expire), float(expire))
    assert leases.last_lease(leases.render(block, DECLARED), "eth0", DECLARED) == block


def test_known_options_are_written_as_dhclient_does() -> None:
    block = leases.last_lease(LEASE, "eth0", DECLARED)
    assert block is not None
    text = leases.render(block, DECLARED)
    assert "  option rfc3442-classless-static-routes 0,10,77,0,1,24,192,0,2,10,77,0,1;\n" in text
    assert "  option unknown-245 a8:3f:81:10;\n" in text
    assert "  expire 0 2026/11/22 19:37:53;\n" in text
    again = leases.last_lease(text, "eth0", DECLARED)
    assert again is not None
    assert {**again.options, 119: b""} == {**block.options, 119: b""}
    with pytest.raises(FormatError):
        leases.render(leases.Block('e"0', IPv4Address("10.0.0.9"), {}, inf, inf, inf), {})


@given(st.text(alphabet=' \n;{}"#\\lease interface0.:', max_size=300))
def test_no_text_raises(text: str) -> None:
    leases.last_lease(text, "eth0", DECLARED)
    leases.default_duid(text)
    list(dhclient_text.statements(text))
