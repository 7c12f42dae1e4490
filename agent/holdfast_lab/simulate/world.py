"""A virtual network: one clock, what is due next, the cable and its faults, and servers. All chance comes from ``rng``.

The queue holds (time, number, what to call, its argument); the number keeps the order of what happens at the same time.
A client has one wake-up that matters, the earliest of its timer and of the answers under way. When its deadline moves
to later, the old wake-up finds nothing due and is set again. So a renewal that is answered at once costs two entries,
and nothing in the queue is ever searched for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from ipaddress import IPv4Address
from itertools import count
from math import inf
from random import Random
from typing import Any, Protocol, TypeVar

from holdfast.wire import WireError
from holdfast.wire.message import BROADCAST, Message, decode, encode
from holdfast_lab.simulate.server import Server

#: Bytes that can be damaged so that an answer is not ours any more: op, htype, hlen, xid, chaddr, cookie. The
#: rest is the business of UDP's checksum.
_HEADER_BYTES = (0, 1, 2, 4, 5, 6, 7, 28, 29, 30, 31, 32, 33, 236, 237, 238, 239)

A = TypeVar("A")


@dataclass
class Direction:
    """What happens to packets one way: chances in 0..1, delays in seconds. ``damage`` is that of octets."""

    loss: float = 0.0
    duplicate: float = 0.0
    delay: tuple[float, float] = (0.001, 0.001)  # drawn anew for each packet, so a wide one reorders
    damage: float = 0.0

    def copies(self, rng: Random) -> Sequence[float]:
        """The delays of the copies that arrive: none when lost, two when duplicated."""
        if self.loss > 0 and rng.random() < self.loss:
            return ()
        copies = 2 if self.duplicate > 0 and rng.random() < self.duplicate else 1
        low, high = self.delay
        return self.delay[:copies] if low == high else [rng.uniform(low, high) for _ in range(copies)]


class Station(Protocol):
    """A client on the network. ``wake_at`` is the world's: when it wakes the client next, inf to begin with."""

    wake_at: float

    def deadline(self) -> float:
        """When ``on_timer`` is next to be called; inf: not at all."""

    def on_timer(self, now: float) -> None:
        """Do what is due at ``now``."""

    def on_reply(self, message: Message, source: IPv4Address, now: float) -> None:
        """Take in a server's answer."""


class World:
    """Clock, cable and servers. ``now`` is CLOCK_BOOTTIME in seconds.

    ``octets``: every packet goes as octets, encoded and decoded, else as the object that it is. ``lateness``: of
    every timer, at most, in seconds. ``events``: how many there were.
    """

    def __init__(self, rng: Random, *, now: float = 0.0, octets: bool = False) -> None:
        self.rng = rng
        self.now = now
        self.octets = octets
        self.servers: Sequence[Server[Any]] = ()
        self.up = Direction()
        self.down = Direction()
        self.lateness = 0.0
        self.events = 0
        self._queue: list[tuple[float, int, Callable[[Any], object], Any]] = []
        self._numbers: Iterator[int] = count()

    # -- time

    def at(self, when: float, what: Callable[[A], object], argument: A) -> None:
        """Call ``what(argument)`` at ``when``."""
        heappush(self._queue, (when, next(self._numbers), what, argument))

    def step(self, until: float = inf) -> bool:
        """Jump to the next thing that is due and do it; False, and the clock at ``until``, when nothing is by then."""
        if not self._queue or self._queue[0][0] > until:
            self.now = max(self.now, until) if until != inf else self.now
            return False
        when, _, what, argument = heappop(self._queue)
        self.now = max(self.now, when)
        self.events += 1
        what(argument)
        return True

    def skip(self, seconds: float) -> None:
        """The clock jumps; what was due meanwhile is due now."""
        self.now += seconds
        self._queue = [(max(when, self.now), *entry) for when, *entry in self._queue]
        heapify(self._queue)

    def wake(self, station: Station) -> None:
        """Call its timer if that is due, and see to the next wake-up."""
        now = self.now
        if now >= station.wake_at:
            station.wake_at = inf
        if station.deadline() <= now:
            station.on_timer(now)
        self.wake_by_deadline(station)

    def wake_by_deadline(self, station: Station) -> None:
        """See to it that the station is woken when its next timer is due."""
        when = station.deadline()
        if when < station.wake_at:
            if self.lateness > 0:
                when += self.rng.uniform(0.0, self.lateness)
            station.wake_at = when
            self.at(when, self.wake, station)

    # -- the cable

    def send(self, station: Station, message: Message, source: IPv4Address, destination: IPv4Address) -> None:
        """Carry ``message`` to the server ``destination``, or to each by 255.255.255.255; and the answers back."""
        unicast = destination != BROADCAST
        if self.octets:
            message = decode(encode(message))
        for server in self.servers:
            if unicast and destination != server.address:
                continue
            for delay in self.up.copies(self.rng):
                packet = (self.now + delay, station, server, message, source, unicast)
                if self.up.delay[0] == self.up.delay[1]:
                    self._at_server(packet)  # nothing can overtake it, so it is known now what will happen then
                else:
                    self.at(packet[0], self._at_server, packet)

    def _at_server(self, packet: tuple[float, Station, Server[Any], Message, IPv4Address, bool]) -> None:
        when, station, server, message, source, unicast = packet
        answer = server.receive(message, max(when, self.now), source=source, unicast=unicast)
        if answer is None:
            return
        leaves_at, reply = answer
        for delay in self.down.copies(self.rng):
            when = leaves_at + delay
            station.wake_at = min(when, station.wake_at)
            self.at(when, self._at_station, (station, reply, server.address))

    def _at_station(self, packet: tuple[Station, Message, IPv4Address]) -> None:
        station, reply, source = packet
        if self.now >= station.wake_at:
            station.wake_at = inf
        message = self.as_received(station, reply) if self.octets else reply
        if message is not None:
            station.on_reply(message, source, self.now)
        self.wake_by_deadline(station)

    def as_received(self, station: Station, message: Message) -> Message | None:  # noqa: ARG002 - for those who care
        """``message`` as ``station`` reads it out of its octets, some of them damaged perhaps; None when it cannot."""
        data = encode(message)
        if self.down.damage > 0 and self.rng.random() < self.down.damage:
            at = self.rng.choice(_HEADER_BYTES)
            data = data[:at] + bytes((self.rng.randrange(256),)) + data[at + 1:]
        try:
            return decode(data)
        except WireError:
            return None
