"""What the wire says about leases: the exchanges that renew one, and how long each ACK gave an address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import NamedTuple

from holdfast_lab.witness.wirelog import Seen


class Renewal(NamedTuple):
    """One exchange that asks to prolong a lease. Instants are CLOCK_BOOTTIME, None: it did not happen.

    ``by_unicast``: the ACK came before any broadcast. ``refused``: the lease's own server said NAK.
    ``silent``: a broadcast went unanswered as well, or its answer was lost on the way.
    """

    xid: int
    unicast_at: float | None
    broadcast_at: float | None
    ack_at: float | None
    by_unicast: bool
    refused: bool
    silent: bool

    @property
    def fallback(self) -> float | None:
        """Seconds from the first unicast to the first broadcast."""
        if self.unicast_at is None or self.broadcast_at is None:
            return None
        return self.broadcast_at - self.unicast_at

    @property
    def latency(self) -> float | None:
        """Seconds from the first REQUEST to the ACK."""
        starts = [at for at in (self.unicast_at, self.broadcast_at) if at is not None]
        return None if self.ack_at is None or not starts else self.ack_at - min(starts)


class Span(NamedTuple):
    """One ACK: ``address`` is the client's from ``start`` until some instant within ``earliest`` and ``latest``."""

    address: str
    start: float
    earliest: float
    latest: float


def renewals(wire: Sequence[Seen]) -> list[Renewal]:
    """The renewal exchanges in the order in which they began."""
    found: dict[int, list[Seen]] = {}
    for seen in wire:
        if seen.direction == "in" and (seen.unicast_renewal or seen.broadcast_renewal):
            found.setdefault(seen.xid, []).append(seen)
    result = []
    for xid, asked in found.items():
        ack_at = next(
            (s.at for s in wire if s.xid == xid and s.kind == "ACK" and s.at >= asked[0].at and _sent(s)), None
        )
        unicast_at = next((s.at for s in asked if s.unicast_renewal), None)
        broadcast_at = next((s.at for s in asked if s.broadcast_renewal), None)
        answered = ack_at is not None and (broadcast_at is None or ack_at < broadcast_at)
        lost = any(s.xid == xid and s.kind == "ACK" and not _sent(s) for s in wire)
        silent = lost or any(s.broadcast_renewal and s.note != "answered" for s in asked)
        refused = any("NAK" in s.note and "foreign" not in s.note for s in asked)
        result.append(Renewal(xid, unicast_at, broadcast_at, ack_at, answered, refused, silent))
    return result


def _sent(seen: Seen) -> bool:
    return seen.direction == "out" and not seen.note.startswith(("lost", "not sent"))


def spans(wire: Sequence[Seen]) -> list[Span]:
    """What each ACK gave, in order."""
    found = []
    for ack in wire:
        if ack.kind != "ACK" or not _sent(ack):
            continue
        length = inf if ack.lease_time in {None, 0xFFFFFFFF} else float(ack.lease_time or 0)
        first = next((s.at for s in wire if s.direction == "in" and s.kind == "REQUEST" and s.xid == ack.xid), ack.at)
        found.append(Span(ack.yiaddr, ack.at, first + length, ack.at + length))
    return found


@dataclass(frozen=True)
class Course:
    """What one client did about its lease, in seconds since its first ACK. ``unicasts`` went unanswered."""

    title: str
    subtitle: str
    acks: Sequence[float]
    unicasts: Sequence[float]
    broadcasts: Sequence[float]

    def waits(self, until: float) -> list[tuple[float, float]]:
        """From each first unanswered request to the ACK that ended the wait (or to ``until``)."""
        found = []
        for start, end in pairwise([*self.acks, until]):
            first = next((at for at in self.unicasts if start < at <= end), None)
            if first is not None:
                found.append((first, end))
        return found


def modelled_stock(t1: float, t2: float, until: float) -> Course:
    """RFC 2131 section 4.4.5: unicast at T1, the first broadcast at T2. A lease this short has no retry between."""
    acks, unicasts, broadcasts = [0.0], [], []
    while acks[-1] + t1 < until:
        unicasts.append(acks[-1] + t1)
        if acks[-1] + t2 > until:
            break
        broadcasts.append(acks[-1] + t2)
        acks.append(acks[-1] + t2)
    return Course(
        "A stock client", "modelled: unicast at T1, broadcast at T2, as RFC 2131 says", acks, unicasts, broadcasts
    )
