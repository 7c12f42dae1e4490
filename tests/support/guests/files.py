"""Files that one guest has of its own, and the two ways to bring them in: written in place, or as a cpio archive."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple


class File(NamedTuple):
    """A regular file of root's."""

    content: str | bytes
    mode: int = 0o644

    @property
    def data(self) -> bytes:
        """The content as bytes."""
        return self.content.encode() if isinstance(self.content, str) else self.content


class Link(NamedTuple):
    """A symbolic link."""

    target: str


#: Absolute path in the guest -> what is there. Folders above are made, with mode 0755.
Files = Mapping[str, File | Link]


def unit_enabled(unit: str, wanted_by: str) -> dict[str, File | Link]:
    """What ``systemctl enable`` leaves behind."""
    return {f"/etc/systemd/system/{wanted_by}.wants/{unit}": Link(f"/lib/systemd/system/{unit}")}


def write(root: Path, files: Files) -> None:
    """Put ``files`` under ``root``; what was there is replaced."""
    for path, entry in files.items():
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        if isinstance(entry, Link):
            place.symlink_to(entry.target)
        else:
            place.write_bytes(entry.data)
            place.chmod(entry.mode)


def cpio(files: Files) -> bytes:
    """``files`` as an archive in the "newc" format that the kernel unpacks as an initial RAM file system.

    Format: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
    """
    archive = bytearray()
    folders: set[str] = set()
    for path, entry in files.items():
        for parent in reversed(PurePosixPath(path).parents[:-1]):
            if str(parent) not in folders:
                folders.add(str(parent))
                archive += _record(str(parent), stat.S_IFDIR | 0o755, b"")
        if isinstance(entry, Link):
            archive += _record(path, stat.S_IFLNK | 0o777, os.fsencode(entry.target))
        else:
            archive += _record(path, stat.S_IFREG | entry.mode, entry.data)
    archive += _record("TRAILER!!!", 0, b"")
    return bytes(archive + bytes(-len(archive) % 512))


def _record(path: str, mode: int, data: bytes) -> bytes:
    name = os.fsencode(path.lstrip("/")) + b"\0"
    # inode, mode, uid, gid, links, mtime, size, device (2), special device (2), length of name, checksum
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + name
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
