"""When the lease in hand is refused, or ends: the two ways in which a renewal fails."""

from __future__ import annotations

from holdfast.core import acquiring, beside, overtime, renewing, schedule
from holdfast.core.actions import DeconfigureReason, DropReason, Forget, NoticeCode
from holdfast.core.lease import Lease
from holdfast.core.machine import Machine
from holdfast.core.outcome import Path, Result
from holdfast.core.states import Bound, Init, Probing, Rebinding, Renewal, Renewing, Requesting, Selecting
from holdfast.core.timers import Timer
from holdfast.wire.message import Message


def on_nak(m: Machine, nak: Message, now: float) -> None:
    """RENEWING, REBINDING: a NAK of the lease's own server is the end of its word, any other is hearsay."""
    state = m.state
    assert isinstance(state, (Renewing, Rebinding))
    lease, renewal = state.lease, state.renewal
    if nak.xid in beside.xids(renewal.side):
        beside.on_nak(m, nak)
    elif nak.server_id is not None and nak.server_id == lease.server_id:
        _refused(m, lease, renewal, nak, now)
    else:
        _refused_by_other(m, state, nak, now)


def _refused_by_other(m: Machine, state: Renewing | Rebinding, nak: Message, now: float) -> None:
    """Rules 25, 28, 29: nothing changes on the interface; everybody is asked at once."""
    lease, renewal = state.lease, state.renewal
    who = str(nak.server_id) if nak.server_id is not None else "a server without a name"
    m.drop(DropReason.OTHER_SERVER if nak.server_id is not None else DropReason.NAK_UNVERIFIED, nak, "NAK")
    m.notice(NoticeCode.FOREIGN_NAK, f"{who} refuses {lease.address}, which is {lease.server_id}'s to refuse; kept")
    if renewal.last_path is Path.UNICAST and renewal.rungs:
        renewing.set_back(m, f"NAK from {who}")
        renewing.send_rung(m, now)
    else:
        # Whether the lease's server agrees is known at the end of this round; if it stays silent,
        # ask anew beside the ladder.
        m.update(state._replace(renewal=renewal._replace(refused_by_other=True)))


def _refused(m: Machine, lease: Lease, renewal: Renewal, nak: Message, now: float) -> None:
    """Rule 26: ask anew and keep the address meanwhile, or with nak = "halt" do as figure 5 says."""
    text = f" ({nak.error_text})" if nak.error_text else ""
    cause = f"NAK from {nak.server_id}{text}"
    m.conclude(renewing.unanswered(lease, renewal, Result.REFUSED, now, cause)._replace(
        latency=now - (now if renewal.started_at is None else renewal.started_at), server=nak.server_id
    ))
    m.naks += 1
    m.hint = lease.address
    m.timers.stop(Timer.RETRANSMIT)
    delay = schedule.nak_wait(m.naks, m.rng)
    if m.config.nak == "halt":
        m.emit(Forget())
        acquiring.ask(m, now, "NAK", cause=cause, delay=delay, why=DeconfigureReason.HALTED)
    else:
        acquiring.ask(m, now, "NAK", cause=cause, held=lease, delay=delay)


def on_expiry(m: Machine, now: float) -> None:
    """Timer EXPIRE: the lease in use has ended and its address goes (promise 3), unless it is to be held (rule 40);
    ask for it anew."""
    state = m.state
    lease = m.lease
    assert lease is not None
    m.hint = lease.address
    if m.acd is not None and m.acd.address == lease.address:
        m.acd = None
    held = overtime.extend(m, lease, now)
    on = "the lease ended, its address is held" if held is not None else "the lease ended"
    if isinstance(state, (Bound, Renewing, Rebinding)):
        renewal = Renewal("t1", "T1") if isinstance(state, Bound) else state.renewal
        result = Result.EXPIRED if held is None else Result.HELD
        m.conclude(renewing.unanswered(lease, renewal, result, now))
        m.timers.stop(Timer.RETRANSMIT)
        why = DeconfigureReason.EXPIRED if held is None else None
        acquiring.ask(m, now, on, cause="the lease ended", held=held, why=why)
    elif held is not None:
        assert isinstance(state, (Init, Selecting, Requesting, Probing))
        m.enter(state._replace(held=held), on, now)
    elif lease.ended_at is not None:
        overtime.give_up(m, lease, "the gateway does not answer", now)
    else:
        assert isinstance(state, (Init, Selecting, Requesting, Probing))
        m.enter(state._replace(held=None), "the held lease ended", now, DeconfigureReason.EXPIRED)
    if held is not None:
        overtime.begin(m, held, now)
