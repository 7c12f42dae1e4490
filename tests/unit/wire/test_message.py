"""wire.message: reading and writing BOOTP/DHCP messages."""

from __future__ import annotations

import gc
import tracemalloc
from ipaddress import IPv4Address

import pytest
from tests.support.fixtures import REPLY_CHADDR, REPLY_XID, load_reply

from holdfast.wire import WireError
from holdfast.wire import message as msg
from holdfast.wire import options as opt

COOKIE = b"\x63\x82\x53\x63"
MAC = bytes.fromhex("020000000001")


def raw(
    options: bytes, *, sname: bytes = b"", file: bytes = b"", hlen: int = 6, cookie: bytes = COOKIE
) -> bytes:
    """A reply made by hand, so that encode has no part in what decode is tested with."""
    header = bytes([2, 1, hlen, 0]) + (7).to_bytes(4, "big") + bytes(4) + bytes(16) + MAC.ljust(16, b"\0")
    return header + sname.ljust(64, b"\0") + file.ljust(128, b"\0") + cookie + options


def message(options: dict[int, bytes]) -> msg.Message:
    return msg.Message(op=msg.BOOTREPLY, xid=7, chaddr=MAC, options=options)


def refused(data: bytes) -> str:
    with pytest.raises(WireError) as caught:
        msg.decode(data)
    return caught.value.reason


def test_every_field_is_read() -> None:
    data = (
        bytes.fromhex("0201060312345678000a8000")
        + bytes([10, 0, 0, 1, 10, 0, 0, 2, 10, 0, 0, 3, 10, 0, 0, 4])
        + MAC.ljust(16, b"\xaa")
        + b"server".ljust(64, b"\0")
        + b"boot\0rest".ljust(128, b"\0")
        + COOKIE
        + b"\x35\x01\x05\xff"
    )
    assert msg.decode(data) == msg.Message(
        op=2,
        xid=0x12345678,
        secs=10,
        flags=msg.BROADCAST_FLAG,
        ciaddr=IPv4Address("10.0.0.1"),
        yiaddr=IPv4Address("10.0.0.2"),
        siaddr=IPv4Address("10.0.0.3"),
        giaddr=IPv4Address("10.0.0.4"),
        chaddr=MAC,
        htype=1,
        hops=3,
        sname=b"server",
        file=b"boot",
        options={53: b"\x05"},
    )


def test_every_field_is_written() -> None:
    written = msg.encode(
        msg.Message(
            op=1,
            xid=0x12345678,
            secs=10,
            flags=0x8000,
            ciaddr=IPv4Address("10.0.0.1"),
            yiaddr=IPv4Address("10.0.0.2"),
            siaddr=IPv4Address("10.0.0.3"),
            giaddr=IPv4Address("10.0.0.4"),
            chaddr=MAC,
            hops=3,
            sname=b"server",
            file=b"boot",
            options={53: b"\x01", 80: b""},
        )
    )
    assert written == (
        bytes.fromhex("0101060312345678000a8000")
        + bytes([10, 0, 0, 1, 10, 0, 0, 2, 10, 0, 0, 3, 10, 0, 0, 4])
        + MAC.ljust(16, b"\0")
        + b"server".ljust(64, b"\0")
        + b"boot".ljust(128, b"\0")
        + COOKIE
        + b"\x35\x01\x01\x50\x00\xff"
    ).ljust(300, b"\0")


def test_a_message_has_at_least_300_bytes() -> None:  # rule 13
    assert len(msg.encode(message({53: b"\x01"}))) == 300
    assert len(msg.encode(message({53: b"\x01"}), minimum=0)) == 244
    assert len(msg.encode(message({43: bytes(200)}))) > 300


def test_the_ports_and_names_are_those_of_the_rfc() -> None:  # rule 7
    assert (msg.CLIENT_PORT, msg.SERVER_PORT) == (68, 67)
    assert msg.MESSAGE_NAMES[msg.ACK] == "ACK"
    assert sorted(msg.MESSAGE_NAMES) == list(range(1, 10))


# What is refused


def test_a_wrong_cookie_is_refused_with_its_own_reason() -> None:  # rules 15, 22
    assert refused(raw(b"\x35\x01\x05\xff", cookie=b"\x63\x82\x53\x64")) == "cookie"
    assert refused(bytes(300)) == "cookie"


@pytest.mark.parametrize("size", [0, 1, 235, 236, 239])
def test_a_message_cut_in_its_header_is_refused(size: int) -> None:  # rule 22
    assert refused(raw(b"\x35\x01\x05\xff")[:size]) == "length"


