"""The operator's commands renew, rebind and release; STOPPED, and the end of the process."""

from __future__ import annotations

from holdfast.core import acquisition, arp, bound, expiry_hold, renewal, requests
from holdfast.core import events as ev
from holdfast.core.actions import DeconfigureReason, Forget, Persist, Transmit
from holdfast.core.machine import Machine, Timer
from holdfast.core.outcome import Outcome, Purpose, Result, Via
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
    Stopped,
)
from holdfast.core.transitions import Reason
from holdfast.wire.message import ANY, BROADCAST


def on_operator(m: Machine, event: ev.Renew | ev.Rebind, now: float) -> None:
    """``renew`` and ``rebind``: ask now, in whatever way the state has."""
    broadcast = isinstance(event, ev.Rebind)
    if isinstance(m.state, (Renewing, Rebinding)):  # what is about to end was asked before
        m.update(m.state._replace(renewal=m.state.renewal._replace(asked_in=m.state.renewal.number)))
    state = m.state
    if isinstance(state, (Renewing, Rebinding)) and broadcast:
        rebinding = Rebinding(state.lease, state.renewal._replace(skip_unicast=True))
        if isinstance(state, Renewing):
            m.enter(rebinding, Reason.OPERATOR, now)
        else:
            m.update(rebinding)
        renewal.hasten(m, now)
    elif isinstance(state, (Bound, Renewing, Rebinding)):
        renewal.check_lease(m, Purpose.OPERATOR, Reason.OPERATOR, now, 0.0, broadcast=broadcast)
    elif isinstance(state, (Selecting, Requesting, Rebooting)):
        m.timers.set(Timer.RETRANSMIT, now)
    elif isinstance(state, Init) and state.ipv6_only and m.carrier:
        acquisition.leave_init(m, state, now)


def on_release(m: Machine, _: ev.Release, now: float) -> None:
    """The operator gives the lease back: the only command that removes a valid address."""
    lease = m.lease
    _give_back(m, now)
    m.emit(Forget())
    _halt(m)
    m.enter(Stopped(None), Reason.RELEASE, now, DeconfigureReason.RELEASED if lease is not None else None)


def _give_back(m: Machine, now: float) -> None:
    """RELEASE the lease in use, and one that was won or remembered but is not in use yet; one record of it.

    The address of the latter is not on the interface, so there is none to send from: by broadcast, as a DECLINE
    goes, and so does that of a server whose name no packet can be sent to. A lease that has ended and is only held is
    no more the server's business."""
    state, xid = m.state, m.new_xid()
    unused = state.lease if isinstance(state, Probing) else None
    if isinstance(state, (InitReboot, Rebooting)):
        unused = state.cached
    via, attempts = None, 0
    for lease in (unused, m.lease):
        if lease is not None and requests.named_server(lease) is not None and lease.ended_at is None and m.carrier:
            source, target = ANY, BROADCAST
            if lease is m.lease:
                source, target = lease.address, lease.server_id or BROADCAST
            via, attempts = Via.BROADCAST if target == BROADCAST else Via.UNICAST, attempts + 1
            m.emit(Transmit(requests.release(m.config, xid, lease), via, source, target))
    given = m.lease or unused
    if given is not None:
        m.conclude(Outcome(
            purpose=Purpose.OPERATOR, result=Result.RELEASED, via=via, attempts=attempts, latency=None,
            server=given.server_id, address=None, former_address=given.address, lease_time=None,
            seconds_left=given.seconds_left(now), cause=Reason.OPERATOR.value, xid=xid, started_at=now, ended_at=now,
        ))


def on_stop(m: Machine, _: ev.Stop, now: float) -> None:
    """The process ends: everything stays as it is (rule 51)."""
    state, lease = m.state, m.lease
    if isinstance(state, (Renewing, Rebinding)):
        m.conclude(renewal.unanswered(state.lease, state.renewal, Result.STOPPED, now))
    elif isinstance(state, Probing):
        m.conclude(bound.abandoned(state, Result.STOPPED, state.exchange.cause, now))
    if lease is not None and lease.ended_at is None:
        m.emit(Persist(m.binding(lease)))
    _halt(m)
    m.enter(Stopped(lease), Reason.STOP, now)


def _halt(m: Machine) -> None:
    arp.stop(m)
    expiry_hold.stop(m)
    m.timers.stop(*Timer)


def on_event_when_stopped(m: Machine, event: ev.Event, now: float) -> None:
    """After Stop or Release only the carrier is followed, and the operator may start over."""
    state = m.state
    assert isinstance(state, Stopped)
    if isinstance(event, (ev.LinkUp, ev.LinkDown)):
        m.set_carrier(isinstance(event, ev.LinkUp))
    elif isinstance(event, (ev.Renew, ev.Rebind)) and state.held is None:
        acquisition.ask(m, now, Reason.OPERATOR, cause=Reason.OPERATOR.value)
