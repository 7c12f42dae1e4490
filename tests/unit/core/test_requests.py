"""What is sent: RFC 2131 table 4, row by row."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from tests.support.scene import CLIENT_ID, MAC, OTHER, OURS, SERVER, STRANGE_SERVER, Scene, cached

from holdfast.core import events as ev
from holdfast.core import requests
from holdfast.core.config import DEFAULT_REQUEST_LIST, ClientConfig
from holdfast.core.outcome import Via
from holdfast.wire import message as msg
from holdfast.wire import options as opt
from holdfast.wire.message import ANY, BROADCAST, BROADCAST_FLAG, decode, encode

BARE = ClientConfig(chaddr=MAC)


def test_table_4_as_a_client_lives_it() -> None:
    # rules 1, 2, 3, 4, 6, 14
    scene = Scene().start(cached())
    rows = {"INIT-REBOOT": scene.last}
    scene.nak()
    scene.offer()
    rows["SELECTING"] = scene.last
    scene.ack()
    scene.until_state("RENEWING")
    rows["RENEWING"] = scene.last
    rows["broadcast"] = scene.until_sent()
    rows["from 0.0.0.0"] = scene.until_sent()
    scene.ack()
    scene.feed(ev.Release())
    rows["RELEASE"] = scene.last
    scene = Scene().bound()
    scene.contest()
    rows["DECLINE"] = scene.last
    seen = {
        name: (m.ciaddr, m.requested_address, m.server_id, sent.source, sent.destination)
        for name, sent in rows.items() if (m := sent.message)
    }
    assert seen == {
        #               ciaddr  option 50  option 54  source  destination
        "SELECTING":    (ANY,   OURS,      SERVER,    ANY,    BROADCAST),
        "INIT-REBOOT":  (ANY,   OURS,      None,      ANY,    BROADCAST),
        "RENEWING":     (OURS,  None,      None,      OURS,   SERVER),
        "broadcast":    (OURS,  None,      None,      OURS,   BROADCAST),
        "from 0.0.0.0": (OURS,  None,      None,      ANY,    BROADCAST),
        "DECLINE":      (ANY,   OURS,      SERVER,    ANY,    BROADCAST),
        "RELEASE":      (OURS,  None,      SERVER,    OURS,   SERVER),
    }
    kinds = {name: sent.message.message_type for name, sent in rows.items()}
    assert kinds.pop("DECLINE") == msg.DECLINE
    assert kinds.pop("RELEASE") == msg.RELEASE
    assert set(kinds.values()) == {msg.REQUEST}


def test_the_unicast_goes_to_option_54_whatever_else_the_packet_says() -> None:
    # rules 5, 17
    scene = Scene().start()
    other = {"siaddr": STRANGE_SERVER, "giaddr": IPv4Address("192.0.2.3")}
    scene.hear(scene.reply(msg.OFFER, **other), source=STRANGE_SERVER)  # type: ignore[arg-type]
    scene.hear(scene.reply(msg.ACK, **other), source=STRANGE_SERVER)  # type: ignore[arg-type]
    scene.until_state("RENEWING")
    assert scene.last.via is Via.UNICAST
    assert scene.last.destination == SERVER


def test_every_message_of_a_binding_bears_the_same_client_id() -> None:
    # rule 8
    scene = Scene().rebinding()
    scene.until_state("SELECTING")
    scene.offer()
    scene.ack()
    scene.feed(ev.Release())
    assert {sent.message.client_id for sent in scene.sent} == {CLIENT_ID}
    assert {sent.message.chaddr for sent in scene.sent} == {MAC}


def test_without_a_client_id_none_is_sent() -> None:
    scene = Scene(client_id=None).bound()
    scene.feed(ev.Release())
    assert all(opt.CLIENT_ID not in sent.message.options for sent in scene.sent)


def test_the_request_list_is_repeated_in_every_question() -> None:
    # rule 9
    scene = Scene().reserved()
    scene.offer()
    asked = [sent.message for sent in scene.sent if sent.message.message_type in (msg.DISCOVER, msg.REQUEST)]
    assert {message.options[opt.PARAMETER_REQUEST_LIST] for message in asked} == {bytes(DEFAULT_REQUEST_LIST)}


def test_ipv6_only_is_not_asked_for() -> None:
    # rule 67
    assert opt.IPV6_ONLY not in DEFAULT_REQUEST_LIST


@pytest.mark.parametrize(("began", "now", "secs"), [
    (1000.0, 1000.0, 0), (1000.0, 1000.99, 0), (1000.0, 1001.0, 1), (1000.0, 66535.0, 65535), (0.0, 1e9, 65535),
    (1000.0, 999.0, 0),
])
def test_secs_are_whole_and_stop(began: float, now: float, secs: int) -> None:
    # rule 10
    assert requests.secs_since(began, now) == secs


def test_the_request_after_an_offer_has_the_discovers_secs() -> None:
    # rule 10
    scene = Scene().start()
    scene.until(lambda: scene.last.message.secs > 0)
    secs = scene.last.message.secs
    scene.offer()
    scene.until_sent()
    assert [sent.message.secs for sent in scene.sent[-2:]] == [secs, secs]


def test_secs_of_a_renewal_count_from_its_first_message() -> None:
    # rule 10
    scene = Scene().renewing()
    began = scene.now
    scene.until_sent(9)
    assert scene.last.message.secs == int(scene.now - began) > 0


def test_the_broadcast_flag_is_set_only_when_configured_and_without_an_address() -> None:
    # rule 12
    assert {sent.message.flags for sent in Scene().renewing().sent} == {0}
    flags = [sent.message.flags for sent in Scene(broadcast_flag=True).renewing().sent]
    assert flags == [BROADCAST_FLAG, BROADCAST_FLAG, 0]


def test_messages_are_long_enough_and_say_how_long_an_answer_may_be() -> None:
    # rule 13
    for sent in Scene().reserved().sent:
        assert len(encode(sent.message)) >= 300
        assert int.from_bytes(sent.message.options[opt.MAX_MESSAGE_SIZE], "big") >= 576
        assert decode(encode(sent.message)) == sent.message


def test_names_and_classes_are_sent_when_configured() -> None:
    config = BARE._replace(hostname="guest", vendor_class=b"holdfast", user_class=b"lab")
    options = requests.discover(config, 1, 0, None).options
    assert options[opt.HOST_NAME] == b"guest"
    assert options[opt.VENDOR_CLASS_ID] == b"holdfast"
    assert options[opt.USER_CLASS] == b"lab"
    assert opt.REQUESTED_ADDRESS not in options
    assert not {opt.HOST_NAME, opt.VENDOR_CLASS_ID, opt.USER_CLASS} & set(requests.discover(BARE, 1, 0, None).options)


def test_the_anonymous_say_neither_name_nor_class() -> None:
    # rule 69
    config = BARE._replace(hostname="guest", vendor_class=b"holdfast", user_class=b"lab", anonymize=True)
    for message in (requests.discover(config, 1, 0, OURS), requests.request_reboot(config, 1, 0, OURS)):
        assert not {opt.HOST_NAME, opt.VENDOR_CLASS_ID, opt.USER_CLASS} & set(message.options)


def test_rapid_commit_is_asked_for_only_when_configured() -> None:
    # rule 70
    assert opt.RAPID_COMMIT not in requests.discover(BARE, 1, 0, None).options
    assert requests.discover(BARE._replace(rapid_commit=True), 1, 0, None).options[opt.RAPID_COMMIT] == b""


def test_a_decline_to_a_nameless_server_names_none() -> None:
    assert opt.SERVER_ID not in requests.decline(BARE, 1, OTHER, None).options
