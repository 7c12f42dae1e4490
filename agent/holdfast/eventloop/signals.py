"""Signals as readable bytes (signal.set_wakeup_fd): no handler does any work."""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # `signal` makes enums of its numbers
import os
from collections.abc import Callable

from holdfast.eventloop.ports import Loop


class Signals:
    """SIGTERM and SIGINT -> ``stop``, SIGCHLD -> ``child_ended``, SIGHUP -> ``hangup``."""

    def __init__(
        self, loop: Loop, *, stop: Callable[[], None], child_ended: Callable[[], None], hangup: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._actions = {
            signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGCHLD: child_ended, signal.SIGHUP: hangup,
        }
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._former_fd = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._former = {number: signal.signal(number, _nothing) for number in self._actions}
        loop.register(self._read, self._on_signal)

    def _on_signal(self, _mask: int) -> None:
        # Each number once, however often it came.
        for number in set(os.read(self._read, 512)):
            action = self._actions.get(number)
            if action is not None:
                action()

    def close(self) -> None:
        """Restore the former handlers and wake-up descriptor."""
        self._loop.unregister(self._read)
        signal.set_wakeup_fd(self._former_fd)
        for number, former in self._former.items():
            signal.signal(number, former)
        os.close(self._read)
        os.close(self._write)


def _nothing(_number: int, _frame: object) -> None:
    """A handler must exist for the wake-up descriptor to be written."""
