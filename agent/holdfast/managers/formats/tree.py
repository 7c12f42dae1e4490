"""Files below a root that is not trusted: an unpacked or mounted image, or this machine's own "/".

Symbolic links are followed as the image's own system would follow them: an absolute target starts at the root,
and ".." never leaves it. The walk goes from descriptor to descriptor with O_NOFOLLOW, so that no link, and nobody
who changes the tree meanwhile, leads out of it. Reading is bounded, and only regular files are opened.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from itertools import islice

from holdfast.managers.formats.errors import FormatError

#: As the kernel's own limit (path_resolution(7)).
LINK_LIMIT = 40
#: Configuration files are a few KiB; a package's list of checksums and the dpkg status are the largest we read.
READ_LIMIT = 16 << 20
#: Names in one folder (/proc has one for each process), and parts of one path: more than any system has.
NAME_LIMIT = 1 << 16
PART_LIMIT = 256
#: Folders that are read for one pattern with wildcards.
GLOB_LIMIT = 4096
_MAGIC = re.compile(r"[*?\[]")


class Tree:
    """``root`` itself is given by the user, and may be a symbolic link. Raises OSError when it is no folder."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the root; nothing can be read afterwards. May be called again."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def __del__(self) -> None:
        with suppress(AttributeError):  # the root was none
            self.close()

    def read(self, path: str, limit: int = READ_LIMIT) -> bytes | None:
        """A regular file's bytes, at most ``limit``; None when there is no such file. OSError otherwise."""
        with self._opened(path, stat.S_ISREG, os.O_RDONLY) as fd:
            if fd is None:
                return None
            with open(fd, "rb", closefd=False) as file:
                return file.read(limit)

    def text(self, path: str) -> str | None:
        """The whole file; bytes that are no UTF-8 are replaced. FormatError for one beyond ``READ_LIMIT``,
        because the rest could change its meaning. OSError as ``read``."""
        data = self.read(path, READ_LIMIT + 1)
        if data is not None and len(data) > READ_LIMIT:
            raise FormatError(f"{path} is larger than {READ_LIMIT} bytes; look into it, and move it away")
        return None if data is None else data.decode("utf-8", "replace")

    def stat(self, path: str) -> os.stat_result | None:
        """Of what the path leads to, None when there is nothing. OSError otherwise."""
        with self._opened(path, lambda _: True, os.O_PATH) as fd:
            return None if fd is None else os.fstat(fd)

    def mode(self, path: str) -> int | None:
        """st_mode of what the path leads to, None when there is nothing."""
        status = self.stat(path)
        return None if status is None else status.st_mode

    def permissions(self, path: str) -> int:
        """The permission bits of what the path leads to, 0o644 when there is nothing."""
        mode = self.mode(path)
        return 0o644 if mode is None else stat.S_IMODE(mode) & 0o777

    def is_file(self, path: str) -> bool:
        """True if a regular file is there."""
        mode = self.mode(path)
        return mode is not None and stat.S_ISREG(mode)

    def names(self, path: str) -> list[str]:
        """The sorted names in a folder; empty when there is none. OSError when it cannot be read, FormatError
        for more than ``NAME_LIMIT``."""
        with self._opened(path, stat.S_ISDIR, os.O_RDONLY) as fd:
            if fd is None:
                return []
            with os.scandir(fd) as entries:
                names = sorted(entry.name for entry in islice(entries, NAME_LIMIT + 1))
        if len(names) > NAME_LIMIT:
            raise FormatError(f"{path} holds more than {NAME_LIMIT} files; move them away")
        return names

    def link(self, path: str) -> str | None:
        """Where a symbolic link says it leads; None when it is none."""
        folder, name = os.path.split(path)
        with self._opened(folder, stat.S_ISDIR, os.O_PATH) as fd:
            try:
                return None if fd is None else os.readlink(name, dir_fd=fd)
            except OSError:
                return None

    def glob(self, pattern: str) -> list[str]:
        """The sorted paths that fit ``pattern`` (absolute; shell wildcards in any part, which fit no leading dot).
        FormatError when it has us look into more than ``GLOB_LIMIT`` folders."""
        found, looked = [""], 0
        for part in pattern.strip("/").split("/"):
            if not _MAGIC.search(part):
                found = [f"{path}/{part}" for path in found]
                continue
            looked += len(found)
            if looked > GLOB_LIMIT:
                raise FormatError(f"{pattern} leads into more than {GLOB_LIMIT} folders; name fewer")
            hidden = part.startswith(".")
            found = [f"{path}/{name}" for path in found for name in self.names(path)
                     if fnmatchcase(name, part) and (hidden or not name.startswith("."))]
        return sorted(path for path in found if self.stat(path) is not None)

    def merged(self, folders: Iterable[str], suffix: str) -> Mapping[str, str]:
        """File name -> path of the files that end with ``suffix``, sorted by name whatever folder they are in; of two
        with the same name that of the earlier folder. So systemd and NetworkManager read their drop-ins."""
        found: dict[str, str] = {}
        for folder in folders:
            for name in self.names(folder):
                if name.endswith(suffix):
                    found.setdefault(name, f"{folder}/{name}")
        return dict(sorted(found.items()))

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
