"""A hostile machine on the same link: it sees every message, answers first, and floods.

It sends from its own port of the switch. What it hears is what the server hears: no switch keeps a message from it.
"""

from __future__ import annotations

import random
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from scapy.layers.dhcp import BOOTP

from holdfast_lab.attack.arena import Arena, Attack, Scale
from holdfast_lab.bench import sender
from holdfast_lab.testbed.faults import NO_FAULTS
from holdfast_lab.testbed.messages import ANY, BROADCAST, Request, encode_reply, malformed_reply, parse_request
from holdfast_lab.testbed.netns import Namespace
from holdfast_lab.testbed.stage import LINK, hardware_address
from holdfast_lab.witness.wirelog import ETH_P_ARP, ETH_P_IP, packet_socket, receive

#: The server takes its time, so that the neighbour is first.
SLOW = replace(NO_FAULTS, delay=0.05)
#: Frames a second of a flood.
RATE = 20_000
ROGUE = "192.0.2.66"
#: The first of the addresses that the rogue server offers.
ROGUE_OFFERS = "192.0.2.200"
#: What an ACK may say besides, and a client must survive. Nothing that a server may say and have obeyed: another mask,
#: another router, a longer lease.
HOSTILE_OPTIONS: tuple[list[Any], ...] = (
    [],
    [(26, struct.pack(">H", 68))],
    [(26, struct.pack(">H", 576))],
    [("lease_time", 1)],
    [("lease_time", 12), ("renewal_time", 11), ("rebinding_time", 2)],
    [("renewal_time", 0), ("rebinding_time", 0xFFFFFFFF)],
    [(12, b"a\x1b]0;owned\x07`reboot`")],
    [(15, b"a;reboot\nnameserver 6.6.6.6")],
    [(119, b"\xc0\x00" * 120)],
    [(119, b"\x3f" + b"a" * 63 + b"\xc0\x00" * 90)],
    [(6, b"\xff" * 7), (42, b"ntp.example.")],
    [(121, bytes((32, 192, 0, 2, 50)) + b"\xc0\x00\x02\x42")],
    [(43, b"\x00" * 255), (60, b"\xff" * 255), (125, b"\xff" * 255)],
)


class Neighbour:
    """Sends frames from the neighbour's port; ``answer`` is called with each message of the client's that is heard."""

    def __init__(self, arena: Arena, answer: Callable[[Request], Sequence[bytes]]) -> None:
        self._answer, self.sent = answer, 0
        self.mac: bytes = bytes.fromhex(arena.neighbour.run(lambda: hardware_address(LINK)).replace(":", ""))
        self._out = arena.neighbour.run(lambda: packet_socket(LINK, ETH_P_ARP))
        self._tap = arena.server_machine.run(lambda: packet_socket("srv0", ETH_P_IP))
        self._tap.settimeout(0.1)
        self._client = arena.mac
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="neighbour", daemon=True)
        self._thread.start()

    def send(self, frame: bytes) -> None:
        """Put one frame on the wire."""
        self._out.send(frame)
        self.sent += 1

    def _listen(self) -> None:
        while not self._ending.is_set():
            try:
                frame, at = receive(self._tap)
            except TimeoutError:
                continue
            request = parse_request(frame, at)
            if request is not None and request.seen.mac == self._client:
                for answer in self._answer(request):
                    self.send(answer)

    def close(self) -> None:
        """Be silent."""
        self._ending.set()
        self._thread.join()
        self._tap.close()
        self._out.close()


@contextmanager
def neighbour(
    arena: Arena, answer: Callable[[Neighbour, Request], Sequence[bytes]] = lambda _neighbour, _request: ()
) -> Iterator[Neighbour]:
    """One, for as long as it lasts."""
    made: list[Neighbour] = []
    made.append(Neighbour(arena, lambda request: answer(made[0], request) if made else ()))
    try:
        yield made[0]
    finally:
        made[0].close()


def claim(mac: bytes, address: str, *, answer: bool = False, to: bytes = b"\xff" * 6) -> bytes:
    """An ARP frame by which ``mac`` claims ``address``: an announcement (RFC 5227), or an answer to no question."""
    packed = IPv4Address(address).packed
    header = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 2 if answer else 1)
    return to + mac + struct.pack(">H", ETH_P_ARP) + header + mac + packed + (to if answer else bytes(6)) + packed


def _nak(by: Neighbour, request: Request, server: str) -> bytes:
    return encode_reply(request, by.mac, server, BROADCAST, address=ANY,
                        options=[("message-type", "nak"), ("server_id", server)])[0]


