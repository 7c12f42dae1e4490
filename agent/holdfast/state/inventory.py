"""The files of the state folder by interface, and whether they belong to this machine.

A disk that was copied brings them all along. What a former machine left is nobody's: its leases, the
client-ids in them and its histories go when the first of them is met. A file that was written in this boot
is not a former machine's, whatever is missing in it.
"""

from __future__ import annotations

import os
from contextlib import suppress

from holdfast.state import BAD_LEASE, CLIENT_ID, FOREIGN, HISTORY, LEASE, METRIC, YIELD
from holdfast.state import folder as folders
from holdfast.state.identity import Identity

DRAFTS = (LEASE + ".tmp", CLIENT_ID + ".tmp")  # as atomic.py calls them
SUFFIXES = (LEASE, BAD_LEASE, CLIENT_ID, HISTORY, HISTORY + ".1", YIELD, FOREIGN, METRIC)
#: Files looked at: an agent serves a few dozen interfaces, each with a handful.
MAX_FILES = 4096
#: The last bytes of a history, in which its newest line is.
_TAIL = 4096


def by_interface(folder: str, *, anyones: bool = False) -> dict[str, list[str]]:
    """The paths of our files in ``folder``, by interface; other files are left out. Raises OSError. ``anyones`` as in
    ``folder``."""
    found: dict[str, list[str]] = {}
    for name in folders.names(folder, anyones=anyones)[:MAX_FILES]:
        suffix = next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)
        ifname = name.removesuffix(suffix) if suffix is not None else ""
        draft = next((draft for draft in DRAFTS if name.endswith(draft)), None)
        if name[0] == "." and draft is not None:  # of a crash in the middle of writing
            ifname = name[1:].removesuffix(draft)
        if ifname and ifname[0] != ".":
            found.setdefault(ifname, []).append(os.path.join(folder, name))
    return found


def rename(folder: str, former: str, name: str) -> None:
    """Rename the files of ``former`` to ``name``, the new name of the same link. An existing history of ``name`` is
    kept; other files replace those of ``name``. Files that cannot be renamed are left."""
    with suppress(OSError), folders.opened(folder) as fd:
        there = folders.names_at(fd)
        for suffix in SUFFIXES:
            if not (suffix.startswith(HISTORY) and name + suffix in there):
                with suppress(OSError):
                    os.rename(former + suffix, name + suffix, src_dir_fd=fd, dst_dir_fd=fd)


def remove(paths: list[str], *, anyones: bool = False) -> None:
    """Remove files, those that are gone already included. OSError for the first that cannot be removed. ``anyones`` as
    in ``folder``."""
    for path in paths:
        with suppress(FileNotFoundError):
            folders.unlink(path, anyones=anyones)


def forget_former_machine(folder: str, mine: Identity, boot_id: str) -> list[str]:
    """Remove the files of another machine, when a lease in ``folder`` belongs to one. Returns the interfaces' names."""
    gone = []
    with suppress(OSError):
        files = by_interface(folder)
        leases = {ifname: _is_mine(os.path.join(folder, ifname + LEASE), mine) for ifname in files}
        if False not in leases.values():
            return []
        for ifname, paths in files.items():
            ours = leases[ifname]
            if ours is None:
                ours = _written_in(boot_id, os.path.join(folder, ifname + HISTORY))
            if not ours:
                remove(paths)
                gone.append(ifname)
    return gone


def removal_text(gone: list[str]) -> str:
    """The log line about the interfaces whose files ``forget_former_machine`` removed."""
    return f"this disk was another machine's: what it remembered is removed ({', '.join(gone)[:200]})"


def _is_mine(path: str, mine: Identity) -> bool | None:
    """Whether a lease is this machine's; None when there is none that can be read."""
    from holdfast.state import lease_file  # noqa: PLC0415 - json

    try:
        stored = lease_file.parse(folders.read(path, folders.SIZE_LIMIT + 1))
    except (OSError, lease_file.LeaseFileError):
        return None
    return mine.differs_as_machine(stored.identity) is None


def _written_in(boot_id: str, path: str) -> bool:
    """Whether the newest line of a history is of this boot (its boot_id has no hyphens)."""
    try:
        return bool(boot_id) and boot_id.replace("-", "").encode() in folders.tail(path, _TAIL).splitlines()[-1]
    except (OSError, IndexError):
        return False
