"""ARP: when an address is asked for, announced, declined; and when a claim is not believed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.scene import CLAIMANT, OTHER, OURS, SERVER, START, Scene, of

from holdfast.core import actions as act
from holdfast.core import events as ev
from holdfast.core import schedule
from holdfast.core.actions import DeconfigureReason, NoticeCode
from holdfast.core.outcome import Result
from holdfast.wire import message as msg

CLAIM = ev.AddressConflict(OURS, CLAIMANT)


def arp(actions: list[act.Action]) -> list[str]:
    return [type(a).__name__ for a in actions if isinstance(a, (act.Probe, act.Announce, act.Watch))]


def test_optimistic_asks_while_the_request_is_under_way_and_just_after() -> None:
    # rule 71
    scene = Scene().requesting()
    scene.ack()
    assert scene.state == "BOUND"
    scene.wait(30.0)
    assert arp(scene.actions) == ["Probe", "Announce", "Probe", "Probe", "Announce", "Watch"] or arp(
        scene.actions
    ) == ["Watch", "Probe", "Announce", "Probe", "Probe", "Announce", "Watch"]
    assert of(act.Watch, scene.actions) == [act.Watch((OURS,)), act.Watch(())]


def test_strict_asks_first() -> None:
    scene = Scene(acd="strict").requesting()
    scene.ack()
    assert scene.state == "PROBING"
    assert not of(act.Configure, scene.actions)
    scene.until_state("BOUND")
    assert scene.now >= 1004.0  # two gaps of a second at least, and two seconds to answer the last
    scene.wait(30.0)
    assert arp(scene.actions) == ["Watch", "Probe", "Probe", "Probe", "Announce", "Announce", "Watch"]


def test_off_announces_and_does_not_ask() -> None:
    scene = Scene(acd="off").bound()
    scene.wait(30.0)
    assert arp(scene.actions) == ["Announce"]


def test_a_renewal_is_never_probed() -> None:
    # rule 71
    scene = Scene().renewing()
    before = arp(scene.actions)
    scene.ack()
    scene.wait(30.0)
    assert arp(scene.actions) == before


@pytest.mark.parametrize("acd", ["optimistic", "strict"])
def test_a_taken_address_is_declined_and_left_alone_for_ten_seconds(acd: str) -> None:
    # rules 14, 43
    scene = Scene(acd=acd).requesting()
    scene.ack()
    actions = scene.contest()
    assert scene.state == "INIT"
    (decline,) = of(act.Transmit, actions)
    assert (decline.message.message_type, decline.message.requested_address) == (msg.DECLINE, OURS)
    assert of(act.Forget, actions)
    gone = [a.reason for a in of(act.Deconfigure, actions)]
    assert gone == ([DeconfigureReason.CONFLICT] if acd == "optimistic" else [])
    outcome = scene.outcomes[-1]
    assert (outcome.result, outcome.cause) == (Result.CONFLICT, "02:00:00:00:de:ad has 192.0.2.100")
    declined = scene.now
    scene.feed(ev.LinkDown(), ev.LinkUp())  # a new cable does not shorten it
    scene.until_sent()
    assert scene.now - declined == 10.0
    assert scene.last.message.requested_address is None  # not that one again


def test_a_claim_before_the_ack_is_declined_when_the_ack_has_come() -> None:
    scene = Scene().requesting()
    scene.feed(CLAIM)
    assert scene.state == "REQUESTING"
    scene.ack()
    assert (scene.state, scene.last.message.message_type) == ("INIT", msg.DECLINE)
    assert scene.last.message.server_id == SERVER


def test_a_claim_to_the_offered_address_does_not_touch_another() -> None:
    scene = Scene().requesting()
    scene.feed(CLAIM)
    scene.ack(address=OTHER)
    assert (scene.state, scene.lease.address) == ("BOUND", OTHER)


def test_later_claims_are_not_believed() -> None:
    scene = Scene().bound()
    scene.wait(60.0)
    scene.feed(CLAIM)
    assert scene.state == "BOUND"
    assert scene.notices == [NoticeCode.CONFLICT_IGNORED]


def test_claims_to_what_is_not_ours_are_none_of_our_business() -> None:
    scene = Scene().bound()
    scene.feed(ev.AddressConflict(OTHER, CLAIMANT))
    assert (scene.state, scene.notices) == ("BOUND", [NoticeCode.CONFLICT_IGNORED])
    scene = Scene().start()
    scene.feed(CLAIM)
    assert (scene.state, scene.notices) == ("SELECTING", [NoticeCode.CONFLICT_IGNORED])


def test_while_another_address_is_taken_the_held_one_stays_and_stays_stored() -> None:
    scene = Scene(acd="strict").renewing()
    scene.ack(address=OTHER)
    assert scene.state == "PROBING"
    actions = scene.feed(ev.AddressConflict(OTHER, CLAIMANT))
    assert (scene.state, scene.lease.address) == ("INIT", OURS)
    assert not of(act.Deconfigure, actions)
    assert not of(act.Forget, actions)
    scene.until_sent()
    assert scene.last.message.requested_address == OURS


def test_probing_stops_for_an_address_that_was_not_granted() -> None:
    scene = Scene().requesting()
    scene.nak()
    scene.wait(20.0)
    assert of(act.Watch, scene.actions)[-1] == act.Watch(())
    assert len(of(act.Probe, scene.actions)) == 3


def test_a_request_repeated_is_not_probed_twice() -> None:
    scene = Scene().requesting()
    scene.until_sent(2)
    assert len(of(act.Watch, scene.actions)) == 1


def test_probing_waits_for_a_slow_ack() -> None:
    scene = Scene().requesting()
    scene.wait(6.0)
    assert scene.state == "REQUESTING"
    scene.ack()
    scene.wait(30.0)
    assert len(of(act.Probe, scene.actions)) == 3
    assert len(of(act.Announce, scene.actions)) == 2


def test_a_success_makes_earlier_conflicts_good() -> None:
    # rule 43
    scene = Scene(acd="strict").requesting()
    for _ in range(schedule.CONFLICT_LIMIT - 1):
        scene.ack()
        scene.feed(CLAIM)
        scene.until_sent()
        scene.offer()
    scene.ack()
    scene.wait(30.0)
    assert scene.state == "BOUND"
    scene.feed(ev.Restored(1, "a copy"))
    scene.contest()
    declined = scene.now
    assert scene.state == "INIT"
    scene.until_sent()
    assert scene.now - declined == schedule.DECLINE_WAIT


def test_an_address_that_is_offered_again_is_asked_for_again() -> None:
    # rule 71: the claim that the first REQUEST met with was the first one's; a second must not go without
    scene = Scene().requesting()
    scene.feed(CLAIM)
    scene.until_state("SELECTING")
    scene.wait(30.0)
    asked = arp(scene.actions).count("Probe")
    scene.offer()
    scene.until_state("REQUESTING")
    assert arp(scene.actions).count("Probe") == asked + 1
    scene.feed(CLAIM)
    scene.ack()
    assert scene.state == "INIT"
    assert scene.last.message.message_type == msg.DECLINE


def test_the_same_when_no_more_than_a_moment_has_passed() -> None:
    scene = Scene().requesting()
    scene.feed(CLAIM)
    scene.until_state("SELECTING")
    asked = arp(scene.actions).count("Probe")
    scene.offer()
    scene.until_state("REQUESTING")
    assert arp(scene.actions).count("Probe") == asked + 1


def test_a_new_request_for_the_address_in_use_does_not_start_its_announcements_over() -> None:
    scene = Scene().bound(lease=0xFFFFFFFF)
    scene.feed(ev.Renew())
    scene.wait(2.5)
    scene.nak()
    assert scene.state == "SELECTING"
    scene.offer()
    scene.ack()
    scene.wait(30.0)
    assert arp(scene.actions).count("Probe") == 3
    assert arp(scene.actions).count("Announce") == 2


def test_without_carrier_silence_proves_nothing() -> None:
    # RFC 5227 section 2.1: strict detection needs a link on which somebody could answer
    scene = Scene(acd="strict").requesting()
    scene.ack()
    scene.wait(0.5)
    scene.feed(ev.LinkDown())
    scene.wait(30.0)
    assert scene.state == "PROBING"
    before = arp(scene.actions).count("Probe")
    scene.feed(ev.LinkUp())
    up = scene.now
    scene.until_state("BOUND")
    assert arp(scene.actions).count("Probe") == before + 3
    assert scene.now - up >= 4.0


def test_an_ack_that_is_read_after_carrier_was_lost_is_probed_when_it_is_back() -> None:
    scene = Scene(acd="strict").renewing()
    scene.feed(ev.LinkDown())
    scene.ack(address=OTHER)
    assert scene.state == "PROBING"
    assert not of(act.Probe, scene.wait(30.0))
    scene.feed(ev.LinkUp())
    scene.until_state("BOUND")
    assert scene.lease.address == OTHER


def test_without_carrier_the_lease_may_end_before_anybody_could_answer() -> None:
    scene = Scene(acd="strict").requesting()
    scene.ack(lease=60)
    scene.feed(ev.LinkDown())
    scene.until_state("INIT")
    assert scene.now == START + 60.0
    assert of(act.Watch, scene.actions)[-1] == act.Watch(())
    assert scene.client.next_deadline() is None
    assert scene.outcomes[-1].result is Result.EXPIRED


# -- an address in use: rule 84


def held() -> Scene:
    """A lease that its own server has refused, and that is held."""
    scene = Scene().bound()
    scene.wait(60.0)
    scene.until_state("RENEWING")
    scene.nak()
    assert scene.state == "SELECTING"
    return scene


def copied() -> Scene:
    """The card has announced itself, as after a live migration."""
    scene = Scene().bound()
    scene.wait(60.0)
    scene.feed(ev.Restored(1, "the network card announced itself"))
    return scene


@pytest.mark.parametrize("make", [held, copied, lambda: Scene().bound()])
@pytest.mark.parametrize("answer", [False, True])
def test_a_single_claim_takes_no_address_that_is_in_use(make: Callable[[], Scene], answer: bool) -> None:
    # rule 84
    scene = make()
    probes = len(of(act.Probe, scene.actions))
    scene.feed(CLAIM._replace(answer=answer))
    assert len(of(act.Probe, scene.actions)) == probes + 1, "the claimant is asked"
    scene.wait(5.0)
    assert scene.lease.address == OURS
    assert not of(act.Deconfigure, scene.actions)
    assert NoticeCode.CONFLICT_IGNORED in scene.notices


@pytest.mark.parametrize("make", [held, copied, lambda: Scene().bound()])
def test_claims_that_answer_nothing_prove_nothing_however_many(make: Callable[[], Scene]) -> None:
    # rule 84
    scene = make()
    for _ in range(100):
        scene.feed(CLAIM)
        scene.wait(0.1)
    assert scene.lease.address == OURS
    assert not of(act.Deconfigure, scene.actions)


def test_one_question_has_one_answer_and_one_claimant() -> None:
    # rule 84
    scene = held()
    other = ev.AddressConflict(OURS, bytes.fromhex("02000000beef"), answer=True)
    scene.feed(CLAIM, *[CLAIM._replace(answer=True)] * 5, *[other] * 5)
    assert scene.lease.address == OURS
    scene.wait(1.0)
    scene.feed(*[other] * 5)
    assert scene.lease.address == OURS


def test_a_held_address_that_is_proven_to_be_anothers_goes_and_leaves_a_record() -> None:
    # rules 74, 84
    scene = held()
    began, count = scene.now, len(scene.outcomes)
    actions = scene.contest()
    assert scene.client.lease is None
    assert 0.0 < scene.now - began <= 2.0
    assert [gone.reason for gone in of(act.Deconfigure, actions)] == [DeconfigureReason.CONFLICT]
    assert of(act.Forget, actions)
    (outcome,) = scene.outcomes[count:]
    assert (outcome.purpose, outcome.result, outcome.former_address) == ("hold", Result.CONFLICT, OURS)
    assert (outcome.cause, outcome.seconds_left > 100.0) == ("02:00:00:00:de:ad has 192.0.2.100", True)
    scene.until_sent()
    assert scene.last.message.requested_address is None


def test_a_held_address_that_is_lost_while_it_is_requested_anew_is_declined() -> None:
    # rule 84
    scene = held()
    scene.offer()
    assert scene.state == "REQUESTING"
    scene.contest()
    assert (scene.state, scene.client.lease) == ("REQUESTING", None)
    scene.ack()
    assert (scene.state, scene.last.message.message_type) == ("INIT", msg.DECLINE)


def test_a_contest_ends_with_the_address() -> None:
    # rule 84: what was answered for one address counts for no other
    scene = held()
    scene.feed(CLAIM, CLAIM._replace(answer=True))
    scene.offer(address=OTHER)
    scene.wait(1.5)
    scene.ack(address=OTHER)
    notices = list(scene.notices)
    scene.feed(CLAIM._replace(answer=True))
    scene.wait(10.0)
    assert scene.lease.address == OTHER
    assert scene.notices == [*notices, NoticeCode.CONFLICT_IGNORED]
