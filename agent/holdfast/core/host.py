"""Events of the host: carrier, ARP answers, what the kernel holds or lost, the clock, a restored snapshot."""

from __future__ import annotations

from holdfast.core import acquisition, arp, expiry_hold, init_reboot, proxy_arp, renewal, schedule
from holdfast.core import events as ev
from holdfast.core.actions import NoticeCode
from holdfast.core.machine import Machine, Timer
from holdfast.core.outcome import Purpose
from holdfast.core.states import (
    Bound,
    Init,
    InitReboot,
    Probing,
    QueryPurpose,
    Rebinding,
    Rebooting,
    Renewing,
    Requesting,
    Selecting,
)
from holdfast.core.transitions import Reason

#: Within a second of carrier (rule 61), but not all guests of a host in the same millisecond.
LINK_UP_JITTER = 0.8
#: How many removals by others are remembered, and for how many seconds (rule 60).
RESTORES_KEPT = 32
RESTORE_WINDOW = 60.0


def on_link_up(m: Machine, _: ev.LinkUp, now: float) -> None:
    """Carrier is back: ask at once in a way that fits the state. A lease is verified, not doubted (rule 61)."""
    if not m.set_carrier(True):
        return
    state = m.state
    if m.lease is not None and m.lease.ended_at is not None:
        expiry_hold.on_timer(m, now)  # the gateway was out of reach, and there is little time left
    if isinstance(state, Init):
        if state.ipv6_only or m.timers.at(Timer.START) is None:  # not while staying away after a DECLINE or a NAK
            acquisition.leave_init(m, state, now)
    elif isinstance(state, InitReboot):
        if state.cached.valid(now):
            init_reboot.reboot(m, state.cached, Reason.CARRIER_UP, now)
        else:
            acquisition.ask(m, now, Reason.REMEMBERED_ENDED, cause=Reason.REMEMBERED_ENDED.value)
    elif isinstance(state, Probing):
        arp.forget_probes(m)
        arp.start_probing(m, state.lease.address, now)
    else:
        assert isinstance(state, (Bound, Renewing, Rebinding))  # the others end when carrier is lost
        # A link that was set down has lost its routes, and the kernel sends no message about them.
        m.configure(state.lease)
        renewal.check_lease(m, Purpose.LINK_UP, Reason.CARRIER_UP, now, m.rng.uniform(0.0, LINK_UP_JITTER))
        arp.verify_network(m, state.lease, now)


def on_link_down(m: Machine, _: ev.LinkDown, now: float) -> None:
    """Carrier is lost: stop asking for a new lease, keep the one in use."""
    m.set_carrier(False)
    state = m.state
    arp.stop_asking(m)
    if isinstance(state, (Selecting, Requesting)):
        exchange = state.exchange
        m.enter(Init(state.held, exchange.purpose, exchange.cause), Reason.CARRIER_LOST, now)
    elif isinstance(state, Rebooting):
        m.enter(InitReboot(state.cached), Reason.CARRIER_LOST, now)


def on_address_lost(m: Machine, event: ev.AddressLost, now: float) -> None:
    """Somebody deleted our address: put it back, ever more slowly when they keep at it."""
    lease = m.lease
    if lease is None or lease.address != event.address:
        return
    m.address_losses = _with_recent(m.address_losses, now)
    wait = schedule.restore_wait(len(m.address_losses))
    m.notice(NoticeCode.ADDRESS_RESTORED, f"{lease.address} was deleted by another program; back in {wait:g} s")
    m.timers.set(Timer.REAPPLY, now + wait)


def on_routes_lost(m: Machine, _: ev.RoutesLost, now: float) -> None:
    """Somebody deleted our routes: put them back, ever more slowly when they keep at it; with the address, where that
    is to be put back already."""
    if m.lease is None or m.timers.at(Timer.REAPPLY) is not None:
        return
    m.route_losses = _with_recent(m.route_losses, now)
    m.timers.set(Timer.REAPPLY, now + schedule.restore_routes_wait(len(m.route_losses)))


def _with_recent(losses: tuple[float, ...], now: float) -> tuple[float, ...]:
    """The losses that still count (rule 60), with one more."""
    return (*(at for at in losses if now - at < RESTORE_WINDOW), now)[-RESTORES_KEPT:]


