"""runtime.drift, on an interface with everything around it in memory: contention, and yielding."""

from __future__ import annotations

import errno
import os
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from holdfast.network.spec import RTPROT_DHCP
from holdfast.network.watch import Kind, LinkEvent
from holdfast.runtime.drift import CONTENTION_COUNT, QUIET_PERIOD
from holdfast_lab.testbed.virtual_host import OURS, Host

ADDRESS = IPv4Interface("192.0.2.50/24")


@pytest.fixture
def host() -> Host:
    made = Host(lease_time=86400)
    made.bind()
    return made


def delete_address(host: Host) -> None:
    host.kernel.addresses = ()
    host.interface.links_changed([LinkEvent(Kind.ADDRESS_REMOVED, "eth0", 2, address=ADDRESS)])


def delete_routes(host: Host) -> None:
    host.kernel.routes = ()
    host.interface.links_changed([LinkEvent(Kind.ROUTE_REMOVED, "eth0", 2)])


@pytest.mark.parametrize(("table", "destination", "repaired"), [
    (254, "0.0.0.0/0", True), (1001, "0.0.0.0/0", True), (1001, "198.51.100.0/24", False),
])
def test_routes_of_a_vrf_s_table_are_put_back_and_others_are_no_concern(  # rule 97
    host: Host, table: int, destination: str, repaired: bool
) -> None:
    host.kernel.routes = ()
    host.interface.links_changed([
        LinkEvent(Kind.ROUTE_REMOVED, "eth0", 2, destination=IPv4Network(destination), table=table)])
    host.loop.run(1)
    assert (host.kernel.routes != ()) == repaired


# -- contention (rule 60) ------------------------------------------------------------------------


def test_three_times_is_an_accident(host: Host) -> None:  # rule 60
    for _ in range(CONTENTION_COUNT - 1):
        delete_address(host)
        host.loop.run(1)
    assert host.interface.rival is None
    assert host.addresses == [OURS]


@pytest.mark.parametrize("remove", [delete_address, delete_routes])
def test_contention_is_told_once_and_slows_down(host: Host, remove: object) -> None:
    applied = len(host.kernel.applied)
    for _ in range(600):
        remove(host)  # type: ignore[operator]
        host.loop.run(0.5)
    assert host.notes.said("contention with dhclient (pid 42): 4 times") == 1
    assert host.interface.rival == "dhclient (pid 42)"
    assert len(host.kernel.applied) - applied < 80  # in five minutes

    host.loop.run(60)
    assert host.addresses == [OURS]  # the other has stopped
    assert host.kernel.routes != ()
    host.loop.run(QUIET_PERIOD)
    assert host.notes.said("nobody has taken anything off the interface for 120 s") == 1
    assert host.interface.rival is None
    for _ in range(CONTENTION_COUNT):
        remove(host)  # type: ignore[operator]
        host.loop.run(8)
    assert host.notes.said("contention with") == 2


def test_routes_that_go_with_the_address_are_one_removal(host: Host) -> None:
    for _ in range(CONTENTION_COUNT - 1):
        delete_address(host)
        delete_routes(host)
        host.loop.run(10)
    assert host.interface.rival is None


def test_once_in_a_while_is_no_contention(host: Host) -> None:
    for _ in range(20):
        delete_address(host)
        host.loop.run(31)
    assert host.interface.rival is None


def test_an_idle_agent_has_no_timers_but_the_lease_s(host: Host) -> None:
    delete_address(host)
    host.loop.run(5)
    assert [key[1] for key in host.loop.timers if isinstance(key, tuple)] == ["client"]


# -- yielding -----------------------------------------------------------------------------------


def test_yielded_nothing_is_put_back(host: Host) -> None:
    host.interface.yield_interface(True)
    host.interface.yield_interface(True)
    assert host.notes.said("yielded: the lease is kept") == 1
    delete_routes(host)
    delete_address(host)
    host.loop.run(3600)
    assert (host.addresses, host.kernel.routes) == ([], ())
    assert host.interface.snapshot().lease is not None
    assert not host.interface.awaited
    host.loop.run(50000)  # T1: renewed all the same
    assert host.state == "BOUND"
    assert (host.addresses, host.kernel.routes) == ([], ())
    assert not host.interface.online

    host.interface.yield_interface(False)
    assert host.addresses == [OURS]
    assert host.kernel.routes != ()
    assert host.interface.online
    assert host.notes.said("taken back") == 1


def test_yielded_an_address_that_is_there_lives_on_with_the_lease(host: Host) -> None:
    host.interface.yield_interface(True)
    delete_routes(host)
    for _ in range(5):
        host.loop.run(40000)
        host.kernel.tick(host.clock.now)
    assert host.addresses == [OURS]
    assert [route for route in host.kernel.routes if route.protocol == RTPROT_DHCP] == []
    assert host.interface.online


def test_yielded_the_administrator_s_own_lifetime_is_left_alone(host: Host) -> None:
    host.interface.yield_interface(True)
    [held] = host.kernel.addresses
    host.kernel.addresses = (held._replace(valid=float("inf"), preferred=float("inf")),)
    host.loop.run(50000)
    assert [address.valid for address in host.kernel.addresses] == [float("inf")]


def test_yielded_an_ended_lease_is_not_used(host: Host) -> None:
    """promise 3 holds for an interface that is somebody else's, too."""
    host.interface.yield_interface(True)
    host.server.silent = True
    host.loop.run(90000)
    assert host.addresses == []


def test_yielded_an_address_that_was_made_permanent_does_not_end_with_the_lease(host: Host) -> None:
    """Such an address is the administrator's, and so are the routes through it (rule 58)."""
    host.interface.yield_interface(True)
    [held] = host.kernel.addresses
    routes = host.kernel.routes
    host.kernel.addresses = (held._replace(valid=float("inf"), preferred=float("inf")),)
    host.server.silent = True
    host.loop.run(90000)
    assert host.interface.snapshot().lease is None
    assert (host.addresses, host.kernel.routes) == ([OURS], routes)


def test_it_is_remembered() -> None:
    host = Host()
    host.interface.yield_interface(True)
    other = Host(folder=host.folder)
    other.interface.begin()
    assert other.interface.yielded
    other.loop.run(1)
    assert other.state == "BOUND"
    assert other.addresses == []
    other.interface.yield_interface(False)
    assert other.addresses == [OURS]
    assert os.listdir(host.folder) == []


def test_what_cannot_be_remembered_is_not_done(host: Host) -> None:
    os.rmdir(host.folder)
    with pytest.raises(OSError, match="No such file"):
        host.interface.yield_interface(True)
    assert not host.interface.yielded
    delete_address(host)
    host.loop.run(1)
    assert host.addresses == [OURS]


def test_a_kernel_that_refuses_while_yielded_is_asked_again(host: Host) -> None:
    host.interface.yield_interface(True)
    host.kernel.fail_all = errno.ENOBUFS
    host.loop.run(50000)
    assert any(notice.code.value == "apply-failed" for notice in host.notes.notices)
    host.kernel.fail_all = None
    host.loop.run(100)
    assert host.kernel.observe().addresses[0].interface.ip == IPv4Address(OURS)
