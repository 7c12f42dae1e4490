"""The difference between what an interface has and what it should have: as operations in order, carried out, read back.

Pure: what is carried out goes to a ``Port``, which is the kernel's (``kernel.py``) or a fake's.

What is ours: the lease's address and the former lease's; an address with our mark (``MARK``, which a
crash between adding the new address and removing the old can leave behind); routes of protocol dhcp
whose preferred source is one of those addresses. Nothing else is ever changed or removed. A route of
protocol dhcp with our address as its source can only come from a client that served this very lease
before us (NetworkManager, networkd and dhcpcd mark theirs so), so it is replaced by ours.

The order is promise 5: everything new is added before anything is removed. When something could not be added, nothing
is removed; the error is raised, and the next attempt does the rest.
"""

from __future__ import annotations

import errno
from ipaddress import IPv4Address, IPv4Interface
from math import ceil, inf

from holdfast.network import KernelError
from holdfast.network.rtnl import RT_TABLE_MAIN
from holdfast.network.spec import MIN_IPV6_MTU, RTPROT_DHCP, NetworkSpec, Route
from holdfast.wire.record import NamedTuple, Protocol, record

#: linux/rtnetlink.h: a route added by hand or by a script (iproute2's default).
RTPROT_BOOT, RTPROT_STATIC = 3, 4

#: Lifetime in seconds of a temporary /32 address, in case this process ends in the middle of a swap.
STAND_IN_LIFETIME = 10

#: rtnetlink(7), linux/if_addr.h.
IFA_F_SECONDARY, IFA_F_NOPREFIXROUTE = 0x01, 0x200
#: Flags that say how the kernel sees the address now, not how it was asked for.
IFA_F_STATE = IFA_F_SECONDARY | 0x08 | 0x20 | 0x40 | 0x80  # dadfailed, deprecated, tentative, permanent

#: IFA_PROTO (linux 5.18, linux/if_addr.h) says who put an address there; 0 to 3 are the kernel's, the
#: rest is free. Ours is "H". Older kernels have no such attribute; then only ``former`` identifies what is ours.
MARK = 0x48


@record
class Address(NamedTuple):
    """An IPv4 address of the interface. Lifetimes are seconds from now, inf for none.

    ``peer`` is IFA_ADDRESS where it differs from the local address (point-to-point). ``metric`` is the
    priority of the prefix route that the kernel makes. ``mark`` is IFA_PROTO.
    """

    interface: IPv4Interface
    broadcast: IPv4Address | None = None
    label: str | None = None
    scope: int = 0
    flags: int = 0
    valid: float = inf
    preferred: float = inf
    metric: int = 0
    mark: int = 0
    peer: IPv4Address | None = None

    @property
    def secondary(self) -> bool:
        """True when another address of the same subnet was there first."""
        return bool(self.flags & IFA_F_SECONDARY)

    def has(self, interface: IPv4Interface) -> bool:
        """It is this address with exactly this prefix length, and not a tunnel's end (it has a peer), which may be
        the same."""
        return self.interface == interface and self.peer is None


@record
class Observed(NamedTuple):
    """The interface as the kernel has it. ``addresses`` in the kernel's order; ``routes`` of the link's own table (its
    number is ``table``: main, or its VRF's), and of other tables where they were looked for.

    ``promotes``: when a primary address goes, its secondaries stay (sysctl promote_secondaries).
    ``up``: administratively; when it is not, the kernel takes no routes. ``ipv6``: the link speaks IPv6. ``port_of``:
    kind and name of the bridge or the like that gets the link's packets. ``also_on``: other interfaces that have the
    address that was looked for.
    """

    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    mtu: int = 1500
    promotes: bool = True
    up: bool = True
    ipv6: bool = False
    port_of: str = ""
    also_on: tuple[str, ...] = ()
    table: int = RT_TABLE_MAIN

    def find(self, interface: IPv4Interface) -> Address | None:
        """The one that ``has`` it."""
        return next((held for held in self.addresses if held.has(interface)), None)


@record
class SetMtu(NamedTuple):
    """Set the link's MTU, without taking it down."""

    mtu: int


@record
class PutAddress(NamedTuple):
    """Add the address, or replace the lifetimes of the one that is there (RTM_NEWADDR with replace)."""

    address: Address


