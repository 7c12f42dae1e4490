"""What a link has shown: counted per server, bounded, and what is not ours kept apart."""

from __future__ import annotations

from ipaddress import IPv4Address

from holdfast.core.actions import NoticeCode, Noticed
from holdfast.core.events import Received
from holdfast.observe.observations import KEPT, Observations
from holdfast.wire import message as msg
from holdfast.wire import options as opt
from holdfast.wire.message import Message

MAC = bytes.fromhex("020000000001")
DISCOVER = Message(msg.BOOTREQUEST, 7, chaddr=MAC, options={opt.MESSAGE_TYPE: bytes([msg.DISCOVER])})
SERVER = IPv4Address("192.0.2.1")


def answer(kind: int, server: IPv4Address | None = SERVER, **fields: object) -> Received:
    """A message of a server to us."""
    options = {opt.MESSAGE_TYPE: bytes([kind])} | ({opt.SERVER_ID: server.packed} if server else {})
    message = DISCOVER._replace(op=msg.BOOTREPLY, options=options)._replace(**fields)  # type: ignore[arg-type]
    return Received(message, server or SERVER, msg.BROADCAST)


def asked() -> Observations:
    """One DISCOVER was sent."""
    seen = Observations()
    seen.on_sent(DISCOVER, 10.0)
    return seen


def test_an_exchange_is_counted_until_its_outcome() -> None:
    seen = asked()
    seen.on_sent(DISCOVER, 12.0)
    seen.on_received(answer(msg.OFFER, yiaddr=IPv4Address("192.0.2.50")), 13.0)
    assert (seen.since, seen.sent, seen.heard) == (10.0, {"DISCOVER": 2}, {"OFFER": 1})
    seen.on_outcome()
    assert (seen.since, seen.sent, seen.heard) == (None, {}, {})
    assert [(one.identifier, one.heard, one.last_at) for one in seen.servers] == [(SERVER, {"OFFER": 1}, 13.0)]


def test_what_is_not_for_us_is_no_server() -> None:
    seen = asked()
    seen.on_received(answer(msg.ACK, xid=8, yiaddr=SERVER), 11.0)  # somebody else asked with our hardware address
    seen.on_received(answer(msg.ACK, xid=8), 11.0)  # for a DHCPINFORM
    seen.on_received(answer(msg.ACK, chaddr=b"\3" * 6), 11.0)
    seen.on_received(Received(DISCOVER, SERVER, msg.BROADCAST), 11.0)
    assert (seen.servers, seen.heard, seen.strangers) == ([], {}, 1)


def test_a_server_without_an_identifier_is_known_by_its_source() -> None:
    seen = asked()
    for _ in range(2):
        seen.on_received(answer(msg.NAK, None), 11.0)
    assert [(one.identifier, one.source, one.heard) for one in seen.servers] == [(None, SERVER, {"NAK": 2})]


def test_everything_is_bounded() -> None:
    seen = asked()
    for number in range(1, 40):
        seen.on_received(answer(msg.OFFER, IPv4Address(number)), 11.0)
        seen.on_received(answer(msg.OFFER, yiaddr=IPv4Address(number)), 11.0)
        seen.on_claim(IPv4Address(number), b"\4" * 6, 12.0)
        seen.on_sent(DISCOVER._replace(xid=number), 12.0)
        seen.on_received(answer(msg.ACK, IPv4Address(1), xid=number), 12.0)
    assert (len(seen.servers), len(seen.claims)) == (KEPT, KEPT)
    assert len(max(seen.servers, key=lambda one: len(one.offered)).offered) <= KEPT
    seen.on_received(answer(msg.ACK, xid=1, yiaddr=SERVER), 13.0)
    assert seen.strangers > 0, "a question of long ago is forgotten"


def test_claims_and_notices_are_counted() -> None:
    seen = asked()
    for at in (1.0, 2.0):
        seen.on_claim(IPv4Address("192.0.2.50"), b"\4" * 6, at)
        seen.on_notice(Noticed(NoticeCode.SEND_FAILED, f"at {at:g}"), at)
    assert [(one.by, one.count, one.last_at) for one in seen.claims] == [(b"\4" * 6, 2, 2.0)]
    notice = seen.notices["send-failed"]
    assert (notice.count, notice.text, notice.last_at) == (2, "at 2", 2.0)
