"""INIT, SELECTING, REQUESTING, PROBING: on the way to a lease (RFC 2131 sections 3.1, 4.4).

A lease may be *held* all the way: after its own server's NAK it stays in use until a new one is
there or it ends.
"""

from __future__ import annotations

from holdfast.core import arp, bound, proxy_arp, refusal, replies, requests, schedule
from holdfast.core.actions import DeconfigureReason, DropReason, NoticeCode, Transmit
from holdfast.core.lease import Lease
from holdfast.core.machine import Machine, Timer
from holdfast.core.outcome import Cause, Outcome, Purpose, Result, Via
from holdfast.core.states import Exchange, FailedOffer, Init, Probing, Requesting, Selecting
from holdfast.core.transitions import Reason
from holdfast.wire import options as opt
from holdfast.wire.message import ANY, BROADCAST, Message
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Address

#: OFFERs kept while waiting for a better one. More servers than this on one link are noise or malice.
OFFERS_MAX = 8


def ask(
    m: Machine, now: float, on: Reason, *, cause: str, held: Lease | None = None, delay: float = 0.0,
    why: DeconfigureReason | None = None,
) -> None:
    """Ask for a lease: DISCOVER now, or from INIT after ``delay`` seconds and when there is carrier."""
    if m.carrier and delay <= 0.0:
        select(m, now, on, Purpose.ACQUIRE, cause, held, why)
        return
    m.enter(Init(held, Purpose.ACQUIRE, cause), on, now, why)
    if delay > 0.0:
        m.timers.set(Timer.START, now + delay)


def select(
    m: Machine, now: float, on: Reason, purpose: Purpose, cause: str, held: Lease | None,
    why: DeconfigureReason | None = None, patience: float = schedule.PATIENCE,
) -> None:
    """Enter SELECTING with a fresh exchange and send the first DISCOVER."""
    exchange = Exchange(purpose, cause, m.new_xid(), now, now, patience=patience)
    m.timers.stop(Timer.START, Timer.OFFERS)
    m.enter(Selecting(exchange, (), held), on, now, why)
    send_discover(m, now)


def leave_init(m: Machine, state: Init, now: float) -> None:
    """Timer START, or carrier: out of INIT."""
    select(m, now, Reason.START, state.purpose, state.cause, state.held)


def send_discover(m: Machine, now: float) -> None:
    """Send (again) the DISCOVER of SELECTING, asking for the address we had."""
    state = m.state
    assert isinstance(state, Selecting)
    exchange = state.exchange
    if m.config.rapid_commit and not state.offers and now - exchange.sent_at > schedule.RAPID_EXCHANGE:
        exchange = exchange._replace(xid=m.new_xid(), sent_at=now)
    secs = requests.secs_since(exchange.started_at, now)
    wanted = _wanted(m, state.held)
    m.emit(Transmit(requests.discover(m.config, exchange.xid, secs, wanted), Via.DISCOVER, ANY, BROADCAST))
    exchange = exchange._replace(secs=secs, attempts=exchange.attempts + 1, tries=exchange.tries + 1, asked_at=now)
    m.update(state._replace(exchange=exchange))
    if exchange.tries == schedule.TELL_AFTER + 1 and not state.offers:
        _tell_why(m, now - exchange.started_at)
    gap = schedule.discover_gap(exchange.tries, m.config.discover_ceiling, m.rng, exchange.patience)
    m.timers.set(Timer.RETRANSMIT, now + gap)


def _tell_why(m: Machine, seconds: float) -> None:
    """Nobody has offered what can be taken: what to look at, and what to set where the server is not the reason."""
    ignored = ", ".join(f"{reason} {number}" for reason, number in m.drops.items())
    m.notice(NoticeCode.NO_OFFER, (
        f"none that can be taken came to {schedule.TELL_AFTER} DISCOVERs in {seconds:.0f} s"
        f"{f' (ignored replies: {ignored})' if ignored else ''}; check the cable and the network's DHCP server; where "
        "only broadcast is delivered, set broadcast_flag = true; replies that are cut, fragmented or damaged show in "
        "`tcpdump -vn port 67 or port 68`"
    ))


