"""What an interface has, and what can be done to it: the vocabulary of ``plan.py``, which ``kernel.py`` speaks."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from math import inf
from typing import Union

from holdfast.network.spec import Route

#: rtnetlink(7), linux/if_addr.h.
IFA_F_SECONDARY, IFA_F_NOPREFIXROUTE = 0x01, 0x200
#: Flags that say how the kernel sees the address now, not how it was asked for.
IFA_F_STATE = IFA_F_SECONDARY | 0x08 | 0x20 | 0x40 | 0x80  # dadfailed, deprecated, tentative, permanent

#: IFA_PROTO (linux 5.18, linux/if_addr.h) says who put an address there; 0 to 3 are the kernel's, the
#: rest is free. Ours is "H". Older kernels leave it out, and then only ``former`` tells what is ours.
MARK = 0x48


@dataclass(frozen=True)
class Address:
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


@dataclass(frozen=True)
class Observed:
    """The interface as the kernel has it. ``addresses`` in the kernel's order; ``routes`` of table main.

    ``promotes``: when a primary address goes, its secondaries stay (sysctl promote_secondaries).
    ``up``: administratively; when it is not, the kernel takes no routes.
    """

    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    mtu: int = 1500
    promotes: bool = True
    up: bool = True

    def find(self, interface: IPv4Interface) -> Address | None:
        """The one that ``has`` it."""
        return next((held for held in self.addresses if held.has(interface)), None)


@dataclass(frozen=True)
class SetMtu:
    """Set the link's MTU, without taking it down."""

    mtu: int


@dataclass(frozen=True)
class PutAddress:
    """Add the address, or replace the lifetimes of the one that is there (RTM_NEWADDR with replace)."""

    address: Address


@dataclass(frozen=True)
class DeleteAddress:
    """Remove exactly this address."""

    address: Address


@dataclass(frozen=True)
class AddRoute:
    """Add the route beside whatever has the same destination; never in its place."""

    route: Route


@dataclass(frozen=True)
class DeleteRoute:
    """Remove exactly this route."""

    route: Route


Op = Union[SetMtu, PutAddress, DeleteAddress, AddRoute, DeleteRoute]
