"""renew, rebind, release, and the end of the process."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.scene import OTHER, OURS, SERVER, Scene, cached, of

from holdfast.core import actions as act
from holdfast.core import events as ev
from holdfast.core.actions import DeconfigureReason
from holdfast.core.outcome import Result, Via
from holdfast.wire import message as msg


def test_renew_climbs_the_ladder_now() -> None:
    scene = Scene().bound()
    scene.wait(60.0)
    scene.feed(ev.Renew())
    assert (scene.state, scene.last.via) == ("RENEWING", Via.UNICAST)
    scene.ack()
    assert scene.outcomes[-1].purpose == "operator"


def test_rebind_asks_everyone_and_learns_nothing_of_unicast() -> None:
    scene = Scene().bound()
    scene.wait(60.0)
    scene.feed(ev.Rebind())
    assert (scene.state, scene.last.via) == ("REBINDING", Via.BROADCAST)
    scene.ack()
    path = scene.client.snapshot().server
    assert path is not None
    assert path.hears_unicast is None


@pytest.mark.parametrize("situation", ["RENEWING", "REBINDING"])
def test_rebind_in_a_renewal_turns_to_broadcast(situation: str) -> None:
    scene = Scene().renewing(lease=86400) if situation == "RENEWING" else Scene().rebinding(lease=86400)
    scene.until_sent(2)
    scene.feed(ev.Rebind())
    assert scene.state == "REBINDING"
    sent = len(scene.sent)
    scene.until_sent(4)
    assert Via.UNICAST not in {s.via for s in scene.sent[sent:]}


def test_renew_in_the_middle_of_a_round_lets_it_be() -> None:
    scene = Scene().renewing()
    assert scene.feed(ev.Renew()) == []


@pytest.mark.parametrize("event", [ev.Renew(), ev.Rebind()])
def test_a_check_that_is_about_to_end_asks_again(event: ev.Event) -> None:
    whole = Scene().bound()
    whole.feed(ev.Renew())
    whole.until_state("BOUND")
    scene = Scene().bound()
    scene.feed(ev.Renew())
    scene.until_sent(len(whole.sent) - len(scene.sent))  # the last message of a check that nobody answers
    scene.feed(event)
    scene.until_sent(1)
    assert scene.state in {"RENEWING", "REBINDING"}
    scene.ack()
    assert scene.outcomes[-1].result is Result.RENEWED


@pytest.mark.parametrize("event", [ev.Renew(), ev.Rebind()])
@pytest.mark.parametrize("situation", ["SELECTING", "REQUESTING", "REBOOTING"])
def test_on_the_way_to_a_lease_the_question_is_repeated(event: ev.Event, situation: str) -> None:
    scene = {
        "SELECTING": lambda: Scene().start(),
        "REQUESTING": lambda: Scene().requesting(),
        "REBOOTING": lambda: Scene().start(cached()),
    }[situation]()
    sent = len(scene.sent)
    scene.feed(event)
    scene.at(scene.now)
    assert (scene.state, len(scene.sent)) == (situation, sent + 1)


def test_without_carrier_there_is_nobody_to_ask() -> None:
    assert Scene().start(carrier=False).feed(ev.Renew()) == []


# -- release


def test_release_is_unicast_and_takes_the_address_away() -> None:
    # rule 14
    scene = Scene().bound()
    actions = scene.feed(ev.Release())
    assert [type(a).__name__ for a in actions if not isinstance(a, act.Watch)] == [
        "Transmit", "Recorded", "Forget", "Deconfigure", "Transitioned",
    ]
    assert (scene.last.destination, scene.last.source, scene.last.message.server_id) == (SERVER, OURS, SERVER)
    assert of(act.Deconfigure, actions)[0].reason is DeconfigureReason.RELEASED
    assert scene.outcomes[-1].result is Result.RELEASED
    assert (scene.state, scene.client.lease, scene.client.next_deadline()) == ("STOPPED", None, None)


def test_a_server_without_a_name_cannot_be_told() -> None:
    # rule 14
    scene = Scene().requesting()
    scene.ack(server=None)
    sent = len(scene.sent)
    scene.feed(ev.Release())
    assert len(scene.sent) == sent
    assert (scene.outcomes[-1].via, scene.outcomes[-1].attempts) == (None, 0)


def test_only_the_operator_releases() -> None:
    # rule 14
    scene = Scene().rebinding()
    scene.until_state("SELECTING")
    scene.feed(ev.Stop())
    assert msg.RELEASE not in {sent.message.message_type for sent in scene.sent}


def test_release_without_a_lease_forgets_and_stops() -> None:
    scene = Scene().start()
    actions = scene.feed(ev.Release())
    assert of(act.Forget, actions)
    assert (scene.state, len(scene.sent), scene.outcomes) == ("STOPPED", 1, [])


def _rebooting() -> Scene:
    return Scene().start(cached())


def _probing() -> Scene:
    scene = Scene(acd="strict").requesting()
    scene.ack()
    return scene


@pytest.mark.parametrize("situation", [_rebooting, _probing])
def test_a_lease_that_is_not_in_use_yet_is_given_back_by_broadcast(situation: Callable[[], Scene]) -> None:
    # rule 14
    scene = situation()
    scene.feed(ev.Release())
    sent = scene.last
    assert (sent.message.message_type, sent.message.ciaddr, sent.message.server_id) == (msg.RELEASE, OURS, SERVER)
    assert (sent.via, sent.source, sent.destination) == (Via.BROADCAST, msg.ANY, msg.BROADCAST)
    outcome = scene.outcomes[-1]
    assert (outcome.result, outcome.via, outcome.attempts) == (Result.RELEASED, Via.BROADCAST, 1)
    assert not of(act.Deconfigure, scene.actions)


def test_a_lease_nobody_can_be_told_of_is_forgotten() -> None:
    # rule 14
    scene = Scene().start(cached(), carrier=False)
    assert of(act.Forget, scene.feed(ev.Release()))
    assert (scene.sent, scene.outcomes[-1].via) == ([], None)


def test_the_old_and_the_new_lease_are_both_given_back() -> None:
    # rules 14, 74
    scene = Scene(acd="strict").renewing()
    scene.ack(address=OTHER)
    sent = len(scene.sent)
    scene.feed(ev.Release())
    assert [(s.via, s.message.ciaddr) for s in scene.sent[sent:]] == [(Via.BROADCAST, OTHER), (Via.UNICAST, OURS)]
    assert (scene.outcomes[-1].former_address, scene.outcomes[-1].attempts) == (OURS, 2)


def test_after_release_the_operator_may_ask_again() -> None:
    scene = Scene().bound()
    scene.feed(ev.Release())
    scene.feed(ev.AddressLost(OURS), ev.TimeJumped(1.0, "suspend"), ev.Release(), ev.Stop())
    assert scene.state == "STOPPED"
    scene.feed(ev.Rebind())
    assert scene.state == "SELECTING"


def test_after_release_the_carrier_is_still_followed() -> None:
    scene = Scene().bound()
    scene.feed(ev.Release(), ev.LinkDown(), ev.Renew())
    assert scene.state == "INIT"
    scene.feed(ev.LinkUp())
    assert scene.state == "SELECTING"


# -- stop


def test_stop_keeps_everything_and_sends_nothing() -> None:
    # rule 51
    scene = Scene().bound()
    sent = len(scene.sent)
    actions = scene.feed(ev.Stop())
    assert [type(a).__name__ for a in actions if not isinstance(a, act.Watch)] == ["Persist", "Transitioned"]
    assert of(act.Persist, actions)[0].binding.lease == scene.lease
    assert (scene.state, len(scene.sent), scene.client.next_deadline()) == ("STOPPED", sent, None)
    assert scene.feed(ev.Renew()) == []  # the process is about to end
    scene.hear(scene.reply(msg.ACK))
    assert scene.client.snapshot().drops == {"xid": 1}


def test_a_renewal_that_is_stopped_has_its_record() -> None:
    # rules 51, 74
    scene = Scene().renewing()
    scene.feed(ev.Stop())
    assert scene.outcomes[-1].result is Result.STOPPED


@pytest.mark.parametrize(("event", "result"), [(ev.Stop(), Result.STOPPED), (ev.Release(), Result.RELEASED)])
def test_a_renewal_that_is_stopped_in_probing_has_its_record(event: ev.Event, result: Result) -> None:
    # rules 51, 74
    scene = Scene(acd="strict").renewing()
    scene.ack(address=OTHER)
    scene.feed(event)
    assert [outcome.result for outcome in scene.outcomes[1:]] == [result]


def test_a_first_lease_that_is_given_up_in_probing_has_its_record() -> None:
    # rule 74
    scene = Scene(acd="strict").requesting()
    scene.ack()
    scene.feed(ev.Release())
    assert [(o.result, o.seconds_left) for o in scene.outcomes] == [(Result.RELEASED, 3600.0)]


def test_stop_before_there_is_a_lease_leaves_the_stored_one_alone() -> None:
    scene = Scene().start(cached())
    assert [type(a).__name__ for a in scene.feed(ev.Stop())] == ["Transitioned"]