def naks(arena: Arena, scale: Scale) -> str:
    """NAK before each answer, by a server of its own and in the name of the lease's."""

    def answer(by: Neighbour, request: Request) -> list[bytes]:
        if request.seen.kind != "REQUEST":
            return []
        return [_nak(by, request, ROGUE), _nak(by, request, arena.server.identity)]

    with neighbour(arena, answer) as hostile:
        for _ in arena.during(scale.seconds):
            pass
        return f"{hostile.sent} NAKs"


def naks_and_claims(arena: Arena, scale: Scale) -> str:
    """NAK in the lease's server's name, and ten claims to the address (rule 84)."""

    def answer(by: Neighbour, request: Request) -> list[bytes]:
        if request.seen.kind != "REQUEST":
            return []
        claims = [claim(by.mac, arena.address(), answer=bool(number % 2)) for number in range(10)]
        return [_nak(by, request, arena.server.identity), *claims]

    with neighbour(arena, answer) as hostile:
        for _ in arena.during(scale.seconds):
            pass
        return f"{hostile.sent} NAKs and claims"


def claims(arena: Arena, scale: Scale) -> str:
    """Announcements and unasked answers for the client's address, from fifty hardware addresses."""
    rng = random.Random(2)
    with neighbour(arena) as hostile:
        for _ in arena.during(scale.seconds):
            for _ in range(40):
                mac = bytes((2, 0, 0, 0, 1, rng.randrange(50)))
                hostile.send(claim(mac, arena.address(), answer=rng.random() < 0.5))
        return f"{hostile.sent} claims"


def acks(arena: Arena, scale: Scale) -> str:
    """Before each ACK of the server's, one in its name that says something hostile."""
    turn = iter(range(1 << 30))

    def answer(by: Neighbour, request: Request) -> list[bytes]:
        if request.seen.kind != "REQUEST":
            return []
        base = {"server_id": arena.server.identity, "lease_time": 24}
        extra = HOSTILE_OPTIONS[next(turn) % len(HOSTILE_OPTIONS)]
        options = [("message-type", "ack"), *((key, base[key]) for key in base if key not in dict(extra)), *extra]
        server = arena.server.identity
        return [encode_reply(request, by.mac, server, BROADCAST, address=arena.address(), options=options)[0]]

    with neighbour(arena, answer) as hostile:
        for _ in arena.during(scale.seconds):
            arena.command("renew", LINK)
        return f"{hostile.sent} ACKs"


def near_misses(arena: Arena, scale: Scale) -> str:
    """Answers that are right but for one thing: hardware address, xid, cookie, direction, type, port, checksum."""

    def answer(by: Neighbour, request: Request) -> list[bytes]:
        frames = []
        for kind in ("offer", "ack", "nak", "force_renew"):
            address = ANY if kind in ("nak", "force_renew") else ROGUE_OFFERS
            good = encode_reply(request, by.mac, ROGUE, BROADCAST, address=address, options=[
                ("message-type", kind), ("server_id", ROGUE), ("lease_time", 3600), ("router", ROGUE)])[0]
            frames += [_changed(good, 42 + 28, b"\x02\xff"), _changed(good, 42 + 4, b"\xff\xff"),
                       _changed(good, 42 + 236, b"\x00"), _changed(good, 42, b"\x01"), _changed(good, 36, b"\x00\x45"),
                       _changed(good, 42 + 20, b"\x09"), good[:200]]
        return frames

    with neighbour(arena, answer) as hostile:
        for _ in arena.during(scale.seconds):
            arena.command("rebind", LINK)
        return f"{hostile.sent} messages"


def _changed(frame: bytes, at: int, octets: bytes) -> bytes:
    """Other octets at one place; the UDP checksum says that there is none (RFC 768), but where the change is to be
    found out by it."""
    changed = frame[:at] + octets + frame[at + len(octets):]
    return changed if octets == b"\x09" else changed[:40] + bytes(2) + changed[42:]


def rogue_server(arena: Arena, scale: Scale) -> str:
    """A second server that answers first, offers addresses of its own, and refuses everybody else's."""
    rogue = arena.add_server(f"{ROGUE}/24", faults=replace(NO_FAULTS, nak=((float("-inf"), float("inf")),)))
    for _ in arena.during(scale.seconds):
        arena.command("rebind", LINK)
    return f"{sum(seen.direction == 'out' for seen in rogue.wire.all())} answers"


def _flood(arena: Arena, scale: Scale, frames: list[bytes], machine: Namespace, link: str) -> str:
    words = [sys.executable, "-I", "-S", str(Path(sender.__file__)), link, str(RATE), str(scale.seconds)]
    child = machine.popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    child.stdin.write("\n".join(frame.hex() for frame in frames))
    child.stdin.close()
    child.stdin = None  # so that communicate() does not flush it again
    while child.poll() is None:
        for _ in arena.during(0.5):
            pass
    sent = child.communicate()[0].split()[0]
    return f"{int(sent):,} frames"


