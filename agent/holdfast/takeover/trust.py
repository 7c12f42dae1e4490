"""What only root can change: the one test that a path passes before root believes, executes or writes it (rule 93)."""

from __future__ import annotations

import os
import stat

#: As the kernel's own limit (path_resolution(7)).
MAX_LINKS = 40


def weakness(path: str, root: str = "/", *, missing: bool = False) -> str:
    """A text that says which users other than root can change ``path``, and by which file or folder; "" for none.

    Every component counts, those behind symbolic links too: it is root's, and neither group nor others can write it.
    A sticky folder is no exception, because others can still put something there first. With a POSIX ACL the group's
    bits are its mask (acl(5)), so a right that it gives is seen. A character device is judged by its owner alone:
    what others write to /dev/null changes nothing. ``path`` is absolute, below ``root``. ``missing``: what is not
    there yet is no weakness, because only root can make it. For a command that is not root's, its own user counts as
    root does.
    """
    if not path.startswith("/"):
        return f"{path!r} does not begin at /"
    rest = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    at: list[str] = []
    links = 0
    while True:
        here = "/" + "/".join(at)
        real = os.path.join(root, here.lstrip("/"))
        try:
            status = os.lstat(real)
            target = os.readlink(real) if stat.S_ISLNK(status.st_mode) else ""
        except FileNotFoundError:
            return "" if missing else f"{here} is not there"
        except OSError as error:
            return f"{here}: {error.strerror}"
        found = _others(here, status)
        if found:
            return found
        if target:
            links += 1
            if links > MAX_LINKS:
                return f"{here} is a link that leads in a circle"
            at = [] if target.startswith("/") else at[:-1]
            rest += [part for part in reversed(target.split("/")) if part not in ("", ".")]
        while rest and rest[-1] == "..":
            rest.pop()
            at = at[:-1]
        if not rest:
            if target:
                continue  # the link's target itself is yet to be looked at
            return ""
        at = [*at, rest.pop()]


def status_weakness(name: str, status: os.stat_result) -> str:
    """As ``weakness``, of one open or deleted file."""
    return _others(name, status)


def _others(name: str, status: os.stat_result) -> str:
    if status.st_uid not in (0, os.geteuid()):
        return f"{name} belongs to uid {status.st_uid}"
    if stat.S_ISLNK(status.st_mode) or stat.S_ISCHR(status.st_mode):
        return ""
    if status.st_mode & stat.S_IWOTH:
        return f"everybody can write {name}"
    return f"group {status.st_gid} can write {name}" if status.st_mode & stat.S_IWGRP else ""
