"""The ladder: unicast, broadcast, broadcast from 0.0.0.0; and what is learned on it."""

from __future__ import annotations

from math import inf

import pytest
from tests.support.scene import OTHER, OURS, SERVER, STRANGE_SERVER, Scene, cached, of

from holdfast.core import actions as act
from holdfast.core import events as ev
from holdfast.core.actions import NoticeCode
from holdfast.core.lease import Server
from holdfast.core.outcome import Result, Via
from holdfast.wire import message as msg
from holdfast.wire import options as opt
from holdfast.wire.message import ANY, BROADCAST


def server_of(scene: Scene) -> Server:
    server = scene.client.snapshot().server
    assert server is not None
    return server


def test_one_round_climbs_three_rungs_with_one_xid() -> None:
    # rules 3, 4, 6, 11, 35
    scene = Scene().renewing()
    began = scene.now
    scene.until_sent(2)
    assert scene.now - began <= 4.0
    rungs = scene.sent[-3:]
    assert [(s.via, s.source, s.destination) for s in rungs] == [
        (Via.UNICAST, OURS, SERVER), (Via.BROADCAST, OURS, BROADCAST), (Via.BROADCAST_ANY, ANY, BROADCAST),
    ]
    assert len({s.message.xid for s in rungs}) == 1
    assert rungs[0].message == rungs[1].message._replace(secs=0)
    assert NoticeCode.UNICAST_UNANSWERED in scene.notices


def test_the_next_round_has_an_xid_of_its_own() -> None:
    # rule 11
    scene = Scene().renewing()
    scene.until_sent(3)
    assert scene.last.message.xid != scene.sent[-2].message.xid


def test_a_renewal_disturbs_nothing() -> None:
    # rules 38, 56
    scene = Scene().renewing()
    actions = scene.ack()
    assert [type(a).__name__ for a in actions] == ["Persist", "Configure", "Transitioned", "Recorded"]
    assert not of(act.Deconfigure, scene.actions)
    configured = of(act.Configure, actions)[0]
    assert configured.lease.address == OURS
    assert configured.former is None


@pytest.mark.parametrize(("rungs", "via", "hears"), [
    (0, Via.UNICAST, True), (1, Via.BROADCAST, False), (2, Via.BROADCAST_ANY, False),
])
def test_the_way_that_worked_is_recorded_and_remembered(rungs: int, via: Via, hears: bool) -> None:
    # rules 38, 74
    scene = Scene().renewing()
    if rungs:
        scene.until_sent(rungs)
    scene.now += 0.1
    actions = scene.ack()
    outcome = scene.outcomes[-1]
    assert (outcome.result, outcome.via, outcome.attempts, outcome.server) == (Result.RENEWED, via, rungs + 1, SERVER)
    assert outcome.latency is not None
    assert outcome.latency >= 0.099
    assert server_of(scene).hears_unicast is hears
    assert (server_of(scene).srtt is not None) is hears
    assert of(act.Persist, actions)[0].binding.server == server_of(scene)


def test_the_round_trip_sets_the_patience() -> None:
    scene = Scene().renewing()
    scene.now += 0.15
    scene.ack()
    assert server_of(scene).srtt == pytest.approx(0.15)
    scene.until_state("RENEWING")
    asked = scene.now
    scene.until_sent()
    assert scene.now - asked == pytest.approx(0.6)


@pytest.mark.parametrize(("round_trip", "wait"), [(0.005, 0.25), (0.05, 0.25), (0.3, 0.6), (0.8, 1.0)])
def test_the_exchange_that_won_the_lease_sets_the_first_patience(round_trip: float, wait: float) -> None:
    # rule 35
    scene = Scene().requesting()
    scene.now += round_trip
    scene.ack()
    scene.until_state("RENEWING")
    assert server_of(scene) == Server(SERVER, request_rtt=pytest.approx(round_trip))
    asked = scene.now
    assert scene.until_sent().via is Via.BROADCAST
    assert scene.now - asked == pytest.approx(wait)


@pytest.mark.parametrize("round_trip", [0.005, 0.05, 0.3])
def test_a_server_that_answers_as_fast_as_before_is_asked_once(round_trip: float) -> None:
    # rule 35
    scene = Scene().requesting()
    for _ in range(3):
        scene.wait(round_trip)
        scene.ack()
        sent = len(scene.sent)
        scene.until_state("RENEWING")
        assert len(scene.sent) == sent + 1