def malformed(arena: Arena, scale: Scale) -> str:
    """Broken answers with the client's address and hardware address, at 20,000 a second."""
    rng, bound, mac = random.Random(7), arena.granted()[-1], _mac_of(arena)
    chaddr = bytes.fromhex(arena.mac.replace(":", "")) + bytes(10)
    frames = [
        malformed_reply(Request(bound, BOOTP(xid=rng.getrandbits(32), ciaddr=bound.yiaddr, chaddr=chaddr)),
                        mac, ROGUE, bound.yiaddr, rng) for _ in range(256)
    ]
    return _flood(arena, scale, frames, arena.neighbour, LINK)


def replies(arena: Arena, scale: Scale) -> str:
    """Whole OFFERs, ACKs and NAKs for exchanges that the client did not begin, at 20,000 a second."""
    rng, bound, mac = random.Random(8), arena.granted()[-1], _mac_of(arena)
    chaddr = bytes.fromhex(arena.mac.replace(":", "")) + bytes(10)
    frames = []
    for number in range(256):
        kind = ("offer", "ack", "nak")[number % 3]
        asked = Request(bound, BOOTP(xid=rng.getrandbits(32), ciaddr=bound.yiaddr, chaddr=chaddr))
        options = [("message-type", kind), ("server_id", arena.server.identity), ("lease_time", 60)]
        address = ANY if kind == "nak" else ROGUE_OFFERS
        frames.append(encode_reply(asked, mac, arena.server.identity, BROADCAST, address=address, options=options)[0])
    return _flood(arena, scale, frames, arena.neighbour, LINK)


def arp(arena: Arena, scale: Scale) -> str:
    """ARP of every kind about every address of the subnet, at 20,000 a second."""
    rng = random.Random(9)
    frames = []
    for _ in range(256):
        mac = bytes((2, 0, 0, 0, 2, rng.randrange(256)))
        frames.append(claim(mac, f"192.0.2.{rng.randrange(60, 255)}", answer=rng.random() < 0.5))
    frames += [claim(bytes((2, 0, 0, 0, 3, number)), arena.address(), answer=bool(number % 2)) for number in range(20)]
    return _flood(arena, scale, frames, arena.neighbour, LINK)


def garbage(arena: Arena, scale: Scale) -> str:
    """Frames to port 68 whose headers are wrong: cut, tagged, fragmented, with IP options, of impossible lengths."""
    rng, to = random.Random(10), bytes.fromhex(arena.mac.replace(":", ""))
    mac = _mac_of(arena)
    good = encode_reply(
        Request(arena.granted()[-1], BOOTP(xid=1, chaddr=to + bytes(10))), mac, ROGUE, BROADCAST, address=ROGUE_OFFERS,
        options=[("message-type", "ack"), ("server_id", ROGUE), ("lease_time", 60)])[0]
    ways: list[Callable[[], bytes]] = [
        lambda: good[: rng.randrange(15, len(good))],
        lambda: good[:12] + b"\x81\x00" + rng.randbytes(2) + good[12:],
        lambda: good[:20] + struct.pack(">H", rng.randrange(1, 1 << 14)) + good[22:],
        lambda: good[:14] + bytes((0x40 | rng.randrange(16),)) + good[15:],
        lambda: good[:16] + rng.randbytes(2) + good[18:],
        lambda: good[:38] + rng.randbytes(2) + good[40:],
        lambda: good[:14] + b"\x4f" + good[15:34] + rng.randbytes(40) + good[34:],
        lambda: good[:34] + rng.randbytes(rng.randrange(8, 1400)),
    ]
    frames = [frame for frame in (rng.choice(ways)()[:1514] for _ in range(256)) if len(frame) >= 15]
    return _flood(arena, scale, frames, arena.neighbour, LINK)


def _mac_of(arena: Arena) -> bytes:
    return bytes.fromhex(arena.neighbour.run(lambda: hardware_address(LINK)).replace(":", ""))


ATTACKS = (
    Attack("naks", "a neighbour says NAK first, in two names", naks, faults=SLOW),
    Attack("naks-and-claims", "a neighbour says NAK as the server, and claims the address", naks_and_claims,
           faults=SLOW),
    Attack("claims", "neighbours claim the address", claims),
    Attack("acks", "a neighbour's ACKs are first, and hostile", acks, faults=SLOW),
    Attack("near-misses", "a neighbour's answers are right but for one thing", near_misses, faults=SLOW),
    Attack("rogue-server", "a second server offers, and refuses", rogue_server, faults=SLOW),
    Attack("malformed", "a flood of broken answers", malformed),
    Attack("replies", "a flood of whole answers", replies),
    Attack("arp", "a flood of ARP", arp),
    Attack("garbage", "a flood of broken frames", garbage),
)
