"""QEMU's machine protocol: one JSON object a line over a Unix socket (qemu-qmp-ref(7))."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any


class QmpError(AssertionError):
    """QEMU refused a command; the text is its own."""


class Qmp:
    """A connection. ``events`` only grows; commands may come from any thread, one at a time."""

    def __init__(self, path: Path) -> None:
        self.events: list[dict[str, Any]] = []
        self._replies: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._ended = False
        self._turn = threading.Lock()
        self._socket = connected(path)
        self._thread = threading.Thread(target=self._read, name="qmp", daemon=True)
        self._thread.start()
        self.execute("qmp_capabilities")

    def execute(self, command: str, *, timeout: float = 30, **arguments: Any) -> Any:
        """What the command returns."""
        with self._turn:
            self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
            with self._changed:
                self._changed.wait_for(lambda: self._replies or self._ended, timeout)
                if not self._replies:
                    raise QmpError(f"{command}: QEMU {'has ended' if self._ended else 'does not answer'}")
                reply = self._replies.pop(0)
        if "error" in reply:
            raise QmpError(f"{command}: {reply['error']['desc']}")
        return reply["return"]

    def human(self, line: str, *, timeout: float = 60) -> str:
        """A command of the human monitor, for what has no other."""
        answer: str = self.execute("human-monitor-command", timeout=timeout, **{"command-line": line})
        return answer

    def wait_event(self, name: str, *, since: int = 0, timeout: float = 30) -> dict[str, Any]:
        """The first event of this name from number ``since`` on."""

        def find() -> dict[str, Any] | None:
            return next((event for event in self.events[since:] if event["event"] == name), None)

        with self._changed:
            self._changed.wait_for(lambda: find() is not None or self._ended, timeout)
            found = find()
        if found is None:
            raise QmpError(f"no {name} within {timeout:g} s; seen: {[event['event'] for event in self.events]}")
        return found

    def close(self) -> None:
        """Hang up."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _read(self) -> None:
        rest = b""
        while data := self._receive():
            *lines, rest = (rest + data).split(b"\n")
            with self._changed:
                for line in lines:
                    message = json.loads(line)
                    if "event" in message:
                        self.events.append(message)
                    elif "QMP" not in message:
                        self._replies.append(message)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(65536)
        except OSError:
            return b""


def connected(path: Path) -> socket.socket:
    """A stream socket to ``path``; OSError when nobody listens there yet."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(str(path))
    except OSError:
        sock.close()
        raise
    return sock
