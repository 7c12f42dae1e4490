"""network.link: interfaces by ioctl."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest
from tests.support.servers import wait_until

from holdfast.network import LinkError, link
from holdfast_lab.testbed.netns import Namespace, connect


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
