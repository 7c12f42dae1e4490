"""wire.arp: building and reading ARP."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from holdfast.wire import WireError, arp

OURS, THEIRS = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
ADDRESS, OTHER = IPv4Address("192.0.2.77"), IPv4Address("192.0.2.1")
ANY, NOBODY = IPv4Address(0), bytes(6)


def test_every_byte_of_a_request() -> None:
    built = arp.build_request(OURS, ADDRESS, OTHER)
    assert built == bytes.fromhex("0001080006040001") + OURS + ADDRESS.packed + NOBODY + OTHER.packed


@pytest.mark.parametrize(
    ("built", "meant"),
    [
        (arp.build_probe(OURS, ADDRESS), arp.ArpPacket(arp.REQUEST, OURS, ANY, NOBODY, ADDRESS)),
        (arp.build_announcement(OURS, ADDRESS), arp.ArpPacket(arp.REQUEST, OURS, ADDRESS, NOBODY, ADDRESS)),
        (arp.build_request(OURS, ADDRESS, OTHER), arp.ArpPacket(arp.REQUEST, OURS, ADDRESS, NOBODY, OTHER)),
        (
            arp.build_reply(OURS, ADDRESS, THEIRS, OTHER),
            arp.ArpPacket(arp.REPLY, OURS, ADDRESS, THEIRS, OTHER),
        ),
    ],
)
def test_what_is_built_is_read(built: bytes, meant: arp.ArpPacket) -> None:
    assert arp.parse(built) == meant
    assert arp.parse(built + bytes(18)) == meant  # Ethernet padding


@pytest.mark.parametrize("size", [0, 7, 27])
def test_a_short_packet_is_refused(size: int) -> None:  # rule 22
    with pytest.raises(WireError) as caught:
        arp.parse(arp.build_probe(OURS, ADDRESS)[:size])
    assert caught.value.reason == "length"


@pytest.mark.parametrize(
    "start", ["0006080006040001", "000186dd06040001", "0001080008040001", "0001080006100001", "0001080006040003"]
)
def test_another_kind_of_arp_is_refused(start: str) -> None:  # rule 22
    with pytest.raises(WireError) as caught:
        arp.parse(bytes.fromhex(start) + bytes(40))
    assert caught.value.reason == "protocol"


def test_a_hardware_address_of_another_length_is_refused() -> None:
    with pytest.raises(WireError):
        arp.build_probe(OURS + b"x", ADDRESS)
    with pytest.raises(WireError):
        arp.build_reply(OURS, ADDRESS, b"", OTHER)
