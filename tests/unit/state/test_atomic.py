"""runtime.atomic."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from holdfast.state import atomic
from holdfast.state import folder as folders


def test_writing_and_replacing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomic.write(str(path), b"one")
    atomic.write(str(path), b"two", 0o644)
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["file"]


def test_the_mode_does_not_depend_on_who_started_us(tmp_path: Path) -> None:
    # A root shell with umask 077 must not make /etc/resolv.conf readable for root only; nor may a draft
    # that a crash left there.
    path, draft = tmp_path / "file", tmp_path / ".file.tmp"
    draft.touch(mode=0o666)
    former = os.umask(0o077)
    try:
        atomic.write(str(path), b"x", 0o644)
    finally:
        os.umask(former)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    draft.touch()
    draft.chmod(0o666)
    atomic.write(str(path), b"x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_order_of_things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    real_fsync, real_rename = os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append("fsync"), real_fsync(fd))[1])
    monkeypatch.setattr(os, "rename", lambda *a, **k: (done.append("rename"), real_rename(*a, **k))[1])
    atomic.write(str(tmp_path / "file"), b"x")
    assert done == ["fsync", "rename", "fsync"]  # rule 53


@pytest.mark.parametrize("failing", ["write", "fsync", "rename"])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "file"
    atomic.write(str(path), b"old")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(OSError, match="No space left") as caught:
        atomic.write(str(path), b"new")
    assert caught.value.filename == str(path), "for the line about it"
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:2]))
    atomic.write(str(tmp_path / "file"), b"12345")
    assert (tmp_path / "file").read_bytes() == b"12345"


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe"])
def test_whatever_waits_under_the_temporary_name_is_not_written_into(tmp_path: Path, kind: str) -> None:
    victim, draft = tmp_path / "victim", tmp_path / ".file.tmp"
    victim.write_bytes(b"precious")
    if kind == "link":
        draft.symlink_to(victim)
    elif kind == "hard link":
        draft.hardlink_to(victim)
    else:
        os.mkfifo(draft)
    atomic.write(str(tmp_path / "file"), b"x")
    assert (tmp_path / "file").read_bytes() == b"x"
    assert not (tmp_path / "file").is_symlink()
    assert victim.read_bytes() == b"precious"


def test_a_file_system_that_cannot_sync_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    with folders.opened(str(tmp_path)) as folder:
        folders.sync(folder)
    atomic.write(str(tmp_path / "file"), b"x", durable=False)


def test_removing_what_is_not_there(tmp_path: Path) -> None:
    atomic.remove(str(tmp_path / "none"))