def test_an_oversized_message_is_refused() -> None:  # rule 22
    assert msg.decode(raw(b"\x35\x01\x05\xff").ljust(msg.MAXIMUM_SIZE, b"\0")).message_type == msg.ACK
    assert refused(raw(b"\x35\x01\x05\xff").ljust(msg.MAXIMUM_SIZE + 1, b"\0")) == "length"


def test_a_hardware_address_longer_than_its_field_is_refused() -> None:  # rules 15, 22
    assert msg.decode(raw(b"", hlen=16)).chaddr == MAC.ljust(16, b"\0")
    assert refused(raw(b"", hlen=17)) == "hardware-length"


def test_the_hardware_address_is_as_long_as_it_says() -> None:  # rule 15
    assert msg.decode(raw(b"", hlen=5)).chaddr == MAC[:5]
    assert msg.decode(raw(b"", hlen=0)).chaddr == b""


@pytest.mark.parametrize("tail", [b"\x33", b"\x33\x04", b"\x33\x04\x00\x00\x00", b"\x0f\xff" + b"a" * 254])
def test_an_option_past_the_end_refuses_the_message(tail: bytes) -> None:  # rule 22
    """Half an ACK would look like a server that withdraws our routes."""
    assert refused(raw(b"\x35\x01\x05" + tail)) == "option"


@pytest.mark.parametrize("overload", [1, 2, 3])
def test_an_option_past_the_end_of_an_overloaded_field_refuses_the_message(overload: int) -> None:  # rule 22
    options = bytes([0x34, 1, overload]) + b"\x35\x01\x05\xff"
    assert refused(raw(options, file=bytes(127) + b"\x06", sname=bytes(63) + b"\x06")) == "option"
    assert refused(raw(options, file=b"\x06\x7f", sname=b"\x06\x3f")) == "option"


# What is read all the same


def test_a_missing_end_option_is_forgiven() -> None:
    assert msg.decode(raw(b"\x35\x01\x05")).options == {53: b"\x05"}
    assert msg.decode(raw(b"")).options == {}


def test_what_follows_the_end_option_is_ignored() -> None:  # rule 22
    assert msg.decode(raw(b"\x35\x01\x05\xff\x33\xff\x00")).options == {53: b"\x05"}


def test_padding_between_options_is_skipped() -> None:
    assert msg.decode(raw(b"\0\0\x35\x01\x05\0\x50\x00\0\xff")).options == {53: b"\x05", 80: b""}


@pytest.mark.parametrize("overload", [b"\x34\x01\x00", b"\x34\x01\x04", b"\x34\x00", b"\x34\x02\x01\x01"])
def test_an_overload_option_that_is_nonsense_is_ignored(overload: bytes) -> None:  # rule 22
    read = msg.decode(raw(b"\x35\x01\x05" + overload + b"\xff", file=b"\x06\x04abcd", sname=b"name"))
    assert (read.options, read.file, read.sname) == ({53: b"\x05"}, b"\x06\x04abcd", b"name")


def test_an_overload_option_in_an_overloaded_field_is_ignored() -> None:  # rules 22, 23
    read = msg.decode(raw(b"\x34\x01\x01\xff", file=b"\x34\x01\x03\x0c\x01a\xff", sname=b"name"))
    assert (read.options, read.sname) == ({12: b"a"}, b"name")


def test_overloaded_fields_carry_options_and_no_name() -> None:  # rule 23
    file, sname = b"\x0c\x01f\xff", b"\x0f\x01s\xff"
    for overload, options in ((1, {12: b"f"}), (2, {15: b"s"}), (3, {12: b"f", 15: b"s"})):
        read = msg.decode(raw(bytes([0x34, 1, overload, 0xFF]), file=file, sname=sname))
        assert read.options == options
        assert read.file == (b"" if overload & 1 else file)
        assert read.sname == (b"" if overload & 2 else sname)


def test_plain_names_in_fields_that_are_announced_as_options_are_names() -> None:  # rule 22
    said = b"\x34\x01\x03\x35\x01\x05\xff"
    for name in (b"yaboot.0", b"pxelinux.0", b"w" * 64, b"a"):
        read = msg.decode(raw(said, file=name, sname=b"\x0f\x05a.com\xff"))
        assert (read.options, read.file, read.sname) == ({53: b"\5", 15: b"a.com"}, name, b"")
        read = msg.decode(raw(said, file=b"\x0f\x05a.com", sname=name))
        assert (read.options, read.file, read.sname) == ({53: b"\5", 15: b"a.com"}, b"", name)


