"""The lease's end: its address goes, or is held beyond it (``on_expiry = "hold"``, rule 40, off unless configured).

RFC 2131 section 4.4.5 has a client stop using an address when its lease ends, and by default we do. Where
every address is fixed to its guest and an outage of the DHCP service is likelier than another owner, the
operator may prefer to keep it. Then it is kept, while two things are true: the gateway that the lease
remembers answers ARP, and nobody else claims the address.

A held lease is a ``Lease`` with ``ended_at``, whose ``expires_at`` is moved on by each answer of the
gateway and is the lifetime in the kernel too, from the answer before the lease's end on: when we die, the
address goes within half a minute. All the while a new lease is asked for by DISCOVER; it replaces the held
one, new before old.

What was asked and answered is in ``Machine.hold``, a region that only this file writes.
"""

from __future__ import annotations

from holdfast.core import acquisition, arp, renewal, schedule
from holdfast.core.actions import DeconfigureReason, NoticeCode, Probe
from holdfast.core.lease import Lease
from holdfast.core.machine import Machine, Timer
from holdfast.core.outcome import Cause, Outcome, Purpose, Result
from holdfast.core.states import Bound, Hold, Init, Probing, Rebinding, Renewal, Renewing, Requesting, Selecting
from holdfast.core.transitions import Reason

#: The states in which an address can be held.
Holding = (Init, Selecting, Requesting, Probing)


def on_expiry(m: Machine, now: float) -> None:
    """Timer EXPIRE: the lease in use has ended and its address goes (promise 3), unless it is to be held (rule 40);
    ask for it anew."""
    state = m.state
    lease = m.lease
    assert lease is not None
    arp.forget_address(m, lease.address)
    held = extend(m, lease, now)
    on = Reason.LEASE_ENDED if held is None else Reason.HELD
    if isinstance(state, (Bound, Renewing, Rebinding)):
        ended = Renewal(Purpose.T1, Reason.T1.value) if isinstance(state, Bound) else state.renewal
        result = Result.EXPIRED if held is None else Result.HELD
        m.conclude(renewal.unanswered(lease, ended, result, now))
        m.timers.stop(Timer.RETRANSMIT)
        why = DeconfigureReason.EXPIRED if held is None else None
        acquisition.ask(m, now, on, cause=Reason.LEASE_ENDED.value, held=held, why=why)
    elif held is not None:
        assert isinstance(state, Holding)
        m.enter(state._replace(held=held), on, now)
    elif lease.ended_at is not None:
        _give_up(m, lease, now)
    else:
        assert isinstance(state, Holding)
        m.enter(state._replace(held=None), Reason.HELD_ENDED, now, DeconfigureReason.EXPIRED)
    if held is not None:
        begin(m, held, now)


def on_timer(m: Machine, now: float) -> None:
    """Timer HOLD: shortly before the lease's end, and again and again after it."""
    lease = m.lease
    if lease is None or m.gateway is None or not m.carrier:
        return  # nobody can be asked; an address that is held then goes by itself
    hold = m.hold or Hold(lease.started_at)
    m.hold_region = hold._replace(rounds=hold.rounds + 1)
    arp.ask_for_hold(m, lease, schedule.HOLD_GAPS, now)
    if hold.rounds % schedule.HOLD_PROBE_EVERY == 0:
        m.emit(Probe(lease.address))


def extend(m: Machine, lease: Lease, now: float) -> Lease | None:
    """The lease with which to hold on to the address of ``lease``, which ends now; None when it must go."""
    hold = m.hold or Hold(lease.started_at)
    if m.config.on_expiry != "hold" or lease.ended_at is not None:
        return None
    if m.gateway is None or hold.claimed or not m.carrier:
        return None
    until = now + schedule.HOLD_GRACE
    if hold.answered_at is not None and now - hold.answered_at <= 2 * schedule.HOLD_LEAD:
        until = hold.answered_at + schedule.HOLD_LIFETIME
    return lease._replace(ended_at=lease.expires_at, expires_at=until)


def begin(m: Machine, held: Lease, now: float) -> None:
    """``held`` has just become the lease in use: tell the kernel, and see that the gateway is asked."""
    m.configure(held)
    m.hold_region = m.hold or Hold(held.started_at)
    if held.expires_at - now > schedule.HOLD_GRACE:
        _come_back(m, now)
    else:
        m.watch()  # listen before asking
        m.emit(Probe(held.address))
        arp.ask_for_hold(m, held, schedule.HOLD_GRACE_GAPS, now)


def _come_back(m: Machine, now: float) -> None:
    m.timers.set(Timer.HOLD, now + m.rng.uniform(*schedule.HOLD_INTERVAL))


def stop(m: Machine) -> None:
    """No longer ask whether an address may be held. The caller stops the timers."""
    m.hold_region = None


def on_answer(m: Machine, now: float) -> None:
    """The gateway answered."""
    lease, hold = m.lease, m.hold
    if lease is None or hold is None:
        return
    m.hold_region = hold._replace(answered_at=now)
    if lease.ended_at is None:
        # What it is worth is seen at the lease's end. But the kernel has to know before: it would take the address away
        # at the same moment, while a busy machine lets us wait.
        if not hold.claimed:
            m.configure(lease._replace(expires_at=now + schedule.HOLD_LIFETIME))
        return
    state = m.state
    assert isinstance(state, Holding)
    held = lease._replace(expires_at=now + schedule.HOLD_LIFETIME)
    m.enter(state._replace(held=held), Reason.HELD_ON, now)
    m.configure(held)
    _come_back(m, now)


def on_claim(m: Machine, lease: Lease, who: str, now: float) -> None:
    """``who`` claims the address of a lease in use that no server has refused: it is kept, but not beyond its end. One
    that has ended goes."""
    state = m.state
    if lease.ended_at is None:
        m.notice(NoticeCode.CONFLICT_IGNORED, f"{who} claims {lease.address}; the lease is ours and kept")
        if m.hold is not None:
            m.hold_region = m.hold._replace(claimed=True)
            m.configure(lease)
        return
    assert isinstance(state, Holding)
    m.conclude(_outcome(lease, Result.CONFLICT, f"{who} has {lease.address}", now))
    m.enter(state._replace(held=None), Reason.HELD_CONFLICT, now, DeconfigureReason.CONFLICT)




def on_silence(m: Machine, now: float) -> None:
    """The gateway has not answered three requests."""
    lease = m.lease
    if lease is not None and lease.ended_at is not None:
        _give_up(m, lease, now)


def _give_up(m: Machine, lease: Lease, now: float) -> None:
    """Remove the held address."""
    state = m.state
    assert isinstance(state, Holding)
    arp.stop_asking(m)
    m.conclude(_outcome(lease, Result.EXPIRED, Cause.GATEWAY_SILENT.value, now))
    m.enter(state._replace(held=None), Reason.HELD_ENDED, now, DeconfigureReason.EXPIRED)


def _outcome(lease: Lease, result: Result, cause: str, now: float) -> Outcome:
    """The record of the end of an address that was held."""
    assert lease.ended_at is not None
    return Outcome(
        purpose=Purpose.HOLD, result=result, via=None, attempts=0, latency=None, server=lease.server_id, address=None,
        former_address=lease.address, lease_time=lease.lease_time, seconds_left=0.0, cause=cause, xid=None,
        started_at=min(lease.ended_at, now), ended_at=now,
    )
