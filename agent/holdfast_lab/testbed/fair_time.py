"""Time on a machine that others use too: waits that are long enough when it is busy, and the time that a process took
less the time for which it had no processor.

A guard against a hang ("this comes within 10 s") is no promise of the program that is waited for. It is counted in fair
seconds: while R processes want C processors, one second of the clock is C / R fair seconds, so that the program gets as
much of the processor before the guard ends the wait as it would get on an idle machine.

What the program does promise ("gone within 2 s") is judged by the clock of a witness less what the kernel says the
program spent waiting for a processor (``Stopwatch``).
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, TypeVar

T = TypeVar("T")

#: Fair seconds are never longer than this many of the clock's: a wait ends on any machine.
SLOWEST = 12.0
#: Seconds between two looks at a condition.
PAUSE = 0.01
#: Seconds between two looks at the machine while a program is waited for.
_LOOK = 0.25


def crowd() -> float:
    """How many runnable threads there are for each processor, 1 to SLOWEST (/proc/loadavg, proc(5))."""
    running = int(Path("/proc/loadavg").read_text(encoding="ascii").split()[3].partition("/")[0])
    return min(max(1.0, running / (os.cpu_count() or 1)), SLOWEST)


def longest(seconds: float) -> float:
    """The seconds of the clock that so many fair ones are at most: a guard against a hang for a call that takes a
    timeout of its own, such as a socket's."""
    return seconds * SLOWEST


class FairTimer:
    """``seconds`` of a fair share of the machine, counted from now. To be looked at often: each look counts the time
    since the one before by how crowded the machine is."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        self._looked_at = time.monotonic()

    def over(self) -> bool:
        """True when the time is used up."""
        now = time.monotonic()
        self.left -= (now - self._looked_at) / crowd()
        self._looked_at = now
        return self.left <= 0


def wait_until(
    condition: Callable[[], T], timeout: float, what: str, *, pause: float = PAUSE,
    error: Callable[[str], Exception] = AssertionError, told: Callable[[], str] = str,
) -> T:
    """What ``condition`` returns, as soon as that is true.

    After ``timeout`` fair seconds it raises ``error`` with a text that has ``what`` and what ``told`` returns. It looks
    once more when the time is over: a look that took long is no reason to fail.
    """
    timer = FairTimer(timeout)
    while not (value := condition()):
        if timer.over():
            value = condition()
            if not value:
                raise error(f"after {timeout:g} s still not so: {what}{told()}")
            return value
        time.sleep(pause)  # the one place where something is waited for by looking again
    return value


def wait_on(changed: threading.Condition, find: Callable[[], T], timeout: float) -> T:
    """What ``find`` returns as soon as that is true, looked at after each notification of ``changed``, which the caller
    holds; after ``timeout`` fair seconds what it returns then."""
    timer = FairTimer(timeout)
    while not (found := find()) and not timer.over():
        changed.wait(min(_LOOK, max(timer.left, PAUSE)))
    return found


def communicate(child: subprocess.Popen[Any], timeout: float, told: Any = None) -> tuple[Any, Any]:
    """As ``child.communicate(told, timeout)``, in fair seconds; TimeoutExpired leaves the child running."""
    timer = FairTimer(timeout)
    if told and child.stdin is not None:
        # Not by communicate(): before Python 3.12, a call that goes on after a timeout feeds no more of its input.
        pipe, child.stdin = child.stdin, None
        threading.Thread(target=_feed, args=(pipe, told), daemon=True).start()
    while True:
        try:
            return child.communicate(None, _LOOK)
        except subprocess.TimeoutExpired:
            if timer.over():
                raise subprocess.TimeoutExpired(child.args, timeout) from None


def _feed(pipe: IO[Any], told: Any) -> None:
    with suppress(BrokenPipeError), pipe:
        pipe.write(told)


def wait(child: subprocess.Popen[Any], timeout: float) -> int:
    """As ``child.wait(timeout)``, in fair seconds."""
    timer = FairTimer(timeout)
    while True:
        try:
            return child.wait(_LOOK)
        except subprocess.TimeoutExpired:
            if timer.over():
                raise subprocess.TimeoutExpired(child.args, timeout) from None


def run(
    words: Sequence[str | os.PathLike[str]], timeout: float, *, check: bool = False, told: Any = None, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """As ``subprocess.run(words, capture_output=True, input=told)`` with a timeout of fair seconds."""
    stdin = subprocess.DEVNULL if told is None else subprocess.PIPE
    piped: dict[str, Any] = {"stdin": stdin, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    with subprocess.Popen(list(words), **piped) as child:
        try:
            out, err = communicate(child, timeout, told)
        except BaseException:
            child.kill()
            raise
    if check and child.returncode != 0:
        raise subprocess.CalledProcessError(child.returncode, list(words), out, err)
    return subprocess.CompletedProcess(list(words), child.returncode, out, err)


# --- what a process got of the processor -------------------------------------------------------------------------


def processor_waited(pid: int, thread: int | None = None) -> float:
    """The seconds that the living threads of process ``pid`` (or one of them) have been runnable without a processor,
    each counted (second field of /proc/PID/task/TID/schedstat, in nanoseconds). A wait counts when it is over; 0.0 for
    a process that is gone, or on a kernel that does not count. A zombie still has its main thread's."""
    waited = 0
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task") if thread is None else [str(thread)]:
            with suppress(OSError, IndexError):
                waited += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text(encoding="ascii").split()[1])
    return waited * 1e-9


class Stopwatch:
    """Started before a cause, read after its effect: how long that took, less what ``pids`` waited for a processor.

    The processes are those that something is promised of, those that their answer depends on, such as a server, and the
    witness, where it takes the time when it reads.
    """

    def __init__(self, *pids: int) -> None:
        self._before = {pid: processor_waited(pid) for pid in pids}
        self.started_at = time.clock_gettime(time.CLOCK_BOOTTIME)

    def waited(self) -> float:
        """Seconds without a processor since the start; a process that has been reaped counts nothing more."""
        return sum(max(0.0, processor_waited(pid) - before) for pid, before in self._before.items())

    def own(self, seconds: float) -> float:
        """What is left of ``seconds``, which a witness measured since the start, without what was waited."""
        return seconds - self.waited()


def end(child: subprocess.Popen[Any], number: signal.Signals, timeout: float) -> float:
    """Send ``number``, reap the child, and return the seconds for which it was there, less what it waited for a
    processor. AssertionError when it is still there after ``timeout`` fair seconds.

    The last instant at which it was seen alive counts: a time in which nobody looked, because the witness had no
    processor, is no time that the child took.
    """
    watch = Stopwatch(child.pid)
    alive_at = watch.started_at

    def gone() -> bool:
        nonlocal alive_at
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        with suppress(ChildProcessError):  # it was reaped already
            # It stays a zombie, and what it waited can be read, until it is reaped.
            if os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                alive_at = now
                return False
        return True

    child.send_signal(number)
    wait_until(gone, timeout, f"process {child.pid} has ended")
    taken = watch.own(alive_at - watch.started_at)
    child.wait()
    return max(0.0, taken)
