"""JSON objects, one a line, over a Unix socket: how QEMU and the reader in a virtual machine are spoken to."""

from __future__ import annotations

import json
import socket
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Any


class Conversation(ABC):
    """A connection to ``path``; OSError when nobody listens there yet. What is heard is taken in by a thread."""

    def __init__(self, path: Path) -> None:
        self._changed = threading.Condition()
        self._ended = False
        self._socket = _connected(path)
        self._thread = threading.Thread(target=self._listen, name=path.name, daemon=True)
        self._thread.start()

    @abstractmethod
    def _take(self, message: dict[str, Any]) -> None:
        """One message, with ``_changed`` held; whoever waits for it looks again afterwards."""

    def _say(self, message: dict[str, Any]) -> None:
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def close(self) -> None:
        """Hang up."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        rest = b""
        while data := self._receive():
            *lines, rest = (rest + data).split(b"\n")
            with self._changed:
                for line in lines:
                    with suppress(ValueError):  # half a line of the boot before
                        self._take(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(65536)
        except OSError:
            return b""


def _connected(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(str(path))
    except OSError:
        sock.close()
        raise
    return sock
