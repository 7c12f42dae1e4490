"""A Unix socket that only some may use: made without a gap, and its peers looked at (unix(7))."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from errno import EADDRINUSE
from stat import S_ISSOCK

_SO_PEERGROUPS = 59  # asm-generic/socket.h; socket has no name for it


def permitted(connection: socket.socket, group: int | None) -> bool:
    """Root, our own user, or a member of ``group``; the file's mode says the same, but a mode can be changed."""
    _, uid, gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if uid in (0, os.geteuid()):
        return True
    return group is not None and (gid == group or group in _peer_groups(connection))


def may_give_to(group: int) -> bool:
    """Whether a file of ours can be given to ``group``: tried with one that has no name. Not so when we are no member
    (chown(2)), or when a filter of system calls leaves chown out."""
    try:
        fd = os.memfd_create("holdfast", os.MFD_CLOEXEC)
    except OSError:
        return False
    try:
        os.fchown(fd, -1, group)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _peer_groups(connection: socket.socket) -> tuple[int, ...]:
    try:
        data = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 1024)
    except OSError:
        return ()  # more than 256 groups, or a kernel before 4.13
    return struct.unpack(f"{len(data) // 4}I", data)


def listen(path: str, group: int | None, backlog: int) -> socket.socket:
    """A listening socket at ``path``, replacing what a crash left there.

    It gets its name when its owner and mode are right, so that nobody can connect before.
    Raises OSError; EADDRINUSE when another process answers there, or something else is in the way.
    """
    _refuse_to_replace(path)
    draft = path + "~"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        server.bind(draft)
        os.chmod(draft, 0o660)
        if group is not None:
            os.chown(draft, -1, group)
        server.listen(backlog)
        os.rename(draft, path)
    except OSError:
        server.close()
        raise
    return server


def _refuse_to_replace(path: str) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not S_ISSOCK(mode):
        raise OSError(EADDRINUSE, "is in the way, and is not a socket", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return  # left over from a crash: nobody listens
        except BlockingIOError:
            pass  # somebody listens, and has a full queue
    raise OSError(EADDRINUSE, "another agent answers there", path)
