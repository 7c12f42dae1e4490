"""Name servers for systemd-resolved, by its D-Bus interface org.freedesktop.resolve1(5).

resolved keeps what it was told per link, in /run/systemd/resolve/netif, over its own restarts. It refuses
(LinkBusy) while systemd-networkd manages the link. D-Bus is spoken with jeepney, without its blocking
connection, whose first call has no time-out.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from holdfast.network import ResolverError
from holdfast.publish.resolvconf import Names, Target

SYSTEM_BUS = "/run/dbus/system_bus_socket"
SERVICE, PATH, MANAGER = "org.freedesktop.resolve1", "/org/freedesktop/resolve1", "org.freedesktop.resolve1.Manager"

#: Seconds for one message from the bus. resolved answers at once.
TIMEOUT = 2.0

#: Messages read while waiting for one reply. A fresh connection that subscribes to nothing gets the reply
#: and NameAcquired.
MAX_MESSAGES = 16


class Resolved:
    """The first rung of the ladder. ``bus``: the socket of the system bus."""

    name = "systemd-resolved"

    def __init__(self, bus: str = SYSTEM_BUS) -> None:
        self._bus = bus

    def publish(self, link: Target, names: Names) -> bool:
        """Give the link its servers and domains. False when resolved does not run. Raises ResolverError."""
        servers = [(socket.AF_INET, server.packed) for server in names.dns]
        domains = [(domain, False) for domain in names.search]  # False: to be searched, not only routed by
        calls: list[tuple[str, str, tuple[Any, ...]]] = [
            ("SetLinkDNS", "ia(iay)", (link.ifindex, servers)),
            ("SetLinkDomains", "ia(sb)", (link.ifindex, domains)),
        ]
        if names.default_route:
            calls.append(("SetLinkDefaultRoute", "ib", (link.ifindex, True)))
        return self._call(link.ifname, calls)

    def withdraw(self, link: Target) -> bool:
        """Forget the link's servers and domains. False when resolved does not run. Raises ResolverError."""
        return self._call(link.ifname, [("RevertLink", "i", (link.ifindex,))])

    def _call(self, ifname: str, calls: list[tuple[str, str, tuple[Any, ...]]]) -> bool:
        if not os.path.exists(self._bus):
            return False  # early boot, or a machine without D-Bus
        try:
            bus = _Bus(self._bus)
        except OSError as error:
            if error.errno in (errno.ECONNREFUSED, errno.ENOENT):
                return False
            raise ResolverError(f"the system bus does not answer: {error}", temporary=True) from None
        try:
            if not bus.has_owner(SERVICE):
                return False
            for method, signature, body in calls:
                _check(bus.call(method, signature, body), ifname, method)
        except OSError as error:
            raise ResolverError(f"systemd-resolved does not answer: {error}", temporary=True) from None
        finally:
            bus.close()
        return True


def _check(fault: tuple[str, str] | None, ifname: str, method: str) -> None:
    """Raise for a D-Bus error, but for those that mean "nothing to do"."""
    if fault is None:
        return
    error, text = fault
    kind = error.rpartition(".")[2]
    if kind == "NoSuchLink" and method == "RevertLink":
        return
    if kind == "UnknownMethod" and method == "SetLinkDefaultRoute":
        return  # before systemd 240, where every link with servers is a default route
    if kind == "LinkBusy":
        raise ResolverError(
            f"systemd-resolved takes the name servers of {ifname} from systemd-networkd, which manages it: "
            "take the link over from it first"
        )
    raise ResolverError(f"systemd-resolved refuses {method} for {ifname}: {text or error}")


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

    def call(self, method: str, signature: str, body: tuple[Any, ...]) -> tuple[str, str] | None:
        """Call resolved; None when it went well, else the error's name and text."""
        from jeepney import DBusAddress, HeaderFields, MessageType, new_method_call  # noqa: PLC0415

        manager = DBusAddress(PATH, bus_name=SERVICE, interface=MANAGER)
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
