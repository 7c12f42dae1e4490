"""Files in a folder of another user, who may exchange any name in it at any moment.

Theory of operation
-------------------
Root runs the agent and its commands in the folders of the daemon's user. So no path there is ever followed, opened or
changed by name: the folder is opened once, component by component (``open_folder``), and everything in it is done
relative to that descriptor. A symbolic link on the way is followed only when it is root's (or ours) and the folder
that holds it is too. In the folder, files are opened with O_NOFOLLOW and O_NONBLOCK and must be regular; a file that
is written into must have one name (a hard link to another file has two); a file that is made is made with O_EXCL and
given to the folder's owner by its descriptor; rename(2) and unlink(2) never follow their last component. What the
owner can still do is harm their own files.

The folder itself must be root's, ours, or the daemon user's or guard's; ``anyones`` leaves that check out, for what is
only read and for folders that the administrator names for other programs.
"""

from __future__ import annotations

import os
from errno import EINVAL, ELOOP, ENOTDIR, EPERM
from stat import S_ISDIR, S_ISLNK, S_ISREG, S_ISSOCK

from holdfast.wire.lean import contextmanager, suppress
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The daemon's user, and guard's, which the package creates (packaging/systemd).
AGENT_USER, GUARD_USER = "holdfast", "holdfast-guard"

#: Bytes of the largest of our files that is read as a whole: a lease, whose options as hex are twice wire's largest
#: message; the rest of it is small.
SIZE_LIMIT = 64 << 10

_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
#: As the kernel's own (path_resolution(7)).
_MAX_LINKS = 40
#: Attempts to open a file that is created or removed meanwhile.
_ATTEMPTS = 3


class RefusedError(OSError):
    """A folder, or a link on the path to it, belongs to another user."""


class NotPlainError(OSError):
    """A link, a pipe or something else where a regular file of ours should be."""


def agent_uids() -> tuple[int, ...]:
    """The user ids of the daemon's user and of guard's, where they are there."""
    import pwd  # noqa: PLC0415 - only when a folder is neither root's nor ours

    found = []
    for name in (AGENT_USER, GUARD_USER):
        with suppress(KeyError):
            found.append(pwd.getpwnam(name).pw_uid)
    return tuple(found)


def _is_roots(uid: int) -> bool:
    """True for root, for our own user, and in a user namespace for the overflow uid, which stands for a root without a
    number there."""
    return uid in (0, os.geteuid()) or uid == os.stat("/").st_uid


def open_folder(path: str, *, anyones: bool = False, make: bool = False, mode: int = 0o755) -> int:
    """An O_PATH descriptor of the folder ``path``, "" being the current one; ``make`` makes what is missing of it.
    RefusedError for somebody else's folder or link; OSError. Both name ``path``."""
    try:
        here, todo, links = os.open("/" if path.startswith("/") else ".", _PATH | os.O_DIRECTORY), [path], 0
        try:
            while todo:
                first, _, rest = todo.pop().partition("/")
                todo += [rest] if rest else []
                if first not in ("", "."):
                    if make:
                        _make(here, first, mode, anyones=anyones)
                    here, target = _below(here, first)
                    todo += [target] if target else []
                    links += bool(target)
                if links > _MAX_LINKS:
                    raise OSError(ELOOP, os.strerror(ELOOP))
            if not anyones:
                _check_owner(os.fstat(here).st_uid)
        except BaseException:
            os.close(here)
            raise
    except OSError as error:
        error.filename, error.filename2 = path, None
        raise
    return here


def _below(here: int, part: str) -> tuple[int, str]:
    """The folder ``part`` in ``here``, which is closed then; or where to go on from, and by which way, when it is a
    link. OSError; ``here`` stays open then."""
    below, target = os.open(part, _PATH, dir_fd=here), ""
    try:
        mode = os.fstat(below).st_mode
        if S_ISLNK(mode):
            _check_link(below, here)
            target = os.readlink("", dir_fd=below)
            os.close(below)
            below = os.open("/" if target.startswith("/") else ".", _PATH | os.O_DIRECTORY, dir_fd=here)
        elif not S_ISDIR(mode):
            raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR))
    except BaseException:
        os.close(below)
        raise
    os.close(here)
    return below, target


