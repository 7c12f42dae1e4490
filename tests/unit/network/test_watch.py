"""network.watch: what happens to an interface, on a real kernel; and the messages it must not be fooled by."""

from __future__ import annotations

import errno
import select
import socket
import struct
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from ipaddress import IPv4Interface

import pytest
from tests.support.leases import make_spec
from tests.support.scripted_sockets import sockets_that_read

from holdfast.network import LinkError, link
from holdfast.network.kernel import Kernel
from holdfast.network.watch import MAX_DATAGRAMS, Kind, LinkEvent, LinkMessages, LinkWatch, split
from holdfast_lab.testbed import fair_time
from holdfast_lab.testbed.fair_time import wait_until
from holdfast_lab.testbed.netns import Namespace, connect


class LoneWatch(LinkWatch):
    """A watch with a socket of its own."""

    def __init__(self, name: str) -> None:
        self.messages = LinkMessages()
        super().__init__(name, self.messages)

    def fileno(self) -> int:
        return self.messages.fileno()

    def close(self) -> None:
        super().close()
        self.messages.close()


class Watched:
    """A machine with eth0, its peer, and a watch on it."""

    def __init__(self, client: Namespace, peer: Namespace) -> None:
        self.client, self.peer = client, peer
        self.watch = client.run(lambda: LoneWatch("eth0"))

    def sh(self, *commands: str) -> None:
        for command in commands:
            self.client.output(["ip", *command.split()])

    def read(self, wanted: Kind | None = None) -> list[LinkEvent]:
        """The events up to the first of kind ``wanted``, waiting for it; without one, what is there."""
        events: list[LinkEvent] = []
        while True:
            events += self.client.run(self.watch.read)
            if wanted is None or any(event.kind is wanted for event in events):
                return events
            ready, _, _ = select.select([self.watch], [], [], fair_time.longest(5))
            assert ready, f"no {wanted} in {events}"

    def kinds(self, wanted: Kind | None = None) -> list[Kind]:
        return [event.kind for event in self.read(wanted)]


@pytest.fixture
def watched() -> Iterator[Watched]:
    with Namespace("watch") as client, Namespace("peer") as peer:
        connect(client, "eth0", peer, "eth0")
        wait_until(lambda: client.run(lambda: link.find("eth0")).carrier, 5, "eth0 has carrier")
        made = Watched(client, peer)
        yield made
        made.watch.close()


root = pytest.mark.root


@root
def test_carrier(watched: Watched) -> None:
    assert watched.read() == []
    assert watched.watch.link is not None
    assert watched.watch.link.carrier
    watched.peer.run(lambda: watched.peer.rtnl.set_link("eth0", up=False))
    [event] = watched.read(Kind.CARRIER_DOWN)
    assert (event.name, event.ifindex) == ("eth0", watched.watch.link.ifindex)
    watched.peer.run(lambda: watched.peer.rtnl.set_link("eth0", up=True))
    assert watched.kinds(Kind.CARRIER_UP) == [Kind.CARRIER_UP]
    watched.sh("link set eth0 down", "link set eth0 up")
    assert watched.kinds(Kind.CARRIER_UP) == [Kind.CARRIER_DOWN, Kind.CARRIER_UP]


@root
def test_addresses(watched: Watched) -> None:
    watched.sh("addr add 10.0.0.5/24 dev eth0", "addr add 10.0.0.6/24 dev lo", "addr del 10.0.0.5/24 dev eth0")
    added, removed = watched.read(Kind.ADDRESS_REMOVED)
    assert (added.kind, added.address) == (Kind.ADDRESS_ADDED, IPv4Interface("10.0.0.5/24"))
    assert (removed.kind, removed.address) == (Kind.ADDRESS_REMOVED, IPv4Interface("10.0.0.5/24"))


@root
def test_a_removed_route_of_ours_is_told_and_others_are_not(watched: Watched) -> None:
    def run() -> None:
        assert watched.watch.link is not None
        kernel = Kernel(watched.watch.link.ifindex)
        kernel.apply(make_spec("10.0.0.5"), None, 0.0)
        kernel.close()

    watched.client.run(run)
    watched.sh("route add 198.51.100.0/24 via 10.0.0.7", "route del 198.51.100.0/24",
               "route add 198.51.101.0/24 via 10.0.0.7 proto dhcp table 7", "route del 198.51.101.0/24 table 7",
               "link add br0 type bridge", "link set br0 up", "addr add 10.9.0.1/24 dev br0",
               "route add 198.51.102.0/24 via 10.9.0.2 proto dhcp", "route del 198.51.102.0/24",
               "route del default")
    told: list[LinkEvent] = []
    while "0.0.0.0/0" not in [str(event.destination) for event in told]:
        told += [event for event in watched.read(Kind.ROUTE_REMOVED) if event.kind is Kind.ROUTE_REMOVED]
    assert [(str(event.destination), str(event.gateway), event.table) for event in told] == [
        ("198.51.101.0/24", "10.0.0.7", 7), ("0.0.0.0/0", "10.0.0.1", 254)]


