"""BOUND: from an ACK to a lease in use: Persist, Configure, announcement and record."""

from __future__ import annotations

from holdfast.core import arp, replies
from holdfast.core.actions import NoticeCode, Persist
from holdfast.core.lease import Lease, Server
from holdfast.core.machine import Machine, lease_in_hand
from holdfast.core.outcome import Outcome, Purpose, Result, Via
from holdfast.core.states import Bound, Exchange, Probing, Rebinding, Renewal, Renewing
from holdfast.core.transitions import Reason
from holdfast.wire import options as opt
from holdfast.wire.message import MAXIMUM_SIZE, Message
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: RFC 3442: the first of these that is there makes the later ones void.
_ROUTES = (opt.CLASSLESS_STATIC_ROUTE, opt.CLASSLESS_STATIC_ROUTE_MS, opt.STATIC_ROUTE, opt.ROUTER)


def accept_ack(
    m: Machine, ack: Message, *, sent_at: float, fallback_time: float | None, now: float
) -> Lease | None:
    """The lease that ``ack`` grants to the REQUEST first sent at ``sent_at``; one for the address in hand leaves in use
    what it does not mention (rule 81). ``fallback_time``: seconds that stand in for a missing option 51. None, dropped
    and counted, when no lease can be made of it (rules 20, 33)."""
    former = lease_in_hand(m.state)
    reading = replies.read_ack(
        ack, sent_at=sent_at, now=now, rng=m.rng,
        fallback_time=m.config.default_lease_time if fallback_time is None else fallback_time,
        in_use=former.address if former is not None else None, limit=m.config.lease_time_limit,
    )
    if reading.refusal is not None:
        m.drop(reading.refusal, ack, f"ACK for {ack.yiaddr}")
    for code, detail in reading.notices:
        m.notice(code, detail)
    lease = reading.lease
    if lease is not None and former is not None and former.address == lease.address:
        lease = lease._replace(options=kept_options(former, lease))
    return lease


def kept_options(former: Lease, granted: Lease) -> Mapping[int, bytes]:
    """The options of ``granted``, which renews ``former``, with those of ``former`` that it does not have, or that are
    void in it (rule 81).

    Some servers answer a renewal with the message type, the server identifier and the lease time alone, and one forged
    ACK without a mask would make a /24 a /8 and take the default route along. Of what is not acted on, no more is kept
    than one message can hold, so that no server makes it grow.
    """
    said = granted.options
    options, room = dict(said), MAXIMUM_SIZE
    superseded = _superseded(former, granted)
    for code, value in former.options.items():
        if code in opt.OF_ONE_MESSAGE or code in superseded or opt.says_something(code, said):
            continue
        if not opt.acted_on(code):
            room -= len(value)
            if room < 0:
                continue
        options[code] = value
    return options


def _superseded(former: Lease, granted: Lease) -> set[int]:
    """The options of ``former`` that cannot hold beside what ``granted`` says otherwise: routes of a higher rank than
    other routes, and the broadcast address of another mask."""
    codes: set[int] = set()
    said, known = granted.options, former.options
    if said.get(opt.SUBNET_MASK) != known.get(opt.SUBNET_MASK) and opt.says_something(opt.SUBNET_MASK, said):
        codes.add(opt.BROADCAST_ADDRESS)
    for rank, code in enumerate(_ROUTES):
        if not opt.says_something(code, said) or said[code] == known.get(code):
            continue
        if code != opt.ROUTER or arp.default_gateway(granted) != arp.default_gateway(former):
            codes.update(_ROUTES[:rank] if code != opt.ROUTER else _ROUTES[:2])
    return codes


def bind(m: Machine, lease: Lease, on: Reason, now: float, rtt: float | None) -> None:
    """Use ``lease`` from now on: persist, configure (new before old), announce a new address. ``rtt``: from REQUEST to
    ACK, where the exchange has measured it."""
    former = m.lease
    _remember_server(m, lease, rtt)
    arp.forget_other_gateway(m, lease)
    m.emit(Persist(m.binding(lease)))
    m.configure(lease, former)
    if former is None or former.address != lease.address:
        arp.announce_new(m, lease.address, now)
    m.enter(Bound(lease), on, now)
    arp.learn_gateway(m, lease, now)


def probe_first(
    m: Machine, lease: Lease, exchange: Exchange, via: Via, now: float, cached: Lease | None = None
) -> bool:
    """With strict conflict detection, enter PROBING for a new address; False when there is no need."""
    held = m.lease
    if m.config.acd != "strict" or (held is not None and held.address == lease.address):
        return False
    m.enter(Probing(lease, exchange, via, held, cached), Reason.ACK_PROBED_FIRST, now)
    arp.forget_probes(m)
    arp.start_probing(m, lease.address, now)
    return True


