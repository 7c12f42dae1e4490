"""The fleet: hundreds to a hundred thousand clients in one world, and the ledger of what happens to them."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from random import Random

from holdfast.wire.message import Message
from holdfast_lab.simulate.clients import Agent, Peer, SimulatedClient
from holdfast_lab.simulate.ledger import Ledger
from holdfast_lab.simulate.models import Model
from holdfast_lab.simulate.scenario import Scenario
from holdfast_lab.simulate.server import ScenarioServer
from holdfast_lab.simulate.world import Direction, Station, World

#: Events between two calls of ``progress``: some tenths of a second of real time.
_PROGRESS_EVERY = 20_000


class Fleet(World):
    """All clients of one scenario, of one kind: ours (``model`` None) or a model of another."""

    def __init__(self, scenario: Scenario, model: Model | None = None, *, octets: bool = False) -> None:
        super().__init__(Random(scenario.seed), octets=octets)
        self.scenario = scenario
        self.ledger = Ledger(scenario)
        self.servers: list[ScenarioServer] = [ScenarioServer(scenario, n + 1) for n in range(scenario.servers)]
        for server in self.servers:
            server.partners = [other for other in self.servers if other is not server]
        self.up = self.down = Direction(loss=scenario.loss, delay=(scenario.delay, scenario.delay))
        self._clients = [self._make(index, model) for index in range(scenario.clients)]
        for client in self._clients:
            self.at(self.rng.uniform(0, scenario.boot_within), self._start, client)
        if scenario.outage is not None:
            self.at(scenario.outage.end, self._server_back, self.servers[0])

    def _make(self, index: int, model: Model | None) -> SimulatedClient:
        if model is not None:
            return Peer(index, self, self.rng, model)
        return Agent(index, self, self.rng, self.scenario.discover_ceiling)

    def run(self, progress: Callable[[float], None] | None = None) -> None:
        """Let the scenario's span pass. ``progress`` is told the share that has passed, now and then."""
        span = self.scenario.span
        while self.step(span):
            if progress is not None and self.events % _PROGRESS_EVERY == 0:
                progress(self.now / span)
        self.ledger.close(span)

    def _start(self, client: SimulatedClient) -> None:
        self.ledger.start(client.index, self.now)
        client.start(self.now)
        self.wake_by_deadline(client)

    def _server_back(self, server: ScenarioServer) -> None:
        server.restart()
        for index, client in enumerate(self._clients):
            if self.ledger.started_at[index] >= 0:
                self.ledger.server_back(index, waiting=client.waiting())

    def send(self, station: Station, message: Message, source: IPv4Address, destination: IPv4Address) -> None:
        """As the world does, and the ledger has it."""
        assert isinstance(station, (Agent, Peer))
        self.ledger.send(station.index, self.now)
        super().send(station, message, source, destination)


def simulate(
    scenario: Scenario, model: Model | None = None, progress: Callable[[float], None] | None = None, *,
    octets: bool = False,
) -> Fleet:
    """A fleet that has run through ``scenario``; its packets go as ``octets`` if that is asked for."""
    fleet = Fleet(scenario, model, octets=octets)
    fleet.run(progress)
    return fleet
