"""What an earlier agent left on the link, read as the lease that it was of (rule 89).

The kernel's lifetime on the address is the lease's, but for what the machine slept; the mark says that it was ours, and
the routes are what the server gave. The rest (server, name servers) is lost with the lease file until a server answers.
"""

from __future__ import annotations

from math import inf

from holdfast.core.lease import Lease
from holdfast.network.plan import MARK, Observed
from holdfast.network.spec import RTPROT_DHCP, Route
from holdfast.wire import options as opt


def lease_of(observed: Observed, now: float, asleep: float) -> Lease | None:
    """The lease of the address with our mark that lasts longest; None when there is none. ``now`` and the lease's
    instants are seconds of CLOCK_BOOTTIME. The kernel's lifetimes do not count suspend: ``asleep``, the seconds of it
    since the boot, may all have been since the address was put there, and are taken off."""
    marked = [held for held in observed.addresses if held.mark == MARK]
    if not marked:
        return None
    held = max(marked, key=lambda address: address.valid)
    routes = [
        route for route in observed.routes if route.protocol == RTPROT_DHCP and route.source == held.interface.ip
    ]
    # Scripts for policy routing copy them into further tables.
    routes = [route for route in routes if route.table == routes[0].table]
    options = {opt.SUBNET_MASK: held.interface.netmask.packed}
    if routes:
        options[opt.CLASSLESS_STATIC_ROUTE] = b"".join(_classless(route) for route in routes)
    left = max(0.0, held.valid - asleep)
    t1, t2 = (now + left * share if left < inf else inf for share in (0.5, 0.875))
    return Lease(held.interface.ip, None, now, t1, t2, now + left, left, options, verified=False)


def _classless(route: Route) -> bytes:
    """One route as option 121 has it (RFC 3442)."""
    length = route.destination.prefixlen
    gateway = route.gateway.packed if route.gateway is not None else bytes(4)
    return bytes((length,)) + route.destination.network_address.packed[:(length + 7) // 8] + gateway
