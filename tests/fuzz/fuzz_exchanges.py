"""Fuzzes whole exchanges: a client, servers and a neighbour who changes answers by their structure.

Each run is one number: it seeds a network, a client, a schedule of faults (tests/support/schedules.py) and a forger.
The forger takes true answers apart, option by option, and puts them together otherwise: options repeated, split,
reordered, overloaded, left out, with other values; another xid, yiaddr, server or type; it also sends again, later and
with the xid of the exchange under way, what it has seen. After every event promises 1 to 6 are checked, and at the end,
when all is well again, the client must have a lease and the kernel its address.

    ./dev fuzz [--minutes N | --events N] [--seed FIRST] [--run NUMBER]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Sequence
from ipaddress import IPv4Address
from math import inf
from random import Random
from typing import Any, NamedTuple

from tests.support.schedules import FAULTS, build, heal, is_well
from tests.support.simulation import POOL, SERVER, Host, World

from holdfast.core.config import DEFAULT_REQUEST_LIST
from holdfast.wire import WireError
from holdfast.wire import message as msg
from holdfast.wire import options as opt
from holdfast.wire.message import BROADCAST, Message, decode, encode
from holdfast_lab.simulate.server import Pool, Server

HEADER = 240  # bytes of a message before its options, the cookie included
#: Where the fields of RFC 2131 section 2 begin, and their lengths in bytes.
XID, YIADDR, SIADDR, GIADDR, SNAME, FILE = (4, 4), (16, 4), (20, 4), (24, 4), (44, 64), (108, 128)
#: Numbers that have been a fault in some client: seconds of a lease, T1, T2.
SECONDS = (0, 1, 9, 10, 11, 60, 3600, 86400, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
ADDRESSES = tuple(IPv4Address(text) for text in (
    "0.0.0.0", "255.255.255.255", "127.0.0.1", "224.0.0.1", "192.0.2.0", "192.0.2.255", "192.0.2.77", "203.0.113.9",
))
MASKS = (b"\xff\xff\xff\0", b"\xff\0\xff\0", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\xfe")
#: Who the forger is when it needs an address of a server; nobody hears there.
FORGER = IPv4Address("192.0.2.250")
#: The longest time that a forged lease is waited for at the end, in seconds.
PATIENCE = 2 * 86400.0
#: Faults after which an address that is not the lease's can be left in the kernel.
LEAVING = frozenset(("kill", "kill in the middle", "kernel refuses", "kernel does half", "stop"))
#: Runs between two looks at the clock.
BATCH = 64

Option = tuple[int, bytes]


def options_of(data: bytes) -> list[Option]:
    """The options of a message in their order, up to the end option."""
    found, at = [], HEADER
    while at < len(data) and data[at] != opt.END:
        if data[at] == opt.PAD:
            at += 1
            continue
        size = data[at + 1]
        found.append((data[at], data[at + 2:at + 2 + size]))
        at += 2 + size
    return found


def packed(options: Sequence[Option]) -> bytes:
    """Options as they are sent, without an end."""
    return b"".join(bytes((code, len(value))) + value for code, value in options)


class Forger:
    """Changes messages by their structure; all chance comes from ``rng``."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def change(self, message: Message) -> bytes:
        """``message`` in octets, changed in one to four ways."""
        data = bytearray(encode(message))
        options = options_of(data)
        for _ in range(self._rng.choice((1, 1, 2, 4))):
            self._rng.choice((
                self._repeat, self._repeat, self._split, self._reorder, self._leave_out, self._value, self._value,
                self._type, self._server,
            ))(options)
        if self._rng.random() < 0.3:
            self._field(data)
        return self._written(data, options)

    def _repeat(self, options: list[Option]) -> None:
        if options:
            code, value = self._rng.choice(options)
            again = value if self._rng.random() < 0.5 else self._value_for(code, value)
            options.insert(self._rng.randint(0, len(options)), (code, again))

    def _split(self, options: list[Option]) -> None:
        if options:
            at = self._rng.randrange(len(options))
            code, value = options[at]
            cut = self._rng.randint(0, len(value))
            options[at] = (code, value[:cut])
            options.insert(self._rng.randint(at + 1, len(options)), (code, value[cut:]))

    def _reorder(self, options: list[Option]) -> None:
        self._rng.shuffle(options)

    def _leave_out(self, options: list[Option]) -> None:
        if options:
            options.pop(self._rng.randrange(len(options)))

    def _value(self, options: list[Option]) -> None:
        if options:
            at = self._rng.randrange(len(options))
            code, value = options[at]
            options[at] = (code, self._value_for(code, value))

    def _type(self, options: list[Option]) -> None:
        kind = self._rng.choice((msg.OFFER, msg.ACK, msg.NAK, msg.DISCOVER, msg.FORCERENEW, 0, 255))
        _put(options, opt.MESSAGE_TYPE, bytes((kind,)))

    def _server(self, options: list[Option]) -> None:
        _put(options, opt.SERVER_ID, self._address().packed)

    def _value_for(self, code: int, value: bytes) -> bytes:
        rng = self._rng
        if rng.random() < 0.2:
            return rng.randbytes(rng.choice((0, 1, 2, 3, 4, 5, 8, 255)))
        if code in (opt.LEASE_TIME, opt.RENEWAL_TIME, opt.REBINDING_TIME):
            return rng.choice(SECONDS).to_bytes(4, "big")
        if code == opt.SUBNET_MASK:
            return rng.choice(MASKS)
        if code in (opt.SERVER_ID, opt.ROUTER):
            return b"".join(self._address().packed for _ in range(rng.randint(1, 3)))
        return rng.choice((value[:-1], value + b"\0", value + value, rng.randbytes(len(value))))[:255]

    def _address(self) -> IPv4Address:
        return self._rng.choice((*ADDRESSES, *POOL[:3], SERVER, FORGER))

    def _field(self, data: bytearray) -> None:
        at, size = self._rng.choice((XID, YIADDR, YIADDR, SIADDR, GIADDR))
        data[at:at + size] = self._rng.randbytes(size) if at == XID[0] else self._address().packed

    def _written(self, header: bytearray, options: list[Option]) -> bytes:
        """With the options in one, two or three fields, perhaps cut, perhaps without an end."""
        rng, data = self._rng, bytearray(header[:HEADER])
        fields = [SNAME, FILE] if rng.random() < 0.25 else []
        for number, (at, size) in enumerate(fields):
            taken: list[Option] = []
            while options and len(packed([*taken, options[-1]])) < size - 1 and rng.random() < 0.6:
                taken.append(options.pop())
            data[at:at + size] = (packed(taken) + b"\xff").ljust(size, b"\0")
            options.append((opt.OVERLOAD, bytes((rng.choice((1, 2, 3, number)),))))
        data += packed(options)[:1400]
        if rng.random() < 0.9:
            data += b"\xff"
        data += bytes(rng.choice((0, 0, 60)))
        return bytes(data[:rng.randint(HEADER, len(data))] if rng.random() < 0.05 else data)


