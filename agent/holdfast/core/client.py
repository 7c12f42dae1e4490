"""The client: one RFC 2131 state machine for one interface.

Theory of operation
-------------------
An event comes in with the time at which it happened; actions come out, to be performed in order.
Nothing here reads a clock, opens a socket or rolls dice of its own, so a test can be any network
and any time. After every call the runtime asks ``next_deadline`` and calls ``handle_timer`` then;
an early call does nothing.

``handle`` finds the function for (state, event) and that function changes the state through one
gate, ``Machine.enter``. The phases are modules: ``starting`` with a remembered lease, ``acquiring`` a new
one, ``binding`` taking it into use, ``renewing`` the ladder, ``beside`` the DISCOVER beside it, ``losing``
NAK and expiry, ``overtime`` an address beyond its lease, ``conflict`` and ``gateway`` ARP, ``host`` what the
machine tells us, ``commands`` the operator. ``requests`` builds
what is sent, ``replies`` judges what comes, ``schedule`` says when.

A lease that has ended is dealt with before anything else is looked at: an ACK that arrives a
moment too late must not find an ended lease in use.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from holdfast.core import (
    acquiring,
    beside,
    commands,
    conflict,
    gateway,
    host,
    losing,
    overtime,
    renewing,
    replies,
    starting,
)
from holdfast.core import events as ev
from holdfast.core.actions import (
    Action,
    Configure,
    DropReason,
)
from holdfast.core.config import ClientConfig
from holdfast.core.lease import Gateway, Lease, ServerPath
from holdfast.core.machine import AskingWhy, Machine
from holdfast.core.outcome import Outcome
from holdfast.core.states import (
    Bound,
    Init,
    Probing,
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
from holdfast.core.timers import Timer
from holdfast.wire import message as msg
from holdfast.wire.message import Message
from holdfast.wire.record import TYPE_CHECKING, NamedTuple, record

if TYPE_CHECKING:
    from typing import Any


@record
class Snapshot(NamedTuple):
    """What ``status`` shows. ``state`` is the RFC's name."""

    state: str
    lease: Lease | None
    path: ServerPath | None
    last_outcome: Outcome | None
    drops: dict[str, int]
    next_deadline: float | None
    gateway: Gateway | None = None


class Client:
    """One DHCPv4 client (see the module's text). ``rng`` is seeded by the caller."""

    def __init__(self, config: ClientConfig, *, rng: Random) -> None:
        self._m = Machine(config, rng)

    @property
    def state(self) -> State:
        """The present state, with its data."""
        return self._m.state

    @property
    def lease(self) -> Lease | None:
        """The lease whose address is on the interface, or None."""
        return self._m.lease

    def next_deadline(self) -> float | None:
        """When ``handle_timer`` is next worth calling, in CLOCK_BOOTTIME seconds; None: never."""
        return self._m.timers.next()

    def snapshot(self) -> Snapshot:
        """A picture for people."""
        m = self._m
        return Snapshot(
            name_of(m.state), m.lease, m.path, m.last_outcome, dict(m.drops), m.timers.next(), m.gateway
        )

    def handle(self, event: ev.Event, now: float) -> list[Action]:
        """Take in ``event``; the actions to perform, in order. Never raises on any input."""
        m = self._m
        ends_at = m.timers.at(Timer.EXPIRE)
        if ends_at is not None and ends_at <= now:
            m.timers.stop(Timer.EXPIRE)
            losing.on_expiry(m, now)
        if isinstance(event, ev.Received):
            _on_received(m, event, now)
        elif isinstance(m.state, Stopped):
            commands.on_event_when_stopped(m, event, now)
        else:
            _EVENTS[type(event)](m, event, now)
        return m.take_actions()

    def handle_timer(self, now: float) -> list[Action]:
        """Serve every timer that is due at ``now``; nothing when none is."""
        m = self._m
        while (timer := m.timers.take_due(now)) is not None:
            _on_timer(m, timer, now)
        return m.take_actions()