def _make(here: int, part: str, mode: int, *, anyones: bool) -> None:
    """Make the folder ``part`` in ``here`` when nothing is there. OSError."""
    with suppress(FileNotFoundError):
        os.stat(part, dir_fd=here, follow_symlinks=False)
        return
    owner = os.fstat(here)
    if not anyones:
        _check_owner(owner.st_uid)
    with suppress(FileExistsError):
        os.mkdir(part, mode, dir_fd=here)
    if not _is_roots(owner.st_uid) and owner.st_uid in agent_uids():
        _give_folder(here, part, owner)


def _give_folder(here: int, part: str, owner: os.stat_result) -> None:
    """Give a folder that we created in the daemon's folder to the daemon's user. Only an empty folder of ours is given:
    the name may be another file by now."""
    fd = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
    try:
        if os.fstat(fd).st_uid == os.geteuid() and not os.listdir(fd):
            with suppress(PermissionError):  # no CAP_CHOWN
                os.fchown(fd, owner.st_uid, owner.st_gid)
    finally:
        os.close(fd)


def _check_link(link: int, folder: int) -> None:
    for uid in (os.fstat(link).st_uid, os.fstat(folder).st_uid):
        if not _is_roots(uid):
            raise RefusedError(EPERM, f"is reached by a link of {_name(uid)}, which is not followed; remove the link")


def _check_owner(uid: int) -> None:
    if not _is_roots(uid) and not (os.geteuid() == 0 and uid in agent_uids()):
        ours = "root or the agent's user" if os.geteuid() == 0 else f"root or {_name(os.geteuid())}"
        raise RefusedError(EPERM, f"belongs to {_name(uid)} and not to {ours}, so nothing is done there; give it to "
                                  "one of them, or name another folder")


def _name(uid: int) -> str:
    import pwd  # noqa: PLC0415 - for an error

    with suppress(KeyError):
        return f"user {pwd.getpwuid(uid).pw_name}"
    return f"user {uid}"


@contextmanager
def opened(path: str, *, anyones: bool = False, make: bool = False, mode: int = 0o755) -> Iterator[int]:
    """``open_folder``, closed afterwards."""
    fd = open_folder(path, anyones=anyones, make=make, mode=mode)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _holding(path: str, *, anyones: bool) -> Iterator[tuple[int, str]]:
    """The folder that ``path`` is in, open, and the name in it; OSError names ``path``, but a refused folder itself."""
    folder, name = os.path.split(path)
    with opened(folder, anyones=anyones) as fd:
        try:
            yield fd, name
        except OSError as error:
            error.filename, error.filename2 = path, None
            raise


def make(path: str, *, mode: int = 0o755) -> None:
    """Make the folder ``path`` and those above it, where they are missing. OSError, RefusedError as ``open_folder``."""
    os.close(open_folder(path, make=True, mode=mode))


def give(path: str, uid: int, gid: int) -> None:
    """Give the folder ``path``, when it is root's, to a user; only where the folder that it is in is root's too, so
    that nobody can have put another in its place. OSError."""
    above, name = os.path.split(path.rstrip("/"))
    with opened(above) as there:
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=there)
        try:
            if os.fstat(fd).st_uid == 0 and _is_roots(os.fstat(there).st_uid):
                os.fchown(fd, uid, gid)
        finally:
            os.close(fd)


def open_at(folder: int, name: str, flags: int) -> int:
    """A descriptor of the regular file ``name``. One that is opened for writing has no other name, so that it is in no
    other folder. NotPlainError; FileNotFoundError; OSError."""
    try:
        fd = os.open(name, flags | _FILE, dir_fd=folder)
    except OSError as error:
        if error.errno == ELOOP:
            raise NotPlainError(EINVAL, "is a symbolic link, which is not followed", name) from None
        raise
    status = os.fstat(fd)
    if not S_ISREG(status.st_mode):
        os.close(fd)
        raise NotPlainError(EINVAL, "is not a regular file", name)
    if status.st_nlink > 1 and flags & os.O_ACCMODE != os.O_RDONLY:
        os.close(fd)
        raise NotPlainError(EINVAL, "has another name elsewhere (a hard link) and is not written into", name)
    return fd


