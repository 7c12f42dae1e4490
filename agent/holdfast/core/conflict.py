"""Address conflict detection (RFC 5227), as far as the protocol decides it.

"optimistic" asks while the REQUEST is under way and for a few seconds after the address is
configured, so that a boot is not delayed; "strict" asks first, in PROBING. A conflict that shows
up in that time is proven against an address we are only just taking, so it is declined (RFC 2131
section 4.4.1). Later claims are not believed: anyone on the link could end a lease by one forged
ARP packet. The exception is a lease held against its server's NAK: then a claim is news of its
new owner. Renewals are never probed (rule 71).
"""

from __future__ import annotations

from ipaddress import IPv4Address

from holdfast.core import overtime, requests, schedule
from holdfast.core.actions import Announce, DeconfigureReason, Forget, NoticeCode, Probe, Transmit
from holdfast.core.events import AddressConflict
from holdfast.core.machine import Acd, Machine
from holdfast.core.outcome import Outcome, Path, Result
from holdfast.core.states import Bound, Init, Probing, Rebinding, Renewing, Requesting, Selecting
from holdfast.core.timers import Timer
from holdfast.wire.message import ANY, BROADCAST


def start_probing(m: Machine, address: IPv4Address, now: float) -> None:
    """Begin to ask the link for ``address``, unless detection is off or the address is in use by us."""
    lease = m.lease
    if m.config.acd == "off" or (lease is not None and lease.address == address):
        return
    if m.acd is not None and m.acd.address == address:
        return
    m.acd = Acd(address)
    m.watch()  # listen before asking
    probe(m, now)


def probe_again(m: Machine, address: IPv4Address, now: float) -> None:
    """As ``start_probing``, for an address that we use and are no longer sure of: a conflict that shows up now is
    believed, as if it had just been taken."""
    if m.config.acd == "off":
        return
    m.acd = Acd(address, announced=schedule.ANNOUNCE_COUNT)
    m.watch()
    probe(m, now)


def probe(m: Machine, now: float) -> bool:
    """Timer PROBE: the next probe or announcement. True when PROBING is over and nobody answered."""
    acd = m.acd
    if acd is None:
        return False
    if isinstance(m.state, Probing) and not m.carrier:
        # Nobody could answer, so silence would prove nothing: carrier starts it over, if the lease lasts so long.
        m.timers.set(Timer.PROBE, m.state.lease.expires_at)
        return not m.state.lease.valid(now)
    lease = m.lease
    if acd.probes < schedule.PROBE_COUNT:
        m.emit(Probe(acd.address))
        m.acd = acd._replace(probes=acd.probes + 1)
        last = acd.probes + 1 == schedule.PROBE_COUNT
        gap = schedule.PROBE_LAST_WAIT if last else m.rng.uniform(*schedule.PROBE_GAP)
        m.timers.set(Timer.PROBE, now + gap)
    elif isinstance(m.state, Probing):
        return True
    elif lease is not None and lease.address == acd.address:
        m.conflicts = 0
        if acd.announced < schedule.ANNOUNCE_COUNT:
            announce(m, now)
        else:
            m.acd = None
    elif isinstance(m.state, Requesting):
        m.timers.set(Timer.PROBE, now + schedule.PROBE_LAST_WAIT)  # a slow server; look again
    else:
        m.acd = None  # the address was not granted after all
    return False


def forget_probes(m: Machine) -> None:
    """A new REQUEST is a new question to the link too: what an earlier one met with is not known of it."""
    lease = m.lease
    if m.acd is not None and (lease is None or lease.address != m.acd.address):
        m.acd = None


def announce(m: Machine, now: float) -> None:
    """Tell the link that the address just configured is ours: twice, 2 s apart (RFC 5227 section 2.3)."""
    acd = m.acd
    assert acd is not None
    m.emit(Announce(acd.address))
    m.acd = acd._replace(announced=acd.announced + 1)
    if acd.probes >= schedule.PROBE_COUNT:
        m.timers.set(Timer.PROBE, now + schedule.ANNOUNCE_GAP)


def on_conflict(m: Machine, event: AddressConflict, now: float) -> None:
    """Somebody else claims an address that we use, hold, or are about to take."""
    state = m.state
    lease = m.lease
    who = event.by.hex(":")
    if m.gateway is not None and event.by == m.gateway.mac:
        # Rule 71: it answers for every address (proxy ARP).
        m.notice(NoticeCode.CONFLICT_IGNORED, f"{who} claims {event.address}, and is the gateway")
    elif isinstance(state, Requesting) and event.address == state.offer.yiaddr and m.acd is not None:
        m.update(state._replace(conflict=event.by))  # declined when the ACK makes it ours to decline
    elif isinstance(state, Probing) and event.address == state.lease.address:
        decline(m, event.address, state.lease.server_id, who, now)
    elif lease is None or event.address != lease.address:
        m.notice(NoticeCode.CONFLICT_IGNORED, f"{who} claims {event.address}, which is not ours")
    elif isinstance(state, (Bound, Renewing, Rebinding)):
        if m.acd is not None and m.acd.address == event.address:
            decline(m, event.address, lease.server_id, who, now)
        else:
            m.notice(NoticeCode.CONFLICT_IGNORED, f"{who} claims {event.address}; the lease is ours and kept")
            overtime.on_claim(m, lease)
    else:
        assert isinstance(state, (Init, Selecting, Requesting, Probing))
        if lease.ended_at is not None:
            m.conclude(overtime.outcome(lease, Result.CONFLICT, f"{who} has {lease.address}", now))
        m.enter(
            state._replace(held=None), "the held address belongs to somebody else", now, DeconfigureReason.CONFLICT
        )


def decline(m: Machine, address: IPv4Address, server_id: IPv4Address | None, who: str, now: float) -> None:
    """Give ``address`` back as taken by somebody else, and stay away for 10 s (rule 43)."""
    state = m.state
    lease = m.lease
    losing = lease if lease is not None and lease.address == address else None
    held = None if losing is not None else lease
    in_hand = state.in_hand if isinstance(state, Probing) else lease
    m.conflicts += 1
    m.acd = None
    m.timers.stop(Timer.PROBE)
    xid = m.new_xid()
    message = requests.decline(m.config, xid, address, server_id)
    m.emit(Transmit(message, Path.BROADCAST, ANY, BROADCAST))
    if held is None:
        m.emit(Forget())  # else what is stored is the held lease
    cause = f"{who} has {address}"
    m.conclude(Outcome(
        purpose="acquire", result=Result.CONFLICT, path=None, attempts=0, latency=None, server=server_id,
        address=None, former_address=address, lease_time=None,
        seconds_left=in_hand.seconds_left(now) if in_hand is not None else 0.0,
        cause=cause, xid=xid, started_at=now, ended_at=now,
    ))
    if m.hint == address:
        m.hint = None
    on = (
        "ACK of an address that somebody else has: DECLINE"
        if isinstance(state, Requesting)
        else "somebody else has the address: DECLINE"
    )
    why = DeconfigureReason.CONFLICT if losing is not None else None
    m.enter(Init(held, "acquire", cause), on, now, why)
    m.timers.set(Timer.START, now + schedule.conflict_wait(m.conflicts))
