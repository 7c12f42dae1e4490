"""Files that are there wholly or not at all, also after a power cut."""

from __future__ import annotations

import os
from contextlib import suppress


def write(path: str, data: bytes, mode: int = 0o600) -> None:
    """Replace ``path`` by ``data``: temporary file beside it, fsync, rename, fsync of the folder. OSError
    that names ``path``; then that is as it was, and the temporary file is gone."""
    try:
        _write(path, data, mode)
    except OSError as error:
        error.filename, error.filename2 = path, None
        raise


def _write(path: str, data: bytes, mode: int) -> None:
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.tmp")  # one name: a crash leaves one file, overwritten next time
    # Always a new file: root writes into folders of the agent's user, where a link or a FIFO could wait for it.
    remove(temporary)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        try:
            os.fchmod(fd, mode)  # whatever the umask of the shell that started us, or the draft of a crash
            while data:
                data = data[os.write(fd, data):]
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except OSError:
        remove(temporary)
        raise
    sync_folder(folder)


def remove(path: str) -> None:
    """Remove ``path`` if it is there and can be removed."""
    with suppress(OSError):
        os.unlink(path)


def sync_folder(folder: str) -> None:
    """Make the names in ``folder`` durable. Not every file system can; then it does what it can."""
    fd = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            os.fsync(fd)
    finally:
        os.close(fd)
