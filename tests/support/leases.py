"""Leases and network specs for tests of ``network`` and of what uses it, without a packet."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from math import inf

from holdfast.core.lease import Lease
from holdfast.network.spec import NetworkSpec, spec_from_lease
from holdfast.wire import options as opt


def packed(*addresses: str) -> bytes:
    """Addresses as an option's value."""
    return b"".join(IPv4Address(address).packed for address in addresses)


def classless(*routes: tuple[str, str]) -> bytes:
    """(destination, gateway) pairs as the value of option 121 (RFC 3442)."""
    value = b""
    for destination, gateway in routes:
        network = IPv4Network(destination)
        significant = network.network_address.packed[:(network.prefixlen + 7) // 8]
        value += bytes([network.prefixlen]) + significant + packed(gateway)
    return value


#: A subnet of 256, a router, and nothing else.
PLAIN = {opt.SUBNET_MASK: packed("255.255.255.0"), opt.ROUTER: packed("10.0.0.1")}


def make_lease(
    address: str = "10.0.0.5", options: Mapping[int, bytes] = PLAIN, *, start: float = 0.0, time: float = 3600.0
) -> Lease:
    """A lease of ``time`` seconds from ``start`` (CLOCK_BOOTTIME), T1 and T2 as usual."""
    return Lease(
        address=IPv4Address(address), server_id=IPv4Address("10.0.0.1"), started_at=start,
        t1_at=start + time / 2, t2_at=start + time * 7 / 8, expires_at=start + time, lease_time=time,
        options=options,
    )


def make_spec(
    address: str = "10.0.0.5", options: Mapping[int, bytes] = PLAIN, *, until: float = 3600.0,
    metric: int = 100, subnet_metric: int | None = None,
) -> NetworkSpec:
    """The spec of a lease that ends at ``until``."""
    lease = make_lease(address, options, time=until if until != inf else inf)
    return spec_from_lease(lease, metric=metric, subnet_metric=subnet_metric)