@root
def test_a_new_mac(watched: Watched) -> None:  # rule 63
    watched.sh("link set eth0 address 02:00:00:00:00:07")
    [event] = watched.read(Kind.NEW_MAC)
    assert event.mac == bytes.fromhex("020000000007")


@root
def test_a_rename_is_followed(watched: Watched) -> None:  # rule 63
    watched.sh("link set eth0 down", "link set eth0 name wan0", "link set wan0 up",
               "addr add 10.0.0.5/24 dev wan0")
    events = watched.read(Kind.ADDRESS_ADDED)
    assert [event.kind for event in events] == [
        Kind.CARRIER_DOWN, Kind.RENAMED, Kind.CARRIER_UP, Kind.ADDRESS_ADDED,
    ]
    assert (events[1].former, events[1].name) == ("eth0", "wan0")
    assert watched.watch.name == "wan0"


@root
def test_removed_and_added_again(watched: Watched) -> None:  # rule 63
    former = watched.watch.link
    assert former is not None
    watched.sh("link del eth0")
    gone = watched.read(Kind.GONE)[-1]
    assert (gone.name, gone.ifindex) == ("eth0", former.ifindex)
    assert watched.watch.link is None
    watched.sh("addr add 10.0.0.6/24 dev lo", "link add other0 type bridge")
    watched.client.run(lambda: watched.client.rtnl.add_veth("eth0", "eth9", watched.peer.fd))
    [appeared] = watched.read(Kind.APPEARED)
    assert appeared.name == "eth0"
    assert appeared.ifindex not in (0, former.ifindex)


@root
def test_moved_away_and_back(watched: Watched) -> None:  # rule 63
    watched.client.run(lambda: watched.client.rtnl.set_link("eth0", namespace=watched.peer.fd, rename="moved0"))
    assert watched.kinds(Kind.GONE)[-1] is Kind.GONE
    watched.peer.run(
        lambda: watched.peer.rtnl.set_link("moved0", namespace=watched.client.fd, rename="eth0")
    )
    assert watched.kinds(Kind.APPEARED)[0] is Kind.APPEARED


@root
def test_a_link_that_is_renamed_to_our_name_has_appeared(watched: Watched) -> None:  # rule 63
    """At boot udev renames eth0 to the name that the configuration has."""
    late = watched.client.run(lambda: LoneWatch("ens3"))
    try:
        assert late.link is None
        watched.sh("link set eth0 down", "link set eth0 name ens3", "link set ens3 up")
        events: list[LinkEvent] = []
        while Kind.CARRIER_UP not in [event.kind for event in events]:
            assert select.select([late], [], [], fair_time.longest(5))[0]
            events += watched.client.run(late.read)
        assert [event.kind for event in events] == [Kind.APPEARED, Kind.CARRIER_UP]
    finally:
        late.close()


@root
def test_joining_and_leaving_a_bridge(watched: Watched) -> None:
    watched.sh("link add name br0 type bridge", "link set eth0 master br0")
    assert watched.kinds(Kind.MASTER) == [Kind.MASTER]
    watched.sh("link set eth0 mtu 1400")
    watched.sh("link set eth0 nomaster")
    assert watched.kinds(Kind.MASTER) == [Kind.MASTER]


def test_leaving_a_bridge_is_not_being_removed(watched: Watched) -> None:
    """The bridge sends RTM_DELLINK for its port, of family AF_BRIDGE."""
    watched.sh("link add br0 type bridge", "link set eth0 master br0", "link set eth0 nomaster",
               "addr add 10.0.0.5/24 dev eth0")
    assert Kind.GONE not in watched.kinds(Kind.ADDRESS_ADDED)
    assert watched.watch.link is not None


@root
def test_lost_messages_are_a_resync_after_what_can_be_seen(watched: Watched) -> None:
    fd = watched.watch.fileno()
    with socket.socket(fileno=fd) as small:
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        small.detach()
    watched.sh(*(f"addr add 10.0.{i}.1/24 dev lo" for i in range(20)))
    watched.sh("link set eth0 down", "link set eth0 name wan0", "link set wan0 address 02:00:00:00:00:09")
    events = watched.read(Kind.RESYNC)
    seen = [event.kind for event in events]
    assert {Kind.RENAMED, Kind.NEW_MAC, Kind.CARRIER_DOWN} <= set(seen)
    assert watched.watch.link is not None
    assert watched.watch.link.name == "wan0"
    watched.sh("link set wan0 up")
    assert Kind.CARRIER_UP in watched.kinds(Kind.CARRIER_UP)


