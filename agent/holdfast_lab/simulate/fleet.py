"""The fleet on its virtual clock: clients, cable and servers, and a heap of what happens next.

The heap holds (time, number, client, message or None); the number keeps the order of what happens at the same time.
A client has one wake-up that matters, the earliest of its timer and of the answers under way. When its deadline moves
to later, the old wake-up finds nothing due and is set again. So a renewal that is answered at once costs two entries,
and nothing in the heap is ever searched for.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from ipaddress import IPv4Address
from itertools import count
from math import inf
from random import Random

from holdfast.wire.message import BROADCAST, Message
from holdfast_lab.simulate.clients import Agent, Peer, SimulatedClient
from holdfast_lab.simulate.ledger import Ledger
from holdfast_lab.simulate.models import Model
from holdfast_lab.simulate.scenario import Scenario
from holdfast_lab.simulate.server import Server

#: The heap's entry for the server's return has no client.
_SERVER_BACK = -1
#: Events between two calls of ``progress``: some tenths of a second of real time.
_PROGRESS_EVERY = 20_000


class Fleet:
    """All clients of one scenario, of one kind: ours (``model`` None) or a model of another."""

    def __init__(self, scenario: Scenario, model: Model | None = None) -> None:
        self.scenario = scenario
        self.ledger = Ledger(scenario)
        self.servers = [Server(scenario, number + 1) for number in range(scenario.servers)]
        self.events = 0
        self._rng = Random(scenario.seed)
        self._heap: list[tuple[float, int, int, Message | None]] = []
        self._numbers = count()
        self._wake_at = [inf] * scenario.clients
        self._clients = [self._make(index, model) for index in range(scenario.clients)]
        starts = [(self._rng.uniform(0, scenario.boot_within), index) for index in range(scenario.clients)]
        self._heap = [(at, next(self._numbers), index, None) for at, index in starts]
        if scenario.outage is not None:
            self._heap.append((scenario.outage.end, next(self._numbers), _SERVER_BACK, None))
        heapify(self._heap)

    def _make(self, index: int, model: Model | None) -> SimulatedClient:
        if model is not None:
            return Peer(index, self, self._rng, model)
        return Agent(index, self, self._rng, self.scenario.discover_ceiling)

    def run(self, progress: Callable[[float], None] | None = None) -> None:
        """Let the scenario's span pass. ``progress`` is told the share that has passed, now and then."""
        heap, span = self._heap, self.scenario.span
        while heap and heap[0][0] <= span:
            now, _, index, message = heappop(heap)
            self.events += 1
            if index == _SERVER_BACK:
                self._server_back()
            else:
                self._wake(index, message, now)
            if progress is not None and self.events % _PROGRESS_EVERY == 0:
                progress(now / span)
        self.ledger.close(span)

    def _wake(self, index: int, message: Message | None, now: float) -> None:
        client = self._clients[index]
        if now >= self._wake_at[index]:
            self._wake_at[index] = inf
        if message is not None:
            client.on_reply(message, now)
        elif self.ledger.started_at[index] < 0:
            self.ledger.start(index, now)
            client.start(now)
        elif client.deadline() <= now:
            client.on_timer(now)
        self._wake_by(index, client.deadline(), None)

    def _wake_by(self, index: int, at: float, message: Message | None) -> None:
        if message is not None or at < self._wake_at[index]:
            self._wake_at[index] = min(at, self._wake_at[index])
            heappush(self._heap, (at, next(self._numbers), index, message))

    def _server_back(self) -> None:
        assert self.scenario.outage is not None
        first, *others = self.servers
        # A pair keeps one database between them; a lone server has its own on disk.
        first.restart(knows=None if self.scenario.outage.forgets else (others or [first])[0].known)
        for index, client in enumerate(self._clients):
            if self.ledger.started_at[index] >= 0:
                self.ledger.server_back(index, waiting=client.waiting())

    def send(self, index: int, message: Message, target: IPv4Address, now: float) -> None:
        """Carry ``message`` to the server ``target`` or, when that is 255.255.255.255, to each; and its answer back."""
        self.ledger.send(index, now)
        scenario, unicast = self.scenario, target != BROADCAST
        for server in self.servers:
            if (unicast and target != server.address) or self._lost():
                continue
            answer = server.receive(index, message, now + scenario.delay, unicast=unicast)
            if answer is not None:
                self._replicate(server, index)
                if not self._lost():
                    self._wake_by(index, answer[0] + scenario.delay, answer[1])

    def _replicate(self, server: Server, index: int) -> None:
        """A pair of servers tells each other what it has granted."""
        if len(self.servers) > 1 and server.known[index]:
            for other in self.servers:
                other.known[index] = 1

    def _lost(self) -> bool:
        return self.scenario.loss > 0 and self._rng.random() < self.scenario.loss


def simulate(
    scenario: Scenario, model: Model | None = None, progress: Callable[[float], None] | None = None
) -> Fleet:
    """A fleet that has run through ``scenario``."""
    fleet = Fleet(scenario, model)
    fleet.run(progress)
    return fleet
