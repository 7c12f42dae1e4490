"""The times of the ladder and of DISCOVER, over many seeds: rules 27, 34 to 37, 41 and 43."""

from __future__ import annotations

from itertools import pairwise
from math import inf
from random import Random
from statistics import mean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import strategies as _profile  # noqa: F401 - the same examples in every run
from tests.support.scene import CLAIMANT, OURS, SERVER, Scene, of

from holdfast.core import actions as act
from holdfast.core import events as ev
from holdfast.core import replies, schedule
from holdfast.core.lease import Server
from holdfast.core.outcome import Result, Via
from holdfast.wire import message as msg

SEEDS = range(60)
TINY = 1e-6  # instants are large floats
DAY, WEEK = 86400, 7 * 86400
LEASES = [10, 11, 13, 17, 20, 30, 45, 60, 90, 120, 240, 600, 1800, 3600, 7200, 43200, DAY, WEEK]


def silent(lease: int, seed: int, *, deaf: bool = False) -> tuple[Scene, float]:
    """A client whose server falls silent at T1, run to the end of its lease; and that end."""
    scene = Scene(seed=seed)
    if deaf:
        scene.renewing(lease=lease).until_sent()  # the broadcast, after an unanswered unicast
        scene.ack(lease=lease)
    else:
        scene.bound(lease=lease)
    scene.sent_at.clear()
    ends_at = scene.lease.expires_at
    scene.until(lambda: bool(scene.outcomes) and scene.outcomes[-1].result is Result.EXPIRED)
    assert scene.now == ends_at
    return scene, ends_at


def ladder(scene: Scene, until: float) -> list[tuple[float, act.Transmit]]:
    """What was sent in the renewal, before ``until``, with its times."""
    return [(at, sent) for at, sent in scene.sent_at if at < until]


def test_a_fleet_booted_together_spreads() -> None:
    # rule 34
    for t1 in (5.0, 60.0, 43200.0):
        drawn = [replies.fuzz_t1(t1, Random(seed)) for seed in range(1000)]
        assert stdev(drawn) >= 0.05 * t1
        assert max(drawn) <= t1
        assert min(drawn) >= 0.8 * t1
    binding_times = [Scene(seed=seed).bound(lease=3600).lease.t1_at - 1000.0 for seed in range(1000)]
    assert stdev(binding_times) >= 0.05 * mean(binding_times)


@pytest.mark.parametrize("lease", LEASES)
@pytest.mark.parametrize("deaf", [False, True], ids=["unknown", "known deaf"])
def test_an_unanswered_unicast_is_followed_by_a_broadcast_at_once(lease: int, deaf: bool) -> None:
    # rule 35
    for seed in SEEDS if lease < DAY else range(5):
        scene, ends_at = silent(lease, seed, deaf=deaf)
        sent = ladder(scene, ends_at)
        for (at, first), (then, second) in pairwise([(a, s) for a, s in sent if s.via is not Via.DISCOVER]):
            if first.via is Via.UNICAST:
                assert second.via is Via.BROADCAST
                assert then - at <= (0.25 if deaf else 2.0)


def test_a_silent_server_is_not_flooded() -> None:
    # rule 36
    counts = []
    for seed in SEEDS:
        scene, ends_at = silent(DAY, seed)
        counts.append(len(ladder(scene, ends_at)))
    assert max(counts) <= 150
    assert min(counts) >= 60  # and not forgotten either


@pytest.mark.parametrize("lease", LEASES)
def test_two_rounds_are_two_seconds_apart_and_the_last_minute_is_used(lease: int) -> None:
    # rules 36, 37
    for seed in SEEDS if lease < DAY else range(10):
        scene, ends_at = silent(lease, seed)
        sent = [(at, s) for at, s in ladder(scene, ends_at) if s.via is not Via.DISCOVER]
        for (at, first), (then, second) in pairwise(sent):
            assert first.message.xid == second.message.xid or then - at >= 2.0 - TINY
        broadcasts = [at for at, s in sent if s.via is not Via.UNICAST and at >= ends_at - 60.0]
        assert len(broadcasts) >= 4
        assert ends_at - broadcasts[-1] <= 4.0


LEASE_TIMES = st.floats(10.0, 1e9) | st.just(inf)


@given(
    rounds=st.integers(1, 200), left=st.floats(0.0, 1e9), lease=LEASE_TIMES, seed=st.integers(0, 1000),
    latency=st.floats(0.0, schedule.PATIENCE_MAX),
)
def test_the_gap_is_never_too_short_nor_too_long(
    rounds: int, left: float, lease: float, seed: int, latency: float
) -> None:
    # rule 36
    gap = schedule.round_gap(rounds, left, lease, Random(seed), latency)
    assert 2.0 <= gap <= 1.1 * schedule.GAP_CEILING
    assert gap <= max(2.0, 0.55 * left)
    assert gap <= 1.1 * max(15.0, lease / 80)


@given(number=st.integers(1, 1000), unicast=st.booleans())
def test_every_round_asks_everyone(number: int, unicast: bool) -> None:
    # rule 38
    ways = schedule.rungs(number, unicast=unicast)
    assert Via.BROADCAST in ways
    two_rounds = {*ways, *schedule.rungs(number + 1, unicast=unicast)}
    assert Via.BROADCAST_ANY in two_rounds
    assert (Via.UNICAST in two_rounds) == unicast
    assert Via.UNICAST not in ways[1:]  # what follows it is a broadcast (rule 35)


