"""What is heard on the wire: the client's REQUEST and the server's ACK, and what they make of a lease."""

from __future__ import annotations

import itertools
import socket
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Any

import pytest
from tests.support.fake_host import FakeHost
from tests.support.takeovers import ADDRESS, OldClient, foreign_lease

from holdfast.network.link import settle_carrier
from holdfast.takeover import capture
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Host
from holdfast.takeover.model import ForeignLease, Found
from holdfast.wire import message as msg
from holdfast.wire.frame import build_udp
from holdfast_lab.testbed import fair_time
from holdfast_lab.testbed.netns import cable

MAC = bytes.fromhex("020000000001")
FOUND = Found("udhcpc", "udhcpc", "eth0", (9,), "it runs")
REQUEST = msg.Message(
    op=1, xid=7, chaddr=MAC, ciaddr=ADDRESS.ip, options={53: b"\x03", 61: b"\x01id", 60: b"class", 12: b"guest"}
)
ACK = msg.Message(
    op=2, xid=7, chaddr=MAC, yiaddr=ADDRESS.ip,
    options={53: b"\x05", 51: b"\0\0\x0e\x10", 54: b"\xc0\0\2\1", 1: b"\xff\xff\xff\0"},
)
SERVER = IPv4Address("192.0.2.1")


class Asking(OldClient):
    """Can be asked to renew."""

    asked = 0

    def ask_renewal(self, host: Host, found: Found) -> None:
        del host, found
        self.asked += 1


class FakeListener:
    """Hears what it was told, in order; notes what is broadcast."""

    def __init__(self, request: Any, *answers: Any) -> None:
        self._request, self._answers, self.broadcasts = request, list(answers), 0

    def __call__(self, host: Host, ifname: str) -> FakeListener:
        del host, ifname
        return self

    def __enter__(self) -> FakeListener:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def request(self, _: float) -> Any:
        return self._request

    def answer(self, _: msg.Message, __: float) -> Any:
        return self._answers.pop(0) if self._answers else None

    def broadcast(self, _: msg.Message) -> None:
        self.broadcasts += 1


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path)


def unknown(host: FakeHost) -> ForeignLease:
    """As udhcpc's adapter reads it: an address and nothing else."""
    return replace(
        foreign_lease(host.now, None), server_id=None, options={}, started_at=host.now, t1_at=host.now,
        t2_at=host.now, expires_at=host.now,
    )


def learned(monkeypatch: pytest.MonkeyPatch, host: FakeHost, ear: FakeListener, lease: ForeignLease) -> ForeignLease:
    monkeypatch.setattr(capture, "DhcpListener", ear)
    return capture.complete(host, Asking(), FOUND, lease)


def test_all_of_it(monkeypatch: pytest.MonkeyPatch, host: FakeHost) -> None:
    ear = FakeListener((REQUEST, SERVER), ACK)
    lease = learned(monkeypatch, host, ear, unknown(host))
    assert (lease.client_id, lease.vendor_class, lease.hostname) == (b"\x01id", b"class", "guest")
    assert (lease.server_id, lease.started_at, lease.expires_at) == (SERVER, host.now, host.now + 3600)
    assert (lease.t1_at, lease.t2_at, lease.options) == (host.now + 1800, host.now + 3150, ACK.options)
    assert lease.source.endswith("and a renewal heard on the wire")
    assert ear.broadcasts == 0


def test_of_several_addresses_the_client_knows_its_own(monkeypatch: pytest.MonkeyPatch, host: FakeHost) -> None:
    guessed = replace(unknown(host), address=IPv4Interface("198.51.100.7/24"))
    lease = learned(monkeypatch, host, FakeListener((REQUEST, SERVER), ACK), guessed)
    assert (lease.address.ip, lease.expires_at) == (ADDRESS.ip, host.now + 3600)


def test_a_server_deaf_to_unicast(monkeypatch: pytest.MonkeyPatch, host: FakeHost) -> None:
    ear = FakeListener((REQUEST, SERVER), None, ACK)
    assert learned(monkeypatch, host, ear, unknown(host)).expires_at == host.now + 3600
    assert ear.broadcasts == 1


def test_a_silent_server(monkeypatch: pytest.MonkeyPatch, host: FakeHost) -> None:
    """A lease that files tell needs no ACK; one that nothing tells does."""
    known = foreign_lease(host.now, None)
    lease = learned(monkeypatch, host, FakeListener((REQUEST, SERVER)), known)
    assert (lease.client_id, lease.expires_at) == (b"\x01id", known.expires_at)
    with pytest.raises(TakeoverError, match=r"no server answered udhcpc's renewal of 192\.0\.2\.9"):
        learned(monkeypatch, host, FakeListener((REQUEST, msg.BROADCAST)), unknown(host))


