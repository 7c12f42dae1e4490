"""A Varlink server (varlink.org/Wire-Protocol) on the agent's own loop: JSON and a NUL, over a Unix socket.

Nothing a client does can block the agent or make it grow: sockets never block, messages and clients are bounded, one
call of one client is served in a round of the loop, and the next only when its answer has gone out. A method is called
with parameters that are as the interface's definition declares them. A method may answer ``more`` than once; a client
that does not read what it gets is disconnected. ``upgrade`` is refused, because no method here goes on in another
protocol.
"""

from __future__ import annotations

import _socket as socket
import select

from holdfast import __version__
from holdfast.control.interface import SERVICE, definition
from holdfast.control.unix_socket import accept, listen, permitted, remove
from holdfast.eventloop.ports import EVENT_READ, EVENT_WRITE
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from holdfast.eventloop.ports import Loop

    #: What a method gets: every parameter that the definition declares, None where an optional one was not given.
    Parameters = Mapping[str, Any]
    Method = Callable[[Parameters, "Reply"], None]
    #: The methods of one interface by their short names.
    Methods = Mapping[str, Method]

#: Bytes of one call; ours have about a hundred.
MESSAGE_LIMIT = 16 << 10
#: Clients at a time: a person, a monitor and a few scripts. When one more connects, the connection that was idle
#: longest is closed, so that no client can lock the others out.
CLIENT_LIMIT = 16
#: Seconds without accepting after accept(2) has failed (no descriptor left).
ACCEPT_PAUSE = 1.0
#: Bytes that wait for a client that asked for more: some hundred events.
BACKLOG_LIMIT = 128 << 10

#: The URL of the project.
URL = "man:holdfast.service(8)"


class VarlinkError(Exception):
    """What a method raises to answer with the error ``name``, interface included."""

    def __init__(self, name: str, **parameters: object) -> None:
        super().__init__(name)
        self.name = name
        self.parameters = parameters


class Reply:
    """The answer to one call: ``answer`` or ``fail``, once, at any time, and where the client asked for ``more`` any
    number of ``go_on`` before. ``cancel`` is called when the client goes away before that."""

    def __init__(self, client: _Client, oneway: bool, more: bool = False) -> None:
        self.cancel: Callable[[], None] = lambda: None
        self.more = more
        self._client: _Client | None = client
        self._oneway = oneway

    def answer(self, **parameters: object) -> None:
        """Success."""
        self._finish({"parameters": parameters})

    def go_on(self, **parameters: object) -> None:
        """Success, and more to come."""
        if self._client is not None and not self._oneway:
            self._client.send({"parameters": parameters, "continues": True})

    def fail(self, error: VarlinkError) -> None:
        """An error of the interface."""
        self._finish({"error": error.name, "parameters": error.parameters})

    def _finish(self, message: Mapping[str, object]) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.finish(None if self._oneway else message)

    def gone(self) -> None:
        """The client has gone away: ``cancel`` is called unless the answer was given before."""
        if self._client is not None:
            self._client = None
            self.cancel()


class Server:
    """Serves ``interfaces``, methods by the interface's name, at ``path``. ``group`` is the group id that may use it
    beside root and ourselves."""

    def __init__(self, loop: Loop, path: str, interfaces: Mapping[str, Methods], *, group: int | None = None) -> None:
        """Start listening. Raises OSError; EADDRINUSE when another process answers there."""
        self.loop = loop
        self._path = path
        self._group = group
        self._interfaces: Mapping[str, Methods] = {**interfaces, SERVICE: {
            "GetInfo": self._get_info, "GetInterfaceDescription": self._get_description}}
        self._clients: dict[int, _Client] = {}
        self._socket, self._inode = listen(path, group, CLIENT_LIMIT)
        self._accept_again()

    def close(self) -> None:
        """Close all connections, and remove the socket's file when it is still ours."""
        for client in list(self._clients.values()):
            client.close()
        self.loop.set_timer(self, None, self._accept_again)
        self.loop.unregister(self._socket.fileno())
        self._socket.close()
        remove(self._path, self._inode)

    def load(self) -> None:
        """Read the definitions, unless that is done. Raises what ``definition`` raises."""
        for name in self._interfaces:
            definition(name)

    def call(self, message: Mapping[str, Any], reply: Reply) -> None:
        """Serve one call: a decoded message. Needs ``load``."""
        try:
            method, parameters = self._find(message)
            method(parameters, reply)
        except VarlinkError as error:
            reply.fail(error)

    def forget(self, client: _Client) -> None:
        """``client`` has closed."""
        self._clients.pop(client.fd, None)

    def _find(self, message: Mapping[str, Any]) -> tuple[Method, Parameters]:
        """The method that ``message`` calls, and its parameters as they are declared. VarlinkError."""
        name = message.get("method")
        if not isinstance(name, str):
            raise VarlinkError(SERVICE + ".InvalidParameter", parameter="method")
        for flag in ("oneway", "more", "upgrade"):
            if not isinstance(message.get(flag), (bool, type(None))) or (flag == "upgrade" and message.get(flag)):
                raise VarlinkError(SERVICE + ".InvalidParameter", parameter=flag)
        interface, _, short = name.rpartition(".")
        if interface not in self._interfaces:
            raise VarlinkError(SERVICE + ".InterfaceNotFound", interface=interface)
        if short not in definition(interface).methods:
            raise VarlinkError(SERVICE + ".MethodNotFound", method=name)
        if short not in self._interfaces[interface]:
            raise VarlinkError(SERVICE + ".MethodNotImplemented", method=name)
        return self._interfaces[interface][short], _parameters(interface, short, message.get("parameters"))

    def _get_info(self, parameters: Parameters, reply: Reply) -> None:  # noqa: ARG002
        reply.answer(vendor="Holdfast", product="holdfast", version=__version__, url=URL,
                     interfaces=sorted(self._interfaces))

    def _get_description(self, parameters: Parameters, reply: Reply) -> None:
        name = parameters["interface"]
        if name not in self._interfaces:
            raise VarlinkError(SERVICE + ".InterfaceNotFound", interface=name)
        reply.answer(description=definition(name).text)

    def _accept_again(self) -> None:
        self.loop.register(self._socket.fileno(), self._accept, EVENT_READ)

    def _accept(self, mask: int) -> None:  # noqa: ARG002
        try:
            connection = accept(self._socket)
        except BlockingIOError:
            return  # it hung up again
        except OSError:
            # No descriptor left: the listening socket stays readable, and the loop would spin on it.
            self.loop.unregister(self._socket.fileno())
            self.loop.set_timer(self, self.loop.now() + ACCEPT_PAUSE, self._accept_again)
            return
        if not permitted(connection, self._group):
            connection.close()
            return
        if len(self._clients) >= CLIENT_LIMIT:
            min(self._clients.values(), key=lambda client: (client.busy, client.active_at)).close()
        client = _Client(self, connection)
        self._clients[client.fd] = client