def _wanted(m: Machine, held: Lease | None) -> IPv4Address | None:
    return held.address if held is not None else m.hint


def on_offer(m: Machine, offer: Message, now: float) -> None:
    """SELECTING: take the OFFER of the address we want at once, another after a short wait for it."""
    state = m.state
    assert isinstance(state, Selecting)
    if ipv6_only(m, state.exchange, state.held, offer, now):
        return
    reason = replies.offer_refusal(offer, m.config)
    if reason is not None:
        if offer.options.get(opt.AUTO_CONFIGURE) == b"\x00":  # RFC 2563 section 2.3
            m.notice(NoticeCode.AUTO_CONFIGURE, "the server has no address for us and forbids self-assigned ones")
        m.drop(reason, offer, "OFFER")
        return
    if not state.offers:
        exchange = state.exchange
        patience = schedule.patience_for(now - exchange.asked_at, exchange.patience)
        state = state._replace(exchange=exchange._replace(patience=patience))
    wanted, failed = _wanted(m, state.held), _failed(m, offer, now)
    others = [each for each in state.offers if _failed(m, each, now) is None]
    good = failed is None and (wanted is None or offer.yiaddr == wanted or (state.offers and not others))
    spread = schedule.offer_wait(state.exchange.tries, m.config.discover_ceiling, m.rng) if good else 0.0
    if good and spread <= 0.0:
        choose(m, state, offer, now)
    elif len(state.offers) < OFFERS_MAX:
        if good:
            m.timers.hasten(Timer.OFFERS, now + spread)
        elif not state.offers:
            wait = schedule.OFFER_WAIT if failed is None else schedule.failed_offer_wait(failed.failures)
            m.timers.set(Timer.OFFERS, now + wait)
        m.update(state._replace(offers=(*state.offers, offer)))
    else:
        m.drop(DropReason.UNEXPECTED, offer, "more OFFERs than can be weighed")


def on_offers_waited(m: Machine, now: float) -> None:
    """Timer OFFERS: take the OFFER of the address we want, else the first, of a server that failed only where there is
    no other."""
    state = m.state
    assert isinstance(state, Selecting)  # whoever leaves it stops the timer
    wanted = _wanted(m, state.held)
    rank = [(_failed(m, each, now) is not None, each.yiaddr != wanted) for each in state.offers]  # False before True
    choose(m, state, state.offers[rank.index(min(rank))], now)


def _failed(m: Machine, offer: Message, now: float) -> FailedOffer | None:
    """What is remembered of an earlier OFFER of the same server that came to nothing (rule 80)."""
    named = offer.options.get(opt.SERVER_ID, b"")
    found = next((each for each in m.failed_offers if each.server == named), None)
    return found if found is not None and now - found.at < schedule.FAILED_OFFER_TIME else None


def _note_failure(m: Machine, offer: Message, now: float) -> None:
    """The server of ``offer`` said NAK to its REQUEST, or nothing."""
    failed, named = _failed(m, offer, now), offer.options.get(opt.SERVER_ID, b"")
    again = FailedOffer(named, failed.failures + 1 if failed is not None else 1, now)
    _forget_failures(m, offer)
    m.failed_offers = (*m.failed_offers, again)[-schedule.FAILED_OFFERS_MAX:]


def _forget_failures(m: Machine, offer: Message) -> None:
    named = offer.options.get(opt.SERVER_ID, b"")
    m.failed_offers = tuple(each for each in m.failed_offers if each.server != named)


def choose(m: Machine, state: Selecting, offer: Message, now: float) -> None:
    """Enter REQUESTING for ``offer``."""
    m.timers.stop(Timer.OFFERS)
    arp.forget_probes(m)
    exchange = state.exchange._replace(sent_at=now, tries=0)
    m.enter(Requesting(exchange, offer, state.held), Reason.OFFER, now)
    send_request(m, now)


