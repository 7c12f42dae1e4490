"""The client: one RFC 2131 state machine for one interface.

Theory of operation
-------------------
An event comes in with the time at which it happened; actions come out, to be performed in order.
Nothing here reads a clock, opens a socket or rolls dice of its own, so a test can be any network
and any time. After every call the runtime asks ``next_deadline`` and calls ``handle_timer`` then;
an early call does nothing.

``handle`` finds the function for (state, event) and that function changes the state through one
gate, ``Machine.enter``. The phases are modules: ``acquiring`` up to a lease, ``binding`` taking it
into use, ``renewing`` the ladder, ``losing`` NAK and expiry, ``conflict`` ARP. ``requests``
builds what is sent, ``replies`` judges what comes, ``schedule`` says when.

A lease that has ended is dealt with before anything else is looked at: an ACK that arrives a
moment too late must not find an ended lease in use.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from holdfast.core import acquiring, binding, conflict, losing, renewing, replies, requests, schedule
from holdfast.core import events as ev
from holdfast.core.actions import (
    Action,
    Configure,
    DeconfigureReason,
    DropReason,
    Forget,
    NoticeCode,
    Persist,
    Transmit,
)
from holdfast.core.config import ClientConfig
from holdfast.core.lease import Lease, ServerPath
from holdfast.core.machine import Machine
from holdfast.core.outcome import Outcome, Path, Result
from holdfast.core.states import (
    Bound,
    Init,
    InitReboot,
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
from holdfast.wire.record import record

#: Within a second of carrier (rule 61), but not all guests of a host in the same millisecond.
LINK_UP_JITTER = 0.8
RESUME_JITTER = 1.0
#: How many restorations of a deleted address are remembered, and for how long (rule 60).
RESTORES_KEPT = 32
RESTORE_WINDOW = 60.0


@record
class Snapshot(NamedTuple):
    """What ``status`` shows. ``state`` is the RFC's name."""

    state: str
    lease: Lease | None
    path: ServerPath | None
    last_outcome: Outcome | None
    drops: dict[str, int]
    next_deadline: float | None


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
        return Snapshot(name_of(m.state), m.lease, m.path, m.last_outcome, dict(m.drops), m.timers.next())

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
            _on_event_when_stopped(m, event, now)
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
        renewing.begin(m, state.lease, Renewal("t1", "T1"), "T1" if now < state.lease.t2_at else "T2", now)
    elif timer is Timer.REBIND and isinstance(state, Renewing):
        renewing.on_t2(m, now)
    elif timer is Timer.START and isinstance(state, Init):
        acquiring.leave_init(m, state, now)
    elif timer is Timer.OFFERS:
        acquiring.on_offers_waited(m, now)
    elif timer is Timer.RETRANSMIT:
        _retransmit(m, now)
    elif timer is Timer.PROBE:
        if conflict.probe(m, now) and isinstance(state, Probing):
            binding.bind_probed(m, state, now)
    elif timer is Timer.REAPPLY and m.lease is not None:
        m.emit(Configure(m.lease, m.replacing))


def _retransmit(m: Machine, now: float) -> None:
    state = m.state
    if isinstance(state, Selecting):
        acquiring.send_discover(m, now)
    elif isinstance(state, Requesting):
        acquiring.send_request(m, now)
    elif isinstance(state, Rebooting):
        acquiring.send_reboot(m, now)
    elif isinstance(state, (Renewing, Rebinding)):
        renewing.on_retransmit(m, now)


def _xids(state: State) -> tuple[int, ...]:
    """The transaction ids whose answers still count in ``state``."""
    if isinstance(state, (Selecting, Requesting, Rebooting)):
        return (state.exchange.xid,)
    if isinstance(state, (Renewing, Rebinding)):
        side = () if state.renewal.side is None else (state.renewal.side.xid,)
        return (*(r.xid for r in state.renewal.rounds), *side)
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


def _on_event_when_stopped(m: Machine, event: ev.Event, now: float) -> None:
    """After Stop or Release only the carrier is followed, and the operator may start over."""
    state = m.state
    assert isinstance(state, Stopped)
    if isinstance(event, (ev.LinkUp, ev.LinkDown)):
        m.carrier = isinstance(event, ev.LinkUp)
    elif isinstance(event, (ev.Renew, ev.Rebind)) and state.held is None:
        acquiring.ask(m, now, "operator", cause="operator")


