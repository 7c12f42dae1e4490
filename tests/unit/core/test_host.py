"""What the host tells us: carrier, addresses, the kernel's answers, time."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from tests.support.scene import OTHER, OURS, Scene, cached, of

from holdfast.core import actions as act
from holdfast.core import events as ev
from holdfast.core import schedule
from holdfast.core.actions import NoticeCode
from holdfast.core.outcome import Result, Via
from holdfast.wire import message as msg


def test_carrier_loss_touches_nothing() -> None:
    # rule 61
    scene = Scene().bound()
    assert scene.feed(ev.LinkDown()) == []
    assert scene.state == "BOUND"


@pytest.mark.parametrize("seed", range(5))
def test_when_carrier_returns_the_lease_is_verified_within_a_second(seed: int) -> None:
    # rule 61
    scene = Scene(seed=seed).bound()
    scene.wait(100.0)
    scene.feed(ev.LinkDown())
    scene.wait(10.0)
    scene.feed(ev.LinkUp())
    up = scene.now
    scene.until_sent()
    assert scene.now - up <= 1.0
    assert scene.last.via is Via.UNICAST
    scene.until_state("BOUND")  # silence is no reason to drop it
    assert scene.outcomes[-1].result is Result.KEPT


def test_carrier_that_was_never_lost_means_nothing() -> None:
    scene = Scene().bound()
    assert scene.feed(ev.LinkUp()) == []


def test_carrier_that_returns_in_a_renewal_hastens_the_next_round() -> None:
    scene = Scene().renewing(lease=86400)
    scene.until_sent(2 + 12)
    scene.feed(ev.LinkDown(), ev.LinkUp())
    asked = scene.now
    scene.until_sent()
    assert scene.now - asked <= 4.0


@pytest.mark.parametrize("situation", ["SELECTING", "PROBING"])
def test_carrier_elsewhere_changes_nothing(situation: str) -> None:
    scene = Scene(acd="strict").start()
    if situation == "PROBING":
        scene.offer()
        scene.ack()
        scene.feed(ev.LinkDown())
    scene.feed(ev.LinkUp())
    assert scene.state == situation


# -- the kernel


def test_an_address_deleted_by_another_is_put_back_at_once() -> None:
    # rule 60
    scene = Scene().bound()
    sent = len(scene.sent)
    scene.feed(ev.AddressLost(OURS))
    lost = scene.now
    actions = scene.at(scene.now)
    assert of(act.Configure, actions) == [act.Configure(scene.lease, None)]
    assert scene.now - lost <= 1.0
    assert NoticeCode.ADDRESS_RESTORED in scene.notices
    assert (scene.state, len(scene.sent)) == ("BOUND", sent)


def waits_for_configure(scene: Scene, *lost: ev.Event, times: int) -> list[float]:
    """Lose something so many times, each as soon as it was put back; the seconds that each took."""
    waits = []
    for _ in range(times):
        scene.feed(*lost)
        began, known = scene.now, len(of(act.Configure, scene.actions))
        scene.until(lambda known=known: len(of(act.Configure, scene.actions)) > known)  # type: ignore[misc]
        waits.append(scene.now - began)
        scene.applied()
    return waits


def test_who_deletes_it_again_and_again_is_not_fought_at_full_speed() -> None:
    # rule 60
    waits = waits_for_configure(Scene().bound(), ev.AddressLost(OURS), times=9)
    assert waits[:3] == [0.0, 0.0, 0.0]
    assert waits[3:6] == [0.5, 1.0, 2.0]


def test_lost_routes_are_put_back_with_the_same_care() -> None:
    # rule 60
    scene = Scene().bound()
    burst = [ev.RoutesLost()] * 20
    expected = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6]
    assert waits_for_configure(scene, *burst, times=9) == pytest.approx(expected, abs=1e-6)


def test_routes_go_back_with_the_address_that_took_them_along() -> None:
    # rule 60
    scene = Scene().bound()
    for wait in (0.0, 0.0, 0.0, 0.5, 1.0):
        assert waits_for_configure(scene, ev.RoutesLost(), ev.AddressLost(OURS), ev.RoutesLost(), times=1) == [wait]


def test_without_a_lease_there_are_no_routes_to_put_back() -> None:
    scene = Scene().start()
    scene.feed(ev.RoutesLost())
    scene.wait(3.0)
    assert of(act.Configure, scene.actions) == []


def test_losses_of_long_ago_are_forgotten() -> None:
    # rule 60
    scene = Scene().bound()
    for _ in range(40):
        scene.feed(ev.AddressLost(OURS))
    scene.wait(120.0)
    scene.feed(ev.AddressLost(OURS))
    assert scene.client.next_deadline() == scene.now


def test_other_addresses_are_not_ours_to_restore() -> None:
    # rule 58
    scene = Scene().bound()
    assert scene.feed(ev.AddressLost(OTHER)) == []
    assert Scene().start().feed(ev.AddressLost(OURS)) == []


def test_a_kernel_that_refuses_is_asked_again_ever_later_while_the_lease_goes_on() -> None:
    # rule 59
    scene = Scene().requesting()
    scene.ack()
    times = []
    for _ in range(5):
        scene.feed(ev.ApplyFailed("RTM_NEWADDR: ENOBUFS"))
        refused, known = scene.now, len(of(act.Configure, scene.actions))
        scene.until(lambda known=known: len(of(act.Configure, scene.actions)) > known)  # type: ignore[misc]
        times.append(scene.now - refused)
    assert times == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert NoticeCode.APPLY_FAILED in scene.notices
    scene.applied()
    known = len(of(act.Configure, scene.actions))
    scene.until_state("RENEWING")
    assert len(of(act.Configure, scene.actions)) == known


def test_a_move_that_failed_is_repeated_with_the_old_address() -> None:
    # rules 57, 59
    scene = Scene().renewing()
    scene.ack(address=OTHER)
    scene.feed(ev.ApplyFailed("no"))
    scene.wait(1.0)
    again = of(act.Configure, scene.actions)[-1]
    assert again.former is not None
    assert (again.lease.address, again.former.address) == (OTHER, OURS)
    scene.applied()
    scene.until_state("RENEWING")
    scene.ack()
    assert of(act.Configure, scene.actions)[-1].former is None


def test_a_failure_without_a_lease_is_old_news() -> None:
    assert Scene().start().feed(ev.ApplyFailed("no")) == []


def test_a_lease_that_ends_stops_the_repetitions() -> None:
    scene = Scene().bound(lease=60)
    scene.feed(ev.ApplyFailed("no"))
    scene.at(scene.lease.expires_at)
    known = len(of(act.Configure, scene.actions))
    scene.wait(60.0)
    assert len(of(act.Configure, scene.actions)) == known


# -- time


def test_after_sleep_the_kernel_is_told_and_the_lease_verified() -> None:
    # rules 45, 46
    scene = Scene().bound()
    scene.now += 600.0
    actions = scene.feed(ev.TimeJumped(600.0, "suspend"))
    assert of(act.Configure, actions) == [act.Configure(scene.lease, None)]
    assert NoticeCode.TIME_JUMPED in scene.notices
    woke = scene.now
    scene.until_sent()
    assert scene.now - woke <= 2.0
    scene.ack()
    assert scene.outcomes[-1].purpose == "resume"


def test_after_sleep_past_t1_the_renewal_is_at_once() -> None:
    # rule 45
    scene = Scene().bound()
    scene.at(scene.lease.t1_at + 100.0)
    assert (scene.state, scene.last.via) == ("RENEWING", Via.UNICAST)


@pytest.mark.parametrize("seconds", [3.2e7, -3.2e7])
def test_a_step_of_the_wall_clock_changes_nothing(seconds: float) -> None:
    # rule 44
    scene = Scene().bound()
    lease = scene.lease
    scene.feed(ev.TimeJumped(seconds, "clock step"))
    assert scene.lease == lease
    assert not of(act.Deconfigure, scene.actions)


@pytest.mark.parametrize("situation", ["SELECTING", "REQUESTING", "REBOOTING", "holding"])
def test_a_question_slept_over_is_asked_again_at_once(situation: str) -> None:
    scene = {
        "SELECTING": lambda: Scene().start(),
        "REQUESTING": lambda: Scene().requesting(),
        "REBOOTING": lambda: Scene().start(cached()),
        "holding": lambda: Scene().holding(),
    }[situation]()
    sent = len(scene.sent)
    scene.feed(ev.TimeJumped(1.0, "suspend"))
    scene.wait(schedule.RESUME_OVERDUE)
    assert len(scene.sent) == sent + 1


def test_sleep_before_anything_was_asked_is_only_told() -> None:
    scene = Scene().start(carrier=False)
    assert [type(a) for a in scene.feed(ev.TimeJumped(1.0, "suspend"))] == [act.Noticed]


@pytest.mark.parametrize(("left", "overdue", "most"), [
    (3600.0, False, 2.0), (20.0, False, 1.0), (1.0, False, 0.05), (3600.0, True, 0.25), (2.0, True, 0.1),
    (float("inf"), False, 2.0),
])
def test_guests_that_wake_together_do_not_ask_together(left: float, overdue: bool, most: float) -> None:
    # rule 45
    rng = Random(1)
    waits = [schedule.resume_wait(left, rng, overdue=overdue) for _ in range(1000)]
    assert 0.0 <= min(waits) < 0.1 * most
    assert 0.9 * most < max(waits) <= most


@pytest.mark.parametrize("seed", range(5))
def test_after_sleep_past_t1_the_check_is_at_once(seed: int) -> None:
    # rule 45
    scene = Scene(seed=seed).bound()
    scene.now = scene.lease.t1_at + 100.0
    scene.feed(ev.TimeJumped(1700.0, "suspend"))
    woke = scene.now
    scene.until_sent()
    assert scene.now - woke <= 0.25


def test_after_sleep_the_next_try_comes_no_later_than_it_would_have() -> None:
    scene = Scene().start()
    due = scene.client.next_deadline()
    assert due is not None
    scene.wait(due - scene.now - 0.001)
    scene.feed(ev.TimeJumped(1.0, "suspend"))
    scene.wait(0.002)
    assert len(scene.sent) == 2


# -- a restored snapshot, a copy

COPY = ev.Restored(7, "the VM generation id changed")


def twins(make: Callable[[], Scene]) -> list[list[act.Transmit]]:
    """What two copies of one machine ask after they have found out."""
    asked = []
    for seed in (11, 12):
        scene = make()
        sent = len(scene.sent)
        scene.feed(ev.Restored(seed, "a copy"))
        scene.wait(3.0)
        asked.append(scene.sent[sent:])
    return asked


@pytest.mark.parametrize("situation", ["SELECTING", "REQUESTING", "REBOOTING", "BOUND", "RENEWING", "REBINDING"])
def test_copies_draw_different_numbers(situation: str) -> None:
    # rule 11
    make = {
        "SELECTING": lambda: Scene().start(),
        "REQUESTING": lambda: Scene().requesting(),
        "REBOOTING": lambda: Scene().start(cached()),
        "BOUND": lambda: Scene().bound(),
        "RENEWING": lambda: Scene().renewing(),
        "REBINDING": lambda: Scene().rebinding(),
    }[situation]
    before = {sent.message.xid for sent in make().sent}
    first, second = ({sent.message.xid for sent in asked} for asked in twins(make))
    assert first
    assert second
    assert not first & second
    assert not (first | second) & before


def test_a_copy_asks_at_once_tells_the_kernel_and_looks_for_whoever_has_its_address() -> None:
    # rules 45, 46
    scene = Scene().bound()
    scene.wait(100.0)
    actions = scene.feed(COPY)
    assert of(act.Configure, actions) == [act.Configure(scene.lease, None)]
    assert of(act.Probe, actions) == [act.Probe(OURS)]
    assert (scene.state, NoticeCode.RESTORED in scene.notices) == ("RENEWING", True)
    scene.until_sent()
    scene.ack()
    scene.wait(60.0)
    assert scene.outcomes[-1].purpose == "restored"
    assert len(of(act.Announce, scene.actions)) == 2  # as ever: of the first lease


def test_a_copy_whose_address_somebody_else_has_gives_it_up() -> None:
    # rule 46: how long it was away no clock knows, so its lease may have ended
    scene = Scene().bound()
    scene.wait(100.0)
    scene.feed(COPY)
    scene.contest()
    assert (scene.state, scene.client.lease) == ("INIT", None)


def test_a_copy_that_was_probing_begins_to_probe_anew() -> None:
    # rule 71
    scene = Scene(acd="strict").requesting()
    scene.ack()
    scene.wait(3.0)
    began = scene.now
    scene.feed(COPY)
    scene.until_state("BOUND")
    assert scene.now - began >= 4.0
    assert [a.address for a in of(act.Probe, scene.actions)][-3:] == [OURS] * 3


def test_a_copy_looks_for_nobody_when_detection_is_off() -> None:
    scene = Scene(acd="off").bound()
    assert of(act.Probe, scene.feed(COPY)) == []
    assert scene.state == "RENEWING"


def test_an_answer_to_what_was_asked_before_the_copy_is_none() -> None:
    # rule 11
    scene = Scene().renewing()
    answer = scene.reply(msg.ACK)
    scene.feed(COPY)
    scene.hear(answer)
    assert scene.state == "RENEWING"
    assert scene.client.snapshot().drops == {"xid": 1}


def test_a_copy_that_waits_or_has_stopped_only_takes_note() -> None:
    scene = Scene().start(carrier=False)
    assert [type(a) for a in scene.feed(COPY)] == [act.Noticed]
    scene = Scene().bound()
    scene.feed(ev.Release())
    assert scene.feed(COPY) == []
