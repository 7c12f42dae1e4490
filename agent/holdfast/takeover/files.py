"""Files below a root: "/" on a real system, a folder that looks like one in tests.

Other programs' files are hostile input: only regular files are read, and reads are bounded. Files are written only
where nobody but root can write.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Concatenate, ParamSpec, TypeVar

from holdfast.managers.formats.tree import Tree
from holdfast.state import atomic
from holdfast.state import folder as folders
from holdfast.takeover.errors import TakeoverError, reader_errors, system_error
from holdfast.takeover.trust import weakness

#: Leases, configuration files and drop-ins are a few KiB; a log of leases that nobody rotates is larger.
READ_LIMIT = 1 << 20

Params = ParamSpec("Params")
Answer = TypeVar("Answer")


class Files:
    """Reads and writes. Raises TakeoverError only."""

    def __init__(self, root: str = "/") -> None:
        self.root = root
        self._opened: Tree | None = None

    def path(self, path: str) -> str:
        """Where ``path`` (absolute) really is."""
        return os.path.join(self.root, path.lstrip("/"))

    def weakness(self, path: str, *, missing: bool = False) -> str:
        """See ``trust.weakness``."""
        return weakness(path, self.root, missing=missing)

    def require_root(self, path: str, what: str) -> None:
        """TakeoverError when users other than root can change or create ``path``; the text calls it ``what``."""
        found = self.weakness(path, missing=True)
        if found:
            raise TakeoverError(f"{what} {path}: others than root can change it ({found}); move it into a folder that "
                                "only root can write")

    def read(self, path: str, limit: int = READ_LIMIT) -> bytes | None:
        """The whole file, None when it is not there or is about a process that has ended (proc(5)). A file beyond
        ``limit``, or no file, is an error."""
        try:
            tree = self._tree()
            data = tree.read(path, limit + 1)
            if data is None and tree.stat(path) is not None:
                raise TakeoverError(f"{path} is not a regular file; move it away")
        except ProcessLookupError:
            return None
        except OSError as error:
            raise system_error(f"{path} cannot be read", error) from None
        if data is not None and len(data) > limit:
            raise TakeoverError(f"{path} is larger than {limit} bytes; look into it, and move it away")
        return data

    def ask(
        self, reader: Callable[Concatenate[Tree, Params], Answer], *args: Params.args, **kwargs: Params.kwargs
    ) -> Answer:
        """What ``reader``, a function of ``managers``, reads from these files; its errors are TakeoverErrors here."""
        with reader_errors():
            return reader(self._tree(), *args, **kwargs)

    def _tree(self) -> Tree:
        """The tree, opened when the first file is read."""
        if self._opened is None:
            self._opened = Tree(self.root)
        return self._opened

    def text(self, path: str, limit: int = READ_LIMIT) -> str:
        """The file as text, "" when it is not there."""
        return (self.read(path, limit) or b"").decode("utf-8", "replace")

    def exists(self, path: str) -> bool:
        """True when the name exists, even as a dangling link."""
        return os.path.lexists(self.path(path))

    def stat(self, path: str) -> os.stat_result | None:
        """None when it is not there. Links of the kernel's, such as /proc/PID/exe, lead to the very file."""
        try:
            return os.stat(self.path(path))
        except OSError:
            return None

    def listdir(self, path: str) -> list[str]:
        """The sorted names; empty when it is not a folder, or may not be read."""
        def names(tree: Tree) -> list[str]:
            with suppress(OSError):
                return tree.names(path)
            return []

        return self.ask(names)

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Write the file atomically; create its folder when that is missing. TakeoverError also when users other than
        root can write there."""
        self.require_root(os.path.dirname(path), "the folder")
        real = self.path(path)
        try:
            os.close(folders.open_folder(os.path.dirname(real), make=True, anyones=True))
            atomic.write(real, content, mode, anyones=True)
        except OSError as error:
            raise system_error(f"{path} cannot be written", error) from None

    def set_time(self, path: str, unix: float) -> None:
        """Set the file's modification time."""
        try:
            folder, name = os.path.split(self.path(path))
            with folders.opened(folder, anyones=True) as there:
                os.utime(name, (unix, unix), dir_fd=there, follow_symlinks=False)
        except OSError as error:
            raise system_error(f"the time of {path} cannot be set", error) from None

    def remove(self, path: str) -> None:
        """No error when it is not there."""
        try:
            folders.unlink(self.path(path), anyones=True)
        except FileNotFoundError:
            return
        except OSError as error:
            raise system_error(f"{path} cannot be removed", error) from None

    def readlink(self, path: str) -> str:
        """The target of a link, "" when it is none."""
        try:
            return os.readlink(self.path(path))
        except OSError:
            return ""
