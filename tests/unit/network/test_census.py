"""network.census: the few attributes of a link that tell what it is, and links as the kernel tells of them."""

from __future__ import annotations

import os
import socket
import struct

import pytest

from holdfast.network import LinkError, census
from holdfast.network.census import Census, Found, all_links, links_in
from holdfast_lab.testbed.fair_time import wait_until
from holdfast_lab.testbed.netns import Namespace


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def link_message(*attributes: bytes, kind: int = 16, family: int = 0, htype: int = 1, flags: int = 0x1043) -> bytes:
    body = struct.pack("=BxHiII", family, htype, 7, flags, 0) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


NAME = attribute(3, b"eth0\0")


def test_hardware_has_no_kind() -> None:
    found = links_in(link_message(NAME) + link_message(attribute(3, b"lo\0"), htype=772, flags=9))
    assert found == [Found("eth0", 7, 1, 0x1043, "", False), Found("lo", 7, 772, 9, "", False)]
    assert [link.ethernet for link in found] == [True, False]


def test_kind_and_master() -> None:
    veth = link_message(NAME, attribute(18 | 0x8000, attribute(1, b"veth\0") + attribute(2, b"")))
    port = link_message(NAME, attribute(10, struct.pack("=I", 3)))
    slave = link_message(NAME, flags=0x1843)
    loose = link_message(NAME, attribute(10, bytes(4)))
    assert [(link.kind, link.enslaved) for link in links_in(veth + port + slave + loose)] == [
        ("veth", False), ("", True), ("", True), ("", False),
    ]


@pytest.mark.parametrize("data", [
    b"", b"\x10", link_message(NAME, kind=17), link_message(NAME, family=7), link_message(), link_message()[:20],
    link_message(attribute(3, b"")), link_message(struct.pack("=HH", 2, 3)), link_message(struct.pack("=HH", 400, 3)),
])
def test_what_is_no_link_is_passed_over(data: bytes) -> None:
    assert links_in(data) == []


@pytest.mark.root
def test_links_of_the_kernel() -> None:
    with Namespace("census") as machine:
        watch = machine.run(Census)
        try:
            machine.output(["ip", "link", "add", "br7", "type", "bridge"])
            machine.output(["ip", "link", "add", "veth7", "type", "veth", "peer", "name", "veth8"])
            machine.output(["ip", "link", "set", "veth7", "master", "br7"])
            found = {link.name: link for link in machine.run(all_links)}
            assert set(found) >= {"lo", "br7", "veth7", "veth8"}
            assert (found["br7"].kind, found["veth7"].kind) == ("bridge", "veth")
            assert (found["veth7"].enslaved, found["veth8"].enslaved) == (True, False)
            assert not found["lo"].ethernet
            told: list[Found] = []

            def all_told() -> bool:
                told.extend(machine.run(watch.read))
                return {"br7", "veth7", "veth8"} <= {link.name for link in told}

            wait_until(all_told, 5, "the kernel tells of the links")
        finally:
            watch.close()


@pytest.mark.root
def test_lost_messages_are_made_up_for() -> None:
    with Namespace("census-flood") as machine:
        watch = machine.run(Census)
        try:
            with socket.socket(fileno=os.dup(watch.fileno())) as small:
                small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            machine.output(["sh", "-ec", "for i in $(seq 40); do ip link add v$i type bridge; done"])
            assert {f"v{i}" for i in range(1, 41)} <= {link.name for link in machine.run(watch.read)}
        finally:
            watch.close()


def test_no_netlink(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> socket.socket:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr(census.socket, "socket", refuse)
    assert all_links() == []
    with pytest.raises(LinkError, match="cannot watch for links"):
        Census()
