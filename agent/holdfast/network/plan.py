"""The difference between what is and what should be, as operations in order. Pure.

What is ours: the lease's address and the former lease's; an address with our mark (``MARK``, which a
crash between adding the new address and removing the old can leave behind); routes of protocol dhcp
whose preferred source is one of those addresses. Nothing else is ever changed or removed. A route of
protocol dhcp with our address as its source can only come from a client that served this very lease
before us (NetworkManager, networkd and dhcpcd mark theirs so): replacing it by ours is taking over, not
trespassing.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from math import ceil, inf

from holdfast.network import KernelError
from holdfast.network.ops import (
    IFA_F_NOPREFIXROUTE,
    IFA_F_SECONDARY,
    IFA_F_STATE,
    MARK,
    Address,
    AddRoute,
    DeleteAddress,
    DeleteRoute,
    Observed,
    Op,
    PutAddress,
    SetMtu,
)
from holdfast.network.spec import RTPROT_DHCP, NetworkSpec, Route

#: linux/rtnetlink.h: a route added by hand or by a script (iproute2's default).
RTPROT_BOOT = 3

#: Seconds that a stand-in address lives if we die in the middle of a swap.
STAND_IN_LIFETIME = 10


def plan(
    observed: Observed, desired: NetworkSpec, former: NetworkSpec | None, now: float, *, keep: bool = False
) -> list[Op]:
    """What to do, in order: the new address, the routes, and only then what is no longer wanted.

    The same address again is one PutAddress (rule 56); none with ``keep`` and lifetimes that agree. ``now`` is
    CLOCK_BOOTTIME seconds. Raises KernelError when the lease has ended: an ended lease is not configured
    (promise 3).
    """
    put = wanted_address(observed, desired, now)
    stale = _stale_addresses(observed, desired, former)
    sources = {desired.address.ip, *(address.interface.ip for address in stale)}
    if former is not None:
        sources.add(former.address.ip)
    routes = wanted_routes(observed, desired, frozenset(sources - {desired.address.ip}))
    ops: list[Op] = []
    if desired.mtu is not None and desired.mtu != observed.mtu:
        ops.append(SetMtu(desired.mtu))
    if not (keep and _agrees(observed.find(desired.address), put)):
        ops.append(PutAddress(put))
    ops += [AddRoute(route) for route in routes if route not in observed.routes]
    ops += [DeleteRoute(r) for r in observed.routes if _ours(r, sources) and r not in routes]
    return ops + _removals(_after_put(observed.addresses, put), stale, observed.promotes)


def plan_removal(observed: Observed, spec: NetworkSpec) -> list[Op]:
    """Take away the spec's address and routes, and what has our mark; nothing else."""
    doomed = [held for held in observed.addresses if held.has(spec.address) or held.mark == MARK]
    sources = {spec.address.ip, *(address.interface.ip for address in doomed)}
    ops: list[Op] = [DeleteRoute(route) for route in observed.routes if _ours(route, sources)]
    return ops + _removals(observed.addresses, doomed, observed.promotes)


def plan_adoption(observed: Observed, desired: NetworkSpec) -> list[Op]:
    """After a take-over from a client that leaves no mark on its routes (dhclient, udhcpc: scripts).

    To be performed once ours are there: routes "by hand" to a destination of ours, through the same
    gateway, without a source or with ours. They have metric 0, so they would outrank ours for ever, also
    after the address has moved away.
    """
    places = {(route.destination, route.gateway) for route in desired.routes}
    return [
        DeleteRoute(route) for route in observed.routes
        if route.protocol == RTPROT_BOOT
        and (route.destination, route.gateway) in places
        and route.source in (None, desired.address.ip)
    ]


def wanted_address(observed: Observed, desired: NetworkSpec, now: float) -> Address:
    """The address as it should be. One that is there already keeps its label, broadcast, flags and
    metric: another client may have chosen them, and a renewal changes lifetimes only.

    Lifetimes are rounded up, since the kernel counts whole seconds and the address must not go before
    the lease does (rule 40); the agent, when it lives, removes it on the dot.
    """
    left = desired.valid_until - now
    if left <= 0:
        raise KernelError(f"the lease on {desired.address.ip} has ended: it is not configured")
    # The difference of two floats may be a little over a whole second that it is not: a microsecond is nothing.
    seconds = max(1.0, float(ceil(left - 1e-6))) if left < inf else inf
    present = observed.find(desired.address)
    if present is None:
        present = Address(desired.address, desired.broadcast, metric=desired.metric)
    return replace(present, flags=present.flags & ~IFA_F_STATE, valid=seconds, preferred=seconds, mark=MARK)


def _agrees(held: Address | None, wanted: Address) -> bool:
    """Nothing about ``held`` has to change. The kernel tells what is left of a lifetime in whole seconds, rounded
    up as ours are: one that was set for this lease is told as what we would set now, or a second more."""
    if held is None or held.mark != wanted.mark:
        return False
    pairs = ((held.valid, wanted.valid), (held.preferred, wanted.preferred))
    return all(ours == theirs or 0 <= theirs - ours <= 1 for theirs, ours in pairs)


