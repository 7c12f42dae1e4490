"""runtime.driver.LeaseWriter on a disk that takes long, or does not answer: the loop does not wait for it."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.observe.outcomes import OutcomeJournal
from holdfast.runtime.driver import LOOK_AGAIN, SLOW_DISK, LeaseWriter
from holdfast.state import background
from holdfast.state.background import Background
from holdfast_lab.testbed.fair_time import longest, wait_until
from holdfast_lab.testbed.virtual_host import VirtualClock, VirtualLoop


class Disk:
    """A store whose writes wait until ``answers`` is set; ``written`` has what was written."""

    path = "/var/lib/holdfast/eth0.lease.json"

    def __init__(self) -> None:
        self.answers, self.began = threading.Event(), threading.Event()
        self.written: list[Any] = []
        self.error: OSError | None = None

    def save(self, binding: Any) -> None:
        self.began.set()
        assert self.answers.wait(longest(60))
        if self.error is not None:
            raise self.error
        self.written.append(binding)

    def forget(self) -> None:
        self.save(None)


class Said:
    """What the writer reports."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, _priority: int, text: str) -> None:
        self.lines.append(text)

    def line_once(self, _topic: str, _priority: int, *texts: str) -> None:
        self.lines += texts

    def line_over(self, _topic: str) -> None:
        pass


class Bench:
    """A writer on a virtual loop."""

    def __init__(self) -> None:
        self.disk, self.loop, self.said = Disk(), VirtualLoop(VirtualClock()), Said()
        self.writer: Any = LeaseWriter(self.disk, self.loop, self.said)  # type: ignore[arg-type]

    def answer(self, *written: str) -> None:
        """The disk does what it was asked to, until ``written`` is there, and the loop looks again."""
        self.disk.answers.set()

        def done() -> bool:
            self.loop.run(LOOK_AGAIN)
            return self.disk.written == list(written)

        wait_until(done, 60, f"{written} is written")
        self.loop.run(2 * LOOK_AGAIN)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(background, "PATIENCE", 0.0)
    made = Bench()
    yield made
    made.disk.answers.set()
    made.writer.close()


def test_the_loop_goes_on_and_the_last_lease_is_written(bench: Bench) -> None:  # rule 91
    bench.writer.save("first")
    for name in ("second", "third"):
        bench.writer.save(name)
        bench.loop.run(1)
    assert (bench.disk.written, bench.said.lines) == ([], [])
    bench.answer("first", "third")
    bench.loop.run(600)
    assert bench.disk.written == ["first", "third"]


def test_a_disk_that_does_not_answer_is_told_once_and_so_is_its_answer(bench: Bench) -> None:  # rule 91
    bench.writer.save("lease")
    bench.loop.run(SLOW_DISK + 60)
    assert bench.said.lines == [
        f"the lease file {bench.disk.path} cannot be written: the disk does not answer; the lease stays in use, and it "
        "is tried again: make room, or let the agent's user write there"]
    bench.answer("lease")
    wait_until(lambda: bench.loop.run(LOOK_AGAIN) or len(bench.said.lines) == 2, 60, "it is told")
    assert bench.said.lines[1:] == ["the lease file is written again"]


def test_an_error_that_comes_late_is_one_too(bench: Bench) -> None:
    bench.disk.error = OSError(errno.EIO, "Input/output error")
    bench.writer.save("lease")
    bench.disk.answers.set()
    # No faster than the clock: after SLOW_DISK it is told that the disk does not answer.
    wait_until(lambda: bench.loop.run(LOOK_AGAIN) or bench.said.lines, 60, "it is told", pause=LOOK_AGAIN)
    assert "Input/output error" in bench.said.lines[0]
    bench.disk.error = None
    bench.answer("lease")


def test_a_history_is_written_when_the_disk_answers(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = OutcomeJournal(str(tmp_path), "eth0")
    real = os.write

    def write(fd: int, data: bytes) -> int:
        bench.disk.save(data)
        return real(fd, data)

    monkeypatch.setattr(os, "write", write)
    for number in range(3):
        journal.append({"number": number})
    assert journal.pending == 3
    bench.disk.answers.set()
    wait_until(lambda: not journal.pending, 60, "all is written")
    journal.close()
    assert (tmp_path / "eth0.outcomes.jsonl").read_text().count("number") == 3


def test_what_a_step_raises_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def step() -> None:
        raise OSError(errno.ENOSPC, "no room")

    with pytest.raises(OSError, match="no room"):
        Background().run(step)
    assert Background().run(lambda: None) is True
    assert Background().wait(0) is True


def test_without_threads_or_memory_it_is_written_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under TasksMax= or a limit of memory: a thread cannot be made, ends before its first step, or in one."""
    written: list[str] = []

    def none(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(background._thread, "start_new_thread", none)  # noqa: SLF001 - the module's name
    assert Background().run(lambda: written.append("here")) is True
    assert written == ["here"]

    monkeypatch.setattr(background, "PATIENCE", 0.0)
    monkeypatch.setattr(background._thread, "start_new_thread", lambda *_: None)  # noqa: SLF001
    dead = Background()
    assert dead.run(lambda: written.append("never")) is False
    assert dead.busy
    monkeypatch.setattr(background, "START", -1.0)
    assert not dead.busy
    assert dead.error is not None
    assert dead.error.errno == errno.ENOMEM


def test_a_step_that_runs_out_of_memory_is_an_error() -> None:
    def step() -> None:
        raise MemoryError

    with pytest.raises(OSError, match="memory"):
        Background().run(step)
