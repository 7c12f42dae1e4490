"""The start: a remembered lease, INIT-REBOOT, and what the known gateway says of the network (RFC 4436)."""

from __future__ import annotations

import pytest
from tests.support.scene import (
    CLAIMANT,
    GATEWAY,
    OTHER,
    OURS,
    SERVER,
    START,
    STRANGE_SERVER,
    Scene,
    cached,
    of,
)

from holdfast.core import actions as act
from holdfast.core import events as ev
from holdfast.core.actions import DeconfigureReason, NoticeCode
from holdfast.core.lease import Server
from holdfast.core.outcome import Result
from holdfast.wire import message as msg
from holdfast.wire import options as opt
from holdfast.wire.message import ANY

# -- a remembered lease


def test_a_valid_lease_on_the_link_is_carried_on_untouched() -> None:
    # rule 47
    remembered = cached(on_link=True, known=Server(SERVER, hears_unicast=False))
    scene = Scene().start(remembered)
    assert scene.state == "BOUND"
    assert scene.lease == remembered.binding.lease
    assert of(act.Configure, scene.actions) == [act.Configure(remembered.binding.lease, None)]
    assert not of(act.Deconfigure, scene.actions)
    assert not scene.sent
    scene.until_sent(2)
    assert scene.now - remembered.binding.lease.t1_at == pytest.approx(0.24)  # known to be deaf


def test_a_valid_lease_off_the_link_is_asked_about() -> None:
    # rule 2
    scene = Scene().start(cached())
    assert scene.state == "REBOOTING"
    scene.ack()
    (outcome,) = scene.outcomes
    assert (outcome.purpose, outcome.result) == ("reboot", Result.RENEWED)
    assert outcome.seconds_left == cached().binding.lease.seconds_left(scene.now) > 0.0  # of the remembered one
    assert scene.lease.verified


def test_nobody_answers_init_reboot_and_the_lease_is_used_unverified() -> None:
    # rule 48
    scene = Scene().start(cached())
    scene.until(lambda: scene.client.lease is not None)
    assert scene.now < START + 5.0
    assert scene.lease.address == OURS
    assert not scene.lease.verified
    assert [(o.result, o.purpose) for o in scene.outcomes] == [(Result.KEPT, "reboot")]
    assert "unverified" in scene.outcomes[0].cause
    scene.until_sent()
    scene.ack()
    assert (scene.state, scene.lease.verified) == ("BOUND", True)


def test_init_reboot_may_bring_another_address() -> None:
    scene = Scene().start(cached())
    scene.ack(address=OTHER)
    assert scene.lease.address == OTHER


def test_an_ack_without_a_lease_in_rebooting_is_dropped() -> None:
    scene = Scene().start(cached())
    scene.ack(address=msg.BROADCAST)
    assert scene.state == "REBOOTING"


@pytest.mark.parametrize("on_link", [False, True])
def test_an_ended_lease_is_only_a_hint(on_link: bool) -> None:
    # rules 40, 50
    scene = Scene().start(cached(left=-10.0, on_link=on_link))
    assert scene.state == "SELECTING"
    assert scene.last.message.requested_address == OURS
    removed = [(a.lease.address, a.reason.value) for a in of(act.Deconfigure, scene.actions)]
    assert removed == ([(OURS, "expired")] if on_link else [])


def test_its_own_servers_nak_ends_a_remembered_lease() -> None:
    scene = Scene().start(cached())
    actions = scene.nak(more={opt.MESSAGE: b"wrong network"})
    assert scene.state == "SELECTING"
    assert of(act.Forget, actions)
    assert scene.outcomes[0].cause == "NAK from 192.0.2.1 (wrong network)"


@pytest.mark.parametrize(("server", "reason"), [(STRANGE_SERVER, "other-server"), (None, "nak-unverified")])
def test_another_servers_nak_leaves_time_for_an_ack(server: object, reason: str) -> None:
    # rules 28, 29
    scene = Scene().start(cached())
    scene.nak(server=server)
    assert scene.state == "REBOOTING"
    assert scene.client.snapshot().drops == {reason: 1}
    assert NoticeCode.FOREIGN_NAK in scene.notices
    scene.ack()
    assert scene.state == "BOUND"


def test_another_servers_nak_and_silence_is_a_reason_to_ask_anew() -> None:
    scene = Scene().start(cached())
    scene.nak(server=STRANGE_SERVER)
    scene.until_state("SELECTING")
    assert scene.last.message.requested_address == OURS


def test_a_remembered_lease_that_ends_while_waiting_is_asked_for_anew() -> None:
    scene = Scene().start(cached(left=60.0), carrier=False)
    assert scene.state == "INIT-REBOOT"
    scene.wait(100.0)
    scene.feed(ev.LinkUp())
    assert scene.state == "SELECTING"


# -- the gateway of a remembered lease


