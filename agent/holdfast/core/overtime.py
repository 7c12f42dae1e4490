"""The address beyond its lease: ``on_expiry = "hold"`` (rule 40), off unless configured.

RFC 2131 section 4.4.5 has a client stop using an address when its lease ends, and by default we do. Where
every address is fixed to its guest and an outage of the DHCP service is likelier than another owner, the
operator may prefer to keep it. Then it is kept, while two things are true: the gateway that the lease
remembers answers ARP, and nobody else claims the address.

A held lease is a ``Lease`` with ``ended_at``, whose ``expires_at`` is moved on by each answer of the
gateway and is the lifetime in the kernel too, from the answer before the lease's end on: when we die, the
address goes within half a minute. All the while a new lease is asked for by DISCOVER; it replaces the held
one, new before old.
"""

from __future__ import annotations

from holdfast.core import gateway, schedule
from holdfast.core.actions import Configure, DeconfigureReason, Probe
from holdfast.core.lease import Lease
from holdfast.core.machine import AskingWhy, Hold, Machine
from holdfast.core.outcome import Outcome, Result
from holdfast.core.states import Init, Probing, Requesting, Selecting
from holdfast.core.timers import Timer

#: The states in which an address can be held.
Holding = (Init, Selecting, Requesting, Probing)


def on_timer(m: Machine, now: float) -> None:
    """Timer HOLD: shortly before the lease's end, and again and again after it."""
    lease = m.lease
    if lease is None or m.gateway is None or not m.carrier:
        return  # nobody can be asked; an address that is held then goes by itself
    hold = m.hold or Hold()
    m.hold = hold._replace(rounds=hold.rounds + 1)
    _ask(m, lease, schedule.HOLD_GAPS, now)
    if hold.rounds % schedule.HOLD_PROBE_EVERY == 0:
        m.emit(Probe(lease.address))


def _ask(m: Machine, lease: Lease, gaps: tuple[float, ...], now: float) -> None:
    assert m.gateway is not None
    gateway.ask(m, AskingWhy.HOLD, m.gateway.address, lease.address, gaps, now)


def extend(m: Machine, lease: Lease, now: float) -> Lease | None:
    """The lease with which to hold on to the address of ``lease``, which ends now; None when it must go."""
    hold = m.hold or Hold()
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
    m.emit(Configure(held, m.replacing))
    m.hold = m.hold or Hold()
    if held.expires_at - now > schedule.HOLD_GRACE:
        _come_back(m, now)
    else:
        m.watch()  # listen before asking
        m.emit(Probe(held.address))
        _ask(m, held, schedule.HOLD_GRACE_GAPS, now)


def _come_back(m: Machine, now: float) -> None:
    m.timers.set(Timer.HOLD, now + m.rng.uniform(*schedule.HOLD_INTERVAL))


def on_answer(m: Machine, now: float) -> None:
    """The gateway answered."""
    lease, hold = m.lease, m.hold
    if lease is None or hold is None:
        return
    m.hold = hold._replace(answered_at=now)
    if lease.ended_at is None:
        # What it is worth is seen at the lease's end. But the kernel has to know before: it would take the address away
        # at the same moment, while a busy machine lets us wait.
        if not hold.claimed:
            m.emit(Configure(lease._replace(expires_at=now + schedule.HOLD_LIFETIME), m.replacing))
        return
    state = m.state
    assert isinstance(state, Holding)
    held = lease._replace(expires_at=now + schedule.HOLD_LIFETIME)
    m.enter(state._replace(held=held), "the gateway answers: the address is held on", now)
    m.emit(Configure(held, m.replacing))
    _come_back(m, now)


def on_claim(m: Machine, lease: Lease) -> None:
    """Somebody else claims the address of ``lease``: it is ours until its end, and not beyond."""
    if m.hold is not None:
        m.hold = m.hold._replace(claimed=True)
        m.emit(Configure(lease, m.replacing))


def on_silence(m: Machine, now: float) -> None:
    """The gateway was asked three times and did not answer."""
    lease = m.lease
    if lease is not None and lease.ended_at is not None:
        give_up(m, lease, "the gateway does not answer", now)


def give_up(m: Machine, lease: Lease, cause: str, now: float) -> None:
    """The held address goes."""
    state = m.state
    assert isinstance(state, Holding)
    gateway.stop(m)
    m.conclude(outcome(lease, Result.EXPIRED, cause, now))
    m.enter(state._replace(held=None), "the held lease ended", now, DeconfigureReason.EXPIRED)


def outcome(lease: Lease, result: Result, cause: str, now: float) -> Outcome:
    """The record of the end of an address that was held."""
    assert lease.ended_at is not None
    return Outcome(
        purpose="hold", result=result, path=None, attempts=0, latency=None, server=lease.server_id, address=None,
        former_address=lease.address, lease_time=lease.lease_time, seconds_left=0.0, cause=cause, xid=None,
        started_at=min(lease.ended_at, now), ended_at=now,
    )
