"""One client at explicit times, for unit tests: what is fed in, what comes out, and nothing between.

A ``Scene`` answers the client's own questions, so a test says what a server would say and not which xid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address
from random import Random
from typing import TypeVar

from tests.support.promises import Promises

from holdfast.core import actions as act
from holdfast.core import events as ev
from holdfast.core.client import Client
from holdfast.core.config import ClientConfig
from holdfast.core.lease import Binding, Gateway, Lease, Server
from holdfast.core.outcome import Outcome
from holdfast.core.states import name_of
from holdfast.wire import message as msg
from holdfast.wire import options as opt
from holdfast.wire.message import ANY, BROADCAST, Message
from holdfast_lab.simulate.server import options_of, reply

MAC = bytes.fromhex("020000000001")
CLIENT_ID = b"\x01" + MAC
OURS = IPv4Address("192.0.2.100")
OTHER = IPv4Address("192.0.2.101")
SERVER = IPv4Address("192.0.2.1")
STRANGE_SERVER = IPv4Address("192.0.2.2")
CLAIMANT = bytes.fromhex("02000000dead")
#: The gateway that Scene's server names when it is told to (``more=ROUTER``).
GATEWAY = Gateway(IPv4Address("192.0.2.254"), bytes.fromhex("020000000ff1"))
ROUTER = {opt.ROUTER: GATEWAY.address.packed}
START = 1000.0

A = TypeVar("A")


def of(kind: type[A], actions: Iterable[act.Action]) -> list[A]:
    """Those of ``actions`` that are of one kind."""
    return [action for action in actions if isinstance(action, kind)]


class Scene:
    """A client, the time, and everything it has asked for."""

    def __init__(self, *, seed: int = 1, **settings: object) -> None:
        self.config = ClientConfig(chaddr=MAC, client_id=CLIENT_ID)._replace(**settings)  # type: ignore[arg-type]
        self.client = Client(self.config, rng=Random(seed))
        self.now = START
        self.actions: list[act.Action] = []
        self.sent_at: list[tuple[float, act.Transmit]] = []
        self.promises = Promises(self.config)

    # -- what is

    @property
    def state(self) -> str:
        """The state by name."""
        return name_of(self.client.state)

    @property
    def lease(self) -> Lease:
        """The lease in use, which there must be."""
        assert self.client.lease is not None
        return self.client.lease

    @property
    def sent(self) -> list[act.Transmit]:
        """All that was sent so far."""
        return of(act.Transmit, self.actions)

    @property
    def last(self) -> act.Transmit:
        """What was sent last."""
        return self.sent[-1]

    @property
    def outcomes(self) -> list[Outcome]:
        """All records so far."""
        return [action.outcome for action in of(act.Recorded, self.actions)]

    @property
    def notices(self) -> list[act.NoticeCode]:
        """All that was told so far."""
        return [action.code for action in of(act.Noticed, self.actions)]

    # -- what happens

    def feed(self, *events: ev.Event) -> list[act.Action]:
        """Events, now."""
        actions: list[act.Action] = []
        for event in events:
            if isinstance(event, ev.Release):
                self.promises.released = True
            if isinstance(event, ev.AddressConflict):
                self.promises.claimed(event)
            if isinstance(event, ev.GatewaySeen):
                self.promises.gateway_seen_at = self.now
            if isinstance(event, ev.Restored):
                self.promises.restored(self.now)
            actions += self._saw(self.client.handle(event, self.now))
        return actions

    def contest(self, address: IPv4Address = OURS) -> list[act.Action]:
        """Somebody who really has ``address`` claims it, and answers every probe of ours until it is given up."""
        def probes() -> int:
            return self.promises.probes.get(address, 0)

        claim = ev.AddressConflict(address, CLAIMANT, answer=True)
        actions = self.feed(claim)
        while self.client.lease is not None and self.client.lease.address == address:
            answered = probes()
            actions += self.feed(claim)
            if self.client.lease is not None:
                actions += self.until(lambda: self.client.lease is None or probes() > answered)  # noqa: B023 - called now
        return actions

    def _saw(self, actions: list[act.Action]) -> list[act.Action]:
        """Keep ``actions``, and see that no promise is broken by any."""
        server = self.client.snapshot().server
        for action in actions:
            self.promises.saw(action, self.now, deaf=server is not None and server.hears_unicast is False)
        assert self.client.lease is None or self.state == "STOPPED" or self.client.lease.valid(self.now)
        self.actions += actions
        self.sent_at += [(self.now, sent) for sent in of(act.Transmit, actions)]
        return actions

    def at(self, when: float) -> list[act.Action]:
        """The clock jumps to ``when``, and only then are timers looked at."""
        due = self.client.next_deadline()
        if due is None or due < when:
            self.promises.disturbed(when)
        self.now = when
        return self._saw(self.client.handle_timer(when))

    def wait(self, seconds: float) -> list[act.Action]:
        """Time passes, every timer is served when it is due."""
        return self.until(lambda: False, seconds)

    def until(self, condition: Callable[[], bool], limit: float = 1e6) -> list[act.Action]:
        """Time passes until ``condition()`` or for ``limit`` seconds."""
        end, actions = self.now + limit, []
        while not condition():
            due = self.client.next_deadline()
            if due is None or due > end:
                self.now = end
                break
            actions += self.at(max(self.now, due))
        return actions

    def with_gateway(self, condition: Callable[[], bool], limit: float = 1e4) -> list[act.Action]:
        """Time passes until ``condition()`` or for ``limit`` seconds, and the gateway answers whatever it is asked."""
        end, actions = self.now + limit, []
        while not condition() and self.now < end:
            asked = len(self.asked)
            actions += self.until(lambda: condition() or len(self.asked) > asked, end - self.now)  # noqa: B023
            if len(self.asked) > asked:
                actions += self.gateway()
        return actions

    def until_sent(self, count: int = 1) -> act.Transmit:
        """Time passes until so many more messages have been sent; the last of them."""
        target = len(self.sent) + count
        self.until(lambda: len(self.sent) >= target)
        return self.last

    def until_state(self, name: str) -> list[act.Action]:
        """Time passes until the state is ``name``."""
        actions = self.until(lambda: self.state == name)
        assert self.state == name
        return actions

    # -- what others say

    def reply(
        self, kind: int, *, to: act.Transmit | None = None, server: IPv4Address | None = SERVER,
        address: IPv4Address | None = None, lease: int | None = 3600, t1: int | None = None, t2: int | None = None,
        more: dict[int, bytes] | None = None, **fields: object,
    ) -> Message:
        """What a server says to ``to`` (the last message sent), in good form unless told otherwise."""
        asked = (to or self.last).message
        wanted = asked.requested_address or (asked.ciaddr if asked.ciaddr != ANY else OURS)
        options = {**options_of(kind, server, lease, t1, t2), **(more or {})}
        return reply(asked, kind, address or wanted, options)._replace(**fields)  # type: ignore[arg-type]

    def hear(self, message: Message, source: IPv4Address = SERVER) -> list[act.Action]:
        """A message arrives."""
        return self.feed(ev.Received(message, source, BROADCAST))

    def offer(self, **how: object) -> list[act.Action]:
        """An OFFER to the last message."""
        return self.hear(self.reply(msg.OFFER, **how))  # type: ignore[arg-type]

    def ack(self, **how: object) -> list[act.Action]:
        """An ACK to the last message."""
        return self.hear(self.reply(msg.ACK, **how))  # type: ignore[arg-type]

    def gateway(self, mac: bytes = GATEWAY.mac) -> list[act.Action]:
        """The gateway, or another machine in its place, answers our ARP request."""
        return self.feed(ev.GatewaySeen(GATEWAY.address, mac))

    @property
    def asked(self) -> list[act.AskGateway]:
        """All ARP requests for the gateway so far."""
        return of(act.AskGateway, self.actions)

    def nak(self, **how: object) -> list[act.Action]:
        """A NAK to the last message."""
        return self.hear(self.reply(msg.NAK, **how))  # type: ignore[arg-type]

    # -- the usual ways into a state

    def start(self, cached: ev.Cached | None = None, carrier: bool = True) -> Scene:
        """The first event."""
        self.feed(ev.Start(cached, carrier))
        return self

    def requesting(self, **how: object) -> Scene:
        """Started, offered, requested."""
        self.start().offer(**how)
        assert self.state == "REQUESTING"
        return self

    def bound(self, **how: object) -> Scene:
        """With a lease. ``how`` describes OFFER and ACK."""
        self.requesting(**how).ack(**how)
        self.until(lambda: self.state == "BOUND", 10.0)
        assert self.state == "BOUND"
        return self.applied()

    def applied(self) -> Scene:
        """The kernel has done what it was told."""
        self.feed(ev.Applied())
        return self

    def renewing(self, **how: object) -> Scene:
        """With a lease, at T1, the first unicast just sent."""
        self.bound(**how).until_state("RENEWING")
        return self

    def rebinding(self, **how: object) -> Scene:
        """With a lease that nobody has renewed until T2."""
        self.renewing(**how).until_state("REBINDING")
        return self

    def holding(self, **how: object) -> Scene:
        """SELECTING with a lease held against its server's NAK."""
        self.renewing(**how).nak()
        assert self.state == "SELECTING"
        assert self.client.lease is not None
        return self

    def reserved(self) -> Scene:
        """REBINDING with a parallel DISCOVER that was just sent."""
        self.rebinding().until(lambda: self.last.message.message_type == msg.DISCOVER)
        return self


def cached(
    *, left: float = 3000.0, now: float = START, on_link: bool = False, server: IPv4Address | None = SERVER,
    known: Server | None = None, address: IPv4Address = OURS, lease_time: float = 3600.0,
    gateway: Gateway | None = None,
) -> ev.Cached:
    """A lease stored by an earlier process, with ``left`` seconds of ``lease_time`` to go."""
    began = now + left - lease_time
    lease = Lease(
        address=address, server_id=server, started_at=began, t1_at=began + lease_time * 0.5,
        t2_at=began + lease_time * 0.875, expires_at=began + lease_time, lease_time=lease_time,
        options={} if gateway is None else {opt.ROUTER: gateway.address.packed},
    )
    return ev.Cached(Binding(lease, known, gateway), on_link)
