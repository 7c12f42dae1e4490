"""runtime.sockets and runtime.arpsocket on a cable between two namespaces."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from ipaddress import IPv4Address
from typing import Any

import pytest
from tests.support.passing import wait_passing

from holdfast.core.actions import AskGateway, Transmit
from holdfast.core.events import Received
from holdfast.core.outcome import Via
from holdfast.eventloop.loop import Loop
from holdfast.network import link
from holdfast.sockets import reader
from holdfast.sockets.arp import Claim
from holdfast.sockets.link import BATCH, FLOOD_BATCHES, FLOOD_TIME, Batch, LinkSockets, Listener
from holdfast.sockets.reader import describe_error, read_packet
from holdfast.wire import WireError, arp
from holdfast.wire.frame import BROADCAST_MAC, build_udp, ethernet, parse_ipv4_udp
from holdfast.wire.message import ANY, BROADCAST, Message, decode, encode
from holdfast_lab.testbed import fair_time
from holdfast_lab.testbed.fair_time import wait_until
from holdfast_lab.testbed.netns import Namespace, cable
from holdfast_lab.testbed.virtual_host import VirtualClock

OURS, SERVER, OTHER = IPv4Address("192.0.2.50"), IPv4Address("192.0.2.1"), IPv4Address("192.0.2.77")
FOREIGN_MAC = bytes.fromhex("0200000000ff")
MESSAGE = Message(2, 0x1234, yiaddr=OURS, chaddr=b"\x02" * 6, options={53: b"\x05"})


class Bench:
    """Our sockets on eth0 of one machine; srv0 of the other is the network."""

    def __init__(self, ours: Namespace, network: Namespace, stack: ExitStack) -> None:
        self.ours, self.network = ours, network
        self.batches: list[Batch] = []
        self.errors: list[str] = []
        self.claims: list[Claim] = []
        self.gone = 0
        self.clock = VirtualClock()
        self.loop = Loop(self.clock)
        stack.callback(self.loop.close)
        self.sockets = LinkSockets(
            self.loop, Listener(self.batches.append, self.errors.append, self.claims.append, self._count_gone)
        )
        stack.callback(self.sockets.close)
        self.link = ours.run(lambda: link.find("eth0"))
        self.peer = network.run(lambda: link.find("srv0"))
        ours.run(lambda: ours.rtnl.add_address("eth0", f"{OURS}/24"))
        self.wire = network.run(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)))
        stack.callback(self.wire.close)
        self.wire.bind(("srv0", 3))
        self.wire.settimeout(fair_time.longest(30))
        self.open()

    def _count_gone(self) -> None:
        self.gone += 1

    def open(self) -> None:
        self.ours.run(lambda: self.sockets.open("eth0", self.link.mac))

    def inside(self, function: Any) -> Any:
        return self.ours.run(function)

    def transmit(self, destination: IPv4Address, source: IPv4Address = OURS) -> None:
        path = Via.BROADCAST if destination == BROADCAST else Via.UNICAST
        self.inside(lambda: self.sockets.transmit(Transmit(MESSAGE, path, source, destination)))

    def send(self, payload: bytes, *, dport: int = 68, destination: IPv4Address = BROADCAST, count: int = 1) -> None:
        packet = build_udp(SERVER, destination, 67, dport, payload)
        for _ in range(count):
            self.wire.send(ethernet(BROADCAST_MAC, self.peer.mac, 0x0800, packet))

    def frames(self, ethertype: int) -> Iterator[tuple[bytes, bytes]]:
        """(destination, payload) of the frames that come from us."""
        while True:
            frame = self.wire.recv(4096)
            if frame[6:12] == self.link.mac and frame[12:14] == ethertype.to_bytes(2, "big"):
                yield frame[:6], frame[14:]

    def run_until(self, condition: Any, what: str) -> None:
        def step() -> bool:
            self.loop.run_once(0.01)
            return bool(condition())

        wait_until(step, 30, what)

    def messages(self) -> list[Received]:
        return [message for batch in self.batches for message in batch.messages]


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        ours, network = stack.enter_context(cable())
        wait_passing(ours, "eth0", network, "srv0")
        yield Bench(ours, network, stack)


# -- receiving -----------------------------------------------------------------------------------


@pytest.mark.root
@pytest.mark.parametrize("destination", [BROADCAST, OURS, SERVER])
def test_answers_come_whatever_their_destination(bench: Bench, destination: IPv4Address) -> None:
    bench.send(encode(MESSAGE), destination=destination)
    bench.run_until(bench.messages, "a message")
    [received] = bench.messages()
    assert (received.message.xid, received.source, received.destination) == (0x1234, SERVER, destination)


@pytest.mark.root
def test_what_is_no_message_is_counted_and_other_ports_are_not_even_seen(bench: Bench) -> None:
    bench.send(b"rubbish", dport=69)
    bench.send(b"rubbish")
    bench.run_until(lambda: bench.batches, "something")
    assert [len(batch.malformed) for batch in bench.batches] == [1]
    assert bench.messages() == []


@pytest.mark.root
def test_a_flood_does_not_keep_the_timers_waiting(bench: Bench) -> None:
    bench.send(encode(MESSAGE), count=3 * BATCH)
    served: list[int] = []

    def on_timer() -> None:
        served.append(len(bench.messages()))
        bench.loop.set_timer("t", bench.loop.now(), on_timer)

    on_timer()
    bench.run_until(lambda: len(bench.messages()) >= 2 * BATCH, "most of the flood")
    assert all(served[i + 1] - served[i] <= BATCH for i in range(len(served) - 1))


@pytest.mark.root
def test_in_a_flood_only_answers_to_us_are_read_until_it_is_over(bench: Bench) -> None:
    asked = MESSAGE._replace(op=1, xid=0x77, chaddr=bench.link.mac)
    bench.inside(lambda: bench.sockets.transmit(Transmit(asked, Via.BROADCAST, OURS, BROADCAST)))
    for _ in range(FLOOD_BATCHES):
        bench.send(b"rubbish", count=BATCH)
    bench.run_until(lambda: any(batch.flood for batch in bench.batches), "the flood was noticed")
    again = asked._replace(xid=0x78)
    bench.inside(lambda: bench.sockets.transmit(Transmit(again, Via.BROADCAST, OURS, BROADCAST)))
    bench.batches.clear()
    bench.send(b"rubbish", count=BATCH)
    for xid in (0x99, 0x77, 0x78):
        bench.send(encode(asked._replace(op=2, xid=xid)))
    bench.run_until(lambda: len(bench.messages()) >= 2, "our answers")
    assert [received.message.xid for received in bench.messages()] == [0x77, 0x78]
    assert not any(batch.malformed for batch in bench.batches)
    bench.batches.clear()
    bench.clock.now += FLOOD_TIME

    def counted_again() -> bool:
        bench.send(b"rubbish")
        return any(batch.malformed for batch in bench.batches)

    bench.run_until(counted_again, "everything is read and counted again")


@pytest.mark.root
def test_a_checksum_that_is_left_to_the_device(bench: Bench) -> None:
    """A server on the same host sends through veth with a checksum that nobody has filled in yet."""
    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"srv0\0")
            server.bind(("", 67))
            server.sendto(encode(MESSAGE), ("255.255.255.255", 68))

    with suppress(OSError):
        bench.network.output(["ethtool", "-K", "srv0", "tx", "on"])
    bench.network.run(send)
    bench.run_until(bench.messages, "a message")


# -- sending -------------------------------------------------------------------------------------


@pytest.mark.root
@pytest.mark.parametrize("source", [ANY, OURS])
def test_broadcast_goes_to_everybody_from_the_address_we_say(bench: Bench, source: IPv4Address) -> None:
    bench.transmit(BROADCAST, source)
    destination, packet = next(bench.frames(0x0800))
    datagram = parse_ipv4_udp(packet)
    assert destination == BROADCAST_MAC  # rules 4, 6, 7
    assert (datagram.source, datagram.destination, datagram.sport, datagram.dport) == (source, BROADCAST, 68, 67)
    assert decode(datagram.payload) == MESSAGE


@pytest.fixture
def server(bench: Bench) -> Iterator[socket.socket]:
    with bench.network.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server:
        server.bind(("192.0.2.1", 67))
        server.settimeout(fair_time.longest(5))
        yield server


@pytest.mark.root
def test_unicast_goes_through_udp(bench: Bench, server: socket.socket) -> None:
    bench.transmit(SERVER)
    payload, sender = server.recvfrom(4096)
    assert sender == ("192.0.2.50", 68)
    assert decode(payload) == MESSAGE
    assert bench.sockets.holds_port
    bench.inside(bench.sockets.hold_port)  # once is enough


@pytest.mark.root
def test_unicast_goes_by_a_raw_socket_when_another_has_the_port(bench: Bench, server: socket.socket) -> None:
    with bench.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as other:
        other.bind(("", 68))
        with pytest.raises(OSError, match="in use") as caught:
            bench.inside(bench.sockets.hold_port)
        assert caught.value.errno == errno.EADDRINUSE
        for _ in range(2):
            bench.transmit(SERVER)
            payload, sender = server.recvfrom(4096)
            assert sender == ("192.0.2.50", 68)  # rule 54
            assert decode(payload) == MESSAGE
    bench.transmit(SERVER)
    assert server.recvfrom(4096)[1] == ("192.0.2.50", 68)
    assert bench.sockets.holds_port  # it was given back meanwhile


@pytest.mark.root
def test_a_client_of_another_link_shares_the_port_and_gets_no_answer_of_ours(
    bench: Bench, server: socket.socket
) -> None:
    """dhclient binds port 68 of all links, whatever link it is for, and ends where that is refused."""
    bench.inside(bench.sockets.hold_port)
    with bench.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("", 68))
        other.setblocking(False)
        bench.transmit(SERVER)
        assert server.recvfrom(4096)[1] == ("192.0.2.50", 68)
        server.sendto(encode(MESSAGE), ("192.0.2.50", 68))
        bench.run_until(bench.messages, "the answer")
        with pytest.raises(BlockingIOError):
            other.recv(4096)
        bench.sockets.close()
        bench.open()
        bench.inside(bench.sockets.hold_port)  # also after it


@pytest.mark.root
def test_unicast_from_an_address_that_is_not_there_is_an_error(bench: Bench) -> None:
    with pytest.raises(OSError, match=r"Invalid argument|Network is unreachable"):
        bench.transmit(SERVER, source=OTHER)


@pytest.mark.root
def test_a_port_that_nobody_listens_on_comes_back_as_an_error(bench: Bench) -> None:
    bench.transmit(SERVER)
    bench.run_until(lambda: bench.errors, "an ICMP error")
    assert bench.errors == ["Connection refused (ICMP from 192.0.2.1)"]
    # An old error is no reason not to send.
    bench.transmit(SERVER)
    bench.transmit(SERVER)


@pytest.mark.root
def test_answers_to_our_port_are_not_refused_by_the_kernel(bench: Bench) -> None:
    bench.inside(bench.sockets.hold_port)
    with bench.network.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server:
        server.connect(("192.0.2.50", 68))
        server.send(encode(MESSAGE))
        bench.run_until(bench.messages, "the message")
        server.send(encode(MESSAGE))  # would raise ECONNREFUSED
        bench.run_until(lambda: len(bench.messages()) == 2, "the second message")


@pytest.mark.root
def test_a_message_for_which_there_is_no_socket(bench: Bench) -> None:
    bench.sockets.close()
    for call in (lambda: bench.transmit(BROADCAST), lambda: bench.inside(lambda: bench.sockets.probe(OURS))):
        with pytest.raises(OSError, match="No such device") as caught:
            call()
        assert caught.value.errno == errno.ENODEV
    bench.inside(bench.sockets.hold_port)
    assert not bench.sockets.holds_port


@pytest.mark.root
def test_a_message_in_a_vlan_is_another_interface_s(bench: Bench) -> None:
    """A socket that is bound to IPv4 gets it without its tag, as a frame that is for another host."""
    packet = build_udp(SERVER, BROADCAST, 67, 68, encode(MESSAGE._replace(xid=5)))
    bench.wire.send(BROADCAST_MAC + FOREIGN_MAC + bytes.fromhex("810000050800") + packet)
    bench.send(encode(MESSAGE))
    bench.run_until(bench.messages, "the message that has no tag")
    assert [received.message for received in bench.messages()] == [MESSAGE]


# -- the link ------------------------------------------------------------------------------------


@pytest.mark.root
def test_sockets_outlive_a_link_that_is_down(bench: Bench) -> None:
    bench.inside(lambda: bench.sockets.watch((OURS,)))
    bench.inside(lambda: bench.ours.rtnl.set_link("eth0", up=False))
    with pytest.raises(OSError, match="Network is down"):
        bench.transmit(BROADCAST)
    for _ in range(5):
        bench.loop.run_once(0.01)
    bench.inside(lambda: bench.ours.rtnl.set_link("eth0", up=True))

    def heard() -> bool:
        bench.send(encode(MESSAGE))
        return bool(bench.messages())

    bench.run_until(heard, "a message after the link is up again")
    assert bench.gone == 0


@pytest.mark.root
@pytest.mark.parametrize("watching", [False, True])
def test_a_link_that_is_removed_is_noticed_once(bench: Bench, watching: bool) -> None:
    if watching:
        bench.inside(lambda: bench.sockets.watch((OURS,)))
    bench.inside(lambda: bench.ours.rtnl.delete_link("eth0"))
    bench.run_until(lambda: bench.gone, "the sockets notice")
    for _ in range(5):
        bench.loop.run_once(0.01)
    assert bench.gone == 1
    with pytest.raises(OSError, match="No such device"):
        bench.transmit(BROADCAST)


@pytest.mark.root
def test_opening_on_no_link_leaves_nothing_open(bench: Bench) -> None:
    with pytest.raises(OSError, match="No such device"):
        bench.inside(lambda: bench.sockets.open("eth9", bench.link.mac))
    with pytest.raises(OSError, match="No such device"):
        bench.transmit(BROADCAST)


@pytest.mark.root
def test_a_renamed_link(bench: Bench) -> None:
    # rule 96
    bench.inside(bench.sockets.hold_port)
    bench.inside(lambda: bench.sockets.watch((OURS,)))
    bench.inside(lambda: bench.ours.rtnl.set_link("eth0", up=False))
    bench.ours.output(["ip", "link", "set", "eth0", "name", "ens3"])
    bench.inside(lambda: bench.ours.rtnl.set_link("ens3", up=True))
    bench.sockets.rename("ens3")
    bench.transmit(BROADCAST)
    assert next(bench.frames(0x0800))[0] == BROADCAST_MAC
    bench.inside(lambda: bench.sockets.probe(OURS))
    assert arp.parse(next(bench.frames(0x0806))[1]).tpa == OURS
    bench.transmit(SERVER)
    assert next(bench.frames(0x0806))[0] == BROADCAST_MAC  # the kernel asks there for the server


# -- ARP -----------------------------------------------------------------------------------------


@pytest.mark.root
def test_probes_and_announcements(bench: Bench) -> None:
    bench.inside(lambda: bench.sockets.probe(OURS))
    bench.inside(lambda: bench.sockets.announce(OURS))
    seen = bench.frames(0x0806)
    packets = [arp.parse(next(seen)[1]), arp.parse(next(seen)[1])]
    assert [(packet.sha, packet.spa, packet.tpa) for packet in packets] == [
        (bench.link.mac, ANY, OURS), (bench.link.mac, OURS, OURS)
    ]


@pytest.mark.root
def test_claims_of_others_are_heard_while_watching(bench: Bench) -> None:
    def shout(packet: bytes) -> None:
        bench.wire.send(ethernet(BROADCAST_MAC, FOREIGN_MAC, 0x0806, packet))

    bench.inside(lambda: bench.sockets.watch((OURS,)))
    shout(arp.build_announcement(FOREIGN_MAC, OTHER))
    shout(arp.build_announcement(bench.link.mac, OURS))
    shout(arp.build_announcement(FOREIGN_MAC, OURS))
    shout(arp.build_probe(FOREIGN_MAC, OURS))
    bench.run_until(lambda: len(bench.claims) == 2, "two claims")
    assert bench.claims == [Claim(OURS, FOREIGN_MAC, probe=False), Claim(OURS, FOREIGN_MAC, probe=True)]

    bench.open()  # the link came back: still watching
    shout(arp.build_announcement(FOREIGN_MAC, OURS))
    bench.run_until(lambda: len(bench.claims) == 3, "a third claim")

    bench.inside(lambda: bench.sockets.watch(()))
    bench.inside(lambda: bench.sockets.watch(()))
    shout(arp.build_announcement(FOREIGN_MAC, OURS))
    bench.send(encode(MESSAGE))
    bench.run_until(bench.messages, "a message behind the claim")
    assert len(bench.claims) == 3


@pytest.mark.root
def test_a_claim_in_a_vlan_is_another_interface_s(bench: Bench) -> None:
    bench.inside(lambda: bench.sockets.watch((OURS,)))
    head = BROADCAST_MAC + FOREIGN_MAC
    bench.wire.send(head + bytes.fromhex("810000050806") + arp.build_probe(FOREIGN_MAC, OURS))
    bench.wire.send(head + bytes.fromhex("0806") + arp.build_announcement(FOREIGN_MAC, OURS))
    bench.run_until(lambda: bench.claims, "a claim")
    assert bench.claims == [Claim(OURS, FOREIGN_MAC, probe=False)]


@pytest.mark.root
def test_the_gateway_is_asked_alone_or_everybody_is(bench: Bench) -> None:
    # rule 49
    bench.inside(lambda: bench.sockets.ask_gateway(AskGateway(OTHER, FOREIGN_MAC, OURS)))
    bench.inside(lambda: bench.sockets.ask_gateway(AskGateway(OTHER, None, ANY)))
    seen = bench.frames(0x0806)
    for destination, source in ((FOREIGN_MAC, OURS), (BROADCAST_MAC, ANY)):
        to, packet = next(seen)
        assert to == destination
        question = arp.ArpPacket(arp.REQUEST, bench.link.mac, source, bytes(6), OTHER)
        assert arp.parse(packet) == question


@pytest.mark.root
def test_only_what_the_gateway_answers_us_is_its_answer(bench: Bench) -> None:
    # rule 49
    def shout(packet: bytes) -> None:
        bench.wire.send(ethernet(BROADCAST_MAC, FOREIGN_MAC, 0x0806, packet))

    bench.send(encode(MESSAGE))  # the gateway is the server too: its answer counts all the same
    bench.run_until(bench.messages, "a message")
    bench.inside(lambda: bench.sockets.watch((OURS,), OTHER))
    shout(arp.build_announcement(FOREIGN_MAC, OTHER))  # what it tells everybody
    shout(arp.build_request(FOREIGN_MAC, OTHER, SERVER))
    shout(arp.build_reply(FOREIGN_MAC, OTHER, bytes.fromhex("020000000099"), SERVER))  # what it tells another
    shout(arp.build_reply(FOREIGN_MAC, OTHER, bench.link.mac, OURS))
    shout(arp.build_announcement(FOREIGN_MAC, OURS))
    bench.run_until(lambda: len(bench.claims) == 2, "an answer and a claim")
    assert bench.claims == [Claim(OTHER, FOREIGN_MAC, probe=False, gateway=True),
                            Claim(OURS, FOREIGN_MAC, probe=False)]

    bench.open()  # the link came back: still listening
    shout(arp.build_reply(FOREIGN_MAC, OTHER, bench.link.mac, OURS))
    bench.run_until(lambda: len(bench.claims) == 3, "a second answer")


@pytest.mark.root
def test_a_gateway_that_answers_for_everything_claims_nothing(bench: Bench) -> None:  # rule 71
    bench.inside(lambda: bench.sockets.watch((OURS,)))
    answer = encode(MESSAGE._replace(chaddr=bench.link.mac))
    bench.send(answer)  # rule 84: whoever sends us something is not believed less for it ...
    bench.run_until(bench.messages, "a message")
    bench.wire.send(ethernet(BROADCAST_MAC, bench.peer.mac, 0x0806, arp.build_announcement(bench.peer.mac, OURS)))
    bench.run_until(lambda: bench.claims, "a claim")
    bench.claims.clear()
    bench.transmit(BROADCAST)
    bench.send(answer)  # ... but the machine that hands us the answer to our question ...
    bench.run_until(lambda: len(bench.messages()) == 2, "an answer")
    for mac in (bench.peer.mac, FOREIGN_MAC):  # ... is believed less than another
        bench.wire.send(ethernet(BROADCAST_MAC, mac, 0x0806, arp.build_announcement(mac, OURS)))
    bench.run_until(lambda: bench.claims, "a claim")
    assert [claim.by for claim in bench.claims] == [FOREIGN_MAC]


# -- what needs no network -----------------------------------------------------------------------

AUXDATA = struct.Struct("=IIIHHHH")
PACKET = build_udp(SERVER, OURS, 67, 68, encode(MESSAGE))


def _auxdata(status: int, vlan: int = 0) -> list[tuple[int, int, bytes]]:
    return [(1, 1, b"other"), (263, 8, AUXDATA.pack(status, 0, 0, 0, 0, vlan, 0))]


def test_reading_a_packet() -> None:
    assert read_packet(PACKET, [], 0, 0).message == MESSAGE
    assert read_packet(PACKET, _auxdata(0), 0, 0).message == MESSAGE
    assert read_packet(PACKET, _auxdata(1 << 4, vlan=0xE000), 0, 0).message == MESSAGE  # a priority, no VLAN


def test_a_checksum_is_looked_at_unless_the_kernel_says_otherwise() -> None:
    wrong = PACKET[:26] + b"\x12\x34" + PACKET[28:]
    assert read_packet(wrong, _auxdata(1 << 3), 0, 0).message == MESSAGE
    with pytest.raises(WireError):
        read_packet(wrong, _auxdata(0), 0, 0)


def test_packets_of_a_vlan_are_another_interface_s() -> None:
    with pytest.raises(WireError, match="VLAN"):
        read_packet(PACKET, _auxdata(1 << 4, vlan=7), 0, 0)
    with pytest.raises(WireError, match="another host"):
        read_packet(PACKET, _auxdata(0), 0, reader.PACKET_OTHERHOST)


def test_packets_too_long_for_the_buffer() -> None:
    with pytest.raises(WireError, match="longer than"):
        read_packet(PACKET, [], socket.MSG_TRUNC, 0)


def test_errors_are_described_without_trust() -> None:
    header = struct.Struct("=I4B2I").pack(errno.EHOSTUNREACH, 2, 3, 1, 0, 0, 0)
    address = struct.pack("=H", socket.AF_INET) + b"\0\0" + SERVER.packed + bytes(8)
    assert describe_error(header + address) == "No route to host (ICMP from 192.0.2.1)"
    assert describe_error(header) == "No route to host"
    assert describe_error(header[:4]) == "an unreadable error"
    local = struct.Struct("=I4B2I").pack(errno.EMSGSIZE, 1, 0, 0, 0, 0, 0)
    assert describe_error(local + address) == "Message too long"


def test_bounds_are_what_the_text_says() -> None:
    assert reader.LONGEST >= 2048 + 60 + 8
