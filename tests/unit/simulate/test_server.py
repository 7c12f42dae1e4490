"""The model server: what it answers (RFC 2131 section 4.3), how fast, and what it forgets."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from holdfast.wire import message as msg
from holdfast.wire.message import ANY, Message
from holdfast_lab.simulate.scenario import Outage, Scenario
from holdfast_lab.simulate.server import Server, chaddr_of

OWN = IPv4Address("192.0.2.1")
OTHER = IPv4Address("192.0.2.2")


def ask(kind: int, *, ciaddr: IPv4Address = ANY, server: IPv4Address | None = None) -> Message:
    options = {53: bytes((kind,))}
    if server is not None:
        options[54] = server.packed
    return Message(1, 77, ciaddr=ciaddr, chaddr=chaddr_of(3), options=options)


def server(**how: object) -> Server:
    return Server(Scenario(clients=10, span=1000.0, boot_within=1.0, **how), 1)  # type: ignore[arg-type]


def kind_of(answer: tuple[float, Message] | None) -> int | None:
    return None if answer is None else answer[1].message_type


def test_an_exchange() -> None:
    chosen = server(lease=600.0)
    answer = chosen.receive(3, ask(msg.DISCOVER), 1.0, unicast=False)
    assert answer is not None
    at, offer = answer
    assert (at, offer.message_type, offer.xid, offer.chaddr) == (1.0, msg.OFFER, 77, chaddr_of(3))
    assert (offer.server_id, offer.lease_time) == (OWN, 600)
    assert not chosen.known[3]
    assert kind_of(chosen.receive(3, ask(msg.REQUEST, server=OTHER), 2.0, unicast=False)) is None
    assert kind_of(chosen.receive(3, ask(msg.REQUEST, server=OWN), 2.0, unicast=False)) == msg.ACK
    assert chosen.known[3]
    assert kind_of(chosen.receive(3, ask(msg.REQUEST, ciaddr=offer.yiaddr), 300.0, unicast=True)) == msg.ACK
    assert list(chosen.arrivals[:3]) == [0, 1, 2]


def test_every_client_has_an_address_of_its_own() -> None:
    chosen = server()
    offers = [chosen.receive(index, ask(msg.DISCOVER), 1.0, unicast=False) for index in range(10)]
    assert len({answer[1].yiaddr for answer in offers if answer is not None}) == 10


@pytest.mark.parametrize(("naks", "answer"), [(False, None), (True, msg.NAK)])
def test_what_it_does_not_know_is_refused_or_ignored(naks: bool, answer: int | None) -> None:
    chosen = server(outage=Outage(10.0, 5.0, forgets=True, naks=naks))
    chosen.receive(3, ask(msg.REQUEST, server=OWN), 1.0, unicast=False)
    renewal = ask(msg.REQUEST, ciaddr=IPv4Address("10.0.0.13"))
    assert kind_of(chosen.receive(3, renewal, 2.0, unicast=True)) == msg.ACK
    assert kind_of(chosen.receive(3, renewal, 12.0, unicast=True)) is None  # away
    chosen.restart(knows=None)
    assert kind_of(chosen.receive(3, renewal, 16.0, unicast=True)) == answer


def test_a_database_on_disk_survives() -> None:
    chosen = server(outage=Outage(10.0, 5.0))
    chosen.receive(3, ask(msg.REQUEST, server=OWN), 1.0, unicast=False)
    chosen.restart(knows=chosen.known)
    assert kind_of(chosen.receive(3, ask(msg.REQUEST, ciaddr=IPv4Address("10.0.0.13")), 16.0, unicast=True)) == msg.ACK


def test_a_deaf_server_is_reached_but_does_not_hear() -> None:
    chosen = server(deaf=True)
    assert chosen.receive(3, ask(msg.DISCOVER), 1.0, unicast=True) is None
    assert kind_of(chosen.receive(3, ask(msg.DISCOVER), 1.0, unicast=False)) == msg.OFFER
    assert chosen.arrivals[1] == 2


def test_messages_are_read_one_by_one_and_the_queue_is_finite() -> None:
    chosen = server(capacity=10.0, queue=2)
    answers = [chosen.receive(3, ask(msg.DISCOVER), 1.0, unicast=False) for _ in range(5)]
    assert [answer[0] for answer in answers if answer is not None] == pytest.approx([1.1, 1.2, 1.3])
    assert chosen.overflowed == 2
    assert chosen.receive(3, ask(msg.DISCOVER), 1.15, unicast=False) is not None


def test_what_is_queued_when_it_goes_down_is_lost() -> None:
    chosen = server(capacity=1.0, outage=Outage(10.0, 5.0))
    assert chosen.receive(3, ask(msg.DISCOVER), 8.0, unicast=False) is not None
    assert chosen.receive(3, ask(msg.DISCOVER), 9.5, unicast=False) is None
    chosen.restart(knows=chosen.known)
    answer = chosen.receive(3, ask(msg.DISCOVER), 15.0, unicast=False)
    assert answer is not None
    assert answer[0] == 16.0
