"""systemd's units in a tree: what is enabled, what is masked, what drop-ins say (systemd.unit(5))."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from holdfast.managers.formats import ini
from holdfast.managers.formats.tree import Tree

#: The first that has a file goes before the others. /lib is /usr/lib where /usr is merged, and has its own elsewhere.
FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
           "/lib/systemd/system")


def enabled(tree: Tree, *patterns: str) -> set[str]:
    """The units that fit one of ``patterns`` (fnmatch(3)) and are in a .wants or .requires folder, without those that
    are masked: a look at each unit of a machine takes as long as all else that a boot has to read."""
    names = {name for folder in FOLDERS for sub in tree.names(folder) if sub.endswith((".wants", ".requires"))
             for name in tree.names(f"{folder}/{sub}") if any(fnmatchcase(name, pattern) for pattern in patterns)}
    return {name for name in names if not masked(tree, name)}


def masked(tree: Tree, unit: str) -> bool:
    """True if the unit, or its template, is a link to /dev/null, or an empty file."""
    name, at, _ = unit.partition("@")
    for one in {unit, f"{name}@.service" if at else unit}:
        for folder in FOLDERS:
            if is_void(tree, f"{folder}/{one}"):
                return True
            if tree.is_file(f"{folder}/{one}"):
                break
    return False


def is_void(tree: Tree, path: str) -> bool:
    """True if a file is there only to hide one of its name: a link to /dev/null, or an empty file."""
    return tree.link(path) == "/dev/null" or tree.read(path, 1) == b""


def exists(tree: Tree, unit: str) -> bool:
    """True if there is a file for it."""
    return any(tree.is_file(f"{folder}/{unit}") for folder in FOLDERS)


def drop_ins(tree: Tree, unit: str) -> Iterator[tuple[str, str, str]]:
    """(section, key, value) of the unit's drop-ins in the order in which systemd reads them."""
    for path in tree.merged([f"{folder}/{unit}.d" for folder in FOLDERS], ".conf").values():
        yield from ini.settings(tree.text(path) or "")
