"""The core against everything at once: random schedules of faults, every event in every state, every transition.

The promises themselves are checked by ``tests/support/promises.py``, after every step and beside every client.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import strategies as _profile  # noqa: F401 - the same examples in every run
from tests.support.scene import (
    CLAIMANT,
    GATEWAY,
    MAC,
    OTHER,
    OURS,
    ROUTER,
    SERVER,
    START,
    STRANGE_SERVER,
    Scene,
    cached,
)
from tests.support.schedules import FAULTS, build, heal, is_well
from tests.support.simulation import POOL, World

from holdfast.core import actions as act
from holdfast.core import events as ev
from holdfast.core.config import DEFAULT_REQUEST_LIST
from holdfast.core.lease import Lease
from holdfast.core.machine import Machine
from holdfast.core.outcome import Via
from holdfast.core.states import State, name_of
from holdfast.core.transitions import TRANSITIONS, Reason
from holdfast.wire import message as msg
from holdfast.wire import options as opt
from holdfast.wire.message import ANY, Message
from holdfast_lab.simulate.world import Direction

# -- random schedules of faults


steps = st.lists(
    st.tuples(st.sampled_from(sorted(FAULTS)), st.floats(0, 1), st.floats(0, 1)), min_size=5, max_size=30
)
networks = st.fixed_dictionaries({
    "seed": st.integers(0, 2**32),
    "lease_time": st.sampled_from([10, 30, 120, 600, 3600]),
    "second": st.sampled_from(["none", "deaf", "jealous"]),
    "lateness": st.sampled_from([0.0, 0.01]),
    "icmp": st.booleans(),
    "carrier": st.booleans(),
})
clients = st.fixed_dictionaries({
    "acd": st.sampled_from(["optimistic", "strict", "off"]),
    "nak": st.sampled_from(["hold", "hold", "halt"]),
    "on_expiry": st.sampled_from(["remove", "hold"]),
    "request_list": st.sampled_from([DEFAULT_REQUEST_LIST, (*DEFAULT_REQUEST_LIST, opt.IPV6_ONLY)]),
    "rapid_commit": st.booleans(),
    "start_delay": st.booleans(),
})


@pytest.mark.long
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(network=networks, client=clients, schedule=steps)
def test_no_schedule_of_faults_breaks_a_promise(network: dict[str, Any], client: dict[str, Any], schedule: Any) -> None:
    # rules 10, 11, 36, 37, 39, 40, 44, 45, 48, 52, 57, 59, 60, 61, 74, 75
    world, host = build(network, client)
    host.start()
    for fault, amount, wait in schedule:
        FAULTS[fault](world, host, amount)
        world.run(1.3 * wait**3 * network["lease_time"])
        if host.client is None:
            host.start()
    heal(world, host)
    if host.client is None:
        host.start()
    world.run(network["lease_time"] + 900.0)  # the longest pause there is: 300 s after many NAKs
    world.run_until(lambda: is_well(world, host), 60.0)


@pytest.mark.parametrize("seed", range(10))
def test_a_fleet_on_a_bad_network_keeps_its_addresses_apart(seed: int) -> None:
    world = World(seed)
    world.up = Direction(loss=0.3, duplicate=0.2, delay=(0.001, 2.0))
    world.down = Direction(loss=0.3, duplicate=0.2, delay=(0.001, 2.0))
    hosts = [world.add_host() for _ in range(8)]
    for host in hosts:
        host.start()
    for _ in range(30):
        world.run(60.0)
        used = [address for host in hosts for address in host.kernel.ends]
        assert len(used) == len(set(used))
    assert len(used) == len(hosts)
    assert all(outcome.seconds_left > 0 for host in hosts for outcome in host.outcomes if outcome.purpose == "t1")


@pytest.mark.parametrize("acd", ["strict", "optimistic"])
def test_addresses_that_others_use_are_declined_until_one_is_free(acd: str) -> None:
    world = World()
    world.squatters.update(POOL[:2])
    host = world.add_host(acd=acd)
    host.start()
    world.run_until(lambda: is_well(world, host) and host.lease is not None and host.lease.address == POOL[2])
    assert world.server.leases.declined == set(POOL[:2])


# -- every event in every state


def _probing(**how: Any) -> Scene:
    scene = Scene(acd="strict").requesting(**how)
    scene.ack(**how)
    return scene


def _probing_while_holding() -> Scene:
    """PROBING a new address with the old one still in use."""
    scene = Scene(acd="strict").renewing()
    scene.ack(address=OTHER)
    return scene


def _requesting_while_holding() -> Scene:
    scene = Scene().holding()
    scene.offer(address=OTHER)
    scene.until_state("REQUESTING")
    return scene


def _init_while_holding() -> Scene:
    scene = Scene().holding()
    scene.feed(ev.LinkDown())
    return scene


def _stopped() -> Scene:
    scene = Scene().bound()
    scene.feed(ev.Stop())
    return scene


def _released() -> Scene:
    scene = Scene().bound()
    scene.feed(ev.Release())
    return scene


def _checking() -> Scene:
    """RENEWING since carrier came back, with nothing sent yet."""
    scene = Scene().bound()
    scene.wait(30.0)
    scene.feed(ev.LinkDown(), ev.LinkUp())
    return scene


def _with_reserve() -> Scene:
    scene = Scene().reserved()
    scene.offer(address=OTHER)
    return scene


def _requesting_beside() -> Scene:
    scene = Scene().reserved()
    scene.offer()
    return scene


def _infinite() -> Scene:
    scene = Scene().bound(lease=0xFFFFFFFF)
    scene.feed(ev.Renew())
    return scene


def _held(until: str = "SELECTING", **settings: Any) -> Scene:
    """The lease has ended, its address is held, and a new one is asked for; as far as ``until``."""
    scene = Scene(on_expiry="hold", **settings)
    scene.requesting(more=ROUTER).ack(more=ROUTER)
    scene.until(lambda: scene.state == "BOUND", 10.0)
    scene.applied().gateway()
    scene.at(scene.lease.expires_at)
    scene.gateway()
    assert (scene.state, scene.lease.ended_at is not None) == ("SELECTING", True)
    if until != "SELECTING":
        scene.offer(address=OTHER)
        scene.until_state("REQUESTING")
    if until == "PROBING":
        scene.ack(address=OTHER)
    if until == "INIT":
        scene.feed(ev.LinkDown())
    return scene


def _with_gateway(scene: Scene) -> Scene:
    """With a lease whose gateway is known."""
    scene.bound(more=ROUTER)
    scene.gateway()
    return scene


def _ends_while(situation: str, **settings: Any) -> Scene:
    """A held lease, refused by its own server, ends; its address is held beyond it."""
    scene = Scene(on_expiry="hold", **settings).bound(more=ROUTER)
    scene.gateway()
    scene.until_state("RENEWING")
    scene.nak()
    if situation != "SELECTING":
        scene.offer(address=OTHER)
        scene.until_state("REQUESTING")
    if situation == "PROBING":
        scene.ack(address=OTHER)
    if situation == "INIT":
        scene.offer(address=OTHER)
        scene.nak(server=SERVER)  # the second in a row: wait before the next DISCOVER
    assert scene.state == situation
    scene.at(scene.lease.expires_at)
    return scene


def _held_from(state: str) -> Scene:
    """The lease ends while it is being renewed, and the gateway answers in time."""
    scene = _with_gateway(Scene(on_expiry="hold"))
    scene.until_state(state)
    scene.at(scene.lease.expires_at)
    return scene


def _held_while_waiting() -> Scene:
    """Refused again and again: in INIT until the next DISCOVER may go out, with an address beyond its lease."""
    scene = _held("REQUESTING")
    for _ in range(7):
        scene.nak()
        scene.with_gateway(lambda: scene.state == "SELECTING" and scene.last.message.message_type == msg.DISCOVER)
        scene.offer()
        scene.with_gateway(lambda: scene.state == "REQUESTING")
    scene.nak()
    scene.with_gateway(lambda: scene.state != "INIT")
    return scene


def _remembered(**settings: Any) -> Scene:
    """PROBING a remembered lease that no server would confirm or refuse."""
    scene = Scene(acd="strict").start(cached(**settings))
    scene.until_state("PROBING")
    return scene


def _ipv6_only() -> Scene:
    scene = Scene(request_list=(*DEFAULT_REQUEST_LIST, opt.IPV6_ONLY)).start()
    scene.offer(more={opt.IPV6_ONLY: bytes(4)})
    return scene


SITUATIONS: dict[str, Callable[[], Scene]] = {
    "not started": Scene,
    "INIT": lambda: Scene().start(carrier=False),
    "INIT, holding a lease": _init_while_holding,
    "INIT-REBOOT": lambda: Scene().start(cached(), carrier=False),
    "REBOOTING": lambda: Scene().start(cached()),
    "SELECTING": lambda: Scene().start(),
    "SELECTING, holding a lease": lambda: Scene().holding(),
    "REQUESTING": lambda: Scene().requesting(),
    "REQUESTING, holding a lease": _requesting_while_holding,
    "PROBING": _probing,
    "PROBING, holding a lease": _probing_while_holding,
    "BOUND": lambda: Scene().bound(),
    "BOUND, detection over": lambda: (s := Scene().bound(), s.wait(60.0))[0],
    "BOUND, server without a name": lambda: Scene().bound(more={opt.SERVER_ID: SERVER.packed}),
    "RENEWING": lambda: Scene().renewing(),
    "RENEWING, nothing sent": _checking,
    "RENEWING, infinite": _infinite,
    "REBINDING": lambda: Scene().rebinding(),
    "REBINDING, DISCOVER beside": lambda: Scene().reserved(),
    "REBINDING, reserve": _with_reserve,
    "REBINDING, REQUEST beside": _requesting_beside,
    "INIT, IPv6-only": _ipv6_only,
    "REBOOTING, gateway asked": lambda: Scene().start(cached(gateway=GATEWAY)),
    "PROBING, remembered": _remembered,
    "BOUND, gateway known": lambda: _with_gateway(Scene()),
    "RENEWING, gateway asked": lambda: _then("BOUND, gateway known", ev.TimeJumped(1.0, "suspend")),
    "BOUND, to be held": lambda: (s := _with_gateway(Scene(on_expiry="hold")), s.at(s.lease.expires_at - 4.0))[0],
    "INIT, held beyond": lambda: _held("INIT"),
    "SELECTING, held beyond": _held,
    "REQUESTING, held beyond": lambda: _held("REQUESTING"),
    "PROBING, held beyond": lambda: _held("PROBING", acd="strict"),
    "STOPPED": _stopped,
    "STOPPED, released": _released,
}

EVENTS: list[ev.Event] = [
    ev.Start(None), ev.Start(None, carrier=False), ev.Start(cached(on_link=True)), ev.Start(cached(left=-1.0)),
    ev.LinkUp(), ev.LinkDown(), ev.AddressConflict(OURS, CLAIMANT), ev.AddressConflict(OTHER, CLAIMANT),
    ev.AddressConflict(OURS, CLAIMANT, answer=True),
    ev.AddressLost(OURS), ev.AddressLost(OTHER), ev.RoutesLost(), ev.Applied(), ev.ApplyFailed("no"),
    ev.TimeJumped(5.0, "suspend"), ev.TimeJumped(-3e7, "clock step"), ev.Restored(7, "a copy"),
    ev.GatewaySeen(SERVER, CLAIMANT), ev.GatewaySeen(SERVER, GATEWAY.mac), ev.GatewaySeen(OTHER, CLAIMANT),
    *(ev.SendFailed(via, "no") for via in Via), ev.Renew(), ev.Rebind(), ev.Release(), ev.Stop(),
]

ODD: list[dict[int, bytes]] = [
    {}, {opt.LEASE_TIME: b""}, {opt.LEASE_TIME: bytes(4)}, {opt.LEASE_TIME: b"\xff" * 4},
    {opt.RENEWAL_TIME: b"\xff" * 4, opt.REBINDING_TIME: bytes(4)}, {opt.CLIENT_ID: b"\x01other"},
    {opt.RAPID_COMMIT: b""}, {opt.AUTO_CONFIGURE: b"\0"}, {opt.MESSAGE_TYPE: b""}, {opt.SERVER_ID: b"\0\0"},
    {opt.MESSAGE: b"\xff\0no"},
]


def messages(scene: Scene) -> list[Message]:
    """Every kind of message, to everything that was asked of late, from our server and others, good and odd."""
    asked = {sent.message.xid: sent for sent in scene.sent[-5:]}
    if not asked:
        return [Message(op=msg.BOOTREPLY, xid=1, chaddr=MAC, options={opt.MESSAGE_TYPE: b"\5"})]
    return [
        scene.reply(kind, to=to, server=server, address=address, more=odd)
        for to in asked.values()
        for kind in range(11)
        for server in (SERVER, STRANGE_SERVER, None)
        for address in (None, OTHER, ANY)
        for odd in ODD
        if odd == {} or (server == SERVER and address is None)
    ]


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_event_is_taken_in_every_state(situation: str) -> None:
    for event in EVENTS:
        scene = SITUATIONS[situation]()
        scene.feed(event)  # the scene checks the promises on every action
        scene.wait(12.0)
        scene.feed(ev.LinkUp(), ev.Applied())
        scene.wait(4000.0)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_message_is_taken_in_every_state(situation: str) -> None:
    scene = SITUATIONS[situation]()
    for message in messages(scene):  # the same seed asks the same questions, so these fit every new scene
        before = scene.client.state
        actions = scene.hear(message)
        if all(isinstance(action, (act.Dropped, act.Noticed)) for action in actions) and scene.client.state == before:
            continue
        scene.wait(12.0)
        scene.feed(ev.Applied())
        scene.wait(100.0)
        scene = SITUATIONS[situation]()


def _garbage(good: Message) -> dict[str, Message]:
    """``good``, spoilt in one way each (rules 15, 16, 72)."""
    return {
        "not a reply": good._replace(op=msg.BOOTREQUEST),
        "op of no meaning": good._replace(op=0),
        "other hardware type": good._replace(htype=6),
        "short hardware address": good._replace(chaddr=good.chaddr[:5]),
        "long hardware address": good._replace(chaddr=good.chaddr + bytes(10)),
        "somebody else's": good._replace(chaddr=CLAIMANT),
        "no message type": good._replace(options={}),
        "long message type": good._replace(options={**good.options, opt.MESSAGE_TYPE: b"\5\5"}),
        "FORCERENEW": good._replace(options={**good.options, opt.MESSAGE_TYPE: b"\x09"}),
        "another exchange": good._replace(xid=good.xid ^ 1),
        "a question": good._replace(options={**good.options, opt.MESSAGE_TYPE: b"\1"}),
        "unknown type": good._replace(options={**good.options, opt.MESSAGE_TYPE: b"\xc8"}),
        "another client's": good._replace(options={**good.options, opt.CLIENT_ID: b"\x01" + CLAIMANT}),
    }


@pytest.mark.parametrize("situation", sorted(set(SITUATIONS) - {"not started", "INIT", "INIT-REBOOT"}))
def test_garbage_never_changes_anything(situation: str) -> None:
    # rules 15, 16, 22, 72
    for kind in (msg.OFFER, msg.ACK, msg.NAK):
        scene = SITUATIONS[situation]()
        for name, message in _garbage(scene.reply(kind)).items():
            before = (scene.client.state, scene.client.next_deadline())
            actions = scene.hear(message)
            assert [type(action) for action in actions] == [act.Dropped], name
            assert (scene.client.state, scene.client.next_deadline()) == before, name


# -- every transition


def _expire(scene: Scene) -> Scene:
    """Asleep until the lease has ended."""
    scene.at(scene.lease.expires_at + 1.0)
    return scene


def _then(situation: str, *events: ev.Event) -> Scene:
    scene = SITUATIONS[situation]()
    scene.feed(*events)
    return scene


def _after(situation: str, what: Callable[[Scene], object]) -> Scene:
    scene = SITUATIONS[situation]()
    what(scene)
    return scene


def _without_carrier(situation: str, what: Callable[[Scene], object]) -> Scene:
    scene = SITUATIONS[situation]()
    scene.feed(ev.LinkDown())
    what(scene)
    return scene


def _reboot(left: float) -> Scene:
    """INIT-REBOOT that nobody answers."""
    scene = Scene().start(cached(left=left))
    scene.wait(5.0)
    return scene


def _foreign_nak_in_rebooting() -> Scene:
    scene = Scene().start(cached())
    scene.nak(server=STRANGE_SERVER)
    scene.wait(5.0)
    return scene


def _strict(scene: Scene, what: Callable[[Scene], object] = lambda s: s.ack(address=OTHER)) -> Scene:
    what(scene)
    return scene


def _claimed_while_requesting() -> Scene:
    scene = Scene().requesting()
    scene.feed(ev.AddressConflict(OURS, CLAIMANT))
    scene.ack()
    return scene


def _claimed_while_renewing(until: str) -> Scene:
    """A lease so short that its address is still being probed when it is renewed."""
    scene = Scene(seed=3).bound(lease=10, t1=1, t2=2)
    scene.until_state(until)
    scene.contest()
    return scene


def _second_nak() -> Scene:
    scene = Scene().requesting()
    scene.nak()
    scene.offer()
    scene.until_state("REQUESTING")
    scene.nak()
    return scene


def _late(event: ev.Event) -> Scene:
    """An event between T2 and the timer that should have told of it."""
    scene = Scene().bound()
    scene.feed(ev.LinkDown())
    scene.now = scene.lease.t2_at + 1.0
    scene.promises.disturbed(scene.now)
    scene.feed(event)
    return scene


def _reboot_ended() -> Scene:
    """The remembered lease ends before the cable is plugged in, or while nobody answers."""
    scene = Scene().start(cached(left=20.0), carrier=False)
    scene.wait(30.0)
    scene.feed(ev.LinkUp())
    return scene


def _probing_outlasted(carrier: bool) -> Scene:
    scene = _probing()
    if not carrier:
        scene.feed(ev.LinkDown())
    for jump in (5000.0, 5010.0, 5020.0):
        scene.at(START + jump)
    return scene


def _contradicted(scene: Scene) -> Scene:
    """The server says NAK, and then ACK."""
    if scene.state == "REBINDING":
        scene.until_sent()
    asked = scene.last
    scene.nak()
    scene.ack(to=asked)
    return scene


def _refused_once() -> Scene:
    scene = SITUATIONS["REQUESTING"]()
    scene.nak()
    scene.offer()
    scene.until_state("REQUESTING")
    return scene


ROWS: dict[tuple[str, str, str], Callable[[], Scene]] = {
    ("INIT", "SELECTING", "start: DISCOVER"): lambda: Scene().start(),
    ("INIT", "INIT-REBOOT", "start: a valid lease is remembered, no carrier"): SITUATIONS["INIT-REBOOT"],
    ("INIT", "REBOOTING", "start: a valid lease is remembered"): SITUATIONS["REBOOTING"],
    ("INIT", "BOUND", "start: the remembered lease is on the link"): lambda: Scene().start(cached(on_link=True)),
    ("INIT", "INIT", "start: DISCOVER"): SITUATIONS["INIT"],
    ("INIT", "INIT", "the held lease ended"): lambda: _after("INIT, holding a lease", _expire),
    ("INIT", "INIT", "the held address belongs to somebody else"):
        lambda: _after("INIT, holding a lease", Scene.contest),
    ("INIT-REBOOT", "REBOOTING", "carrier up"): lambda: _then("INIT-REBOOT", ev.LinkUp()),
    ("INIT-REBOOT", "SELECTING", "the remembered lease ended"): _reboot_ended,
    ("REBOOTING", "INIT-REBOOT", "carrier lost"): lambda: _then("REBOOTING", ev.LinkDown()),
    ("REBOOTING", "BOUND", "ACK"): lambda: _after("REBOOTING", Scene.ack),
    ("REBOOTING", "PROBING", "ACK, strict conflict detection"): lambda: _strict(Scene(acd="strict").start(cached())),
    ("REBOOTING", "RENEWING", "no answer: the lease is still ours"): lambda: _reboot(3000.0),
    ("REBOOTING", "REBINDING", "no answer: the lease is still ours"): lambda: _reboot(100.0),
    ("REBOOTING", "SELECTING", "NAK"): lambda: _after("REBOOTING", Scene.nak),
    ("REBOOTING", "SELECTING", "NAK of another server, and no ACK"): _foreign_nak_in_rebooting,
    ("REBOOTING", "SELECTING", "the remembered lease ended"): lambda: _reboot(2.0),
    **{
        ("SELECTING", state, "ACK of the server that has just said NAK"):
            lambda state=state: _contradicted(SITUATIONS[state]())
        for state in ("REQUESTING", "RENEWING", "REBINDING")
    },
    ("INIT", "REQUESTING", "ACK of the server that has just said NAK"): lambda: _contradicted(_refused_once()),
    ("SELECTING", "REQUESTING", "OFFER chosen"): SITUATIONS["REQUESTING"],
    ("SELECTING", "BOUND", "ACK, rapid commit"):
        lambda: _strict(Scene(rapid_commit=True).start(), lambda s: s.ack(more={opt.RAPID_COMMIT: b""})),
    ("SELECTING", "PROBING", "ACK, strict conflict detection"):
        lambda: _strict(Scene(rapid_commit=True, acd="strict").start(), lambda s: s.ack(more={opt.RAPID_COMMIT: b""})),
    ("SELECTING", "INIT", "carrier lost"): lambda: _then("SELECTING", ev.LinkDown()),
    ("SELECTING", "SELECTING", "the held lease ended"): lambda: _after("SELECTING, holding a lease", _expire),
    ("SELECTING", "SELECTING", "the held address belongs to somebody else"):
        lambda: _after("SELECTING, holding a lease", Scene.contest),
    ("REQUESTING", "BOUND", "ACK"): SITUATIONS["BOUND"],
    ("REQUESTING", "PROBING", "ACK, strict conflict detection"): SITUATIONS["PROBING"],
    ("REQUESTING", "INIT", "ACK of an address that somebody else has: DECLINE"): _claimed_while_requesting,
    ("REQUESTING", "INIT", "NAK"): _second_nak,
    ("REQUESTING", "SELECTING", "NAK"): lambda: _after("REQUESTING", Scene.nak),
    ("REQUESTING", "SELECTING", "no answer"): lambda: _after("REQUESTING", lambda s: s.wait(10.0)),
    ("REQUESTING", "INIT", "carrier lost"): lambda: _then("REQUESTING", ev.LinkDown()),
    ("REQUESTING", "REQUESTING", "the held lease ended"): lambda: _after("REQUESTING, holding a lease", _expire),
    ("REQUESTING", "REQUESTING", "the held address belongs to somebody else"):
        lambda: _after("REQUESTING, holding a lease", Scene.contest),
    ("PROBING", "BOUND", "nobody else has the address"): lambda: _after("PROBING", lambda s: s.wait(10.0)),
    ("PROBING", "INIT", "somebody else has the address: DECLINE"):
        lambda: _then("PROBING", ev.AddressConflict(OURS, CLAIMANT)),
    ("PROBING", "SELECTING", "the lease ended while probing"): lambda: _probing_outlasted(True),
    ("PROBING", "INIT", "the lease ended while probing"): lambda: _probing_outlasted(False),
    ("PROBING", "PROBING", "the held lease ended"): lambda: _after("PROBING, holding a lease", _expire),
    ("PROBING", "PROBING", "the held address belongs to somebody else"):
        lambda: _after("PROBING, holding a lease", Scene.contest),
    ("BOUND", "RENEWING", "T1"): SITUATIONS["RENEWING"],
    ("BOUND", "REBINDING", "T2"): lambda: _after("BOUND", lambda s: s.at(s.lease.t2_at)),
    ("BOUND", "RENEWING", "T1 is far away: a check, once a day"):
        lambda: _strict(Scene().bound(lease=0xFFFFFFFF), lambda s: s.until_state("RENEWING")),
    ("BOUND", "RENEWING", "carrier up"): SITUATIONS["RENEWING, nothing sent"],
    ("BOUND", "REBINDING", "carrier up"): lambda: _late(ev.LinkUp()),
    ("BOUND", "RENEWING", "resumed"): lambda: _then("BOUND", ev.TimeJumped(1.0, "suspend")),
    ("BOUND", "REBINDING", "resumed"): lambda: _late(ev.TimeJumped(1.0, "suspend")),
    ("BOUND", "RENEWING", "operator"): lambda: _then("BOUND", ev.Renew()),
    ("BOUND", "REBINDING", "operator"): lambda: _then("BOUND", ev.Rebind()),
    ("BOUND", "INIT", "somebody else has the address: DECLINE"):
        lambda: _after("BOUND", Scene.contest),
    ("BOUND", "SELECTING", "the lease ended"): lambda: _after("BOUND", _expire),
    ("BOUND", "INIT", "the lease ended"): lambda: _without_carrier("BOUND", _expire),
    ("RENEWING", "BOUND", "ACK"): lambda: _after("RENEWING", Scene.ack),
    ("RENEWING", "BOUND", "no answer, and T1 has not come"):
        lambda: _after("RENEWING, nothing sent", lambda s: s.wait(30.0)),
    ("RENEWING", "REBINDING", "T2"): SITUATIONS["REBINDING"],
    ("RENEWING", "REBINDING", "operator"): lambda: _then("RENEWING", ev.Rebind()),
    ("RENEWING", "SELECTING", "NAK"): SITUATIONS["SELECTING, holding a lease"],
    ("RENEWING", "INIT", "NAK"): lambda: _without_carrier("RENEWING", Scene.nak),
    ("RENEWING", "INIT", "somebody else has the address: DECLINE"): lambda: _claimed_while_renewing("RENEWING"),
    ("RENEWING", "PROBING", "ACK, strict conflict detection"): SITUATIONS["PROBING, holding a lease"],
    ("RENEWING", "SELECTING", "the lease ended"): lambda: _after("RENEWING", _expire),
    ("RENEWING", "INIT", "the lease ended"): lambda: _without_carrier("RENEWING", _expire),
    ("REBINDING", "BOUND", "ACK"): lambda: _after("REBINDING", lambda s: (s.until_sent(), s.ack())),
    ("REBINDING", "BOUND", "no answer, and T1 has not come"):
        lambda: _strict(_then("BOUND", ev.Rebind()), lambda s: s.wait(30.0)),
    ("REBINDING", "SELECTING", "NAK"): lambda: _after("REBINDING", lambda s: (s.until_sent(), s.nak())),
    ("REBINDING", "INIT", "NAK"): lambda: _without_carrier("REBINDING", lambda s: (s.until_sent(), s.nak())),
    ("REBINDING", "INIT", "somebody else has the address: DECLINE"): lambda: _claimed_while_renewing("REBINDING"),
    ("REBINDING", "PROBING", "ACK, strict conflict detection"):
        lambda: _strict(Scene(acd="strict").rebinding(), lambda s: (s.until_sent(), s.ack(address=OTHER))),
    ("REBINDING", "SELECTING", "the lease ended"): lambda: _after("REBINDING", _expire),
    ("REBINDING", "INIT", "the lease ended"): lambda: _without_carrier("REBINDING", _expire),
    ("REBOOTING", "SELECTING", "another gateway answers: another network"):
        lambda: _after("REBOOTING, gateway asked", lambda s: (s.gateway(CLAIMANT), s.wait(2.0))),
    ("REBOOTING", "PROBING", "no answer, strict conflict detection"): _remembered,
    ("REBOOTING", "REBOOTING", "restored"): lambda: _then("REBOOTING", ev.Restored(7, "a copy")),
    ("REBOOTING", "INIT", "the network is IPv6-only"):
        lambda: _strict(Scene(request_list=(opt.IPV6_ONLY,)).start(cached()),
                        lambda s: s.ack(more={opt.IPV6_ONLY: bytes(4)})),
    ("SELECTING", "INIT", "the network is IPv6-only"): _ipv6_only,
    ("SELECTING", "SELECTING", "restored"): lambda: _then("SELECTING", ev.Restored(7, "a copy")),
    ("REQUESTING", "SELECTING", "restored"): lambda: _then("REQUESTING", ev.Restored(7, "a copy")),
    ("BOUND", "RENEWING", "restored"): lambda: _then("BOUND", ev.Restored(7, "a copy")),
    ("BOUND", "REBINDING", "restored"): lambda: _late(ev.Restored(7, "a copy")),
    ("PROBING", "RENEWING", "nobody else has the address"):
        lambda: _after("PROBING, remembered", lambda s: s.wait(10.0)),
    ("PROBING", "REBINDING", "nobody else has the address"):
        lambda: _strict(_remembered(left=100.0), lambda s: s.wait(10.0)),
    ("BOUND", "SELECTING", "the lease ended, its address is held"): _held,
    ("RENEWING", "SELECTING", "the lease ended, its address is held"): lambda: _held_from("RENEWING"),
    ("REBINDING", "SELECTING", "the lease ended, its address is held"): lambda: _held_from("REBINDING"),
    **{(name, name, "the lease ended, its address is held"):
       (lambda name=name: _ends_while(name, acd="strict" if name == "PROBING" else "off"))  # type: ignore[misc]
       for name in ("INIT", "SELECTING", "REQUESTING", "PROBING")},
    **{(name, name, "the gateway answers: the address is held on"):
       (lambda name=name: _strict(_ends_while(name, acd="strict" if name == "PROBING" else "off"), Scene.gateway))  # type: ignore[misc]
       for name in ("SELECTING", "REQUESTING", "PROBING")},
    ("INIT", "INIT", "the gateway answers: the address is held on"): _held_while_waiting,
    **{(name, "STOPPED", on): (lambda name=name, event=event: _then(name, event))  # type: ignore[misc]
       for name in ("INIT", "INIT-REBOOT", "REBOOTING", "SELECTING", "REQUESTING", "PROBING", "BOUND", "RENEWING",
                    "REBINDING")
       for on, event in (("stop", ev.Stop()), ("release", ev.Release()))},
    ("STOPPED", "SELECTING", "operator"): lambda: _then("STOPPED, released", ev.Renew()),
    ("STOPPED", "INIT", "operator"): lambda: _then("STOPPED, released", ev.LinkDown(), ev.Renew()),
}


@pytest.fixture
def entered(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """Every use of the gate, self-transitions included."""
    seen: list[tuple[str, str, str]] = []
    real = Machine.enter

    def enter(
        self: Machine, state: State, on: Reason | None, now: float, why: act.DeconfigureReason | None = None,
        *, found: Lease | None = None,
    ) -> None:
        if on is not None:
            seen.append((name_of(self.state), name_of(state), on.value))
        real(self, state, on, now, why, found=found)

    monkeypatch.setattr(Machine, "enter", enter)
    return seen


@pytest.mark.parametrize(
    "row", [(was, to, on.value) for was, to, on in TRANSITIONS], ids=lambda row: f"{row[0]} to {row[1]} on {row[2]}"
)
def test_every_transition_happens(row: tuple[str, str, str], entered: list[tuple[str, str, str]]) -> None:
    ROWS[row]()
    assert row in entered


def test_the_table_lists_each_transition_once() -> None:
    assert len(TRANSITIONS) == len(set(TRANSITIONS)) == len(ROWS)
