"""On the way to a lease: start, DISCOVER, REQUEST."""

from __future__ import annotations

from ipaddress import IPv4Address
from math import inf

import pytest
from tests.support.scene import OTHER, OURS, SERVER, START, STRANGE_SERVER, Scene, cached, of

from holdfast.core import actions as act
from holdfast.core import events as ev
from holdfast.core import schedule
from holdfast.core.actions import DropReason, NoticeCode
from holdfast.core.config import DEFAULT_REQUEST_LIST
from holdfast.core.outcome import Result, Via
from holdfast.wire import message as msg
from holdfast.wire import options as opt


def kinds(actions: list[act.Action]) -> list[str]:
    return [type(action).__name__ for action in actions]


def test_a_first_lease_is_stored_then_configured_then_announced() -> None:
    scene = Scene().requesting()
    assert kinds(scene.ack()) == ["Persist", "Configure", "Announce", "Transitioned", "Recorded"]
    (outcome,) = scene.outcomes
    assert (outcome.result, outcome.purpose, outcome.via) == (Result.ACQUIRED, "acquire", Via.DISCOVER)
    assert (outcome.address, outcome.former_address, outcome.attempts) == (OURS, None, 2)


def test_one_xid_from_discover_to_ack_and_another_for_the_next_exchange() -> None:
    # rule 11
    scene = Scene().start()
    scene.until_sent(3)
    scene.offer()
    scene.until_sent(2)
    assert len({sent.message.xid for sent in scene.sent}) == 1
    scene.until_state("SELECTING")  # nobody said ACK
    assert scene.last.message.xid != scene.sent[0].message.xid


def test_start_counts_once() -> None:
    scene = Scene().bound()
    assert scene.feed(ev.Start(None)) == []
    assert scene.state == "BOUND"


def test_start_without_carrier_waits_for_it() -> None:
    scene = Scene().start(carrier=False)
    assert (scene.state, scene.sent, scene.client.next_deadline()) == ("INIT", [], None)
    scene.feed(ev.LinkUp())
    assert scene.last.message.message_type == msg.DISCOVER


def test_a_start_delay_is_kept_when_the_carrier_comes_first() -> None:
    # rule 42
    scene = Scene(start_delay=True).start(carrier=False)
    scene.feed(ev.LinkUp())
    assert not scene.sent
    scene.until_sent()
    assert scene.now >= START + 1.0


def test_a_start_delay_that_ends_without_carrier_waits_for_it() -> None:
    scene = Scene(start_delay=True).start(carrier=False)
    scene.wait(20.0)
    assert (scene.state, scene.sent) == ("INIT", [])
    scene.feed(ev.LinkUp())
    assert scene.state == "SELECTING"


# -- OFFERs


def test_any_offer_is_taken_at_once_by_who_wants_none_in_particular() -> None:
    scene = Scene().start()
    scene.offer(address=OTHER)
    assert scene.state == "REQUESTING"


def test_the_offer_of_the_address_we_had_wins() -> None:
    # rule 50
    scene = Scene().start(cached(left=-1.0))
    scene.offer(address=OTHER, server=STRANGE_SERVER)
    assert scene.state == "SELECTING"
    scene.offer()
    assert scene.state == "REQUESTING"
    assert scene.last.message.requested_address == OURS


def test_another_address_is_taken_after_a_second() -> None:
    scene = Scene().start(cached(left=-1.0))
    scene.offer(address=OTHER, server=STRANGE_SERVER)
    scene.offer(address=OTHER)
    scene.wait(1.0)
    assert scene.state == "REQUESTING"
    assert scene.last.message.server_id == STRANGE_SERVER  # the first


