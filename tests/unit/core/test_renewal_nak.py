"""A NAK while a lease is in use: from its own server, and from another."""

from __future__ import annotations

import pytest
from tests.support.scene import OTHER, OURS, STRANGE_SERVER, Scene, of

from holdfast.core import actions as act
from holdfast.core.actions import DeconfigureReason, NoticeCode
from holdfast.core.outcome import Result, Via
from holdfast.wire import message as msg
from holdfast.wire import options as opt


@pytest.mark.parametrize(("server", "reason"), [(STRANGE_SERVER, "other-server"), (None, "nak-unverified")])
def test_a_foreign_nak_brings_the_broadcast_at_once_and_nothing_else(server: object, reason: str) -> None:
    # rules 25, 28
    scene = Scene().renewing()
    began = scene.now
    actions = scene.nak(server=server)
    assert (scene.now, scene.last.via) == (began, Via.BROADCAST)
    assert (scene.state, scene.client.snapshot().drops) == ("RENEWING", {reason: 1})
    assert NoticeCode.FOREIGN_NAK in scene.notices
    assert {type(a) for a in actions} == {act.Dropped, act.Noticed, act.Transmit}


def test_a_foreign_nak_and_then_a_good_ack_end_in_bound() -> None:
    # rule 29
    scene = Scene().renewing()
    scene.nak(server=STRANGE_SERVER)
    scene.ack()
    assert scene.state == "BOUND"
    assert [outcome.result for outcome in scene.outcomes] == [Result.ACQUIRED, Result.RENEWED]


def test_a_foreign_nak_to_the_broadcast_and_silence_bring_a_discover_beside() -> None:
    # rule 25
    scene = Scene().renewing()
    scene.until_sent()
    scene.nak(server=STRANGE_SERVER)
    sent = len(scene.sent)
    scene.wait(20.0)
    assert msg.DISCOVER in {s.message.message_type for s in scene.sent[sent:]}
    assert (scene.state, scene.lease.address) == ("RENEWING", OURS)


@pytest.mark.parametrize("state", ["RENEWING", "REBINDING"])
def test_its_own_servers_nak_keeps_the_address_while_asking_anew(state: str) -> None:
    # rule 26
    scene = Scene().renewing()
    scene.until_state(state)
    scene.until_sent()
    actions = scene.nak(more={opt.MESSAGE: b"lease revoked"})
    assert scene.state == "SELECTING"
    assert scene.lease.address == OURS
    assert scene.last.message.requested_address == OURS
    assert not of(act.Deconfigure, actions)
    assert not of(act.Forget, actions)
    assert of(act.Watch, actions) == [act.Watch((OURS,))]  # somebody else may have been given it
    outcome = scene.outcomes[-1]
    assert (outcome.result, outcome.cause) == (Result.REFUSED, "NAK from 192.0.2.1 (lease revoked)")
    assert outcome.latency is not None


def test_the_held_address_is_given_again() -> None:
    # rule 26
    scene = Scene().holding()
    scene.offer()
    actions = scene.ack()
    assert (scene.state, scene.lease.address) == ("BOUND", OURS)
    assert scene.outcomes[-1].result is Result.RENEWED
    assert not of(act.Announce, actions)  # it was there all the time


def test_the_held_address_goes_when_another_has_come() -> None:
    # rules 26, 57
    scene = Scene().holding()
    scene.offer(address=OTHER)
    scene.until_state("REQUESTING")
    actions = scene.ack(address=OTHER)
    (configure,) = of(act.Configure, actions)
    assert configure.former is not None
    assert configure.former.address == OURS
    assert scene.outcomes[-1].result is Result.MOVED


def test_a_nak_while_holding_keeps_holding() -> None:
    # rules 26, 27
    scene = Scene().holding()
    scene.offer()
    scene.nak()
    assert scene.lease.address == OURS
    assert scene.outcomes[-1].seconds_left > 0.0


def test_halt_is_figure_5() -> None:
    # rule 26
    scene = Scene(nak="halt").renewing()
    actions = scene.nak()
    (gone,) = of(act.Deconfigure, actions)
    assert (gone.lease.address, gone.reason) == (OURS, DeconfigureReason.HALTED)
    assert of(act.Forget, actions)
    assert (scene.state, scene.client.lease) == ("SELECTING", None)
