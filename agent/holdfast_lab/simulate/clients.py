"""The clients of a fleet: our own ``core.Client`` itself, and models of others in the plainest client that can follow
their schedules (``models.py``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from math import inf
from random import Random
from typing import Protocol

from holdfast.core.actions import Action, Deconfigure, Persist, Transmit
from holdfast.core.client import Client
from holdfast.core.config import ClientConfig
from holdfast.core.events import Received, Start
from holdfast.core.states import Bound
from holdfast.wire import message as msg
from holdfast.wire import options as opt
from holdfast.wire.message import ANY, BOOTREQUEST, BROADCAST, Message
from holdfast_lab.simulate.ledger import Ledger
from holdfast_lab.simulate.models import How, Model, Wait
from holdfast_lab.simulate.server import chaddr_of
from holdfast_lab.simulate.world import Station

#: REQUESTs after one OFFER before it starts again with DISCOVER (systemd and dhclient: about as many).
_REQUEST_TRIES = 4


class Network(Protocol):
    """Where a simulated client sends to."""

    ledger: Ledger

    def send(self, station: Station, message: Message, source: IPv4Address, destination: IPv4Address) -> None:
        """Put ``message`` of a client on the cable, by unicast unless ``destination`` is 255.255.255.255."""


class SimulatedClient(Station, Protocol):
    """One client, ours or a model of another."""

    index: int

    def start(self, now: float) -> None:
        """Begin."""

    def waiting(self) -> bool:
        """True while it asks and has no answer."""


class Agent:
    """Client ``index`` of the fleet. All agents share one random generator: a run is reproduced by its seed,
    and a generator for each would take more memory than the client."""

    __slots__ = ("_client", "_network", "index", "wake_at")

    def __init__(self, index: int, network: Network, rng: Random, discover_ceiling: float = 64.0) -> None:
        self.index, self.wake_at = index, inf
        self._network = network
        self._client = Client(ClientConfig(chaddr_of(index), discover_ceiling=discover_ceiling), rng=rng)

    def start(self, now: float) -> None:
        self._perform(self._client.handle(Start(None), now), now)

    def on_timer(self, now: float) -> None:
        self._perform(self._client.handle_timer(now), now)

    def on_reply(self, message: Message, source: IPv4Address, now: float) -> None:
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
                self._network.send(self, action.message, action.source, action.destination)
            elif kind is Persist:
                self._network.ledger.answer(self.index, now)
            elif kind is Deconfigure:
                self._network.ledger.lose(self.index, now)


class Peer:
    """Client ``index``. It has a lease until ``_ends_at``, or none; it asks by the renewal's ``_plan`` while it has
    one and by DISCOVER when it has not; an OFFER is taken at once."""

    __slots__ = (
        "_address", "_asking", "_at", "_ends_at", "_how", "_last", "_model", "_network", "_offer", "_plan", "_rng",
        "_server", "_tries", "_xid", "index", "wake_at",
    )

    def __init__(self, index: int, network: Network, rng: Random, model: Model) -> None:
        self.index, self.wake_at, self._network, self._rng, self._model = index, inf, network, rng, model
        self._address: IPv4Address = ANY  # remembered after the lease's end, to be asked for
        self._server: IPv4Address | None = None
        self._ends_at = inf  # of the lease; inf: there is none
        self._plan: Iterator[tuple[float, How]] = iter(())
        self._at, self._how = inf, How.DISCOVER  # the next step
        self._asking = False
        self._offer: Message | None = None
        self._xid, self._tries, self._last = 0, 0, 0.0

    def deadline(self) -> float:
        return min(self._at, self._ends_at)

    def waiting(self) -> bool:
        return self._asking

    def start(self, now: float) -> None:
        """INIT: DISCOVER at once."""
        self._ends_at = inf
        self._plan = iter(())
        self._begin()
        self._discover(now)

    def on_timer(self, now: float) -> None:
        if now >= self._ends_at or (now >= self._at and self._how is How.QUIT):
            self._network.ledger.lose(self.index, now)
            self.start(now)
        elif self._offer is not None:
            self._request_offer(now)
        elif self._ends_at == inf:
            self._discover(now)
        else:
            self._renew()

    def on_reply(self, message: Message, source: IPv4Address, now: float) -> None:
        if message.xid != self._xid or not self._asking:
            return
        kind = message.message_type
        if kind == msg.OFFER and self._offer is None:
            self._offer, self._tries, self._last = message, 0, 0.0
            self._request_offer(now)
        elif kind == msg.ACK:
            self._bind(message, now)
        elif kind == msg.NAK:
            if self._ends_at != inf:
                self._network.ledger.lose(self.index, now)
            self.start(now)

    def _begin(self) -> None:
        self._asking, self._offer = True, None
        self._xid, self._tries, self._last = self._rng.getrandbits(32), 0, 0.0

    def _bind(self, ack: Message, now: float) -> None:
        self._network.ledger.answer(self.index, now)
        model, lease_time = self._model, float(ack.lease_time or 0)
        self._asking, self._offer = False, None
        self._address, self._server = ack.yiaddr, ack.server_id
        self._ends_at = now + lease_time
        t1 = lease_time * 0.5 * self._rng.uniform(model.t1_from, 1)
        t1 += self._rng.uniform(-model.t1_spread, model.t1_spread)
        self._plan = model.plan(now + t1, now + model.t2 * lease_time, self._ends_at, self._rng)
        self._at, self._how = next(self._plan, (inf, How.QUIT))

    def _renew(self) -> None:
        """Send what the plan has for now, and look at what comes next."""
        if not self._asking:
            self._begin()
        if self._how is How.DISCOVER:
            self._send(msg.DISCOVER, {opt.REQUESTED_ADDRESS: self._address.packed}, ANY, BROADCAST)
        else:
            target = self._server if self._how is How.UNICAST and self._server is not None else BROADCAST
            self._send(msg.REQUEST, {}, self._address, target)
        self._at, self._how = next(self._plan, (inf, How.QUIT))

    def _discover(self, now: float) -> None:
        wanted = {opt.REQUESTED_ADDRESS: self._address.packed} if self._address != ANY else {}
        self._send(msg.DISCOVER, wanted, ANY, BROADCAST)
        self._set_gap(now)
        self._how = How.DISCOVER

    def _request_offer(self, now: float) -> None:
        """SELECTING REQUEST; after the last try the OFFER is dropped and asking starts anew."""
        offer = self._offer
        assert offer is not None
        if self._tries == _REQUEST_TRIES:
            self._begin()
            if self._ends_at == inf:
                self._discover(now)
            else:
                self._at, self._how = next(self._plan, (inf, How.QUIT))
            return
        chosen = {
            opt.REQUESTED_ADDRESS: offer.yiaddr.packed,
            opt.SERVER_ID: offer.options[opt.SERVER_ID],
        }
        self._send(msg.REQUEST, chosen, ANY, BROADCAST)
        self._set_gap(now)

    def _set_gap(self, now: float) -> None:
        self._tries += 1
        self._last = self._model.discover(Wait(self._tries, self._last, inf, inf), self._rng)
        self._at = now + self._last

    def _send(self, kind: int, extra: dict[int, bytes], ciaddr: IPv4Address, target: IPv4Address) -> None:
        options = {opt.MESSAGE_TYPE: bytes((kind,)), **extra}
        message = Message(BOOTREQUEST, self._xid, ciaddr=ciaddr, chaddr=chaddr_of(self.index), options=options)
        self._network.send(self, message, ciaddr, target)
