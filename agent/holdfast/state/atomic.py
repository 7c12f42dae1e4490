"""Files that are there wholly or not at all, also after a power cut."""

from __future__ import annotations

import os

from holdfast.state import folder as folders
from holdfast.wire.lean import suppress


def write(path: str, data: bytes, mode: int = 0o600, *, anyones: bool = False, durable: bool = True) -> None:
    """Replace ``path`` by ``data``: temporary file beside it, fsync, rename, fsync of the folder. OSError
    that names ``path``; then that is as it was, and the temporary file is gone. ``anyones`` as in ``folder``.
    Not ``durable``: without the two fsyncs."""
    folder, name = os.path.split(path)
    try:
        with folders.opened(folder, anyones=anyones) as fd:
            write_at(fd, name, data, mode, durable=durable)
    except folders.RefusedError:
        raise  # names the folder
    except OSError as error:
        error.filename, error.filename2 = path, None
        raise


def write_at(folder: int, name: str, data: bytes, mode: int, *, durable: bool = True) -> None:
    """``write`` for a file in an open folder."""
    draft = f".{name}.tmp"  # one name: a crash leaves one file, overwritten next time
    with suppress(FileNotFoundError):
        os.unlink(draft, dir_fd=folder)
    fd = folders.create_at(folder, draft, os.O_WRONLY, mode)
    try:
        try:
            os.fchmod(fd, mode)  # whatever the umask of the shell that started us
            while data:
                data = data[os.write(fd, data):]
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with suppress(OSError):
            os.unlink(draft, dir_fd=folder)
        raise
    if durable:
        folders.sync(folder)


def remove(path: str) -> None:
    """Remove ``path`` if it is there and can be removed."""
    with suppress(OSError):
        folders.unlink(path)
