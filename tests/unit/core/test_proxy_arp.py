"""A router that answers ARP for every address, and is not the DHCP server."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from tests.support.scene import CLAIMANT, GATEWAY, OURS, ROUTER, Scene, of

from holdfast.core import actions as act
from holdfast.core import events as ev
from holdfast.core.actions import NoticeCode
from holdfast.wire import message as msg
from holdfast.wire import options as opt

HOP = GATEWAY.address
#: 198.51.100.0/24 by way of the gateway, and no default route.
ROUTED = {opt.CLASSLESS_STATIC_ROUTE: bytes([24, 198, 51, 100]) + HOP.packed}
PROXY = ev.AddressConflict(OURS, GATEWAY.mac, answer=True)
ITSELF = ev.AddressConflict(HOP, GATEWAY.mac, answer=True)


def kinds(scene: Scene) -> list[int | None]:
    return [sent.message.message_type for sent in scene.sent]


def probed(scene: Scene, address: IPv4Address) -> int:
    return len([probe for probe in of(act.Probe, scene.actions) if probe.address == address])


def declined(scene: Scene) -> bool:
    return msg.DECLINE in kinds(scene)


@pytest.mark.parametrize("options", [ROUTER, ROUTED], ids=["option 3", "option 121"])
def test_the_routers_of_an_offer_are_asked_for_before_its_address_is_probed(options: dict[int, bytes]) -> None:
    # rule 83
    scene = Scene().requesting(more=options)
    assert [probe.address for probe in of(act.Probe, scene.actions)] == [HOP, OURS]
    assert HOP in of(act.Watch, scene.actions)[0].addresses


@pytest.mark.parametrize("acd", ["optimistic", "strict"])
@pytest.mark.parametrize("options", [ROUTER, ROUTED], ids=["option 3", "option 121"])
@pytest.mark.parametrize("order", ["router, claim, ack", "claim, router, ack", "claim, ack, router",
                                   "ack, claim, router", "ack, router, claim", "router, ack, claim"])
def test_a_router_that_answers_for_every_address_is_no_conflict(
    acd: str, options: dict[int, bytes], order: str
) -> None:
    # rule 83
    scene = Scene(acd=acd).requesting(more=options)
    for step in order.split(", "):
        if step == "ack":
            scene.ack(more=options)
        else:
            scene.feed(ITSELF if step == "router" else PROXY)
    scene.until_state("BOUND")
    for _ in range(20):
        scene.feed(PROXY)
        scene.wait(0.5)
    assert (scene.state, scene.lease.address, declined(scene)) == ("BOUND", OURS, False)
    assert NoticeCode.CONFLICT_IGNORED in scene.notices


@pytest.mark.parametrize(("options", "who"), [(ROUTER, "the gateway"), (ROUTED, "a router of the lease")])
def test_a_claim_of_a_router_is_told_as_what_it_is(options: dict[int, bytes], who: str) -> None:
    # rule 83
    scene = Scene().requesting(more=options)
    scene.feed(ITSELF)
    scene.ack(more=options)
    if options is ROUTER:
        scene.feed(ev.GatewaySeen(HOP, GATEWAY.mac))
    scene.until_state("BOUND")
    scene.feed(PROXY)
    said = [notice.detail for notice in of(act.Noticed, scene.actions)]
    assert said[-1] == f"{GATEWAY.mac.hex(':')} claims {OURS}, and is {who}"


@pytest.mark.parametrize(("options", "who"), [(ROUTER, "the gateway"), (ROUTED, "a router of the lease")])
def test_a_claimant_that_turns_out_to_be_a_router_is_told_as_what_it_is(options: dict[int, bytes], who: str) -> None:
    # rule 83
    scene = Scene().requesting(more=options)
    scene.ack(more=options)
    scene.feed(PROXY)  # a contest begins
    scene.feed(ITSELF)
    if options is ROUTER:
        scene.feed(ev.GatewaySeen(HOP, GATEWAY.mac))
    scene.wait(30)
    said = [notice.detail for notice in of(act.Noticed, scene.actions) if notice.code is NoticeCode.CONFLICT_IGNORED]
    assert said[-1] == f"{GATEWAY.mac.hex(':')} claims {OURS}, and is {who}"


@pytest.mark.parametrize("acd", ["optimistic", "strict"])
def test_a_claimant_beside_a_silent_router_is_declined_within_a_second(acd: str) -> None:
    # rule 83
    scene = Scene(acd=acd).requesting(more=ROUTER)
    scene.feed(ev.AddressConflict(OURS, CLAIMANT, answer=True))
    scene.ack(more=ROUTER)
    if scene.state == "PROBING":
        scene.feed(ev.AddressConflict(OURS, CLAIMANT, answer=True))
    began = scene.now
    scene.until(lambda: declined(scene), 5.0)
    assert declined(scene)
    assert scene.now - began < 1.0
    assert probed(scene, HOP) == 3


@pytest.mark.parametrize("acd", ["optimistic", "strict"])
def test_a_claimant_is_declined_as_soon_as_the_router_is_known_to_be_another(acd: str) -> None:
    # rule 83
    scene = Scene(acd=acd).requesting(more=ROUTER)
    scene.feed(ITSELF)
    scene.feed(ev.AddressConflict(OURS, CLAIMANT, answer=True))
    scene.ack(more=ROUTER)
    if scene.state == "PROBING":
        scene.feed(ev.AddressConflict(OURS, CLAIMANT, answer=True))
    assert declined(scene)


def test_who_asks_for_the_router_is_not_the_router() -> None:
    # rule 83
    scene = Scene().requesting(more=ROUTER)
    scene.feed(ev.AddressConflict(HOP, CLAIMANT))
    scene.feed(ev.AddressConflict(OURS, CLAIMANT, answer=True))
    scene.ack(more=ROUTER)
    scene.until(lambda: declined(scene), 5.0)
    assert declined(scene)


def test_a_lease_without_an_offer_waits_for_its_gateway_before_a_claim_is_proven() -> None:
    # rule 83: rapid commit
    scene = Scene(rapid_commit=True).start()
    scene.ack(more={**ROUTER, opt.RAPID_COMMIT: b""})
    for _ in range(4):
        scene.feed(PROXY)
    assert scene.state == "BOUND"
    scene.gateway()
    scene.wait(10.0)
    scene.feed(PROXY)
    assert (scene.state, declined(scene)) == ("BOUND", False)


def test_a_proven_claim_counts_when_the_gateway_stays_silent() -> None:
    # rules 83, 84
    scene = Scene(rapid_commit=True).start()
    scene.ack(more={**ROUTER, opt.RAPID_COMMIT: b""})
    scene.contest()
    assert declined(scene)


def test_the_routers_are_not_asked_for_where_no_address_is_probed() -> None:
    # rule 83
    scene = Scene(acd="off").requesting(more=ROUTER)
    assert not of(act.Probe, scene.actions)


def test_carrier_lost_ends_the_question() -> None:
    # rule 83
    scene = Scene().requesting(more=ROUTER)
    scene.feed(ev.LinkDown())
    before = probed(scene, HOP)
    scene.wait(5.0)
    assert probed(scene, HOP) == before


def test_of_two_routers_the_silent_one_is_asked_again() -> None:
    # rule 83
    other = IPv4Address(int(HOP) + 1)
    scene = Scene().requesting(more={opt.ROUTER: HOP.packed + other.packed})
    scene.feed(ITSELF)
    scene.wait(1.0)
    assert (probed(scene, HOP), probed(scene, other)) == (1, 3)
