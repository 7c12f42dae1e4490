"""FolderChanges: in the first thread the kernel wakes it, elsewhere it looks again soon."""

from __future__ import annotations

import os
import select
import signal
import threading
from pathlib import Path

import pytest

from holdfast.eventloop import folder_changes
from holdfast.eventloop.folder_changes import FolderChanges
from holdfast_lab.testbed import fair_time


def changed_later(path: Path) -> threading.Timer:
    later = threading.Timer(0.2, path.mkdir, kwargs={"parents": True})
    later.start()
    return later


def test_a_change_ends_a_wait_that_would_last_for_an_hour(tmp_path: Path) -> None:
    changes = FolderChanges()
    try:
        changes.watch([str(tmp_path / "not" / "there")])
        for name in ("not", "not/there"):
            later = changed_later(tmp_path / name)
            assert changes.wait(select.poll(), 3600, look_again=False) == []
            later.join()
            assert (tmp_path / name).is_dir()
            changes.watch([str(tmp_path / "not" / "there")])
        later = changed_later(tmp_path / "not/there/file")
        assert changes.wait(select.poll(), 3600, look_again=False) == []
        later.join()
    finally:
        changes.close()
    assert signal.getsignal(signal.SIGIO) is signal.SIG_DFL


def test_a_descriptor_ends_it_too() -> None:
    reader, writer = os.pipe()
    changes = FolderChanges()
    try:
        poll = select.poll()
        poll.register(reader, select.POLLIN)
        os.write(writer, b"x")
        assert changes.wait(poll, 3600) == [reader]
    finally:
        changes.close()
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("why", ["another thread", "no F_NOTIFY"])
def test_where_nothing_wakes_it_it_looks_again(why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(folder_changes, "LOOK_AGAIN", 0.01)
    ended = threading.Event()

    def wait() -> None:
        changes = FolderChanges()
        changes.watch([str(tmp_path)])
        changes.wait(select.poll(), 3600)
        changes.close()
        ended.set()

    if why == "no F_NOTIFY":
        monkeypatch.setattr(folder_changes.fcntl, "fcntl", refuses)
        wait()
    else:
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(fair_time.longest(20))
    assert ended.is_set()