def test_the_known_gateway_is_asked_beside_init_reboot() -> None:
    # rules 2, 49
    scene = Scene().start(cached(gateway=GATEWAY))
    assert (scene.state, len(scene.sent)) == ("REBOOTING", 1)
    assert scene.asked == [act.AskGateway(GATEWAY.address, GATEWAY.mac, OURS)]
    assert of(act.Watch, scene.actions) == [act.Watch((), GATEWAY.address)]


def test_only_a_gateway_that_stays_silent_is_asked_for_by_broadcast_and_never_with_our_address() -> None:
    # rule 49; RFC 4436 section 4.1.1
    scene = Scene().start(cached(gateway=GATEWAY))
    scene.wait(10.0)
    alone = [act.AskGateway(GATEWAY.address, GATEWAY.mac, OURS)] * 2
    assert scene.asked == alone + [act.AskGateway(GATEWAY.address, None, ANY)] * 3


def test_a_lease_without_a_known_gateway_is_asked_about_as_ever() -> None:
    # rule 53
    scene = Scene().start(cached())
    scene.wait(10.0)
    assert scene.asked == []
    assert not scene.lease.verified


def test_the_known_gateways_answer_keeps_the_lease_after_the_first_wait() -> None:
    # rules 48, 49
    scene = Scene().start(cached(gateway=GATEWAY))
    scene.gateway()
    assert scene.state == "REBOOTING"  # a server has its time to answer
    scene.until(lambda: scene.client.lease is not None)
    assert 0.9 <= scene.now - START <= 1.1
    assert (scene.lease.verified, len(scene.sent)) == (True, 1)
    (outcome,) = scene.outcomes
    assert (outcome.result, outcome.cause) == (Result.KEPT, "no answer; verified by the gateway")
    scene.until_sent()
    scene.ack()
    assert scene.state == "BOUND"


def test_a_gateway_that_answers_late_keeps_the_lease_at_once() -> None:
    # rules 48, 49
    scene = Scene().start(cached(gateway=GATEWAY))
    scene.wait(1.5)
    assert (scene.state, len(scene.sent)) == ("REBOOTING", 2)
    scene.gateway()
    assert (scene.lease.address, scene.lease.verified) == (OURS, True)


def test_a_gateway_that_answers_after_the_lease_came_into_use_is_too_late() -> None:
    scene = Scene().start(cached(gateway=GATEWAY))
    scene.until(lambda: scene.client.lease is not None)
    state = scene.client.state
    scene.gateway()
    assert scene.client.state == state


def test_an_ack_needs_no_gateway() -> None:
    # rule 49: a changed gateway never drops a lease that its server confirms
    scene = Scene().start(cached(gateway=GATEWAY))
    scene.gateway(CLAIMANT)
    scene.ack()
    assert (scene.state, scene.lease.address) == ("BOUND", OURS)


def test_a_nak_counts_more_than_the_gateway() -> None:
    # rule 49; RFC 4436 section 2.4
    scene = Scene().start(cached(gateway=GATEWAY))
    scene.gateway()
    scene.nak()
    assert (scene.state, scene.client.lease) == ("SELECTING", None)


def test_a_foreign_nak_and_the_known_gateway_leave_a_doubt() -> None:
    # rules 28, 49
    scene = Scene().start(cached(gateway=GATEWAY))
    scene.nak(server=STRANGE_SERVER)
    scene.gateway()
    scene.until_state("SELECTING")
    assert scene.now - START > 2.0


def test_another_gateway_is_another_network() -> None:
    # rule 49
    scene = Scene().start(cached(gateway=GATEWAY))
    scene.wait(0.5)
    scene.gateway(CLAIMANT)
    scene.gateway(OTHER_MAC)  # told once
    assert scene.notices == [NoticeCode.OTHER_NETWORK]
    scene.until_state("SELECTING")
    assert scene.now - START <= 1.1
    assert (scene.last.message.message_type, scene.last.message.requested_address) == (msg.DISCOVER, OURS)
    assert not of(act.Configure, scene.actions)
    scene.offer(address=OTHER)
    scene.until_state("REQUESTING")
    scene.ack(address=OTHER)
    assert scene.lease.address == OTHER


OTHER_MAC = bytes.fromhex("02000000beef")


def test_the_known_gateway_outweighs_another_that_answers_too() -> None:
    # rule 49: two routers of one address (VRRP without a virtual MAC)
    scene = Scene().start(cached(gateway=GATEWAY))
    scene.gateway(CLAIMANT)
    scene.gateway()
    scene.until(lambda: scene.client.lease is not None)
    assert scene.lease.verified


def test_nobody_at_all_is_no_other_network() -> None:
    # rule 48
    scene = Scene().start(cached(gateway=GATEWAY))
    scene.until(lambda: scene.client.lease is not None)
    assert (scene.lease.address, scene.lease.verified) == (OURS, False)
    assert scene.outcomes[0].cause == "no answer; the lease is used unverified"


