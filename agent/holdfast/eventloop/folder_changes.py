"""Wakes a program that waits for files: fcntl(2), F_NOTIFY. For programs without a loop of their own."""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # `signal` makes enums of its numbers
import _socket as socket
import fcntl
import os
import select
from math import inf

from holdfast.wire.lean import suppress
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

#: Seconds between two looks where nothing wakes us, and where something does: not all is a matter of these folders.
LOOK_AGAIN, LOOK_RARELY = 0.1, 1.0
_EVENTS = fcntl.DN_CREATE | fcntl.DN_RENAME | fcntl.DN_DELETE | fcntl.DN_MULTISHOT


class FolderChanges:
    """Wakes a poll when one of the folders that are watched changes. Signals tell it, which only a process's first
    thread can receive; in another one, and where the kernel has no F_NOTIFY, a look again is due soon."""

    def __init__(self) -> None:
        self._folders: dict[str, int] = {}
        self._ears: tuple[socket.socket, socket.socket] | None = None
        with suppress(ValueError):  # not the first thread
            self._former = signal.signal(signal.SIGIO, _nothing)
            self._ears = socket.socketpair()
            for ear in self._ears:
                ear.setblocking(False)
            self._former_fd = signal.set_wakeup_fd(self._ears[1].fileno(), warn_on_full_buffer=False)

    def watch(self, paths: Iterable[str]) -> None:
        """Watch these folders, and of one that is not there the nearest one above it, besides those that are."""
        for path in paths if self._ears is not None else ():
            while path not in self._folders:
                if self._watch(path) or path in ("", "/"):
                    break
                path = os.path.dirname(path)  # noqa: PLW2901 - up to a folder that is there

    def _watch(self, path: str) -> bool:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.fcntl(fd, fcntl.F_NOTIFY, _EVENTS)
        except OSError:  # EINVAL: a kernel without it
            os.close(fd)
            self.close()
            return True
        self._folders[path] = fd
        return True

    def wait(self, poll: select.poll, longest: float, *, look_again: bool = True) -> list[int]:
        """The descriptors of ``poll`` that are ready, after ``longest`` seconds at the most; none when a folder has
        changed, or when it is time to ``look_again``."""
        if look_again:
            longest = min(longest, LOOK_AGAIN if self._ears is None else LOOK_RARELY)
        ear = -1
        if self._ears is not None:
            ear = self._ears[0].fileno()
            poll.register(ear, select.POLLIN)
        # poll(2) takes milliseconds in an int.
        ready = [fd for fd, _ in poll.poll(None if longest == inf else min(longest, 86400) * 1000)]
        if self._ears is not None and ear in ready:
            ready.remove(ear)
            self._ears[0].recv(4096)
        return ready

    def close(self) -> None:
        """Watch nothing any more."""
        for fd in self._folders.values():
            os.close(fd)
        self._folders.clear()
        if self._ears is not None:
            signal.set_wakeup_fd(self._former_fd)
            signal.signal(signal.SIGIO, self._former if self._former is not None else signal.SIG_DFL)
            for ear in self._ears:
                ear.close()
            self._ears = None


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """The handler: the wake-up descriptor tells."""