def test_split_options_are_joined_in_the_order_options_file_sname() -> None:  # rule 23
    options = b"\x0f\x01a\x34\x01\x03\x0f\x01b\xff"
    read = msg.decode(raw(options, file=b"\x0f\x02cd\x0f\x00\xff", sname=b"\x0f\x01e\xff"))
    assert read.options == {15: b"abcde"}


#: An OFFER as dnsmasq sends it with --dhcp-option=54,10.77.0.1, and its siblings: what is said twice, and the value.
REPEATED = [
    ("36040a4d0001 36040a4d0001", {54: "0a4d0001"}),
    ("36040a4d0001 36040a4d0002", {54: "0a4d0001"}),
    ("350105 350105", {53: "05"}),
    ("350102 350105 350106", {53: "02"}),
    ("0104ffffff00 0104ffffff00", {1: "ffffff00"}),
    ("33040000003c 330400000e10 33040000003c", {51: "0000003c"}),
    ("3a040000001e 3a040000001e 3b0400000034 3b0400000034", {58: "0000001e", 59: "00000034"}),
    ("1a0205dc 1a0205dc", {26: "05dc"}),
    ("1c040a4d00ff 1c040a4d00ff", {28: "0a4d00ff"}),
    ("32040a4d0064 390205c0 390205c0 32040a4d0065", {50: "0a4d0064", 57: "05c0"}),
    ("6c0400000708 6c0400000708", {108: "00000708"}),
    ("740100 740101", {116: "00"}),
    ("3d0701020000000001 3d0701020000000001", {61: "01020000000001"}),
    ("3d0701020000000001 3d0701020000000002", {61: "01020000000001"}),
    ("0c03766d31 0c03766d31", {12: "766d31"}),
    ("0c03766d31 0c03766d32", {12: "766d31"}),
    ("0f05612e636f6d 0f05612e636f6d 0f05612e636f6d", {15: "612e636f6d"}),
    ("0f05612e636f6d 0f05622e636f6d", {15: "612e636f6d"}),
    # what may be split, or is no value by itself
    ("3602 0a4d 36020001", {54: "0a4d0001"}),
    ("36030a4d00 36040a4d0001", {54: "0a4d0001"}),
    ("3600 36040a4d0001 3600", {54: "0a4d0001"}),
    ("0f04 6578616d 0f05706c652e63", {15: "6578616d706c652e63"}),
    ("06040a4d0035 06040a4d0036", {6: "0a4d00350a4d0036"}),
    ("7903180a4d 7905000a4d0001", {121: "180a4d000a4d0001"}),
    ("7703036162 77026300", {119: "0361626300"}),
    ("2b020102 2b020304", {43: "01020304"}),
    ("e0020102 e0020304", {224: "01020304"}),
]


def test_of_what_is_said_twice_the_first_counts_unless_it_may_be_split() -> None:  # rules 23, 76
    for said, meant in REPEATED:
        read = msg.decode(raw(bytes.fromhex(said) + b"\xff")).options
        assert {code: value.hex() for code, value in read.items()} == meant, said


def test_what_is_said_again_in_another_field_counts_once() -> None:  # rules 23, 76
    said = bytes.fromhex("34010134010135010536040a4d00010104ffffff000f05612e636f6dff")
    again = bytes.fromhex("36040a4d00020104ffff00000f05612e636f6d350106ff")
    read = msg.decode(raw(said, file=again))
    assert read.options == {53: b"\5", 54: b"\x0a\x4d\0\1", 1: b"\xff\xff\xff\0", 15: b"a.com"}
    assert read.file == b""


def test_long_names_are_split_and_joined_and_count_once() -> None:  # rules 23, 76
    pieces = b"\x0f\xff" + b"a" * 255 + b"\x0f\x0a" + b"b" * 10
    for said in (pieces, pieces * 2):
        assert msg.decode(raw(said + b"\xff")).options == {15: b"a" * 255 + b"b" * 10}


def test_the_overloaded_fixture_reads_as_one() -> None:  # rule 23
    read = msg.decode(load_reply("overloaded-ack"))
    assert read.options[opt.DOMAIN_NAME] == b"example.com"
    assert read.options[opt.DOMAIN_NAME_SERVER] == bytes([192, 0, 2, 53])
    assert read.options[opt.ROUTER] == bytes([192, 0, 2, 1])
    assert (read.file, read.sname) == (b"", b"")
    assert opt.OVERLOAD not in read.options


def test_nonsense_in_one_option_leaves_the_others() -> None:  # rule 22
    wrong = dict.fromkeys((50, 51, 53, 54, 56, 58, 59, 61), b"")
    read = msg.decode(msg.encode(message({**wrong, 3: b"\x0a\x00\x00\x01"})))
    assert read.options[3] == b"\x0a\x00\x00\x01"
    assert (read.message_type, read.server_id, read.lease_time, read.renewal_time, read.rebinding_time) == (
        None,
    ) * 5
    assert (read.client_id, read.requested_address, read.error_text) == (None,) * 3


