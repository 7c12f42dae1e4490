"""A user who owns the daemon's folders and wants root to change a file of root's."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

#: nobody: owns the folders in these tests, as the daemon's user does.
UID = 65534
#: The calls before which the user acts.
CALLS = ("chmod", "chown", "fchmod", "fchown", "fstat", "link", "listdir", "lstat", "makedirs", "mkdir", "open",
         "rename", "replace", "rmdir", "stat", "truncate", "unlink", "utime", "write")


class Victim:
    """A file and a folder of root's that must stay as they are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "roots"
        self.folder.mkdir(mode=0o755)
        self.file = self.folder / "precious"
        self.file.write_text("precious")
        self.file.chmod(0o644)
        self._before = self._facts()

    def _facts(self) -> list[tuple[str, int, int, int, bytes]]:
        facts = []
        for path in (self.folder, *sorted(self.folder.iterdir())):
            status = path.lstat()
            data = path.read_bytes() if path.is_file() else b""
            facts.append((path.name, status.st_mode, status.st_uid, status.st_gid, data))
        return facts

    def is_whole(self) -> bool:
        """Names, modes, owners and contents are as they were."""
        return self._facts() == self._before


@contextmanager
def as_user() -> Iterator[None]:
    """Act with the powers of the user alone."""
    os.setegid(UID)
    os.seteuid(UID)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def exchange_everything(folder: Path, victim: Victim) -> None:
    """Put a link to the victim in the place of everything in ``folder``, and what was there under a new name."""
    with as_user():
        for number, name in enumerate(sorted(os.listdir(folder))):
            path = folder / name
            if path.is_symlink() or ".gone" in name:
                continue
            with suppress(OSError):
                target = victim.folder if path.is_dir() else victim.file
                path.rename(folder / f"{name}.gone{number}")
                path.symlink_to(target)


def attack_before_call(
    number: int, attack: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], int]:
    """Run ``attack`` before the ``number``-th of the system calls that follow; answers how many there were."""
    count = 0
    attacking = False

    def wrapped(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal count, attacking
            if not attacking:
                count += 1
                if count == number:
                    attacking = True
                    attack()
                    attacking = False
            return real(*args, **options)

        return call

    for name in CALLS:
        monkeypatch.setattr(os, name, wrapped(getattr(os, name)))
    return lambda: count
