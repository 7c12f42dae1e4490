"""wire.frame: IPv4 and UDP around a message, and the kernel filter."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

import pytest
from tests.support import bpf

from holdfast.wire import WireError, frame
from holdfast.wire import message as msg
from holdfast.wire.message import ANY, BROADCAST, CLIENT_PORT, SERVER_PORT

SERVER, CLIENT = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.77")
PAYLOAD = b"holdfast" * 40
FILTER = frame.udp_filter(CLIENT_PORT)


def sound(payload: bytes = PAYLOAD) -> bytes:
    return frame.build_udp(SERVER, CLIENT, SERVER_PORT, CLIENT_PORT, payload)


def with_header(packet: bytes, at: int, value: bytes, *, options: bytes = b"") -> bytes:
    """``packet`` with ``value`` at offset ``at`` of its IP header, ``options`` put in, and a right checksum."""
    header = bytearray(packet[:20] + options)
    header[0] = 0x40 | len(header) // 4
    header[2:4] = (int.from_bytes(header[2:4], "big") + len(options)).to_bytes(2, "big")
    header[at : at + len(value)] = value
    header[10:12] = b"\0\0"
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    header[10:12] = (~total & 0xFFFF).to_bytes(2, "big")
    return bytes(header) + packet[20:]


def refused(packet: bytes) -> str:
    with pytest.raises(WireError) as caught:
        frame.parse_ipv4_udp(packet)
    return caught.value.reason


def test_a_request_bears_the_ports_of_the_rfc() -> None:  # rule 7
    for destination in (BROADCAST, SERVER):
        packet = frame.build_udp(ANY, destination, CLIENT_PORT, SERVER_PORT, PAYLOAD)
        assert struct.unpack_from("!2H", packet, 20) == (68, 67)


def test_the_header_is_what_the_rfc_says() -> None:
    packet = sound()
    assert packet[:10] == bytes([0x45, 0]) + (28 + len(PAYLOAD)).to_bytes(2, "big") + b"\0\0\x40\x00\x40\x11"
    assert packet[12:20] == SERVER.packed + CLIENT.packed
    assert packet[24:26] == (8 + len(PAYLOAD)).to_bytes(2, "big")
    assert with_header(packet, 9, b"\x11") == packet


@pytest.mark.parametrize("payload", [b"", b"a", PAYLOAD, PAYLOAD + b"x", bytes(300)])
def test_what_is_built_is_read(payload: bytes) -> None:
    assert frame.parse_ipv4_udp(sound(payload)) == frame.Datagram(SERVER, CLIENT, 67, 68, payload)


def test_ethernet_padding_is_left_out() -> None:
    assert frame.parse_ipv4_udp(sound(b"short") + bytes(18)).payload == b"short"


def test_udp_may_be_shorter_than_ip_says() -> None:
    packet = with_header(sound(b"short") + b"rest", 2, (28 + 9).to_bytes(2, "big"))
    assert frame.parse_ipv4_udp(packet).payload == b"short"


def test_ip_options_are_stepped_over() -> None:
    packet = with_header(sound(), 9, b"\x11", options=b"\x94\x04\x00\x00" * 10)
    assert frame.parse_ipv4_udp(packet).payload == PAYLOAD
    assert bpf.run(FILTER, packet)


# Checksums


def test_a_udp_checksum_of_zero_means_none() -> None:
    packet = sound()
    assert frame.parse_ipv4_udp(packet[:26] + b"\0\0" + packet[28:-1] + b"X").payload == PAYLOAD[:-1] + b"X"


@pytest.mark.parametrize("payload", [PAYLOAD, PAYLOAD + b"x"])
def test_a_wrong_udp_checksum_is_refused_when_it_is_ready(payload: bytes) -> None:  # rule 22
    packet = bytearray(sound(payload))
    packet[-1] ^= 1
    assert refused(bytes(packet)) == "checksum"


def test_a_checksum_that_no_device_has_finished_is_not_looked_at() -> None:
    """Between guests of one host the field holds the pseudo header's part only."""
    packet = sound()
    partial = packet[:26] + b"\x12\x34" + packet[28:]
    assert frame.parse_ipv4_udp(partial, checksum_ready=False).payload == PAYLOAD
    assert refused(partial) == "checksum"


def test_a_checksum_that_comes_out_as_zero_is_sent_as_ffff() -> None:
    packet = sound(b"\0\0")
    rest = int.from_bytes(packet[26:28], "big")
    packet = sound(rest.to_bytes(2, "big"))
    assert packet[26:28] == b"\xff\xff"
    assert frame.parse_ipv4_udp(packet).payload == rest.to_bytes(2, "big")


def test_a_wrong_ip_checksum_is_refused() -> None:  # rule 22
    packet = bytearray(sound())
    packet[8] ^= 1  # the time to live
    assert refused(bytes(packet)) == "checksum"


# What is refused


@pytest.mark.parametrize("size", [0, 1, 19, 20, 27])
def test_a_packet_without_both_headers_is_refused(size: int) -> None:  # rule 22
    assert refused(sound()[:size]) == "length"