def test_a_request_that_was_repeated_measures_nothing() -> None:
    # rule 35
    scene = Scene().requesting()
    scene.until_sent()
    scene.ack()
    assert server_of(scene).request_rtt is None


def test_an_init_reboot_measures_the_server() -> None:
    # rule 35
    scene = Scene().start(cached())
    scene.now += 0.2
    scene.ack()
    assert server_of(scene).request_rtt == pytest.approx(0.2)


def test_a_server_deaf_three_times_is_left_alone_but_for_every_eighth_renewal() -> None:
    # rule 38
    scene, ways = Scene().bound(), []
    for _ in range(12):
        scene.until_state("RENEWING")
        ways.append(scene.last.via)
        if scene.last.via is Via.UNICAST:
            scene.until_sent()
        scene.ack()
    assert [number for number, via in enumerate(ways, 1) if via is Via.UNICAST] == [1, 2, 3, 11]
    assert ways.count(Via.BROADCAST) == 8


def test_a_deaf_server_whose_broadcast_is_unheard_too_gets_unicast_in_the_third_round() -> None:
    # rule 38
    scene = Scene().bound()
    for _ in range(3):
        scene.until_state("RENEWING")
        scene.until_sent()
        scene.ack()
    scene.until_state("RENEWING")
    scene.until(lambda: scene.last.via is Via.UNICAST)
    assert len({sent.message.xid for sent in scene.sent if sent.message.ciaddr == OURS}) == 6  # its third of its own
    scene.ack()
    assert server_of(scene).hears_unicast is True


def test_a_deaf_server_is_still_tried_and_forgiven_when_it_hears() -> None:
    # rules 35, 38
    scene = Scene().renewing()
    scene.until_sent()
    scene.ack()
    scene.until_state("RENEWING")
    assert scene.last.via is Via.UNICAST
    asked = scene.now
    scene.until_sent()
    assert scene.now - asked <= 0.25
    scene.ack()
    scene.until_state("RENEWING")
    scene.ack()
    assert server_of(scene).hears_unicast is True


def test_an_answer_to_an_earlier_round_counts_from_that_round_and_teaches_nothing() -> None:
    # rule 31
    scene = Scene().renewing()
    first, asked = scene.last, scene.now
    scene.until(lambda: scene.last.message.xid != first.message.xid)
    scene.ack(to=first, lease=1000)
    assert scene.lease.expires_at == asked + 1000.0
    assert server_of(scene).hears_unicast is None


def test_an_answer_from_long_ago_is_no_answer() -> None:
    scene = Scene(seed=2).renewing(lease=86400)
    first = scene.last
    scene.until(lambda: len({sent.message.xid for sent in scene.sent}) == 7)
    scene.ack(to=first)
    assert scene.state == "RENEWING"
    assert scene.client.snapshot().drops == {"xid": 1}


def test_a_unicast_that_cannot_be_sent_is_broadcast_at_once_and_teaches_nothing() -> None:
    # rules 35, 55
    scene = Scene().renewing()
    began = scene.now
    scene.feed(ev.SendFailed(Via.UNICAST, "EHOSTUNREACH"))
    assert (scene.now, scene.last.via) == (began, Via.BROADCAST)
    scene.ack()
    assert server_of(scene).hears_unicast is None


def test_an_error_for_a_rung_long_left_changes_nothing() -> None:
    scene = Scene().renewing()
    scene.until_sent()
    sent = len(scene.sent)
    scene.feed(ev.SendFailed(Via.UNICAST, "ECONNREFUSED"))
    assert len(scene.sent) == sent


def test_a_failed_renewal_never_deconfigures() -> None:
    # rules 39, 40
    scene = Scene().renewing()
    ends_at = scene.lease.expires_at
    scene.until(lambda: scene.now >= ends_at - 0.5, ends_at - scene.now - 0.5)
    assert not of(act.Deconfigure, scene.actions)
    assert scene.lease.address == OURS


# -- other servers, other addresses


