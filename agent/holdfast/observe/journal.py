"""systemd's journal by its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL).

One datagram for each entry: ``KEY=value\\n``, or, where the value has a newline, ``KEY\\n``, its
length as 64 bits little-endian, the value and a newline. An entry that is too large for a datagram
goes as a sealed memory file. Sending never blocks: a lease does not wait for a log.
"""

from __future__ import annotations

import _socket as socket
import fcntl
import os
import struct
from collections.abc import Mapping
from errno import EMSGSIZE, ENOBUFS

SOCKET_PATH = "/run/systemd/journal/socket"


def encode(fields: Mapping[str, str]) -> bytes:
    """The bytes of one entry. ValueError for a key that the journal would ignore."""
    parts: list[bytes] = []
    for key, value in fields.items():
        if not _is_field(key):
            raise ValueError(f"not a journal field: {key!r}")
        data = value.encode(errors="backslashreplace")
        if b"\n" in data:
            parts += [key.encode(), b"\n", struct.pack("<Q", len(data)), data, b"\n"]
        else:
            parts += [key.encode(), b"=", data, b"\n"]
    return b"".join(parts)


def _is_field(key: str) -> bool:
    """``[A-Z][A-Z0-9_]{0,63}``, without ``re``."""
    shape = key.replace("_", "")
    return key[:1].isalpha() and len(key) <= 64 and shape.isascii() and shape.isalnum() and shape.upper() == shape


def stderr_is_journal(environ: Mapping[str, str], fd: int = 2) -> bool:
    """Whether systemd connected ``fd`` to the journal: JOURNAL_STREAM is its device and inode
    (systemd.exec(5)), and a redirection since then would have changed them."""
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM", "") == f"{status.st_dev}:{status.st_ino}"


class JournalSocket:
    """Sends entries to journald."""

    def __init__(self, path: str = SOCKET_PATH) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    def send(self, fields: Mapping[str, str]) -> None:
        """Send one entry. Raises OSError: no journald, or one that does not keep up (EAGAIN)."""
        data = encode(fields)
        try:
            self._socket.sendto(data, self._path)
        except OSError as error:
            if error.errno not in (EMSGSIZE, ENOBUFS):
                raise
            self._send_large(data)

    def _send_large(self, data: bytes) -> None:
        fd = os.memfd_create("journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with os.fdopen(os.dup(fd), "wb") as file:
                file.write(data)
            # journald maps the file only when nobody can change it any more.
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", fd))
            self._socket.sendmsg([], [rights], 0, self._path)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
