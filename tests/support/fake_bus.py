"""A message bus in a thread, with a resolve1 behind it, that can misbehave. D-Bus, as much as one client needs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from jeepney import HeaderFields, Message, Parser, new_error, new_method_return

#: What a call is answered with: nothing for a plain return, or (error name, text).
Answer = Callable[[str, "tuple[Any, ...]"], "tuple[str, str] | None"]


class FakeBus:
    """Listens at ``path``. ``calls`` are the (method, body) pairs that resolve1 was asked.

    ``owned``: does org.freedesktop.resolve1 run? ``answer`` decides about each call. ``mute``: the
    methods that are never answered; ``hang_up``: those at which the connection is closed; ``chatter``:
    signals sent before each answer. ``refuse``: no authentication.
    """

    def __init__(self, path: Path) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.owned = True
        self.answer: Answer = lambda method, body: None
        self.mute: set[str] = set()
        self.hang_up: set[str] = set()
        self.chatter = 0
        self.refuse = False
        self._serial = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, name="fake-bus", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; waits for the connection in hand to end."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            # A client that has heard enough may hang up while it is still being told.
            with connection, suppress(BrokenPipeError, ConnectionResetError):
                self._converse(connection)

    def _converse(self, connection: socket.socket) -> None:
        parser, authenticated = Parser(), False
        while data := connection.recv(4096):
            if not authenticated:
                # \0 AUTH EXTERNAL <uid>, then BEGIN (D-Bus specification, "Authentication Protocol")
                if b"AUTH" in data:
                    connection.sendall(b"REJECTED KERBEROS\r\n" if self.refuse else b"OK 0123456789abcdef\r\n")
                if b"BEGIN\r\n" not in data:
                    continue
                authenticated, data = True, data.partition(b"BEGIN\r\n")[2]
            parser.add_data(data)
            while (message := parser.get_next_message()) is not None:
                if not self._handle(connection, message):
                    return

    def _handle(self, connection: socket.socket, message: Message) -> bool:
        method = message.header.fields[HeaderFields.member]
        if method in self.hang_up:
            return False
        if method in self.mute:
            return True
        reply = self._reply(method, message)
        for _ in range(self.chatter):
            self._send(connection, new_method_return(message), reply_to=999999)
        self._send(connection, reply)
        return True

    def _reply(self, method: str, message: Message) -> Message:
        if method == "Hello":
            return new_method_return(message, "s", (":1.7",))
        if method == "NameHasOwner":
            return new_method_return(message, "b", (self.owned,))
        self.calls.append((method, message.body))
        fault = self.answer(method, message.body)
        if fault is not None:
            return new_error(message, fault[0], "s", (fault[1],)) if fault[1] else new_error(message, fault[0])
        return new_method_return(message)

    def _send(self, connection: socket.socket, message: Message, reply_to: int | None = None) -> None:
        self._serial += 1
        if reply_to is not None:
            message.header.fields[HeaderFields.reply_serial] = reply_to
        connection.sendall(message.serialise(serial=self._serial))