def test_carrier_lost_ends_the_question_and_carrier_asks_it_anew() -> None:
    # rules 49, 61
    scene = Scene().start(cached(gateway=GATEWAY))
    scene.feed(ev.LinkDown())
    scene.wait(60.0)
    assert (scene.state, len(scene.asked)) == ("INIT-REBOOT", 1)
    scene.feed(ev.LinkUp())
    assert (scene.state, len(scene.asked)) == ("REBOOTING", 2)


def test_a_remembered_lease_that_ends_in_the_middle_is_not_used() -> None:
    # rule 40
    scene = Scene().start(cached(left=0.5, gateway=GATEWAY))
    scene.gateway()
    scene.until_state("SELECTING")
    assert not of(act.Configure, scene.actions)


def test_an_answer_for_another_address_is_none() -> None:
    scene = Scene().start(cached(gateway=GATEWAY))
    assert scene.feed(ev.GatewaySeen(SERVER, GATEWAY.mac)) == []


@pytest.mark.parametrize("gateway", [None, GATEWAY])
def test_on_the_link_nothing_is_asked_but_for_a_gateway_that_is_not_known(gateway: object) -> None:
    # rule 47
    remembered = cached(on_link=True, gateway=GATEWAY)
    scene = Scene().start(remembered._replace(binding=remembered.binding._replace(gateway=gateway)))
    assert [ask.mac for ask in scene.asked] == ([None] if gateway is None else [])
    if gateway is None:
        scene.gateway()
        assert of(act.Persist, scene.actions)[-1].binding.gateway == GATEWAY


# -- strict detection of conflicts


def test_strict_probes_a_remembered_lease_before_it_is_used() -> None:
    # rules 48, 71
    scene = Scene(acd="strict").start(cached())
    scene.until_state("PROBING")
    assert not of(act.Configure, scene.actions)
    scene.wait(10.0)
    assert [len(of(kind, scene.actions)) for kind in (act.Probe, act.Announce)] == [3, 2]
    assert (scene.state, scene.lease.verified) == ("RENEWING", False)
    assert [outcome.result for outcome in scene.outcomes] == [Result.KEPT]


def test_strict_declines_a_remembered_address_that_somebody_else_has() -> None:
    # rules 14, 48
    scene = Scene(acd="strict").start(cached())
    scene.until_state("PROBING")
    scene.feed(ev.AddressConflict(OURS, CLAIMANT))
    assert (scene.state, scene.last.message.message_type) == ("INIT", msg.DECLINE)
    assert not of(act.Configure, scene.actions)
    (outcome,) = scene.outcomes
    assert outcome.seconds_left == cached().binding.lease.seconds_left(scene.now) > 0.0


def test_strict_probing_of_a_confirmed_lease_is_no_loss_of_what_was_left() -> None:
    """The record tells of the remembered lease, when the server's answer came before the link's, and without either."""
    scene = Scene(acd="strict").start(cached())
    scene.ack(lease=86400)
    assert scene.state == "PROBING"
    scene.until_state("BOUND")
    (outcome,) = scene.outcomes
    assert (outcome.purpose, outcome.result) == ("reboot", Result.RENEWED)
    assert outcome.seconds_left == cached().binding.lease.seconds_left(scene.now) > 0.0

    for answered in (True, False):
        scene = Scene(acd="strict").start(cached())
        if answered:
            scene.ack(lease=86400)
        scene.until_state("PROBING")
        scene.feed(ev.Stop())
        (outcome,) = scene.outcomes
        assert outcome.result is Result.STOPPED
        assert outcome.seconds_left == cached().binding.lease.seconds_left(scene.now) > 0.0, answered


def test_a_remembered_lease_that_ends_while_it_is_probed_is_not_used() -> None:
    # rule 40
    scene = Scene(acd="strict").start(cached(left=5.0))
    scene.until_state("PROBING")
    scene.until_state("SELECTING")
    assert not of(act.Configure, scene.actions)


# -- an address that was held beyond its lease when we were stopped


def test_a_held_address_is_held_on_over_a_restart() -> None:
    # rules 40, 47
    scene = Scene(on_expiry="hold").start(cached(left=-60.0, on_link=True, gateway=GATEWAY))
    assert (scene.state, scene.lease.address, scene.lease.ended_at) == ("SELECTING", OURS, START - 60.0)
    scene.gateway()
    assert scene.lease.expires_at == START + 30.0
    assert not of(act.Deconfigure, scene.actions)


def test_a_held_address_goes_when_after_a_restart_the_gateway_is_silent() -> None:
    # rule 40
    scene = Scene(on_expiry="hold").start(cached(left=-60.0, on_link=True, gateway=GATEWAY))
    scene.until(lambda: scene.client.lease is None)
    assert scene.now <= START + 1.0
    assert [d.reason for d in of(act.Deconfigure, scene.actions)] == [DeconfigureReason.EXPIRED]
