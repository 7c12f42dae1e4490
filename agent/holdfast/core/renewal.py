"""RENEWING and REBINDING: the ladder (RFC 2131 section 4.4.5, and promise 1), and a NAK to it.

One round: the REQUEST by unicast to the lease's server; unanswered, the same by broadcast at once; unanswered, the
same from 0.0.0.0. Rounds repeat, later ones with two of the three rungs (``schedule.rungs``), until there is an answer
or the lease ends. Every round has its own xid, kept over its rungs; answers to the last few rounds count, and a lease
counts from the round that won it. From T2 on, or when another server has refused us, every second round, the first
too, asks in parallel by DISCOVER for the same address (``parallel_discover``): a server that forgot the lease can give
it back. An OFFER of another address is kept for the last seconds.
"""

from __future__ import annotations

from holdfast.core import acquisition, bound, parallel_discover, refusal, requests, schedule
from holdfast.core.actions import DeconfigureReason, DropReason, Forget, NoticeCode, Transmit
from holdfast.core.lease import Lease, Server
from holdfast.core.machine import Machine, Timer
from holdfast.core.outcome import Cause, Outcome, Purpose, Result, Via
from holdfast.core.states import Bound, Network, Rebinding, Renewal, Renewing, Round
from holdfast.core.transitions import Reason
from holdfast.wire.message import ANY, BROADCAST, Message

#: What the record of a check that nobody answered says of the gateway.
_GATEWAY_SAYS = {
    Network.UNKNOWN: "", Network.KNOWN: "verified by the gateway", Network.OTHER: "another gateway answers",
    Network.SILENT: "the gateway is silent",
}
#: Checks that may find us in another network.
_PLACE_IN_DOUBT = frozenset({Purpose.REBOOT, Purpose.LINK_UP, Purpose.RESUME, Purpose.RESTORED})
#: Rounds whose answers still count. A reply that is later than three rounds has been overtaken.
ROUNDS_KEPT = 4


def begin(
    m: Machine, lease: Lease, renewal: Renewal, on: Reason, now: float, *, delay: float = 0.0, broadcast: bool = False
) -> None:
    """Start a renewal of ``lease``, its first round after ``delay`` s and 2 s after any other (rule 36)."""
    late = now >= lease.t2_at or broadcast
    m.enter(Rebinding(lease, renewal) if late else Renewing(lease, renewal), on, now)
    hasten(m, now, delay)


def check_lease(m: Machine, purpose: Purpose, on: Reason, now: float, delay: float, *, broadcast: bool = False) -> None:
    """Renew the lease in use soon, whatever T1 says."""
    state = m.state
    if isinstance(state, Bound):
        renewal = Renewal(purpose, on.value, skip_unicast=broadcast)
        begin(m, state.lease, renewal, on, now, delay=delay, broadcast=broadcast)
    else:
        hasten(m, now, delay)


def on_check_timer(m: Machine, now: float) -> None:
    """Timer CHECK: a lease that lasts for ever, or whose T1 is more than a day away, has its server asked by one round.
    Silence changes nothing (rule 85)."""
    check_lease(m, Purpose.CHECK, Reason.CHECK, now, 0.0)


def hasten(m: Machine, now: float, delay: float = 0.0) -> None:
    """Begin the next round as soon as it may be."""
    state = bound.renewing_state(m)
    if state.renewal.rungs:
        return  # in the middle of one
    at = max(now + delay, m.round_at + schedule.GAP_MIN)
    if at > now:
        m.timers.hasten(Timer.RETRANSMIT, at)
    else:
        start_round(m, now)


def start_round(m: Machine, now: float) -> None:
    """A new xid, all its rungs ahead; every second round with a parallel DISCOVER, when it is time for that."""
    state = bound.renewing_state(m)
    lease, renewal = state.lease, state.renewal
    rungs = schedule.rungs(renewal.number + 1, unicast=_by_unicast(m, lease, renewal))
    renewal = renewal._replace(
        rounds=(*renewal.rounds, Round(m.new_xid(), now, unicast=rungs[0] is Via.UNICAST))[-ROUNDS_KEPT:],
        number=renewal.number + 1,
        rungs=rungs,
        started_at=now if renewal.started_at is None else renewal.started_at,
        refused_by_other=False,
        ask_anew=renewal.ask_anew or renewal.refused_by_other,
    )
    m.update(state._replace(renewal=renewal))
    send_rung(m, now)
    late = now >= lease.t2_at or renewal.ask_anew or _place_in_doubt(m, renewal)
    if late and (renewal.parallel is None or renewal.number - renewal.parallel.number >= 2):
        parallel_discover.discover(m, now)
    parallel_discover.use_reserve(m, now)


