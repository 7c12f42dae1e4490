"""The DISCOVER beside the ladder: a lease is kept, and asked for anew at the same time.

A server that forgot the lease, or that took over from the one that gave it, does not answer a
renewal. From T2 on, or when another server has refused us, every second round therefore also asks by
DISCOVER for the same address. An OFFER of it is taken at once; an OFFER of another address is kept
in reserve and used when the lease is nearly over, new before old; or, where another gateway answers than
the one that the lease remembers, when three rounds have brought no other answer.
"""

from __future__ import annotations

from holdfast.core import binding, replies, requests, schedule
from holdfast.core.actions import DropReason, NoticeCode, Transmit
from holdfast.core.lease import Lease
from holdfast.core.machine import Machine, Network
from holdfast.core.outcome import Path
from holdfast.core.states import Asked, Renewal, Side
from holdfast.wire.message import ANY, BROADCAST, Message

#: OFFERs to one DISCOVER that are looked at. More servers than this on one link are noise or malice, and each
#: OFFER may bring a REQUEST.
OFFERS_MAX = 8


def xids(side: Side | None) -> tuple[int, ...]:
    """The xids of the DISCOVER beside, and of the REQUEST that may belong to an earlier one."""
    if side is None:
        return ()
    return (side.xid,) if side.asked is None else (side.xid, side.asked.offer.xid)


def discover(m: Machine, now: float) -> None:
    """DISCOVER beside the ladder, asking for the address we have: each a new exchange, so that a lease it
    wins is counted from the right REQUEST."""
    state = binding.renewing_state(m)
    renewal = state.renewal
    secs = requests.secs_since(renewal.started_at or now, now)
    side = Side(m.new_xid(), secs, renewal.number)
    if renewal.side is not None:
        side = side._replace(asked=renewal.side.asked, reserve=renewal.side.reserve)
    message = requests.discover(m.config._replace(rapid_commit=False), side.xid, secs, state.lease.address)
    m.emit(Transmit(message, Path.DISCOVER, ANY, BROADCAST))
    m.update(state._replace(renewal=renewal._replace(side=side, attempts=renewal.attempts + 1)))


def on_offer(m: Machine, offer: Message, now: float) -> None:
    """An OFFER to the DISCOVER beside: the same address is taken, another kept in reserve until it is needed."""
    state = binding.renewing_state(m)
    lease, renewal = state.lease, state.renewal
    side = renewal.side
    reason = replies.offer_refusal(offer)
    if side is None or offer.xid != side.xid or reason is not None:
        m.drop(reason or DropReason.UNEXPECTED, offer, "OFFER")
    elif side.asked is not None and side.asked.offer == offer:
        m.drop(DropReason.UNEXPECTED, offer, "an OFFER that is being requested")  # else each copy is a REQUEST
    elif side.offers >= OFFERS_MAX:
        m.drop(DropReason.UNEXPECTED, offer, "more OFFERs than can be weighed")
    else:
        side = side._replace(offers=side.offers + 1)
        m.update(state._replace(renewal=renewal._replace(side=side)))
        _weigh(m, lease, side, offer, now)


def _weigh(m: Machine, lease: Lease, side: Side, offer: Message, now: float) -> None:
    if offer.yiaddr == lease.address:
        request(m, offer, side.secs, now)
    elif side.reserve is None or _wanted(m, now):
        detail = f"{offer.server_id} offers {offer.yiaddr}; kept for the end of {lease.address}"
        m.notice(NoticeCode.OFFER_RESERVED, detail)
        state = binding.renewing_state(m)
        m.update(state._replace(renewal=state.renewal._replace(side=side._replace(reserve=(offer, side.secs)))))
        if _wanted(m, now):
            request(m, offer, side.secs, now)


def use_reserve(m: Machine, now: float) -> None:
    """REQUEST the OFFER in reserve, again in every round, when it is wanted."""
    side = binding.renewing_state(m).renewal.side
    if side is not None and side.reserve is not None and _wanted(m, now):
        request(m, *side.reserve, now)


def request(m: Machine, offer: Message, secs: int, now: float) -> None:
    """REQUEST what was offered to a DISCOVER beside (``secs`` is that one's), while the lease stays in use."""
    state = binding.renewing_state(m)
    renewal = state.renewal
    assert renewal.side is not None
    message = requests.request_selecting(m.config, offer.xid, secs, offer)
    m.emit(Transmit(message, Path.DISCOVER, ANY, BROADCAST))
    asked = renewal.side.asked
    if asked is None or asked.offer != offer:
        asked = Asked(offer, secs, now)
    m.update(state._replace(renewal=renewal._replace(side=renewal.side._replace(asked=asked),
                                                     attempts=renewal.attempts + 1)))


def on_ack(m: Machine, ack: Message, now: float) -> None:
    """An ACK to the REQUEST beside: the lease is found again, or the reserve is ours."""
    state = binding.renewing_state(m)
    asked = _asked(state.renewal.side, ack)
    if asked is None:
        m.drop(DropReason.UNEXPECTED, ack, "ACK to a DISCOVER")
        return
    fallback = replies.duration(asked.offer.lease_time)
    new = binding.accept_ack(m, ack, sent_at=asked.sent_at, fallback_time=fallback, now=now)
    if new is not None:
        binding.renewed(m, new, Path.DISCOVER, ack.xid, asked.sent_at, now)


def on_nak(m: Machine, nak: Message) -> None:
    """What was offered beside is not to be had after all."""
    state = binding.renewing_state(m)
    side = state.renewal.side
    asked = _asked(side, nak)
    if side is None or asked is None:
        m.drop(DropReason.OTHER_SERVER, nak, "NAK to a DISCOVER")
        return
    reserve = side.reserve if side.reserve is not None and side.reserve[0] != asked.offer else None
    m.update(state._replace(renewal=state.renewal._replace(side=side._replace(asked=None, reserve=reserve))))


def _asked(side: Side | None, answer: Message) -> Asked | None:
    """The REQUEST beside that ``answer`` (ACK or NAK) answers, or None."""
    asked = side.asked if side is not None else None
    if asked is None or answer.xid != asked.offer.xid or answer.server_id != asked.offer.server_id:
        return None
    return asked


def elsewhere(m: Machine, renewal: Renewal) -> bool:
    """True when another address is on offer where another gateway answers than the lease's (rule 49)."""
    return m.network is Network.OTHER and renewal.side is not None and renewal.side.reserve is not None


def _wanted(m: Machine, now: float) -> bool:
    """Time to take another address: the lease is nearly over, or this is another network, and everybody here has
    been asked for the lease in vain."""
    state = binding.renewing_state(m)
    asked_enough = state.renewal.number > schedule.VERIFY_ROUNDS
    return _nearly_over(state.lease, now) or (asked_enough and elsewhere(m, state.renewal))


def _nearly_over(lease: Lease, now: float) -> bool:
    window = max(schedule.RESERVE_WINDOW_MIN, min(schedule.RESERVE_WINDOW, lease.lease_time / 8))
    return lease.seconds_left(now) <= window
