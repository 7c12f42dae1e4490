"""network.apply, on the fake kernel: what fails, what is only told, and what is never done then."""

from __future__ import annotations

import errno
from ipaddress import IPv4Interface

import pytest
from tests.support.leases import PLAIN, classless, make_spec

from holdfast.network import KernelError
from holdfast.network.ops import MARK, Address, DeleteAddress, DeleteRoute, PutAddress
from holdfast.wire import options as opt
from holdfast_lab.testbed.fake_kernel import FakeKernel

OLD, NEW = make_spec("10.0.0.5"), make_spec("10.0.0.9")
JUMBO = make_spec(options={**PLAIN, opt.INTERFACE_MTU: b"\x23\x28"})
VIP = Address(IPv4Interface("10.0.0.100/24"))


@pytest.fixture
def kernel() -> FakeKernel:
    made = FakeKernel()
    made.apply(OLD, None, 0.0)
    made.log.clear()
    made.operations = 0
    return made


def test_a_renewal_is_one_operation(kernel: FakeKernel) -> None:  # rule 56
    assert kernel.apply(make_spec("10.0.0.5", until=9000.0), OLD, 100.0) == ()
    [op] = kernel.log
    assert isinstance(op, PutAddress)
    assert kernel.addresses[0].valid == 8900.0
    assert kernel.deleted_addresses == []


@pytest.mark.parametrize("step", [1, 2])
def test_when_something_cannot_be_added_nothing_is_removed(kernel: FakeKernel, step: int) -> None:  # rules 57, 59
    kernel.fail_on = {step: errno.EPERM}
    with pytest.raises(KernelError, match="EPERM") as caught:
        kernel.apply(NEW, OLD, 0.0)
    assert caught.value.errno == errno.EPERM
    assert kernel.deleted_addresses == []
    assert OLD.routes[0] in kernel.routes
    kernel.apply(NEW, OLD, 0.0)
    assert kernel.held == [NEW.address.ip]
    assert kernel.deleted_addresses == [OLD.address.ip]


def test_a_failed_removal_is_an_error_too_and_the_new_address_is_there(kernel: FakeKernel) -> None:  # rule 59
    kernel.fail_on = {3: errno.EPERM, 4: errno.EPERM}
    with pytest.raises(KernelError, match=r"DeleteRoute.*EPERM"):
        kernel.apply(NEW, OLD, 0.0)
    assert set(kernel.held) == {OLD.address.ip, NEW.address.ip}


def test_several_failures_are_one_line(kernel: FakeKernel) -> None:
    value = classless(("192.0.2.0/24", "10.0.0.1"), ("192.0.3.0/24", "10.0.0.1"))
    routes = {**PLAIN, opt.CLASSLESS_STATIC_ROUTE: value}
    kernel.fail_on = {2: errno.ENOBUFS, 3: errno.ENOBUFS}
    with pytest.raises(KernelError, match=r"ENOBUFS \(and 1 more\)$"):
        kernel.apply(make_spec(options=routes), OLD, 0.0)


def test_an_mtu_that_the_link_refuses_is_told(kernel: FakeKernel) -> None:  # rule 62
    kernel.max_mtu = 1500
    assert kernel.apply(JUMBO, OLD, 0.0) == ("setting the MTU to 9000: EINVAL: the link keeps 1500",)
    kernel.max_mtu = 9000
    assert kernel.apply(JUMBO, OLD, 0.0) == ()
    assert kernel.mtu == 9000


def test_a_nonsensical_route_is_told_and_the_rest_is_done(kernel: FakeKernel) -> None:  # rule 65
    kernel.fail_on = {2: errno.EINVAL}
    [notice] = kernel.apply(NEW, OLD, 0.0)
    assert "EINVAL" in notice
    assert kernel.held == [NEW.address.ip]


def test_what_vanishes_underway_is_found_by_reading_back(kernel: FakeKernel) -> None:  # rule 59
    kernel.on_change = lambda: setattr(kernel, "routes", ())
    with pytest.raises(KernelError, match="read back after applying, not there: route default via"):
        kernel.apply(OLD, OLD, 0.0)
    kernel.on_change = None
    kernel.apply(OLD, OLD, 0.0)
    kernel.on_change = kernel.flush
    with pytest.raises(KernelError, match=r"not there: address 10\.0\.0\.5/24"):
        kernel.apply(OLD, OLD, 0.0)


def test_promotion_is_switched_on_once_or_the_want_of_it_told(kernel: FakeKernel) -> None:  # rule 58
    assert kernel.promotes
    stubborn = FakeKernel(can_promote=False)
    [notice] = stubborn.apply(OLD, None, 0.0)
    assert notice == "switching on promote_secondaries: EROFS: addresses are swapped by hand instead"

    class Forgetful(FakeKernel):
        def promote(self) -> None: ...

    assert "does not stay on" in Forgetful().apply(OLD, None, 0.0)[0]


def test_without_promotion_a_neighbour_s_address_is_never_away() -> None:  # rule 58
    kernel = FakeKernel(can_promote=False)
    kernel.apply(OLD, None, 0.0)
    kernel.perform(PutAddress(VIP))
    seen = []
    kernel.on_change = lambda: seen.append(VIP.interface.ip in kernel.held)
    kernel.apply(NEW, OLD, 0.0)
    kernel.remove(NEW)
    assert all(seen)
    assert [address.interface for address in kernel.addresses] == [VIP.interface]
    assert kernel.deleted_addresses == [OLD.address.ip, NEW.address.ip]


def test_a_removal_that_fails_is_told_after_all_was_tried(kernel: FakeKernel) -> None:
    kernel.fail_on = {1: errno.EPERM}
    with pytest.raises(KernelError, match="DeleteRoute"):
        kernel.remove(OLD)
    assert kernel.held == []
    kernel.remove(OLD)
    assert kernel.removed == [OLD]


def test_a_removal_is_read_back(kernel: FakeKernel) -> None:
    kernel.on_change = lambda: setattr(kernel, "addresses", (Address(OLD.address, mark=MARK),))
    with pytest.raises(KernelError, match=r"still there: address 10\.0\.0\.5/24"):
        kernel.remove(OLD)


def test_time_passes_in_the_fake(kernel: FakeKernel) -> None:  # rule 40
    kernel.perform(PutAddress(VIP))
    kernel.tick(3599.0)
    assert kernel.addresses[0].valid == 1.0
    kernel.tick(3600.0)
    assert kernel.held == [VIP.interface.ip]
    assert OLD.routes[0] not in kernel.routes
    assert kernel.deleted_addresses == []
    with pytest.raises(KernelError, match="has ended"):
        kernel.apply(OLD, None, 3600.0)


def test_the_fake_can_be_flushed_and_fail_for_good(kernel: FakeKernel) -> None:
    kernel.flush()
    assert (kernel.held, kernel.routes) == ([], ())
    kernel.fail_all = errno.ENETDOWN
    with pytest.raises(KernelError, match="ENETDOWN"):
        kernel.apply(OLD, None, 0.0)
    kernel.fail_all = None
    kernel.apply(OLD, None, 0.0)
    assert [type(op) for op in kernel.log if isinstance(op, (DeleteAddress, DeleteRoute))] == []
    assert kernel.applied == [OLD, OLD]
    kernel.close()
    assert kernel.closed
