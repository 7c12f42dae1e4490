"""Files below a root that somebody else made: an unpacked or mounted image.

Symbolic links are followed as the image's own system would follow them: an absolute target starts at the root,
and ".." never leaves it. The walk goes from descriptor to descriptor with O_NOFOLLOW, so that no link, and nobody
who changes the tree meanwhile, leads out of it. Reading is bounded, and only regular files are opened.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
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
        with self._resolved(path) as fd:
            if fd is None or not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            with open(f"/proc/self/fd/{fd}", "rb") as file:
                return file.read(limit)

    def text(self, path: str) -> str | None:
        """As ``read``; bytes that are no UTF-8 are replaced."""
        data = self.read(path)
        return None if data is None else data.decode("utf-8", "replace")

    def mode(self, path: str) -> int | None:
        """st_mode of what the path leads to, None when there is nothing."""
        with self._resolved(path) as fd:
            return None if fd is None else os.fstat(fd).st_mode

    def is_file(self, path: str) -> bool:
        """Whether a regular file is there."""
        mode = self.mode(path)
        return mode is not None and stat.S_ISREG(mode)

    def names(self, path: str) -> list[str]:
        """The sorted names in a folder; empty when there is none."""
        with self._resolved(path) as fd:
            if fd is None or not stat.S_ISDIR(os.fstat(fd).st_mode):
                return []
            with os.scandir(f"/proc/self/fd/{fd}") as entries:
                return sorted(entry.name for entry in islice(entries, NAME_LIMIT))

    def link(self, path: str) -> str | None:
        """Where a symbolic link says it leads; None when it is none."""
        folder, name = os.path.split(path)
        with self._resolved(folder) as fd:
            try:
                return None if fd is None else os.readlink(name, dir_fd=fd)
            except OSError:
                return None

    @contextmanager
    def _resolved(self, path: str) -> Iterator[int | None]:
        """An O_PATH descriptor of what ``path`` leads to inside the root, None when it leads nowhere."""
        stack: list[int] = []
        try:
            yield self._walk(path, stack)
        finally:
            for fd in stack:
                os.close(fd)

    def _walk(self, path: str, stack: list[int]) -> int | None:
        todo, links, parts = path.split("/")[::-1], 0, 0
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                if stack:
                    os.close(stack.pop())
                continue
            parts += 1
            try:
                fd = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=stack[-1] if stack else self._fd)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                    return None
                raise
            stack.append(fd)
            if parts > PART_LIMIT:
                return None
            if stat.S_ISLNK(os.fstat(fd).st_mode):
                target = os.readlink("", dir_fd=fd)
                os.close(stack.pop())
                links += 1
                if links > LINK_LIMIT:
                    return None
                if target.startswith("/"):
                    while stack:
                        os.close(stack.pop())
                todo += target.split("/")[::-1]
        return stack[-1] if stack else self._fd
