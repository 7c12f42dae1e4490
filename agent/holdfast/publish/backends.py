"""Publishing name servers: systemd-resolved, else resolvconf, else with NetworkManager's or dhcpcd's, else
/etc/resolv.conf.

That is the order that systemd's own guide for network managers gives. The first that is there is used; one
that is there and refuses is an error, not a reason to go behind its back.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from holdfast.network import ResolverError
from holdfast.publish.dhcpcd_file import DhcpcdFile
from holdfast.publish.networkd_link import NetworkdLinks, said
from holdfast.publish.resolvconf import NetworkManagerFile, ResolvConf, Resolvconf, Target, Write
from holdfast.publish.resolved import Resolved
from holdfast.publish.spool import Names
from holdfast.wire.lean import suppress
from holdfast.wire.record import Protocol


class Backend(Protocol):
    """One way to publish. Both methods return False when this machine does not have it."""

    @property
    def name(self) -> str:
        """Its name in the publisher's state."""

    def publish(self, link: Target, names: Names) -> bool:
        """Publish ``names`` for the link. Raises ResolverError when the backend is there and refuses."""

    def withdraw(self, link: Target) -> bool:
        """Withdraw what was published for the link. Raises ResolverError."""


def ladder(state_directory: str, write: Write, say: Callable[[str], object]) -> tuple[Backend, ...]:
    """The machine's own. ``write(path, data, mode)`` replaces a file atomically; the former content of
    /etc/resolv.conf is kept in ``state_directory``. ``say(text)``: why a backend that is there is not used."""
    saved = os.path.join(state_directory, "resolv.conf.saved")
    networkd = NetworkdLinks(state_directory, write, said)
    return Resolved(networkd), Resolvconf(say), NetworkManagerFile(write), DhcpcdFile(write), ResolvConf(saved, write)


class Resolver:
    """Publishes what leases say about names, for any number of interfaces. ``used`` is where an earlier one
    published: ifindex -> (the backend's name, the interface's name)."""

    def __init__(self, backends: Sequence[Backend], used: Mapping[int, tuple[str, str]] | None = None) -> None:
        self._backends = backends
        by_name = {backend.name: backend for backend in backends}
        self._used = {
            ifindex: (by_name[name], Target(ifname, ifindex))
            for ifindex, (name, ifname) in (used or {}).items() if name in by_name
        }

    @property
    def used(self) -> dict[int, tuple[str, str]]:
        """Where names are published now, for a later Resolver."""
        return {ifindex: (backend.name, link.ifname) for ifindex, (backend, link) in self._used.items()}

    def publish(self, ifname: str, ifindex: int, names: Names) -> str:
        """Hand on servers and domains; the backend's name. Without any, what was there is withdrawn. When
        another backend than last time is there (resolved comes up during boot), the former one is cleaned.
        Raises ResolverError."""
        if not names.dns and not names.search:
            return self.withdraw(ifname, ifindex)
        link = Target(ifname, ifindex)
        for backend in self._backends:
            if backend.publish(link, names):
                former = self._used.get(ifindex)
                if former is not None and former != (backend, link):
                    with suppress(ResolverError):
                        former[0].withdraw(former[1])
                self._used[ifindex] = (backend, link)
                return backend.name
        raise ResolverError("nowhere to publish name servers")

    def withdraw(self, ifname: str, ifindex: int) -> str:
        """Take back what was published; the backend's name, "" when there was nothing. Where it is not known
        only the last rung is cleaned, whose file says that it is ours: settings in resolved or resolvconf
        could by now be somebody else's. Raises ResolverError."""
        backend, link = self._used.get(ifindex) or (self._backends[-1], Target(ifname, ifindex))
        done = backend.withdraw(link)
        self._used.pop(ifindex, None)
        return backend.name if done else ""