@pytest.mark.parametrize("ceiling", [8.0, 64.0])
def test_a_fleet_that_has_waited_for_a_server_does_not_take_its_offers_in_one_second(ceiling: float) -> None:
    # rule 34
    waits = []
    for seed in range(40):
        scene = Scene(seed=seed, discover_ceiling=ceiling).start()
        scene.wait(300.0)
        scene.until_sent()
        scene.offer()
        offered_at = scene.now
        scene.until_state("REQUESTING")
        assert scene.last.message.message_type == msg.REQUEST
        waits.append(scene.now - offered_at)
    assert min(waits) > 0.0
    assert max(waits) <= ceiling / 64
    assert max(waits) - min(waits) > ceiling / 128


def test_the_offer_of_the_address_we_had_wins_after_a_long_silence_too() -> None:
    scene = Scene().bound(lease=120)
    scene.until(lambda: scene.state == "SELECTING")
    scene.wait(300.0)
    scene.until_sent()
    scene.offer(server=STRANGE_SERVER, address=OTHER)
    scene.offer()
    scene.until_state("REQUESTING")
    assert scene.last.message.requested_address == OURS


def test_offers_are_not_collected_without_end() -> None:
    scene = Scene().start(cached(left=-1.0))
    for _ in range(20):
        scene.offer(address=OTHER)
    assert len(scene.client.state.offers) == 8  # type: ignore[union-attr]
    assert scene.client.snapshot().drops == {"unexpected": 12}


def test_a_server_that_forbids_self_assigned_addresses_is_heard() -> None:
    # rule 68
    scene = Scene().start()
    scene.offer(address=msg.ANY, more={opt.AUTO_CONFIGURE: b"\0"})
    assert scene.notices == [NoticeCode.AUTO_CONFIGURE]
    assert scene.state == "SELECTING"
    scene.wait(3600.0)
    assert not of(act.Configure, scene.actions)


def test_rapid_commit_needs_to_be_configured_and_marked() -> None:
    # rule 70
    rapid = {opt.RAPID_COMMIT: b""}
    for configured, marked, state in ((False, rapid, "SELECTING"), (True, {}, "SELECTING"), (True, rapid, "BOUND")):
        scene = Scene(rapid_commit=configured).start()
        scene.ack(more=marked)
        assert scene.state == state


def test_a_rapid_ack_that_is_no_lease_is_dropped() -> None:
    scene = Scene(rapid_commit=True).start()
    scene.ack(more={opt.RAPID_COMMIT: b""}, lease=None)
    assert scene.client.snapshot().drops == {"no-lease-time": 1}


def test_a_rapid_lease_counts_from_a_recent_discover() -> None:
    # rule 31
    scene = Scene(rapid_commit=True).start()
    scene.wait(3600.0)
    asked = scene.sent_at[-1][0]
    scene.ack(more={opt.RAPID_COMMIT: b""}, lease=10)
    assert scene.state == "BOUND" or asked + 10.0 <= scene.now


def test_while_offers_are_weighed_a_rapid_exchange_goes_on() -> None:
    scene = Scene(rapid_commit=True).start(cached(left=-1.0))
    scene.until_sent(3)
    scene.offer(address=OTHER)
    scene.feed(ev.TimeJumped(10.0, "suspend"))
    scene.now += 10.0
    scene.until_state("REQUESTING")
    assert scene.last.message.xid == scene.client.state.offer.xid  # type: ignore[union-attr]


# -- REQUESTING


@pytest.mark.parametrize(("server", "reason"), [
    (STRANGE_SERVER, DropReason.OTHER_SERVER), (None, DropReason.NAK_UNVERIFIED),
])
def test_only_the_chosen_server_may_refuse(server: object, reason: DropReason) -> None:
    # rules 24, 28
    scene = Scene().requesting()
    scene.nak(server=server)
    assert scene.state == "REQUESTING"
    assert scene.client.snapshot().drops == {reason.value: 1}


def test_a_nak_while_selecting_is_ignored() -> None:
    # rule 24
    scene = Scene().start()
    scene.nak()
    assert (scene.state, scene.client.snapshot().drops) == ("SELECTING", {"unexpected": 1})


