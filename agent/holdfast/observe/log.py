"""The log: the journal, or stderr. Writing never raises and never blocks."""

from __future__ import annotations

import os
import select
import time

from holdfast.escape import printable
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.observe.journal import JournalSocket

#: Syslog priorities.
ERROR, WARNING, NOTICE, INFO, DEBUG = 3, 4, 5, 6, 7

#: Under PIPE_BUF, which is what poll(2) promises to be writable at once on a pipe.
LINE_LIMIT = 1000


class Log:
    """One destination for the whole process.

    ``target`` is "auto" (the journal when stderr is connected to it), "journal" or "stderr".
    ``level`` is the highest priority number that stderr shows; the journal gets everything and has
    filters of its own. Lines on a terminal begin with the local time. ``lost`` counts the lines that could not be
    written.
    """

    def __init__(
        self,
        target: str = "auto",
        *,
        level: int = INFO,
        fd: int = 2,
        journal_path: str | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.lost = 0
        self.level = level
        self._fd = fd
        self._lost_before = 0
        self._stamped = os.isatty(fd)  # the journal, and most of what else collects lines, have a clock of their own
        self._journal = _journal(target, fd, journal_path, environ)

    @property
    def target(self) -> str:
        """The destination that is tried first: "journal" or "stderr"."""
        return "journal" if self._journal else "stderr"

    def write(self, priority: int, text: str, fields: Mapping[str, str] | None = None) -> None:
        """One line for people; ``fields`` are added to the journal's entry."""
        text = _one_line(text)
        if self._journal:
            entry = {"MESSAGE": text, "PRIORITY": str(priority), "SYSLOG_IDENTIFIER": "holdfast"}
            try:
                self._journal.send({**entry, **{key: printable(value) for key, value in (fields or {}).items()}})
                return
            except OSError:
                pass  # journald is restarting, or behind: stderr may still work
        if priority <= self.level:
            self._to_stderr(text)

    def close(self) -> None:
        """Close the journal's socket; stderr is not ours."""
        if self._journal:
            self._journal.close()
            self._journal = None

    def _to_stderr(self, text: str) -> None:
        if self._stamped:
            text = f"{time.strftime('%H:%M:%S')} {text}"
        missed = self.lost - self._lost_before
        if missed:
            told = "line before this one was lost: nobody read it" if missed == 1 else \
                "lines before this one were lost: nobody read them"
            text += f" ({missed} {told})"
        if _write_at_once(self._fd, text.encode(errors="backslashreplace") + b"\n"):
            self._lost_before = self.lost
        else:
            self.lost += 1


def _journal(
    target: str, fd: int, path: str | None, environ: Mapping[str, str]
) -> JournalSocket | None:
    if target == "stderr" or (target == "auto" and "JOURNAL_STREAM" not in environ):
        return None
    # Imported here: a start by hand on a terminal does without.
    from holdfast.observe import journal  # noqa: PLC0415

    if target == "auto" and not journal.stderr_is_journal(environ, fd):
        return None
    return journal.JournalSocket(path or journal.SOCKET_PATH)


def _write_at_once(fd: int, data: bytes) -> bool:
    """Write when that does not block: a terminal held by Ctrl-S, or a pipe that nobody reads, must
    not hold up a renewal. (O_NONBLOCK would change the descriptor for everyone who shares it.)"""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    try:
        ready = poll.poll(0)
        return bool(ready and ready[0][1] & select.POLLOUT) and os.write(fd, data) == len(data)
    except OSError:  # the terminal is gone, the disk behind a redirection is full
        return False


def _one_line(text: str) -> str:
    """``text`` escaped and bounded: parts of it may come from a server."""
    text = printable(text)
    # Bounded in bytes, whatever the characters are.
    return text if len(text) <= LINE_LIMIT // 4 else _cut(text)


def _cut(text: str) -> str:
    data = text.encode(errors="backslashreplace")
    return text if len(data) <= LINE_LIMIT else data[:LINE_LIMIT - 3].decode(errors="ignore") + "..."