def test_after_the_broadcast_another_server_may_answer() -> None:
    # rule 18
    scene = Scene().renewing()
    scene.until_sent()
    scene.ack(server=STRANGE_SERVER)
    assert (scene.state, scene.lease.server_id) == ("BOUND", STRANGE_SERVER)
    assert NoticeCode.SERVER_CHANGED in scene.notices
    assert server_of(scene) == Server(STRANGE_SERVER)
    assert scene.outcomes[-1].server == STRANGE_SERVER


def test_before_the_broadcast_nobody_else_was_asked() -> None:
    # rule 18
    scene = Scene().renewing()
    scene.ack(server=STRANGE_SERVER)
    assert (scene.state, scene.client.snapshot().drops) == ("RENEWING", {"other-server": 1})


def test_another_server_may_not_move_us() -> None:
    # rule 18
    scene = Scene().renewing()
    scene.until_sent()
    scene.ack(server=STRANGE_SERVER, address=OTHER)
    assert (scene.state, scene.client.snapshot().drops) == ("RENEWING", {"other-server": 1})


@pytest.mark.parametrize("state", ["RENEWING", "REBINDING"])
def test_our_server_may_move_us_new_before_old(state: str) -> None:
    # rules 19, 57
    scene = Scene().bound()
    scene.until_state(state)
    if state == "REBINDING":
        scene.until_sent()
    actions = scene.ack(address=OTHER)
    (configure,) = of(act.Configure, actions)
    assert configure.former is not None
    assert (configure.lease.address, configure.former.address) == (OTHER, OURS)
    assert not of(act.Deconfigure, actions)
    outcome = scene.outcomes[-1]
    assert (outcome.result, outcome.former_address, outcome.address) == (Result.MOVED, OURS, OTHER)


def test_an_ack_that_is_no_lease_changes_nothing() -> None:
    scene = Scene().renewing()
    scene.ack(address=BROADCAST)
    assert (scene.state, scene.client.snapshot().drops) == ("RENEWING", {"no-address": 1})


def test_a_lease_without_a_server_goes_to_another_with_one() -> None:
    # rule 21
    scene = Scene().requesting()
    scene.ack(server=None)
    scene.until_state("RENEWING")
    scene.ack()
    assert server_of(scene).server_id == SERVER


# -- checks that are not due


def test_a_check_that_nobody_answers_keeps_the_lease() -> None:
    # rules 39, 61
    scene = Scene().bound()
    scene.wait(60.0)
    scene.feed(ev.Renew())
    assert scene.state == "RENEWING"
    t1_at = scene.lease.t1_at
    scene.until_state("BOUND")
    outcome = scene.outcomes[-1]
    assert (outcome.result, outcome.purpose, outcome.latency) == (Result.KEPT, "operator", None)
    assert scene.client.next_deadline() == t1_at


def test_a_check_of_an_infinite_lease_ends_too() -> None:
    # rule 32
    scene = Scene().bound(lease=0xFFFFFFFF)
    scene.feed(ev.Rebind())
    scene.until_state("BOUND")
    assert scene.outcomes[-1].seconds_left == inf


def test_a_check_that_t1_overtakes_becomes_a_renewal() -> None:
    scene = Scene().bound(lease=60)
    scene.at(scene.lease.t1_at - 1.0)
    scene.feed(ev.Renew())
    scene.until_state("REBINDING")


def test_two_renewals_are_two_seconds_apart() -> None:
    # rule 36
    scene = Scene().renewing()
    scene.ack()
    renewed = scene.now
    scene.feed(ev.Renew())
    assert scene.state == "RENEWING"
    scene.until_sent()
    assert scene.now >= renewed + 2.0


def test_asking_again_and_again_never_puts_the_next_round_off() -> None:
    scene = Scene().bound()
    scene.wait(60.0)
    scene.feed(ev.LinkDown(), ev.LinkUp())
    asked = scene.now
    for _ in range(40):
        scene.wait(0.05)
        scene.feed(ev.LinkDown(), ev.LinkUp())
    assert next(at for at, _ in scene.sent_at if at >= asked) <= asked + 0.8


def test_t2_brings_a_round_at_once() -> None:
    scene = Scene().rebinding(lease=86400)
    t2_at = scene.lease.t2_at
    scene.until_sent()
    assert scene.now <= t2_at + 10.0