@pytest.mark.parametrize("offered", [SERVER, None, IPv4Address(0)])
def test_another_name_in_the_ack_than_in_the_offer_binds_and_is_told(offered: IPv4Address | None) -> None:
    # rule 79
    scene = Scene().requesting(server=offered)
    scene.ack(server=STRANGE_SERVER)
    assert (scene.state, scene.lease.server_id) == ("BOUND", STRANGE_SERVER)
    assert scene.notices.count(act.NoticeCode.SERVER_CHANGED) == 1
    scene.applied().until_state("RENEWING")
    assert scene.last.destination == STRANGE_SERVER


def test_another_server_may_not_grant_another_address_than_was_offered() -> None:
    # rule 79
    scene = Scene().requesting()
    scene.ack(server=STRANGE_SERVER, address=OTHER)
    assert (scene.state, scene.client.snapshot().drops) == ("REQUESTING", {"other-server": 1})


def test_the_chosen_servers_nak_starts_over_at_once_and_then_ever_later() -> None:
    # rule 27
    scene = Scene().requesting()
    scene.nak()
    assert scene.state == "SELECTING"
    scene.offer()
    scene.until_state("REQUESTING")  # rule 80: others were waited for
    scene.nak()
    assert scene.state == "INIT"
    refused = scene.now
    scene.until_state("SELECTING")
    assert scene.now >= refused + 1.0
    assert [outcome.result for outcome in scene.outcomes] == [Result.REFUSED] * 2


def test_carrier_loss_on_the_way_starts_over_when_it_returns() -> None:
    scene = Scene().requesting()
    scene.feed(ev.LinkDown())
    sent = len(scene.sent)
    scene.wait(60.0)
    assert (scene.state, len(scene.sent)) == ("INIT", sent)
    scene.feed(ev.LinkUp())
    assert scene.state == "SELECTING"


def test_carrier_loss_while_rebooting_asks_again_when_it_returns() -> None:
    scene = Scene().start(cached())
    scene.feed(ev.LinkDown())
    assert scene.state == "INIT-REBOOT"
    scene.feed(ev.LinkUp())
    assert scene.state == "REBOOTING"
    assert len(scene.sent) == 2


def test_a_message_that_could_not_be_sent_is_sent_again_in_its_time() -> None:
    # rule 55
    scene = Scene().start()
    scene.feed(ev.SendFailed(Via.DISCOVER, "ENETDOWN"))
    assert scene.notices == [NoticeCode.SEND_FAILED]
    scene.until_sent()
    assert scene.now < START + 1.5


# -- strict conflict detection


def test_a_lease_that_ends_while_its_address_is_probed_is_asked_for_anew() -> None:
    scene = Scene(acd="strict").requesting(lease=10)
    scene.ack(lease=10)
    for at in (1020.0, 1030.0, 1040.0):
        scene.at(at)
    assert scene.state == "SELECTING"
    assert [outcome.result for outcome in scene.outcomes] == [Result.EXPIRED]
    assert not of(act.Configure, scene.actions)


def test_what_was_held_is_held_still_when_the_new_one_ends_while_probing() -> None:
    scene = Scene(acd="strict").bound(lease=0xFFFFFFFF)
    scene.feed(ev.Renew())
    scene.ack(address=OTHER, lease=10)
    assert scene.state == "PROBING"
    for wait in (20.0, 40.0, 60.0):
        scene.at(scene.now + wait)
    assert scene.state == "SELECTING"
    assert scene.lease.address == OURS
    assert scene.outcomes[-1].seconds_left == inf


def test_a_first_lease_counts_from_its_request_and_not_from_the_discover() -> None:
    # rule 31
    scene = Scene().start()
    scene.wait(0.7)
    scene.offer()
    requested = scene.now
    scene.until_sent()
    scene.ack()
    assert scene.lease.started_at == requested > START


# -- IPv6-only networks (RFC 8925)

ASKS_FOR_108 = (*DEFAULT_REQUEST_LIST, opt.IPV6_ONLY)


