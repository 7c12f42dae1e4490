"""Publishing name servers: systemd-resolved, else resolvconf, else /etc/resolv.conf.

That is the order that systemd's own guide for network managers gives. The first that is there is used; one
that is there and refuses is an error, not a reason to go behind its back.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Protocol, Sequence

from holdfast.network import ResolverError
from holdfast.network.resolvconf import ResolvConf, Resolvconf, Target, Write
from holdfast.network.resolved import Resolved
from holdfast.network.spec import NetworkSpec


class Backend(Protocol):
    """One rung of the ladder. Both methods are False when it is not on this machine."""

    @property
    def name(self) -> str: ...
    def publish(self, link: Target, spec: NetworkSpec) -> bool: ...
    def withdraw(self, link: Target) -> bool: ...


def ladder(state_directory: str, write: Write) -> tuple[Backend, ...]:
    """The machine's own. ``write(path, data, mode)`` replaces a file atomically; the former content of
    /etc/resolv.conf is kept in ``state_directory``."""
    saved = os.path.join(state_directory, "resolv.conf.saved")
    return Resolved(), Resolvconf(), ResolvConf(saved, write)


class Resolver:
    """Publishes what leases say about names, for any number of interfaces. Remembers where."""

    def __init__(self, backends: Sequence[Backend]) -> None:
        self._backends = backends
        self._used: dict[int, tuple[Backend, Target]] = {}

    def publish(self, ifname: str, ifindex: int, spec: NetworkSpec) -> str:
        """Hand on the spec's servers and domains; the backend's name. A spec without any withdraws what
        was there. When another backend than last time is there (resolved comes up during boot), the
        former one is cleaned. Raises ResolverError."""
        if not spec.dns and not spec.search:
            return self.withdraw(ifname, ifindex)
        link = Target(ifname, ifindex)
        for backend in self._backends:
            if backend.publish(link, spec):
                former = self._used.get(ifindex)
                if former is not None and former != (backend, link):
                    with suppress(ResolverError):
                        former[0].withdraw(former[1])
                self._used[ifindex] = (backend, link)
                return backend.name
        raise ResolverError("nowhere to publish name servers")

    def withdraw(self, ifname: str, ifindex: int) -> str:
        """Take back what was published; the backend's name, "" when there was nothing. After a restart
        only the last rung is cleaned, whose file says that it is ours: settings in resolved or resolvconf
        could by now be somebody else's. Raises ResolverError."""
        backend, link = self._used.get(ifindex) or (self._backends[-1], Target(ifname, ifindex))
        done = backend.withdraw(link)
        self._used.pop(ifindex, None)
        return backend.name if done else ""
