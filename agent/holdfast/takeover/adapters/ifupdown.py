"""Debian's ifupdown: dhclient, dhcpcd or udhcpc, started by ``ifup`` for an ``iface IF inet dhcp``.

``ifdown`` (also ``systemctl restart networking``, and every shutdown) runs ``dhclient -r``, which sends a RELEASE for
whatever the lease file says, and takes the address away; so it must not see ``inet dhcp``. The overlay sees to that.

The client itself is handled by its own adapter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from holdfast.managers.formats.interfaces5 import INTERFACES
from holdfast.managers.ifupdown import STATE, logical_name, read
from holdfast.takeover.host import Host
from holdfast.takeover.model import Adapter, ForeignLease, Found, Ownership
from holdfast.takeover.overlay_ownership import own_by_overlay


class Ifupdown:
    """See ``model.Adapter``. ``clients`` are the adapters of the clients that it may run."""

    name = "ifupdown"

    def __init__(self, clients: Sequence[Adapter]) -> None:
        self._clients = {adapter.name: adapter for adapter in clients}

    def find(self, host: Host, ifname: str) -> Found | None:
        """A client that serves an interface which ifup has brought up."""
        logical = host.ask(logical_name, ifname)
        if logical is None or not any(stanza.dhcp for stanza in host.ask(read).of(logical)):
            return None
        for adapter in self._clients.values():
            found = adapter.find(host, ifname)
            if found is not None:
                evidence = f"{found.evidence}; {INTERFACES} has `iface {logical} inet dhcp`, and ifup has brought it up"
                facts = {**found.facts, "logical": logical}
                return replace(found, manager=self.name, evidence=evidence, unit="", facts=facts)
        return None

    def read(self, host: Host, found: Found) -> ForeignLease:
        """The client's lease."""
        return self._client(found).read(host, found)

    def own(self, host: Host, found: Found, lease: ForeignLease) -> Ownership:  # noqa: ARG002 - as the others
        """A copy of interfaces(5) in which the link's method is ``manual``. Without systemd nothing starts Holdfast at
        boot, so nothing keeps the old client away then."""
        return own_by_overlay(host, found) if host.systemd else Ownership()

    def stop(self, host: Host, found: Found) -> None:
        """Stop the client; ifupdown itself does not run."""
        self._client(found).stop(host, found)

    def give_back(self, host: Host, found: Found, lease_now: ForeignLease) -> None:
        """Start the client as ifup had; ifupdown still believes that the interface is up."""
        for path, line in ((f"{STATE}.{found.ifname}", found.facts["logical"]),
                           (STATE, f"{found.ifname}={found.facts['logical']}")):
            lines = host.text(path).splitlines()
            if line not in lines:  # after a boot, where ifup has passed over it
                host.write(path, "".join(f"{each}\n" for each in [*lines, line]).encode())
        self._client(found).give_back(host, found, lease_now)

    def _client(self, found: Found) -> Adapter:
        return self._clients[found.client]
