"""runtime.configurator: what the driver's own tests do not reach."""

from __future__ import annotations

import errno
from ipaddress import IPv4Address, IPv4Interface
from math import inf
from pathlib import Path

import pytest

from holdfast.core.lease import Lease
from holdfast.network import KernelError
from holdfast.network.link import Link
from holdfast.network.plan import MARK, Address
from holdfast.network.spec import spec_from_lease
from holdfast.runtime.configurator import Configurator
from holdfast.runtime.ports import NetworkBackends
from holdfast.state.markers import ForeignAddress, YieldMarker
from holdfast_lab.testbed.fake_kernel import FakeKernel
from holdfast_lab.testbed.virtual_host import MAC, OURS, UP, MemoryResolver, Notes, VirtualClock, VirtualLoop, lease_of

LINK = Link("eth0", 2, MAC, 1, UP)
OTHER = IPv4Address("192.0.2.60")


class Bench:
    """A configurator and the one kernel behind it."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.loop = VirtualLoop(self.clock)
        self.notes, self.resolver = Notes(), MemoryResolver()
        self.kernel = FakeKernel(now=self.clock.now)
        self.opened: list[int] = []
        self.configurator = Configurator(
            NetworkBackends(spec_from_lease, self.make_kernel, lambda: self.resolver), self.loop, self.notes,
            YieldMarker("/nonexistent", "eth0"),
        )
        self.configurator.attach(LINK)
        self.lease = lease_of(self.clock)

    def make_kernel(self, ifindex: int) -> FakeKernel:
        self.opened.append(ifindex)
        return self.kernel

    @property
    def addresses(self) -> list[IPv4Address]:
        return [address.interface.ip for address in self.kernel.addresses]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def _moved(lease: Lease) -> Lease:
    return lease._replace(address=OTHER)


def test_a_move_is_new_before_old(bench: Bench) -> None:
    assert bench.configurator.configure(bench.lease, None) is None
    assert bench.configurator.configure(_moved(bench.lease), bench.lease) is None
    assert bench.addresses == [OTHER]
    assert bench.kernel.deleted_addresses == [OURS]


def test_a_former_lease_of_an_earlier_life_is_replaced_too(bench: Bench) -> None:
    bench.configurator.configure(bench.lease, None)
    bench.configurator.spec = None  # as after a restart: only the core knows of the former lease
    bench.configurator.configure(_moved(bench.lease), bench.lease)
    assert bench.addresses == [OTHER]


def test_without_a_link_it_says_so(bench: Bench) -> None:
    bench.configurator.detach()
    assert bench.configurator.configure(bench.lease, None) == "the interface is gone"
    bench.configurator.deconfigure(bench.lease)
    bench.loop.run(10)
    assert bench.notes.lines == []
    assert bench.resolver.published == []


def test_another_index_is_another_kernel(bench: Bench) -> None:
    bench.configurator.configure(bench.lease, None)
    bench.configurator.attach(LINK)
    assert bench.configurator.spec is not None
    bench.configurator.attach(LINK._replace(ifindex=9))
    assert bench.configurator.spec is None
    bench.configurator.configure(bench.lease, None)
    assert bench.opened == [2, 9]


def test_the_end_of_a_lease_that_could_not_replace_another_removes_both(bench: Bench) -> None:
    bench.configurator.configure(bench.lease, None)
    bench.kernel.fail_all = errno.ENOMEM
    assert bench.configurator.configure(_moved(bench.lease), bench.lease) is not None
    bench.kernel.fail_all = None
    bench.configurator.deconfigure(_moved(bench.lease))
    assert bench.addresses == []


def test_what_is_waiting_to_be_removed_is_not_when_it_is_wanted_again(bench: Bench) -> None:
    bench.configurator.configure(bench.lease, None)
    bench.kernel.fail_all = errno.ENOMEM
    bench.configurator.deconfigure(bench.lease)
    bench.kernel.fail_all = None
    bench.configurator.configure(bench.lease, None)
    bench.loop.run(30)
    assert bench.addresses == [OURS]


def test_removing_what_was_left_over_does_not_take_the_new_address_along(bench: Bench) -> None:
    # rules 58, 59; promise 2: both addresses carry our mark
    bench.configurator.configure(bench.lease, None)
    bench.kernel.fail_all = errno.ENOBUFS
    bench.configurator.deconfigure(bench.lease)
    bench.kernel.fail_all = None
    bench.configurator.configure(_moved(bench.lease), None)
    routes = bench.kernel.routes
    bench.loop.run(30)
    assert bench.addresses == [OTHER]
    assert OTHER not in bench.kernel.deleted_addresses
    assert bench.kernel.routes == routes


def test_a_lease_that_was_only_half_configured_leaves_nothing_when_the_next_one_comes(bench: Bench) -> None:
    # rule 52: "two addresses never stay", on kernels that do not keep our mark too
    bench.configurator.configure(bench.lease, None)
    half, last = _moved(bench.lease), bench.lease._replace(address=IPv4Address("192.0.2.70"))
    bench.kernel.fail_on = {bench.kernel.operations + 2: errno.ENOMEM}  # its address is put, its route not
    assert bench.configurator.configure(half, bench.lease) is not None
    bench.kernel.addresses = tuple(address._replace(mark=0) for address in bench.kernel.addresses)
    assert bench.addresses == [OURS, OTHER]
    assert bench.configurator.configure(last, half) is None
    assert bench.addresses == [last.address]


def test_the_end_of_a_half_configured_lease_leaves_nothing_of_those_before(bench: Bench) -> None:
    bench.configurator.configure(bench.lease, None)
    half, last = _moved(bench.lease), bench.lease._replace(address=IPv4Address("192.0.2.70"))
    for lease, former in ((half, bench.lease), (last, half)):
        bench.kernel.fail_on = {bench.kernel.operations + 2: errno.ENOMEM}
        assert bench.configurator.configure(lease, former) is not None
        bench.kernel.addresses = tuple(address._replace(mark=0) for address in bench.kernel.addresses)
    bench.configurator.deconfigure(last)
    assert bench.addresses == []


def test_what_is_left_out_of_an_offer_is_told_once(bench: Bench) -> None:
    odd = bench.lease._replace(options={**bench.lease.options, 26: b"\x00\x10"})
    for _ in range(3):
        bench.configurator.configure(odd, None)
    assert len(bench.notes.lines) == 1
    assert "interface-mtu" in bench.notes.lines[0].lower().replace(" ", "-")


def test_a_resolver_may_be_absent(bench: Bench) -> None:
    loop = bench.loop
    backends = NetworkBackends(spec_from_lease, lambda _: bench.kernel, lambda: None)
    configurator = Configurator(backends, loop, bench.notes, YieldMarker("/nonexistent", "eth0"))
    configurator.attach(LINK)
    configurator.configure(bench.lease, None)
    loop.run(1)
    configurator.close()
    assert bench.kernel.closed
    assert bench.addresses == [OURS]


# -- the MTU (rule 62) ---------------------------------------------------------------------------


def _smaller(lease: Lease) -> Lease:
    return lease._replace(options={**lease.options, 26: (1400).to_bytes(2, "big")})


def test_the_mtu_goes_with_the_lease(bench: Bench) -> None:
    lease = _smaller(bench.lease)
    bench.configurator.configure(lease, None)
    bench.configurator.configure(lease, None)
    assert bench.kernel.mtu == 1400
    bench.configurator.deconfigure(lease)
    assert bench.kernel.mtu == 1500


def test_an_mtu_that_somebody_set_since_is_his(bench: Bench) -> None:
    lease = _smaller(bench.lease)
    bench.configurator.configure(lease, None)
    bench.kernel.mtu = 1300
    bench.configurator.deconfigure(lease)
    assert bench.kernel.mtu == 1300


def test_an_mtu_that_was_there_before_stays(bench: Bench) -> None:
    lease = _smaller(bench.lease)
    bench.kernel.mtu = 1400
    bench.configurator.configure(lease, None)
    bench.configurator.deconfigure(lease)
    assert bench.kernel.mtu == 1400


def test_an_mtu_that_cannot_be_put_back_is_told(bench: Bench) -> None:
    lease = _smaller(bench.lease)
    bench.configurator.configure(lease, None)
    bench.kernel.max_mtu = 1450
    bench.configurator.deconfigure(lease)
    assert bench.addresses == []
    assert bench.notes.said("the link keeps 1400") == 1


def test_the_former_mtu_comes_back_whatever_the_last_answer_said_of_it(bench: Bench) -> None:
    # rule 86
    bench.kernel.ipv6 = True
    lease = _smaller(bench.lease)
    bench.configurator.configure(lease, None)
    tiny = lease._replace(options={**lease.options, 26: (576).to_bytes(2, "big")})
    bench.configurator.configure(tiny, None)
    assert (bench.kernel.mtu, bench.notes.said("MTU of 576 is refused")) == (1400, 1)
    bench.configurator.configure(lease._replace(options={**lease.options, 26: (1450).to_bytes(2, "big")}), None)
    assert bench.kernel.mtu == 1450
    bench.configurator.configure(tiny, None)
    bench.configurator.deconfigure(tiny)
    assert bench.kernel.mtu == 1500


# -- an address that was there before (rule 87)


@pytest.fixture
def theirs(bench: Bench) -> Address:
    """The administrator has the address that we are about to lease."""
    held = Address(IPv4Interface((OURS, 24)), label="vip")
    bench.kernel.addresses = (held,)
    return held


def test_an_address_that_is_on_the_link_without_our_mark_is_neither_adopted_nor_removed(
    bench: Bench, theirs: Address
) -> None:
    # rule 87
    for _ in range(3):
        assert bench.configurator.configure(bench.lease, None) is None
    assert (bench.kernel.addresses, bench.kernel.log) == ((theirs,), [])
    assert bench.notes.said("is on the interface already") == 1
    bench.configurator.deconfigure(bench.lease)
    bench.loop.run(30)
    assert (bench.kernel.addresses, bench.kernel.log) == ((theirs,), [])


def test_an_address_of_others_stays_when_the_lease_moves_from_it(bench: Bench, theirs: Address) -> None:
    # rule 87
    bench.configurator.configure(bench.lease, None)
    assert bench.configurator.configure(_moved(bench.lease), bench.lease) is None
    assert bench.addresses == [OURS, OTHER]
    bench.configurator.deconfigure(_moved(bench.lease))
    assert bench.kernel.addresses == (theirs,)


def test_a_lease_that_moves_to_an_address_of_others_leaves_nothing_of_its_own(bench: Bench, theirs: Address) -> None:
    # rule 87
    bench.configurator.configure(_moved(bench.lease), None)
    assert bench.addresses == [OURS, OTHER]
    bench.configurator.configure(bench.lease, _moved(bench.lease))
    assert bench.kernel.addresses == (theirs,)


def test_an_address_of_others_is_ours_once_they_have_taken_it_away(bench: Bench, theirs: Address) -> None:
    # rule 87
    bench.configurator.configure(bench.lease, None)
    bench.kernel.flush()
    assert bench.configurator.configure(bench.lease, None) is None
    [held] = bench.kernel.addresses
    assert (held.mark, held.valid < inf, held.label) == (MARK, True, None)
    bench.configurator.deconfigure(bench.lease)
    assert bench.addresses == []


def test_an_address_of_others_is_known_after_a_restart(bench: Bench, theirs: Address, tmp_path: Path) -> None:
    # rule 87: the lease file says that it is ours, and would say so of a client's that was taken over, too
    def life() -> Configurator:
        marker = ForeignAddress(str(tmp_path / "eth0.foreign"))
        backends = NetworkBackends(spec_from_lease, bench.make_kernel, lambda: None, foreign=marker)
        configurator = Configurator(backends, bench.loop, bench.notes, YieldMarker("/nonexistent", "eth0"))
        configurator.attach(LINK)
        return configurator

    life().configure(bench.lease, None)
    second = life()
    second.adopt(OURS)
    second.configure(bench.lease, None)
    second.deconfigure(bench.lease)
    assert (bench.kernel.addresses, bench.kernel.log) == ((theirs,), [])
    bench.kernel.flush()
    third = life()
    third.configure(bench.lease, None)
    assert not (tmp_path / "eth0.foreign").exists()


def test_the_address_of_a_remembered_lease_is_ours_without_a_mark(bench: Bench, theirs: Address) -> None:
    # rule 87: a client that was taken over left it, or a kernel that keeps no marks
    bench.configurator.adopt(OURS)
    assert bench.configurator.configure(bench.lease, None) is None
    [held] = bench.kernel.addresses
    assert (held.mark, held.valid < inf) == (MARK, True)


def test_a_kernel_that_does_not_say_whose_an_address_is_is_asked_again(bench: Bench) -> None:
    # rule 87
    def refuse(_: IPv4Address) -> bool:
        raise KernelError("reading addresses: ENOBUFS", errno.ENOBUFS)

    bench.kernel.foreign = refuse  # type: ignore[method-assign]
    assert bench.configurator.configure(bench.lease, None) == "reading addresses: ENOBUFS"
    assert bench.addresses == []
