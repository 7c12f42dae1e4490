"""Promises kept or broken, computed from what was seen on the wire and from netlink (promise 6: from the records).

Nothing here asks the client. The server's clock bounds a lease from both sides: it ends no earlier than the first
REQUEST of the exchange plus its length, and no later than the ACK plus its length (RFC 2131 section 4.4.5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from typing import Any, NamedTuple

from holdfast_lab.witness.exchanges import Renewal, Span, renewals, spans
from holdfast_lab.witness.watch import PROBE_GAP, Event, Probe
from holdfast_lab.witness.wirelog import Seen

#: Bounds of promise 1, seconds: from the first unicast to the first broadcast (rule 35), and to the ACK.
FALLBACK = {False: 2.0, True: 0.25}
ANSWERED = {False: 2.5, True: 0.6}
#: What instants may be off by, seconds: two witnesses see one thing at two moments. What the client and the server
#: waited for a processor is counted apart (``Evidence.waits``).
SLACK = 0.25


class Finding(NamedTuple):
    """One promise, judged. ``promise`` is its number in the design."""

    promise: int
    kept: bool
    text: str


@dataclass(frozen=True)
class Evidence:
    """All that the witnesses saw of one run on link ``ifindex``, and when it ended.

    ``probes``: by address. ``records``: the outcome journal. ``foreign``: addresses and routes that others put
    there and that must not move. ``excused``: times in which the cable was out, or nobody could expect the client to
    have seen yet what somebody else did. ``released``: the operator gave the lease back. ``meddled``: instants at which
    somebody else removed the client's address. ``contested``: somebody else has the address too (a proven conflict).
    ``delay``: seconds that the server takes for each answer. ``orphaned``: the client is dead, and the kernel alone
    ends the lease, by whole seconds (round_jiffies_up in its check_lifetime). ``waits``: samples of how long the client
    and the servers have waited for a processor so far, as ProcessorWatch takes them.
    """

    wire: Sequence[Seen]
    events: Sequence[Event]
    ended_at: float
    ifindex: int
    probes: Mapping[str, Sequence[Probe]] = field(default_factory=dict)
    records: Sequence[Mapping[str, Any]] | None = None
    foreign: frozenset[str] = frozenset()
    excused: Sequence[tuple[float, float]] = ()
    released: bool = False
    meddled: Sequence[float] = ()
    contested: frozenset[str] = frozenset()
    delay: float = 0.0
    orphaned: bool = False
    waits: Sequence[tuple[float, float]] = ()

    def waited(self, since: float, until: float) -> float:
        """Seconds that client and servers waited for a processor in that time, as well as the samples can tell."""
        if not self.waits:
            return 0.0
        before = [waited for at, waited in self.waits if at <= since] or [self.waits[0][1]]
        after = [waited for at, waited in self.waits if at >= until] or [self.waits[-1][1]]
        return after[0] - before[-1]


def judge(evidence: Evidence) -> list[Finding]:
    """One finding per broken promise and fault, or one "kept" per promise."""
    checks = (_fallback, _held, _ended, _undisturbed, _ordered, _recorded)
    findings = []
    for promise, check in enumerate(checks, start=1):
        broken = check(evidence)
        if broken is None:
            continue
        findings += [Finding(promise, False, text) for text in broken]
        if not broken:
            findings.append(Finding(promise, True, KEPT[promise]))
    return findings


KEPT = {
    1: "every unanswered unicast was followed by a broadcast at once",
    2: "the address was there and answered for as long as its lease was valid",
    3: "no address outlived its lease",
    4: "no renewal removed or re-made an address or a route",
    5: "a new address was there before the old one went",
    6: "every renewal left its record",
}


def _fallback(evidence: Evidence) -> list[str] | None:
    """Promise 1; None when no unicast went unanswered."""
    broken, deaf, judged = [], False, False
    for renewal in renewals(evidence.wire):
        if renewal.by_unicast:
            deaf = False
            continue
        if renewal.unicast_at is None or renewal.refused:
            continue
        judged = True
        gap, limit = renewal.fallback, FALLBACK[deaf] + SLACK
        limit += evidence.waited(renewal.unicast_at, renewal.unicast_at + (limit if gap is None else gap))
        if gap is None and not _settled(evidence, renewal.unicast_at, limit):
            broken.append(f"xid {renewal.xid:#x}: no broadcast after the unanswered unicast")
        elif gap is not None and gap > limit:
            broken.append(f"xid {renewal.xid:#x}: the broadcast came {gap:.2f} s after the unicast")
        latency = renewal.latency
        if latency is not None and not renewal.silent:
            own = latency - evidence.waited(renewal.unicast_at, renewal.unicast_at + latency)
            if own > ANSWERED[deaf] + evidence.delay + SLACK:
                broken.append(f"xid {renewal.xid:#x}: {latency:.2f} s from the unicast to the ACK")
        if renewal.ack_at is not None:
            deaf = True
    return broken if judged else None


def _settled(evidence: Evidence, asked_at: float, limit: float) -> bool:
    """True when a new lease (by a DISCOVER beside the renewal) or the end of the run came before ``limit``."""
    last = asked_at + limit
    return evidence.ended_at <= last or any(asked_at <= span.start <= last for span in spans(evidence.wire))


def _held(evidence: Evidence) -> list[str]:
    """Promise 2: by netlink, and by asking the wire for the address."""
    broken = []
    leases = spans(evidence.wire)
    for event in _ours(evidence, "address-"):
        address = event.what.partition("/")[0]
        mine = [lease for lease in leases if lease.address == address and lease.start <= event.at]
        moved = any(
            lease.address != address and lease.start <= event.at
            for lease in leases
            if mine and lease.start > mine[-1].start
        )
        if moved or evidence.released or address in evidence.contested or _meddled(evidence, event):
            continue
        if mine and event.at < mine[-1].earliest - SLACK:
            left = mine[-1].earliest - event.at
            broken.append(f"{address} was removed with {left:.1f} s of its lease left")
    for address, probes in evidence.probes.items():
        silent = [probe for probe in probes if probe.answered_at is None and _must_answer(evidence, leases, probe)]
        if silent:
            broken.append(f"{address} did not answer {len(silent)} of {len(probes)} probes while its lease was valid")
    return broken


def unreachable(evidence: Evidence) -> list[tuple[float, float]]:
    """The times in which the client's address did not answer while its lease was valid (CLOCK_BOOTTIME)."""
    leases, gaps = spans(evidence.wire), []
    for probes in evidence.probes.values():
        last = -inf
        for probe in probes:
            if probe.answered_at is not None or not _must_answer(evidence, leases, probe):
                last = -inf
                continue
            if last == -inf:
                gaps.append((probe.at, probe.at + PROBE_GAP))
            gaps[-1] = (gaps[-1][0], probe.at + PROBE_GAP)
            last = probe.at
    return sorted(gaps)