def test_a_lease_found_after_t2_starts_in_rebinding_and_asks_beside_at_once() -> None:
    # A daemon that is killed again and again has only first rounds: they too must ask a server that forgot.
    scene = Scene().start(cached(left=100.0, on_link=True))
    scene.at(scene.now)
    assert scene.state == "REBINDING"
    assert [sent.via for sent in scene.sent] == [Via.UNICAST, Via.DISCOVER]
    scene.ack(to=scene.sent[0])
    assert scene.outcomes[-1].purpose == "t2"


def test_a_server_without_a_name_answers_the_broadcast() -> None:
    # rule 21
    scene = Scene().renewing()
    scene.until_sent()
    scene.ack(server=None, more={opt.MESSAGE: b"x"})
    assert scene.lease.server_id is None
    assert scene.client.snapshot().server is None
    assert scene.last.message.message_type == msg.REQUEST


def test_an_ack_without_a_lease_time_renews_for_as_long_as_before() -> None:
    # rule 20
    scene = Scene().renewing()
    asked = scene.now
    scene.ack(lease=None)
    assert scene.state == "BOUND"
    assert (scene.lease.lease_time, scene.lease.expires_at) == (3600.0, asked + 3600.0)


# -- a lease whose T1 is far away: rule 85


@pytest.mark.parametrize("lease", [0xFFFFFFFF, 30 * 86400])
def test_a_long_lease_is_checked_once_a_day_and_silence_changes_nothing(lease: int) -> None:
    # rule 85
    scene = Scene().bound(lease=lease)
    known, sent = scene.lease, len(scene.sent)
    scene.wait(5.5 * 86400.0)
    checks = scene.outcomes[1:]
    assert [(outcome.purpose, outcome.result) for outcome in checks] == [("check", Result.KEPT)] * 5
    assert [outcome.attempts for outcome in checks] == [3] * 5, "one round"
    assert len(scene.sent) - sent == 15
    assert (scene.state, scene.lease) == ("BOUND", known)
    assert not of(act.Deconfigure, scene.actions)


def test_the_answer_to_a_check_is_the_lease_from_then_on() -> None:
    # rule 85: "for ever" was said once; the server may think otherwise by now
    scene = Scene().bound(lease=0xFFFFFFFF)
    scene.until_state("RENEWING")
    scene.ack(lease=3600)
    assert (scene.state, scene.lease.lease_time) == ("BOUND", 3600.0)
    assert scene.outcomes[-1].purpose == "check"
    scene.until_state("RENEWING")
    assert scene.outcomes[-1].purpose == "check"
    scene.ack(lease=3600)
    assert scene.outcomes[-1].purpose == "t1"


def test_a_lease_of_a_few_days_is_renewed_at_t1_and_checked_before() -> None:
    # rule 85
    scene = Scene().bound(lease=3 * 86400)  # T1 after a day and a half
    scene.until_state("RENEWING")
    scene.ack(lease=86400)
    assert scene.outcomes[-1].purpose == "check"
    scene.until_state("RENEWING")
    assert scene.now >= scene.lease.t1_at


@pytest.mark.parametrize("carrier", [True, False])
def test_a_remembered_lease_for_ever_is_checked_at_start(carrier: bool) -> None:
    # rule 85
    endless = cached(on_link=True)
    lease = endless.binding.lease._replace(t1_at=inf, t2_at=inf, expires_at=inf, lease_time=inf)
    scene = Scene().start(endless._replace(binding=endless.binding._replace(lease=lease)), carrier=carrier)
    assert (scene.state, scene.sent) == ("BOUND", [])
    scene.wait(60.0)
    assert [outcome.purpose for outcome in scene.outcomes] == (["check"] if carrier else [])
    assert (scene.state, scene.lease) == ("BOUND", lease)


def test_after_a_late_answer_the_next_renewal_gives_the_server_time() -> None:
    def second_round(latency: float) -> float:
        scene = Scene().renewing(lease=3600)
        asked = scene.last
        scene.wait(latency)
        scene.hear(scene.reply(msg.ACK, to=asked))
        scene.until_state("RENEWING")
        first = scene.last.message.xid
        scene.until(lambda: scene.last.message.xid != first)
        return scene.sent_at[-1][0] - scene.sent_at[-2][0]

    assert second_round(0.1) <= 4.4
    assert second_round(12.0) >= 0.9 * 24.0
