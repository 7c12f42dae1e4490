"""A Unix socket with a restricted set of users: its mode is right from the start, and peers are checked (unix(7))."""

from __future__ import annotations

import _socket as socket
import contextlib
import os
import struct
from collections.abc import Iterator
from errno import EADDRINUSE, EPERM

from holdfast.state import folder as folders

#: The socket's name until it gets its own.
_DRAFT = "s"
_SO_PEERGROUPS = 59  # asm-generic/socket.h; socket has no name for it


def accept(server: socket.socket) -> socket.socket:
    """The next connection, which does not block. BlockingIOError: there is none; OSError."""
    fd, _ = server._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - what socket.socket.accept calls
    connection = socket.socket(fileno=fd)
    connection.setblocking(False)
    return connection


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


def listen(path: str, group: int | None, backlog: int) -> tuple[socket.socket, int]:
    """A listening socket at ``path``, replacing what a crash left there, and its inode.

    It gets its name when its owner and mode are right, so that nobody can connect before. The folder may be the
    daemon user's when we are root: until then it is in a folder of our own that nobody else can write to.
    Raises OSError; EADDRINUSE when another process answers there, or something else is in the way.
    """
    above, name = os.path.split(path)
    with folders.opened(above) as folder:
        _refuse_to_replace(folder, name, path)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            with _workshop(folder, f".{name}.new") as workshop:
                inode = _bound(server, workshop, group, os.fstat(folder))
                server.listen(backlog)
                os.rename(_DRAFT, name, src_dir_fd=workshop, dst_dir_fd=folder)
        except BaseException:
            server.close()
            raise
    return server, inode


def remove(path: str, inode: int) -> None:
    """Remove the socket's name when it is still that of ``inode``."""
    above, name = os.path.split(path)
    with contextlib.suppress(OSError), folders.opened(above) as folder:
        if os.stat(name, dir_fd=folder, follow_symlinks=False).st_ino == inode:
            os.unlink(name, dir_fd=folder)


def _bound(server: socket.socket, workshop: int, group: int | None, folder: os.stat_result) -> int:
    """Bind in ``workshop``, where every name is ours; the inode. The socket is its folder's owner's, as files are."""
    server.bind(f"/proc/self/fd/{workshop}/{_DRAFT}")
    os.chmod(_DRAFT, 0o660, dir_fd=workshop)
    owner = folder.st_uid if os.geteuid() == 0 else -1
    if group is not None or owner > 0:
        os.chown(_DRAFT, owner, -1 if group is None else group, dir_fd=workshop, follow_symlinks=False)
    return os.stat(_DRAFT, dir_fd=workshop, follow_symlinks=False).st_ino


@contextlib.contextmanager
def _workshop(folder: int, name: str) -> Iterator[int]:
    """A folder in ``folder`` that nobody but us can change, empty, and gone afterwards. OSError."""
    _clear(folder, name)
    os.mkdir(name, 0o700, dir_fd=folder)
    fd = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        status = os.fstat(fd)
        if status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise folders.RefusedError(EPERM, "was exchanged while it was made", name)
        yield fd
    finally:
        os.close(fd)
        _clear(folder, name)


def _clear(folder: int, name: str) -> None:
    """Remove a workshop, and what a crash left in it, as far as that can be done."""
    with contextlib.suppress(OSError):
        fd = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(_DRAFT, dir_fd=fd)
        finally:
            os.close(fd)
        os.rmdir(name, dir_fd=folder)


def _refuse_to_replace(folder: int, name: str, path: str) -> None:
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    with contextlib.closing(probe):
        try:
            with folders.socket_at(folder, name) as address:
                probe.connect(address)
        except (FileNotFoundError, ConnectionRefusedError):
            return  # nothing there, or left over from a crash: nobody listens
        except folders.NotPlainError:
            raise OSError(EADDRINUSE, "is in the way, and is not a socket", path) from None
        except BlockingIOError:
            pass  # somebody listens, and has a full queue
    raise OSError(EADDRINUSE, "another agent answers there", path)