def wants_ipv6(seconds: int) -> dict[int, bytes]:
    return {opt.IPV6_ONLY: seconds.to_bytes(4, "big")}


@pytest.mark.parametrize(("said", "wait"), [(0, 300.0), (299, 300.0), (1800, 1800.0), (0xFFFFFFFF, 86400.0)])
def test_an_ipv6_only_network_is_obeyed_for_its_time_within_bounds(said: int, wait: float) -> None:
    # rule 67
    scene = Scene(request_list=ASKS_FOR_108).start()
    scene.offer(more=wants_ipv6(said))
    assert (scene.state, scene.client.lease, of(act.Configure, scene.actions)) == ("INIT", None, [])
    (outcome,) = scene.outcomes
    assert (outcome.result, outcome.cause) == (Result.IPV6_ONLY, f"IPv6-only network, no IPv4 for {wait:.0f} s")
    scene.wait(wait - 1.0)
    assert len(scene.sent) == 1
    scene.until_sent()
    assert scene.now == START + wait
    scene.offer()
    scene.ack()
    assert scene.state == "BOUND"


def test_an_offer_that_only_says_ipv6_needs_no_address() -> None:
    # rule 67
    scene = Scene(request_list=ASKS_FOR_108).start()
    scene.offer(more=wants_ipv6(600), address=msg.BROADCAST, server=None, lease=None)
    assert scene.state == "INIT"


@pytest.mark.parametrize("more", [wants_ipv6(600), {opt.IPV6_ONLY: b""}])
def test_option_108_means_nothing_when_it_was_not_asked_for_or_is_malformed(more: dict[int, bytes]) -> None:
    # rule 67
    scene = Scene() if more[opt.IPV6_ONLY] else Scene(request_list=ASKS_FOR_108)
    scene.requesting(more=more).ack(more=more)
    assert scene.state == "BOUND"


def test_a_renewal_is_no_reason_to_give_the_address_up() -> None:
    # rule 67
    scene = Scene(request_list=ASKS_FOR_108).renewing()
    scene.ack(more=wants_ipv6(600))
    assert (scene.state, scene.lease.address) == ("BOUND", OURS)


def test_ipv6_only_is_heard_in_a_rapid_ack_and_in_init_reboot() -> None:
    # rule 67
    scene = Scene(request_list=ASKS_FOR_108, rapid_commit=True).start()
    scene.ack(more={opt.RAPID_COMMIT: b"", **wants_ipv6(600)})
    assert scene.state == "INIT"
    scene = Scene(request_list=ASKS_FOR_108).start(cached())
    scene.ack(more=wants_ipv6(600))
    assert (scene.state, len(of(act.Forget, scene.actions))) == ("INIT", 1)
    assert scene.outcomes[-1].via is Via.BROADCAST


def test_a_new_attachment_or_the_operator_ends_the_wait() -> None:
    # rule 67
    for events in ((ev.LinkDown(), ev.LinkUp()), (ev.Renew(),)):
        scene = Scene(request_list=ASKS_FOR_108).start()
        scene.offer(more=wants_ipv6(600))
        scene.feed(*events)
        assert scene.state == "SELECTING"


def test_a_lease_in_hand_is_kept_on_an_ipv6_only_network() -> None:
    # rule 67, promise 2
    scene = Scene(request_list=ASKS_FOR_108).holding()
    scene.offer(more=wants_ipv6(600))
    assert (scene.state, scene.lease.address) == ("INIT", OURS)
    assert scene.outcomes[-1].former_address == OURS


# -- a server that offers and does not grant