def on_send_failed(m: Machine, event: ev.SendFailed, now: float) -> None:
    """Never fatal (rule 55): the ladder goes on at once, everything else has its timer."""
    m.notice(NoticeCode.SEND_FAILED, f"{event.via.value}: {event.error}")
    if isinstance(m.state, (Renewing, Rebinding)):
        renewal.on_send_failed(m, event.via, event.error, now)


def on_apply_failed(m: Machine, event: ev.ApplyFailed, now: float) -> None:
    """The interface could not be configured: try again, with growing delays (rule 59)."""
    if m.lease is None:
        return
    wait = m.not_configured()
    m.notice(NoticeCode.APPLY_FAILED, f"{event.error}; trying again in {wait:g} s")
    m.timers.set(Timer.REAPPLY, now + wait)


def on_conflict(m: Machine, event: ev.AddressConflict, now: float) -> None:
    """Somebody else claims an address."""
    if proxy_arp.heard(m, event):
        acquisition.on_routers(m, now)
        return
    lease = arp.heard_claim(m, event, now)
    if lease is None:
        return
    if lease.ended_at is not None or not arp.doubted(m, lease):
        expiry_hold.on_claim(m, lease, event.by.hex(":"), now)
    elif arp.contested(m, lease, event, now):
        arp.give_up(m, lease, event.by, now)


def on_gateway_seen(m: Machine, event: ev.GatewaySeen, now: float) -> None:
    """Somebody answered for the gateway's address."""
    asked_for = arp.heard_gateway(m, event)
    if asked_for is QueryPurpose.HOLD:
        expiry_hold.on_answer(m, now)
    elif asked_for is QueryPurpose.VERIFY and isinstance(m.state, Rebooting):
        init_reboot.on_gateway(m, m.state, now)


def on_time_jumped(m: Machine, event: ev.TimeJumped, now: float) -> None:
    """The machine was suspended: the kernel's lifetimes did not count it (rule 46), and the network may have changed
    (rule 45)."""
    m.notice(NoticeCode.TIME_JUMPED, f"{event.cause}: {event.seconds:.0f} s")
    if isinstance(m.state, (Selecting, Requesting, Rebooting)):
        soon = now + m.rng.uniform(0.0, schedule.RESUME_OVERDUE)
        m.timers.hasten(Timer.RETRANSMIT, soon)
    _look_around(m, Purpose.RESUME, Reason.RESUMED, now)


def on_restored(m: Machine, event: ev.Restored, now: float) -> None:
    """A snapshot was restored, or this is a copy: nothing that was drawn or asked before may be used again, for
    another copy has drawn and asked the same, and no clock shows how much of the lease is left. So the address is
    probed on the link too, as if it were new."""
    m.rng.seed(event.seed)
    m.notice(NoticeCode.RESTORED, event.cause)
    state = m.state
    if isinstance(state, (Selecting, Requesting)):
        exchange = state.exchange
        acquisition.select(m, now, Reason.RESTORED, exchange.purpose, exchange.cause, state.held)
    elif isinstance(state, Rebooting):
        init_reboot.reboot(m, state.cached, Reason.RESTORED, now)
    elif isinstance(state, (Renewing, Rebinding)):
        m.update(state._replace(renewal=state.renewal._replace(rounds=(), rungs=(), parallel=None)))
        m.timers.stop(Timer.RETRANSMIT)
    elif isinstance(state, Probing):
        arp.forget_probes(m)  # silence then is not silence now
        arp.start_probing(m, state.lease.address, now)
    _look_around(m, Purpose.RESTORED, Reason.RESTORED, now)


def _look_around(m: Machine, purpose: Purpose, on: Reason, now: float) -> None:
    """After a suspend or a restore: set the kernel's lifetimes at once, ask server and gateway after a short random
    wait."""
    state, lease = m.state, m.lease
    if lease is not None:
        m.configure(lease)
    if isinstance(state, (Bound, Renewing, Rebinding)):
        wait = schedule.resume_wait(state.lease.seconds_left(now), m.rng, overdue=now >= state.lease.t1_at)
        renewal.check_lease(m, purpose, on, now, wait)
        arp.verify_network(m, state.lease, now)
        if purpose is Purpose.RESTORED:
            arp.probe_again(m, state.lease.address, now)
