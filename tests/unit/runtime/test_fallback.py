"""A static address for want of a lease: after its time, until there is a lease, and never where none is configured."""

from __future__ import annotations

import errno
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from holdfast.network.spec import NetworkSpec, Route
from holdfast.runtime.interface import Interface
from holdfast_lab.testbed.virtual_host import OURS, Host

FALLBACK = IPv4Interface("198.51.100.7/24")
SPEC = NetworkSpec(FALLBACK, routes=(Route(IPv4Network("0.0.0.0/0"), IPv4Address("198.51.100.1"), 100, FALLBACK.ip),))


def silent_host(spec: NetworkSpec | None = SPEC) -> Host:
    """A host whose server says nothing, with a fallback after 60 s."""
    host = Host()
    host.hold_answers()
    deps = host.deps()._replace(fallback=lambda: None if spec is None else (spec, 60.0))
    host.interface = Interface("eth0", host.loop, host.notes, deps)
    host.interface.begin()
    return host



def test_it_is_used_after_its_time_and_until_there_is_a_lease() -> None:
    host = silent_host()
    host.loop.run(59.0)
    assert host.addresses == []
    assert host.interface.fallback is None
    host.loop.run(2.0)
    assert host.addresses == [FALLBACK.ip]
    assert host.interface.fallback == SPEC
    assert host.arp.sent == [*["probe 198.51.100.7"] * 3, "announce 198.51.100.7"]
    assert [route.source for route in host.kernel.routes if route.destination.prefixlen == 0] == [FALLBACK.ip]
    assert not host.interface.online, "it is no lease"
    assert host.notes.said("the fallback address 198.51.100.7/24 is used until there is one") == 1
    host.resume_answers()
    host.loop.run(120.0)
    assert host.state == "BOUND"
    assert host.addresses == [OURS]
    assert host.interface.fallback is None


def test_a_lease_of_the_same_address_is_taken_over() -> None:
    host = silent_host(SPEC._replace(address=IPv4Interface(f"{OURS}/24"), routes=()))
    host.loop.run(61.0)
    assert host.addresses == [OURS]
    host.resume_answers()
    host.loop.run(120.0)
    assert host.interface.online
    assert host.addresses == [OURS]


def test_none_is_configured() -> None:
    host = silent_host(None)
    host.loop.run(600.0)
    assert host.addresses == []


def test_not_while_yielded_nor_with_a_lease_nor_after_the_end() -> None:
    host = silent_host()
    host.interface.yield_interface(True)
    host.loop.run(61.0)
    assert host.addresses == []
    bound = silent_host()
    bound.resume_answers()
    bound.loop.run(120.0)
    assert bound.addresses == [OURS]
    ended = silent_host()
    ended.interface.end()
    ended.loop.run(61.0)
    assert ended.addresses == []


def test_an_ended_lease_is_followed_by_it() -> None:
    host = silent_host()
    host.resume_answers()
    host.loop.run(50.0)
    assert host.state == "BOUND"
    host.hold_answers()
    host.loop.run(125.0)
    assert host.addresses == []
    host.loop.run(61.0)
    assert host.addresses == [FALLBACK.ip]


def test_a_kernel_that_refuses_is_asked_again() -> None:
    host = silent_host()
    host.kernel.fail_all = errno.ENOMEM
    host.loop.run(61.0)
    assert host.addresses == []
    host.kernel.fail_all = None
    host.loop.run(36.0)
    assert host.addresses == [FALLBACK.ip]
    assert host.notes.said("cannot be used") == 1


def test_an_address_that_somebody_has_is_not_used_until_they_are_gone() -> None:
    host = silent_host()
    host.arp.claimant = b"\x02\0\0\0\0\x77"
    host.loop.run(150.0)
    assert (host.addresses, host.interface.fallback) == ([], None)
    assert host.notes.said("198.51.100.7/24 is not used: 02:00:00:00:00:77 has it") == 1
    assert not host.arp.is_open
    host.arp.claimant = None
    host.loop.run(40.0)
    assert host.addresses == [FALLBACK.ip]


def test_a_card_of_our_own_is_no_conflict() -> None:
    host = silent_host()
    host.arp.claimant = next(iter(host.own_macs))
    host.loop.run(61.0)
    assert host.addresses == [FALLBACK.ip]


def test_what_cannot_be_probed_is_not_used() -> None:
    host = silent_host()
    host.arp.error = OSError(errno.ENETDOWN, "down")
    host.loop.run(61.0)
    assert host.addresses == []
    assert host.notes.said("cannot be used") == 1
    host.arp.error = None
    host.loop.run(40.0)
    assert host.addresses == [FALLBACK.ip]


def test_a_lease_that_comes_while_it_is_probed_ends_the_probing() -> None:
    host = silent_host()
    host.loop.run(57.0)
    assert host.arp.is_open
    host.resume_answers()
    host.loop.run(120.0)
    assert host.addresses == [OURS]
    assert not host.arp.is_open