def served(scene: Scene, *, says: int | None, second: float | None, limit: float) -> None:
    """Time passes with a server that offers at once and then says NAK or (``says`` None) nothing, and with
    STRANGE_SERVER, whose OFFER of OTHER comes ``second`` seconds after each DISCOVER (None: it is not there)."""
    end, seen, late = scene.now + limit, len(scene.sent) - 1, []
    while scene.state != "BOUND" and scene.now < end:
        for asked in scene.sent[seen:]:
            if asked.message.message_type == msg.DISCOVER:
                scene.hear(scene.reply(msg.OFFER, to=asked, address=OURS))
                late += [] if second is None else [(scene.now + second, asked)]
            elif asked.message.options[opt.SERVER_ID] == STRANGE_SERVER.packed:
                scene.hear(scene.reply(msg.ACK, to=asked, server=STRANGE_SERVER))
            elif says is not None:
                scene.hear(scene.reply(says, to=asked))
            seen += 1
        new, first = len(scene.sent), min((at for at, _ in late), default=end)
        scene.until(lambda: len(scene.sent) > new or scene.state == "BOUND", min(first, end) - scene.now)  # noqa: B023
        if late and scene.now >= first:
            scene.hear(scene.reply(msg.OFFER, to=late.pop(0)[1], server=STRANGE_SERVER, address=OTHER))


@pytest.mark.parametrize("says", [None, msg.NAK])
@pytest.mark.parametrize("hint", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_a_second_server_serves_where_the_first_only_offers(says: int | None, hint: bool, seed: int) -> None:
    # rule 80
    scene = Scene(seed=seed).start(cached(left=-1.0) if hint else None)
    began = scene.now
    served(scene, says=says, second=0.05, limit=60.0)
    assert (scene.state, scene.lease.address, scene.lease.server_id) == ("BOUND", OTHER, STRANGE_SERVER)
    assert scene.now - began < 10.0


@pytest.mark.parametrize("says", [None, msg.NAK])
def test_a_slow_second_server_is_waited_for_longer_each_time(says: int | None) -> None:
    # rule 80
    scene = Scene().start()
    served(scene, says=says, second=3.0, limit=300.0)
    assert (scene.state, scene.lease.server_id) == ("BOUND", STRANGE_SERVER)


def test_the_only_server_is_asked_again_after_a_moment_and_believed_when_it_grants() -> None:
    # rule 80
    scene = Scene().start()
    served(scene, says=None, second=None, limit=9.0)
    assert scene.state in {"SELECTING", "REQUESTING"}
    scene.until(lambda: scene.state == "REQUESTING", 30.0)
    scene.ack()
    assert scene.state == "BOUND"
    scene.applied().until_state("RENEWING")
    scene.nak()
    scene.until_sent()
    scene.offer()
    assert scene.state == "REQUESTING"  # at once: it has granted since it failed


def test_what_is_remembered_of_failures_is_bounded_and_ends() -> None:
    # rules 22, 80
    scene = Scene().start()
    for number in range(2 * schedule.FAILED_OFFERS_MAX):
        server = IPv4Address(int(SERVER) + number)
        scene.until(lambda: scene.last.message.message_type == msg.DISCOVER, 700.0)
        scene.offer(server=server)
        assert scene.state == "REQUESTING"
        scene.nak(server=server)
        scene.until_sent()
    scene.offer(server=server)
    assert scene.state == "SELECTING"
    assert scene.client.next_deadline() <= scene.now + schedule.OFFER_WAIT  # type: ignore[operator]
    scene.feed(ev.LinkDown())
    scene.wait(schedule.FAILED_OFFER_TIME)
    scene.feed(ev.LinkUp())
    scene.offer(server=server)
    assert scene.state == "REQUESTING"


def test_whoever_gets_no_offer_is_told_once_what_to_do() -> None:
    scene = Scene().start()
    scene.offer(lease=None)
    scene.until_sent(schedule.TELL_AFTER - 1)
    assert act.NoticeCode.NO_OFFER not in scene.notices
    scene.until_sent(10)
    [told] = [each.detail for each in of(act.Noticed, scene.actions) if each.code is act.NoticeCode.NO_OFFER]
    assert "no-lease-time 1" in told
    assert "broadcast_flag = true" in told
