"""The end of a lease: its address goes then, not before, and whatever else happens."""

from __future__ import annotations

import pytest
from tests.support.scene import OTHER, OURS, Scene, of

from holdfast.core import actions as act
from holdfast.core import events as ev
from holdfast.core.actions import DeconfigureReason
from holdfast.core.outcome import Result
from holdfast.wire import message as msg


def test_the_held_address_goes_at_the_end_of_its_lease() -> None:
    # rule 40
    scene = Scene().holding()
    ends_at = scene.lease.expires_at
    scene.until(lambda: scene.client.lease is None)
    assert scene.now == ends_at
    (gone,) = of(act.Deconfigure, scene.actions)
    assert gone.reason is DeconfigureReason.EXPIRED
    assert scene.state == "SELECTING"


@pytest.mark.parametrize("silent_until", ["RENEWING", "REBINDING"])
def test_the_address_goes_at_the_end_and_not_before(silent_until: str) -> None:
    # rules 39, 40
    scene = Scene().bound()
    scene.until_state(silent_until)
    ends_at = scene.lease.expires_at
    scene.until(lambda: bool(of(act.Deconfigure, scene.actions)))
    assert scene.now == ends_at
    assert scene.state == "SELECTING"
    assert scene.last.message.requested_address == OURS
    outcome = scene.outcomes[-1]
    assert (outcome.result, outcome.seconds_left) == (Result.EXPIRED, 0.0)


def test_a_lease_slept_through_is_over_before_anything_else() -> None:
    # rules 40, 45
    scene = Scene().bound()
    scene.now = scene.lease.expires_at + 5.0
    scene.promises.disturbed(scene.now)
    actions = scene.feed(ev.TimeJumped(7200.0, "suspend"))
    assert [type(a).__name__ for a in actions][:3] == ["Recorded", "Deconfigure", "Transitioned"]
    assert [o.result for o in scene.outcomes] == [Result.ACQUIRED, Result.EXPIRED]


def test_an_ack_a_moment_too_late_finds_no_lease_in_use() -> None:
    scene = Scene().rebinding()
    answer = scene.reply(msg.ACK)
    scene.now = scene.lease.expires_at
    scene.promises.disturbed(scene.now)
    scene.hear(answer)
    assert scene.client.lease is None
    assert scene.state == "SELECTING"


def test_the_probing_of_a_new_address_outlives_the_old_one() -> None:
    scene = Scene(acd="strict").renewing(lease=60)
    scene.until(lambda: scene.lease.seconds_left(scene.now) < 3.5)
    scene.ack(to=next(s for s in scene.sent[::-1] if s.message.ciaddr == OURS), address=OTHER)
    assert scene.state == "PROBING"
    scene.until(lambda: scene.state == "BOUND", 20.0)
    assert scene.lease.address == OTHER
    assert [gone.lease.address for gone in of(act.Deconfigure, scene.actions)] == [OURS]


def test_a_claim_to_a_held_address_ends_it() -> None:
    scene = Scene().holding()
    actions = scene.contest()
    assert [gone.reason for gone in of(act.Deconfigure, actions)] == [DeconfigureReason.CONFLICT]
    assert scene.state == "SELECTING"


def test_a_lease_that_is_won_makes_earlier_refusals_good() -> None:
    # rule 27: the growing pause is for refusals in a row
    scene = Scene().bound()
    for _ in range(5):
        scene.until_state("RENEWING")
        scene.nak()
        assert scene.state == "SELECTING"  # at once
        scene.offer()
        scene.ack()
        assert scene.state == "BOUND"
