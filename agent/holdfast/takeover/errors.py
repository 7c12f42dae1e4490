"""The one error of a take-over, and what other errors become here."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from holdfast.managers.formats.errors import FormatError


class TakeoverError(Exception):
    """One line: what was found, where, and what to do. Callers add to it, so a full stop at its end, as a
    command's output may have, is removed."""

    def __init__(self, text: str) -> None:
        super().__init__(text.rstrip(". "))


#: Advice for system errors, by errno.
_REMEDIES = {
    errno.ENOSPC: "make room there", errno.EDQUOT: "make room there",
    errno.EROFS: "make it writable (mount -o remount,rw)",
    errno.EACCES: "run as root", errno.EPERM: "run as root", errno.EIO: "check the disk (dmesg)",
    errno.ENOTDIR: "move away the file that is where a folder should be",
    errno.EISDIR: "move away the folder that has this name",
    errno.ELOOP: "move away the link that has this name", errno.ENOMEM: "free some memory",
    errno.EMFILE: "raise the limit of open files", errno.ENFILE: "raise the limit of open files",
}


def system_error(what: str, error: OSError) -> TakeoverError:
    """The error for ``what`` that cannot be done: the reason, and advice where there is some."""
    remedy = _REMEDIES.get(error.errno or 0)
    return TakeoverError(f"{what}: {error.strerror or error}{f'; {remedy}' if remedy else ''}")


@contextmanager
def reader_errors() -> Iterator[None]:
    """What ``managers`` may raise (FormatError, OSError) becomes a TakeoverError."""
    try:
        yield
    except FormatError as error:
        raise TakeoverError(str(error)) from None
    except OSError as error:
        raise system_error(f"{error.filename or 'a file'} cannot be read", error) from None
