"""network.link: interfaces by ioctl."""

from __future__ import annotations

import errno
import fcntl
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from holdfast.network import LinkError, link
from holdfast.network.link import has_address, own_macs, settle_carrier
from holdfast_lab.testbed import fair_time
from holdfast_lab.testbed.fair_time import wait_until
from holdfast_lab.testbed.netns import Namespace, cable, connect

#: An Ethernet protocol for experiments (IEEE 802).
FRAMES = 0x88B5


def test_loopback_is_there_and_no_place_for_dhcp() -> None:
    found = link.find("lo")
    assert (found.name, found.ifindex, found.mac) == ("lo", socket.if_nametoindex("lo"), bytes(6))
    with pytest.raises(LinkError, match="lo is not an Ethernet interface") as caught:
        link.ethernet("lo")
    assert caught.value.errno == errno.EOPNOTSUPP


@pytest.mark.parametrize("name", ["nonesuch0", "", "a-name-too-long-0", "nul\0byte", "a/b"])
def test_a_name_that_is_none_says_what_there_is(name: str) -> None:
    with pytest.raises(LinkError) as caught:
        link.find(name)
    assert caught.value.errno == errno.ENODEV
    text = str(caught.value)
    assert repr(name) in text
    assert "lo" in text
    assert "\n" not in text


@pytest.fixture
def machine() -> Iterator[Namespace]:
    with Namespace("link") as client, Namespace("peer") as peer:
        connect(client, "eth0", peer, "eth0")
        yield client


@pytest.mark.root
def test_carrier_and_setting_up(machine: Namespace) -> None:
    def run() -> None:
        # the kernel works out the operational state a moment after the cable is in
        wait_until(lambda: link.ethernet("eth0").carrier, 5, "eth0 has carrier")
        machine.rtnl.set_link("eth0", up=False)
        down = link.find("eth0")
        assert (down.up, down.carrier) == (False, False)
        link.set_up("eth0")
        link.set_up("eth0")
        assert link.find("eth0").up
        with pytest.raises(LinkError, match="no interface called 'eth7'"):
            link.set_up("eth7")

    machine.run(run)


@pytest.mark.root
def test_an_alternative_name_leads_to_the_real_one(machine: Namespace) -> None:
    machine.output(["ip", "link", "property", "add", "dev", "eth0", "altname", "enp0s3"])
    assert machine.run(lambda: link.find("enp0s3")).name == "eth0"


def test_setting_up_needs_a_right(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(control: socket.socket, request: int, data: bytes) -> bytes:
        if request == link.SIOCSIFFLAGS:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        return data

    monkeypatch.setattr("holdfast.network.link.fcntl.ioctl", refuse)
    with pytest.raises(LinkError, match="CAP_NET_ADMIN") as caught:
        link.set_up("eth0")
    assert caught.value.errno == errno.EPERM


def test_other_errors_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bytes:
        raise OSError(errno.EIO, "x")

    monkeypatch.setattr("holdfast.network.link.fcntl.ioctl", refuse)
    with pytest.raises(LinkError, match="eth0: Input/output error \\(EIO\\)"):
        link.find("eth0")


# -- what is asked besides -----------------------------------------------------------------------

ONE, TWO, NONE = IPv4Address("192.0.2.50"), IPv4Address("192.0.2.51"), IPv4Address("192.0.2.52")


@pytest.fixture
def client() -> Iterator[Namespace]:
    with cable() as (ours, _):
        yield ours


@pytest.mark.root
def test_addresses_secondary_and_labelled_ones_included(client: Namespace) -> None:
    client.run(lambda: client.rtnl.add_address("eth0", f"{ONE}/24"))
    client.output(["ip", "addr", "add", f"{TWO}/24", "dev", "eth0", "label", "eth0:vip"])
    assert client.run(lambda: [has_address("eth0", address) for address in (ONE, TWO, NONE)]) == [True, True, False]
    assert not client.run(lambda: has_address("lo", ONE))


@pytest.mark.root
def test_carrier_is_known_at_once_after_setting_up(client: Namespace) -> None:
    client.run(lambda: client.rtnl.set_link("eth0", up=False))

    def run() -> bool:
        link.set_up("eth0")
        settle_carrier("eth0")
        return link.find("eth0").carrier

    assert client.run(run)


@pytest.mark.root
def test_the_first_packet_after_setting_up_passes_a_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its port wakes up when the kernel has told it of its carrier, which it does some moments after ours is there."""
    monkeypatch.setattr(link, "SETTLING", fair_time.longest(5))  # the kernel may be busy here
    with cable() as (client, server):
        server.output(["ip", "link", "add", "br0", "up", "type", "bridge", "forward_delay", "0"])
        server.output(["ip", "link", "set", "srv0", "master", "br0"])
        behind = server.run(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(FRAMES)))

        def send(number: int) -> None:
            link.set_up("eth0")
            settle_carrier("eth0")
            assert link.find("eth0").carrier
            with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as ours:
                ours.sendto(bytes([number]), ("eth0", FRAMES, 0, 1, b"\xff" * 6))

        with behind:
            behind.bind(("br0", FRAMES))
            behind.settimeout(fair_time.longest(2))
            for number in range(4):
                client.run(lambda: client.rtnl.set_link("eth0", up=False))
                wait_until(lambda: not server.run(lambda: link.find("srv0")).carrier, 5, "the port is asleep")
                client.run(lambda number=number: send(number))  # type: ignore[misc]
                assert behind.recv(1)[0] == number


@pytest.mark.root
def test_a_link_without_a_cable_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(link, "sleep", slept.append)
    monkeypatch.setattr(link, "monotonic", lambda: sum(slept))
    with cable() as (client, server):
        server.run(lambda: server.rtnl.set_link("srv0", up=False))
        wait_until(lambda: not client.run(lambda: link.find("eth0")).carrier, 5, "the cable is out")
        client.run(lambda: settle_carrier("eth0"))
        assert not client.run(lambda: link.find("eth0")).carrier
    assert 0.0 < sum(slept) < 0.005


@pytest.mark.root
def test_our_own_hardware_addresses(client: Namespace) -> None:
    eth0 = client.run(lambda: link.find("eth0"))
    assert client.run(own_macs) == {eth0.ifindex: eth0.mac}


def test_a_kernel_that_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(fcntl, "ioctl", refuse)
    assert not has_address("lo", IPv4Address("127.0.0.1"))
    assert own_macs() == {}
    settle_carrier("lo")


def test_a_link_that_is_not_there() -> None:
    settle_carrier("nonesuch0")
    assert not has_address("nonesuch0", IPv4Address("127.0.0.1"))
    assert has_address("lo", IPv4Address("127.0.0.1"))