# Properties


def test_absent_options_are_none() -> None:  # rule 15
    bare = message({})
    assert (bare.message_type, bare.server_id, bare.lease_time, bare.renewal_time, bare.rebinding_time) == (
        None,
    ) * 5
    assert (bare.client_id, bare.requested_address, bare.error_text) == (None,) * 3


def test_options_are_read_as_what_they_are() -> None:
    full = message(
        {
            53: b"\x06",
            54: bytes([10, 0, 0, 1]),
            51: b"\xff\xff\xff\xff",
            58: b"\0\0\0\x3c",
            59: b"\0\0\0\x69",
            61: b"\x01" + MAC,
            50: bytes([10, 0, 0, 9]),
            56: b"no\x1b[31m lease\0junk",
        }
    )
    assert (full.message_type, full.server_id) == (msg.NAK, IPv4Address("10.0.0.1"))
    assert (full.lease_time, full.renewal_time, full.rebinding_time) == (0xFFFFFFFF, 60, 105)
    assert (full.client_id, full.requested_address) == (b"\x01" + MAC, IPv4Address("10.0.0.9"))
    assert full.error_text == "no?[31m lease"


@pytest.mark.parametrize("size", [3, 5, 8])
def test_a_value_of_a_wrong_length_is_none(size: int) -> None:  # rule 22
    odd = message(dict.fromkeys((50, 51, 54, 58, 59), b"\x01" * size) | {53: b"\x05\x05"})
    assert (odd.message_type, odd.server_id, odd.requested_address) == (None,) * 3
    assert (odd.lease_time, odd.renewal_time, odd.rebinding_time) == (None,) * 3


@pytest.mark.parametrize("server", ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"])
def test_a_server_id_that_nothing_can_be_unicast_to_is_none(server: str) -> None:  # rule 21
    assert message({54: IPv4Address(server).packed}).server_id is None


def test_the_servers_words_are_bounded() -> None:  # rule 22
    text = message({56: b"x" * 1000}).error_text
    assert text is not None
    assert len(text) == 255


# Writing


def test_long_options_are_split_and_joined_again() -> None:  # rule 23
    value = bytes(range(256)) * 2
    written = msg.encode(message({43: value, 53: b"\x05"}), minimum=0)
    assert written[240:].startswith(
        b"\x2b\xff" + value[:255] + b"\x2b\xff" + value[255:510] + b"\x2b\x02" + value[510:]
    )
    assert msg.decode(written).options == {43: value, 53: b"\x05"}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"chaddr": bytes(17)}, "hardware-length"),
        ({"sname": b"a" * 65}, "value"),
        ({"file": b"a" * 129}, "value"),
        ({"sname": b"a\0b"}, "value"),
        ({"file": b"\0"}, "value"),
        ({"xid": 1 << 32}, "value"),
        ({"secs": -1}, "value"),
        ({"options": {opt.PAD: b""}}, "value"),
        ({"options": {opt.END: b""}}, "value"),
        ({"options": {opt.OVERLOAD: b"\x01"}}, "value"),
        ({"options": {43: bytes(msg.MAXIMUM_SIZE)}}, "length"),
    ],
)
def test_what_cannot_be_written_is_refused(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(WireError) as caught:
        msg.encode(message({})._replace(**fields))
    assert caught.value.reason == reason


def test_the_default_options_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        msg.Message(op=1, xid=1).options[1] = b""  # type: ignore[index]


def test_a_message_is_equal_only_to_a_message() -> None:
    one = message({53: b"\x01"})
    assert one == message({53: b"\x01"})
    assert one != tuple(one)


def test_the_fixtures_are_put_into_another_exchange() -> None:
    assert msg.decode(load_reply("neutron-ack")).xid == REPLY_XID
    assert msg.decode(load_reply("neutron-ack")).chaddr == REPLY_CHADDR
    other = msg.decode(load_reply("neutron-ack", xid=5, chaddr=MAC))
    assert (other.xid, other.chaddr) == (5, MAC)


def test_malformed_packets_leave_no_memory_behind() -> None:  # rule 22
    bad = [raw(b"\x35\x01\x05" + bytes([12, 250]) + bytes([at]) * 200) for at in range(200)] + [bytes(300)]

    def flood() -> None:
        for data in bad:
            with pytest.raises(WireError):
                msg.decode(data)

    flood()
    tracemalloc.start()
    try:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(5):
            flood()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 16384
