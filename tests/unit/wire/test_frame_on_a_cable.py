"""The kernel filter and the reading of packets on a real kernel: a veth pair in namespaces of its own."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest
from tests.support.passing import wait_passing

from holdfast.sockets.filters import attach
from holdfast.wire import WireError, frame
from holdfast.wire.message import BROADCAST, CLIENT_PORT, SERVER_PORT
from holdfast_lab.testbed import fair_time
from holdfast_lab.testbed.netns import Namespace

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make network namespaces"),
]

SERVER, CLIENT = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.77")
ETH_P_IP, SOL_PACKET, PACKET_AUXDATA, CSUM_NOT_READY = 0x0800, 263, 8, 1 << 3


class Cable:
    """A server's and a client's end, a packet socket on each; checksum offload on, as between guests."""

    def __init__(self, server: Namespace, client: Namespace) -> None:
        self.server, self.client = server, client
        server.run(lambda: server.rtnl.add_veth("srv0", "cli0", client.fd))
        server.output(["ip", "addr", "add", f"{SERVER}/24", "dev", "srv0"])
        for end, name in ((server, "srv0"), (client, "cli0")):
            end.output(["ip", "link", "set", name, "up"])
        wait_passing(server, "srv0", client, "cli0")
        self.sender = server.run(lambda: self.open(socket.SOCK_RAW, "srv0"))
        self.receiver = client.run(lambda: self.open(socket.SOCK_DGRAM, "cli0"))
        self.receiver.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.receiver.settimeout(fair_time.longest(30))

    @staticmethod
    def open(kind: int, name: str) -> socket.socket:
        """A packet socket of ``kind`` on the link called ``name``."""
        made = socket.socket(socket.AF_PACKET, kind, 0)
        made.bind((name, ETH_P_IP))
        return made

    def send(self, packet: bytes, ethertype: int = ETH_P_IP) -> None:
        self.sender.send(frame.ethernet(frame.BROADCAST_MAC, b"\x02\0\0\0\0\1", ethertype, packet))

    def receive(self) -> tuple[bytes, bool]:
        """A packet, and whether its checksum is ready."""
        packet, ancillary, _, _ = self.receiver.recvmsg(2048, 256)
        for level, kind, data in ancillary:
            if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                return packet, not struct.unpack_from("=I", data)[0] & CSUM_NOT_READY
        raise AssertionError("no PACKET_AUXDATA")

    def close(self) -> None:
        self.sender.close()
        self.receiver.close()


@pytest.fixture
def cable() -> Iterator[Cable]:
    with Namespace("wire-server") as server, Namespace("wire-client") as client:
        made = Cable(server, client)
        try:
            yield made
        finally:
            made.close()


def packet(payload: bytes, destination: IPv4Address = CLIENT, dport: int = CLIENT_PORT) -> bytes:
    return frame.build_udp(SERVER, destination, SERVER_PORT, dport, payload)


def test_the_filter_passes_replies_and_nothing_else(cable: Cable) -> None:
    """Packets arrive in order, so the last one shows that those before it were stopped."""
    attach(cable.receiver, frame.udp_filter(CLIENT_PORT))
    good = packet(b"to us")
    cable.send(packet(b"another port", dport=SERVER_PORT))
    cable.send(good[:9] + b"\x06" + good[10:])  # TCP
    cable.send(good[:6] + b"\x20\x00" + good[8:])  # the first fragment
    cable.send(good[:6] + b"\x00\x01" + good[8:])  # a later fragment
    cable.send(b"\x65" + good[1:])  # IP version 6 where version 4 belongs
    cable.send(good[:23])  # cut before the port's second byte
    cable.send(good)
    cable.send(packet(b"to the server", SERVER))
    cable.send(packet(b"to everybody", BROADCAST))
    cable.send(b"\x46" + good[1:20] + b"\x94\x04\x00\x00" + good[20:])  # IP options: passed, wrong checksum
    received = [cable.receive()[0] for _ in range(4)]
    assert [frame.parse_ipv4_udp(data).payload for data in received[:3]] == [
        b"to us", b"to the server", b"to everybody",
    ]
    with pytest.raises(WireError):
        frame.parse_ipv4_udp(received[3])


def test_a_reply_sent_by_a_udp_socket_of_the_same_host_is_read(cable: Cable) -> None:
    """Its checksum was left to a device that the packet never passes."""
    attach(cable.receiver, frame.udp_filter(CLIENT_PORT))

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"srv0")
            udp.bind((str(SERVER), SERVER_PORT))
            udp.sendto(b"from a socket", (str(BROADCAST), CLIENT_PORT))

    cable.server.run(send)
    data, ready = cable.receive()
    read = frame.parse_ipv4_udp(data, checksum_ready=ready)
    assert read == frame.Datagram(SERVER, BROADCAST, SERVER_PORT, CLIENT_PORT, b"from a socket")
    assert not ready
    with pytest.raises(WireError):
        frame.parse_ipv4_udp(data)


def test_the_kernel_accepts_our_checksums(cable: Cable) -> None:
    """A UDP socket gets only what the kernel found right."""

    def listen() -> socket.socket:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("0.0.0.0", SERVER_PORT))
        udp.settimeout(fair_time.longest(30))
        return udp

    with cable.server.run(listen) as udp:
        mac = cable.server.output(["cat", "/sys/class/net/srv0/address"]).strip()
        request = frame.build_udp(CLIENT, SERVER, CLIENT_PORT, SERVER_PORT, b"odd")
        sent = frame.ethernet(bytes.fromhex(mac.replace(":", "")), b"\x02\0\0\0\0\2", ETH_P_IP, request)
        raw = cable.client.run(lambda: cable.open(socket.SOCK_RAW, "cli0"))
        with raw:
            raw.send(sent)
        assert udp.recvfrom(100) == (b"odd", (str(CLIENT), CLIENT_PORT))
