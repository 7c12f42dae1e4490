"""Our own client in the simulation: ``core.Client`` itself, its actions carried out on the model network."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address
from math import inf
from random import Random
from typing import Protocol

from holdfast.core.actions import Action, Deconfigure, Persist, Transmit
from holdfast.core.client import Client
from holdfast.core.config import ClientConfig
from holdfast.core.events import Received, Start
from holdfast.core.states import Bound
from holdfast.wire.message import BROADCAST, Message
from holdfast_lab.simulate.ledger import Ledger
from holdfast_lab.simulate.server import chaddr_of


class Network(Protocol):
    """Where a simulated client sends to."""

    ledger: Ledger

    def send(self, index: int, message: Message, target: IPv4Address, now: float) -> None:
        """Put ``message`` of client ``index`` on the cable, by unicast unless ``target`` is 255.255.255.255."""


class SimulatedClient(Protocol):
    """One client, ours or a model of another."""

    def start(self, now: float) -> None:
        """Begin."""

    def on_timer(self, now: float) -> None:
        """Do what is due at ``now``."""

    def on_reply(self, message: Message, now: float) -> None:
        """Take in a server's answer."""

    def deadline(self) -> float:
        """When ``on_timer`` is next to be called."""

    def waiting(self) -> bool:
        """True while it asks and has no answer."""


class Agent:
    """Client ``index`` of the fleet. All agents share one random generator: a run is reproduced by its seed,
    and a generator for each would take more memory than the client."""

    __slots__ = ("_client", "_index", "_network")

    def __init__(self, index: int, network: Network, rng: Random, discover_ceiling: float = 64.0) -> None:
        self._index = index
        self._network = network
        self._client = Client(ClientConfig(chaddr_of(index), discover_ceiling=discover_ceiling), rng=rng)

    def start(self, now: float) -> None:
        self._perform(self._client.handle(Start(None), now), now)

    def on_timer(self, now: float) -> None:
        self._perform(self._client.handle_timer(now), now)

    def on_reply(self, message: Message, now: float) -> None:
        # The core looks at neither address of the IP header (rule 17).
        source = message.server_id or BROADCAST
        self._perform(self._client.handle(Received(message, source, BROADCAST), now), now)

    def deadline(self) -> float:
        at = self._client.next_deadline()
        return inf if at is None else at

    def waiting(self) -> bool:
        return type(self._client.state) is not Bound

    def _perform(self, actions: Sequence[Action], now: float) -> None:
        """Carry out what concerns the network and the address; the rest has no counterpart here."""
        for action in actions:
            kind = type(action)
            if kind is Transmit:
                assert isinstance(action, Transmit)
                self._network.send(self._index, action.message, action.destination, now)
            elif kind is Persist:
                self._network.ledger.answer(self._index, now)
            elif kind is Deconfigure:
                self._network.ledger.lose(self._index, now)
