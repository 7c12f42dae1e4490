"""Files below a root that somebody else made: an unpacked or mounted image.

Symbolic links are followed as the image's own system would follow them: an absolute target starts at the root,
and ".." never leaves it. The walk goes from descriptor to descriptor with O_NOFOLLOW, so that no link, and nobody
who changes the tree meanwhile, leads out of it. Reading is bounded, and only regular files are opened.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

#: As the kernel's own limit (path_resolution(7)).
LINK_LIMIT = 40
#: Configuration files are a few KiB; a package's list of checksums and the dpkg status are the largest we read.
READ_LIMIT = 16 << 20
#: Names in one folder, and parts of one path: far more than any system has.
NAME_LIMIT = 8192
PART_LIMIT = 256


class Tree:
    """``root`` itself is the user's word, and may be a symbolic link. Raises OSError when it is no folder."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._fd)

    def read(self, path: str, limit: int = READ_LIMIT) -> bytes | None:
        """A regular file's bytes, at most ``limit``; None when there is no such file. OSError otherwise."""
        with self._opened(path, stat.S_ISREG, os.O_RDONLY) as fd:
            if fd is None:
                return None
            with open(fd, "rb", closefd=False) as file:
                return file.read(limit)

    def text(self, path: str) -> str | None:
        """As ``read``; bytes that are no UTF-8 are replaced."""
        data = self.read(path)
        return None if data is None else data.decode("utf-8", "replace")

    def mode(self, path: str) -> int | None:
        """st_mode of what the path leads to, None when there is nothing."""
        with self._opened(path, lambda _: True, os.O_PATH) as fd:
            return None if fd is None else os.fstat(fd).st_mode

    def is_file(self, path: str) -> bool:
        """Whether a regular file is there."""
        mode = self.mode(path)
        return mode is not None and stat.S_ISREG(mode)

    def names(self, path: str) -> list[str]:
        """The sorted names in a folder; empty when there is none."""
        with self._opened(path, stat.S_ISDIR, os.O_RDONLY) as fd:
            if fd is None:
                return []
            with os.scandir(fd) as entries:
                return sorted(entry.name for entry in islice(entries, NAME_LIMIT))

    def link(self, path: str) -> str | None:
        """Where a symbolic link says it leads; None when it is none."""
        folder, name = os.path.split(path)
        with self._opened(folder, stat.S_ISDIR, os.O_PATH) as fd:
            try:
                return None if fd is None else os.readlink(name, dir_fd=fd)
            except OSError:
                return None

    @contextmanager
    def _opened(self, path: str, kind: Callable[[int], bool], flags: int) -> Iterator[int | None]:
        """A descriptor of what ``path`` leads to inside the root, None when it leads nowhere or is not of ``kind``.
        Nothing but that kind is ever opened: a device or a pipe could do something then."""
        way: list[tuple[int, str]] = []
        try:
            if not self._walk(path, way) or not kind(os.fstat(way[-1][0] if way else self._fd).st_mode):
                yield None
                return
            above, name = (way[-2][0] if len(way) > 1 else self._fd), (way[-1][1] if way else ".")
            fd = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=above)
            try:
                yield fd if kind(os.fstat(fd).st_mode) else None
            finally:
                os.close(fd)
        finally:
            for fd, _ in way:
                os.close(fd)

    def _walk(self, path: str, way: list[tuple[int, str]]) -> bool:
        """Fill ``way`` with an O_PATH descriptor and the name of each step below the root; False: it leads nowhere."""
        todo, links, parts = path.split("/")[::-1], 0, 0
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                if way:
                    os.close(way.pop()[0])
                continue
            parts += 1
            try:
                fd = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=way[-1][0] if way else self._fd)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                    return False
                raise
            way.append((fd, part))
            if stat.S_ISLNK(os.fstat(fd).st_mode):
                target = os.readlink("", dir_fd=fd)
                os.close(way.pop()[0])
                links += 1
                if target.startswith("/"):
                    while way:
                        os.close(way.pop()[0])
                todo += target.split("/")[::-1]
            if parts > PART_LIMIT or links > LINK_LIMIT:
                return False
        return True
