"""The DISCOVER beside the ladder: lost leases found again, and another address in reserve."""

from __future__ import annotations

from tests.support.scene import OTHER, OURS, SERVER, STRANGE_SERVER, Scene, of

from holdfast.core import actions as act
from holdfast.core.actions import NoticeCode
from holdfast.core.outcome import Result, Via
from holdfast.wire import message as msg
from holdfast.wire import options as opt


def next_discover(scene: Scene) -> act.Transmit:
    count = len(scene.sent)
    scene.until(lambda: any(s.message.message_type == msg.DISCOVER for s in scene.sent[count:]))
    return next(s for s in scene.sent[count:] if s.message.message_type == msg.DISCOVER)


def test_from_t2_on_every_second_round_also_asks_anew_for_the_same_address() -> None:
    scene = Scene().reserved()
    asked = scene.last
    assert asked.message.requested_address == OURS
    assert asked.via is Via.DISCOVER
    assert scene.now >= scene.lease.t2_at
    assert not [s for s in scene.sent[2:-1] if s.message.message_type == msg.DISCOVER]


def test_the_first_round_after_t2_asks_whatever_its_number_and_then_every_second_one() -> None:
    for seed in range(20):
        scene = Scene(seed=seed).rebinding()
        t2_at = scene.lease.t2_at
        scene.until_state("SELECTING")
        rounds: dict[int, bool] = {}  # xid of a round: was there a DISCOVER beside?
        for at, sent in scene.sent_at[:-1]:
            if at < t2_at:
                continue
            if sent.message.ciaddr == OURS:
                rounds.setdefault(sent.message.xid, False)
            elif rounds:
                rounds[[*rounds][-1]] = True
        asked = list(rounds.values())
        first = asked.index(True)
        assert first <= 1  # the round in which T2 came may not be over
        assert asked[first:] == [n % 2 == 0 for n in range(len(asked) - first)]


def test_the_same_address_is_taken_and_the_lease_found_again() -> None:
    scene = Scene().reserved()
    scene.offer()
    assert scene.last.message.server_id == SERVER
    assert scene.state == "REBINDING"
    requested = scene.now
    scene.now += 0.5
    scene.ack()
    assert scene.lease.started_at == requested  # rule 31
    outcome = scene.outcomes[-1]
    assert (outcome.result, outcome.via) == (Result.RENEWED, Via.DISCOVER)


def test_each_discover_is_an_exchange_of_its_own() -> None:
    # rules 11, 31
    scene = Scene().reserved()
    first = scene.last
    assert next_discover(scene).message.xid != first.message.xid
    scene.hear(scene.reply(msg.OFFER, to=first))
    assert scene.client.snapshot().drops == {"xid": 1}


def test_an_ack_to_an_earlier_request_counts_from_that_request() -> None:
    # rule 31
    scene = Scene().reserved()
    scene.offer()
    request, requested = scene.last, scene.now
    next_discover(scene)
    scene.ack(to=request, lease=7200)
    assert (scene.state, scene.lease.started_at) == ("BOUND", requested)


def test_a_copy_of_an_offer_is_not_requested_twice() -> None:
    scene = Scene().reserved()
    offer = scene.reply(msg.OFFER)
    scene.hear(offer)
    sent = len(scene.sent)
    scene.hear(offer)
    assert len(scene.sent) == sent
    assert scene.client.snapshot().drops == {"unexpected": 1}


def test_another_address_is_kept_for_the_end_and_then_comes_new_before_old() -> None:
    scene = Scene().reserved()
    scene.offer(address=OTHER)
    assert NoticeCode.OFFER_RESERVED in scene.notices
    assert scene.last.message.message_type == msg.DISCOVER
    offer_xid = scene.last.message.xid
    scene.until(lambda: scene.last.message.requested_address == OTHER)
    assert scene.last.message.xid == offer_xid
    assert 0.0 < scene.lease.seconds_left(scene.now) <= 15.0
    scene.ack()
    assert scene.lease.address == OTHER
    assert of(act.Configure, scene.actions)[-1].former is not None
    assert not of(act.Deconfigure, scene.actions)


def test_one_reserve_is_enough() -> None:
    scene = Scene().reserved()
    scene.offer(address=OTHER)
    scene.offer(address=OTHER + 1)
    assert scene.notices.count(NoticeCode.OFFER_RESERVED) == 1


