"""on_expiry = "hold": an address beyond its lease, as long as the gateway answers and nobody else claims it."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from tests.support.scene import CLAIMANT, GATEWAY, OTHER, OURS, ROUTER, Scene, of

from holdfast.core import actions as act
from holdfast.core import events as ev
from holdfast.core.actions import DeconfigureReason
from holdfast.core.outcome import Result, Via
from holdfast.wire import message as msg
from holdfast.wire.message import ANY


def leased(**settings: object) -> Scene:
    """With a lease of an hour whose gateway is known, and whose address may be held beyond it."""
    scene = Scene(on_expiry="hold", **settings).bound(more=ROUTER)
    scene.gateway()
    return scene


def held(**settings: object) -> Scene:
    """The lease has ended, its address is held, and the gateway has just answered."""
    scene = leased(**settings)
    scene.with_gateway(lambda: scene.lease.ended_at is not None)
    return scene


def reasons(scene: Scene) -> list[DeconfigureReason]:
    return [action.reason for action in of(act.Deconfigure, scene.actions)]


def test_by_default_the_address_goes_with_the_lease() -> None:
    # rule 40
    scene = Scene().bound(more=ROUTER)
    scene.gateway()
    ends_at = scene.lease.expires_at
    scene.with_gateway(lambda: scene.client.lease is None)
    assert (scene.now, reasons(scene)) == (ends_at, [DeconfigureReason.EXPIRED])
    assert not of(act.Probe, scene.actions[-20:])


def test_the_gateway_is_asked_before_the_end_and_the_address_is_held_beyond_it() -> None:
    # rule 40
    scene = leased()
    ends_at = scene.lease.expires_at
    scene.until(lambda: len(scene.asked) > 1)
    assert scene.now == ends_at - 5.0
    assert scene.asked[-1] == act.AskGateway(GATEWAY.address, GATEWAY.mac, OURS)
    assert of(act.Probe, scene.actions)[-1] == act.Probe(OURS)
    assert of(act.Watch, scene.actions)[-1] == act.Watch((OURS,), GATEWAY.address)
    scene.gateway()
    scene.until(lambda: scene.lease.ended_at is not None)
    assert (scene.now, scene.state, reasons(scene)) == (ends_at, "SELECTING", [])
    assert (scene.lease.ended_at, scene.lease.seconds_left(scene.now)) == (ends_at, 0.0)
    assert scene.outcomes[-1].result is Result.HELD


def test_the_kernel_is_told_before_the_end() -> None:
    # rule 40: it would take the address away while a busy machine lets us wait
    scene = leased()
    ends_at = scene.lease.expires_at
    scene.until(lambda: len(scene.asked) > 1)
    before = len(of(act.Configure, scene.actions))
    scene.gateway()
    [told] = of(act.Configure, scene.actions)[before:]
    assert told.lease == scene.lease._replace(expires_at=scene.now + 30.0)
    assert scene.lease.expires_at == ends_at, "for us it ends when it does"


def test_a_dead_agent_holds_nothing() -> None:
    # rule 40: the kernel's lifetime is the half minute that the last answer is good for
    scene = held()
    configured = of(act.Configure, scene.actions)
    assert configured[-1].lease == scene.lease
    assert scene.lease.expires_at == scene.now - 5.0 + 30.0
    for _ in range(20):
        scene.with_gateway(lambda: False, 12.0)
        assert 15.0 < scene.lease.expires_at - scene.now <= 30.0
        assert of(act.Configure, scene.actions)[-1].lease == scene.lease


def test_it_is_held_for_as_long_as_the_gateway_answers_and_discover_goes_on() -> None:
    # rules 40, 41
    scene = held()
    began, asked, sent = scene.now, len(scene.asked), len(scene.sent)
    scene.with_gateway(lambda: False, 3600.0)
    assert scene.lease.address == OURS
    questions = scene.asked[asked:]
    assert 290 <= len(questions) <= 460  # every 8 to 12 s
    assert set(questions) == {act.AskGateway(GATEWAY.address, GATEWAY.mac, OURS)}
    probes = [action for action in of(act.Probe, scene.actions) if action.address == OURS]
    assert len(questions) / 4 < len(probes) < len(questions) / 2 + 5
    later = scene.sent[sent:]
    assert {s.message.message_type for s in later} == {msg.DISCOVER}
    assert {(s.source, s.message.requested_address) for s in later} == {(ANY, OURS)}
    assert scene.now - began >= 3600.0


def test_a_gateway_that_stops_answering_ends_it_within_fifteen_seconds() -> None:
    # rule 40
    scene = held()
    scene.with_gateway(lambda: False, 100.0)
    answered_at = scene.lease.expires_at - 30.0
    scene.until(lambda: scene.client.lease is None)
    assert 10.0 <= scene.now - answered_at <= 15.0
    assert reasons(scene) == [DeconfigureReason.EXPIRED]
    outcome = scene.outcomes[-1]
    assert (outcome.purpose, outcome.result, outcome.former_address) == ("hold", Result.EXPIRED, OURS)
    assert (outcome.cause, outcome.seconds_left) == ("the gateway does not answer", 0.0)
    assert scene.state == "SELECTING"


def test_a_silent_gateway_ends_it_within_a_second_of_the_lease() -> None:
    # rule 40
    scene = leased()
    ends_at = scene.lease.expires_at
    scene.until(lambda: scene.client.lease is None)
    assert ends_at < scene.now <= ends_at + 1.0
    assert reasons(scene) == [DeconfigureReason.EXPIRED]
    assert of(act.Configure, scene.actions)[-1].lease.expires_at == ends_at + 0.9


def test_another_machine_in_the_gateways_place_is_not_the_gateway() -> None:
    # rule 40
    scene = leased()
    scene.at(scene.lease.expires_at)
    scene.gateway(CLAIMANT)
    scene.until(lambda: scene.client.lease is None)
    assert reasons(scene) == [DeconfigureReason.EXPIRED]


def test_after_sleep_the_gateway_has_a_second_to_answer() -> None:
    # rules 40, 45
    scene = leased()
    scene.at(scene.lease.expires_at + 500.0)
    assert scene.lease.expires_at == scene.now + 0.9
    scene.wait(0.5)
    scene.gateway()
    assert scene.lease.expires_at == scene.now + 30.0


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_claim_by_somebody_else_ends_it_at_once(when: str) -> None:
    # rule 40
    scene = leased() if when == "before" else held()
    if when == "before":
        ends_at = scene.lease.expires_at
        scene.until(lambda: len(scene.asked) > 1)
        scene.gateway()
        scene.feed(ev.AddressConflict(OURS, CLAIMANT))
        assert scene.lease.address == OURS  # it is ours until its end
        assert of(act.Configure, scene.actions)[-1].lease == scene.lease, "and the kernel knows no other"
        scene.gateway()
        assert of(act.Configure, scene.actions)[-1].lease == scene.lease
        scene.until(lambda: scene.client.lease is None)
        assert (scene.now, reasons(scene)) == (ends_at, [DeconfigureReason.EXPIRED])
    else:
        scene.feed(ev.AddressConflict(OURS, CLAIMANT))
        assert reasons(scene) == [DeconfigureReason.CONFLICT]
        outcome = scene.outcomes[-1]
        assert (outcome.purpose, outcome.result) == ("hold", Result.CONFLICT)
        assert CLAIMANT.hex(":") in outcome.cause
        assert scene.client.lease is None


def test_an_answer_after_a_claim_prolongs_nothing() -> None:
    # rule 40
    scene = leased()
    ends_at = scene.lease.expires_at
    scene.until(lambda: len(scene.asked) > 1)
    scene.feed(ev.AddressConflict(OURS, CLAIMANT))
    assert not of(act.Configure, scene.gateway())
    scene.until(lambda: scene.client.lease is None)
    assert (scene.now, reasons(scene)) == (ends_at, [DeconfigureReason.EXPIRED])


def test_an_answer_after_the_address_has_gone_changes_nothing() -> None:
    # rule 40
    scene = leased()
    scene.at(scene.lease.expires_at)
    scene.feed(ev.AddressConflict(OURS, CLAIMANT))
    assert [type(action) for action in scene.gateway()] == [act.Watch]
    assert scene.client.lease is None


def test_nothing_is_held_without_a_gateway_to_ask() -> None:
    # rule 40
    scene = Scene(on_expiry="hold").bound()
    ends_at = scene.lease.expires_at
    scene.until(lambda: scene.client.lease is None)
    assert scene.now == ends_at


def test_nothing_is_held_without_carrier() -> None:
    # rule 40
    scene = leased()
    scene.feed(ev.LinkDown())
    ends_at = scene.lease.expires_at
    scene.until(lambda: scene.client.lease is None)
    assert (scene.now, scene.state) == (ends_at, "INIT")


def test_carrier_lost_while_held_leaves_what_the_last_answer_is_good_for() -> None:
    # rules 40, 61
    scene = held()
    until = scene.lease.expires_at
    scene.feed(ev.LinkDown())
    asked = len(scene.asked)
    scene.until(lambda: scene.client.lease is None)
    assert (scene.now, len(scene.asked), reasons(scene)) == (until, asked, [DeconfigureReason.EXPIRED])


def test_carrier_that_returns_in_time_asks_the_gateway_at_once() -> None:
    # rules 40, 61
    scene = held()
    scene.feed(ev.LinkDown())
    scene.wait(20.0)
    asked = len(scene.asked)
    scene.feed(ev.LinkUp())
    assert (scene.state, len(scene.asked)) == ("SELECTING", asked + 1)
    scene.gateway()
    assert scene.lease.expires_at == scene.now + 30.0


def test_a_new_lease_of_the_same_address_ends_the_holding() -> None:
    # rule 40
    scene = held()
    scene.until_sent()
    scene.offer(more=ROUTER)
    scene.ack(more=ROUTER)
    outcome = scene.outcomes[-1]
    assert (outcome.result, outcome.former_address, outcome.seconds_left) == (Result.RENEWED, OURS, 0.0)
    assert (scene.state, scene.lease.ended_at, reasons(scene)) == ("BOUND", None, [])
    scene.gateway()
    asked = len(scene.asked)
    scene.wait(1000.0)
    assert len(scene.asked) == asked


def test_another_address_replaces_the_held_one_new_before_old() -> None:
    # rules 40, 57
    scene = held()
    scene.until_sent()
    scene.offer(address=OTHER)
    scene.with_gateway(lambda: scene.state == "REQUESTING")
    scene.ack(address=OTHER)
    configure = of(act.Configure, scene.actions)[-1]
    assert configure.former is not None
    assert (configure.lease.address, configure.former.address) == (OTHER, OURS)
    assert (scene.outcomes[-1].result, reasons(scene)) == (Result.MOVED, [])


def test_a_lease_held_against_a_nak_is_held_beyond_its_end_too() -> None:
    # rules 26, 40
    scene = leased()
    scene.until_state("RENEWING")
    scene.nak()
    scene.with_gateway(lambda: scene.lease.ended_at is not None)
    scene.with_gateway(lambda: False, 100.0)
    assert (scene.state, scene.lease.address, reasons(scene)) == ("SELECTING", OURS, [])


def test_a_renewal_in_the_last_seconds_is_a_lease_like_any_other() -> None:
    scene = leased()
    scene.until(lambda: len(scene.asked) > 1)
    scene.until_sent()
    scene.ack(more=ROUTER)
    asked = len(scene.asked)
    scene.gateway()
    scene.wait(1000.0)
    assert (scene.state, len(scene.asked)) == ("BOUND", asked)


def test_release_ends_it_and_tells_no_server() -> None:
    # rules 14, 40
    scene = held()
    sent = len(scene.sent)
    scene.feed(ev.Release())
    assert (len(scene.sent), reasons(scene)) == (sent, [DeconfigureReason.RELEASED])
    assert (scene.outcomes[-1].result, scene.outcomes[-1].via) == (Result.RELEASED, None)


def test_stop_leaves_the_stored_lease_as_it_was() -> None:
    # rules 40, 51
    scene = held()
    actions = scene.feed(ev.Stop())
    assert of(act.Persist, actions) == []
    assert (scene.lease.address, scene.client.next_deadline()) == (OURS, None)


def test_an_infinite_lease_never_asks() -> None:
    # rule 32
    scene = Scene(on_expiry="hold").bound(lease=0xFFFFFFFF, more=ROUTER)
    scene.gateway()
    scene.wait(1e6)
    assert len(scene.asked) == 1


def test_an_answer_to_a_question_that_is_no_more_is_no_answer() -> None:
    scene = held()
    before = scene.lease
    scene.feed(ev.GatewaySeen(IPv4Address("192.0.2.9"), GATEWAY.mac))
    assert scene.lease == before
    assert Via.UNICAST not in {s.via for s in scene.sent[-1:]}
