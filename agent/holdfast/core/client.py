"""The client: one RFC 2131 state machine for one interface.

Theory of operation
-------------------
An event comes in with the time at which it happened; actions come out, to be performed in order.
Nothing here reads a clock, opens a socket or rolls dice of its own, so a test can be any network
and any time. After every call the runtime asks ``next_deadline`` and calls ``handle_timer`` then;
an early call does nothing.

``handle`` finds the function for an event in one of two tables: a reply's by state and message type, any other's by
the event alone, except in STOPPED, which has one function for all. That function changes the state through one
gate, ``Machine.enter``. Each group of states has its file: ``init_reboot`` (the start, INIT-REBOOT, REBOOTING),
``acquisition`` (INIT, SELECTING, REQUESTING, PROBING), ``bound``, ``renewal`` (RENEWING, REBINDING: the ladder, and
``parallel_discover``), ``expiry_hold`` (the lease's end, and an address beyond it), ``operator`` (commands, STOPPED).
Across the states go ``arp`` and ``host``. ``requests`` builds what is sent, ``replies`` judges what comes,
``schedule`` says when.

A lease that has ended is dealt with before anything else is looked at: an ACK that arrives a
moment too late must not find an ended lease in use.
"""

from __future__ import annotations

from holdfast.core import (
    acquisition,
    arp,
    expiry_hold,
    host,
    init_reboot,
    operator,
    parallel_discover,
    refusal,
    renewal,
    replies,
)
from holdfast.core import events as ev
from holdfast.core.actions import Action, DropReason
from holdfast.core.config import ClientConfig
from holdfast.core.lease import Gateway, Lease, Server
from holdfast.core.machine import Machine, Timer
from holdfast.core.outcome import Outcome, Purpose
from holdfast.core.schedule import Rng
from holdfast.core.states import (
    Bound,
    Init,
    Probing,
    QueryPurpose,
    Rebinding,
    Rebooting,
    Renewal,
    Renewing,
    Requesting,
    Selecting,
    State,
    Stopped,
    name_of,
)
from holdfast.core.transitions import Reason
from holdfast.wire import message as msg
from holdfast.wire.message import Message
from holdfast.wire.record import TYPE_CHECKING, NamedTuple, record

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


@record
class Snapshot(NamedTuple):
    """What ``status`` shows. ``state`` is the RFC's name; ``drops`` counts by ``DropReason``; ``next_deadline`` is in
    seconds of CLOCK_BOOTTIME; ``carrier`` is what the last LinkUp or LinkDown said."""

    state: str
    lease: Lease | None
    server: Server | None
    last_outcome: Outcome | None
    drops: dict[str, int]
    next_deadline: float | None
    gateway: Gateway | None = None
    carrier: bool = True


class Client:
    """One DHCPv4 client (see the module's text). ``rng`` is seeded by the caller."""

    def __init__(self, config: ClientConfig, *, rng: Rng) -> None:
        self._m = Machine(config, rng)

    @property
    def state(self) -> State:
        """The present state, with its data (``states``)."""
        return self._m.state

    @property
    def lease(self) -> Lease | None:
        """The lease whose address is on the interface, or None."""
        return self._m.lease

    def next_deadline(self) -> float | None:
        """When ``handle_timer`` is next worth calling, in seconds of CLOCK_BOOTTIME; None: not before another event."""
        return self._m.timers.next()

    def snapshot(self) -> Snapshot:
        """A picture of this moment, for people; it does not change with the client."""
        m = self._m
        return Snapshot(
            name_of(m.state), m.lease, m.server, m.last_outcome, dict(m.drops), m.timers.next(), m.gateway,
            m.carrier,
        )

    def reconfigure(self, config: ClientConfig) -> bool:
        """Use ``config`` from the next message on. False when that would be another client to the server; then nothing
        changes."""
        return self._m.reconfigure(config)

    def handle(self, event: ev.Event, now: float) -> list[Action]:
        """Take in ``event``, which happened at ``now`` (seconds of CLOCK_BOOTTIME). Returns the actions to perform, in
        order. Never raises on any input."""
        m = self._m
        ends_at = m.timers.at(Timer.EXPIRE)
        if ends_at is not None and ends_at <= now:
            m.timers.stop(Timer.EXPIRE)
            expiry_hold.on_expiry(m, now)
        if isinstance(event, ev.Received):
            _on_received(m, event, now)
        elif isinstance(m.state, Stopped):
            operator.on_event_when_stopped(m, event, now)
        else:
            _EVENTS[type(event)](m, event, now)
        return m.take_actions()

    def handle_timer(self, now: float) -> list[Action]:
        """Serve every timer that is due at ``now`` (seconds of CLOCK_BOOTTIME). Returns the actions to perform, in
        order; none when no timer is due."""
        m = self._m
        while (timer := m.timers.take_due(now)) is not None:
            _on_timer(m, timer, now)
        return m.take_actions()