def test_an_offer_at_the_end_is_requested_at_once_and_again_in_the_next_round() -> None:
    scene = Scene().rebinding(lease=3600)
    asked = next_discover(scene)
    while scene.lease.seconds_left(scene.now) > 15.0:
        asked = next_discover(scene)
    scene.offer(to=asked, address=OTHER)
    assert scene.last.message.requested_address == OTHER
    again = len(scene.sent)
    scene.until(lambda: scene.state == "SELECTING")
    repeated = [s for s in scene.sent[again:] if s.message.server_id == SERVER]
    assert repeated
    assert {s.message.xid for s in repeated} == {asked.message.xid}


def test_an_offer_that_says_too_little_is_dropped() -> None:
    scene = Scene().reserved()
    scene.offer(lease=None)
    assert scene.client.snapshot().drops == {"no-lease-time": 1}


def test_an_offer_to_a_request_of_the_ladder_is_dropped() -> None:
    scene = Scene().renewing()
    scene.offer()
    assert scene.client.snapshot().drops == {"unexpected": 1}
    scene = Scene().reserved()
    scene.hear(scene.reply(msg.OFFER, to=scene.sent[-2]))
    assert scene.client.snapshot().drops == {"unexpected": 1}


def test_an_ack_to_the_discover_itself_is_dropped() -> None:
    scene = Scene().reserved()
    scene.ack()
    assert (scene.state, scene.client.snapshot().drops) == ("REBINDING", {"unexpected": 1})


def test_another_server_than_the_requested_one_may_grant_what_was_offered_and_nothing_else() -> None:
    # rule 79
    scene = Scene().reserved()
    scene.offer()
    scene.ack(server=STRANGE_SERVER, address=OTHER)
    assert (scene.state, scene.client.snapshot().drops) == ("REBINDING", {"unexpected": 1})
    scene.ack(server=STRANGE_SERVER)
    assert (scene.state, scene.lease.server_id) == ("BOUND", STRANGE_SERVER)
    assert scene.notices.count(NoticeCode.SERVER_CHANGED) == 1


def test_a_nak_of_another_server_than_the_requested_one_is_dropped() -> None:
    scene = Scene().reserved()
    scene.offer()
    scene.nak(server=STRANGE_SERVER)
    assert (scene.state, scene.client.snapshot().drops) == ("REBINDING", {"other-server": 1})


def test_an_ack_that_is_no_lease_changes_nothing() -> None:
    scene = Scene().reserved()
    scene.offer()
    scene.ack(address=msg.BROADCAST)
    assert scene.state == "REBINDING"


def test_a_nak_takes_the_offer_back_and_the_lease_is_kept() -> None:
    scene = Scene().reserved()
    scene.offer()
    scene.nak()
    assert (scene.state, scene.lease.address) == ("REBINDING", OURS)
    scene.ack()  # it was taken back
    assert scene.state == "REBINDING"


def test_a_nak_of_the_reserve_makes_room_for_another() -> None:
    scene = Scene().reserved()
    scene.offer(address=OTHER)
    scene.until(lambda: scene.last.message.requested_address == OTHER)
    scene.nak()
    assert scene.client.state.renewal.parallel.reserve is None  # type: ignore[union-attr]
    assert scene.state == "REBINDING"


def test_a_nak_of_the_same_address_leaves_the_reserve() -> None:
    scene = Scene().reserved()
    scene.offer(address=OTHER)
    asked = next_discover(scene)
    scene.offer(to=asked)
    scene.nak()
    assert scene.client.state.renewal.parallel.reserve is not None  # type: ignore[union-attr]


def test_a_nak_to_the_discover_is_dropped() -> None:
    scene = Scene().reserved()
    scene.nak()
    assert (scene.state, scene.client.snapshot().drops) == ("REBINDING", {"other-server": 1})


def test_a_flood_of_offers_is_no_flood_of_requests() -> None:
    # whoever hears our broadcast knows its xid: what he sends must not make us shout
    scene = Scene().reserved()
    asked, before = scene.last, len(scene.sent)
    for number in range(1000):
        scene.offer(to=asked, more={43: number.to_bytes(2, "big")})
    assert len(scene.sent) - before == 8
    assert scene.client.snapshot().drops["unexpected"] == 1000 - 8
    next_discover(scene)
    before = len(scene.sent)
    scene.offer()
    assert len(scene.sent) == before + 1


def test_a_discover_beside_does_not_ask_for_rapid_commit() -> None:
    # rule 70: an ACK that comes at once would be a lease that nobody has weighed against the one in use
    scene = Scene(rapid_commit=True).reserved()
    assert opt.RAPID_COMMIT not in scene.last.message.options
