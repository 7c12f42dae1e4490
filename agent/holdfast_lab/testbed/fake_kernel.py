"""A kernel in memory, with the rules of the real one that bite, and faults on demand. For tests.

It is driven through the same plan and the same reading back as the real one, so what is asserted here
(``deleted_addresses``, ``log``) is what the real one would have been asked to do.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface
from math import inf
from typing import Callable

from holdfast.network import KernelError
from holdfast.network import plan as plans
from holdfast.network.plan import (
    IFA_F_NOPREFIXROUTE,
    IFA_F_SECONDARY,
    Address,
    AddRoute,
    DeleteAddress,
    Observed,
    Op,
    PutAddress,
    SetMtu,
)
from holdfast.network.spec import NetworkSpec, Route

RTPROT_KERNEL = 2


@dataclass
class FakeKernel:
    """One interface. The public fields are its state and may be set by a test at any time.

    ``now`` is CLOCK_BOOTTIME seconds; ``tick`` moves it and lets addresses expire. ``can_promote``
    False: promote_secondaries cannot be switched on. ``fail_on`` maps the number of an operation
    (``operations`` counts them from 1 over the fake's life) to the errno it fails with; ``fail_all``
    fails every one.
    ``log`` is every operation that was carried out. ``on_change`` is called after each, so that an
    invariant can be checked at every step.
    """

    ifindex: int = 2
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    mtu: int = 1500
    max_mtu: int = 65535
    promotes: bool = False
    ipv6: bool = False
    can_promote: bool = True
    now: float = 0.0
    fail_on: dict[int, int] = field(default_factory=dict)
    fail_all: int | None = None
    log: list[Op] = field(default_factory=list)
    applied: list[NetworkSpec] = field(default_factory=list)
    removed: list[NetworkSpec] = field(default_factory=list)
    on_change: Callable[[], None] | None = None
    closed: bool = False
    operations: int = 0

    # -- what Kernel offers ----------------------------------------------------------------------

    def apply(
        self, desired: NetworkSpec, former: NetworkSpec | None, now: float, *, keep: bool = False
    ) -> tuple[str, ...]:
        """As ``Kernel.apply``."""
        self.tick(now)
        notices = plans.apply(self, desired, former, now, keep=keep)
        self.applied.append(desired)
        return notices

    def foreign(self, address: IPv4Address) -> bool:
        """As ``Kernel.foreign``."""
        marks = [held.mark for held in self.addresses if held.interface.ip == address]
        return bool(marks) and plans.MARK not in marks

    def refresh(self, spec: NetworkSpec, now: float) -> bool:
        """As ``Kernel.refresh``."""
        self.tick(now)
        return plans.refresh(self, spec, now)

    def present_mtu(self) -> int:
        """As ``Kernel.present_mtu``."""
        return self.mtu

    def put_mtu_back(self, ours: int, former: int) -> None:
        """As ``Kernel.put_mtu_back``."""
        if self.mtu == ours:
            self.perform(SetMtu(former))

    def remove(self, spec: NetworkSpec, *, yielded: bool = False) -> None:
        """As ``Kernel.remove``."""
        plans.remove(self, spec, yielded=yielded)
        self.removed.append(spec)

    def close(self) -> None:
        """As ``Kernel.close``."""
        self.closed = True

    def observe(self, *_: NetworkSpec) -> Observed:
        """As ``Kernel.observe``."""
        return Observed(self.addresses, self.routes, self.mtu, self.promotes, ipv6=self.ipv6)

    def promote(self) -> None:
        """As ``Kernel.promote``."""
        if not self.can_promote:
            raise KernelError("switching on promote_secondaries: EROFS", errno.EROFS)
        self.promotes = True

    def perform(self, op: Op) -> None:
        """As ``Kernel.perform``."""
        self.operations += 1
        code = self.fail_on.get(self.operations, self.fail_all)
        if code is not None:
            raise KernelError(f"{op}: {errno.errorcode[code]}", code)
        if isinstance(op, SetMtu):
            if op.mtu > self.max_mtu:
                raise KernelError(f"setting the MTU to {op.mtu}: EINVAL", errno.EINVAL)
            self.mtu = op.mtu
        elif isinstance(op, PutAddress):
            self._put(op.address)
        elif isinstance(op, DeleteAddress):
            self._delete(op.address.interface)
        elif isinstance(op, AddRoute):
            self._add_route(op.route)
        else:
            self._delete_route(op.route)
        self.log.append(op)
        if self.on_change is not None:
            self.on_change()

    # -- what tests ask --------------------------------------------------------------------------

    @property
    def deleted_addresses(self) -> list[IPv4Address]:
        """Every address that was removed on request, in order, stand-ins left out."""
        gone = [op.address for op in self.log if isinstance(op, DeleteAddress)]
        return [address.interface.ip for address in gone if not self._stood_in(address)]

    @property
    def held(self) -> list[IPv4Address]:
        """The addresses that are there now."""
        return [address.interface.ip for address in self.addresses]

    def flush(self) -> None:
        """Somebody else removes everything (``ip addr flush``)."""
        for interface in [address.interface for address in self.addresses]:
            if self.observe().find(interface) is not None:
                self._delete(interface)

    def tick(self, now: float) -> None:
        """Move to ``now``: lifetimes count down, addresses whose life is over go."""
        passed, self.now = now - self.now, now
        aged = [
            a._replace(valid=a.valid - passed, preferred=max(0.0, a.preferred - passed))
            for a in self.addresses
        ]
        self.addresses = tuple(aged)
        for address in aged:
            if address.valid <= 0 and self.observe().find(address.interface) is not None:
                self._delete(address.interface)

    # -- the kernel's rules ----------------------------------------------------------------------

    def _stood_in(self, address: Address) -> bool:
        return address.interface.network.prefixlen == 32 and address.valid < inf and any(
            isinstance(op, PutAddress) and op.address == address for op in self.log
        )

    def _put(self, address: Address) -> None:
        """inet_rtm_newaddr: an entry that is there keeps all but lifetimes, metric and protocol."""
        for at, held in enumerate(self.addresses):
            if held.interface == address.interface:
                updated = held._replace(valid=address.valid, preferred=address.preferred, metric=address.metric,
                    mark=address.mark,
                )
                self.addresses = (*self.addresses[:at], updated, *self.addresses[at + 1:])
                self._prefix_routes()
                return
        network = address.interface.network
        first = not any(held.interface.network == network for held in self.addresses)
        flags = address.flags & ~IFA_F_SECONDARY | (0 if first else IFA_F_SECONDARY)
        self.addresses = (*self.addresses, address._replace(flags=flags))
        self._prefix_routes()

    def _delete(self, interface: IPv4Interface) -> None:
        """inet_del_ifa: a primary address takes its secondaries along, or the first of them moves up."""
        victim = self.observe().find(interface)
        if victim is None:
            return
        left = [held for held in self.addresses if held.interface != interface]
        mates = [held for held in left if held.interface.network == interface.network]
        if not victim.secondary and mates:
            if self.promotes:
                left[left.index(mates[0])] = mates[0]._replace(flags=mates[0].flags & ~IFA_F_SECONDARY)
            else:
                left = [held for held in left if held not in mates]
        self.addresses = tuple(left)
        locals_left = {held.interface.ip for held in left}
        # Routes with a source that is gone go too; all of them with the last address (fib_disable_ip).
        self.routes = tuple(
            route for route in self.routes
            if left and (route.source is None or route.source in locals_left)
        )
        self._prefix_routes()

    def _prefix_routes(self) -> None:
        """Every primary address has its prefix route, unless it said noprefixroute or is a /32."""
        wanted = tuple(
            Route(held.interface.network, None, held.metric, held.interface.ip, RTPROT_KERNEL)
            for held in self.addresses
            if not held.secondary and not held.flags & IFA_F_NOPREFIXROUTE
            and held.interface.network.prefixlen < 32
        )
        others = tuple(route for route in self.routes if route.protocol != RTPROT_KERNEL)
        self.routes = (*wanted, *others)

    def _add_route(self, route: Route) -> None:
        """fib_table_insert with NLM_F_APPEND; the gateway must be reachable on the link."""
        if route in self.routes:
            return
        if route.gateway is not None and not any(
            route.gateway in other.destination for other in self.routes if other.onlink
        ):
            raise KernelError(f"adding route {route}: ENETUNREACH", errno.ENETUNREACH)
        if route.source is not None and route.source not in self.held:
            raise KernelError(f"adding route {route}: EINVAL", errno.EINVAL)
        self.routes = (*self.routes, route)

    def _delete_route(self, asked: Route) -> None:
        """fib_table_delete: no metric and no source stand for any; the lowest metric is found first."""
        fitting = [
            route for route in self.routes
            if (route.destination, route.gateway, route.protocol)
            == (asked.destination, asked.gateway, asked.protocol)
            and asked.metric in (0, route.metric) and asked.source in (None, route.source)
        ]
        if fitting:
            victim = min(fitting, key=lambda route: route.metric)
            self.routes = tuple(route for route in self.routes if route != victim)
