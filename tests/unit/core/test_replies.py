"""What is accepted, and how an ACK becomes a lease."""

from __future__ import annotations

from ipaddress import IPv4Address
from math import inf
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import strategies as _profile  # noqa: F401 - the same examples in every run
from tests.support.scene import CLAIMANT, CLIENT_ID, MAC, OTHER, OURS, SERVER, STRANGE_SERVER, Scene

from holdfast.core import events as ev
from holdfast.core import replies
from holdfast.core.actions import DropReason, NoticeCode
from holdfast.core.config import ClientConfig
from holdfast.core.outcome import Result, Via
from holdfast.wire import message as msg
from holdfast.wire import options as opt
from holdfast.wire.message import Message

CONFIG = ClientConfig(chaddr=MAC, client_id=CLIENT_ID)
XID = 7
GOOD = Message(op=msg.BOOTREPLY, xid=XID, chaddr=MAC, yiaddr=OURS, options={opt.MESSAGE_TYPE: b"\5"})


def typed(kind: int, **more: bytes) -> dict[int, bytes]:
    return {opt.MESSAGE_TYPE: bytes((kind,))}


@pytest.mark.parametrize(("message", "reason"), [
    (GOOD, None),
    (GOOD._replace(op=msg.BOOTREQUEST), DropReason.NOT_A_REPLY),
    (GOOD._replace(op=3), DropReason.NOT_A_REPLY),
    (GOOD._replace(htype=6), DropReason.HARDWARE_TYPE),
    (GOOD._replace(chaddr=MAC[:5]), DropReason.HARDWARE_TYPE),
    (GOOD._replace(chaddr=MAC[::-1]), DropReason.HARDWARE_ADDRESS),
    (GOOD._replace(options={}), DropReason.NO_MESSAGE_TYPE),
    (GOOD._replace(options={opt.MESSAGE_TYPE: b"\5\5"}), DropReason.NO_MESSAGE_TYPE),
    (GOOD._replace(xid=8), DropReason.XID),
    (GOOD._replace(options=typed(msg.DISCOVER)), DropReason.MESSAGE_TYPE),
    (GOOD._replace(options=typed(99)), DropReason.MESSAGE_TYPE),
    (GOOD._replace(options=typed(msg.FORCERENEW)), DropReason.FORCERENEW),  # rule 72
    (GOOD._replace(options=typed(msg.FORCERENEW), xid=8), DropReason.FORCERENEW),
    (GOOD._replace(options={**typed(msg.ACK), opt.CLIENT_ID: b"\x01other"}), DropReason.CLIENT_ID),
    (GOOD._replace(options={**typed(msg.ACK), opt.CLIENT_ID: CLIENT_ID}), None),
    (GOOD._replace(options={**typed(msg.ACK), opt.CLIENT_ID: CLIENT_ID[1:]}), None),
    (GOOD._replace(options={**typed(msg.ACK), opt.CLIENT_ID: CLIENT_ID[2:]}), DropReason.CLIENT_ID),
], ids=str)
def test_each_fault_has_its_reason(message: Message, reason: DropReason | None) -> None:
    # rules 15, 16, 72
    assert replies.refusal(message, CONFIG, (1, XID)) is reason


def test_who_sends_no_client_id_does_not_judge_the_echo() -> None:
    # rule 16
    echo = GOOD._replace(options={**typed(msg.ACK), opt.CLIENT_ID: b"\x01other"})
    assert replies.refusal(echo, CONFIG._replace(client_id=None), (XID,)) is None


def test_drops_are_counted_by_reason() -> None:
    # rule 15
    scene = Scene().requesting()
    scene.ack(xid=1)
    scene.ack(xid=2)
    scene.ack(op=msg.BOOTREQUEST)
    assert scene.client.snapshot().drops == {"xid": 2, "not-a-reply": 1}


