"""The journal of a take-over on disk: all that is needed to go back, written before anything is done.

``/var/lib/holdfast-takeover/IFACE.json``: root's, mode 0600, in a folder that is root's with mode 0700, beside the
daemon's and not in it, because the daemon's user could rename what is in its own. It holds command lines that root
will run, so it is believed only when nobody else can have written it, and every value is checked.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from holdfast.state import atomic
from holdfast.state import folder as folders
from holdfast.takeover.errors import TakeoverError, system_error
from holdfast.takeover.journal import codec
from holdfast.takeover.journal.record import Journal

#: Seconds that a hand-back waits for another command of the same interface: whatever that does, it must go back.
HANDBACK_PATIENCE = 60.0
#: Seconds that the others wait: one that has said its last words lets go of the lock a moment later.
COMMAND_PATIENCE = 2.0
#: Bytes of a client's name in the lock's file.
CLIENT_LIMIT = 80


class JournalFile:
    """Where the journal of one interface is."""

    def __init__(self, folder: str, ifname: str) -> None:
        self.folder = folder
        self.path = os.path.join(self.folder, f"{ifname}.json")
        self.ifname = ifname
        self._lock = -1

    @contextmanager
    def locked(self, wait: Callable[[Callable[[], bool], float], bool], patience: float) -> Iterator[None]:
        """A lock: no other take-over or hand-back changes the interface meanwhile. ``wait(condition, seconds)`` as
        ``Host.wait``. TakeoverError for another one that is still there after ``patience`` seconds."""
        lock = f"{self.ifname}.lock"
        with self._made_folder() as folder:
            try:
                fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=folder)
            except OSError as error:
                raise system_error(f"{self.folder}/{lock} cannot be written", error) from None
        try:
            if not wait(lambda: _lock(fd), patience):
                raise TakeoverError(self._busy(_client_in(fd)))
            self._lock = fd
            yield
        finally:
            os.close(fd)
            self._lock = -1

    def note_rollback(self, client: str) -> None:
        """Record, under the lock, that nobody has confirmed and ``client`` gets the interface back; "" when something
        else is done. A late `holdfast confirm` reads it."""
        with suppress(OSError):  # a full disk: only a message depends on it
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, client.encode(), 0)

    def rolled_back_to(self) -> str:
        """To be called while it is locked: the client that got the interface back because nobody had confirmed, ""
        unless that was the last that happened."""
        return _client_in(self._lock)

    def _busy(self, client: str) -> str:
        if not client:
            return f"another holdfast takeover, confirm or handback of {self.ifname} is at work"
        return (f"the take-over of {self.ifname} was not confirmed in time and is being rolled back to {client}; when "
                f"that is done, `holdfast takeover {self.ifname} --confirm-within SECONDS` takes it over again")

    def save(self, journal: Journal) -> None:
        """Write it, durably. One that could not be read again is an error now, when nothing has been done, and not when
        it is needed."""
        text = codec.render(journal)
        try:
            codec.parse(text, self.ifname)
        except codec.JournalError as error:
            raise TakeoverError(
                f"{journal.found.name} on {self.ifname} is nothing that a journal can hold: {error}"
            ) from None
        with self._made_folder() as folder:
            try:
                atomic.write_at(folder, os.path.basename(self.path), text, 0o600)
            except OSError as error:
                raise system_error(f"{self.path} cannot be written", error) from None

    def load(self) -> Journal | None:
        """The journal, None when there is none. TakeoverError for one that is not valid, or that others than root can
        write."""
        try:
            folder = self._opened()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise system_error(f"{self.folder} cannot be opened", error) from None
        try:
            _must_be_roots(os.fstat(folder), self.folder)
            fd = os.open(os.path.basename(self.path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK,
                         dir_fd=folder)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise system_error(f"{self.path} cannot be opened", error) from None
        finally:
            os.close(folder)
        try:
            _must_be_roots(os.fstat(fd), self.path)
            data = _content(fd, codec.SIZE_LIMIT + 1)
        except OSError as error:
            raise TakeoverError(f"{self.path} cannot be read: {error.strerror}; nothing was done") from None
        finally:
            os.close(fd)
        try:
            return codec.parse(data, self.ifname)
        except codec.JournalError as error:
            raise TakeoverError(
                f"{self.path} is no journal that can be believed ({error}); nothing was done. Look into it, undo by "
                "hand what it names, and remove it"
            ) from None

    def remove(self) -> None:
        """Remove the journal: the take-over is undone."""
        try:
            folder = self._opened()
        except FileNotFoundError:
            return
        try:
            with suppress(FileNotFoundError):
                os.unlink(os.path.basename(self.path), dir_fd=folder)
                folders.sync(folder)
        finally:
            os.close(folder)

    def _opened(self) -> int:
        """The folder, which itself is no link."""
        above, name = os.path.split(self.folder)
        with folders.opened(above, anyones=True) as there:
            return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=there)

    @contextmanager
    def _made_folder(self) -> Iterator[int]:
        """The folder, open: what it is in is root's by default, but with another state folder somebody else's, who
        could put a link in its place between a look at it and a write into it."""
        try:
            os.close(folders.open_folder(self.folder, anyones=True, make=True, mode=0o700))
            folder = self._opened()
        except OSError as error:
            raise system_error(f"{self.folder} cannot be made", error) from None
        try:
            _must_be_roots(os.fstat(folder), self.folder)
            yield folder
        finally:
            os.close(folder)


def _client_in(fd: int) -> str:
    """What ``note_rollback`` wrote."""
    try:
        return os.pread(fd, CLIENT_LIMIT, 0).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _content(fd: int, limit: int) -> bytes:
    """What ``fd`` has, up to ``limit`` bytes."""
    data = b""
    while len(data) < limit and (more := os.read(fd, limit - len(data))):
        data += more
    return data


def _must_be_roots(status: os.stat_result, path: str) -> None:
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) \
            or stat.S_ISLNK(status.st_mode):
        raise TakeoverError(f"{path} can be written by others than root: it is not believed, and nothing was done")
