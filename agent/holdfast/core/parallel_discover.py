"""The DISCOVER in parallel with the renewal ladder: a lease is kept, and asked for anew at the same time.

A server that forgot the lease, or that took over from the one that gave it, does not answer a
renewal. From T2 on, or when another server has refused us, every second round therefore also asks by
DISCOVER for the same address. An OFFER of it is taken at once; an OFFER of another address is kept
in reserve and used when the lease is nearly over, new before old.

It is used sooner where this is another network (rules 49, 82). Where another machine answers for the gateway that
the lease remembers: when three rounds have brought no other answer. Where it does, or nobody answers for the gateway,
and the OFFER is plainly of another network: when one round has. A server that may be of the same network, and answers
before gateway and server are back from a power cut, takes no address from us.
"""

from __future__ import annotations

from holdfast.core import bound, proxy_arp, replies, requests, schedule
from holdfast.core.actions import DropReason, NoticeCode, Transmit
from holdfast.core.lease import Lease
from holdfast.core.machine import Machine
from holdfast.core.outcome import Via
from holdfast.core.states import Network, ParallelDiscover, ParallelRequest
from holdfast.wire import options as opt
from holdfast.wire.message import ANY, BROADCAST, Message

#: OFFERs to one DISCOVER that are looked at. More servers than this on one link are noise or malice, and each
#: OFFER may bring a REQUEST.
OFFERS_MAX = 8


def discover(m: Machine, now: float) -> None:
    """Send a parallel DISCOVER, asking for the address we have: each a new exchange, so that a lease it
    wins is counted from the right REQUEST."""
    state = bound.renewing_state(m)
    renewal = state.renewal
    secs = requests.secs_since(renewal.started_at or now, now)
    parallel = ParallelDiscover(m.new_xid(), secs, renewal.number)
    if renewal.parallel is not None:
        parallel = parallel._replace(request=renewal.parallel.request, reserve=renewal.parallel.reserve)
    message = requests.discover(m.config._replace(rapid_commit=False), parallel.xid, secs, state.lease.address)
    m.emit(Transmit(message, Via.DISCOVER, ANY, BROADCAST))
    m.update(state._replace(renewal=renewal._replace(parallel=parallel, attempts=renewal.attempts + 1)))


def on_offer(m: Machine, offer: Message, now: float) -> None:
    """An OFFER to a parallel DISCOVER: the same address is taken, another kept in reserve until it is needed."""
    state = bound.renewing_state(m)
    lease, renewal = state.lease, state.renewal
    parallel = renewal.parallel
    reason = replies.offer_refusal(offer, m.config)
    if parallel is None or offer.xid != parallel.xid or reason is not None:
        m.drop(reason or DropReason.UNEXPECTED, offer, "OFFER")
    elif parallel.request is not None and parallel.request.offer == offer:
        m.drop(DropReason.UNEXPECTED, offer, "an OFFER that is being requested")  # else each copy is a REQUEST
    elif parallel.offers >= OFFERS_MAX:
        m.drop(DropReason.UNEXPECTED, offer, "more OFFERs than can be weighed")
    else:
        parallel = parallel._replace(offers=parallel.offers + 1)
        m.update(state._replace(renewal=renewal._replace(parallel=parallel)))
        _weigh(m, lease, parallel, offer, now)


def _weigh(m: Machine, lease: Lease, parallel: ParallelDiscover, offer: Message, now: float) -> None:
    if offer.yiaddr == lease.address:
        _request(m, offer, parallel.secs, now)
    elif parallel.reserve is None or _wanted(m, now):
        detail = f"{offer.server_id} offers {offer.yiaddr}; kept for the end of {lease.address}"
        m.notice(NoticeCode.OFFER_RESERVED, detail)
        state = bound.renewing_state(m)
        parallel = parallel._replace(reserve=(offer, parallel.secs))
        m.update(state._replace(renewal=state.renewal._replace(parallel=parallel)))
        if _wanted(m, now):
            _request(m, offer, parallel.secs, now)


def use_reserve(m: Machine, now: float) -> None:
    """REQUEST the OFFER in reserve, again in every round, when it is wanted."""
    parallel = bound.renewing_state(m).renewal.parallel
    if parallel is not None and parallel.reserve is not None and _wanted(m, now):
        _request(m, *parallel.reserve, now)