def _put(options: list[Option], code: int, value: bytes) -> None:
    for at, (other, _) in enumerate(options):
        if other == code:
            options[at] = (code, value)
            return
    options.append((code, value))


class HostileWorld(World):
    """The world with a forger on the cable. ``chance``: of each answer to be changed, 0..1.

    What a forged ACK grants is written into ``granted``'s books, because no client can tell it from a server's word.
    """

    def __init__(self, seed: int, servers: list[Server[Pool]]) -> None:
        self.granted: Server[Pool] = Server(FORGER, Pool([]), silent=True)
        super().__init__(seed, servers=[*servers, self.granted])
        self.chance = 0.0
        self._forger = Forger(self.rng)
        self._seen: list[Message] = []

    def as_received(self, station: Any, message: Message) -> Message | None:
        """As the world does; and changed, if chance has it."""
        self._seen = [*self._seen[-31:], message]
        if self.rng.random() < self.chance / 4:
            self.at(self.now + self.rng.uniform(0.0, 30.0), self._again, station)
        if self.rng.random() >= self.chance:
            return super().as_received(station, message)
        return self._changed(station, message)

    def _again(self, host: Host) -> None:
        """An answer of before once more, half of the time with the xid of the last question."""
        message = self.rng.choice(self._seen)
        asked = host.promises.rung
        if asked is not None and self.rng.random() < 0.5:
            message = message._replace(xid=asked.message.xid)
        read = self._changed(host, message) if self.rng.random() < 0.7 else message
        if read is not None:
            self._note(host, read)
            source = self.rng.choice((SERVER, FORGER, BROADCAST))
            host.on_reply(read, source, self.now)

    def _changed(self, host: Host, message: Message) -> Message | None:
        try:
            read = decode(self._forger.change(message))
        except WireError:
            return None
        self._note(host, read)
        return read

    def _note(self, host: Host, read: Message) -> None:
        if read.message_type == msg.ACK:
            seconds = read.lease_time
            # Without a time the former one counts (rule 20); a short one is ten seconds (rule 33).
            ends = inf if seconds in (None, 0xFFFFFFFF) else self.now + max(10.0, float(seconds or 0))
            key = (host.config.client_id or host.config.chaddr, read.yiaddr)
            latest = self.granted.leases.latest
            latest[key] = max(ends, latest.get(key, 0.0))