def _meddled(evidence: Evidence, event: Event) -> bool:
    """True when ``event`` is somebody else's doing; netlink tells within that time."""
    return any(abs(event.at - at) < SLACK for at in evidence.meddled)


def _must_answer(evidence: Evidence, leases: Sequence[Span], probe: Probe) -> bool:
    """True when the address of ``probe`` was the client's then: configured once, valid, not moved away from."""
    at = probe.at
    if any(start <= at <= end for start, end in evidence.excused) or evidence.released:
        return False
    if probe.address in evidence.contested:
        return False
    current = [lease for lease in leases if lease.start <= at + SLACK]
    if not current or current[-1].address != probe.address:
        return False
    came = _first(evidence, "address+", probe.address, _tenure(current) - SLACK)
    return came <= at < current[-1].earliest - SLACK


def _tenure(leases: Sequence[Span]) -> float:
    """Since when the last of ``leases`` has been prolonged without a break."""
    start = leases[-1].start
    for former, latter in reversed(list(pairwise(leases))):
        if former.address != latter.address or former.latest < latter.start:
            break
        start = former.start
    return start


def _ended(evidence: Evidence) -> list[str]:
    """Promise 3: gone no later than a second after the lease's end; two when only the kernel is left to do it."""
    broken = []
    leases = spans(evidence.wire)
    for address in {lease.address for lease in leases}:
        latest = max(lease.latest for lease in leases if lease.address == address)
        history = [e for e in _ours(evidence, "address+", "address-") if e.what.partition("/")[0] == address]
        limit = (2.0 if evidence.orphaned else 1.0) + SLACK
        limit += evidence.waited(latest, latest + limit)
        if not history or latest + limit >= evidence.ended_at:
            continue
        over = [event for event in history if event.at > latest + limit]
        before = [event for event in history if event.at <= latest + limit]
        if (before and before[-1].kind == "address+") or any(event.kind == "address+" for event in over):
            broken.append(f"{address} was still there a second after its lease had ended")
    return broken