def _on_timer(m: Machine, timer: Timer, now: float) -> None:
    state = m.state
    if timer in _TIMERS:
        _TIMERS[timer](m, now)
    elif timer is Timer.RENEW and isinstance(state, Bound):
        purpose, on = (Purpose.T1, Reason.T1) if now < state.lease.t2_at else (Purpose.T2, Reason.T2)
        renewal.begin(m, state.lease, Renewal(purpose, on.value), on, now)
    elif timer is Timer.REBIND and isinstance(state, Renewing):
        renewal.on_t2(m, now)
    elif timer is Timer.START and isinstance(state, Init) and m.carrier:
        acquisition.leave_init(m, state, now)
    elif timer is Timer.PROBE:
        if arp.on_probe_timer(m, now) and isinstance(state, Probing):
            (init_reboot if state.unanswered else acquisition).on_probed(m, state, now)
    elif timer is Timer.REAPPLY and m.lease is not None:
        m.configure(m.lease)
    elif timer is Timer.GATEWAY:
        _on_gateway_silent(m, arp.on_gateway_timer(m, now), now)


def _on_gateway_silent(m: Machine, asked_for: QueryPurpose | None, now: float) -> None:
    """The gateway was asked to the end for ``asked_for`` in vain; None: it is still being asked."""
    if asked_for is QueryPurpose.HOLD:
        expiry_hold.on_silence(m, now)
    elif asked_for is QueryPurpose.VERIFY and isinstance(m.state, (Renewing, Rebinding)):
        parallel_discover.use_reserve(m, now)


def _retransmit(m: Machine, now: float) -> None:
    state = m.state
    if isinstance(state, Selecting):
        acquisition.send_discover(m, now)
    elif isinstance(state, Requesting):
        acquisition.send_request(m, now)
    elif isinstance(state, Rebooting):
        init_reboot.send(m, now)
    else:
        renewal.on_retransmit(m, now)


def _xids(state: State) -> tuple[int, ...]:
    """The transaction ids whose answers still count in ``state``."""
    if isinstance(state, (Selecting, Requesting, Rebooting)):
        return (state.exchange.xid,)
    if isinstance(state, (Renewing, Rebinding)):
        parallel = state.renewal.parallel
        return (*(r.xid for r in state.renewal.rounds), *(parallel.xids if parallel is not None else ()))
    return ()


def _on_received(m: Machine, event: ev.Received, now: float) -> None:
    """Judge a message and hand it to its row of _REPLIES; everything else is dropped and counted."""
    message = event.message
    if m.refused is not None:
        refusal.withdraw(m, message, now)
    state = m.state
    reason = replies.refusal(message, m.config, _xids(state))
    if reason is not None:
        m.drop(reason, message)
        return
    kind = message.message_type or 0
    handler = _REPLIES.get((type(state), kind))
    if handler is None:
        m.drop(DropReason.UNEXPECTED, message, f"{msg.MESSAGE_NAMES[kind]} in {name_of(state)}")
    else:
        handler(m, message, now)


#: What happens when these timers fall due, whatever the state; the others depend on more than the time.
_TIMERS: dict[Timer, Callable[[Machine, float], None]] = {
    Timer.EXPIRE: expiry_hold.on_expiry,
    Timer.OFFERS: acquisition.on_offers_waited,
    Timer.RETRANSMIT: _retransmit,
    Timer.HOLD: expiry_hold.on_timer,
    Timer.CONTEST: arp.on_contest_timer,
    Timer.CHECK: renewal.on_check_timer,
    Timer.ROUTERS: acquisition.on_routers_timer,
}

#: What happens on each event that is no reply, whatever the state but STOPPED, which has its own function.
_EVENTS: dict[type, Callable[[Machine, Any, float], None]] = {
    ev.Start: init_reboot.on_start,
    ev.LinkUp: host.on_link_up,
    ev.LinkDown: host.on_link_down,
    ev.AddressConflict: host.on_conflict,
    ev.GatewaySeen: host.on_gateway_seen,
    ev.AddressLost: host.on_address_lost,
    ev.RoutesLost: host.on_routes_lost,
    ev.Applied: lambda m, _event, _now: m.configured(),
    ev.ApplyFailed: host.on_apply_failed,
    ev.TimeJumped: host.on_time_jumped,
    ev.Restored: host.on_restored,
    ev.SendFailed: host.on_send_failed,
    ev.Renew: operator.on_operator,
    ev.Rebind: operator.on_operator,
    ev.Release: operator.on_release,
    ev.Stop: operator.on_stop,
}


#: What happens, by state and message type, on each reply that passed ``replies.refusal``.
_REPLIES: dict[tuple[type, int], Callable[[Machine, Message, float], None]] = {
    (Selecting, msg.OFFER): acquisition.on_offer,
    (Selecting, msg.ACK): acquisition.on_rapid_ack,
    (Requesting, msg.ACK): acquisition.on_ack,
    (Requesting, msg.NAK): acquisition.on_nak,
    (Rebooting, msg.ACK): init_reboot.on_ack,
    (Rebooting, msg.NAK): init_reboot.on_nak,
    (Renewing, msg.OFFER): parallel_discover.on_offer,
    (Renewing, msg.ACK): renewal.on_ack,
    (Renewing, msg.NAK): renewal.on_nak,
    (Rebinding, msg.OFFER): parallel_discover.on_offer,
    (Rebinding, msg.ACK): renewal.on_ack,
    (Rebinding, msg.NAK): renewal.on_nak,
}