class Found(NamedTuple):
    """What one run came to: how many events there were, and the error's text, "" for none."""

    number: int
    events: int
    error: str


def run(number: int) -> Found:
    """One run; it never raises."""
    rng = Random(number)
    world, host = _made(rng)
    try:
        _live(rng, world, host)
    except Exception:
        return Found(number, world.events, traceback.format_exc())
    return Found(number, world.events, "")


def _made(rng: Random) -> tuple[HostileWorld, Host]:
    network = {
        "seed": rng.getrandbits(32), "lease_time": rng.choice((10, 30, 120, 600, 3600)),
        "second": rng.choice(("none", "deaf", "jealous")), "lateness": rng.choice((0.0, 0.01)),
        "icmp": rng.random() < 0.5, "carrier": rng.random() < 0.9,
    }
    client = {
        "acd": rng.choice(("optimistic", "strict", "off")), "nak": rng.choice(("hold", "hold", "halt")),
        "on_expiry": rng.choice(("remove", "hold")), "rapid_commit": rng.random() < 0.5,
        "request_list": rng.choice((DEFAULT_REQUEST_LIST, (*DEFAULT_REQUEST_LIST, opt.IPV6_ONLY))),
        "start_delay": rng.random() < 0.2,
    }
    world, host = build(network, client, HostileWorld)
    assert isinstance(world, HostileWorld)
    world.chance = rng.choice((0.05, 0.3, 0.9))
    return world, host


def _live(rng: Random, world: HostileWorld, host: Host) -> None:
    host.start()
    lease_time = world.server.lease_time
    happened: set[str] = set()
    for _ in range(rng.randint(5, 30)):
        if rng.random() < 0.5:
            fault = rng.choice(sorted(FAULTS))
            happened.add(fault)
            FAULTS[fault](world, host, rng.random())
        world.run(1.3 * rng.random() ** 3 * lease_time)
        if host.client is None:
            host.start()
    heal(world, host)
    world.chance = 0.0
    if host.client is None:
        host.start()
    world.run(lease_time + 900.0)
    if happened & LEAVING:
        # As the daemon's inventory does, which is not in this world: a forged lease may say "for 136 years".
        for address in set(host.kernel.ends) - ({host.lease.address} if host.lease else set()):
            host.kernel.drop(address, "inventory")
    world.run_until(lambda: is_well(world, host), PATIENCE)


def main(arguments: Sequence[str]) -> int:
    """`./dev fuzz`; 1 when something was found."""
    parser = argparse.ArgumentParser(prog="./dev fuzz", description="fuzz whole exchanges on the virtual clock")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long (default 1)")
    parser.add_argument("--events", type=int, metavar="N", help="until there were so many, however long it takes")
    parser.add_argument("--seed", type=int, default=1, help="the first run's number (default 1)")
    parser.add_argument("--run", type=int, help="this run alone, with its error in full")
    options = parser.parse_args(arguments)
    if options.run is not None:
        found = run(options.run)
        print(found.error or f"run {found.number}: {found.events} events, nothing found")
        return 1 if found.error else 0
    events = runs = 0
    bad: list[Found] = []
    shown = time.monotonic()
    number, until = options.seed, shown + 60 * options.minutes

    def enough() -> bool:
        return time.monotonic() >= until if options.events is None else events >= options.events

    with multiprocessing.Pool(os.cpu_count()) as pool:
        while not enough():
            for found in pool.imap_unordered(run, range(number, number + BATCH)):
                runs, events = runs + 1, events + found.events
                if found.error:
                    bad.append(found)
                    last = found.error.strip().splitlines()[-1]
                    print(f"run {found.number}: {last}\n    ./dev fuzz --run {found.number}", flush=True)
            number += BATCH
            if sys.stderr.isatty() and time.monotonic() - shown > 1:
                shown = time.monotonic()
                sys.stderr.write(f"\r{runs} runs, {events:,} events, {len(bad)} found ")
    print(f"{runs} runs, {events:,} events, {len(bad)} found")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