@record
class DeleteAddress(NamedTuple):
    """Remove exactly this address."""

    address: Address


@record
class AddRoute(NamedTuple):
    """Add the route, with ``metrics`` (``NetworkSpec.route_metrics``). A route with the same destination stays."""

    route: Route
    metrics: tuple[tuple[str, int], ...] = ()


@record
class DeleteRoute(NamedTuple):
    """Remove exactly this route."""

    route: Route


Op = SetMtu | PutAddress | DeleteAddress | AddRoute | DeleteRoute


# -- what to do, in order ------------------------------------------------------------------------


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
    if desired.mtu is not None and desired.mtu != observed.mtu and not _stops_ipv6(observed, desired):
        ops.append(SetMtu(desired.mtu))
    if not (keep and _agrees(observed.find(desired.address), put)):
        ops.append(PutAddress(put))
    ops += [AddRoute(route, desired.route_metrics) for route in routes if route not in observed.routes]
    ops += [DeleteRoute(r) for r in observed.routes if _ours(r, sources) and r not in routes]
    return ops + _removals(_after_put(observed.addresses, put), stale, observed.promotes)


def _stops_ipv6(observed: Observed, desired: NetworkSpec) -> bool:
    """The MTU is too small for IPv6: the kernel would remove IPv6 from the link, and not restore it (rule 86)."""
    return observed.ipv6 and desired.mtu is not None and desired.mtu < MIN_IPV6_MTU


def plan_removal(observed: Observed, spec: NetworkSpec) -> list[Op]:
    """Remove the spec's address and routes, and what has our mark; nothing else."""
    doomed = [held for held in observed.addresses if held.has(spec.address) or held.mark == MARK]
    sources = {spec.address.ip, *(address.interface.ip for address in doomed)}
    ops: list[Op] = [DeleteRoute(route) for route in observed.routes if _ours(route, sources)]
    return ops + _removals(observed.addresses, doomed, observed.promotes)


def plan_adoption(observed: Observed, desired: NetworkSpec) -> list[Op]:
    """After a take-over from a client that leaves no mark on its routes (dhclient, udhcpc: scripts).

    To be performed once ours are there: routes "by hand" to a destination of ours, through the same gateway, without a
    source or with ours. They have metric 0, so they would outrank ours for ever, also after the address has moved away.
    One of another metric than 0 or ours is no script's: it is left alone. networkd has those that it makes by the
    router of a lease in other tables without a source, or marks them as static.
    """
    table = _table(observed, desired)
    routes = own_routes(observed, desired)
    places = {(route.destination, route.gateway) for route in routes if route.table == table}
    elsewhere = {(route.destination, route.gateway, route.metric, route.table) for route in routes
                 if route.table != table}
    return [
        DeleteRoute(route) for route in observed.routes
        if route.source in (None, desired.address.ip) and (
            (route.protocol == RTPROT_BOOT and (route.destination, route.gateway) in places
             and route.table == table and route.metric in (0, desired.metric))
            or ((route.protocol == RTPROT_STATIC or (route.protocol == RTPROT_DHCP and route.source is None))
                and (route.destination, route.gateway, route.metric, route.table) in elsewhere))
    ]


def wanted_address(observed: Observed, desired: NetworkSpec, now: float) -> Address:
    """The address as it should be. One that is there already keeps its label, broadcast, flags and
    metric: another client may have chosen them, and a renewal changes lifetimes only.

    Lifetimes are rounded up, since the kernel counts whole seconds and the address must not go before
    the lease does (rule 40). A running agent removes the address exactly at the lease's end.
    """
    left = desired.valid_until - now
    if left <= 0:
        raise KernelError(f"the lease on {desired.address.ip} has ended: it is not configured")
    # The difference of two floats may exceed a whole second by a rounding error: a microsecond is ignored.
    seconds = max(1.0, float(ceil(left - 1e-6))) if left < inf else inf
    present = observed.find(desired.address)
    if present is None:
        # The kernel would put the prefix route into the link's own table, with no metrics.
        flags = IFA_F_NOPREFIXROUTE if _table(observed, desired) or desired.route_metrics else 0
        present = Address(desired.address, desired.broadcast, desired.label, metric=desired.metric, flags=flags)
    return present._replace(flags=present.flags & ~IFA_F_STATE, valid=seconds, preferred=seconds, mark=MARK)