def wanted_routes(
    observed: Observed, desired: NetworkSpec, leaving: frozenset[IPv4Address] = frozenset()
) -> tuple[Route, ...]:
    """The spec's routes, and the prefix route where the kernel makes none.

    The kernel makes it for the first address of a subnet, and not when that one says "noprefixroute":
    NetworkManager and dhcpcd add addresses so, and the route themselves. An address adopted from them
    keeps its flag, so its prefix route is ours to keep; one of theirs that was there first leaves us
    without. Addresses ``leaving`` take routes with their source along.
    """
    network = desired.address.network
    first = next((held for held in observed.addresses if held.interface.network == network), None)
    if first is None or not first.flags & IFA_F_NOPREFIXROUTE or network.prefixlen == 32:
        return desired.routes
    for route in observed.routes:
        if route.destination == network and route.onlink and route.source not in leaving:
            return (route, *desired.routes)
    return (Route(network, None, desired.metric, desired.address.ip), *desired.routes)


def missing(observed: Observed, desired: NetworkSpec, now: float) -> list[str]:
    """What is wanted and not there, for people; empty when all is well. To be asked after applying."""
    wanted = wanted_address(observed, desired, now)
    held = observed.find(desired.address)
    if held is None:
        return [f"address {desired.address}"]
    faults = []
    # A second for the rounding, one for the time since it was set.
    if held.valid != wanted.valid and not abs(held.valid - wanted.valid) <= 2:
        faults.append(f"address {desired.address} with {wanted.valid} s to live (it has {held.valid})")
    faults += [f"route {r}" for r in wanted_routes(observed, desired) if r not in observed.routes]
    return faults


def _stale_addresses(
    observed: Observed, desired: NetworkSpec, former: NetworkSpec | None
) -> list[Address]:
    """Ours, and not wanted: the former lease's; marked ones; and the leased address itself with another
    prefix length and an end (put there by a DHCP client, when the server gave another mask)."""
    return [
        held for held in observed.addresses
        if held.interface != desired.address and (
            (former is not None and held.has(former.address))
            or held.mark == MARK
            or (held.interface.ip == desired.address.ip and held.valid < inf)
        )
    ]


def _ours(route: Route, sources: set[IPv4Address]) -> bool:
    return route.protocol == RTPROT_DHCP and route.source in sources


def _after_put(held: tuple[Address, ...], put: Address) -> tuple[Address, ...]:
    """The addresses as they will be once ``put`` is there: last of its subnet if it is new."""
    if any(address.has(put.interface) for address in held):
        return held
    network = put.interface.network
    if any(address.interface.network == network for address in held):
        put = replace(put, flags=put.flags | IFA_F_SECONDARY)
    return (*held, put)


def _removals(held: tuple[Address, ...], doomed: list[Address], promotes: bool) -> list[Op]:
    """Remove them one by one, ``held`` being what is there before the first."""
    ops: list[Op] = []
    for key in [(address.interface, address.peer) for address in doomed]:
        victim = next(address for address in held if (address.interface, address.peer) == key)
        ops += _removal(held, victim, promotes)
        held = _after_delete(held, victim)
    return ops


def _after_delete(held: tuple[Address, ...], victim: Address) -> tuple[Address, ...]:
    """The addresses once ``victim`` is gone: the next of its subnet is then the primary one."""
    left = [address for address in held if (address.interface, address.peer) != (victim.interface, victim.peer)]
    for at, address in enumerate(left):
        if address.interface.network == victim.interface.network:
            left[at] = replace(address, flags=address.flags & ~IFA_F_SECONDARY)
            break
    return tuple(left)


def _removal(held: tuple[Address, ...], victim: Address, promotes: bool) -> list[Op]:
    """Remove ``victim`` without losing what the kernel would remove with it.

    A primary address takes its secondaries (same subnet, same prefix length, added later) with it
    unless promote_secondaries is on. Where that cannot be switched on, each secondary gets a stand-in:
    the same address as a /32, which belongs to no subnet. So the local address never goes, no
    connection breaks, and the real entry is put back as it was. A stand-in has a short life of its own,
    in case we die in between.
    """
    followers = [
        address for address in held
        if address.secondary and address.interface.network == victim.interface.network
        and address.interface != victim.interface
    ]
    if promotes or victim.secondary or not followers:
        return [DeleteAddress(victim)]
    there = {address.interface for address in held}
    stand_ins = [stand_in for stand_in in map(_stand_in, followers) if stand_in.interface not in there]
    return [
        *(PutAddress(stand_in) for stand_in in stand_ins),
        DeleteAddress(victim),
        *(PutAddress(replace(f, flags=f.flags & ~IFA_F_STATE)) for f in followers),
        *(DeleteAddress(stand_in) for stand_in in stand_ins),
    ]


def _stand_in(address: Address) -> Address:
    return Address(
        IPv4Interface((address.interface.ip, 32)), label=address.label, scope=address.scope,
        valid=STAND_IN_LIFETIME, preferred=STAND_IN_LIFETIME,
    )

