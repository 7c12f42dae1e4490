"""A NAK in the name of a server that then says ACK: somebody is faster than the server."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from tests.support.scene import OTHER, OURS, SERVER, STRANGE_SERVER, Scene, of

from holdfast.core import actions as act
from holdfast.core import schedule
from holdfast.core.actions import NoticeCode
from holdfast.core.outcome import Result
from holdfast.wire import message as msg
from holdfast.wire import options as opt


def refused(state: str) -> tuple[Scene, act.Transmit]:
    """A client whose REQUEST was answered by a NAK in its server's name; the REQUEST."""
    scene = Scene()
    if state == "REQUESTING":
        scene.requesting()
    else:
        scene.renewing()
        scene.until_state(state)
        scene.until_sent()
    asked = scene.last
    scene.nak()
    return scene, asked


@pytest.mark.parametrize("state", ["REQUESTING", "RENEWING", "REBINDING"])
def test_the_ack_counts_as_if_there_had_been_no_nak(state: str) -> None:
    # rules 26, 29
    scene, asked = refused(state)
    assert scene.state == "SELECTING"
    scene.ack(to=asked)
    assert (scene.state, scene.lease.address) == ("BOUND", OURS)
    assert [outcome.result for outcome in scene.outcomes][-2:] == [
        Result.REFUSED, Result.ACQUIRED if state == "REQUESTING" else Result.RENEWED]
    assert NoticeCode.FOREIGN_NAK in scene.notices
    assert not of(act.Deconfigure, scene.actions)


def test_the_second_nak_is_contradicted_too() -> None:
    # rules 27, 29
    scene, _ = refused("REQUESTING")
    scene.offer()
    scene.until_state("REQUESTING")
    asked = scene.last
    scene.nak()
    assert scene.state == "INIT"
    scene.ack(to=asked)
    assert (scene.state, scene.lease.address) == ("BOUND", OURS)


def test_where_another_offer_is_taken_by_then_it_is_too_late() -> None:
    # rule 26
    scene, asked = refused("RENEWING")
    scene.offer()
    scene.until_state("REQUESTING")
    scene.ack(to=asked)
    assert scene.state == "REQUESTING"


@pytest.mark.parametrize(("server", "address", "late"), [
    (STRANGE_SERVER, OURS, 0.0), (SERVER, OTHER, 0.0), (SERVER, OURS, schedule.NAK_DOUBT + 0.1),
])
def test_any_other_ack_does_not(server: IPv4Address, address: IPv4Address, late: float) -> None:
    # rules 24, 26
    scene, asked = refused("RENEWING")
    scene.wait(late)
    state = scene.state
    scene.ack(to=asked, server=server, address=address)
    assert (scene.state, scene.lease.address) == (state, OURS)
    assert scene.outcomes[-1].result is Result.REFUSED


def test_an_ack_that_cannot_be_used_leaves_a_client_that_goes_on_asking() -> None:
    # rule 22
    scene, asked = refused("REQUESTING")
    scene.ack(to=asked, more={opt.SUBNET_MASK: bytes((255, 255, 255, 252))})  # the address of a subnet
    assert (scene.state, scene.client.lease) == ("REQUESTING", None)
    scene.until_sent()
    assert scene.last.message.message_type == msg.REQUEST
    scene.ack()
    assert (scene.state, scene.lease.address) == ("BOUND", OURS)


def test_what_the_operator_has_ended_stays_ended() -> None:
    # rule 26: nak = "halt" is the operator's word
    scene = Scene(nak="halt").renewing()
    scene.until_sent()
    asked = scene.last
    scene.nak()
    scene.ack(to=asked)
    assert scene.client.lease is None


def test_a_neighbour_that_is_always_first_takes_no_lease() -> None:
    # promise 2
    scene = Scene().renewing()
    for _ in range(20):
        scene.until_sent()
        asked = scene.last
        if asked.message.message_type == msg.REQUEST:
            scene.nak()
            scene.ack(to=asked, lease=60)
        elif asked.message.message_type == msg.DISCOVER:
            scene.offer(address=OURS)
    assert scene.lease.address == OURS
    assert not of(act.Deconfigure, scene.actions)
