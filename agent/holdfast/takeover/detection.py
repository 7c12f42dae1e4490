"""Finds the client that serves an interface: every adapter looks, and exactly one client must be found."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from holdfast.takeover.adapters.dhclient import Dhclient
from holdfast.takeover.adapters.dhcpcd import Dhcpcd
from holdfast.takeover.adapters.ifcfg import Ifcfg
from holdfast.takeover.adapters.ifupdown import Ifupdown
from holdfast.takeover.adapters.networkd import Networkd
from holdfast.takeover.adapters.networkmanager import NetworkManager
from holdfast.takeover.adapters.udhcpc import Udhcpc
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Host
from holdfast.takeover.model import Adapter, Found

CLIENTS: tuple[Adapter, ...] = (Dhclient(), Dhcpcd(), Udhcpc())
ADAPTERS: tuple[Adapter, ...] = (Networkd(), NetworkManager(), Ifupdown(CLIENTS), Ifcfg(CLIENTS[0]), *CLIENTS)


def adapter_called(name: str, adapters: Sequence[Adapter] = ADAPTERS) -> Adapter:
    """The adapter that a journal names. TakeoverError when there is none of that name."""
    for adapter in adapters:
        if adapter.name == name:
            return adapter
    raise TakeoverError(f"the journal names a client that this version does not know: {name[:40]!r}")


def find_client(
    host: Host, ifname: str, adapters: Sequence[Adapter] = ADAPTERS, holder: Callable[[], str] | None = None
) -> tuple[Adapter, Found]:
    """The one client of ``ifname``. TakeoverError for none and for more; ``holder`` names who has UDP port 68."""
    everyone = [(adapter, found) for adapter in adapters if (found := adapter.find(host, ifname)) is not None]
    clients = [(adapter, found) for adapter, found in everyone if not _covered(found, everyone)]
    if len(clients) > 1:
        names = "; ".join(f"{found.name} ({found.evidence})" for _, found in clients)
        raise TakeoverError(
            f"{len(clients)} DHCP clients serve {ifname}: {names}. Nothing was changed. End all but the one whose "
            "lease counts, by kill -9 and for good, and try again"
        )
    if not clients:
        known = ", ".join(adapter.name for adapter in adapters)
        bound = f"; UDP port 68 is held by {holder()}" if holder is not None else ""
        bound += "".join(f"; passed over: {each}" for each in host.passed_over([adapter.name for adapter in adapters]))
        raise TakeoverError(
            f"no DHCP client that can be taken over serves {ifname} (looked for {known}{bound}). When nothing serves "
            f"it, `holdfast run {ifname}` needs no take-over; an address that was set by hand is to be removed first"
        )
    return clients[0]


def _covered(found: Found, everyone: Sequence[tuple[Adapter, Found]]) -> bool:
    """Drop a client whose manager's adapter found the same process: the manager's adapter knows more."""
    return found.client == found.manager and any(
        other is not found and set(other.pids) & set(found.pids) and other.client != other.manager
        for _, other in everyone
    )