def send_request(m: Machine, now: float) -> None:
    """Send (again) the REQUEST of REQUESTING; give up after the last try."""
    state = m.state
    assert isinstance(state, Requesting)
    exchange = state.exchange
    wait = schedule.request_wait(exchange.tries + 1, schedule.REQUEST_WAITS, m.rng, exchange.patience)
    if wait is None:
        _note_failure(m, state.offer, now)
        patience = min(schedule.PATIENCE_MAX, 2.0 * exchange.patience)  # it may only be busy
        select(m, now, Reason.NO_ANSWER, exchange.purpose, exchange.cause, state.held, patience=patience)
        return
    message = requests.request_selecting(m.config, exchange.xid, exchange.secs, state.offer)
    m.emit(Transmit(message, Via.BROADCAST, ANY, BROADCAST))
    m.update(state._replace(exchange=exchange._replace(attempts=exchange.attempts + 1, tries=exchange.tries + 1)))
    m.timers.set(Timer.RETRANSMIT, now + wait)
    if exchange.tries == 0:
        proxy_arp.ask(m, state.offer, now)
    if m.config.acd == "optimistic":
        arp.start_probing(m, state.offer.yiaddr, now)


def on_ack(m: Machine, ack: Message, now: float) -> None:
    """REQUESTING: the address is ours, unless the link says otherwise."""
    state = m.state
    assert isinstance(state, Requesting)
    exchange, offer = state.exchange.answered(now), state.offer
    same_server = replies.same_server(ack, offer)
    if not same_server and ack.yiaddr != offer.yiaddr:
        m.drop(DropReason.OTHER_SERVER, ack, "ACK of a server that was not chosen, for another address")
        return
    if state.conflict is not None and ack.yiaddr == offer.yiaddr and proxy_arp.asking(m):
        m.update(state._replace(exchange=exchange, granted=ack))  # until it is known whether the claimant is a router
        return
    fallback = replies.duration(offer.lease_time)
    lease = bound.accept_ack(m, ack, sent_at=exchange.sent_at, fallback_time=fallback, now=now)
    if lease is None:
        return
    _forget_failures(m, offer)
    if not same_server:  # of several with one pool, or one with several addresses: it has granted what we asked for
        detail = f"{offer.server_id or 'a server without a name'} offered {lease.address}, {ack.server_id} grants it"
        m.notice(NoticeCode.SERVER_CHANGED, detail)
    if state.conflict is not None and lease.address == offer.yiaddr:
        arp.decline(m, lease, state.conflict.hex(":"), now)
        return
    bound.acquired(m, lease, exchange, Via.DISCOVER, Reason.ACK, now)


def on_routers(m: Machine, now: float) -> None:
    """A router of the OFFER has answered, or can no longer: go on with a claim that was held back, if there is one."""
    state = m.state
    if not isinstance(state, (Requesting, Probing)) or state.conflict is None:
        return
    router = proxy_arp.is_router(m, state.conflict)
    if router:
        detail = f"{state.conflict.hex(':')} claims the address to be taken, and is a router that answers for every one"
        m.notice(NoticeCode.CONFLICT_IGNORED, detail)
        state = state._replace(conflict=None)
        m.update(state)
    elif proxy_arp.asking(m):
        return
    if isinstance(state, Probing):
        if state.conflict is not None:
            arp.decline(m, state.lease, state.conflict.hex(":"), now)
    elif state.granted is not None:
        m.update(state._replace(granted=None))
        on_ack(m, state.granted, now)


def on_routers_timer(m: Machine, now: float) -> None:
    """Timer ROUTERS: ask the silent ones again; when that is over, a claim that was held back counts."""
    proxy_arp.on_timer(m, now)
    on_routers(m, now)


