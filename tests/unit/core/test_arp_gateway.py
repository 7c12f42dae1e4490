"""Who the gateway is: read from the options, learned by ARP, asked after carrier and sleep."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from tests.support.scene import (
    CLAIMANT,
    CLIENT_ID,
    GATEWAY,
    OTHER,
    OURS,
    ROUTER,
    SERVER,
    STRANGE_SERVER,
    Scene,
    cached,
    of,
)

from holdfast.core import actions as act
from holdfast.core import events as ev
from holdfast.core import schedule
from holdfast.core.actions import NoticeCode
from holdfast.core.arp import default_gateway
from holdfast.core.lease import Binding, Gateway
from holdfast.core.outcome import Result, Via
from holdfast.wire import message as msg
from holdfast.wire import options as opt
from holdfast.wire.message import ANY

HOP = IPv4Address("192.0.2.254")
#: 169.254.169.254/32 via 192.0.2.2, default via 192.0.2.254
ROUTES = bytes.fromhex("20a9fea9fec0000202" "00c00002fe")


@pytest.mark.parametrize(("options", "hop"), [
    ({}, None),
    (ROUTER, HOP),
    ({opt.ROUTER: b""}, None),
    ({opt.ROUTER: bytes(4)}, None),
    ({opt.ROUTER: OURS.packed}, None),  # "on this link"
    ({opt.CLASSLESS_STATIC_ROUTE: ROUTES, opt.ROUTER: SERVER.packed}, HOP),
    ({opt.CLASSLESS_STATIC_ROUTE_MS: ROUTES, opt.ROUTER: SERVER.packed}, HOP),
    ({opt.CLASSLESS_STATIC_ROUTE: ROUTES[:9], opt.ROUTER: SERVER.packed}, None),  # rule 64: 3 does not count then
    ({opt.CLASSLESS_STATIC_ROUTE: b"!", opt.ROUTER: HOP.packed}, HOP),
])
def test_the_gateway_is_the_next_hop_of_the_default_route(options: dict[int, bytes], hop: object) -> None:
    lease = cached().binding.lease._replace(options=options)
    assert default_gateway(lease) == hop


# -- learning


def test_a_new_lease_asks_for_its_gateway_three_times_at_most() -> None:
    # rule 49
    scene = Scene().bound(more=ROUTER)
    scene.wait(60.0)
    assert scene.asked == [act.AskGateway(HOP, None, OURS)] * 3
    assert scene.client.snapshot().gateway is None
    assert of(act.Watch, scene.actions)[-1] == act.Watch(())


def test_what_was_learned_is_kept_with_the_lease() -> None:
    # rule 49
    scene = Scene().bound(more=ROUTER)
    assert of(act.Persist, scene.actions)[-1].binding.gateway is None
    scene.gateway()
    expected = Binding(scene.lease, scene.client.snapshot().server, GATEWAY, CLIENT_ID)
    assert of(act.Persist, scene.actions)[-1].binding == expected
    assert scene.client.snapshot().gateway == GATEWAY
    scene.wait(60.0)
    assert len(scene.asked) == 1


def test_a_renewal_asks_the_gateway_alone_and_writes_nothing_when_it_is_the_same() -> None:
    # rule 49
    scene = Scene().bound(more=ROUTER)
    scene.gateway()
    scene.until_state("RENEWING")
    scene.ack(more=ROUTER)
    writes = len(of(act.Persist, scene.actions))
    assert of(act.Persist, scene.actions)[-1].binding.gateway == GATEWAY
    scene.gateway()
    scene.wait(60.0)
    assert scene.asked[1:] == [act.AskGateway(HOP, GATEWAY.mac, OURS)]
    assert len(of(act.Persist, scene.actions)) == writes


def test_a_gateway_that_was_replaced_is_learned_anew_at_the_next_renewal() -> None:
    # rule 49
    scene = Scene().bound(more=ROUTER)
    scene.gateway()
    scene.until_state("RENEWING")
    scene.ack(more=ROUTER)
    scene.gateway(CLAIMANT)  # nobody but the known one was asked yet
    assert scene.client.snapshot().gateway == GATEWAY
    scene.until(lambda: scene.asked[-1].mac is None)
    scene.gateway(CLAIMANT)
    assert scene.client.snapshot().gateway == Gateway(HOP, CLAIMANT)
    assert NoticeCode.GATEWAY_CHANGED in scene.notices
    assert (scene.state, of(act.Deconfigure, scene.actions)) == ("BOUND", [])


def test_another_gateways_address_is_another_gateway() -> None:
    scene = Scene().bound(more=ROUTER)
    scene.gateway()
    scene.until_state("RENEWING")
    scene.ack(more={opt.ROUTER: SERVER.packed})
    assert of(act.Persist, scene.actions)[-1].binding.gateway is None
    assert scene.asked[-1] == act.AskGateway(SERVER, None, OURS)


def test_an_answer_after_the_lease_has_gone_is_not_kept() -> None:
    scene = Scene().bound(more=ROUTER)
    scene.contest()
    assert scene.state == "INIT"
    scene.gateway()
    assert scene.client.snapshot().gateway is None


def test_without_carrier_nobody_is_asked() -> None:
    scene = Scene().bound(more=ROUTER)
    scene.feed(ev.LinkDown())
    scene.wait(60.0)
    assert len(scene.asked) == 1


# -- which network is this?


def known() -> Scene:
    """BOUND for a while, the gateway known."""
    scene = Scene().bound(more=ROUTER)
    scene.gateway()
    scene.wait(100.0)
    return scene


@pytest.mark.parametrize("what", ["carrier", "sleep", "restored"])
def test_carrier_and_sleep_ask_the_gateway(what: str) -> None:
    # rules 45, 49, 61
    scene = known()
    events = {"carrier": [ev.LinkDown(), ev.LinkUp()], "sleep": [ev.TimeJumped(9.0, "suspend")],
              "restored": [ev.Restored(1, "a copy")]}[what]
    scene.feed(*events)
    assert scene.asked[1:] == [act.AskGateway(HOP, GATEWAY.mac, OURS)]


@pytest.mark.parametrize(("mac", "said"), [(GATEWAY.mac, "verified by the gateway"),
                                           (CLAIMANT, "another gateway answers"),
                                           (None, "the gateway is silent")])
def test_silent_servers_and_the_gateways_answer_make_the_record(mac: bytes | None, said: str) -> None:
    # rules 49, 61
    scene = known()
    scene.feed(ev.LinkDown(), ev.LinkUp())
    if mac is not None:
        scene.gateway(mac)
    scene.wait(40.0)
    outcome = scene.outcomes[-1]
    assert (outcome.result, outcome.purpose, scene.state) == (Result.KEPT, "link-up", "BOUND")
    assert outcome.cause == "carrier up; unicast unanswered" + f"; {said}"
    assert of(act.Deconfigure, scene.actions) == []


def elsewhere() -> Scene:
    """The cable was plugged in elsewhere: another gateway answers."""
    scene = known()
    scene.feed(ev.LinkDown(), ev.LinkUp())
    scene.gateway(CLAIMANT)
    return scene


def test_on_another_network_a_lease_is_asked_for_beside() -> None:
    # rule 49
    scene = elsewhere()
    scene.until(lambda: scene.last.message.message_type == msg.DISCOVER)
    scene.offer()
    scene.ack(more=ROUTER)
    assert (scene.state, scene.lease.address) == ("BOUND", OURS)
    assert of(act.Persist, scene.actions)[-1].binding.gateway is None  # the one we knew is not this network's
    assert scene.asked[-1] == act.AskGateway(HOP, None, OURS)


def test_on_another_network_another_address_is_taken_when_nobody_confirms_ours() -> None:
    # rules 49, 57
    scene = elsewhere()
    scene.until(lambda: scene.last.message.message_type == msg.DISCOVER)
    scene.offer(address=OTHER, server=STRANGE_SERVER)
    began = scene.now
    assert scene.lease.address == OURS
    scene.until(lambda: scene.last.message.server_id is not None)
    assert scene.now - began < 20.0
    scene.ack(address=OTHER, server=STRANGE_SERVER)
    assert (scene.outcomes[-1].result, scene.lease.address) == (Result.MOVED, OTHER)
    configure = of(act.Configure, scene.actions)[-1]
    assert configure.former is not None
    assert (configure.lease.address, configure.former.address) == (OTHER, OURS)  # promise 5
    assert of(act.Deconfigure, scene.actions) == []


def test_a_server_that_confirms_the_lease_outweighs_the_gateway() -> None:
    # rule 49, promise 2
    scene = elsewhere()
    scene.until(lambda: scene.state == "RENEWING" and scene.sent[-2].via is Via.UNICAST)
    scene.ack(to=scene.sent[-2], more=ROUTER)
    assert (scene.state, scene.lease.address) == ("BOUND", OURS)


def test_an_offer_that_cannot_be_had_leaves_the_lease_as_it_is() -> None:
    # rule 49, promise 2
    scene = elsewhere()
    scene.until(lambda: scene.last.message.message_type == msg.DISCOVER)
    scene.offer(address=OTHER, server=STRANGE_SERVER)
    scene.until_state("BOUND")
    assert (scene.outcomes[-1].result, scene.lease.address) == (Result.KEPT, OURS)


def test_a_question_that_another_has_overtaken_is_answered_once() -> None:
    scene = known()
    scene.feed(ev.TimeJumped(9.0, "suspend"))
    scene.gateway()
    assert scene.gateway() == []


def test_the_gateway_claims_every_address_and_is_no_conflict() -> None:
    # rule 71
    scene = Scene().bound(more=ROUTER)
    scene.gateway()
    scene.feed(ev.AddressConflict(OURS, GATEWAY.mac))
    assert scene.state == "BOUND"
    assert NoticeCode.CONFLICT_IGNORED in scene.notices


def test_the_sender_of_a_broadcast_question_is_nobody_while_the_network_is_in_doubt() -> None:
    # rule 49
    scene = known()
    scene.feed(ev.LinkDown(), ev.LinkUp())
    scene.wait(10.0)
    assert {ask.source for ask in scene.asked[1:] if ask.mac is None} == {ANY}


# -- another network whose gateway nobody is

FOREIGN, FOREIGN_SERVER = IPv4Address("198.51.100.50"), IPv4Address("198.51.100.1")
MASK = {opt.SUBNET_MASK: bytes([255, 255, 255, 0])}
ELSEWHERE = {**MASK, opt.ROUTER: FOREIGN_SERVER.packed}


def silent_place(way: str, seed: int = 1) -> Scene:
    """The known gateway answers no more: after the carrier came back, after sleep, after a boot."""
    if way == "boot":
        return Scene(seed=seed).start(cached(gateway=GATEWAY, left=3000.0))
    scene = Scene(seed=seed).bound(more={**ROUTER, **MASK})
    scene.gateway()
    scene.wait(100.0)
    scene.feed(*([ev.LinkDown(), ev.LinkUp()] if way == "carrier" else [ev.TimeJumped(9.0, "suspend")]))
    return scene


def answer_discover(scene: Scene, limit: float, **how: object) -> bool:
    """Offer that to the next DISCOVER, and grant it when it is asked for; True when it was within ``limit`` s."""
    end, seen = scene.now + limit, len(scene.sent)

    def asked() -> list[act.Transmit]:
        return [sent for sent in scene.sent[seen:] if sent.message.message_type == msg.DISCOVER]

    scene.until(lambda: bool(asked()), end - scene.now)
    if not asked():
        return False
    scene.offer(to=asked()[0], **how)

    def taken() -> list[act.Transmit]:
        return [sent for sent in scene.sent[seen:] if sent.message.server_id is not None]

    scene.until(lambda: bool(taken()), end - scene.now)
    if not taken():
        return False
    scene.ack(to=taken()[0], **how)
    return True


@pytest.mark.parametrize("way", ["carrier", "sleep", "boot"])
@pytest.mark.parametrize("seed", range(10))
def test_another_network_with_a_server_that_ignores_the_lease_is_moved_to_in_time(way: str, seed: int) -> None:
    # rules 57, 82
    scene = silent_place(way, seed)
    began = scene.now
    assert answer_discover(scene, 12.0, address=FOREIGN, server=FOREIGN_SERVER, more=ELSEWHERE)
    assert scene.lease.address == FOREIGN
    assert scene.now - began < 12.0  # of 15 s; a server may look by ping first
    configure = of(act.Configure, scene.actions)[-1]
    assert configure.former is not None
    assert (configure.lease.address, configure.former.address) == (FOREIGN, OURS)  # promise 5
    assert of(act.Deconfigure, scene.actions) == []


@pytest.mark.parametrize("way", ["carrier", "sleep", "boot"])
@pytest.mark.parametrize("how", [
    {"address": OTHER, "server": STRANGE_SERVER, "more": MASK},
    {"address": OTHER, "server": STRANGE_SERVER},
    {"address": OTHER, "server": SERVER, "more": MASK},
    {"address": FOREIGN, "server": SERVER, "more": ELSEWHERE},
    {"address": IPv4Address("192.0.3.7"), "server": STRANGE_SERVER, "more": {opt.SUBNET_MASK: bytes([255, 255, 0, 0])}},
    {"address": FOREIGN, "server": FOREIGN_SERVER, "more": {**ELSEWHERE, **ROUTER}},
    {"address": FOREIGN, "server": None, "more": {opt.SUBNET_MASK: b"\x01"}},
], ids=["our subnet", "our subnet, no mask", "our server", "our server, elsewhere", "a wider subnet", "our gateway",
        "a mask that is none"])
def test_silence_and_an_offer_that_may_be_of_the_same_network_move_nothing(way: str, how: dict[str, object]) -> None:
    # rule 82, promise 2
    scene = silent_place(way)
    assert not answer_discover(scene, 600.0, **how)
    assert scene.lease.address == OURS
    assert of(act.Deconfigure, scene.actions) == []


@pytest.mark.parametrize("way", ["carrier", "sleep", "boot"])
def test_the_known_gateways_answer_outweighs_an_offer_of_elsewhere(way: str) -> None:
    # rule 82, promise 2
    scene = silent_place(way)
    scene.gateway()
    assert not answer_discover(scene, 600.0, address=FOREIGN, server=FOREIGN_SERVER, more=ELSEWHERE)
    assert scene.lease.address == OURS


def test_a_lease_whose_gateway_is_not_known_is_kept() -> None:
    # rule 82, promise 2
    scene = Scene().bound()
    scene.wait(100.0)
    scene.feed(ev.LinkDown(), ev.LinkUp())
    assert not answer_discover(scene, 600.0, address=FOREIGN, server=FOREIGN_SERVER, more=ELSEWHERE)
    assert scene.lease.address == OURS


def test_an_offer_of_elsewhere_waits_until_the_gateway_has_had_its_time() -> None:
    # rule 82
    scene = silent_place("carrier")
    began = scene.now
    assert answer_discover(scene, 15.0, address=FOREIGN, server=FOREIGN_SERVER, more=ELSEWHERE)
    assert scene.now - began >= sum(schedule.VERIFY_GAPS)