def bind_probed(m: Machine, state: Probing, now: float) -> None:
    """No host has answered the probes: the address is ours."""
    outcome = granted(m.lease, state.lease, state.exchange, state.via, now, state.cached)
    bind(m, state.lease, Reason.PROBED, now, state.exchange.rtt)
    m.conclude(outcome)


def acquired(
    m: Machine, lease: Lease, exchange: Exchange, via: Via, on: Reason, now: float, *, cached: Lease | None = None
) -> None:
    """An exchange has won ``lease``: use it, by way of PROBING when that is asked for, and leave the record.
    ``cached``: the remembered lease that was asked about, which was not in use yet."""
    if probe_first(m, lease, exchange, via, now, cached):
        return
    outcome = granted(m.lease, lease, exchange, via, now, cached)
    bind(m, lease, on, now, exchange.rtt)
    m.conclude(outcome)


def renewing_state(m: Machine) -> Renewing | Rebinding:
    """The state, which is one of these two."""
    state = m.state
    assert isinstance(state, (Renewing, Rebinding))
    return state


def renewed(m: Machine, new: Lease, via: Via, xid: int, sent_at: float, now: float) -> None:
    """A renewal has its answer, to the ladder or to a parallel DISCOVER: use the new lease and leave the record."""
    renewal = renewing_state(m).renewal
    started_at = now if renewal.started_at is None else renewal.started_at
    exchange = Exchange(renewal.purpose, cause_of(renewal), xid, started_at, sent_at, attempts=renewal.attempts)
    acquired(m, new, exchange, via, Reason.ACK, now)


def cause_of(renewal: Renewal) -> str:
    """What started the exchange, and what failed on the way: "T1", "unicast unanswered", "operator; unicast
    unanswered"."""
    parts = (renewal.cause if renewal.purpose is not Purpose.T1 or not renewal.setback else "", renewal.setback)
    return "; ".join(part for part in parts if part)


def granted(
    former: Lease | None, lease: Lease, exchange: Exchange, via: Via, now: float, cached: Lease | None = None
) -> Outcome:
    """The record of an exchange that won ``lease`` while ``former`` was in use, or ``cached`` remembered."""
    in_hand = former if former is not None else cached
    if former is not None:
        result = Result.MOVED if former.address != lease.address else Result.RENEWED
    else:
        result = Result.RENEWED if exchange.purpose is Purpose.REBOOT else Result.ACQUIRED
    return Outcome(
        purpose=exchange.purpose, result=result, via=via, attempts=exchange.attempts,
        latency=now - exchange.started_at, server=lease.server_id, address=lease.address,
        former_address=former.address if former is not None else None, lease_time=lease.lease_time,
        seconds_left=in_hand.seconds_left(now) if in_hand is not None else 0.0,
        cause=exchange.cause, xid=exchange.xid, started_at=exchange.started_at, ended_at=now,
    )


def abandoned(state: Probing, result: Result, cause: str, now: float) -> Outcome:
    """The record of an exchange that ends in PROBING without an address to show for it."""
    exchange, held, in_hand = state.exchange, state.held, state.in_hand
    return Outcome(
        purpose=exchange.purpose, result=result, via=state.via, attempts=exchange.attempts, latency=None,
        server=state.lease.server_id, address=None, former_address=held.address if held is not None else None,
        lease_time=None, seconds_left=in_hand.seconds_left(now) if in_hand is not None else 0.0, cause=cause,
        xid=exchange.xid, started_at=exchange.started_at, ended_at=now,
    )


def learn_server(m: Machine, server: Server | None) -> None:
    """Remember ``server`` as the lease's: at start from the lease file, later what a renewal has shown."""
    m.server = server


def _remember_server(m: Machine, lease: Lease, rtt: float | None) -> None:
    """Keep what is known of the server when it is the same one, start anew when it is another; add the round trip."""
    known = m.server.server_id if m.server is not None else None
    if lease.server_id is None:
        m.server = None
    elif known != lease.server_id:
        if known is not None:
            detail = f"the lease of {lease.address} is now {lease.server_id}'s, was {known}'s"
            m.notice(NoticeCode.SERVER_CHANGED, detail)
        m.server = Server(lease.server_id)
    if m.server is not None and rtt is not None:
        m.server = m.server._replace(request_rtt=rtt)
