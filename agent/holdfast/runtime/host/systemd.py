"""What systemd wants to hear from a Type=notify service (sd_notify(3)); silent without it."""

from __future__ import annotations

import _socket as socket
import os
from collections.abc import Mapping
from contextlib import closing


class Notifier:
    """Talks to the socket that NOTIFY_SOCKET names. Losing a message is no error: the next one comes."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        path = environ.get("NOTIFY_SOCKET", "")
        # "@" stands for the NUL of an abstract socket's name (unix(7)).
        self._address = ("\0" + path[1:] if path[0] == "@" else path) if path[:1] in ("@", "/") else ""
        self.watchdog_interval = _watchdog(environ)
        self._status = ""

    @property
    def present(self) -> bool:
        """True under systemd (or anything else that listens)."""
        return bool(self._address)

    def ready(self) -> None:
        """Started. It does not mean that there is a lease: a boot must not wait for a server."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """The line that ``systemctl status`` shows."""
        if text != self._status:
            self._status = text
            self._send("STATUS=" + text.replace("\n", " ")[:500])

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """About to end."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        try:
            with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)) as sock:
                sock.sendto(text.encode(), self._address)
        except OSError:
            pass  # systemd is re-executing or its queue is full


def _watchdog(environ: Mapping[str, str]) -> float | None:
    """Seconds between two signs of life: half of what is allowed (sd_watchdog_enabled(3)). None: none wanted."""
    usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not usec.isdigit() or int(usec) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 2e6