@root
def test_a_link_that_went_while_messages_were_lost(watched: Watched) -> None:
    fd = watched.watch.fileno()
    with socket.socket(fileno=fd) as small:
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        small.detach()
    watched.sh(*(f"addr add 10.0.{i}.1/24 dev lo" for i in range(20)), "link del eth0")
    seen = watched.kinds(Kind.RESYNC)
    assert seen.index(Kind.GONE) < seen.index(Kind.RESYNC)
    assert watched.watch.link is None


def test_an_announcement_is_told_from_other_news() -> None:
    """What virtio-net's driver causes when QEMU has a guest announced: linux/if_link.h, IFLA_EVENT."""
    queue: deque[bytes | OSError] = deque()
    with sockets_that_read(queue):
        watch = LoneWatch("lo")
    assert watch.link is not None
    body = struct.pack("=BxHiII", 0, 772, watch.link.ifindex, watch.link.flags, 0)
    body += struct.pack("=HH", 10, 1) + bytes(8) + struct.pack("=HH", 7, 3) + b"lo\0\0"
    for event in (4, 5):  # IFLA_EVENT_NOTIFY_PEERS, IFLA_EVENT_IGMP_RESEND
        whole = body + struct.pack("=HHI", 8, 44, event)
        queue.append(struct.pack("=IHHII", 16 + len(whole), 16, 0, 0, 0) + whole)
    with closing(watch):
        assert [event.kind for event in watch.read()] == [Kind.ANNOUNCED]
    assert not queue


def test_a_flood_does_not_hold_the_loop() -> None:
    queue: deque[bytes | OSError] = deque()
    with sockets_that_read(queue), closing(LoneWatch("lo")) as watch:
        queue.extend([struct.pack("=IHHII", 16, 16, 0, 0, 0)] * 1000)
        assert watch.read() == []
    assert len(queue) == 1000 - MAX_DATAGRAMS


def test_what_is_queued_behind_a_loss_is_not_believed() -> None:
    """It is older than what was lost: an interface would get its former name back, and keep it."""
    name = struct.pack("=HH", 9, 3) + b"old0\0\0\0\0"
    body = struct.pack("=BxHiII", 0, 772, socket.if_nametoindex("lo"), 0x49, 0) + name
    stale = struct.pack("=IHHII", 16 + len(body), 16, 0, 0, 0) + body
    lost = OSError(errno.ENOBUFS, "No buffer space available")
    queue: deque[bytes | OSError] = deque()
    with sockets_that_read(queue):
        watch = LoneWatch("lo")
    queue.extend([lost, stale, lost, stale])
    with closing(watch):
        assert [event.kind for event in watch.read()] == [Kind.RESYNC]
        assert watch.name == "lo"
    assert not queue


def test_a_socket_that_fails_ends_the_reading_quietly() -> None:
    watch = LoneWatch("nonesuch0")
    watch.close()
    assert watch.read() == []


def test_without_netlink_there_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr("holdfast.network.watch.socket.socket", refuse)
    with pytest.raises(LinkError, match="cannot watch the links: Address family"):
        LoneWatch("eth0")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", 0), (b"\x10\0\0", 0), (struct.pack("=IHHII", 4, 1, 0, 0, 0), 0),
        (struct.pack("=IHHII", 400, 1, 0, 0, 0), 0),
        (struct.pack("=IHHII", 17, 1, 0, 0, 0) + b"x" + b"pad" + struct.pack("=IHHII", 16, 2, 0, 0, 0), 2),
    ],
)
def test_datagrams_are_split_and_cut_off_tails_left_out(data: bytes, found: int) -> None:
    assert len(list(split(data))) == found


SCARCITY = [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ETIMEDOUT, errno.ENOENT]


