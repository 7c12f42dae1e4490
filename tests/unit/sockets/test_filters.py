"""runtime.filters: run by an interpreter, and taken by the kernel."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import strategies as _profile  # noqa: F401 - the same examples in every run

from holdfast.sockets.filters import DROP_ALL, arp_claims, attach
from holdfast.wire import arp
from holdfast_lab.testbed import fair_time

SO_MEMINFO, DROPS = 55, 8  # linux/sock_diag.h: nine numbers of a socket
MAC, OTHER = bytes.fromhex("020000000001"), bytes.fromhex("0200000000ff")
OURS, SECOND, FOREIGN = IPv4Address("192.0.2.50"), IPv4Address("192.0.2.51"), IPv4Address("192.0.2.9")


def run(program: list[tuple[int, int, int, int]], packet: bytes) -> int:
    """Classic BPF, as far as these programs go."""
    accumulator = position = 0
    for _ in range(len(program)):
        code, true, false, k = program[position]
        position += 1
        size = {0x20: 4, 0x28: 2}.get(code)
        if size:
            if k + size > len(packet):
                return 0
            accumulator = int.from_bytes(packet[k:k + size], "big")
        elif code == 0x15:
            position += true if accumulator == k else false
        else:
            assert code == 0x06
            return k
    raise AssertionError("it does not end")


@pytest.mark.parametrize(
    ("packet", "passes"),
    [
        (arp.build_announcement(OTHER, OURS), True),
        (arp.build_announcement(OTHER, SECOND), True),
        (arp.build_reply(OTHER, OURS, MAC, FOREIGN), True),
        (arp.build_probe(OTHER, OURS), True),
        (arp.build_probe(OTHER, SECOND), True),
        (arp.build_announcement(MAC, OURS), False),
        (arp.build_probe(MAC, OURS), False),
        (arp.build_probe(OTHER, FOREIGN), False),
        (arp.build_request(OTHER, FOREIGN, OURS), False),  # somebody who wants to talk to us
        (arp.build_announcement(OTHER, FOREIGN), False),
        (b"", False),
        (arp.build_announcement(OTHER, FOREIGN)[:20], False),
    ],
)
def test_only_claims_of_others_wake_us(packet: bytes, passes: bool) -> None:
    program = arp_claims(MAC, (OURS.packed, SECOND.packed))
    assert bool(run(program, packet)) is passes
    assert not run(arp_claims(MAC, ()), packet) or passes is None  # watching nothing, nothing comes


@given(
    sha=st.sampled_from([MAC, OTHER, MAC[:4] + b"\xaa\xbb", b"\x00" * 4 + MAC[4:]]),
    spa=st.sampled_from([OURS, SECOND, FOREIGN, IPv4Address(0)]),
    tpa=st.sampled_from([OURS, SECOND, FOREIGN, IPv4Address(0)]),
    watched=st.sets(st.sampled_from([OURS, SECOND]), min_size=1),
)
def test_the_filter_says_what_the_rule_says(
    sha: bytes, spa: IPv4Address, tpa: IPv4Address, watched: set[IPv4Address]
) -> None:
    packet = arp.build_request(sha, spa, tpa)
    expected = sha != MAC and (spa in watched or (int(spa) == 0 and tpa in watched))
    assert bool(run(arp_claims(MAC, tuple(a.packed for a in watched)), packet)) is expected


def drops(receiver: socket.socket) -> int:
    """How many datagrams the kernel has kept from it."""
    numbers = struct.unpack("=9I", receiver.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))
    return int(numbers[DROPS])


def test_the_kernel_takes_them() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver, \
         socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(fair_time.longest(5))
        attach(receiver, arp_claims(MAC, (OURS.packed, SECOND.packed)))
        attach(receiver, DROP_ALL)
        sender.sendto(b"dropped", receiver.getsockname())
        # Where there is much to do, the kernel hands it over a little later (ksoftirqd).
        fair_time.wait_until(lambda: drops(receiver), 5, "it is dropped")
        attach(receiver, [(0x06, 0, 0, 0xFFFF)])
        sender.sendto(b"taken", receiver.getsockname())
        assert receiver.recv(100) == b"taken"
