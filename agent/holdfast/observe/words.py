"""Outcomes and durations in plain words, for the log and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from holdfast.core.outcome import Cause, Outcome, Result, Via
from holdfast.core.transitions import Reason

_VIA = {
    Via.UNICAST: "by unicast",
    Via.BROADCAST: "by broadcast",
    Via.BROADCAST_ANY: "by broadcast from 0.0.0.0",
    Via.DISCOVER: "by DISCOVER",
}


#: Causes that are not printed.
_USUAL = (Reason.T1.value, Cause.START.value)


def duration(seconds: float) -> str:
    """``seconds`` in its two largest units: 0.4 s, 57 s, 5 min 30 s, 9 h 12 min, 3 d 4 h."""
    if seconds == inf:
        return "for ever"
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    for size, unit, part, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def latency(seconds: float) -> str:
    """How long an answer took: 0.8 ms, 1.03 s, 12.3 s."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"


def counted(number: int, thing: str) -> str:
    """1 message, 2 messages."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def exchange_text(sent: Mapping[str, int], heard: Mapping[str, int], seconds: float) -> str:
    """What became so far of the messages that were sent: ``5 DISCOVERs sent in 31 s, nobody answered``."""
    messages = ", ".join(counted(number, kind) for kind, number in sent.items())
    answers = ", ".join(f"{number} {kind}" for kind, number in sorted(heard.items()))
    return f"{messages} sent in {duration(seconds)}, " + (f"answered by {answers}" if answers else "nobody answered")


def outcome_text(outcome: Outcome, renew_in: float | None) -> str:
    """One line about ``outcome``. ``renew_in`` is seconds until the next renewal, None when none is due."""
    return _TEXTS[outcome.result](outcome) + _next(outcome, renew_in)


def _acquired(outcome: Outcome) -> str:
    lasting = "" if outcome.lease_time is None else ", " + _term(outcome.lease_time)
    return f"acquired {outcome.address}{_way(outcome)}{lasting}"


def _renewed(outcome: Outcome) -> str:
    return f"renewed {outcome.address}{_way(outcome)}{_left(outcome, 'were')}"


def _moved(outcome: Outcome) -> str:
    return f"moved from {outcome.former_address} to {outcome.address},{_way(outcome)}{_left(outcome, 'were')}"


def _kept(outcome: Outcome) -> str:
    return f"kept {outcome.address} without renewal{_effort(outcome)}{_left(outcome, 'are')}"


def _refused(outcome: Outcome) -> str:
    by = outcome.server or "a server"
    address = outcome.address or outcome.former_address
    if address is None:
        return f"{by} refused the address that was asked for{_effort(outcome)}; asking anew"
    return f"{by} refused to renew {address}{_effort(outcome)}; asking anew{_left(outcome, 'are')}"


def _expired(outcome: Outcome) -> str:
    address = outcome.address or outcome.former_address or "the address"
    return f"lost {address}: its lease ended{_effort(outcome)}"


def _held(outcome: Outcome) -> str:
    return f"the lease of {outcome.address} ended{_effort(outcome)}; it is held while the gateway answers"


def _ipv6_only(outcome: Outcome) -> str:
    server = f" {outcome.server}" if outcome.server else " a server"
    return f"doing without IPv4, as{server} asks{_effort(outcome)}"


def _conflict(outcome: Outcome) -> str:
    address = outcome.address or outcome.former_address or "the address"
    return f"gave up {address}: somebody else uses it{_effort(outcome)}"


def _released(outcome: Outcome) -> str:
    to = f" to {outcome.server}" if outcome.server else ""
    address = outcome.address or outcome.former_address or "the lease"
    return f"released {address}{to}{_left(outcome, 'were')}"


def _stopped(outcome: Outcome) -> str:
    if outcome.address is None:
        return f"stopped before an address was found{_effort(outcome)}"
    return f"stopped in the middle of a renewal; {outcome.address} stays{_left(outcome, 'are')}"


_TEXTS = {
    Result.ACQUIRED: _acquired,
    Result.RENEWED: _renewed,
    Result.MOVED: _moved,
    Result.KEPT: _kept,
    Result.REFUSED: _refused,
    Result.EXPIRED: _expired,
    Result.HELD: _held,
    Result.IPV6_ONLY: _ipv6_only,
    Result.CONFLICT: _conflict,
    Result.RELEASED: _released,
    Result.STOPPED: _stopped,
}


def _way(outcome: Outcome) -> str:
    server = f" from {outcome.server}" if outcome.server else ""
    # A first lease is always requested by broadcast; only a renewal can differ.
    via = f" {_VIA[outcome.via]}" if outcome.via and outcome.result is not Result.ACQUIRED else ""
    within = "" if outcome.latency is None else f" in {latency(outcome.latency)}"
    return server + via + within + _effort(outcome)


def _effort(outcome: Outcome) -> str:
    messages = counted(outcome.attempts, "message")
    cause = "" if outcome.cause in _USUAL else outcome.cause
    parts = [part for part in (messages if outcome.attempts else "", cause) if part]
    return f" ({'; '.join(parts)})" if parts else ""


def _left(outcome: Outcome, verb: str) -> str:
    if outcome.seconds_left == inf:
        return ", the lease has no end"
    return f", {duration(outcome.seconds_left)} {verb} left"


def _term(lease_time: float) -> str:
    return "for ever" if lease_time == inf else f"for {duration(lease_time)}"


def _next(outcome: Outcome, renew_in: float | None) -> str:
    if renew_in is None or outcome.result not in (Result.ACQUIRED, Result.RENEWED, Result.MOVED):
        return ""
    return ", no renewal is due" if renew_in == inf else f", next renewal in {duration(renew_in)}"
