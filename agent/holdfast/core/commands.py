"""What the operator asks for: renew, rebind, release; and the end of the process."""

from __future__ import annotations

from holdfast.core import acquiring, binding, renewing, requests
from holdfast.core import events as ev
from holdfast.core.actions import DeconfigureReason, Forget, Persist, Transmit
from holdfast.core.machine import Machine
from holdfast.core.outcome import Outcome, Path, Result
from holdfast.core.states import Bound, Probing, Rebinding, Rebooting, Renewing, Requesting, Selecting, Stopped
from holdfast.core.timers import Timer


def on_operator(m: Machine, event: ev.Renew | ev.Rebind, now: float) -> None:
    """``renew`` and ``rebind``: ask now, in whatever way the state has."""
    state = m.state
    broadcast = isinstance(event, ev.Rebind)
    if isinstance(state, (Renewing, Rebinding)) and broadcast:
        rebinding = Rebinding(state.lease, state.renewal._replace(skip_unicast=True))
        if isinstance(state, Renewing):
            m.enter(rebinding, "operator", now)
        else:
            m.update(rebinding)
        renewing.hasten(m, now)
    elif isinstance(state, (Bound, Renewing, Rebinding)):
        renewing.check_lease(m, "operator", "operator", now, 0.0, broadcast=broadcast)
    elif isinstance(state, (Selecting, Requesting, Rebooting)):
        m.timers.set(Timer.RETRANSMIT, now)


def on_release(m: Machine, _: ev.Release, now: float) -> None:
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
    elif isinstance(m.state, Probing):
        m.conclude(binding.abandoned(m.state, Result.RELEASED, "operator", now))
    m.emit(Forget())
    _halt(m)
    m.enter(Stopped(None), "release", now, DeconfigureReason.RELEASED if lease is not None else None)


def on_stop(m: Machine, _: ev.Stop, now: float) -> None:
    """The process ends: everything stays as it is (rule 51)."""
    state, lease = m.state, m.lease
    if isinstance(state, (Renewing, Rebinding)):
        m.conclude(renewing.unanswered(state.lease, state.renewal, Result.STOPPED, now))
    elif isinstance(state, Probing):
        m.conclude(binding.abandoned(state, Result.STOPPED, state.exchange.cause, now))
    if lease is not None:
        m.emit(Persist(lease, m.path))
    _halt(m)
    m.enter(Stopped(lease), "stop", now)


def _halt(m: Machine) -> None:
    m.acd = None
    m.timers.stop(*Timer)


def on_event_when_stopped(m: Machine, event: ev.Event, now: float) -> None:
    """After Stop or Release only the carrier is followed, and the operator may start over."""
    state = m.state
    assert isinstance(state, Stopped)
    if isinstance(event, (ev.LinkUp, ev.LinkDown)):
        m.carrier = isinstance(event, ev.LinkUp)
    elif isinstance(event, (ev.Renew, ev.Rebind)) and state.held is None:
        acquiring.ask(m, now, "operator", cause="operator")
