"""What the host tells us: carrier, addresses, the kernel's answers, the clock, a restored snapshot."""

from __future__ import annotations

from holdfast.core import acquiring, conflict, gateway, overtime, renewing, schedule, starting
from holdfast.core import events as ev
from holdfast.core.actions import Configure, NoticeCode
from holdfast.core.machine import AskingWhy, Machine
from holdfast.core.states import (
    Bound,
    Init,
    InitReboot,
    Probing,
    Rebinding,
    Rebooting,
    Renewing,
    Requesting,
    Selecting,
)
from holdfast.core.timers import Timer

#: Within a second of carrier (rule 61), but not all guests of a host in the same millisecond.
LINK_UP_JITTER = 0.8
#: How many restorations of a deleted address are remembered, and for how long (rule 60).
RESTORES_KEPT = 32
RESTORE_WINDOW = 60.0


def on_link_up(m: Machine, _: ev.LinkUp, now: float) -> None:
    """Carrier is back: ask at once in a way that fits the state. A lease is verified, not doubted (rule 61)."""
    if m.carrier:
        return
    m.carrier = True
    state = m.state
    if m.lease is not None and m.lease.ended_at is not None:
        overtime.on_timer(m, now)  # the gateway was out of reach, and there is little time left
    if isinstance(state, Init):
        if state.ipv6_only or m.timers.at(Timer.START) is None:  # not while staying away after a DECLINE or a NAK
            acquiring.leave_init(m, state, now)
    elif isinstance(state, InitReboot):
        if state.cached.valid(now):
            starting.reboot(m, state.cached, "carrier up", now)
        else:
            acquiring.ask(m, now, "the remembered lease ended", cause="the remembered lease ended")
    elif isinstance(state, Probing):
        conflict.forget_probes(m)
        conflict.start_probing(m, state.lease.address, now)
    else:
        assert isinstance(state, (Bound, Renewing, Rebinding))  # the others end when carrier is lost
        # A link that was set down has lost its routes, and the kernel does not tell.
        m.emit(Configure(state.lease, m.replacing))
        renewing.check_lease(m, "link-up", "carrier up", now, m.rng.uniform(0.0, LINK_UP_JITTER))
        gateway.verify(m, state.lease, now)


def on_link_down(m: Machine, _: ev.LinkDown, now: float) -> None:
    """Carrier is lost: stop asking for a new lease, keep the one in use."""
    m.carrier = False
    state = m.state
    gateway.stop(m)
    if isinstance(state, (Selecting, Requesting)):
        exchange = state.exchange
        m.enter(Init(state.held, exchange.purpose, exchange.cause), "carrier lost", now)
    elif isinstance(state, Rebooting):
        m.enter(InitReboot(state.cached), "carrier lost", now)


def on_address_lost(m: Machine, event: ev.AddressLost, now: float) -> None:
    """Somebody deleted our address: put it back, ever more slowly when they keep at it."""
    lease = m.lease
    if lease is None or lease.address != event.address:
        return
    recent = tuple(at for at in m.restored_at if now - at < RESTORE_WINDOW)
    m.restored_at = (*recent, now)[-RESTORES_KEPT:]
    wait = schedule.restore_wait(len(m.restored_at))
    m.notice(NoticeCode.ADDRESS_RESTORED, f"{lease.address} was deleted by another program; back in {wait:g} s")
    m.timers.set(Timer.REAPPLY, now + wait)


def on_applied(m: Machine, _: ev.Applied, now: float) -> None:  # noqa: ARG001 - a row of _EVENTS
    m.apply_failures, m.replacing = 0, None
    m.timers.stop(Timer.REAPPLY)


def on_send_failed(m: Machine, event: ev.SendFailed, now: float) -> None:
    """Never fatal (rule 55): the ladder goes on at once, everything else has its timer."""
    m.notice(NoticeCode.SEND_FAILED, f"{event.path.value}: {event.error}")
    if isinstance(m.state, (Renewing, Rebinding)):
        renewing.on_send_failed(m, event.path, event.error, now)


def on_apply_failed(m: Machine, event: ev.ApplyFailed, now: float) -> None:
    if m.lease is None:
        return
    m.apply_failures += 1
    wait = schedule.apply_wait(m.apply_failures)
    m.notice(NoticeCode.APPLY_FAILED, f"{event.error}; trying again in {wait:g} s")
    m.timers.set(Timer.REAPPLY, now + wait)


def on_gateway_seen(m: Machine, event: ev.GatewaySeen, now: float) -> None:
    """Somebody answered for the gateway's address."""
    why = gateway.heard(m, event)
    if why is AskingWhy.HOLD:
        overtime.on_answer(m, now)
    elif why is AskingWhy.VERIFY and isinstance(m.state, Rebooting):
        starting.on_gateway(m, m.state, now)


def on_time_jumped(m: Machine, event: ev.TimeJumped, now: float) -> None:
    """We slept: the kernel's lifetimes did not count it (rule 46), and the world may have moved on (rule 45)."""
    m.notice(NoticeCode.TIME_JUMPED, f"{event.cause}: {event.seconds:.0f} s")
    if isinstance(m.state, (Selecting, Requesting, Rebooting)):
        soon = now + m.rng.uniform(0.0, schedule.RESUME_OVERDUE)
        due = m.timers.at(Timer.RETRANSMIT)
        m.timers.set(Timer.RETRANSMIT, soon if due is None else min(soon, due))
    _look_around(m, "resume", "resumed", now)


def on_restored(m: Machine, event: ev.Restored, now: float) -> None:
    """A snapshot was restored, or this is a copy: nothing that was drawn or asked before may be used again, for
    another copy has drawn and asked the same, and how much of the lease is left no clock can tell. So the address is
    asked for on the link too, as if it had just been taken."""
    m.rng.seed(event.seed)
    m.notice(NoticeCode.RESTORED, event.cause)
    state = m.state
    if isinstance(state, (Selecting, Requesting)):
        exchange = state.exchange
        acquiring.select(m, now, "restored", exchange.purpose, exchange.cause, state.held)
    elif isinstance(state, Rebooting):
        starting.reboot(m, state.cached, "restored", now)
    elif isinstance(state, (Renewing, Rebinding)):
        m.update(state._replace(renewal=state.renewal._replace(rounds=(), rungs=(), side=None)))
        m.timers.stop(Timer.RETRANSMIT)
    elif isinstance(state, Probing):
        conflict.forget_probes(m)  # silence then is not silence now
        conflict.start_probing(m, state.lease.address, now)
    _look_around(m, "restored", "restored", now)


def _look_around(m: Machine, purpose: str, on: str, now: float) -> None:
    """After any absence: the kernel's lifetimes at once, the server and the gateway after a moment."""
    state, lease = m.state, m.lease
    if lease is not None:
        m.emit(Configure(lease, m.replacing))
    if isinstance(state, (Bound, Renewing, Rebinding)):
        wait = schedule.resume_wait(state.lease.seconds_left(now), m.rng, overdue=now >= state.lease.t1_at)
        renewing.check_lease(m, purpose, on, now, wait)
        gateway.verify(m, state.lease, now)
        if purpose == "restored":
            conflict.probe_again(m, state.lease.address, now)
