"""The pure functions of time at their corners; tests/properties/test_schedule.py has them over many seeds."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from tests.support.scene import SERVER

from holdfast.core import schedule
from holdfast.core.lease import Server
from holdfast.core.outcome import Via


def known(**what: Any) -> Server:
    """A server of which this is known."""
    return Server(SERVER, **what)


@pytest.mark.parametrize(("via", "number", "server", "left", "seconds"), [
    (Via.UNICAST, 1, None, 1e6, 1.0),
    (Via.UNICAST, 1, known(), 1e6, 1.0),  # nothing is known
    (Via.UNICAST, 1, known(srtt=0.001), 1e6, 0.25),  # four times the round trip, at least 0.25 s
    (Via.UNICAST, 1, known(srtt=0.2), 1e6, 0.8),
    (Via.UNICAST, 1, known(srtt=30.0), 1e6, 1.9),  # rule 35: under 2 s at any round trip
    (Via.UNICAST, 1, known(request_rtt=0.005), 1e6, 0.25),  # twice that of the exchange that won the lease
    (Via.UNICAST, 1, known(request_rtt=0.3), 1e6, 0.6),
    (Via.UNICAST, 1, known(request_rtt=0.9), 1e6, 1.0),  # it never waits longer than with nothing known
    (Via.UNICAST, 1, known(request_rtt=0.3, srtt=0.1), 1e6, 0.4),  # what unicast has shown counts more
    (Via.UNICAST, 2, known(request_rtt=0.005), 1e6, 1.9),
    (Via.BROADCAST, 1, known(request_rtt=0.005), 1e6, 1.0),  # a busy server is not asked twice as fast
    (Via.UNICAST, 1, known(srtt=0.2, hears_unicast=False), 1e6, 0.24),
    (Via.UNICAST, 2, known(srtt=0.001), 1e6, 1.9),  # a server that is late may be busy
    (Via.BROADCAST, 1, known(srtt=0.2, hears_unicast=False), 1e6, 0.8),
    (Via.BROADCAST, 2, known(srtt=0.2), 1e6, 4.0),
    (Via.UNICAST, 1, None, 2.0, 0.5),  # a quarter of what is left
    (Via.UNICAST, 1, None, 0.0, 0.05),
])
def test_rung_timeout(via: Via, number: int, server: Server | None, left: float, seconds: float) -> None:
    # rule 35
    assert schedule.rung_timeout(via, number, server, left) == pytest.approx(seconds)


@pytest.mark.parametrize(("number", "unicast", "ways"), [
    (1, True, (Via.UNICAST, Via.BROADCAST, Via.BROADCAST_ANY)),
    (2, True, (Via.BROADCAST, Via.BROADCAST_ANY)),
    (3, True, (Via.UNICAST, Via.BROADCAST)),
    (1, False, (Via.BROADCAST, Via.BROADCAST_ANY)),
    (3, False, (Via.BROADCAST,)),
])
def test_rungs(number: int, unicast: bool, ways: tuple[Via, ...]) -> None:
    # rule 38
    assert schedule.rungs(number, unicast=unicast) == ways


def test_requests_end() -> None:
    waits = [schedule.request_wait(tries, schedule.REQUEST_WAITS, Random(1)) for tries in range(1, 5)]
    assert waits == [pytest.approx(1.0, abs=0.1), pytest.approx(2.0, abs=0.2), pytest.approx(4.0, abs=0.4), None]


@pytest.mark.parametrize(("naks", "low", "high"), [
    (0, 0.0, 0.0), (1, 0.0, 0.0), (2, 1.0, 1.1), (3, 1.8, 2.2), (6, 14.4, 17.6), (50, 270.0, 300.0),
])
def test_nak_wait(naks: int, low: float, high: float) -> None:
    # rule 27
    assert low <= schedule.nak_wait(naks, Random(2)) <= high


@pytest.mark.parametrize(("failures", "seconds"), [(1, 0.5), (2, 1.0), (3, 2.0), (7, 30.0), (1000, 30.0)])
def test_apply_wait(failures: int, seconds: float) -> None:
    # rule 59
    assert schedule.apply_wait(failures) == seconds


@pytest.mark.parametrize(("restores", "seconds"), [(1, 0.0), (3, 0.0), (4, 0.5), (5, 1.0), (32, 30.0)])
def test_restore_wait(restores: int, seconds: float) -> None:
    # rule 60
    assert schedule.restore_wait(restores) == seconds


@pytest.mark.parametrize(("conflicts", "seconds"), [(1, 10.0), (9, 10.0), (10, 60.0)])
def test_conflict_wait(conflicts: int, seconds: float) -> None:
    # rule 43
    assert schedule.conflict_wait(conflicts) == seconds


def test_discover_is_never_above_its_ceiling() -> None:
    # rule 41
    assert all(schedule.discover_gap(tries, 8.0, Random(tries)) <= 8.0 for tries in (1, 4, 40, 10_000))


def test_a_fleet_at_the_ceiling_does_not_ask_in_step() -> None:
    # rule 41
    gaps = [schedule.discover_gap(40, 64.0, Random(seed)) for seed in range(200)]
    assert len(set(gaps)) == len(gaps)
    assert min(gaps) >= 48.0