@pytest.mark.parametrize("code", SCARCITY)
def test_a_machine_that_is_short_of_something_says_nothing_of_the_link(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # rule 90: glibc's if_indextoname says ENOENT when there is no descriptor for it
    queue: deque[bytes | OSError] = deque()
    with sockets_that_read(queue):
        watch = LoneWatch("lo")
    queue.append(OSError(errno.ENOBUFS, "No buffer space available"))
    before = watch.link

    def refuse(_: object) -> None:
        raise OSError(code, "short of it")

    with closing(watch):
        with monkeypatch.context() as short:
            short.setattr("holdfast.network.watch.socket.if_indextoname", refuse)
            assert (watch.read(), watch.unsure, watch.link) == ([], True, before)
            assert (watch.read(), watch.unsure, watch.link) == ([], True, before)
        assert [event.kind for event in watch.read()] == [Kind.RESYNC]
        assert (watch.unsure, watch.link) == (False, before)
        assert watch.read() == []


def test_a_link_that_cannot_be_looked_for_is_not_known_to_be_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    # rule 90
    def refuse(_: str) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as short:
        short.setattr(link, "find", refuse)
        watch = LoneWatch("lo")
    assert (watch.link, watch.unsure) == (None, True)
    assert [event.kind for event in watch.read()] == [Kind.APPEARED, Kind.CARRIER_UP, Kind.RESYNC]
    watch.close()


@pytest.mark.parametrize("code", [errno.ENODEV, errno.ENXIO])
def test_only_no_such_device_is_gone(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # rule 90
    def refuse(_: object) -> None:
        raise OSError(code, "no such device")

    queue: deque[bytes | OSError] = deque()
    with sockets_that_read(queue):
        watch = LoneWatch("lo")
    queue.append(OSError(errno.ENOBUFS, "No buffer space available"))
    with closing(watch):
        monkeypatch.setattr("holdfast.network.watch.socket.if_indextoname", refuse)
        monkeypatch.setattr(link, "find", refuse)
        assert [event.kind for event in watch.read()] == [Kind.GONE, Kind.RESYNC]
        assert not watch.unsure


@root
def test_watches_share_a_socket_and_each_gets_its_own(watched: Watched) -> None:
    told: list[str] = []
    watched.sh("link add other0 type bridge")
    messages = watched.client.run(lambda: LinkMessages(lambda: told.append("news")))
    try:
        eth0, other = watched.client.run(lambda: [LinkWatch(name, messages) for name in ("eth0", "other0")])
        absent = LinkWatch("nonesuch0", messages)
        watched.sh("addr add 10.0.0.5/24 dev eth0")
        wait_until(lambda: messages.receive() or eth0.waiting, 5, "the address is told")
        assert told
        assert (eth0.waiting, other.waiting, absent.waiting) == (True, False, False)
        assert other.read() == absent.read() == []
        assert [event.kind for event in eth0.read()] == [Kind.ADDRESS_ADDED]
        assert not eth0.waiting
    finally:
        messages.close()


@root
def test_a_watch_that_comes_later_is_told_nothing_older_than_itself(watched: Watched) -> None:
    messages = watched.client.run(LinkMessages)
    try:
        first = watched.client.run(lambda: LinkWatch("eth0", messages))
        watched.sh("link set eth0 down", "link set eth0 name wan0")
        second = watched.client.run(lambda: LinkWatch("wan0", messages))
        assert second.read() == []
        assert Kind.RENAMED in [event.kind for event in first.read()]
        first.close()
        watched.sh("addr add 10.0.0.5/24 dev wan0")
        assert [event.kind for event in watched.client.run(second.read)][-1] is Kind.ADDRESS_ADDED
        assert first.read() == []
    finally:
        messages.close()


@root
def test_a_loss_is_told_to_every_watch(watched: Watched) -> None:
    queue: deque[bytes | OSError] = deque()
    with sockets_that_read(queue):
        messages = LinkMessages()
    with closing(messages):
        watches = [LinkWatch(name, messages) for name in ("lo", "nonesuch0")]
        queue.append(OSError(errno.ENOBUFS, "No buffer space available"))
        messages.receive()
        assert all(watch.waiting for watch in watches)
        assert [[event.kind for event in watch.read()] for watch in watches] == [[Kind.RESYNC], [Kind.RESYNC]]


@root
def test_our_hardware_addresses_are_asked_for_once_and_followed(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    # rule 71
    asked: list[int] = []
    really = link.own_macs

    def ask() -> dict[int, bytes]:
        asked.append(1)
        return really()

    monkeypatch.setattr(link, "own_macs", ask)
    messages = watched.client.run(LinkMessages)

    def same() -> bool:
        return sorted(watched.client.run(messages.own_macs)) == sorted(watched.client.run(really).values())

    try:
        assert same()
        watched.sh("link add br0 address 02:00:00:00:00:01 type bridge")
        assert same()
        watched.sh("link set br0 address 02:00:00:00:00:02", "link set lo up")
        assert same()
        assert bytes.fromhex("020000000001") not in messages.own_macs()
        watched.sh("link del br0")
        assert same()
        assert asked == [1]
    finally:
        messages.close()
