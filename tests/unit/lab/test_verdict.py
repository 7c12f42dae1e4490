"""The witness must be able to say "broken": each promise, broken by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from holdfast_lab.witness.exchanges import renewals, spans
from holdfast_lab.witness.verdict import Evidence, judge
from holdfast_lab.witness.watch import Event, Probe
from holdfast_lab.witness.wirelog import Seen

ADDRESS, SERVER, ANY, ALL = "192.0.2.50", "192.0.2.1", "0.0.0.0", "255.255.255.255"
CLIENT = "02:00:00:00:00:01"


def asked(at: float, xid: int, *, unicast: bool = False, first: bool = False, note: str = "answered") -> Seen:
    """A REQUEST of the client."""
    source = ANY if first else ADDRESS
    return Seen(
        at, "in", "REQUEST", source, SERVER if unicast else ALL, not unicast, CLIENT, xid, ciaddr=source, note=note
    )


def acked(at: float, xid: int, address: str = ADDRESS, lease: int = 20) -> Seen:
    """An ACK of the server."""
    return Seen(at, "out", "ACK", SERVER, address, False, CLIENT, xid, yiaddr=address, lease_time=lease)


def event(at: float, kind: str, what: str = f"{ADDRESS}/24") -> Event:
    return Event(at, kind, what, ifindex=2)


START = [asked(0.0, 1, first=True), acked(0.01, 1)]
DEAF = [asked(5.0, 2, unicast=True, note="silent"), asked(6.0, 2), acked(6.01, 2)]
GOOD = Evidence(
    wire=[*START, *DEAF, asked(10.0, 3, unicast=True, note="silent"), asked(10.25, 3), acked(10.26, 3)],
    events=[event(0.02, "address+"), event(6.02, "address+"), event(10.27, "address+")],
    ended_at=12.0,
    ifindex=2,
    probes={ADDRESS: [Probe(1.0 + n, ADDRESS, 1.001 + n) for n in range(10)]},
    records=[{"result": "acquired"}, {"result": "renewed"}, {"result": "renewed"}],
)


def broken(**changes: Any) -> set[int]:
    """The promises that are broken when the good run is changed so."""
    return {finding.promise for finding in judge(replace(GOOD, **changes)) if not finding.kept}


def test_a_good_run_keeps_every_promise_that_it_shows() -> None:
    findings = judge(GOOD)
    assert all(finding.kept for finding in findings)
    assert [finding.promise for finding in findings] == [1, 2, 3, 4, 6]


def test_exchanges_and_spans_are_read_from_the_wire() -> None:
    first, second = renewals(GOOD.wire)
    assert first.fallback == pytest.approx(1.0)
    assert first.latency == pytest.approx(1.01)
    assert second.latency == pytest.approx(0.26)
    span = spans(GOOD.wire)[0]
    assert (span.earliest, span.latest) == (20.0, 20.01)


@pytest.mark.parametrize(
    "wire",
    [
        [*START, asked(5.0, 2, unicast=True, note="silent")],
        [*START, asked(5.0, 2, unicast=True, note="silent"), asked(9.0, 2), acked(9.01, 2)],
        [*START, asked(5.0, 2, unicast=True, note="silent"), asked(6.0, 2), acked(9.0, 2)],
        [*START, *DEAF, asked(10.0, 3, unicast=True, note="silent"), asked(11.5, 3), acked(11.6, 3)],
    ],
    ids=["no broadcast", "broadcast late", "ACK late", "deafness forgotten"],
)
def test_promise_1(wire: list[Seen]) -> None:
    assert 1 in broken(wire=wire, records=None)


def test_what_was_waited_for_a_processor_is_not_the_client_s_time() -> None:
    late = [*START, asked(5.0, 2, unicast=True, note="silent"), asked(8.0, 2), acked(8.01, 2)]
    assert broken(wire=late) == {1}
    assert broken(wire=late, waits=[(4.9, 3.0), (6.5, 3.5), (8.1, 4.0)]) == set()
    assert broken(wire=late, waits=[(3.0, 0.0), (4.9, 3.0), (8.1, 3.1)]) == {1}


def test_a_refused_or_answered_unicast_needs_no_broadcast() -> None:
    refused = [*START, asked(5.0, 2, unicast=True, note="NAK")]
    answered = [*START, asked(5.0, 2, unicast=True), acked(5.01, 2)]
    assert 1 not in broken(wire=refused, records=None)
    assert 1 not in broken(wire=answered, records=None)


def test_promise_2_by_netlink() -> None:
    events = [*GOOD.events, event(11.0, "address-")]
    assert broken(events=events) == {2}
    assert broken(events=events, released=True) == set()
    assert broken(events=[*GOOD.events, event(29.9, "address-")], ended_at=31.0) == set()


def test_promise_2_by_asking_the_wire() -> None:
    silent = [Probe(8.0, ADDRESS, None)]
    assert broken(probes={ADDRESS: silent}) == {2}
    assert broken(probes={ADDRESS: silent}, excused=[(7.0, 9.0)]) == set()
    assert broken(probes={ADDRESS: [Probe(0.0, ADDRESS, None)]}) == set(), "it was not configured yet"


def test_promise_3() -> None:
    assert broken(ended_at=40.0) == {3}
    assert broken(ended_at=40.0, events=[*GOOD.events, event(30.5, "address-")]) == set()
    assert broken(ended_at=40.0, events=[*GOOD.events, event(33.0, "address-")]) == {3}


def test_promise_4() -> None:
    ours, theirs = "0.0.0.0/0 via 192.0.2.1 metric 100 proto 16", "203.0.113.7/32"
    assert broken(events=[*GOOD.events, event(10.3, "route-", ours)]) == {4}
    assert broken(events=[*GOOD.events, event(10.3, "address-", theirs)], foreign=frozenset({theirs})) == {4}
    assert broken(events=[*GOOD.events, event(10.3, "route-", ours)], released=True) == set()


def test_promise_5() -> None:
    other = "192.0.2.77"
    wire = [*GOOD.wire, asked(11.0, 4), acked(11.1, 4, other)]
    came, went = event(11.2, "address+", f"{other}/24"), event(11.3, "address-")
    records = [*(GOOD.records or []), {"result": "moved"}]
    good = judge(replace(GOOD, wire=wire, events=[*GOOD.events, came, went], records=records))
    assert [finding.promise for finding in good if finding.kept] == [1, 2, 3, 4, 5, 6]
    early = [event(11.15, "address-"), came]
    assert 5 in broken(wire=wire, events=[*GOOD.events, *early], records=records)


def test_promise_6() -> None:
    assert broken(records=[{"result": "acquired"}, {"result": "renewed"}]) == {6}
    assert broken(records=None) == set()
