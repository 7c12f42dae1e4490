"""The simulator's server: what it answers (RFC 2131 section 4.3), how fast, and what it forgets."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from holdfast.wire import message as msg
from holdfast.wire import options as opt
from holdfast.wire.message import ANY, Message
from holdfast_lab.simulate.scenario import Outage, Scenario
from holdfast_lab.simulate.server import Pool, ScenarioServer, Server, chaddr_of

OWN = IPv4Address("192.0.2.1")
OTHER = IPv4Address("192.0.2.2")
ITS = IPv4Address("10.0.0.13")  # the address of client 3 of a fleet
POOL = [IPv4Address("192.0.2.100"), IPv4Address("192.0.2.101")]


def ask(
    kind: int, *, client: int = 3, ciaddr: IPv4Address = ANY, server: IPv4Address | None = None,
    wanted: IPv4Address | None = None, more: dict[int, bytes] | None = None,
) -> Message:
    options = {opt.MESSAGE_TYPE: bytes((kind,)), **(more or {})}
    for code, address in ((opt.SERVER_ID, server), (opt.REQUESTED_ADDRESS, wanted)):
        if address is not None:
            options[code] = address.packed
    return Message(1, 77, ciaddr=ciaddr, chaddr=chaddr_of(client), options=options)


def busy(**how: object) -> ScenarioServer:
    return ScenarioServer(Scenario(clients=10, span=1000.0, boot_within=1.0, **how), 1)  # type: ignore[arg-type]


def pooled(**how: object) -> Server[Pool]:
    return Server(OWN, Pool(list(POOL)), **how)  # type: ignore[arg-type]


def kind_of(answer: tuple[float, Message] | None) -> int | None:
    return None if answer is None else answer[1].message_type


def told(server: Server[Pool], message: Message, now: float = 1.0) -> Message:
    """What it answers, which it must."""
    answer = server.receive(message, now, unicast=False)
    assert answer is not None
    return answer[1]


def bound(server: Server[Pool], client: int = 3) -> IPv4Address:
    """The address of a client that has just got one."""
    address = told(server, ask(msg.DISCOVER, client=client)).yiaddr
    chosen = ask(msg.REQUEST, client=client, server=OWN, wanted=address)
    assert told(server, chosen).message_type == msg.ACK
    return address


def test_an_exchange() -> None:
    chosen = busy(lease=600.0)
    answer = chosen.receive(ask(msg.DISCOVER), 1.0, unicast=False)
    assert answer is not None
    at, offer = answer
    assert (at, offer.message_type, offer.xid, offer.chaddr) == (1.0, msg.OFFER, 77, chaddr_of(3))
    assert (offer.server_id, offer.lease_time, offer.yiaddr) == (OWN, 600, ITS)
    assert not chosen.leases.known[3]
    assert chosen.receive(ask(msg.REQUEST, server=OTHER, wanted=ITS), 2.0, unicast=False) is None
    assert kind_of(chosen.receive(ask(msg.REQUEST, server=OWN, wanted=ITS), 2.0, unicast=False)) == msg.ACK
    assert chosen.leases.known[3]
    assert kind_of(chosen.receive(ask(msg.REQUEST, ciaddr=ITS), 300.0, unicast=True)) == msg.ACK
    assert list(chosen.arrivals[:3]) == [0, 1, 2]


def test_every_client_has_an_address_of_its_own() -> None:
    chosen = busy()
    offers = [chosen.receive(ask(msg.DISCOVER, client=index), 1.0, unicast=False) for index in range(10)]
    assert len({answer[1].yiaddr for answer in offers if answer is not None}) == 10


@pytest.mark.parametrize(("naks", "answer"), [(False, None), (True, msg.NAK)])
def test_what_it_does_not_know_is_refused_or_ignored(naks: bool, answer: int | None) -> None:
    chosen = busy(outage=Outage(10.0, 5.0, forgets=True, naks=naks))
    chosen.receive(ask(msg.REQUEST, server=OWN, wanted=ITS), 1.0, unicast=False)
    renewal = ask(msg.REQUEST, ciaddr=ITS)
    assert kind_of(chosen.receive(renewal, 2.0, unicast=True)) == msg.ACK
    assert chosen.receive(renewal, 12.0, unicast=True) is None  # away
    chosen.restart()
    assert kind_of(chosen.receive(renewal, 16.0, unicast=True)) == answer


def test_a_database_on_disk_survives() -> None:
    chosen = busy(outage=Outage(10.0, 5.0))
    chosen.receive(ask(msg.REQUEST, server=OWN, wanted=ITS), 1.0, unicast=False)
    chosen.restart()
    assert kind_of(chosen.receive(ask(msg.REQUEST, ciaddr=ITS), 16.0, unicast=True)) == msg.ACK


def test_a_partner_is_told_of_each_lease() -> None:
    scenario = Scenario(clients=10, span=1000.0, boot_within=1.0, servers=2)
    first, second = ScenarioServer(scenario, 1), ScenarioServer(scenario, 2)
    first.partners = [second]
    first.receive(ask(msg.REQUEST, server=OWN, wanted=ITS), 1.0, unicast=False)
    assert kind_of(second.receive(ask(msg.REQUEST, ciaddr=ITS), 2.0, unicast=False)) == msg.ACK


def test_a_deaf_server_is_reached_but_does_not_hear() -> None:
    chosen = busy(deaf=True)
    assert chosen.receive(ask(msg.DISCOVER), 1.0, unicast=True) is None
    assert kind_of(chosen.receive(ask(msg.DISCOVER), 1.0, unicast=False)) == msg.OFFER
    assert chosen.arrivals[1] == 2


def test_messages_are_read_one_by_one_and_the_queue_is_finite() -> None:
    chosen = busy(capacity=10.0, queue=2)
    answers = [chosen.receive(ask(msg.DISCOVER), 1.0, unicast=False) for _ in range(5)]
    assert [answer[0] for answer in answers if answer is not None] == pytest.approx([1.1, 1.2, 1.3])
    assert chosen.overflowed == 2
    assert chosen.receive(ask(msg.DISCOVER), 1.15, unicast=False) is not None


def test_what_is_queued_when_it_goes_down_is_lost() -> None:
    chosen = busy(capacity=1.0, outage=Outage(10.0, 5.0))
    assert chosen.receive(ask(msg.DISCOVER), 8.0, unicast=False) is not None
    assert chosen.receive(ask(msg.DISCOVER), 9.5, unicast=False) is None
    chosen.restart()
    answer = chosen.receive(ask(msg.DISCOVER), 15.0, unicast=False)
    assert answer is not None
    assert answer[0] == 16.0


def test_two_clients_never_have_one_address() -> None:
    server = pooled()
    addresses = {bound(server, client) for client in (1, 2)}
    assert addresses == set(POOL)
    assert server.receive(ask(msg.DISCOVER, client=3), 100.0, unicast=False) is None, "all are taken"
    assert told(server, ask(msg.DISCOVER, client=3), 122.0).message_type == msg.OFFER, "leases have ended"


def test_what_is_declined_is_offered_to_nobody() -> None:
    server = pooled()
    address = bound(server)
    server.receive(ask(msg.DECLINE, wanted=address), 2.0, unicast=False)
    assert told(server, ask(msg.DISCOVER, wanted=address), 3.0).yiaddr != address


def test_what_is_released_is_free() -> None:
    server = pooled()
    addresses = [bound(server, client) for client in (1, 2)]
    server.receive(ask(msg.RELEASE, client=1, ciaddr=addresses[0]), 2.0, unicast=True)
    assert bound(server, 3) == addresses[0]


def test_a_choice_that_was_not_offered_is_refused() -> None:
    server = pooled()
    address = told(server, ask(msg.DISCOVER)).yiaddr
    other = next(one for one in POOL if one != address)
    assert told(server, ask(msg.REQUEST, server=OWN, wanted=other)).message_type == msg.NAK


@pytest.mark.parametrize(("habits", "wanted", "answer"), [
    ({}, POOL[0], msg.NAK),
    ({"authoritative": False}, POOL[0], None),
    ({"adopts": True}, POOL[0], msg.ACK),
    ({"adopts": True, "refuses": True}, POOL[0], msg.NAK),
    ({}, OTHER, None),
    ({"jealous": True}, OTHER, msg.NAK),
    ({"silent": True}, POOL[0], None),
    ({"only_any": True}, POOL[0], None),
])
def test_a_stranger_s_renewal(habits: dict[str, bool], wanted: IPv4Address, answer: int | None) -> None:
    renewal = ask(msg.REQUEST, ciaddr=wanted)
    assert kind_of(pooled(**habits).receive(renewal, 1.0, source=wanted, unicast=False)) == answer


@pytest.mark.parametrize(("habit", "kind"), [("refuses", msg.NAK), ("moves", msg.ACK)])
def test_a_renewal_that_is_not_simply_granted(habit: str, kind: int) -> None:
    server = pooled()
    address = bound(server)
    setattr(server, habit, True)
    answer = told(server, ask(msg.REQUEST, ciaddr=address), 60.0)
    assert answer.message_type == kind
    assert answer.yiaddr != address


def test_the_options_follow_the_habits() -> None:
    server = pooled(times=(10, 20), rapid=True)
    asking = {opt.PARAMETER_REQUEST_LIST: bytes((opt.IPV6_ONLY,)), opt.CLIENT_ID: b"\1abc"}
    plain = told(server, ask(msg.DISCOVER, more=asking))
    assert (plain.server_id, plain.client_id, plain.renewal_time, plain.rebinding_time) == (OWN, b"\1abc", 10, 20)
    assert opt.IPV6_ONLY not in plain.options
    server.ipv6_only = server.nameless = True
    rapid = told(server, ask(msg.DISCOVER, more={**asking, opt.RAPID_COMMIT: b""}))
    assert (rapid.message_type, rapid.server_id) == (msg.ACK, None)
    assert {opt.IPV6_ONLY, opt.RAPID_COMMIT} <= set(rapid.options)


def test_a_client_is_known_by_its_client_id() -> None:
    server, named = pooled(), {opt.CLIENT_ID: b"\1abc"}
    address = told(server, ask(msg.DISCOVER, client=1, more=named)).yiaddr
    assert told(server, ask(msg.DISCOVER, client=2, more=named)).yiaddr == address
    assert told(server, ask(msg.DISCOVER, client=2)).yiaddr != address