def _agrees(held: Address | None, wanted: Address) -> bool:
    """True when nothing about ``held`` has to change. The kernel returns the rest of a lifetime in whole seconds,
    rounded up as ours are: a lifetime that was set for this lease is what we would set now, or a second more."""
    if held is None or held.mark != wanted.mark:
        return False
    pairs = ((held.valid, wanted.valid), (held.preferred, wanted.preferred))
    return all(ours == theirs or 0 <= theirs - ours <= 1 for theirs, ours in pairs)


def wanted_routes(
    observed: Observed, desired: NetworkSpec, leaving: frozenset[IPv4Address] = frozenset()
) -> tuple[Route, ...]:
    """The spec's routes, in its table, and the prefix route where the kernel makes none there.

    The kernel makes it in the link's own table, for the first address of a subnet, and not when that one says
    "noprefixroute": NetworkManager and dhcpcd add addresses so, and the route themselves. An address adopted from them
    keeps its flag, so its prefix route is ours to keep; one of theirs that was there first leaves us
    without. Addresses ``leaving`` take routes with their source along.
    """
    network, table = desired.address.network, _table(observed, desired)
    routes = own_routes(observed, desired)
    first = next((held for held in observed.addresses if held.interface.network == network), None)
    made = not desired.route_metrics if first is None else not first.flags & IFA_F_NOPREFIXROUTE
    if (made and not table) or network.prefixlen == 32:
        return routes
    for route in observed.routes:
        if route.destination == network and route.onlink and route.source not in leaving and route.table == table:
            return (route, *routes)
    mtu = dict(desired.route_metrics).get("mtu", 0)
    return (Route(network, None, desired.metric, desired.address.ip, mtu=mtu, table=table), *routes)


def own_routes(observed: Observed, desired: NetworkSpec) -> tuple[Route, ...]:
    """The spec's routes, as they are read back: those of the link's own table have none."""
    own = _table(observed, desired)
    return tuple(route._replace(table=0 if route.table == observed.table else route.table or own)
                 for route in desired.routes)


def _table(observed: Observed, desired: NetworkSpec) -> int:
    """The table of the spec's routes, 0 for the link's own."""
    return 0 if desired.table == observed.table else desired.table


def missing(observed: Observed, desired: NetworkSpec, now: float) -> list[str]:
    """A text for each wanted object that is missing; empty when there is none. Call it after applying."""
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
    """Addresses of ours that must go: the former lease's; marked ones; and the leased address itself with another
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
        put = put._replace(flags=put.flags | IFA_F_SECONDARY)
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
            left[at] = address._replace(flags=address.flags & ~IFA_F_SECONDARY)
            break
    return tuple(left)


def _removal(held: tuple[Address, ...], victim: Address, promotes: bool) -> list[Op]:
    """Remove ``victim`` without losing what the kernel would remove with it.

    A primary address takes its secondaries (same subnet, same prefix length, added later) with it
    unless promote_secondaries is on. Where that cannot be switched on, each secondary is also added as a
    /32, which belongs to no subnet. So the local address is there all the time, no connection breaks, and the real
    entry is restored as it was. The /32 has a short lifetime, in case this process ends in between.
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
        *(PutAddress(f._replace(flags=f.flags & ~IFA_F_STATE)) for f in followers),
        *(DeleteAddress(stand_in) for stand_in in stand_ins),
    ]


def _stand_in(address: Address) -> Address:
    return Address(
        IPv4Interface((address.interface.ip, 32)), label=address.label, scope=address.scope,
        valid=STAND_IN_LIFETIME, preferred=STAND_IN_LIFETIME,
    )


# -- doing it, and reading back ------------------------------------------------------------------


class Port(Protocol):
    """The kernel as the operations need it. Every method raises KernelError."""

    def observe(self, *specs: NetworkSpec) -> Observed:
        """The interface as it is now; with ``specs`` at least what concerns them, and what has our mark."""

    def promote(self) -> None:
        """Switch promote_secondaries on for the interface."""

    def perform(self, op: Op) -> None:
        """Perform one operation."""