def test_no_client_id_is_none(monkeypatch: pytest.MonkeyPatch, host: FakeHost) -> None:
    bare = REQUEST._replace(options={53: b"\x03"})
    lease = learned(monkeypatch, host, FakeListener((bare, SERVER), ACK), unknown(host))
    assert (lease.client_id, lease.vendor_class, lease.hostname) == (b"", None, None)


def test_refusals(monkeypatch: pytest.MonkeyPatch, host: FakeHost) -> None:
    with pytest.raises(TakeoverError, match=r"udhcpc \(pid 9\) sent no REQUEST when made to renew"):
        learned(monkeypatch, host, FakeListener(None), unknown(host))
    other = ACK._replace(yiaddr=IPv4Address("192.0.2.77"))
    with pytest.raises(TakeoverError, match=r"the server gave 192\.0\.2\.77 instead"):
        learned(monkeypatch, host, FakeListener((REQUEST, SERVER), other), unknown(host))
    with pytest.raises(TakeoverError, match="written in a way that cannot be read"):
        capture.complete(host, OldClient(), FOUND, unknown(host))
    assert capture.complete(host, OldClient(), FOUND, foreign_lease(host.now)) == foreign_lease(host.now)


def test_asking_the_server(monkeypatch: pytest.MonkeyPatch, host: FakeHost) -> None:
    """By broadcast with our address, then from 0.0.0.0; only an ACK of this very address counts."""
    for answers, expected, sent in (((ACK,), True, 1), ((None, ACK), True, 2), ((None, None), False, 2),
                                    ((ACK._replace(yiaddr=SERVER),), False, 1)):
        ear = FakeListener(None, *answers)
        monkeypatch.setattr(capture, "DhcpListener", ear)
        assert capture.answered(host, "eth0", foreign_lease(host.now)) is expected
        assert ear.broadcasts == sent


@pytest.mark.root
def test_on_a_wire() -> None:
    """A real interface: what is ours and fits is heard, sent or received; all else is passed over."""
    with cable() as (client, server):
        host = Host()
        mac = client.run(lambda: host.mac("eth0"))
        ours = REQUEST._replace(chaddr=mac)
        client.run(lambda: settle_carrier("eth0"))  # what is sent before is lost
        ear = client.run(lambda: capture.DhcpListener(host, "eth0"))
        packets = client.run(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM))
        with ear, packets:
            def say(message: msg.Message, sport: int = 68, dport: int = 67) -> None:
                packet = build_udp(ADDRESS.ip, SERVER, sport, dport, msg.encode(message))
                packets.sendto(packet, ("eth0", 0x0800, 0, 1, b"\xff" * 6))

            say(REQUEST)  # another's
            say(ours._replace(ciaddr=msg.ANY))
            say(ours, 1068, 1067)
            say(ours)
            heard = ear.request(5.0)
            assert heard is not None
            assert (heard[0].client_id, heard[1]) == (b"\x01id", SERVER)
            assert ear.request(0.05) is None
            say(ACK._replace(chaddr=mac, xid=8))
            say(ACK._replace(chaddr=mac, options={**ACK.options, 53: b"\x06"}))
            say(ACK._replace(chaddr=mac))
            answer = ear.answer(ours, 5.0)
            assert answer is not None
            assert answer.lease_time == 3600
            tap = server.run(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)))
            with tap:
                tap.settimeout(fair_time.longest(5))
                ear.broadcast(ours)
                frames = (tap.recv(2048) for _ in itertools.count())
                assert next(frame for frame in frames if frame[:6] == b"\xff" * 6)[23] == 17
        with pytest.raises(TakeoverError, match="nosuch0"):
            capture.DhcpListener(host, "nosuch0")


@pytest.mark.root
def test_what_is_tagged_for_a_vlan_is_another_interface_s() -> None:
    """A REQUEST of eth0.5, which has eth0's hardware address, would teach another client-id."""
    with cable() as (client, server):
        host = Host()
        mac, peer = client.run(lambda: host.mac("eth0")), server.run(lambda: host.mac("srv0"))
        client.run(lambda: settle_carrier("eth0"))  # what is sent before is lost
        ear = client.run(lambda: capture.DhcpListener(host, "eth0"))
        wire = server.run(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
        with ear, wire:
            wire.bind(("srv0", 0))

            def say(client_id: bytes, tag: bytes = b"") -> None:
                message = REQUEST._replace(chaddr=mac, options={**REQUEST.options, 61: client_id})
                packet = build_udp(ADDRESS.ip, SERVER, 68, 67, msg.encode(message))
                wire.send(b"\xff" * 6 + peer + tag + b"\x08\x00" + packet)

            say(b"\x01tagged", b"\x81\x00\x00\x05")
            say(b"\x01mine")
            heard = ear.request(5.0)
        assert heard is not None
        assert heard[0].client_id == b"\x01mine"
