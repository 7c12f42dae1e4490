"""A run of the tests touches nothing of the machine, and leaves nothing behind, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.containment import LEFT_BEHIND, PREFIX, ROOT

from holdfast_lab.testbed import fair_time
from holdfast_lab.testbed.fair_time import wait_until

pytestmark = pytest.mark.root
SCRIPT = str(ROOT / "tests/support/containment.py")
#: A worker that says it is there and hears nothing, with a child in a session of its own that does the same.
DEAF = """
import os, signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
print(sys.argv[1], flush=True)
time.sleep(600)
"""

#: A process whose main thread has ended: /proc/PID/cmdline is empty, and a second thread goes on.
HEADLESS = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def contained(*command: str, folder: Path) -> subprocess.Popen[str]:
    """A contained command whose temporary files go below ``folder``."""
    return subprocess.Popen(
        [sys.executable, SCRIPT, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )


def finished(*command: str, folder: Path) -> tuple[int, str]:
    """The exit status of a contained command, and what it said on stderr."""
    run = contained(*command, folder=folder)
    _, said = fair_time.communicate(run, 60)
    return run.returncode, said


@pytest.fixture
def name() -> str:
    """What the processes of one test have in their command line."""
    return f"contained-{uuid.uuid4()}"


@pytest.fixture
def deaf(name: str, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Two processes that no signal ends, contained."""
    run = contained(sys.executable, "-c", DEAF, name, folder=tmp_path)
    assert run.stdout is not None
    assert [run.stdout.readline() for _ in range(2)] == [f"{name}\n"] * 2
    yield run
    run.kill()
    run.communicate()


def alive(name: str) -> list[str]:
    """The pids of processes that bear the name."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if name.encode() in words and b"containment.py" not in words:
                found.append(entry.name)
    return found


def wait_until_gone(name: str, timeout: float) -> None:
    """Return when no process bears the name; fails after ``timeout`` fair seconds."""
    wait_until(lambda: not alive(name), timeout, f"no process is called {name}", told=lambda: str(alive(name)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_what_hears_no_signal(
    number: signal.Signals, name: str, deaf: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert len(alive(name)) == 2
    deaf.send_signal(number)
    assert fair_time.wait(deaf, 60) == 128 + number
    wait_until_gone(name, 5)
    assert list(tmp_path.glob(f"{PREFIX}*")) == []


def test_killed_it_takes_everything_along_and_the_next_run_removes_its_folder(
    name: str, deaf: subprocess.Popen[str], tmp_path: Path
) -> None:
    deaf.kill()
    fair_time.wait(deaf, 60)
    wait_until_gone(name, 60)
    assert finished("true", folder=tmp_path) == (0, "")
    assert list(tmp_path.glob(f"{PREFIX}*")) == []


@pytest.mark.parametrize("path", ["/etc/resolv.conf", "/etc/{}", "/var/lib/{}", "/var/{}"])
def test_the_machines_own_files_cannot_be_written(path: str, name: str, tmp_path: Path) -> None:
    code = f"open({path.format(name)!r}, 'a')"
    status, said = finished(sys.executable, "-c", code, folder=tmp_path)
    assert status == 1
    assert "Read-only file system" in said


@pytest.mark.parametrize("folder", ["/run", "/dev/shm", "/var/tmp"])
def test_what_is_left_is_named_and_is_nothing_of_the_machines(folder: str, name: str, tmp_path: Path) -> None:
    status, said = finished("touch", f"{folder}/{name}", folder=tmp_path)
    assert status == LEFT_BEHIND
    assert f"LEFT BEHIND by the tests: {folder}/{name}" in said
    assert not Path(folder, name).exists()


def test_a_process_that_is_left_is_named_and_ended(name: str, tmp_path: Path) -> None:
    sleeper = f"setsid {sys.executable} -c 'import time; time.sleep(600)' {name} >/dev/null 2>&1 &"
    status, said = finished("sh", "-c", sleeper, folder=tmp_path)
    assert status == LEFT_BEHIND
    assert name in said
    wait_until_gone(name, 60)


def test_a_process_without_a_command_line_is_left_too(tmp_path: Path) -> None:
    """As one that is just being loaded: its command line is empty, as a zombie's."""
    status, said = finished("sh", "-c", f"{sys.executable} -c '{HEADLESS}' >/dev/null 2>&1 &", folder=tmp_path)
    assert status == LEFT_BEHIND
    assert "LEFT BEHIND by the tests: process " in said


def test_the_commands_status_is_its_own(tmp_path: Path) -> None:
    assert finished("sh", "-c", "exit 7", folder=tmp_path)[0] == 7
    assert finished("sh", "-c", "kill -KILL $$", folder=tmp_path)[0] == 128 + signal.SIGKILL
