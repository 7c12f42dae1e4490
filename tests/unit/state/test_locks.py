"""state.locks: one agent for one interface, on one descriptor for all of them."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.state import locks as room
from holdfast.state.locks import Locks, TakenError


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Locks, Locks]]:
    made = Locks(str(tmp_path)), Locks(str(tmp_path))
    yield made
    for locks in made:
        locks.close()


def test_a_second_agent_is_told_of_the_first(both: tuple[Locks, Locks]) -> None:
    first, second = both
    assert first.take("eth0")
    with pytest.raises(TakenError, match=f"^{os.getpid()}$"):
        second.take("eth0")
    assert second.take("eth1")
    first.give_back("eth0")
    assert second.take("eth0")
    with pytest.raises(TakenError):
        first.take("eth0")
    second.close()
    assert first.take("eth0")
    assert first.take("eth1")


def test_a_process_that_is_killed_has_nothing_any_more(both: tuple[Locks, Locks], tmp_path: Path) -> None:
    take = f"from holdfast.state.locks import Locks; locks = Locks({str(tmp_path)!r}); locks.take('eth0')"
    program = f"{take}; print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            with pytest.raises(TakenError, match=f"^{other.pid}$"):
                both[0].take("eth0")
            assert room.served(str(tmp_path)) == {"eth0": str(other.pid)}
        finally:
            other.kill()
    assert room.served(str(tmp_path)) == {}
    assert both[0].take("eth0")


def test_a_hundred_interfaces_take_one_descriptor(both: tuple[Locks, Locks], tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    names = [f"eth{number}" for number in range(100)]
    assert all(both[0].take(name) for name in names)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    assert room.served(str(tmp_path)) == dict.fromkeys(names, str(os.getpid()))


def test_a_full_disk_does_not_keep_the_agent_from_starting(
    both: tuple[Locks, Locks], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # rule 59: /run is a small tmpfs that others fill; the lock is a lock without the number in it
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    assert both[0].take("eth0")
    with pytest.raises(TakenError, match="unknown"):
        both[1].take("eth0")
    (tmp_path / "eth0.lock").chmod(0)
    assert list(room.served(str(tmp_path))) == ["eth0"]


def test_a_folder_that_cannot_be_written_locks_nothing(tmp_path: Path) -> None:
    locks = Locks(str(tmp_path / "none"))
    assert not locks.take("eth0")
    locks.give_back("eth0")
    locks.close()
    assert room.served(str(tmp_path / "none")) == room.served(str(tmp_path)) == {}


@pytest.mark.parametrize("name", ["eth0.lock", "locks"])
def test_a_link_in_place_of_the_lock_is_not_followed(name: str, both: tuple[Locks, Locks], tmp_path: Path) -> None:
    (tmp_path / name).symlink_to(tmp_path / "victim")
    assert not both[0].take("eth0")
    assert not (tmp_path / "victim").exists()
    assert room.served(str(tmp_path)) == {}
