"""One running client in its cage, seen from outside: start, end, memory, processor time, wake-ups."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from holdfast_lab.peers import CAGE, SURROUNDINGS, Peer, find
from holdfast_lab.testbed.fair_time import FairTimer, wait_until
from holdfast_lab.testbed.netns import Namespace
from holdfast_lab.testbed.private import require_private_files

#: Fair seconds for processes that got SIGKILL to be gone.
KILLED = 20.0


class Work(NamedTuple):
    """Time on a processor and going to sleep."""

    processor: float
    """Seconds (schedstat, nanosecond resolution), all threads."""
    wakeups: int
    """Voluntary context switches, all threads: how often it went to sleep, so how often it woke."""


class Usage(NamedTuple):
    """What all processes of one client use together."""

    pss: int
    """Proportional set size now, bytes (proc(5), smaps_rollup)."""
    rss: int
    """Resident set size now, bytes; counts what the processes share once for each."""
    work: dict[int, Work]
    """What each process has done since it was started, by pid."""


def used(before: Usage, after: Usage) -> Work:
    """What was done between two readings. Processes that ended in between are not counted, new ones are."""
    nothing = Work(0.0, 0)
    gained = [(work, before.work.get(pid, nothing)) for pid, work in after.work.items()]
    return Work(
        sum(last.processor - first.processor for last, first in gained),
        sum(last.wakeups - first.wakeups for last, first in gained),
    )


class Running:
    """A client on ``iface`` of ``machine``. A context manager: leaving it kills all that the client started.

    ``machine`` must have the real /etc and /run (``private_files=False``): the cage brings its own.
    """

    def __init__(self, peer: Peer, machine: Namespace, iface: str, log: Path) -> None:
        """RuntimeError, with the end of the log, when the cage cannot be built; NotPrivateError when it does not
        keep the client from the machine's files."""
        self.peer = peer
        self.log = log
        self._machine, self._iface = machine, iface
        cage = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child"]
        with log.open("ab") as errors:
            self._shell = machine.popen(
                [*cage, sys.executable, "-I", "-S", str(CAGE)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        try:
            self._hand_over(iface)
        except BaseException:
            self.kill()
            raise

    def _hand_over(self, iface: str) -> None:
        peer = self.peer
        helpers = [[[find(argv[0]), *argv[1:]], path] for argv, path in peer.helpers]
        argv, layers = peer.argv(iface)
        brief = {
            "argv": argv,
            "layers": layers,
            "environment": {**SURROUNDINGS, **peer.environment},
            "files": {path: text.format(iface=iface) for path, text in peer.files.items()},
            "folders": peer.folders,
            "helpers": helpers,
            "log": str(self.log),
        }
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._shell.stdin.write(json.dumps(brief).encode() + b"\n")
            self._shell.stdin.flush()
        if self._shell.stdout.readline():
            require_private_files(str(self.init()))
        with contextlib.suppress(BrokenPipeError):
            self._shell.stdin.write(b"go\n")
            self._shell.stdin.close()
        line = self._shell.stdout.readline()
        if not line:
            raise RuntimeError(f"{peer.name}: its namespaces could not be made: {self.last_words()}")
        answer = json.loads(line)
        self.started: float = answer["exec"] / 1e9
        """When it was started (its exec), CLOCK_BOOTTIME seconds."""
        self._spare = set(answer["spare"])
        self._namespace = self._namespace_of_init()

    def _namespace_of_init(self) -> str:
        return os.readlink(f"/proc/{self._shell.pid}/ns/pid_for_children")

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the namespace's first process, which takes all others with it; nobody can tidy up.

        The kernel lets unshare(1), its parent, see that end only when all the others have ended.
        """
        with contextlib.suppress(OSError, IndexError):
            os.kill(self.init(), signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._shell.wait(10)
        self._shell.kill()
        self._shell.wait()
        for pipe in (self._shell.stdin, self._shell.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def init(self) -> int:
        """The pid, seen from outside, of the namespace's first process; IndexError when it has ended."""
        pid = self._shell.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])

    def inside(self, path: str) -> Path:
        """``path`` as the client sees it."""
        return Path(f"/proc/{self.init()}/root{path}")

    def end(self, number: signal.Signals, patience: float = 5.0) -> None:
        """Send a signal to the client's first process (SIGKILL: to all), and see to it that all of them are gone: by
        SIGKILL after ``patience`` fair seconds.

        What it has stored stays for ``again``.
        """
        mine = self.pids()
        for pid in mine:
            with contextlib.suppress(OSError, ValueError):
                parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
                if number == signal.SIGKILL or parent not in mine:
                    os.kill(pid, number)
        timer = FairTimer(patience)

        def gone() -> bool:
            left = self.pids()
            if timer.over():  # as a service manager does
                for pid in left:
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGKILL)
            return not left

        wait_until(gone, patience + KILLED, "the client's processes have ended")

    def again(self) -> None:
        """Start the client once more in the same cage."""
        argv, _layers = self.peer.argv(self._iface)
        words = [f"{key}={value}" for key, value in {**SURROUNDINGS, **self.peer.environment}.items()]
        enter = ["nsenter", f"--target={self.init()}", "--mount", "--uts", "--pid", "--wd=/run"]
        with self.log.open("ab") as log:
            self._machine.popen(
                [*enter, "env", "-i", *words, *argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def pids(self) -> list[int]:
        """The client's living processes, without the cage's own."""
        mine = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            with contextlib.suppress(OSError, ValueError):
                if os.readlink(f"/proc/{entry}/ns/pid") == self._namespace and self._is_clients(int(entry)):
                    mine.append(int(entry))
        return mine

    def _is_clients(self, pid: int) -> bool:
        status = Path(f"/proc/{pid}/status").read_text()
        inner = int(status.split("NSpid:", 1)[1].split("\n", 1)[0].split()[-1])
        return inner not in self._spare and "State:\tZ" not in status

    def usage(self) -> Usage:
        """Read /proc for every process of the client; processes that end meanwhile are left out."""
        pss = rss = 0
        work: dict[int, Work] = {}
        for pid in self.pids():
            with contextlib.suppress(OSError):
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
                pss += size_in(rollup, "Pss")
                rss += size_in(rollup, "Rss")
                tasks = list(Path(f"/proc/{pid}/task").iterdir())
                work[pid] = Work(
                    sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9,
                    sum(wakeups_of((task / "status").read_text()) for task in tasks),
                )
        return Usage(pss, rss, work)

    def last_words(self, lines: int = 3) -> str:
        """The end of what the client printed."""
        said = self.log.read_text(errors="replace").strip().splitlines()
        return " | ".join(said[-lines:])


def size_in(smaps_rollup: str, name: str) -> int:
    """Bytes of the line ``name:``; 0 when there is none (a process without memory of its own)."""
    for line in smaps_rollup.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def wakeups_of(status: str) -> int:
    """The count in the `voluntary_ctxt_switches:` line of /proc/PID/task/TID/status."""
    for line in status.splitlines():
        if line.startswith("voluntary_ctxt_switches:"):
            return int(line.split()[1])
    return 0
