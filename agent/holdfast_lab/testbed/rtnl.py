"""Links, addresses and routes of the test bed's namespaces, by pyroute2's IPRoute.

It needs no ``ip`` program, so that the demo runs on a bare machine. What is judged comes from elsewhere: the witness
(``witness/watch.py``) reads netlink by itself.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import wraps
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any, NamedTuple, TypeVar, cast

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

F = TypeVar("F", bound=Callable[..., Any])
FOREVER = 0xFFFFFFFF
_RTN_UNICAST, _RT_TABLE_MAIN, _RT_SCOPE_LINK = 1, 254, 253


class Address(NamedTuple):
    """One IPv4 address on an interface; ``valid`` seconds, None for one without an end."""

    ifindex: int
    interface: IPv4Interface
    valid: int | None


class Route(NamedTuple):
    """One unicast IPv4 route of the main table."""

    ifindex: int
    destination: IPv4Network
    gateway: IPv4Address | None
    metric: int
    protocol: int


def _os_errors(function: F) -> F:
    """The kernel's refusals as OSError with its errno."""

    @wraps(function)
    def called(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except NetlinkError as error:
            raise OSError(error.code, str(error)) from error

    return cast("F", called)


class Rtnl:
    """A NETLINK_ROUTE socket of the namespace in which it was made. Every method raises OSError."""

    def __init__(self) -> None:
        self._kernel = IPRoute()

    def close(self) -> None:
        """Close the socket."""
        self._kernel.close()

    @_os_errors
    def add_veth(self, name: str, peer: str, peer_namespace: int) -> None:
        """A pair of virtual Ethernet ports; ``peer`` appears in the namespace of that file descriptor."""
        self._kernel.link("add", ifname=name, kind="veth", peer={"ifname": peer, "net_ns_fd": peer_namespace})

    @_os_errors
    def add_bridge(self, name: str) -> None:
        """An Ethernet bridge without spanning tree (the kernel's default)."""
        self._kernel.link("add", ifname=name, kind="bridge")

    @_os_errors
    def set_link(
        self,
        name: str,
        *,
        up: bool | None = None,
        address: bytes | None = None,
        master: str | None = None,
        mtu: int | None = None,
        rename: str | None = None,
        namespace: int | None = None,
    ) -> None:
        """Change what is given, leave the rest. ``namespace`` is a file descriptor to move the link to."""
        wanted = {
            "state": None if up is None else "up" if up else "down",
            "address": None if address is None else address.hex(":"),
            "master": None if master is None else socket.if_nametoindex(master) if master else 0,
            "mtu": mtu, "ifname": rename, "net_ns_fd": namespace,
        }  # fmt: skip
        given = {key: value for key, value in wanted.items() if value is not None}
        self._kernel.link("set", index=socket.if_nametoindex(name), **given)

    @_os_errors
    def delete_link(self, name: str) -> None:
        """Remove a link (and its veth peer)."""
        self._kernel.link("del", index=socket.if_nametoindex(name))

    @_os_errors
    def add_address(self, name: str, interface: str, valid: int = FOREVER) -> None:
        """Add or replace ``interface`` ("192.0.2.1/24") on link ``name``; ``valid`` in seconds."""
        network = IPv4Interface(interface).network
        broadcast = {"broadcast": str(network.broadcast_address)} if network.prefixlen < 31 else {}
        self._address("replace", name, interface, preferred_lft=valid, valid_lft=valid, **broadcast)

    @_os_errors
    def delete_address(self, name: str, interface: str) -> None:
        """Remove an address."""
        self._address("del", name, interface)

    def _address(self, command: str, name: str, interface: str, **more: Any) -> None:
        ip = IPv4Interface(interface)
        index = socket.if_nametoindex(name)
        self._kernel.addr(command, index=index, address=str(ip.ip), prefixlen=ip.network.prefixlen, **more)

    @_os_errors
    def add_route(self, name: str, destination: str, gateway: str | None = None, metric: int = 0) -> None:
        """Add a static route over link ``name``."""
        scope = {} if gateway else {"scope": _RT_SCOPE_LINK}
        self._route("add", name, destination, gateway, metric, proto="static", **scope)

    @_os_errors
    def delete_route(self, name: str, destination: str, gateway: str | None = None, metric: int = 0) -> None:
        """Remove a route over link ``name``, whoever made it."""
        self._route("del", name, destination, gateway, metric)

    def _route(
        self, command: str, name: str, destination: str, gateway: str | None, metric: int, **more: Any
    ) -> None:
        given: dict[str, Any] = {"gateway": gateway} if gateway else {}
        given |= {"priority": metric} if metric else {}
        self._kernel.route(command, dst=destination, oif=socket.if_nametoindex(name), **given, **more)

    @_os_errors
    def addresses(self, name: str) -> list[Address]:
        """The IPv4 addresses of link ``name``, in the kernel's order (primaries before their secondaries)."""
        found = self._kernel.get_addr(family=socket.AF_INET, index=socket.if_nametoindex(name))
        return [
            Address(
                one["index"],
                IPv4Interface((one.get("local") or one.get("address"), one["prefixlen"])),
                None if one.get("cacheinfo")["ifa_valid"] == FOREVER else one.get("cacheinfo")["ifa_valid"],
            )
            for one in found
        ]  # fmt: skip

    @_os_errors
    def routes(self, name: str) -> list[Route]:
        """The unicast IPv4 routes of table main over link ``name``."""
        index = socket.if_nametoindex(name)
        found = self._kernel.get_routes(family=socket.AF_INET, table=_RT_TABLE_MAIN, oif=index)
        return [
            Route(
                index, IPv4Network((one.get("dst") or 0, one["dst_len"])),
                IPv4Address(one.get("gateway")) if one.get("gateway") else None, one.get("priority") or 0, one["proto"],
            )
            for one in found if one["type"] == _RTN_UNICAST
        ]  # fmt: skip