def apply(
    port: Port, desired: NetworkSpec, former: NetworkSpec | None, now: float, *, keep: bool = False
) -> tuple[str, ...]:
    """Apply the plan; see ``Kernel.apply``."""
    observed, notices = _observe_promoting(port, *((desired, former) if former is not None else (desired,)))
    if _stops_ipv6(observed, desired):
        notices.append(
            f"the server's MTU of {desired.mtu} is refused: IPv6, which the link has, needs {MIN_IPV6_MTU}; "
            f"the link keeps {observed.mtu}"
        )
    notices += _misplaced(observed, desired)
    refused: list[Route] = []
    failures: list[KernelError] = []
    for op in plan(observed, desired, former, now, keep=keep):
        if failures and isinstance(op, (DeleteRoute, DeleteAddress)):
            break
        try:
            port.perform(op)
        except KernelError as error:
            if isinstance(op, SetMtu):
                notices.append(f"{error}: the link keeps {observed.mtu}")
            elif isinstance(op, AddRoute) and error.errno == errno.EINVAL:
                # The kernel refuses this route as invalid, and would again: the rest of the lease is used.
                refused.append(op.route)
                notices.append(str(error))
            elif isinstance(op, PutAddress) and op.address.interface == desired.address:
                raise  # without it no route can be added either
            else:
                failures.append(error)
    if failures:
        why = "" if observed.up else "the link is down: "
        others = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise KernelError(f"{why}{failures[0]}{others}", failures[0].errno)
    absent = _absent(port, desired, refused, now)
    if absent:
        raise KernelError(f"read back after applying, not there: {', '.join(absent)}")
    return tuple(notices)


def _misplaced(observed: Observed, desired: NetworkSpec) -> list[str]:
    """Why the address may carry nothing, though the kernel takes it."""
    notices = []
    if observed.port_of:
        notices.append(
            f"the link is a port of the {observed.port_of}, which gets its packets, so no address of the port is "
            f"reached: have Holdfast serve {observed.port_of.partition(' ')[2]}, or take the link out of it"
        )
    if observed.also_on:
        notices.append(
            f"{desired.address.ip} is on {', '.join(observed.also_on)} too, and packets to it may be answered there: "
            "remove it from one of the two"
        )
    return notices


def refresh(port: Port, spec: NetworkSpec, now: float) -> bool:
    """Set the address's lifetimes; see ``Kernel.refresh``. An address without an end is an administrator's."""
    observed = port.observe(spec)
    held = observed.find(spec.address)
    if held is not None and held.valid < inf:
        port.perform(PutAddress(wanted_address(observed, spec, now)))
    return held is not None


def remove(port: Port, spec: NetworkSpec, *, yielded: bool = False) -> None:
    """Remove the spec's address and routes; see ``Kernel.remove``. Goes on after an error, and raises the first."""
    observed, _ = _observe_promoting(port, spec)
    held = observed.find(spec.address)
    if yielded and held is not None and held.valid == inf and spec.valid_until < inf:
        return  # made permanent by the administrator: see refresh
    _perform_all(port, plan_removal(observed, spec))
    if port.observe(spec).find(spec.address) is not None:
        raise KernelError(f"read back after removing, still there: address {spec.address}")


def _perform_all(port: Port, ops: list[Op]) -> None:
    failures: list[KernelError] = []
    for op in ops:
        try:
            port.perform(op)
        except KernelError as error:
            failures.append(error)
    if failures:
        raise failures[0]


def _observe_promoting(port: Port, *specs: NetworkSpec) -> tuple[Observed, list[str]]:
    """Switch promote_secondaries on, and return what is there. From now on no removal of ours, and no expiry in the
    kernel, removes an address of another program (rule 58)."""
    observed = port.observe(*specs)
    if observed.promotes:
        return observed, []
    try:
        port.promote()
        observed = port.observe(*specs)
    except KernelError as error:
        return observed, [f"{error}: addresses are swapped by hand instead"]
    if observed.promotes:
        return observed, []
    return observed, ["promote_secondaries does not stay on: addresses are swapped by hand instead"]


def _absent(port: Port, desired: NetworkSpec, refused: list[Route], now: float) -> list[str]:
    absent = missing(port.observe(desired), desired, now)
    excused = {f"route {route}" for route in refused}
    return [what for what in absent if what not in excused]