def _undisturbed(evidence: Evidence) -> list[str]:
    """Promise 4: no removal that is not a move, an expiry or a release; nothing of others touched."""
    broken = [f"{event.what} of somebody else was removed" for event in _all_foreign(evidence)]
    leases = spans(evidence.wire)
    for event in _ours(evidence, "route-"):
        current = [lease for lease in leases if lease.start <= event.at]
        if not current or evidence.released or event.at >= current[-1].earliest - SLACK:
            continue
        if _meddled(evidence, event) or current[-1].address in evidence.contested:
            continue
        moved = len({lease.address for lease in current}) > 1
        if not moved and not any(start <= event.at <= end for start, end in evidence.excused):
            broken.append(f"the route {event.what} was removed while the lease was valid")
    return broken


def _all_foreign(evidence: Evidence) -> list[Event]:
    gone = [event for event in evidence.events if event.kind in {"address-", "route-"}]
    return [event for event in gone if event.what in evidence.foreign]


def _ordered(evidence: Evidence) -> list[str] | None:
    """Promise 5; None when the address never changed."""
    leases = spans(evidence.wire)
    moves = [(a, b) for a, b in pairwise(leases) if a.address != b.address and b.start < a.earliest]
    broken = []
    for former, latter in moves:
        came = _first(evidence, "address+", latter.address, latter.start - SLACK)
        went = _first(evidence, "address-", former.address, latter.start - SLACK)
        if went < came and went < former.earliest - SLACK:
            broken.append(f"{former.address} went before {latter.address} was there")
    return broken if moves else None


def _first(evidence: Evidence, kind: str, address: str, since: float) -> float:
    events = _ours(evidence, kind)
    return next((e.at for e in events if e.at >= since and e.what.partition("/")[0] == address), inf)


def _recorded(evidence: Evidence) -> list[str] | None:
    """Promise 6; None when there is no journal to read."""
    if evidence.records is None:
        return None
    missing = unrecorded(evidence.wire, evidence.records)
    answered = len(_answered(evidence.wire))
    return [f"renewals answered: {answered}; on record: {answered - missing}"] if missing > 0 else []


def unrecorded(wire: Sequence[Seen], records: Sequence[Mapping[str, Any]]) -> int:
    """How many more renewals were answered on the ``wire`` than are in the journal."""
    renewed = [record for record in records if record.get("result") in {"renewed", "moved"}]
    return len(_answered(wire)) - len(renewed)


def _answered(wire: Sequence[Seen]) -> list[Renewal]:
    return [renewal for renewal in renewals(wire) if renewal.ack_at is not None]


def _ours(evidence: Evidence, *kinds: str) -> list[Event]:
    """Events of the client's link that are not about what others put there."""
    return [
        event
        for event in evidence.events
        if event.kind in kinds and event.ifindex == evidence.ifindex and event.what not in evidence.foreign
    ]