def _on_link_up(m: Machine, _: ev.LinkUp, now: float) -> None:
    """Carrier is back: ask at once in a way that fits the state. A lease is verified, not doubted (rule 61)."""
    if m.carrier:
        return
    m.carrier = True
    state = m.state
    if isinstance(state, Init):
        if m.timers.at(Timer.START) is None:  # not while staying away after a DECLINE or a NAK
            acquiring.leave_init(m, state, now)
    elif isinstance(state, InitReboot):
        if state.cached.valid(now):
            acquiring.reboot(m, state.cached, "carrier up", now)
        else:
            acquiring.ask(m, now, "the remembered lease ended", cause="the remembered lease ended")
    elif isinstance(state, (Bound, Renewing, Rebinding)):
        _check_lease(m, "link-up", "carrier up", now, m.rng.uniform(0.0, LINK_UP_JITTER))


def _on_link_down(m: Machine, _: ev.LinkDown, now: float) -> None:
    """Carrier is lost: stop asking for a new lease, keep the one in use."""
    m.carrier = False
    state = m.state
    if isinstance(state, (Selecting, Requesting)):
        exchange = state.exchange
        m.enter(Init(state.held, exchange.purpose, exchange.cause), "carrier lost", now)
    elif isinstance(state, Rebooting):
        m.enter(InitReboot(state.cached), "carrier lost", now)


def _check_lease(m: Machine, purpose: str, on: str, now: float, delay: float, *, broadcast: bool = False) -> None:
    """Renew the lease in use soon, whatever T1 says."""
    state = m.state
    if isinstance(state, Bound):
        renewal = Renewal(purpose, on, skip_unicast=broadcast)
        renewing.begin(m, state.lease, renewal, on, now, delay=delay, broadcast=broadcast)
    elif isinstance(state, (Renewing, Rebinding)):
        renewing.hasten(m, now, delay)


def _on_address_lost(m: Machine, event: ev.AddressLost, now: float) -> None:
    """Somebody deleted our address: put it back, ever more slowly when they keep at it."""
    lease = m.lease
    if lease is None or lease.address != event.address:
        return
    recent = tuple(at for at in m.restored_at if now - at < RESTORE_WINDOW)
    m.restored_at = (*recent, now)[-RESTORES_KEPT:]
    wait = schedule.restore_wait(len(m.restored_at))
    m.notice(NoticeCode.ADDRESS_RESTORED, f"{lease.address} was deleted by another program; back in {wait:g} s")
    m.timers.set(Timer.REAPPLY, now + wait)


def _on_applied(m: Machine, _: ev.Applied, now: float) -> None:  # noqa: ARG001 - a row of _EVENTS
    m.apply_failures, m.replacing = 0, None
    m.timers.stop(Timer.REAPPLY)


def _on_send_failed(m: Machine, event: ev.SendFailed, now: float) -> None:
    """Never fatal (rule 55): the ladder goes on at once, everything else has its timer."""
    m.notice(NoticeCode.SEND_FAILED, f"{event.path.value}: {event.error}")
    if isinstance(m.state, (Renewing, Rebinding)):
        renewing.on_send_failed(m, event.path, now)


def _on_apply_failed(m: Machine, event: ev.ApplyFailed, now: float) -> None:
    if m.lease is None:
        return
    m.apply_failures += 1
    wait = schedule.apply_wait(m.apply_failures)
    m.notice(NoticeCode.APPLY_FAILED, f"{event.error}; trying again in {wait:g} s")
    m.timers.set(Timer.REAPPLY, now + wait)


def _on_time_jumped(m: Machine, event: ev.TimeJumped, now: float) -> None:
    """We slept: the kernel's lifetimes did not count it (rule 46), and the world may have moved on."""
    m.notice(NoticeCode.TIME_JUMPED, f"{event.cause}: {event.seconds:.0f} s")
    if m.lease is not None:
        m.emit(Configure(m.lease, m.replacing))
        _check_lease(m, "resume", "resumed", now, m.rng.uniform(0.0, RESUME_JITTER))
    elif isinstance(m.state, (Selecting, Requesting, Rebooting)):
        m.timers.set(Timer.RETRANSMIT, now)


