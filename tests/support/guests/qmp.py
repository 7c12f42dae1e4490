"""QEMU's machine protocol: one JSON object a line over a Unix socket (qemu-qmp-ref(7))."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from tests.support.guests.conversation import Conversation

from holdfast_lab.testbed.fair_time import wait_on


class QmpError(AssertionError):
    """QEMU refused a command; the text is its own."""


class Qmp(Conversation):
    """A connection. ``events`` only grows; commands may come from any thread, one at a time."""

    def __init__(self, path: Path) -> None:
        self.events: list[dict[str, Any]] = []
        self._replies: list[dict[str, Any]] = []
        self._turn = threading.Lock()
        super().__init__(path)
        self.execute("qmp_capabilities")

    def execute(self, command: str, *, timeout: float = 30, **arguments: Any) -> Any:
        """What the command returns."""
        with self._turn:
            self._say({"execute": command, "arguments": arguments})
            with self._changed:
                wait_on(self._changed, lambda: self._replies or self._ended, timeout)
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
            wait_on(self._changed, lambda: find() or self._ended, timeout)
            found = find()
        if found is None:
            raise QmpError(f"no {name} within {timeout:g} s; seen: {[event['event'] for event in self.events]}")
        return found

    def _take(self, message: dict[str, Any]) -> None:
        if "event" in message:
            self.events.append(message)
        elif "QMP" not in message:
            self._replies.append(message)
