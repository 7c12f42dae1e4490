"""The byte-code of what a boot waits for in one file, as a package's installation makes it: ``python bundle.py``.

Python looks for each module in each folder of its path and asks the file system a dozen things about each that it
finds: more than half of a start's system calls. With ``use`` a module takes two. As with a ``.pyc``, code is used only
while its source has the size and the time that it had when the file was made, and only by the Python that made it;
everything else is imported as ever. See docs/decisions/0025.
"""

from __future__ import annotations

import marshal
import os
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

PACKAGE = os.path.dirname(os.path.abspath(__file__))
#: Beside the byte-code of the package's own modules, and gone with it. The name tells one Python from another.
FILE = os.path.join(PACKAGE, "__pycache__", f"bundle.{sys.implementation.cache_tag}")
#: Rooms of commands that nothing at boot waits for.
NOT_BUNDLED = ("cli", "doctor", "guard", "takeover")

_used: list[Bundle] = []


class Bundle:
    """A finder and loader (importlib.abc) of what is in the file with the descriptor ``fd``. ValueError, EOFError or
    TypeError when it is not of this Python, or broken."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        head = os.pread(fd, 12, 0)
        if head[:4] != MAGIC_NUMBER:
            raise ValueError("of another Python")
        size = int.from_bytes(head[4:8], "little")
        self._codes = len(head) + size
        if os.fstat(fd).st_size != self._codes + int.from_bytes(head[8:], "little"):
            raise ValueError("cut")
        #: name -> source, its time (ns) and size, whether it is a package, position from _codes, length
        self._index: dict[str, tuple[str, int, int, bool, int, int]] = marshal.loads(  # noqa: S302 - root's own file
            os.pread(fd, size, len(head)))

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """None: not here, or its source has changed."""
        entry = self._index.get(name)
        if entry is None:
            return None
        source, changed, size, package, _, _ = entry
        try:
            now = os.stat(source)
        except OSError:
            return None
        if (now.st_mtime_ns, now.st_size) != (changed, size):
            return None
        spec = ModuleSpec(name, self, origin=source, is_package=package)  # type: ignore[arg-type] # needs no base class
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(os.path.dirname(source))
        return spec

    def create_module(self, _spec: ModuleSpec) -> None:
        """A plain module."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code."""
        source, _, _, _, position, length = self._index[module.__name__]
        module.__file__ = source
        code = marshal.loads(os.pread(self._fd, length, self._codes + position))  # noqa: S302 - as above
        exec(code, module.__dict__)  # noqa: S102 - what an import does

    def close(self) -> None:
        """Find nothing more."""
        self._index.clear()
        os.close(self._fd)


def use(path: str = FILE) -> None:
    """Take from ``path`` what is imported from now on. Nothing happens where there is no such file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        bundle = Bundle(fd)
    except (OSError, ValueError, EOFError, TypeError):
        os.close(fd)
        return
    _used.append(bundle)
    sys.meta_path.insert(0, bundle)


def forget() -> None:
    """The start is over: what is imported later is imported as ever, and no descriptor is held for it."""
    while _used:
        bundle = _used.pop()
        sys.meta_path.remove(bundle)
        bundle.close()


def write(path: str = FILE, package: str = PACKAGE) -> None:
    """Make the file, or replace it as a whole. OSError, SyntaxError."""
    index, codes = {}, b""
    for name, source in _sources(package):
        found = os.stat(source)
        with open(source, "rb") as file:
            code = marshal.dumps(compile(file.read(), source, "exec", dont_inherit=True))
        is_package = os.path.basename(source) == "__init__.py"
        index[name] = (source, found.st_mtime_ns, found.st_size, is_package, len(codes), len(code))
        codes += code
    packed = marshal.dumps(index)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(f"{path}.new", "wb") as out:
        out.write(MAGIC_NUMBER + len(packed).to_bytes(4, "little") + len(codes).to_bytes(4, "little") + packed + codes)
        out.flush()
        os.fsync(out.fileno())  # a machine that fails now must not find a name without content
    os.replace(f"{path}.new", path)


def _sources(package: str) -> Iterator[tuple[str, str]]:
    """The name and the path of each module of the package that the daemon may import."""
    above = os.path.dirname(package)
    for folder, folders, files in os.walk(package):
        folders[:] = sorted(name for name in folders if name not in ("__pycache__", *NOT_BUNDLED))
        for file in sorted(files):
            if file.endswith(".py"):
                source = os.path.join(folder, file)
                name = os.path.relpath(source, above)[:-3].replace(os.sep, ".").removesuffix(".__init__")
                yield name, source


if __name__ == "__main__":
    write()