def _on_operator(m: Machine, event: ev.Renew | ev.Rebind, now: float) -> None:
    """``renew`` and ``rebind``: ask now, in whatever way the state has."""
    state = m.state
    broadcast = isinstance(event, ev.Rebind)
    if isinstance(state, Renewing) and broadcast:
        renewal = state.renewal._replace(skip_unicast=True)
        m.enter(Rebinding(state.lease, renewal), "operator", now)
        renewing.hasten(m, now)
    elif isinstance(state, (Bound, Renewing, Rebinding)):
        _check_lease(m, "operator", "operator", now, 0.0, broadcast=broadcast)
    elif isinstance(state, (Selecting, Requesting, Rebooting)):
        m.timers.set(Timer.RETRANSMIT, now)


def _on_release(m: Machine, _: ev.Release, now: float) -> None:
    """The operator gives the lease back: the one wish that takes a valid address away."""
    lease = m.lease
    if lease is not None:
        xid = m.new_xid()
        if lease.server_id is not None:
            message = requests.release(m.config, xid, lease)
            m.emit(Transmit(message, Path.UNICAST, lease.address, lease.server_id))
        m.conclude(Outcome(
            purpose="operator", result=Result.RELEASED, path=Path.UNICAST if lease.server_id else None,
            attempts=1 if lease.server_id else 0, latency=None, server=lease.server_id, address=None,
            former_address=lease.address, lease_time=None, seconds_left=lease.seconds_left(now), cause="operator",
            xid=xid, started_at=now, ended_at=now,
        ))
    m.emit(Forget())
    _halt(m)
    m.enter(Stopped(None), "release", now, DeconfigureReason.RELEASED if lease is not None else None)


def _on_stop(m: Machine, _: ev.Stop, now: float) -> None:
    """The process ends: everything stays as it is (rule 51)."""
    state, lease = m.state, m.lease
    if isinstance(state, (Renewing, Rebinding)):
        m.conclude(renewing.unanswered(state.lease, state.renewal, Result.STOPPED, now))
    if lease is not None:
        m.emit(Persist(lease, m.path))
    _halt(m)
    m.enter(Stopped(lease), "stop", now)


def _halt(m: Machine) -> None:
    m.acd = None
    m.timers.stop(*Timer)


#: What happens on each event; Received has its own table, and STOPPED its own function.
_EVENTS: dict[type, Callable[[Machine, Any, float], None]] = {
    ev.Start: acquiring.on_start,
    ev.LinkUp: _on_link_up,
    ev.LinkDown: _on_link_down,
    ev.AddressConflict: conflict.on_conflict,
    ev.AddressLost: _on_address_lost,
    ev.Applied: _on_applied,
    ev.ApplyFailed: _on_apply_failed,
    ev.TimeJumped: _on_time_jumped,
    ev.SendFailed: _on_send_failed,
    ev.Renew: _on_operator,
    ev.Rebind: _on_operator,
    ev.Release: _on_release,
    ev.Stop: _on_stop,
}


#: What happens on each reply that passed ``replies.refusal``.
_REPLIES: dict[tuple[type, int], Callable[[Machine, Message, float], None]] = {
    (Selecting, msg.OFFER): acquiring.on_offer,
    (Selecting, msg.ACK): acquiring.on_rapid_ack,
    (Requesting, msg.ACK): acquiring.on_ack,
    (Requesting, msg.NAK): acquiring.on_nak,
    (Rebooting, msg.ACK): acquiring.on_reboot_ack,
    (Rebooting, msg.NAK): acquiring.on_reboot_nak,
    (Renewing, msg.OFFER): renewing.on_offer,
    (Renewing, msg.ACK): renewing.on_ack,
    (Renewing, msg.NAK): losing.on_nak,
    (Rebinding, msg.OFFER): renewing.on_offer,
    (Rebinding, msg.ACK): renewing.on_ack,
    (Rebinding, msg.NAK): losing.on_nak,
}