ROUND_TRIPS = st.none() | st.floats(0.0, 100.0)


@given(
    via=st.sampled_from([Via.UNICAST, Via.BROADCAST]), number=st.integers(1, 100),
    server=st.none() | st.builds(
        Server, st.just(SERVER), hears_unicast=st.none() | st.booleans(), srtt=ROUND_TRIPS, request_rtt=ROUND_TRIPS,
    ),
    left=st.floats(0.0, 1e9),
)
def test_a_rung_waits_within_its_bounds(via: Via, number: int, server: Server | None, left: float) -> None:
    # rule 35
    wait = schedule.rung_timeout(via, number, server, left)
    deaf = server is not None and server.hears_unicast is False
    assert 0.05 <= wait <= 4.0
    assert via is not Via.UNICAST or wait <= (0.25 if deaf else 2.0)


@given(latency=st.floats(0.0, 1e6), patience=st.floats(1.0, 32.0), tries=st.integers(1, 3), seed=st.integers(0, 100))
def test_a_slow_server_is_given_the_time_it_took(latency: float, patience: float, tries: int, seed: int) -> None:
    patient = schedule.patience_for(latency, patience)
    assert patience <= patient <= 32.0
    assert patient >= min(2.0 * latency, 32.0)
    wait = schedule.request_wait(tries, schedule.REQUEST_WAITS, Random(seed), patient)
    assert wait is not None
    assert 0.9 * patient <= wait <= 1.1 * 64.0


def test_discover_backs_off_with_jitter_and_never_gives_up() -> None:
    # rule 41
    starts, firsts = [], []
    for seed in SEEDS:
        scene = Scene(seed=seed, discover_ceiling=64.0).start()
        scene.wait(4 * 3600.0)
        times = [at for at, _ in scene.sent_at]
        gaps = [then - at for at, then in pairwise(times)]
        assert all(gap <= 64.0 + TINY for gap in gaps)
        assert all(0.75 * 2**n <= gap <= 1.25 * 2**n for n, gap in enumerate(gaps[:6]))
        assert times[-1] >= scene.now - 64.0 - TINY
        assert all(gap >= 63.0 for gap in gaps[7:])  # no faster than RFC 2131's fleet asks a server that is back
        starts.append(gaps[0])
        firsts.append(gaps[6])
    assert stdev(starts) > 0.05
    assert min(firsts) >= 32.0
    assert stdev(firsts) > 5.0  # those who began together no longer ask together


@given(
    tries=st.integers(1, 1000), ceiling=st.floats(1.0, 3600.0), patience=st.floats(1.0, 32.0),
    seed=st.integers(0, 1000),
)
def test_a_discover_waits_within_its_bounds(tries: int, ceiling: float, patience: float, seed: int) -> None:
    # rule 41
    gap = schedule.discover_gap(tries, ceiling, Random(seed), patience)
    assert min(0.5 * ceiling, 0.75) <= gap <= ceiling
    wait = schedule.offer_wait(tries, ceiling, Random(seed))
    assert 0.0 <= wait <= ceiling / 64
    assert wait == 0.0 or 2.0 ** (tries - 1) >= ceiling


def test_a_server_that_only_says_nak_is_asked_ever_less_often() -> None:
    # rule 27
    for seed in range(10):
        scene = Scene(seed=seed).start()
        cycles = []
        while len(cycles) < 14:
            scene.until_state("SELECTING")
            assert scene.last.message.message_type == msg.DISCOVER
            cycles.append(scene.sent_at[-1][0])
            scene.offer()
            scene.until_state("REQUESTING")  # after a first NAK others are waited for (rule 80)
            scene.nak()
        gaps = [then - at for at, then in pairwise(cycles)]
        assert all(gap >= 1.0 - TINY for gap in gaps[1:])  # the first NAK is answered at once
        assert all(gap <= 300.0 + schedule.OFFER_WAIT_MAX + TINY for gap in gaps)  # others are waited for as well
        assert gaps[-1] >= 250.0


def test_after_a_decline_nothing_is_asked_for_ten_seconds() -> None:
    # rule 43
    scene = Scene(acd="strict").start()
    quiet = []
    for _ in range(12):
        scene.offer()
        scene.ack()
        scene.feed(ev.AddressConflict(OURS, CLAIMANT))
        assert scene.last.message.message_type == msg.DECLINE
        declined = scene.now
        scene.until_sent()
        assert scene.last.message.message_type == msg.DISCOVER
        quiet.append(scene.now - declined)
    assert min(quiet) >= 10.0
    assert quiet[:9] == [10.0] * 9
    assert quiet[9:] == [60.0] * 3  # RFC 5227 section 2.1.1: after ten conflicts, one try a minute


def test_a_start_delay_is_drawn_only_when_configured() -> None:
    # rule 42
    assert of(act.Transmit, Scene().start().actions)
    for seed in SEEDS:
        scene = Scene(seed=seed, start_delay=True).start()
        assert not scene.sent
        scene.until_sent()
        assert 1.0 <= scene.now - 1000.0 <= 10.0