def _request(m: Machine, offer: Message, secs: int, now: float) -> None:
    """REQUEST what was offered to a parallel DISCOVER (``secs`` is that one's), while the lease stays in use."""
    state = bound.renewing_state(m)
    renewal = state.renewal
    assert renewal.parallel is not None
    message = requests.request_selecting(m.config, offer.xid, secs, offer)
    m.emit(Transmit(message, Via.DISCOVER, ANY, BROADCAST))
    asked = renewal.parallel.request
    if asked is None or asked.offer != offer:
        asked = ParallelRequest(offer, secs, now)
    m.update(state._replace(renewal=renewal._replace(parallel=renewal.parallel._replace(request=asked),
                                                     attempts=renewal.attempts + 1)))


def on_ack(m: Machine, ack: Message, now: float) -> None:
    """An ACK to the REQUEST that follows it: the lease is found again, or the reserve is ours."""
    state = bound.renewing_state(m)
    asked = _asked(state.renewal.parallel, ack)
    if asked is None:
        m.drop(DropReason.UNEXPECTED, ack, "ACK to a DISCOVER")
        return
    fallback = replies.duration(asked.offer.lease_time)
    new = bound.accept_ack(m, ack, sent_at=asked.sent_at, fallback_time=fallback, now=now)
    if new is not None:
        bound.renewed(m, new, Via.DISCOVER, ack.xid, asked.sent_at, now)


def on_nak(m: Machine, nak: Message) -> None:
    """What was offered in parallel is not to be had after all."""
    state = bound.renewing_state(m)
    parallel = state.renewal.parallel
    asked = _asked(parallel, nak)
    if parallel is None or asked is None:
        m.drop(DropReason.OTHER_SERVER, nak, "NAK to a DISCOVER")
        return
    reserve = parallel.reserve if parallel.reserve is not None and parallel.reserve[0] != asked.offer else None
    parallel = parallel._replace(request=None, reserve=reserve)
    m.update(state._replace(renewal=state.renewal._replace(parallel=parallel)))


def _asked(parallel: ParallelDiscover | None, answer: Message) -> ParallelRequest | None:
    """The REQUEST that ``answer`` (ACK or NAK) answers, or None. The server that it names may be another than in the
    OFFER when it grants what was offered (rule 79)."""
    asked = parallel.request if parallel is not None else None
    if asked is None or answer.xid != asked.offer.xid:
        return None
    named, offered = answer.options.get(opt.SERVER_ID), asked.offer.options.get(opt.SERVER_ID)
    return asked if named == offered or answer.yiaddr == asked.offer.yiaddr else None


def elsewhere(m: Machine) -> bool:
    """True when another address is on offer and this is another network."""
    return _rounds_here(m) is not None


def _rounds_here(m: Machine) -> int | None:
    """Where another address is on offer and this is another network: how many rounds must have asked everybody here
    for the lease in vain. None where it is not."""
    state, network = bound.renewing_state(m), m.arp.network
    parallel = state.renewal.parallel
    if parallel is None or parallel.reserve is None or network not in (Network.OTHER, Network.SILENT):
        return None
    if _foreign(m, state.lease, parallel.reserve[0]):
        return 1
    return schedule.VERIFY_ROUNDS if network is Network.OTHER else None


def _foreign(m: Machine, lease: Lease, offer: Message) -> bool:
    """True when ``offer`` is plainly of another network than ``lease``: of another server, by way of another gateway,
    and neither subnet holds the other's address."""
    gateway = m.gateway.address if m.gateway is not None else None
    return (
        offer.server_id not in (None, lease.server_id)
        and gateway not in proxy_arp.hops(offer.options)
        and not any(
            replies.same_subnet(lease.address, offer.yiaddr, options) for options in (lease.options, offer.options)
        )
    )


def _wanted(m: Machine, now: float) -> bool:
    """Time to take another address: the lease is nearly over, or this is another network."""
    state, rounds = bound.renewing_state(m), _rounds_here(m)
    return _nearly_over(state.lease, now) or (rounds is not None and state.renewal.number > rounds)


def _nearly_over(lease: Lease, now: float) -> bool:
    window = max(schedule.RESERVE_WINDOW_MIN, min(schedule.RESERVE_WINDOW, lease.lease_time / 8))
    return lease.seconds_left(now) <= window
