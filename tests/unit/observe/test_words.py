"""Outcomes in plain words: these are the lines that people read."""

from __future__ import annotations

from ipaddress import IPv4Address
from math import inf

import pytest

from holdfast.core.outcome import Outcome, Purpose, Result, Via
from holdfast.observe.words import counted, duration, latency, outcome_text

OURS, OTHER, SERVER = IPv4Address("10.0.0.5"), IPv4Address("10.0.0.9"), IPv4Address("10.0.0.1")


def _outcome(result: Result, **changes: object) -> Outcome:
    return Outcome(
        purpose=Purpose.T1, result=result, via=Via.BROADCAST, attempts=2, latency=1.03, server=SERVER, address=OURS,
        former_address=OURS, lease_time=120.0, seconds_left=54.2, cause="unicast unanswered", xid=1,
        started_at=0.0, ended_at=1.03,
    )._replace(**changes)


@pytest.mark.parametrize(("outcome", "renew_in", "wanted"), [
    (_outcome(Result.RENEWED), 57.0,
     "renewed 10.0.0.5 from 10.0.0.1 by broadcast in 1.03 s (2 messages; unicast unanswered), 54 s were left, "
     "next renewal in 57 s"),
    (_outcome(Result.RENEWED, via=Via.UNICAST, attempts=1, cause="T1", latency=0.004, seconds_left=inf), inf,
     "renewed 10.0.0.5 from 10.0.0.1 by unicast in 4.0 ms (1 message), the lease has no end, no renewal is due"),
    (_outcome(Result.RENEWED, via=Via.BROADCAST_ANY, server=None, cause=""), None,
     "renewed 10.0.0.5 by broadcast from 0.0.0.0 in 1.03 s (2 messages), 54 s were left"),
    (_outcome(Result.ACQUIRED, purpose=Purpose.ACQUIRE, via=Via.DISCOVER, cause="", seconds_left=0.0), 57.0,
     "acquired 10.0.0.5 from 10.0.0.1 in 1.03 s (2 messages), for 2 min, next renewal in 57 s"),
    (_outcome(Result.ACQUIRED, lease_time=inf, cause="", attempts=0, latency=None), inf,
     "acquired 10.0.0.5 from 10.0.0.1, for ever, no renewal is due"),
    (_outcome(Result.ACQUIRED, lease_time=None, cause=""), None,
     "acquired 10.0.0.5 from 10.0.0.1 in 1.03 s (2 messages)"),
    (_outcome(Result.MOVED, via=Via.DISCOVER, address=OTHER, cause="10.0.0.1 said NAK"), 57.0,
     "moved from 10.0.0.5 to 10.0.0.9, from 10.0.0.1 by DISCOVER in 1.03 s (2 messages; 10.0.0.1 said NAK), "
     "54 s were left, next renewal in 57 s"),
    (_outcome(Result.KEPT, latency=None, attempts=4, cause="nobody answered"), 57.0,
     "kept 10.0.0.5 without renewal (4 messages; nobody answered), 54 s are left"),
    (_outcome(Result.REFUSED, cause="wrong network"), None,
     "10.0.0.1 refused to renew 10.0.0.5 (2 messages; wrong network); asking anew, 54 s are left"),
    (_outcome(Result.REFUSED, server=None, cause="", attempts=0), None,
     "a server refused to renew 10.0.0.5; asking anew, 54 s are left"),
    (_outcome(Result.REFUSED, purpose=Purpose.ACQUIRE, address=None, former_address=None, cause="NAK"), None,
     "10.0.0.1 refused the address that was asked for (2 messages; NAK); asking anew"),
    (_outcome(Result.EXPIRED, attempts=150, latency=None, seconds_left=0.0, cause="nobody answered"), None,
     "lost 10.0.0.5: its lease ended (150 messages; nobody answered)"),
    (_outcome(Result.EXPIRED, purpose=Purpose.HOLD, address=None, former_address=OTHER, attempts=0, latency=None,
              seconds_left=0.0, cause="the gateway does not answer"), None,
     f"lost {OTHER}: its lease ended (the gateway does not answer)"),
    (_outcome(Result.HELD, attempts=16, latency=None, seconds_left=0.0, cause="unicast unanswered"), None,
     "the lease of 10.0.0.5 ended (16 messages; unicast unanswered); it is held while the gateway answers"),
    (_outcome(Result.IPV6_ONLY, address=None, attempts=1, cause="IPv6-only network, no IPv4 for 300 s"), None,
     "doing without IPv4, as 10.0.0.1 asks (1 message; IPv6-only network, no IPv4 for 300 s)"),
    (_outcome(Result.CONFLICT, attempts=0, cause="52:54:00:12:34:56 claims it"), None,
     "gave up 10.0.0.5: somebody else uses it (52:54:00:12:34:56 claims it)"),
    (_outcome(Result.RELEASED, attempts=1, cause=""), None, "released 10.0.0.5 to 10.0.0.1, 54 s were left"),
    (_outcome(Result.RELEASED, server=None, address=None), None, "released 10.0.0.5, 54 s were left"),
    (_outcome(Result.STOPPED), None, "stopped in the middle of a renewal; 10.0.0.5 stays, 54 s are left"),
    (_outcome(Result.STOPPED, address=None, attempts=1, cause=""), None,
     "stopped before an address was found (1 message)"),
])
def test_lines(outcome: Outcome, renew_in: float | None, wanted: str) -> None:
    assert outcome_text(outcome, renew_in) == wanted


def test_every_result_has_words() -> None:
    for result in Result:
        assert outcome_text(_outcome(result), None)


@pytest.mark.parametrize(("seconds", "wanted"), [
    (-1.0, "0 s"), (0.0, "0 s"), (0.44, "0.4 s"), (2.0, "2 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"),
    (59.6, "1 min"), (90.0, "1 min 30 s"), (3599.6, "1 h"), (33120.0, "9 h 12 min"), (86400.0, "1 d"),
    (273600.0, "3 d 4 h"), (inf, "for ever"),
])
def test_durations(seconds: float, wanted: str) -> None:
    assert duration(seconds) == wanted


@pytest.mark.parametrize(("seconds", "wanted"), [
    (0.0008, "0.8 ms"), (0.0994, "99.4 ms"), (0.0996, "0.10 s"), (1.034, "1.03 s"), (9.996, "10.0 s"), (75.0, "75.0 s"),
])
def test_latencies(seconds: float, wanted: str) -> None:
    assert latency(seconds) == wanted


def test_counts() -> None:
    assert [counted(number, "message") for number in (0, 1, 2)] == ["0 messages", "1 message", "2 messages"]