def _place_in_doubt(m: Machine, renewal: Renewal) -> bool:
    """True where this may be another network: another gateway answers, or the known one has not answered, and neither
    has a server (rule 82)."""
    asked_in_vain = renewal.number > 1 or renewal.purpose is Purpose.REBOOT
    silent = m.gateway is not None and m.arp.network is not Network.KNOWN
    return m.arp.network is Network.OTHER or (asked_in_vain and silent and renewal.purpose in _PLACE_IN_DOUBT)


def send_rung(m: Machine, now: float) -> None:
    """Send the next rung of this round, and set the time of what follows it."""
    state = bound.renewing_state(m)
    lease, renewal = state.lease, state.renewal
    via, rest = renewal.rungs[0], renewal.rungs[1:]
    current = renewal.rounds[-1]
    secs = requests.secs_since(renewal.started_at or now, now)
    message = requests.request_renew(m.config, current.xid, secs, lease)
    source = ANY if via is Via.BROADCAST_ANY else lease.address
    target = lease.server_id if via is Via.UNICAST and lease.server_id is not None else BROADCAST
    m.emit(Transmit(message, via, source, target))
    m.round_at = now
    renewal = renewal._replace(
        rungs=rest, attempts=renewal.attempts + 1, last_via=via, last_sent_at=now,
    )
    m.update(state._replace(renewal=renewal))
    left = lease.seconds_left(now)
    if rest:
        wait = schedule.rung_timeout(via, renewal.number, _server(m, lease), left)
    elif _verifying(lease, renewal, now):
        wait = schedule.GAP_MIN
    else:
        wait = schedule.round_gap(renewal.number, left, lease.lease_time, m.rng, m.latency)
    m.timers.set(Timer.RETRANSMIT, now + wait)


def _by_unicast(m: Machine, lease: Lease, renewal: Renewal) -> bool:
    """Whether the next round of ``renewal`` may begin by unicast. To a server known to be deaf once for each renewal,
    which is enough to learn that it hears again: in the first round when that is due, or else in the third, for then
    broadcast is not heard either (rule 38)."""
    if lease.server_id is None or renewal.skip_unicast:
        return False
    server = _server(m, lease)
    if server is None or server.hears_unicast is not False:
        return True
    return renewal.number == (0 if server.unicast_due else 2)


def _server(m: Machine, lease: Lease) -> Server | None:
    return m.server if m.server is not None and m.server.server_id == lease.server_id else None


def _verifying(lease: Lease, renewal: Renewal, now: float) -> bool:
    """True for a check that is not due yet and so may end without an answer."""
    return now < lease.t1_at and renewal.purpose is not Purpose.T1


def on_retransmit(m: Machine, now: float) -> None:
    """The rung was not answered: the next one, the next round, or the end of a check."""
    state = bound.renewing_state(m)
    lease, renewal = state.lease, state.renewal
    if renewal.rungs:
        if renewal.last_via is Via.UNICAST and renewal.number == 1:
            m.notice(NoticeCode.UNICAST_UNANSWERED, f"{lease.server_id} did not answer a unicast REQUEST; broadcasting")
        set_back(m, Cause.UNICAST_UNANSWERED.value)
        send_rung(m, now)
        return
    rounds = 1 if renewal.purpose is Purpose.CHECK else schedule.VERIFY_ROUNDS
    enough = rounds + (schedule.MOVE_ROUNDS if parallel_discover.elsewhere(m) else 0)
    if _verifying(lease, renewal, now) and renewal.number - renewal.asked_in >= enough:
        cause = "; ".join(part for part in (bound.cause_of(renewal), _GATEWAY_SAYS[m.arp.network]) if part)
        m.conclude(unanswered(lease, renewal, Result.KEPT, now, cause))
        m.enter(Bound(lease), Reason.KEPT_UNTIL_T1, now)
        return
    start_round(m, now)


def on_send_failed(m: Machine, via: Via, error: str, now: float) -> None:
    """A rung could not be sent, or an ICMP error came back for it: the next rung at once."""
    state = bound.renewing_state(m)
    renewal = state.renewal
    if renewal.last_via is via and renewal.rungs:
        unsent = renewal.rounds[-1]._replace(failed=True)
        m.update(state._replace(renewal=renewal._replace(rounds=(*renewal.rounds[:-1], unsent))))
        set_back(m, f"{via.value} failed: {error}")
        send_rung(m, now)


def set_back(m: Machine, why: str) -> None:
    """Remember for the record what the first rung met with; later ones add nothing."""
    state = bound.renewing_state(m)
    if not state.renewal.setback:
        m.update(state._replace(renewal=state.renewal._replace(setback=why)))