@pytest.mark.parametrize("text", ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"])
def test_no_interface_can_have_such_an_address(text: str) -> None:
    address = IPv4Address(text)
    assert not replies.usable_address(address)
    scene = Scene().start()
    scene.offer(address=address)
    assert scene.state == "SELECTING"
    assert scene.client.snapshot().drops == {"no-address": 1}
    scene.offer()
    scene.ack(address=address)
    assert scene.state == "REQUESTING"
    assert scene.client.snapshot().drops == {"no-address": 2}


def test_an_offer_without_a_time_is_dropped() -> None:
    scene = Scene().start()
    scene.offer(lease=None)
    assert scene.client.snapshot().drops == {"no-lease-time": 1}
    assert scene.state == "SELECTING"


#: Option 54 that no packet can be sent to: 0.0.0.0, broadcast, multicast, loopback, and the address that is offered.
NAMES_OF_NOBODY = ["0.0.0.0", "255.255.255.255", "224.0.0.1", "127.0.0.1", str(OURS)]


@pytest.mark.parametrize("name", NAMES_OF_NOBODY)
def test_a_server_that_cannot_be_sent_to_is_echoed_bound_and_renewed_by_broadcast(name: str) -> None:
    # rules 21, 78
    server = IPv4Address(name)
    scene = Scene().requesting(server=server)
    assert scene.last.message.options[opt.SERVER_ID] == server.packed
    scene.ack(server=server)
    assert (scene.state, scene.lease.server_id) == ("BOUND", None)
    scene.applied().until_state("RENEWING")
    assert (scene.last.via, scene.last.destination) == (Via.BROADCAST, msg.BROADCAST)
    assert opt.SERVER_ID not in scene.last.message.options  # rule 4
    scene.ack(server=server)
    assert scene.state == "BOUND"
    scene.feed(ev.Release())
    assert (scene.last.via, scene.last.source, scene.last.destination) == (Via.BROADCAST, OURS, msg.BROADCAST)
    assert scene.last.message.options[opt.SERVER_ID] == server.packed


@pytest.mark.parametrize("name", NAMES_OF_NOBODY)
def test_such_a_server_may_refuse_what_it_offered_and_is_named_in_a_decline(name: str) -> None:
    # rules 24, 78
    server = IPv4Address(name)
    scene = Scene().requesting(server=server)
    scene.nak(server=None)
    scene.nak()
    assert scene.state == "REQUESTING"
    scene.feed(ev.AddressConflict(OURS, CLAIMANT))
    scene.ack(server=server)
    assert scene.last.message.message_type == msg.DECLINE
    assert scene.last.message.options[opt.SERVER_ID] == server.packed
    scene.until_sent()  # the next DISCOVER
    scene.offer(server=server)
    scene.nak(server=server)
    assert scene.state in {"SELECTING", "INIT"}
    assert scene.outcomes[-1].result is Result.REFUSED


@pytest.mark.parametrize("value", [None, b"", b"\1\2\3"])
def test_an_offer_that_names_no_server_is_taken_without_a_name(value: bytes | None) -> None:
    # rules 21, 78
    scene = Scene().requesting(server=None, more={} if value is None else {opt.SERVER_ID: value})
    assert opt.SERVER_ID not in scene.last.message.options
    scene.ack(server=None)
    assert (scene.state, scene.lease.server_id) == ("BOUND", None)


def read(*, sent_at: float = 100.0, now: float = 101.0, fallback: float | None = None, **times: int | None) -> Any:
    """An ACK with these times, as a lease."""
    codes = {"lease": opt.LEASE_TIME, "t1": opt.RENEWAL_TIME, "t2": opt.REBINDING_TIME}
    options = {codes[name]: value.to_bytes(4, "big") for name, value in times.items() if value is not None}
    ack = GOOD._replace(options={**GOOD.options, **options, opt.SERVER_ID: SERVER.packed})
    return replies.read_ack(ack, sent_at=sent_at, now=now, fallback_time=fallback, rng=Random(0))


def test_a_lease_counts_from_the_first_send_of_its_request() -> None:
    # rule 31
    lease = read(lease=1000, sent_at=100.0, now=140.0).lease
    assert (lease.started_at, lease.t2_at, lease.expires_at) == (100.0, 975.0, 1100.0)
    assert 100.0 + 400.0 <= lease.t1_at <= 100.0 + 500.0


def test_a_request_sent_three_times_dates_the_lease_by_the_first() -> None:
    # rule 31
    scene = Scene().requesting()
    asked = scene.now
    scene.until_sent(2)
    scene.ack(lease=100)
    assert scene.now > asked
    assert scene.lease.expires_at == asked + 100.0


HUGE = 0xFFFFFFFF


@pytest.mark.parametrize(("lease", "t1", "t2", "expected", "corrected"), [
    (1000, None, None, (500, 875), False),
    (1000, 300, 800, (300, 800), False),
    (1000, 0, 800, (800 * 4 / 7, 800), True),
    (1000, 300, 0, (300, 875), True),
    (1000, 300, 1000, (300, 875), True),
    (1000, 800, 300, (300 * 4 / 7, 300), True),
    (1000, 800, 800, (800 * 4 / 7, 800), True),
    (1000, HUGE, HUGE, (500, 875), True),
    (1000, 900, None, (900, 950), False),  # beyond the default T2, which moves
    (1000, 1000, None, (500, 875), True),
    (1000, None, 100, (100 * 4 / 7, 100), False),
    (86400, 1, None, (10, 75600), True),  # no renewal every second, all day
    (86400, 1, 2, (10, 17.5), True),
    (86400, None, 3, (10, 17.5), True),
    (86400, 10, 20, (10, 20), False),
    (600, 1, 300, (6, 300), True),
    (10, 1, 2, (1, 2), False),  # what is short is renewed often
    (inf, HUGE, HUGE, (inf, inf), False),
    (inf, 300, 800, (inf, inf), False),
])
def test_t1_and_t2_are_what_can_hold(
    lease: float, t1: int | None, t2: int | None, expected: tuple[float, float], corrected: bool
) -> None:
    # rules 30, 32
    first, second, words = replies.normal_times(lease, t1, t2)
    assert (first, second) == pytest.approx(expected)
    assert bool(words) is corrected


@given(
    lease=st.integers(10, HUGE - 1), t1=st.none() | st.integers(0, HUGE), t2=st.none() | st.integers(0, HUGE)
)
def test_t1_is_before_t2_and_t2_before_the_end(lease: int, t1: int | None, t2: int | None) -> None:
    # rule 30
    first, second, _ = replies.normal_times(float(lease), t1, t2)
    assert 0 < first < second < lease


def test_what_was_corrected_is_told() -> None:
    # rule 30
    scene = Scene().bound(lease=1000, t1=HUGE, t2=800)
    assert NoticeCode.TIMES_CORRECTED in scene.notices
    assert "infinite" in replies.normal_times(1000.0, HUGE, None)[2]


def test_an_infinite_lease_has_no_timers() -> None:
    # rule 32
    scene = Scene().bound(lease=HUGE, t1=HUGE, t2=HUGE)
    lease = scene.lease
    assert lease.infinite
    assert lease.t1_at == lease.t2_at == lease.expires_at == lease.lease_time == inf
    scene.wait(60.0)
    due = scene.client.next_deadline()
    assert due is not None
    assert 80000.0 < due - scene.now < 100000.0, "the daily check alone (rule 85)"


@pytest.mark.parametrize("seconds", [0, 1, 9])
def test_a_tiny_lease_is_taken_as_ten_seconds(seconds: int) -> None:
    # rule 33
    scene = Scene().bound(lease=seconds)
    assert scene.lease.lease_time == 10.0
    assert NoticeCode.LEASE_CLAMPED in scene.notices
    sent = len(scene.sent)
    scene.wait(9.0)
    assert len(scene.sent) - sent <= 8


@pytest.mark.parametrize(("fallback", "time"), [(600.0, 600.0), (inf, inf)])
def test_without_option_51_the_former_time_goes_on(fallback: float, time: float) -> None:
    # rule 20
    assert read(fallback=fallback).lease.lease_time == time


def test_without_option_51_and_without_a_former_time_there_is_no_lease() -> None:
    # rule 20
    assert read().refusal is DropReason.NO_LEASE_TIME


@pytest.mark.parametrize(("default", "time"), [(600.0, 600.0), (inf, inf)])
def test_a_server_that_says_no_time_may_have_one_by_the_settings(default: float, time: float) -> None:
    # rule 20
    scene = Scene(default_lease_time=default).start()
    scene.offer(lease=None)
    assert scene.state == "REQUESTING"
    scene.ack(lease=None)
    assert scene.lease.lease_time == time


def test_the_default_time_is_not_that_of_a_server_that_says_one() -> None:
    assert Scene(default_lease_time=600.0).bound(lease=900).lease.lease_time == 900.0


@pytest.mark.parametrize(("limit", "said", "time"), [
    (300.0, 3600, 300.0), (3600.0, 300, 300.0), (300.0, 0xFFFFFFFF, 300.0),
])
def test_a_lease_is_used_no_longer_than_the_settings_say(limit: float, said: int, time: float) -> None:
    scene = Scene(lease_time_limit=limit).bound(lease=said)
    lease = scene.lease
    assert (lease.lease_time, lease.expires_at) == (time, lease.started_at + time)
    assert lease.started_at < lease.t1_at <= lease.started_at + time / 2
    assert lease.t2_at == lease.started_at + time * 0.875


def test_a_shorter_lease_has_its_own_renewal_times() -> None:
    scene = Scene(lease_time_limit=300.0).requesting()
    scene.ack(lease=3600, more={opt.RENEWAL_TIME: b"\0\0\x07\x08", opt.REBINDING_TIME: b"\0\0\x0c\x4e"})
    assert scene.lease.t2_at == scene.lease.started_at + 262.5
    assert NoticeCode.TIMES_CORRECTED not in scene.notices


def test_an_offer_without_what_is_required_is_not_taken() -> None:
    scene = Scene(required=(opt.DOMAIN_NAME_SERVER,)).start()
    scene.offer(server=STRANGE_SERVER)
    assert (scene.state, scene.client.snapshot().drops) == ("SELECTING", {"missing-option": 1})
    scene.offer(more={opt.DOMAIN_NAME_SERVER: b"\x0a\x00\x00\x01"})
    assert scene.state == "REQUESTING"


def test_an_ack_without_option_51_takes_the_offers() -> None:
    # rule 20
    scene = Scene().requesting(lease=500)
    scene.ack(lease=None)
    assert scene.lease.lease_time == 500.0


def test_a_renewal_without_option_51_keeps_the_leases() -> None:
    # rule 20
    scene = Scene().renewing(lease=500)
    scene.ack(lease=None)
    assert scene.lease.lease_time == 500.0


def test_an_ack_that_arrives_after_its_own_end_is_no_lease() -> None:
    assert read(lease=10, sent_at=100.0, now=110.0).refusal is DropReason.UNEXPECTED


@pytest.mark.parametrize("how", [{"server": None}, {"server": None, "more": {opt.SERVER_ID: bytes(4)}}], ids=str)
def test_without_option_54_renewals_go_by_broadcast(how: dict[str, Any]) -> None:
    # rule 21
    scene = Scene().requesting()
    scene.ack(**how)
    assert scene.lease.server_id is None
    scene.until_state("RENEWING")
    assert scene.last.via.value == "broadcast"
    scene.ack(**how)
    assert scene.state == "BOUND"


def test_a_reply_from_elsewhere_is_accepted() -> None:
    # rule 17
    scene = Scene().requesting()
    scene.hear(scene.reply(msg.ACK), source=STRANGE_SERVER)
    assert scene.state == "BOUND"
    assert scene.lease.server_id == SERVER


def test_the_captive_portal_is_kept_and_not_acted_on() -> None:
    # rule 68
    scene = Scene().bound(more={opt.CAPTIVE_PORTAL: b"https://portal.example/"})
    assert scene.lease.options[opt.CAPTIVE_PORTAL] == b"https://portal.example/"
    assert scene.lease.address != OTHER


# -- addresses that are nobody's


MASK_24 = {opt.SUBNET_MASK: b"\xff\xff\xff\x00"}


@pytest.mark.parametrize(("address", "mask", "host"), [
    ("192.0.2.100", b"\xff\xff\xff\x00", True),
    ("192.0.2.0", b"\xff\xff\xff\x00", False),
    ("192.0.2.255", b"\xff\xff\xff\x00", False),
    ("192.0.2.255", b"\xff\xff\xfe\x00", True),
    ("192.0.3.255", b"\xff\xff\xfe\x00", False),
    ("192.0.2.3", b"\xff\xff\xff\xfc", False),
    ("192.0.2.0", b"\xff\xff\xff\xfe", True),  # RFC 3021
    ("192.0.2.0", b"\xff\xff\xff\xff", True),
    ("192.0.2.0", b"\xff\x00\xff\x00", True),  # no mask
    ("192.0.2.0", b"\xff", True),
    ("128.0.0.0", b"\x80\x00\x00\x00", True),  # wider than any network
])
def test_the_ends_of_a_subnet_are_no_hosts(address: str, mask: bytes, host: bool) -> None:
    assert replies.is_host(IPv4Address(address), {opt.SUBNET_MASK: mask}) is host


def test_an_offer_of_a_broadcast_address_is_refused_and_another_is_waited_for() -> None:
    scene = Scene().start()
    scene.offer(address=IPv4Address("192.0.2.255"), more=MASK_24)
    assert (scene.state, scene.client.snapshot().drops) == ("SELECTING", {"not-a-host": 1})
    scene.offer(more=MASK_24)
    assert scene.state == "REQUESTING"


def test_an_ack_for_a_network_address_is_refused_but_never_for_the_address_in_use() -> None:
    # promise 2: a server that changes its mask takes nothing away
    scene = Scene().renewing()
    scene.ack(address=IPv4Address("192.0.2.0"), more=MASK_24)
    assert (scene.state, scene.lease.address) == ("RENEWING", OURS)
    scene.ack(more={opt.SUBNET_MASK: b"\xff\xff\xff\xfc"})  # .100 is the network address of a /30
    assert (scene.state, scene.lease.address) == ("BOUND", OURS)


NETWORK = (int(SERVER) & 0xFFFFFF00, 0xFFFFFF00)
ONE = (int(SERVER), 0xFFFFFFFF)


@pytest.mark.parametrize(("server", "allow", "deny", "wanted"), [
    (SERVER, (), (), True), (SERVER, (ONE,), (), True), (SERVER, (NETWORK,), (), True), (SERVER, (), (ONE,), False),
    (SERVER, (NETWORK,), (ONE,), False), (STRANGE_SERVER, (ONE,), (), False), (STRANGE_SERVER, (), (ONE,), True),
    (None, (), (ONE,), True), (None, (ONE,), (), False),
])
def test_servers_that_may_serve(server: object, allow: object, deny: object, wanted: bool) -> None:
    config = ClientConfig(chaddr=MAC, allow_servers=allow, deny_servers=deny)  # type: ignore[arg-type]
    assert replies.may_serve(server, config) is wanted  # type: ignore[arg-type]


def test_an_offer_of_a_denied_server_is_counted_and_the_other_one_taken() -> None:
    scene = Scene(deny_servers=((int(STRANGE_SERVER), 0xFFFFFFFF),))
    scene.start()
    scene.offer(server=STRANGE_SERVER)
    assert scene.client.snapshot().drops == {"server-denied": 1}
    scene.offer()
    assert scene.state == "REQUESTING"
