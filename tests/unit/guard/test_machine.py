"""The guard's rules, on the virtual clock."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from tests.support.guarded import FOREVER, LEASE, MAC, OTHER, OURS, SERVER, Scene

from holdfast.core.outcome import Via
from holdfast.guard.actions import Verdict
from holdfast.guard.events import Seen, Sent
from holdfast.wire import message as m
from holdfast.wire import options as opt


def test_an_answered_renewal_that_the_kernel_shows_is_renewed() -> None:
    scene = Scene().bound()
    scene.send()
    scene.sleep(0.01)
    scene.reply()
    scene.configured()
    record, = scene.records
    assert (record.verdict, record.taken, record.rebroadcasts) == (Verdict.RENEWED, True, 0)
    assert record.outcome.latency == pytest.approx(0.01)
    assert record.outcome.seconds_left == pytest.approx(LEASE / 2 - 0.01)
    assert (record.outcome.server, record.outcome.via) == (SERVER, Via.UNICAST)
    assert scene.repeats == []


def test_the_kernel_may_tell_before_the_packet_socket_does() -> None:
    scene = Scene().bound()
    scene.send()
    scene.configured()
    scene.reply()
    assert [record.verdict for record in scene.records] == [Verdict.RENEWED]


def test_an_ack_that_is_not_taken_is_an_outcome_of_its_own() -> None:
    scene = Scene().bound()
    scene.send()
    scene.reply()
    scene.sleep(10)
    record, = scene.records
    assert (record.verdict, record.taken) == (Verdict.IGNORED, False)
    assert "ignored" in record.outcome.cause


def test_without_a_lifetime_the_next_request_tells() -> None:
    scene = Scene("udhcpc").bound(FOREVER)
    scene.send()
    scene.reply()
    scene.sleep(LEASE / 2)
    assert [(record.verdict, record.taken) for record in scene.records] == [(Verdict.ANSWERED, None)]
    scene.send(xid=2)
    scene.reply(xid=2)
    scene.sleep(9)
    assert scene.records[1].former_taken is True
    scene.sleep(2)
    scene.send(xid=3)
    scene.reply(xid=3)
    scene.sleep(9)
    assert scene.records[2].former_taken is False


def test_a_lease_file_that_moved_proves_what_a_lifetime_does_not() -> None:
    scene = Scene("dhclient").bound(FOREVER)
    scene.send()
    scene.reply()
    scene.sleep(7.9)
    scene.now += 0.1
    scene.stored(ago=8.0)  # told at the instant at which it is judged
    assert [(record.verdict, record.taken) for record in scene.records] == [(Verdict.RENEWED, True)]


def test_a_lease_file_that_did_not_move_proves_nothing() -> None:
    scene = Scene("dhclient").bound(FOREVER)
    scene.send()
    scene.reply()
    scene.sleep(7.9)
    scene.stored(ago=LEASE / 2 + 8)
    scene.sleep(1)
    assert [(record.verdict, record.taken) for record in scene.records] == [(Verdict.ANSWERED, None)]


def test_the_lease_is_known_from_the_clients_file() -> None:
    scene = Scene("dhclient")
    scene.configured(LEASE - 20)
    scene.stored(ago=20.0)
    scene.sleep(10)
    scene.send()
    scene.sleep(60)
    record, = scene.records
    assert (record.verdict, record.outcome.server, record.outcome.former_address) == (Verdict.EXPIRED, SERVER, OURS)
    assert record.outcome.ended_at == pytest.approx(1000 + LEASE - 20)


def test_the_lease_is_known_from_the_kernel_where_no_file_tells() -> None:
    scene = Scene("NetworkManager")
    scene.configured(LEASE)
    scene.sleep(LEASE + 1)
    assert scene.notices == ["client-silent"]
    assert [record.verdict for record in scene.records] == [Verdict.EXPIRED]


def test_an_address_that_ends_is_no_lease_where_no_client_is_known() -> None:
    scene = Scene("unknown")
    scene.configured(LEASE)
    scene.sleep(LEASE + 1)
    assert scene.actions == []


def test_a_renewal_that_was_not_seen_is_no_silence() -> None:
    scene = Scene("NetworkManager").bound()
    scene.sleep(5)
    scene.configured()
    scene.sleep(LEASE * 0.8)
    assert scene.notices == []


def test_a_file_of_another_address_is_not_this_interfaces() -> None:
    scene = Scene("dhclient")
    scene.stored()
    scene.sleep(LEASE * 2)
    assert scene.actions == []


@pytest.mark.parametrize(("client", "to", "verdict"), [
    ("networkd", SERVER, Verdict.RENEWED), ("dhclient", SERVER, Verdict.REFUSED),
    ("networkd", m.BROADCAST, Verdict.REFUSED),
])
def test_a_strangers_nak_refuses_whom_it_is_obeyed_by(client: str, to: IPv4Address, verdict: Verdict) -> None:
    scene = Scene(client).bound()
    scene.send(to=to)
    scene.reply(m.NAK, server=OTHER)
    scene.reply()
    scene.configured()
    assert scene.records[0].verdict is verdict
    assert scene.guard.others == (OTHER,)


@pytest.mark.parametrize(("client", "verdict"), [("udhcpc", Verdict.ACQUIRED), ("dhclient", Verdict.REFUSED)])
def test_a_strangers_nak_to_the_choice_of_another(client: str, verdict: Verdict) -> None:
    scene = Scene(client)
    request = m.Message(m.BOOTREQUEST, 9, chaddr=MAC,
                        options={opt.MESSAGE_TYPE: bytes([m.REQUEST]), opt.SERVER_ID: SERVER.packed})
    scene.feed(Sent(request, m.encode(request), m.ANY, m.BROADCAST, Seen.WIRE))
    scene.reply(m.NAK, xid=9, server=OTHER)
    scene.reply(xid=9)
    scene.configured()
    assert scene.records[0].verdict is verdict


def test_what_gave_the_lease_is_remembered() -> None:
    scene = Scene().bound()
    scene.send(xid=5)
    began = scene.now
    scene.reply(xid=5)
    scene.configured()
    heard = scene.guard.heard
    assert heard is not None
    assert (heard.request.xid, heard.ack.yiaddr, heard.at) == (5, OURS, began)


def test_an_unanswered_unicast_is_repeated_after_a_second() -> None:
    scene = Scene().bound()
    began = scene.now
    scene.send()
    scene.sleep(0.99)
    assert scene.repeats == []
    scene.sleep(20)
    (at, action), = scene.repeats
    assert at == pytest.approx(began + 1.0)
    assert action.source == OURS
    assert m.decode(action.payload).xid == 1


def test_the_second_try_comes_from_no_address() -> None:
    scene = Scene().bound()
    scene.send()
    scene.sleep(5)
    scene.send(secs=5)
    scene.sleep(5)
    assert [action.source for _, action in scene.repeats] == [OURS, m.ANY]


def test_without_leave_nothing_is_sent() -> None:
    scene = Scene(rebroadcast=False).bound()
    scene.send()
    scene.sleep(60)
    assert scene.repeats == []
    assert [record.verdict for record in scene.records] == [Verdict.EXPIRED]


@pytest.mark.parametrize("stopper", ["answer", "broadcast", "release", "discover", "refused", "removed"])
def test_what_ends_the_wait(stopper: str) -> None:
    scene = Scene().bound()
    scene.send()
    scene.sleep(0.5)
    {
        "answer": scene.reply,
        "broadcast": lambda: scene.send(to=m.BROADCAST),
        "release": lambda: scene.send(m.RELEASE),
        "discover": lambda: scene.send(m.DISCOVER, ciaddr=m.ANY, to=m.BROADCAST, xid=4),
        "refused": lambda: scene.reply(m.NAK),
        "removed": scene.removed,
    }[stopper]()
    scene.sleep(20)
    assert scene.repeats == []


def test_after_a_release_nothing_is_repeated_until_there_is_a_lease_again() -> None:
    scene = Scene().bound()
    scene.send(m.RELEASE)
    assert [record.verdict for record in scene.records] == [Verdict.RELEASED]
    scene.send(xid=5)
    scene.sleep(10)
    assert scene.repeats == []
    scene.acquire()
    scene.sleep(LEASE / 2)
    scene.send(xid=6)
    scene.sleep(2)
    assert len(scene.repeats) == 1


def test_nothing_is_repeated_beyond_the_lease() -> None:
    scene = Scene().bound()
    scene.sleep(LEASE / 2 - 0.5)
    scene.send()
    scene.sleep(20)
    assert scene.repeats == []
    assert [record.verdict for record in scene.records] == [Verdict.EXPIRED]


def test_a_message_that_is_too_old_is_not_repeated() -> None:
    scene = Scene().bound(LEASE)
    scene.send()
    scene.now += 26  # the machine was suspended
    scene.sleep(0)
    assert scene.repeats == []


def test_the_copy_on_the_wire_is_no_second_message() -> None:
    scene = Scene().bound()
    scene.send(seen=Seen.OUTPUT)
    scene.send(seen=Seen.WIRE)
    scene.sleep(10)
    assert len(scene.repeats) == 1
    scene.reply()
    scene.configured()
    assert (scene.records[0].outcome.attempts, scene.records[0].on_wire) == (1, True)


def test_a_message_that_never_reached_the_wire_is_repeated_and_told() -> None:
    scene = Scene().bound()
    scene.send(seen=Seen.OUTPUT)
    scene.sleep(1)
    scene.reply()
    scene.configured()
    assert len(scene.repeats) == 1
    record, = scene.records
    assert (record.on_wire, record.rebroadcasts, record.outcome.via) == (False, 1, Via.BROADCAST)


def test_answers_to_others_are_not_believed() -> None:
    scene = Scene().bound()
    scene.send()
    scene.reply(xid=77)
    scene.reply(chaddr=MAC[::-1])
    scene.sleep(2)
    assert len(scene.repeats) == 1


class TestDhclient:
    """It obeys anybody's NAK."""

    def test_after_a_broadcast_that_one_server_answered(self) -> None:
        scene = Scene("dhclient").bound()
        scene.send()
        scene.sleep(2)
        assert len(scene.repeats) == 1

    def test_not_before_any_broadcast_was_seen(self) -> None:
        scene = Scene("dhclient")
        scene.configured()
        scene.send()
        scene.sleep(2)
        assert scene.repeats == []
        assert scene.notices == ["not-repeated"]

    def test_not_where_another_server_was_seen(self) -> None:
        scene = Scene("dhclient").bound()
        scene.reply(m.OFFER, xid=77, server=OTHER)
        scene.send()
        scene.sleep(2)
        assert scene.repeats == []
        assert scene.notices == ["other-server", "not-repeated"]

    def test_not_where_another_was_seen_before_guard_was_restarted(self) -> None:
        scene = Scene("dhclient", others=(OTHER,)).bound()
        scene.send()
        scene.sleep(2)
        assert scene.repeats == []

    def test_an_unknown_client_is_like_it(self) -> None:
        scene = Scene("unknown")
        scene.configured()
        scene.send()
        scene.sleep(2)
        assert scene.repeats == []


def test_a_client_that_stopped_asking_is_told_before_its_lease_ends() -> None:
    scene = Scene().bound()
    scene.sleep(LEASE * 0.4 - 0.1)
    assert scene.notices == []
    scene.sleep(0.2)
    assert scene.notices == ["client-silent"]
    scene.sleep(20)
    assert [record.verdict for record in scene.records] == [Verdict.EXPIRED]


def test_an_ack_that_nobody_saw_does_not_end_the_lease() -> None:
    scene = Scene().bound()
    scene.configured()
    scene.sleep(40)
    assert [record.verdict for record in scene.records] == []


def test_a_refusal_names_the_server() -> None:
    scene = Scene("dhclient").bound()
    scene.send()
    scene.reply(m.NAK, server=OTHER)
    record, = scene.records
    assert (record.verdict, record.outcome.server, record.others) == (Verdict.REFUSED, OTHER, (OTHER,))


def test_a_stop_leaves_a_record_of_what_was_open() -> None:
    scene = Scene().bound()
    scene.send()
    scene.stop()
    assert [record.verdict for record in scene.records] == [Verdict.KEPT]
    assert scene.guard.next_deadline() is not None, "the lease's end"
