"""Which interfaces are served, so that no second agent serves one of them: locks that end with the process.

All of a process are on one descriptor: a byte for each interface, of the one file ``LOCKS`` in the runtime folder
(fcntl(2): open file description locks). ``IFACE.lock`` beside it holds the pid of who has, or had, the interface.
"""

from __future__ import annotations

import fcntl
import os
import struct

from holdfast.state import folder as folders
from holdfast.wire.lean import suppress

#: The file whose bytes are locked, and what follows an interface's name in that of the pid's file.
LOCKS, SUFFIX = "locks", ".lock"
#: struct flock: type, whence, start, length, pid.
_FLOCK = struct.Struct("@hhqqi4x")
#: Offsets are signed and have 64 bits; a name has up to 120. Two names differ by a multiple of this prime only if
#: somebody chooses them so.
_PRIME = (1 << 61) - 1


class TakenError(Exception):
    """Another agent has the interface; the text is its pid."""


class Locks:
    """The locks of this process in the runtime folder ``folder``."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._fd: int | None = None

    def take(self, name: str) -> bool:
        """Keep other agents from serving ``name``, until it is given back or the process ends. False when the folder
        cannot be written: then UDP port 68 says so (two agents cannot both have it). TakenError."""
        try:
            with folders.opened(self._folder) as there:
                if self._fd is None:
                    self._fd = folders.open_or_create_at(there, LOCKS, os.O_RDWR, 0o600)
                pid_file = folders.open_or_create_at(there, name + SUFFIX, os.O_RDWR, 0o600)
        except OSError:
            return False
        try:
            try:
                fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _byte(name, fcntl.F_WRLCK))
            except OSError:
                raise TakenError(_pid(pid_file)) from None
            with suppress(OSError):  # a full disk: the pid is only for messages, and the lock holds without it
                os.truncate(pid_file, 0)
                os.pwrite(pid_file, f"{os.getpid()}\n".encode(), 0)
        finally:
            os.close(pid_file)
        return True

    def give_back(self, name: str) -> None:
        """Let others serve ``name``; nothing happens when it was not taken."""
        if self._fd is not None:
            with suppress(OSError):
                fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _byte(name, fcntl.F_UNLCK))

    def close(self) -> None:
        """Give everything back."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def served(folder: str) -> dict[str, str]:
    """The interfaces that agents serve now, whoever owns ``folder``, with the agents' pids; none where it cannot be
    read."""
    found: dict[str, str] = {}
    with suppress(OSError), folders.opened(folder, anyones=True) as there:
        names = [name for name in folders.names_at(there) if name.endswith(SUFFIX)]
        locks = folders.open_at(there, LOCKS, os.O_RDONLY)
        try:
            for name in names:
                if _held(locks, name.removesuffix(SUFFIX)):
                    found[name.removesuffix(SUFFIX)] = _pid_at(there, name)
        finally:
            os.close(locks)
    return found


def _held(locks: int, name: str) -> bool:
    """Whether a process has the lock of ``name``."""
    answer = fcntl.fcntl(locks, fcntl.F_OFD_GETLK, _byte(name, fcntl.F_RDLCK))
    kind: int = _FLOCK.unpack(answer)[0]
    return kind != fcntl.F_UNLCK


def _byte(name: str, kind: int) -> bytes:
    """A struct flock of the byte of ``name``."""
    return _FLOCK.pack(kind, os.SEEK_SET, int.from_bytes(os.fsencode(name), "big") % _PRIME, 1, 0)


def _pid_at(folder: int, name: str) -> str:
    try:
        fd = folders.open_at(folder, name, os.O_RDONLY)
    except OSError:
        return "unknown"
    try:
        return _pid(fd)
    finally:
        os.close(fd)


def _pid(fd: int) -> str:
    return os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