def on_t2(m: Machine, now: float) -> None:
    """Timer REBIND: REBINDING goes on where RENEWING was, with a round at once."""
    state = bound.renewing_state(m)
    m.enter(Rebinding(state.lease, state.renewal), Reason.T2, now)
    hasten(m, now)


def on_ack(m: Machine, ack: Message, now: float) -> None:
    """An ACK to one of the last rounds, or to the REQUEST after a parallel DISCOVER."""
    state = m.state
    assert isinstance(state, (Renewing, Rebinding))
    lease, renewal = state.lease, state.renewal
    won = next((r for r in reversed(renewal.rounds) if r.xid == ack.xid), None)
    if won is None:
        parallel_discover.on_ack(m, ack, now)
        return
    same_server = ack.server_id == lease.server_id
    asked_everyone = renewal.number > 1 or renewal.last_via is not Via.UNICAST
    if not same_server and not asked_everyone:  # nobody else was asked (rule 18)
        m.drop(DropReason.OTHER_SERVER, ack, "ACK to a unicast REQUEST")
        return
    if not same_server and ack.yiaddr != lease.address:
        m.drop(DropReason.OTHER_SERVER, ack, f"ACK for {ack.yiaddr}")
        return
    new = bound.accept_ack(m, ack, sent_at=won.sent_at, fallback_time=lease.lease_time, now=now)
    if new is not None:
        asked_at = renewal.last_sent_at if won is renewal.rounds[-1] else won.sent_at
        m.latency = min(schedule.PATIENCE_MAX, now - asked_at)
        bound.learn_server(m, learned(m.server, lease, renewal, won, now))
        bound.renewed(m, new, renewal.last_via or Via.BROADCAST, won.xid, won.sent_at, now)


def on_nak(m: Machine, nak: Message, now: float) -> None:
    """RENEWING, REBINDING: a NAK of the lease's own server is the end of its word, any other is hearsay."""
    state = bound.renewing_state(m)
    lease, renewal = state.lease, state.renewal
    if renewal.parallel is not None and nak.xid in renewal.parallel.xids:
        parallel_discover.on_nak(m, nak)
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
    if renewal.last_via is Via.UNICAST and renewal.rungs:
        set_back(m, f"NAK from {who}")
        send_rung(m, now)
    else:
        # Whether the lease's server agrees is known at the end of this round; if it stays silent,
        # ask anew in parallel.
        m.update(state._replace(renewal=renewal._replace(refused_by_other=True)))


def _refused(m: Machine, lease: Lease, renewal: Renewal, nak: Message, now: float) -> None:
    """Rule 26: ask anew and keep the address meanwhile, or with nak = "halt" do as figure 5 says."""
    cause = acquisition.nak_cause(nak)
    refusal.note(m, bound.renewing_state(m), nak, now)
    m.conclude(unanswered(lease, renewal, Result.REFUSED, now, cause)._replace(
        latency=now - (now if renewal.started_at is None else renewal.started_at), server=nak.server_id
    ))
    m.timers.stop(Timer.RETRANSMIT)
    delay = m.nak_wait()
    if m.config.nak == "halt":
        m.emit(Forget())
        acquisition.ask(m, now, Reason.NAK, cause=cause, delay=delay, why=DeconfigureReason.HALTED)
    else:
        acquisition.ask(m, now, Reason.NAK, cause=cause, held=lease, delay=delay)


def learned(
    server: Server | None, lease: Lease, renewal: Renewal, won: Round, now: float
) -> Server | None:
    """What the answer to round ``won`` says about its server.

    A round trip is measured only when one message of the round was sent (Karn), so an answer that may
    belong to either of two messages cannot spoil it.
    """
    if lease.server_id is None:
        return server
    if server is None or server.server_id != lease.server_id:
        server = Server(lease.server_id)
    if won is renewal.rounds[-1] and won.unicast and not won.failed:
        return server.answered(now - renewal.last_sent_at) if renewal.last_via is Via.UNICAST else server.deaf()
    if not server.unicast_due and not any(each.unicast for each in renewal.rounds):
        return server.deaf()  # it was left alone, as it is to be for some renewals
    return server  # nothing was asked by unicast, or it is open what was answered


def unanswered(lease: Lease, renewal: Renewal, result: Result, now: float, cause: str = "") -> Outcome:
    """The record of ``renewal``, ended now without a lease."""
    return Outcome(
        purpose=renewal.purpose, result=result, via=renewal.last_via, attempts=renewal.attempts, latency=None,
        server=lease.server_id, address=lease.address, former_address=lease.address, lease_time=lease.lease_time,
        seconds_left=lease.seconds_left(now), cause=cause or bound.cause_of(renewal),
        xid=renewal.rounds[-1].xid if renewal.rounds else None,
        started_at=now if renewal.started_at is None else renewal.started_at, ended_at=now,
    )
