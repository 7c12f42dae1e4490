"""Addresses and routes between two clients: never a moment without, and all put back."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from math import inf
from pathlib import Path

from tests.support.fake_host import FakeHost
from tests.support.takeovers import ADDRESS, DEFAULT, GATEWAY, foreign_lease

from holdfast.network.plan import Address, AddRoute, DeleteRoute, Observed, PutAddress, SetMtu
from holdfast.network.spec import Route, spec_from_lease
from holdfast.takeover import adoption, link_state

LEASE = adoption.to_lease(foreign_lease(10_000.0), Address(ADDRESS, valid=3000.0), 10_000.0)
OURS = Route(DEFAULT.destination, GATEWAY, 100, ADDRESS.ip)
FOREIGN = Route(IPv4Network("198.51.100.0/24"), IPv4Address("192.0.2.7"), 0, None, 3)
HELD = Address(ADDRESS, IPv4Address("192.0.2.255"), "eth0", flags=0x200, valid=100.0, preferred=100.0, mark=0x48)
VIRTUAL = Address(IPv4Interface("192.0.2.99/24"), flags=0x81)


def test_duplicates_go_when_ours_are_there(tmp_path: Path) -> None:
    host, spec = FakeHost(tmp_path), spec_from_lease(LEASE)
    host.observed = Observed((HELD,), (DEFAULT, FOREIGN))
    link_state.adopt(host, "eth0", spec, LEASE)
    assert host.performed == [], "theirs is the only one yet"
    host.observed = Observed((HELD,), (DEFAULT, FOREIGN, OURS))
    link_state.adopt(host, "eth0", spec, LEASE)
    assert host.performed == [DeleteRoute(DEFAULT)]


def test_a_client_without_option_121(tmp_path: Path) -> None:
    """Its default route by option 3's router is a duplicate of the one by option 121."""
    host = FakeHost(tmp_path)
    other = IPv4Address("192.0.2.2")
    lease = LEASE._replace(options={**LEASE.options, 121: b"\0" + other.packed})
    ours = OURS._replace(gateway=other)
    host.observed = Observed((HELD,), (DEFAULT, ours))
    link_state.adopt(host, "eth0", spec_from_lease(lease), lease)
    assert host.performed == [DeleteRoute(DEFAULT)]


def test_put_back() -> None:
    """The former routes first, then ours away, then the lifetime: for ever where it was so."""
    before = Observed((HELD._replace(valid=inf, mark=0), VIRTUAL), (DEFAULT, FOREIGN), 1500)
    now = Observed((HELD, VIRTUAL), (OURS, FOREIGN), 1400)
    ops = link_state.plan_return(now, before, ADDRESS, 3000.0)
    assert ops == [
        AddRoute(DEFAULT), DeleteRoute(OURS),
        PutAddress(HELD._replace(valid=inf, preferred=inf, mark=0)), SetMtu(1500),
    ]
    limited = before._replace(addresses=(HELD._replace(valid=7.0),))
    (put,) = [op for op in link_state.plan_return(now, limited, ADDRESS, 3000.0) if isinstance(op, PutAddress)]
    assert (put.address.valid, put.address.flags) == (3000.0, 0x200)


def test_nothing_to_do() -> None:
    before = Observed((HELD,), (DEFAULT,), 1500)
    assert [op for op in link_state.plan_return(before, before, ADDRESS, 5.0) if not isinstance(op, PutAddress)] == []


def test_an_address_that_has_moved() -> None:
    """The former client's routes follow it; what is not on the interface is not given a lifetime."""
    moved = IPv4Interface("192.0.2.60/24")
    theirs = DEFAULT._replace(source=ADDRESS.ip, protocol=16, metric=1003)
    before = Observed((HELD,), (theirs,), 1500)
    prefix = Route(IPv4Network("192.0.2.0/24"), None, 100, moved.ip)
    ours = OURS._replace(source=moved.ip)
    now = Observed((HELD._replace(interface=moved),), (ours, prefix), 1500)
    ops = link_state.plan_return(now, before, moved, 60.0)
    assert ops[:2] == [AddRoute(theirs._replace(source=moved.ip)), DeleteRoute(ours)]
    assert DeleteRoute(prefix) not in ops, "without it nothing would be on-link"
    assert not any(isinstance(op, PutAddress) for op in link_state.plan_return(now, before, ADDRESS, 60.0))


def test_what_the_journal_keeps() -> None:
    kernel = Route(IPv4Network("192.0.2.0/24"), None, 0, ADDRESS.ip, 2)
    kept = link_state.interesting(Observed((HELD, VIRTUAL), (kernel, DEFAULT, OURS)))
    assert kept.routes == (DEFAULT, OURS)
    assert kept.addresses == (HELD, VIRTUAL)


def test_put_back_by_the_host(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    host.observed = Observed((HELD,), (OURS,))
    link_state.put_back(host, "eth0", Observed((HELD,), (DEFAULT,)), ADDRESS, host.now + 50.0, str)
    assert host.performed[:2] == [AddRoute(DEFAULT), DeleteRoute(OURS)]
