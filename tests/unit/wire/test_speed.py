"""Reading a reply is fast. A ratio of two measurements in one run, with a wide margin: machines differ."""

from __future__ import annotations

from timeit import repeat

from scapy.layers.inet import IP
from tests.support.fixtures import load_reply

from holdfast.wire import frame
from holdfast.wire import message as msg


def test_a_reply_is_read_much_faster_than_by_scapy() -> None:
    packet = frame.build_udp(msg.ANY, msg.BROADCAST, 67, 68, load_reply("neutron-ack"))
    ours = min(repeat(lambda: msg.decode(frame.parse_ipv4_udp(packet).payload), number=100, repeat=7))
    theirs = min(repeat(lambda: IP(packet), number=100, repeat=7))
    assert theirs / ours > 10
