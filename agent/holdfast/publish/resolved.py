"""Name servers for systemd-resolved, by its D-Bus interface org.freedesktop.resolve1(5).

resolved keeps what it was told per link, in /run/systemd/resolve/netif, over its own restarts. It refuses
(LinkBusy) while systemd-networkd manages the link: then networkd is told (``networkd_link``). D-Bus is spoken with
jeepney, without its blocking connection, whose first call has no time-out.
"""

from __future__ import annotations

import _socket as socket
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from holdfast.network import ResolverError
from holdfast.publish.networkd_link import Call, NetworkdLinks
from holdfast.publish.resolvconf import Target
from holdfast.publish.spool import Names
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, NoReturn

SYSTEM_BUS = "/run/dbus/system_bus_socket"
RESOLVE1, NETWORK1 = "org.freedesktop.resolve1", "org.freedesktop.network1"

#: Seconds for one message from the bus. resolved answers at once.
TIMEOUT = 2.0

#: Messages read while waiting for one reply. A fresh connection that subscribes to nothing gets the reply
#: and NameAcquired.
MAX_MESSAGES = 16


class Resolved:
    """The first rung of the ladder. ``bus``: the socket of the system bus. ``networkd``: for the links that it
    manages."""

    name = "systemd-resolved"

    def __init__(self, networkd: NetworkdLinks, bus: str = SYSTEM_BUS) -> None:
        self._networkd, self._bus = networkd, bus

    def publish(self, link: Target, names: Names) -> bool:
        """Give the link its servers and domains. False when resolved does not run. Raises ResolverError."""
        with self._opened() as bus:
            if bus is None:
                return False
            fault = self._tell_resolved(bus, link, names)
            if fault is None:
                self._networkd.forget(link)
            elif _kind(fault) == "LinkBusy":
                self._networkd.publish(link, names, _caller(bus, NETWORK1, link.ifname))
            else:
                _refuse(fault, RESOLVE1, link.ifname, "SetLinkDNS")
        return True

    def withdraw(self, link: Target) -> bool:
        """Forget the link's servers and domains. False when resolved does not run. Raises ResolverError."""
        with self._opened() as bus:
            if bus is None:
                return False
            fault = bus.call(RESOLVE1, "RevertLink", "i", (link.ifindex,))
            if fault is not None and _kind(fault) == "LinkBusy":
                self._networkd.withdraw(link, _caller(bus, NETWORK1, link.ifname))
            else:
                _check(fault, RESOLVE1, link.ifname, "RevertLink")
        return True

    def _tell_resolved(self, bus: _Bus, link: Target, names: Names) -> tuple[str, str] | None:
        """Tell resolved; the error of its first answer, None when all went well."""
        servers = [(socket.AF_INET, server.packed) for server in names.dns]
        domains = [(domain, names.search_routes) for domain in names.search]  # False: to be searched, too
        fault = bus.call(RESOLVE1, "SetLinkDNS", "ia(iay)", (link.ifindex, servers))
        if fault is None:
            call = _caller(bus, RESOLVE1, link.ifname)
            call("SetLinkDomains", "ia(sb)", (link.ifindex, domains))
            if names.default_route:
                call("SetLinkDefaultRoute", "ib", (link.ifindex, True))
        return fault

    @contextmanager
    def _opened(self) -> Iterator[_Bus | None]:
        """The bus, None where resolved is not there to be told. Raises ResolverError, also for an OSError inside."""
        if not os.path.exists(self._bus):
            yield None  # early boot, or a machine without D-Bus
            return
        try:
            bus = _Bus(self._bus)
        except OSError as error:
            if error.errno not in (errno.ECONNREFUSED, errno.ENOENT):
                raise ResolverError(f"the system bus does not answer: {error}", temporary=True) from None
            bus = None
        if bus is None:
            yield None
            return
        try:
            yield bus if bus.has_owner(RESOLVE1) else None
        except OSError as error:
            raise ResolverError(f"systemd-resolved does not answer: {error}", temporary=True) from None
        finally:
            bus.close()


def _caller(bus: _Bus, service: str, ifname: str) -> Call:
    """Calls methods of ``service``; ResolverError for its errors."""
    return lambda method, signature, body: _check(bus.call(service, method, signature, body), service, ifname, method)


def _kind(fault: tuple[str, str]) -> str:
    return fault[0].rpartition(".")[2]


def _check(fault: tuple[str, str] | None, service: str, ifname: str, method: str) -> None:
    """Raise for a D-Bus error, but for those that mean "nothing to do"."""
    if fault is None:
        return
    if _kind(fault) == "NoSuchLink" and method.startswith("Revert"):
        return
    if _kind(fault) == "UnknownMethod" and method == "SetLinkDefaultRoute":
        return  # before systemd 240, where every link with servers is a default route
    _refuse(fault, service, ifname, method)


def _refuse(fault: tuple[str, str], service: str, ifname: str, method: str) -> NoReturn:
    who = "systemd-networkd" if service == NETWORK1 else "systemd-resolved"
    raise ResolverError(f"{who} refuses {method} for {ifname}: {fault[1] or fault[0]}")


class _Bus:
    """A connection to a message bus for a few calls. Raises OSError (time-outs are one)."""

    def __init__(self, address: str) -> None:
        # 12 ms, needed long after the first DISCOVER only.
        from jeepney import Parser, message_bus  # noqa: PLC0415
        from jeepney.auth import AuthenticationError  # noqa: PLC0415
        from jeepney.io.blocking import prep_socket  # noqa: PLC0415

        self._parser = Parser()
        self._serial = 0
        try:
            self._socket: socket.socket = prep_socket(address, timeout=TIMEOUT)
        except AuthenticationError as error:
            raise OSError(errno.EACCES, str(error)) from None
        self._socket.settimeout(TIMEOUT)
        try:
            self._ask(message_bus.Hello())
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def has_owner(self, name: str) -> bool:
        """Does a service of that name run? It is not started."""
        from jeepney import message_bus  # noqa: PLC0415

        return bool(self._ask(message_bus.NameHasOwner(name)).body[0])

    def call(self, service: str, method: str, signature: str, body: tuple[Any, ...]) -> tuple[str, str] | None:
        """Call the manager object of ``service``; None when it went well, else the error's name and text."""
        from jeepney import DBusAddress, HeaderFields, MessageType, new_method_call  # noqa: PLC0415

        path = "/" + service.replace(".", "/")
        manager = DBusAddress(path, bus_name=service, interface=f"{service}.Manager")
        reply = self._ask(new_method_call(manager, method, signature, body))
        if reply.header.message_type is not MessageType.error:
            return None
        text = reply.body[0] if reply.body and isinstance(reply.body[0], str) else ""
        return str(reply.header.fields[HeaderFields.error_name]), text

    def _ask(self, message: Any) -> Any:
        from jeepney import HeaderFields  # noqa: PLC0415

        self._serial += 1
        self._socket.sendall(message.serialise(serial=self._serial))
        for _ in range(MAX_MESSAGES):
            while (reply := self._parser.get_next_message()) is None:
                data = self._socket.recv(4096)
                if not data:
                    raise OSError(errno.ECONNRESET, "the bus closed the connection")
                self._parser.add_data(data)
            if reply.header.fields.get(HeaderFields.reply_serial) == self._serial:
                return reply
        raise OSError(errno.EPROTO, "the bus sends everything but a reply")
