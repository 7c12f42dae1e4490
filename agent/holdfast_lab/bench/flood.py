"""50,000 malformed packets a second while a lease is held and falls due for renewal."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from scapy.layers.dhcp import BOOTP

from holdfast_lab.bench.figures import Flood
from holdfast_lab.bench.measure import PATIENCE, Tell, wait
from holdfast_lab.bench.room import Room, lease_of
from holdfast_lab.peers.running import Running, used
from holdfast_lab.testbed.messages import Request, malformed_reply
from holdfast_lab.testbed.netns import Namespace
from holdfast_lab.testbed.stage import hardware_address
from holdfast_lab.witness.wirelog import Seen

RATE = 50_000
SECONDS = 10
LEASE = 40
LEAD = 5
"""The flood begins so many seconds before T1, which falls at half of the lease; Holdfast asks up to 4 s earlier."""
SETTLE = 3
"""Seconds after the flood before memory is read for the last time."""

_SENDER = Path(__file__).with_name("sender.py")


def measure_flood(client: str, tell: Tell) -> Flood:
    """Bind, flood around T1, and say what became of the lease, the renewal and the memory."""
    with Room(client, lease_of(LEASE)) as room:
        running = room.start()
        room.first_address(PATIENCE)
        bound = room.server.wire.wait_for(lambda seen: seen.kind == "ACK", 5)
        wait(LEASE / 2 - LEAD, "flood: wait for T1", tell)
        before = running.usage()
        sender = start_sender(room.far, bound, rate=RATE, seconds=SECONDS)
        tell(f"flood: {SECONDS} s of {RATE} packets per second")
        peak, work = _watch(running, sender), used(before, running.usage())
        out, _ = sender.communicate()
        sent, took = out.split()
        wait(SETTLE, "flood: over, settle", tell)
        renewal, late = renewal_in(room.server.wire.all(), LEASE / 2)
        return Flood(
            rate=int(sent) / float(took),
            seconds=float(took),
            pss_before=before.pss,
            pss_peak=peak,
            pss_after=running.usage().pss,
            processor=work.processor,
            renewal=renewal,
            late=late,
            kept=not room.address_removed(),
        )


def start_sender(
    machine: Namespace, bound: Seen, *, rate: int = RATE, seconds: float = SECONDS
) -> subprocess.Popen[str]:
    """Send malformed replies over ``srv0`` of ``machine`` to the client that ``bound``, an ACK, was for."""
    rng = random.Random(7)
    client_mac = bytes.fromhex(bound.mac.replace(":", ""))
    server_mac = bytes.fromhex(machine.run(lambda: hardware_address("srv0")).replace(":", ""))
    frames = []
    for _ in range(256):
        asked = BOOTP(xid=rng.getrandbits(32), ciaddr=bound.yiaddr, chaddr=client_mac + bytes(10))
        request = Request(bound, asked)
        frames.append(malformed_reply(request, server_mac, "192.0.2.1", bound.yiaddr, rng).hex())
    command = [sys.executable, "-I", "-S", str(_SENDER), "srv0", str(rate), str(seconds)]
    sender: subprocess.Popen[str] = machine.popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert sender.stdin is not None
    sender.stdin.write("\n".join(frames))
    sender.stdin.close()
    sender.stdin = None  # so that communicate() does not flush it again
    return sender


def _watch(running: Running, sender: subprocess.Popen[str]) -> int:
    """The largest PSS seen until the sender is done, bytes."""
    peak = 0
    while sender.poll() is None:
        peak = max(peak, running.usage().pss)
        time.sleep(0.5)
    return peak


def renewal_in(seen: list[Seen], t1: float) -> tuple[float | None, float | None]:
    """The first renewal: seconds from its first REQUEST to its ACK, and from T1 to its ACK; None without an ACK.

    T1 counts from the REQUEST that won the lease (RFC 2131 section 4.4.5).
    """
    won_at = next((one.at for one in seen if one.direction == "in" and one.kind == "REQUEST"), None)
    asked_at = None
    for one in seen:
        if asked_at is None and one.direction == "in" and (one.unicast_renewal or one.broadcast_renewal):
            asked_at = one.at
        elif asked_at is not None and won_at is not None and one.direction == "out" and one.kind == "ACK":
            return one.at - asked_at, one.at - (won_at + t1)
    return None, None