def create_at(folder: int, name: str, flags: int, mode: int) -> int:
    """A descriptor of the new file ``name``, given to the folder's owner when that is the daemon's user and we are
    root. FileExistsError; OSError."""
    fd = os.open(name, flags | os.O_CREAT | os.O_EXCL | _FILE, mode, dir_fd=folder)
    owner = os.fstat(folder)
    if os.geteuid() == 0 and not _is_roots(owner.st_uid) and owner.st_uid in agent_uids():
        with suppress(PermissionError):  # no CAP_CHOWN: it is there, and root's
            os.fchown(fd, owner.st_uid, owner.st_gid)
    return fd


def open_or_create_at(folder: int, name: str, flags: int, mode: int) -> int:
    """``open_at``, or ``create_at`` when there is no such file."""
    for _ in range(_ATTEMPTS):
        with suppress(FileNotFoundError):
            return open_at(folder, name, flags)
        with suppress(FileExistsError):
            return create_at(folder, name, flags, mode)
    raise FileNotFoundError(EINVAL, "comes and goes", name)


def read_at(folder: int, name: str, limit: int) -> bytes:
    """The first ``limit`` bytes of a regular file. OSError as ``open_at``."""
    fd = open_at(folder, name, os.O_RDONLY)
    try:
        data = b""
        while len(data) < limit and (more := os.read(fd, limit - len(data))):
            data += more
        return data
    finally:
        os.close(fd)


def read(path: str, limit: int, *, anyones: bool = False) -> bytes:
    """The first ``limit`` bytes of the regular file ``path``. OSError, which names it."""
    with _holding(path, anyones=anyones) as (folder, name):
        return read_at(folder, name, limit)


def tail(path: str, size: int) -> bytes:
    """The last ``size`` bytes of the regular file ``path``. OSError, which names it."""
    with _holding(path, anyones=False) as (folder, name):
        fd = open_at(folder, name, os.O_RDONLY)
        try:
            return os.pread(fd, size, max(0, os.fstat(fd).st_size - size))
        finally:
            os.close(fd)


def names(path: str, *, anyones: bool = False) -> list[str]:
    """The sorted names in the folder ``path``. OSError."""
    with opened(path, anyones=anyones) as folder:
        return names_at(folder)


def names_at(folder: int) -> list[str]:
    """The sorted names in an open folder. OSError."""
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        return sorted(os.listdir(fd))
    finally:
        os.close(fd)


def unlink(path: str, *, anyones: bool = False, durable: bool = False) -> None:
    """Remove the name ``path``, whatever it is but a folder; ``durable``: also after a power cut. OSError names it."""
    with _holding(path, anyones=anyones) as (folder, name):
        os.unlink(name, dir_fd=folder)
        if durable:
            sync(folder)


def rename(path: str, name: str) -> None:
    """Give the file ``path`` another name in its folder, replacing what has it. OSError names ``path``."""
    with _holding(path, anyones=False) as (folder, former):
        os.rename(former, name, src_dir_fd=folder, dst_dir_fd=folder)


def sync(folder: int) -> None:
    """Make the names in an open folder durable. Not every file system can; then it does what it can."""
    with suppress(OSError):
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


@contextmanager
def socket_at(folder: int, name: str) -> Iterator[str]:
    """An address for connect(2) that is the very socket ``name``, of any length and no link. NotPlainError; OSError."""
    fd = os.open(name, _PATH, dir_fd=folder)
    try:
        if not S_ISSOCK(os.fstat(fd).st_mode):
            raise NotPlainError(EINVAL, "is not a socket", name)
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


@contextmanager
def socket_address(path: str) -> Iterator[str]:
    """``socket_at`` for a path in anybody's folder: nothing but the socket's answer is taken from there."""
    with _holding(path, anyones=True) as (folder, name), socket_at(folder, name) as address:
        yield address