def on_rapid_ack(m: Machine, ack: Message, now: float) -> None:
    """SELECTING: an ACK without an OFFER, which is one only with rapid commit (RFC 4039)."""
    state = m.state
    assert isinstance(state, Selecting)
    if not m.config.rapid_commit or opt.RAPID_COMMIT not in ack.options:
        m.drop(DropReason.UNEXPECTED, ack, "ACK before any REQUEST")
        return
    exchange = state.exchange
    if ipv6_only(m, exchange, state.held, ack, now):
        return
    lease = bound.accept_ack(m, ack, sent_at=exchange.sent_at, fallback_time=None, now=now)
    if lease is not None:
        m.timers.stop(Timer.OFFERS)
        bound.acquired(m, lease, exchange, Via.DISCOVER, Reason.ACK_RAPID, now)


def on_probed(m: Machine, state: Probing, now: float) -> None:
    """PROBING is over and nobody has answered: the address is ours, if the lease has lasted so long."""
    if state.lease.valid(now):
        bound.bind_probed(m, state, now)
    else:
        on = Reason.PROBING_ENDED
        arp.forget_probes(m)
        m.conclude(bound.abandoned(state, Result.EXPIRED, on.value, now))
        ask(m, now, on, cause=on.value, held=state.held)


def on_nak(m: Machine, nak: Message, now: float) -> None:
    """REQUESTING: only the chosen server may refuse (rules 24, 28)."""
    state = m.state
    assert isinstance(state, Requesting)
    if nak.options.get(opt.SERVER_ID) != state.offer.options.get(opt.SERVER_ID):
        reason = DropReason.NAK_UNVERIFIED if nak.server_id is None else DropReason.OTHER_SERVER
        m.drop(reason, nak, "NAK of a server that was not chosen")
        return
    cause = nak_cause(nak)
    refusal.note(m, state, nak, now)
    _note_failure(m, state.offer, now)
    m.conclude(refused(state.exchange, nak, cause, state.held, now))
    ask(m, now, Reason.NAK, cause=cause, held=state.held, delay=m.nak_wait())


def ipv6_only(m: Machine, exchange: Exchange, held: Lease | None, answer: Message, now: float) -> bool:
    """Option 108 in an OFFER, or in the ACK to an INIT-REBOOT (RFC 8925 section 3.2): when we asked for it, do
    without IPv4 for that long, or until the carrier comes anew. A renewal's ACK changes nothing: the address is
    in use."""
    wait = replies.ipv6_only_wait(answer, m.config)
    if wait is None:
        return False
    m.conclude(Outcome(
        purpose=exchange.purpose, result=Result.IPV6_ONLY,
        via=Via.BROADCAST if exchange.purpose is Purpose.REBOOT else Via.DISCOVER, attempts=exchange.attempts,
        latency=now - exchange.started_at, server=answer.server_id, address=None,
        former_address=held.address if held is not None else None, lease_time=None,
        seconds_left=held.seconds_left(now) if held is not None else 0.0,
        cause=f"IPv6-only network, no IPv4 for {wait:.0f} s", xid=exchange.xid, started_at=exchange.started_at,
        ended_at=now,
    ))
    arp.stop_asking(m)
    m.enter(Init(held, Purpose.ACQUIRE, Cause.IPV6_ONLY_OVER.value, True), Reason.IPV6_ONLY, now)
    m.timers.set(Timer.START, now + wait)
    return True


def nak_cause(nak: Message) -> str:
    """Who said NAK, and the text that came with it (option 56), for people."""
    text = f" ({nak.error_text})" if nak.error_text else ""
    return f"NAK from {nak.server_id or 'a server without a name'}{text}"


def refused(exchange: Exchange, nak: Message, cause: str, held: Lease | None, now: float) -> Outcome:
    """The record of an exchange that ``nak`` ends; ``held`` is the lease that stays in use, if there is one."""
    return Outcome(
        purpose=exchange.purpose, result=Result.REFUSED, via=Via.BROADCAST, attempts=exchange.attempts,
        latency=now - exchange.started_at, server=nak.server_id, address=None,
        former_address=held.address if held is not None else None, lease_time=None,
        seconds_left=held.seconds_left(now) if held is not None else 0.0, cause=cause, xid=exchange.xid,
        started_at=exchange.started_at, ended_at=now,
    )
