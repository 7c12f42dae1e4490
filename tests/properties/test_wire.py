"""wire against arbitrary and damaged bytes, and against scapy as an independent reader and writer."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP, DHCPOptions
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether
from tests.fuzz.fuzz_wire import exercise, exercise_value
from tests.support import bpf
from tests.support import strategies as some
from tests.support.fixtures import load_reply, reply_names

from holdfast.wire import WireError, arp, frame
from holdfast.wire import message as msg
from holdfast.wire import options as opt

FILTER = frame.udp_filter(msg.CLIENT_PORT)
#: scapy hands the values of these codes over as they are.
OPAQUE = [code for code in some.OPTION_CODES if isinstance(DHCPOptions.get(code, ""), str)]
SOUND_MESSAGES = st.one_of(some.messages(), some.replies()).map(msg.encode)
FIXTURES = st.sampled_from([load_reply(name) for name in reply_names()])


def opaque_name(code: int) -> int | str:
    return DHCPOptions.get(code, code)


# Hostile input


@given(st.binary(max_size=2100))
def test_arbitrary_bytes_are_read_or_refused(data: bytes) -> None:  # rule 22
    exercise(data)


@given(st.binary(max_size=300))
def test_arbitrary_options_are_read_or_refused(tail: bytes) -> None:  # rule 22
    exercise(load_reply("neutron-ack")[:240] + tail)


@given(some.damaged(st.one_of(SOUND_MESSAGES, FIXTURES)))
def test_damaged_messages_are_read_or_refused(data: bytes) -> None:  # rule 22
    exercise(data)


@given(st.binary(max_size=600))
def test_arbitrary_values_are_read_or_refused(value: bytes) -> None:  # rule 22
    exercise_value(value)


@given(some.damaged(FIXTURES.map(lambda data: frame.build_udp(msg.ANY, msg.BROADCAST, 67, 68, data))))
def test_no_readable_reply_is_stopped_by_the_filter(packet: bytes) -> None:
    passed = bpf.run(FILTER, packet) > 0
    try:
        read = frame.parse_ipv4_udp(packet)
    except WireError:
        return
    assert passed == (read.dport == msg.CLIENT_PORT)


@given(st.binary(max_size=255))
def test_names_hold_nothing_that_a_shell_or_a_file_would_act_on(value: bytes) -> None:  # rule 73
    name = opt.hostname(value)
    if name is not None:
        assert name.replace("-", "").replace(".", "").isalnum()
        assert name.isascii()
        assert len(name) <= 253


@given(st.binary(max_size=60), st.binary(max_size=300))
def test_domains_hold_nothing_that_a_shell_or_a_file_would_act_on(name: bytes, value: bytes) -> None:
    # rules 73, 95
    found = [opt.domain(name), *opt.domain_names(value)]
    with suppress(WireError):
        found += opt.domain_search(value)
    for domain in found:
        assert domain is None or re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}", domain)


ROUTES = st.lists(st.tuples(st.integers(0, 32), some.addresses, some.addresses), min_size=1, max_size=20)


@given(ROUTES, st.binary(max_size=8))
def test_a_route_before_a_malformed_one_is_kept(
    routes: list[tuple[int, IPv4Address, IPv4Address]], tail: bytes
) -> None:  # rule 65
    value = b"".join(bytes([width]) + to.packed[: (width + 7) // 8] + via.packed for width, to, via in routes)
    meant = tuple((IPv4Network((int(to), width), strict=False), via) for width, to, via in routes)
    assert opt.classless_routes(value) == meant
    assert opt.classless_routes(value + b"\xff" + tail) == meant


# Round trips


@given(some.messages())
def test_what_is_written_is_read(message: msg.Message) -> None:  # rule 23
    assert msg.decode(msg.encode(message)) == message
    assert len(msg.encode(message)) >= 300  # rule 13


@given(some.option_maps(max_value=90), st.data())
def test_options_may_be_cut_anywhere(options: dict[int, bytes], data: st.DataObject) -> None:  # rule 23
    """However a server spreads its options over the three fields, they read the same; but for a value of no use, and
    for a text that is the same half twice."""
    for code, size in opt.FIXED_LENGTHS.items():
        if code in options:
            options[code] = options[code][:size].ljust(size, b"\0")
    fields, room = [b"\x34\x01\x03", b"", b""], (1000, 127, 63)
    for code, value in options.items():
        cuts = sorted(data.draw(st.tuples(*[st.integers(0, len(value))] * 2)))
        pieces = [value[: cuts[0]], value[cuts[0] : cuts[1]], value[cuts[1] :]]
        if any(len(field) + 2 + len(piece) > size for field, piece, size in zip(fields, pieces, room, strict=True)):
            pieces = [value]
        if code in opt.SINGLE_VALUES and (pieces[0] == pieces[1] or pieces[0] + pieces[1] == pieces[2]):
            pieces = [value]
        for at, piece in enumerate(pieces):
            fields[at] += bytes([code, len(piece)]) + piece
    in_options, file, sname = (field + b"\xff" for field in fields)
    header = msg.encode(msg.Message(op=2, xid=1))[:44]
    cookie = b"\x63\x82\x53\x63"
    read = msg.decode(header + sname.ljust(64, b"\0") + file.ljust(128, b"\0") + cookie + in_options)
    assert read.options == options


FIXED = [
    st.tuples(st.just(code), st.binary(min_size=size, max_size=size))
    for code, size in opt.FIXED_LENGTHS.items() if code != opt.OVERLOAD
]
SINGLE = st.tuples(st.sampled_from(sorted(opt.SINGLE_VALUES)), st.binary(min_size=1, max_size=40))


@given(st.lists(st.one_of(SINGLE, *FIXED), max_size=8), st.data())
def test_what_is_said_again_changes_nothing(said: list[tuple[int, bytes]], data: st.DataObject) -> None:  # rule 76
    """Whatever is repeated, in whatever order, after the whole was said once, and wherever: the first counts."""
    again = data.draw(st.permutations(said)) + data.draw(st.lists(st.one_of(*FIXED), max_size=4))
    first = dict(reversed(said))
    meant = {**dict(reversed(again)), **first}
    header = msg.encode(msg.Message(op=2, xid=1))[:240]
    pieces = b"".join(bytes([code, len(value)]) + value for code, value in [*first.items(), *again])
    assert msg.decode(header + pieces).options == meant


# scapy as the oracle


@given(some.messages(some.option_maps(OPAQUE, max_value=255)))
def test_scapy_reads_what_we_write(message: msg.Message) -> None:
    theirs = BOOTP(msg.encode(message))
    assert (theirs.op, theirs.htype, theirs.hlen) == (message.op, message.htype, len(message.chaddr))
    assert (theirs.hops, theirs.xid, theirs.secs) == (message.hops, message.xid, message.secs)
    assert int(theirs.flags) == message.flags
    for name in ("ciaddr", "yiaddr", "siaddr", "giaddr"):
        assert getattr(theirs, name) == str(getattr(message, name))
    assert theirs.chaddr == message.chaddr.ljust(16, b"\0")
    assert theirs.sname == message.sname.ljust(64, b"\0")
    assert theirs.file == message.file.ljust(128, b"\0")
    options = theirs[DHCP].options
    end = options.index("end")
    assert options[:end] == [(opaque_name(code), value) for code, value in message.options.items()]
    assert set(options[end + 1 :]) <= {"pad"}


@given(some.messages(some.option_maps(OPAQUE, max_value=255)))
def test_we_read_what_scapy_writes(message: msg.Message) -> None:
    addresses = {name: str(getattr(message, name)) for name in ("ciaddr", "yiaddr", "siaddr", "giaddr")}
    header = BOOTP(
        op=message.op, htype=message.htype, hlen=len(message.chaddr), hops=message.hops, xid=message.xid,
        secs=message.secs, flags=message.flags, sname=message.sname, file=message.file,
        chaddr=message.chaddr.ljust(16, b"\0"), **addresses,
    )
    options = [(opaque_name(code), value) for code, value in message.options.items()]
    assert msg.decode(bytes(header / DHCP(options=[*options, "end"]))) == message


def test_scapy_means_the_same_by_the_options_it_knows() -> None:
    reply = msg.decode(load_reply("neutron-ack"))
    theirs = dict(option[:2] for option in BOOTP(msg.encode(reply))[DHCP].options if isinstance(option, tuple))
    assert theirs["message-type"] == reply.message_type
    assert theirs["server_id"] == str(reply.server_id)
    assert theirs["lease_time"] == reply.lease_time
    assert theirs["renewal_time"] == reply.renewal_time
    assert theirs["rebinding_time"] == reply.rebinding_time
    assert theirs["interface-mtu"] == opt.uint16(reply.options[opt.INTERFACE_MTU])
    routes = opt.classless_routes(reply.options[opt.CLASSLESS_STATIC_ROUTE])
    assert theirs["classless_static_routes"] == [f"{destination}:{gateway}" for destination, gateway in routes]


@given(some.addresses, some.addresses, some.ports, some.ports, st.binary(max_size=600))
def test_scapy_finds_our_checksums_and_lengths_right(
    source: IPv4Address, destination: IPv4Address, sport: int, dport: int, payload: bytes
) -> None:
    """scapy fills in what is taken out, and comes to the same bytes."""
    packet = frame.build_udp(source, destination, sport, dport, payload)
    theirs = IP(packet)
    assert (theirs.src, theirs.dst) == (str(source), str(destination))
    udp = theirs[UDP]
    assert (udp.sport, udp.dport, bytes(udp.payload)) == (sport, dport, payload)
    del theirs.chksum, theirs.len, udp.chksum, udp.len
    assert bytes(theirs) == packet


@given(some.addresses, some.addresses, some.ports, some.ports, st.binary(max_size=600), st.integers(0, 2))
def test_we_read_the_packets_that_scapy_writes(
    source: IPv4Address, destination: IPv4Address, sport: int, dport: int, payload: bytes, padding: int
) -> None:
    packet = bytes(IP(src=str(source), dst=str(destination)) / UDP(sport=sport, dport=dport) / payload)
    read = frame.parse_ipv4_udp(packet + bytes(padding))
    assert read == frame.Datagram(source, destination, sport, dport, payload)
    assert (bpf.run(FILTER, packet) > 0) == (dport == msg.CLIENT_PORT)


@given(some.macs, some.addresses, some.macs, some.addresses)
def test_scapy_reads_our_arp_and_we_read_its(
    mac: bytes, source: IPv4Address, other: bytes, target: IPv4Address
) -> None:
    ours = arp.build_reply(mac, source, other, target)
    theirs = ARP(op="is-at", hwsrc=mac.hex(":"), psrc=str(source), hwdst=other.hex(":"), pdst=str(target))
    assert bytes(theirs) == ours
    assert arp.parse(bytes(theirs)) == arp.ArpPacket(arp.REPLY, mac, source, other, target)
    built = Ether(frame.ethernet(frame.BROADCAST_MAC, mac, frame.ETHERTYPE_ARP, ours))
    assert (built.dst, built.src, built[ARP].psrc) == ("ff:ff:ff:ff:ff:ff", mac.hex(":"), str(source))


@pytest.mark.parametrize("name", reply_names())
def test_every_cut_of_a_reply_is_read_or_refused(name: str) -> None:  # rule 22
    whole = load_reply(name)
    for size in range(len(whole)):
        exercise(whole[:size])
