"""network.remains: the lease that an address with our mark was of."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface
from math import inf

import pytest
from tests.support.leases import PLAIN, classless, make_spec

from holdfast.network.plan import MARK, Address
from holdfast.network.remains import lease_of
from holdfast.network.spec import spec_from_lease
from holdfast.wire import options as opt
from holdfast_lab.testbed.fake_kernel import FakeKernel

GCP = {opt.SUBNET_MASK: b"\xff" * 4, opt.CLASSLESS_STATIC_ROUTE: classless(
    ("10.0.0.1/32", "0.0.0.0"), ("0.0.0.0/0", "10.0.0.1"), ("192.168.0.0/17", "10.0.0.1"),
)}


@pytest.mark.parametrize("options", [PLAIN, GCP, {opt.SUBNET_MASK: b"\xff\xff\xff\0"}])
@pytest.mark.parametrize("until", [600.0, inf])
def test_what_was_configured_is_what_is_wanted_again(options: dict[int, bytes], until: float) -> None:
    # rule 89
    kernel = FakeKernel()
    kernel.apply(make_spec("10.0.0.5", options, until=until), None, 0.0)
    lease = lease_of(kernel.observe(), 0.0, 0.0)
    assert lease is not None
    assert (lease.address, lease.server_id, lease.expires_at) == (IPv4Address("10.0.0.5"), None, until)
    addresses, routes = kernel.addresses, kernel.routes
    kernel.apply(spec_from_lease(lease), None, 0.0)
    assert (kernel.addresses, set(kernel.routes)) == (addresses, set(routes))


def test_what_has_no_mark_was_not_ours() -> None:
    # rules 87, 89
    theirs = Address(IPv4Interface("10.0.0.7/24"), valid=9000.0)
    assert lease_of(FakeKernel(addresses=(theirs,)).observe(), 0.0, 0.0) is None
    marked = tuple(Address(IPv4Interface(f"10.0.0.{n}/24"), valid=float(n), mark=MARK) for n in (5, 6))
    lease = lease_of(FakeKernel(addresses=(*marked, theirs)).observe(), 100.0, 0.0)
    assert lease is not None
    assert (str(lease.address), lease.expires_at) == ("10.0.0.6", 106.0)