def _on_timer(m: Machine, timer: Timer, now: float) -> None:
    state = m.state
    if timer is Timer.EXPIRE:
        losing.on_expiry(m, now)
    elif timer is Timer.RENEW and isinstance(state, Bound):
        due = "T1" if now < state.lease.t2_at else "T2"
        renewing.begin(m, state.lease, Renewal(due.lower(), due), due, now)
    elif timer is Timer.REBIND and isinstance(state, Renewing):
        renewing.on_t2(m, now)
    elif timer is Timer.START and isinstance(state, Init) and m.carrier:
        acquiring.leave_init(m, state, now)
    elif timer is Timer.OFFERS:
        acquiring.on_offers_waited(m, now)
    elif timer is Timer.RETRANSMIT:
        _retransmit(m, now)
    elif timer is Timer.PROBE:
        if conflict.probe(m, now) and isinstance(state, Probing):
            (starting if state.unanswered else acquiring).on_probed(m, state, now)
    elif timer is Timer.REAPPLY and m.lease is not None:
        m.emit(Configure(m.lease, m.replacing))
    elif timer is Timer.GATEWAY:
        if gateway.on_timer(m, now) is AskingWhy.HOLD:
            overtime.on_silence(m, now)
    elif timer is Timer.HOLD:
        overtime.on_timer(m, now)


def _retransmit(m: Machine, now: float) -> None:
    state = m.state
    if isinstance(state, Selecting):
        acquiring.send_discover(m, now)
    elif isinstance(state, Requesting):
        acquiring.send_request(m, now)
    elif isinstance(state, Rebooting):
        starting.send(m, now)
    else:
        renewing.on_retransmit(m, now)


def _xids(state: State) -> tuple[int, ...]:
    """The transaction ids whose answers still count in ``state``."""
    if isinstance(state, (Selecting, Requesting, Rebooting)):
        return (state.exchange.xid,)
    if isinstance(state, (Renewing, Rebinding)):
        return (*(r.xid for r in state.renewal.rounds), *beside.xids(state.renewal.side))
    return ()


def _on_received(m: Machine, event: ev.Received, now: float) -> None:
    """Judge a message and hand it to its row of _REPLIES; everything else is dropped and counted."""
    message, state = event.message, m.state
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


#: What happens on each event; Received has its own table, and STOPPED its own function.
_EVENTS: dict[type, Callable[[Machine, Any, float], None]] = {
    ev.Start: starting.on_start,
    ev.LinkUp: host.on_link_up,
    ev.LinkDown: host.on_link_down,
    ev.AddressConflict: conflict.on_conflict,
    ev.GatewaySeen: host.on_gateway_seen,
    ev.AddressLost: host.on_address_lost,
    ev.Applied: host.on_applied,
    ev.ApplyFailed: host.on_apply_failed,
    ev.TimeJumped: host.on_time_jumped,
    ev.Restored: host.on_restored,
    ev.SendFailed: host.on_send_failed,
    ev.Renew: commands.on_operator,
    ev.Rebind: commands.on_operator,
    ev.Release: commands.on_release,
    ev.Stop: commands.on_stop,
}


#: What happens on each reply that passed ``replies.refusal``.
_REPLIES: dict[tuple[type, int], Callable[[Machine, Message, float], None]] = {
    (Selecting, msg.OFFER): acquiring.on_offer,
    (Selecting, msg.ACK): acquiring.on_rapid_ack,
    (Requesting, msg.ACK): acquiring.on_ack,
    (Requesting, msg.NAK): acquiring.on_nak,
    (Rebooting, msg.ACK): starting.on_ack,
    (Rebooting, msg.NAK): starting.on_nak,
    (Renewing, msg.OFFER): beside.on_offer,
    (Renewing, msg.ACK): renewing.on_ack,
    (Renewing, msg.NAK): losing.on_nak,
    (Rebinding, msg.OFFER): beside.on_offer,
    (Rebinding, msg.ACK): renewing.on_ack,
    (Rebinding, msg.NAK): losing.on_nak,
}