def _parameters(interface: str, method: str, given: object) -> Parameters:
    """``given`` as ``method`` declares it; a VarlinkError names the parameter that is not so."""
    from holdfast.control.idl import MismatchError, conform  # noqa: PLC0415 - loaded with the definition

    described = definition(interface)
    try:
        found: Parameters = conform(described, described.methods[method].takes, {} if given is None else given,
                                    strict=True)
    except MismatchError as error:
        parameter = error.member or "parameters"
        raise VarlinkError(SERVICE + ".InvalidParameter", parameter=parameter) from None
    return found


class _Client:
    """One connection. ``busy``: a call is being served; ``active_at``: when it last sent something."""

    def __init__(self, server: Server, connection: socket.socket) -> None:
        self.fd = connection.fileno()
        self.active_at = server.loop.now()
        self._server = server
        self._connection = connection
        self._received = b""
        self._to_send = b""
        self._reply: Reply | None = None
        self._ended = False  # it has no more to ask, and may still want to hear
        connection.setblocking(False)
        server.loop.register(self.fd, self._on_ready, EVENT_READ)

    @property
    def busy(self) -> bool:
        return self._reply is not None

    def finish(self, message: Mapping[str, object] | None) -> None:
        """The call is served; None for one that wants no answer."""
        self._reply = None
        if message is not None:
            self.send(message)
        if self._connection.fileno() >= 0:
            self._schedule()

    def send(self, message: Mapping[str, object]) -> None:
        """Send ``message`` when there is room; too much that waits, or a number that JSON does not have, ends the
        connection."""
        from holdfast.control.message import encode  # noqa: PLC0415 - loaded when the call came

        try:
            self._to_send += encode(message)
        except ValueError:
            self.close()
            return
        if self.busy and len(self._to_send) > BACKLOG_LIMIT:
            self.close()
            return
        self._send()

    def close(self) -> None:
        """Close the connection."""
        self._server.loop.set_timer(self, None, self._serve_next)
        self._server.loop.unregister(self.fd)
        self._connection.close()
        self._server.forget(self)
        if self._reply is not None:
            self._reply.gone()

    def _on_ready(self, mask: int) -> None:
        if mask & EVENT_WRITE:
            self._send()
            self._schedule()
        if mask & EVENT_READ and self._connection.fileno() >= 0:
            self._receive()

    def _receive(self) -> None:
        try:
            data = self._connection.recv(MESSAGE_LIMIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data and not self._hung_up() and (self.busy or b"\0" in self._received or self._to_send):
            self._ended = True
            self._await(self._to_send)
            return
        self._received += data
        # A client that sends more than one call before its reply is disconnected.
        if not data or len(self._received) > 2 * MESSAGE_LIMIT:
            self.close()
            return
        self.active_at = self._server.loop.now()
        self._schedule()

    def _send(self) -> None:
        try:
            self._to_send = self._to_send[self._connection.send(self._to_send):]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        self._await(self._to_send)

    def _await(self, to_send: bytes) -> None:
        """Be woken when there is something to read, after the end of its input no more, and for room to write."""
        events = (0 if self._ended else EVENT_READ) | (EVENT_WRITE if to_send else 0)
        if events:
            self._server.loop.register(self.fd, self._on_ready, events)
        else:
            self._server.loop.unregister(self.fd)

    def _hung_up(self) -> bool:
        """Both directions are closed, not only the client's own."""
        poll = select.poll()
        poll.register(self.fd, 0)
        return bool(poll.poll(0))

    def _schedule(self) -> None:
        """Serve the next call in the next round of the loop: the lease's packets come in between."""
        if self._connection.fileno() < 0 or self._to_send or self.busy:
            return
        if self._received:
            self._server.loop.set_timer(self, self._server.loop.now(), self._serve_next)
        elif self._ended:
            self.close()

    def _serve_next(self) -> None:
        data, end, rest = self._received.partition(b"\0")
        if not end:
            if len(data) > MESSAGE_LIMIT or self._ended:
                self.close()
            return
        self._received = rest
        try:
            from holdfast.control.message import decode  # noqa: PLC0415 - not before the first DISCOVER

            self._server.load()
            message = decode(data)
        except (ImportError, OSError, ValueError):
            # Not Varlink: there is no way to answer that it would understand. Or the package was removed while this
            # agent runs: it keeps its leases, and can be asked nothing.
            self.close()
            return
        self._reply = Reply(self, message.get("oneway") is True, message.get("more") is True)
        self._server.call(message, self._reply)
