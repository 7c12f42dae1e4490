"""The interface's addresses and routes between two clients: duplicates removed, and everything restored at a
hand-back."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from math import inf
from typing import TYPE_CHECKING

from holdfast.network.plan import (
    IFA_F_STATE,
    RTPROT_BOOT,
    AddRoute,
    DeleteRoute,
    Observed,
    Op,
    PutAddress,
    SetMtu,
    own_routes,
    plan_adoption,
)
from holdfast.network.spec import RTPROT_DHCP, NetworkSpec, Route
from holdfast.takeover.host import Host
from holdfast.wire import WireError
from holdfast.wire import options as opt

if TYPE_CHECKING:
    from holdfast.core.lease import Lease

DEFAULT = IPv4Network("0.0.0.0/0")
_OTHERS_LIMIT = 512  # a guest's table is a handful; a router's is no business of a journal


def interesting(observed: Observed) -> Observed:
    """What the journal keeps: all but the kernel's own routes, which come and go with the address, and what others have
    put into other tables."""
    routes = [route for route in observed.routes
              if route.protocol == RTPROT_DHCP or (route.protocol == RTPROT_BOOT and not route.table)]
    return observed._replace(routes=tuple(routes[:_OTHERS_LIMIT]))


def adopt(host: Host, ifname: str, spec: NetworkSpec, lease: Lease) -> None:
    """Remove the former client's unmarked duplicates of our routes, once ours are there, so that there is always
    one."""
    observed = host.observe(ifname)
    if any(route not in observed.routes for route in own_routes(observed, spec)):
        return  # the agent reports the error and tries again; until then theirs are the only ones
    # A client that does not know option 121 uses option 3's router: its default route is a duplicate, too.
    extra = () if DEFAULT not in {route.destination for route in spec.routes} else tuple(
        Route(DEFAULT, router, spec.metric, spec.address.ip) for router in _routers(lease)
    )
    ops = plan_adoption(observed, spec._replace(routes=(*spec.routes, *extra)))
    host.perform(ifname, ops, lambda _text: None)


def _routers(lease: Lease) -> tuple[IPv4Address, ...]:
    try:
        return opt.addresses(lease.options.get(opt.ROUTER, b""))
    except WireError:
        return ()


def put_back(
    host: Host, ifname: str, before: Observed, address: IPv4Interface, expires_at: float, say: Callable[[str], None]
) -> None:
    """Restore the former client's routes, remove ours, then set the address's lifetime: that client finds the interface
    as it left it. When the lease has another address by now, its routes follow. What cannot be restored is reported."""
    observed = host.observe(ifname)
    host.perform(ifname, plan_return(observed, before, address, expires_at - host.boottime()), say)


def plan_return(observed: Observed, before: Observed, address: IPv4Interface, left: float) -> list[Op]:
    """As ``put_back``; pure. ``left``: seconds until the lease ends."""
    former = {held.interface.ip for held in before.addresses}
    tables = {0, *(route.table for route in before.routes)}
    moved = address.ip not in former
    wanted = [
        route._replace(source=address.ip) if moved and route.source in former else route for route in before.routes
    ]
    ops: list[Op] = [AddRoute(route) for route in wanted if route not in observed.routes]
    ops += [
        DeleteRoute(route) for route in observed.routes
        if route.protocol == RTPROT_DHCP and route.source == address.ip and route.table in tables
        and route not in wanted
        # the prefix route of an address that the kernel made none for
        and not (route.onlink and route.destination == address.network)
    ]
    held = observed.find(address)
    if held is not None and left > 0:
        was = before.find(address)
        seconds = inf if (was is not None and was.valid == inf) or left == inf else max(1.0, left)
        put = held._replace(flags=held.flags & ~IFA_F_STATE, valid=seconds, preferred=seconds, mark=0)
        ops.append(PutAddress(put))
    if before.mtu and before.mtu != observed.mtu:
        ops.append(SetMtu(before.mtu))
    return ops