def test_a_truncated_packet_is_refused() -> None:  # rule 22
    assert refused(sound()[:-1]) == "length"


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        (0, b"\x65", "protocol"),
        (0, b"\x55", "protocol"),
        (9, b"\x06", "protocol"),
        (0, b"\x44", "length"),
        (0, b"\x40", "length"),
        (2, b"\x00\x1b", "length"),
        (2, b"\x00\x00", "length"),
        (2, b"\xff\xff", "length"),
        (6, b"\x20\x00", "fragment"),
        (6, b"\x00\x01", "fragment"),
        (6, b"\x1f\xff", "fragment"),
    ],
)
def test_a_header_that_is_not_ours_is_refused(at: int, value: bytes, reason: str) -> None:  # rule 22
    assert refused(with_header(sound(), at, value)) == reason


def test_header_options_that_leave_no_room_for_udp_are_refused() -> None:  # rule 22
    assert refused(with_header(sound(b""), 0, b"\x4f")) == "length"


@pytest.mark.parametrize("length", [0, 7, 9 + len(PAYLOAD), 0xFFFF])
def test_a_udp_length_that_contradicts_the_packet_is_refused(length: int) -> None:  # rule 22
    packet = sound()
    assert refused(packet[:24] + length.to_bytes(2, "big") + packet[26:]) == "length"


@pytest.mark.parametrize(
    ("sport", "dport", "size"), [(-1, 67, 0), (0x10000, 67, 0), (68, -1, 0), (68, 0x10000, 0), (68, 67, 0xFFFF - 27)]
)
def test_what_cannot_be_written_is_refused(sport: int, dport: int, size: int) -> None:
    with pytest.raises(WireError) as caught:
        frame.build_udp(ANY, BROADCAST, sport, dport, bytes(size))
    assert caught.value.reason == "value"


def test_the_largest_payload_is_written() -> None:
    assert len(frame.build_udp(ANY, BROADCAST, 68, 67, bytes(0xFFFF - 28))) == 0xFFFF


# Ethernet


def test_an_ethernet_frame() -> None:
    source = bytes.fromhex("020000000001")
    built = frame.ethernet(frame.BROADCAST_MAC, source, frame.ETHERTYPE_ARP, b"arp")
    assert built == b"\xff" * 6 + source + b"\x08\x06arp"


@pytest.mark.parametrize(
    ("destination", "source", "ethertype"), [(b"12345", b"123456", 1), (b"123456", b"", 1), (b"123456", b"123456", -1)]
)
def test_an_ethernet_frame_that_cannot_be_written_is_refused(
    destination: bytes, source: bytes, ethertype: int
) -> None:
    with pytest.raises(WireError):
        frame.ethernet(destination, source, ethertype, b"")


# The kernel filter


def test_the_filter_passes_replies_whatever_their_destination() -> None:
    for destination in (CLIENT, SERVER, BROADCAST, IPv4Address("203.0.113.9")):
        assert bpf.run(FILTER, frame.build_udp(SERVER, destination, 67, 68, PAYLOAD)) >= 0xFFFF


@pytest.mark.parametrize(
    "packet",
    [
        frame.build_udp(SERVER, CLIENT, 68, 67, PAYLOAD),
        with_header(sound(), 0, b"\x65"),
        with_header(sound(), 9, b"\x06"),
        with_header(sound(), 6, b"\x20\x00"),
        with_header(sound(), 6, b"\x00\x01"),
        sound()[:22],
        sound()[:1],
        b"",
    ],
)
def test_the_filter_stops_everything_else(packet: bytes) -> None:
    assert bpf.run(FILTER, packet) == 0


MAC = bytes.fromhex("02005e0000a1")
REPLY = msg.encode(msg.Message(2, 0x89ABCDEF, yiaddr=CLIENT, chaddr=MAC, options={53: b"\x05"}))


@pytest.mark.parametrize("xids", [(0x89ABCDEF,), (1, 0x89ABCDEF), (0x89ABCDEF, 2), (*range(127), 0x89ABCDEF)])
def test_in_a_flood_an_answer_to_us_passes(xids: tuple[int, ...]) -> None:
    program = frame.reply_filter(CLIENT_PORT, MAC, xids)
    for packet in (sound(REPLY), with_header(sound(REPLY), 1, b"\x10", options=b"\x01" * 8)):
        assert bpf.run(program, packet) >= 0xFFFF


@pytest.mark.parametrize(("at", "value"), [
    (0, b"\x01"), (4, b"\x89\xab\xcd\xee"), (28, b"\x03"), (33, b"\xa2"), (236, b"\x00"), (239, b"\x00"),
])
def test_in_a_flood_nothing_else_does(at: int, value: bytes) -> None:
    # rule 15
    program = frame.reply_filter(CLIENT_PORT, MAC, (7, 0x89ABCDEF))
    other = REPLY[:at] + value + REPLY[at + len(value):]
    assert bpf.run(program, sound(other)) == 0
    assert bpf.run(program, sound(REPLY)[:len(sound(REPLY)) - len(REPLY) + at]) == 0
    assert bpf.run(program, frame.build_udp(SERVER, CLIENT, 67, 69, REPLY)) == 0


def test_the_filter_is_packed_as_the_kernel_reads_it() -> None:
    packed = frame.pack_filter(FILTER)
    assert len(packed) == 8 * len(FILTER)
    assert list(struct.iter_unpack("=HBBI", packed)) == FILTER
