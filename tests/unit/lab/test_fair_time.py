"""Time on a busy machine: what is waited for gets its share, what is judged is judged by its own time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from holdfast_lab.testbed import fair_time
from holdfast_lab.testbed.fair_time import FairTimer, Stopwatch, processor_waited, wait_on, wait_until
from holdfast_lab.witness.processor import ProcessorWatch

#: Uses the processor of the number that it is given, and never ends.
SPINNING = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); print(flush=True)\nwhile True: pass"
#: Takes a second to end after SIGTERM.
SLOW_END = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), exit(4)))
print(flush=True)
signal.pause()
"""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of the clock, and how crowded the machine is: both are the test's. A sleep moves the clock."""
    state = [1000.0, 1.0]
    fake = SimpleNamespace(
        monotonic=lambda: state[0], sleep=lambda seconds: state.__setitem__(0, state[0] + seconds)
    )
    monkeypatch.setattr(fair_time, "time", fake)
    monkeypatch.setattr(fair_time, "crowd", lambda: state[1])
    return state


@pytest.mark.parametrize(("crowd", "seconds"), [(1.0, 10.0), (6.0, 60.0)])
def test_a_guard_lasts_as_long_as_the_machine_is_crowded(clock: list[float], crowd: float, seconds: float) -> None:
    clock[1] = crowd
    with pytest.raises(AssertionError, match=r"after 10 s still not so: never; said"):
        wait_until(lambda: False, 10.0, "never", told=lambda: "; said")
    assert clock[0] - 1000.0 == pytest.approx(seconds, abs=0.1)


def test_a_look_that_took_all_the_time_is_looked_at_once_more(clock: list[float]) -> None:
    looks: list[bool] = []

    def slow() -> bool:
        clock[0] += 60.0
        looks.append(len(looks) == 1)
        return looks[-1]

    assert wait_until(slow, 10.0, "at the second look")
    assert len(looks) == 2


def test_the_crowd_of_this_machine() -> None:
    assert 1.0 <= fair_time.crowd() <= fair_time.SLOWEST
    assert fair_time.longest(2.0) == 2.0 * fair_time.SLOWEST


def test_a_condition_is_waited_for(clock: list[float]) -> None:
    changed, found = threading.Condition(), []
    with changed:
        assert wait_on(changed, lambda: found, 0.0) == []
    clock[1] = 1.0
    timer = FairTimer(1.0)
    clock[0] += 2.0
    assert timer.over()


def test_a_slow_reader_gets_all_of_a_long_input() -> None:
    """More than a pipe holds, and longer than one look takes."""
    done = fair_time.run(["sh", "-c", "sleep 1.5; wc -c"], 60, told=b"x" * (4 << 20))
    assert (done.returncode, done.stdout.strip()) == (0, b"4194304")


def test_programs_are_waited_for() -> None:
    done = fair_time.run(["sh", "-c", "cat; echo err >&2; exit 3"], 20, told="in", text=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, "in", "err\n")
    with pytest.raises(subprocess.CalledProcessError):
        fair_time.run(["false"], 20, check=True)
    with pytest.raises(subprocess.TimeoutExpired):
        fair_time.run(["sleep", "60"], 0.05)
    with subprocess.Popen(["sleep", "60"]) as child:
        with pytest.raises(subprocess.TimeoutExpired):
            fair_time.wait(child, 0.05)
        child.kill()
        assert fair_time.wait(child, 20) == -signal.SIGKILL


def test_time_without_a_processor_is_not_the_process_s_own() -> None:
    """Two processes that share one processor with a third: each waits, and the kernel counts it."""
    command = [sys.executable, "-S", "-c", SPINNING, str(min(os.sched_getaffinity(0)))]
    spinning = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    try:
        for child in spinning:
            assert child.stdout is not None
            child.stdout.readline()
        pid = spinning[0].pid
        watch = Stopwatch(pid)
        samples = ProcessorWatch(lambda: [(pid, None)])
        before = processor_waited(pid)
        wait_until(lambda: processor_waited(pid) > before + 0.3, 20, "it has waited")
        assert watch.waited() > 0.3
        assert watch.own(10.0) < 9.7
        assert processor_waited(pid) <= processor_waited(pid, pid) <= processor_waited(pid)
        samples.close()
        times, waits = zip(*samples.samples(), strict=True)
        assert list(times) == sorted(times)
        assert list(waits) == sorted(waits)
        assert waits[-1] > 0.3
    finally:
        for child in spinning:
            child.kill()
            child.communicate()
    assert processor_waited(pid) == 0.0  # it is gone
    assert watch.waited() == 0.0


def test_the_time_that_a_program_takes_to_end() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        assert fair_time.end(child, signal.SIGTERM, 20) < 2.0
        assert child.returncode == -signal.SIGTERM
    with subprocess.Popen([sys.executable, "-c", SLOW_END], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert fair_time.end(child, signal.SIGTERM, 20) > 0.4
        assert child.returncode == 4
    with subprocess.Popen(["sleep", "60"]) as child:
        with pytest.raises(AssertionError, match="has ended"):
            fair_time.end(child, signal.SIGCONT, 0.05)
        child.kill()
