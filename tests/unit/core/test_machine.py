"""The gate refuses what would break a promise; the small records it stands on."""

from __future__ import annotations

from math import inf

import pytest
from tests.support.scene import OTHER, OURS, Scene, cached

from holdfast.core.actions import DeconfigureReason
from holdfast.core.client import Client, Snapshot
from holdfast.core.machine import PromiseBrokenError
from holdfast.core.states import Bound, Init, Renewal, Renewing, Selecting, Stopped, lease_in_use


def test_a_valid_lease_does_not_go_without_a_reason() -> None:
    # rule 39
    scene = Scene().bound()
    for why in (None, DeconfigureReason.EXPIRED, DeconfigureReason.HALTED):
        with pytest.raises(PromiseBrokenError, match="does not hold"):
            scene.client._m.enter(Init(), "the lease ended", scene.now, why)
    assert scene.state == "BOUND"


def test_an_ended_lease_is_not_used() -> None:
    # rule 40
    scene = Scene().start()
    with pytest.raises(PromiseBrokenError, match="has ended"):
        scene.client._m.enter(Bound(cached(left=-1.0).lease), "ACK, rapid commit", scene.now)


def test_a_change_must_be_in_the_table() -> None:
    scene = Scene().bound()
    with pytest.raises(PromiseBrokenError, match="no transition from BOUND to SELECTING on 'whim'"):
        scene.client._m.enter(Selecting(Scene().start().client.state.exchange), "whim", scene.now)  # type: ignore[union-attr]


def test_an_update_changes_neither_state_nor_lease() -> None:
    scene = Scene().bound()
    for state in (Renewing(scene.lease, Renewal("t1", "T1")), Bound(scene.lease._replace(address=OTHER))):
        with pytest.raises(PromiseBrokenError, match="update of BOUND"):
            scene.client._m.update(state)


def test_the_lease_in_use_by_state() -> None:
    lease = cached().lease
    assert lease_in_use(Stopped(lease)) == lease
    assert lease_in_use(Init()) is None
    assert lease_in_use(Scene().start(cached()).client.state) is None


def test_what_is_left_is_never_negative() -> None:
    # rule 75
    lease = cached(left=10.0, now=100.0).lease
    assert [lease.seconds_left(now) for now in (100.0, 109.0, 110.0, 500.0)] == [10.0, 1.0, 0.0, 0.0]
    assert (lease.valid(109.9), lease.valid(110.0)) == (True, False)
    assert lease._replace(expires_at=inf).infinite


def test_early_calls_do_nothing() -> None:
    scene = Scene().bound()
    assert scene.client.handle_timer(scene.now - 100.0) == []


def test_the_snapshot_shows_what_status_tells() -> None:
    scene = Scene().bound()
    assert scene.client.snapshot() == Snapshot(
        "BOUND", scene.lease, scene.client.snapshot().path, scene.outcomes[-1], {}, scene.client.next_deadline()
    )
    assert scene.client.lease is not None
    assert scene.client.lease.address == OURS


def test_the_same_seed_lives_the_same_life() -> None:
    one, two = Scene(seed=5).reserved(), Scene(seed=5).reserved()
    assert one.actions == two.actions
    assert isinstance(one.client, Client)
    assert Scene(seed=6).reserved().actions != one.actions
