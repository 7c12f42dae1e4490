"""What came of one run: findings, figures, and all that a picture needs.

All instants are seconds after the first ACK.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from math import inf
from typing import Any, NamedTuple

from holdfast_lab.scenario.scenario import Scenario
from holdfast_lab.witness.exchanges import renewals, spans
from holdfast_lab.witness.verdict import Evidence, Finding, judge, unreachable
from holdfast_lab.witness.wirelog import Seen


class Mark(NamedTuple):
    """One message. ``sign``: "unicast", "broadcast" (renewals), "ask" (any other request), "ack", "nak", "offer"."""

    at: float
    sign: str
    words: str


class Band(NamedTuple):
    """From, to; ``what`` is an address, or what was wrong then."""

    start: float
    end: float
    what: str


@dataclass(frozen=True)
class Result:
    """One client in one scenario.

    ``bound``: it got a lease and configured it. ``findings``: (promise, kept, text). ``unreachable``: seconds in which
    the address did not answer while its lease was valid. ``recovery``: seconds from the server's return to the
    fresh lease, less those that client and servers waited for a processor, None when that is not asked, inf when there
    was none before the end. ``waited``: seconds from the first unanswered request of a renewal to its ACK, the longest.
    ``packets``: that the client sent.
    """

    scenario: str
    client: str
    version: str
    lease: tuple[int, int | None, int | None]
    bound: bool
    first_address: float | None = None
    findings: tuple[tuple[int, bool, str], ...] = ()
    unreachable: float = 0.0
    recovery: float | None = None
    waited: float = 0.0
    packets: int = 0
    renewals: int = 0
    ended: float = 0.0
    marks: tuple[Mark, ...] = ()
    present: tuple[Band, ...] = ()
    leased: tuple[Band, ...] = ()
    gaps: tuple[Band, ...] = ()
    deeds: tuple[tuple[float, str], ...] = ()
    error: str = ""
    log: str = field(default="", compare=False)

    @property
    def broken(self) -> list[str]:
        """What was not kept, a line each."""
        if self.error:
            return [self.error]
        lost = [] if self.bound else ["it never had an address"]
        return lost + [f"promise {number}: {text}" for number, kept, text in self.findings if not kept]

    @property
    def broken_promises(self) -> list[int]:
        """Their numbers."""
        return sorted({number for number, kept, _text in self.findings if not kept})

    def as_json(self) -> dict[str, Any]:
        """JSON values; an infinite recovery is "never"."""
        table = asdict(self)
        del table["log"]
        return {**table, "recovery": "never" if self.recovery == inf else self.recovery}

    @staticmethod
    def from_json(table: Mapping[str, Any]) -> Result:
        """What ``as_json`` made."""
        values = dict(table)
        for key, kind in (("marks", Mark), ("present", Band), ("leased", Band), ("gaps", Band)):
            values[key] = tuple(kind(*entry) for entry in values[key])
        for key in ("findings", "deeds", "lease"):
            values[key] = tuple(tuple(entry) if isinstance(entry, list) else entry for entry in values[key])
        values["recovery"] = inf if values["recovery"] == "never" else values["recovery"]
        return Result(**values)


def judged(scenario: Scenario, evidence: Evidence, started_at: float, *, client: str, version: str) -> Result:
    """The findings and figures of a run."""
    acks = [seen.at for seen in evidence.wire if seen.kind == "ACK"]
    zero = acks[0] if acks else started_at
    came = next((event.at for event in evidence.events if _is_ours(evidence, event.ifindex, event.what)), None)
    gaps = unreachable(evidence)
    answered = [renewal for renewal in renewals(evidence.wire) if renewal.ack_at is not None]
    lease = scenario.lease
    return Result(
        scenario=scenario.name,
        client=client,
        version=version,
        lease=(lease.time, lease.t1, lease.t2),
        bound=bool(acks) and came is not None,
        first_address=None if came is None else round(came - started_at, 3),
        findings=tuple(_tuples(judge(evidence))),
        unreachable=round(sum(end - start for start, end in gaps), 2),
        recovery=_recovery(scenario, evidence, zero) if acks else None,
        waited=round(longest_wait(evidence), 2),
        packets=sum(seen.direction == "in" for seen in evidence.wire),
        renewals=len(answered),
        ended=round(evidence.ended_at - zero, 2),
        marks=tuple(_marks(evidence, zero)),
        present=tuple(_present(evidence, zero)),
        leased=tuple(_leased(evidence, zero)),
        gaps=tuple(Band(round(start - zero, 2), round(end - zero, 2), "") for start, end in gaps),
    )


def _tuples(findings: list[Finding]) -> list[tuple[int, bool, str]]:
    return [(finding.promise, finding.kept, finding.text) for finding in findings]


def _is_ours(evidence: Evidence, ifindex: int, what: str) -> bool:
    given = {span.address for span in spans(evidence.wire)}
    return ifindex == evidence.ifindex and what.partition("/")[0] in given


def _recovery(scenario: Scenario, evidence: Evidence, zero: float) -> float | None:
    """Seconds from the server's return to the next ACK, less what client and servers waited for a processor; inf
    without one."""
    if scenario.back is None:
        return None
    back = zero + scenario.moment(scenario.back)
    fresh = next((span.start for span in spans(evidence.wire) if span.start >= back), inf)
    return fresh if fresh == inf else round(max(0.0, fresh - back - evidence.waited(back, fresh)), 2)


def longest_wait(evidence: Evidence) -> float:
    """From the first request after an ACK to the next ACK (or to the end), the longest."""
    longest, asked_at = 0.0, None
    acks = {span.start for span in spans(evidence.wire)}
    bound = False
    for seen in evidence.wire:
        if seen.direction == "in" and bound and asked_at is None and seen.kind in {"REQUEST", "DISCOVER"}:
            asked_at = seen.at
        elif seen.kind == "ACK" and seen.at in acks:
            bound = True
            longest = max(longest, seen.at - asked_at if asked_at else 0.0)
            asked_at = None
    return max(longest, evidence.ended_at - asked_at if asked_at else 0.0)


def _marks(evidence: Evidence, zero: float) -> list[Mark]:
    found: list[Mark] = []
    later = evidence.ended_at
    for seen in reversed(evidence.wire):
        # A server's stamp is taken after its answer was sent, so the client's next message may carry an earlier one.
        later = min(seen.at, later)
        found.append(_mark(seen, round(later - zero, 2)))
    return found[::-1]


def _mark(seen: Seen, at: float) -> Mark:
    if seen.direction == "out":
        lost = " (lost)" if seen.note.startswith(("lost", "not sent")) else ""
        address = "" if seen.kind == "NAK" else f" {seen.yiaddr}"
        return Mark(at, "lost" if lost else seen.kind.lower(), f"{seen.kind}{address} from {seen.server_id}{lost}")
    sign = "unicast" if seen.unicast_renewal else "broadcast" if seen.broadcast_renewal else "ask"
    words = f"{seen.kind} to {'everybody' if seen.destination == '255.255.255.255' else seen.destination}"
    return Mark(at, sign, words + (f": {seen.note}" if seen.note != "answered" else ""))


def _present(evidence: Evidence, zero: float) -> list[Band]:
    """When which of the client's addresses was on its link, by netlink."""
    since: dict[str, float] = {}
    found = []
    for event in evidence.events:
        if not event.kind.startswith("address") or event.what in evidence.foreign:
            continue
        if not _is_ours(evidence, event.ifindex, event.what):
            continue
        address = event.what.partition("/")[0]
        if event.kind == "address+":
            since.setdefault(address, event.at)
        elif address in since:
            found.append(Band(round(since.pop(address) - zero, 2), round(event.at - zero, 2), address))
    found += [Band(round(at - zero, 2), round(evidence.ended_at - zero, 2), address) for address, at in since.items()]
    return sorted(found)


def _leased(evidence: Evidence, zero: float) -> list[Band]:
    """When the server thought that the client had a lease; touching ones joined."""
    found: list[Band] = []
    for span in spans(evidence.wire):
        band = Band(round(span.start - zero, 2), round(min(span.latest, evidence.ended_at) - zero, 2), span.address)
        if found and found[-1].what == band.what and found[-1].end >= band.start:
            band = Band(found.pop().start, band.end, band.what)
        found.append(band)
    return [
        Band(one.start, min(one.end, two.start) if two else one.end, one.what)
        for one, two in [*pairwise([*found, None])]
        if one
    ]
