"""Figures of a run, and what excuses a client, on made-up evidence; ``test_verdict.py`` breaks the promises."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from holdfast_lab.scenario.result import Band, Result, judged, longest_wait
from holdfast_lab.scenario.scenario import parse
from holdfast_lab.witness.verdict import Evidence, judge, unreachable
from holdfast_lab.witness.watch import Event, Probe
from holdfast_lab.witness.wirelog import Seen, merged

CLIENT, SERVER, EVERYBODY, OURS = "0.0.0.0", "192.0.2.1", "255.255.255.255", "192.0.2.50"


def said(
    at: float, kind: str, *, to: str = EVERYBODY, xid: int = 1, ciaddr: str = CLIENT, note: str = "answered"
) -> Seen:
    return Seen(at, "in", kind, ciaddr, to, to == EVERYBODY, "02:00", xid, ciaddr=ciaddr, note=note)


def answer(at: float, kind: str = "ACK", *, xid: int = 1, address: str = OURS, lease: int = 10, note: str = "") -> Seen:
    return Seen(at, "out", kind, SERVER, address, False, "02:00", xid, yiaddr=address, server_id=SERVER,
                lease_time=lease, note=note)  # fmt: skip


def bound(*more: Seen, events: tuple[Event, ...] = (), ended: float = 9.0, **facts: Any) -> Evidence:
    wire = (said(0.0, "REQUEST"), answer(0.1), *more)
    came = Event(0.2, "address+", f"{OURS}/24", 2, 10)
    return Evidence(wire, (came, *events), ended, 2, **facts)


def broken(evidence: Evidence) -> set[int]:
    return {finding.promise for finding in judge(evidence) if not finding.kept}


def probes(*answered: bool, start: float = 1.0) -> dict[str, list[Probe]]:
    times = [start + 0.05 * n for n in range(len(answered))]
    return {OURS: [Probe(at, OURS, at + 0.001 if yes else None) for at, yes in zip(times, answered, strict=True)]}


GONE = Event(5.0, "address-", f"{OURS}/24", 2)


def test_a_quiet_life_breaks_nothing() -> None:
    assert broken(bound(probes=probes(True, True, True))) == set()


def test_an_address_that_goes_early() -> None:
    assert broken(bound(events=(GONE,))) == {2}
    assert broken(bound(events=(GONE,), released=True)) == set()
    assert broken(bound(events=(GONE,), meddled=(5.1,))) == set()
    assert broken(bound(events=(GONE,), contested=frozenset({OURS}))) == set()


def test_an_address_that_stays_too_long() -> None:
    late = Event(13.0, "address-", f"{OURS}/24", 2)
    assert broken(bound(events=(late,), ended=20.0)) == {3}
    assert broken(bound(events=(replace_at(late, 10.3),), ended=20.0)) == set()
    assert broken(bound(events=(replace_at(late, 12.0),), ended=20.0)) == {3}
    assert broken(bound(events=(replace_at(late, 12.0),), ended=20.0, orphaned=True)) == set()


def replace_at(event: Event, at: float) -> Event:
    return event._replace(at=at)


def test_seconds_without_an_answer() -> None:
    evidence = bound(probes=probes(True, False, False, True, False))
    [first, second] = unreachable(evidence)
    assert [round(end - start, 2) for start, end in (first, second)] == [0.1, 0.05]
    assert unreachable(replace(evidence, excused=((0.9, 1.3),))) == []
    assert 2 in broken(evidence)


def test_after_expiry_a_new_lease_counts_from_its_own_address() -> None:
    again = (said(15.0, "REQUEST", xid=2), answer(15.1, xid=2))
    events = (replace_at(GONE, 10.0), Event(15.3, "address+", f"{OURS}/24", 2, 10))
    silent = bound(*again, events=events, ended=16.0, probes=probes(False, False, start=15.1))
    assert unreachable(silent) == []
    assert unreachable(replace(silent, probes=probes(False, start=15.4))) != []


def renewal(at: float, to: str, **how: Any) -> Seen:
    return said(at, "REQUEST", to=to, ciaddr=OURS, **how)


def test_a_broadcast_that_comes_late_or_never() -> None:
    asked = renewal(4.0, SERVER, xid=2, note="silent")
    assert broken(bound(asked)) == {1}
    soon = (asked, renewal(5.0, EVERYBODY, xid=2), answer(5.1, xid=2))
    assert broken(bound(*soon)) == set()
    late = (asked, renewal(8.0, EVERYBODY, xid=2), answer(8.1, xid=2))
    assert broken(bound(*late)) == {1}


def test_a_lease_by_discover_settles_it_too() -> None:
    beside = (renewal(4.0, SERVER, xid=2, note="silent"), said(4.0, "DISCOVER", xid=3))
    assert broken(bound(*beside, said(4.1, "REQUEST", xid=3), answer(4.2, xid=3))) == set()
    assert broken(bound(*beside, said(7.1, "REQUEST", xid=3), answer(7.2, xid=3))) == {1}


def test_what_a_lost_or_slow_answer_costs_is_not_the_client_s_fault() -> None:
    asked = (renewal(4.0, SERVER, xid=2, note="silent"), renewal(5.0, EVERYBODY, xid=2))
    assert broken(bound(*asked, answer(5.1, xid=2, note="lost on the way"), answer(8.0, xid=2))) == set()
    assert broken(bound(*asked, answer(7.5, xid=2))) == {1}
    assert broken(bound(*asked, answer(7.5, xid=2), delay=2.5)) == set()


def test_records_are_counted() -> None:
    asked = (renewal(4.0, SERVER, xid=2), answer(4.1, xid=2))
    assert broken(bound(*asked, records=[])) == {6}
    assert broken(bound(*asked, records=[{"result": "renewed"}])) == set()


def test_one_request_in_two_logs_is_one() -> None:
    first = said(1.0, "REQUEST", note="silent")
    second = replace(first, at=1.001, note="answered")
    later = replace(first, at=2.0)
    out = answer(1.002)
    assert merged([[first, later], [second, out]]) == [second, out, later]
    assert merged([[first]]) == [first]


def test_the_longest_wait() -> None:
    waits = (renewal(3.0, SERVER, xid=2, note="silent"), renewal(4.5, EVERYBODY, xid=2), answer(4.6, xid=2))
    assert round(longest_wait(bound(*waits)), 3) == 1.6
    assert longest_wait(bound(renewal(3.0, SERVER, xid=2), ended=9.0)) == 6.0


def made(evidence: Evidence, **table: Any) -> Result:
    one = parse("x", {"title": "t", "story": "s", "lease": {"time": 10, "T1": 4, "T2": 8}, **table})
    return judged(one, evidence, 0.0, client="holdfast", version="1")


def test_figures_of_a_run() -> None:
    asked = (renewal(4.0, SERVER, xid=2, note="silent"), renewal(5.0, EVERYBODY, xid=2), answer(5.1, xid=2))
    result = made(bound(*asked, ended=9.1), back="T1")
    assert (result.bound, result.packets, result.renewals, result.broken) == (True, 3, 1, [])
    assert result.recovery == 1.0  # T1 is 4 s after the first ACK, which was at 0.1
    assert result.waited == 1.1
    assert [mark.sign for mark in result.marks] == ["ask", "ack", "unicast", "broadcast", "ack"]
    assert result.present == (Band(0.1, 9.0, OURS),)
    assert result.leased == (Band(0.0, 9.0, OURS),)
    assert Result.from_json(result.as_json()) == result


def test_a_client_that_never_gets_an_address() -> None:
    result = made(Evidence((said(0.0, "DISCOVER"),), (), 9.0, 2))
    assert not result.bound
    assert result.broken == ["it never had an address"]
    assert made(bound(), back="T1").as_json()["recovery"] == "never"
