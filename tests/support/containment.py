"""Run the tests so that they cannot touch the machine and leave nothing behind: ``python -m tests.support.containment
COMMAND...``.

The command runs in a PID namespace and a mount namespace of its own. /etc and /var are read-only there, /run,
/dev/shm and /var/tmp are empty, and so is the folder for temporary files, which is in memory if there is enough, and
is removed. So a test that would write the machine's own files fails at once, and when the run ends, by itself, by INT,
TERM or SIGKILL, the kernel ends every process of it: workers, servers, guests. What a run that ended by itself left
over is a failure, and is named.

Without root there are no namespaces: the command's process group is ended instead.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from holdfast_lab.testbed.fair_time import wait_until

ROOT = Path(__file__).resolve().parents[2]
#: Seconds between the wish to end and SIGKILL: pytest may say where it was, fixtures may end in order.
GRACE = 3.0
#: Written by programs that are not under test: mount(8)'s table, and what pytest keeps of the last runs.
EXPECTED = {"/run": {"mount"}, "/dev/shm": set(), "/var/tmp": set()}
LEFT_BEHIND = 3
PREFIX = "holdfast-tests-"
#: Temporary files are kept in memory where so many bytes of it are free.
MEMORY = 4 << 30

CLONE_NEWNS, CLONE_NEWPID = 0x20000, 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MS_REC, MS_PRIVATE = 16384, 1 << 18
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def main(command: Sequence[str]) -> int:
    """Run ``command`` contained. Its exit status, 128 + N after signal N; LEFT_BEHIND when it passed and left
    something."""
    _remove_abandoned()
    scratch = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")
    try:
        return _attend(_start(command, scratch))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _start(command: Sequence[str], scratch: str) -> int:
    """Fork; the child's pid: PID 1 of a namespace for root, else the leader of a process group."""
    contained = os.geteuid() == 0
    if contained:
        _check(_libc.unshare(CLONE_NEWPID), "unshare")  # for the child to come
    child = os.fork()
    if child == 0:
        _check(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL), "prctl")
        if contained:
            os._exit(_first_process(command, scratch))
        _become(command)
    return child


def _become(command: Sequence[str]) -> NoReturn:
    """Run ``command`` in a process group of its own, to which a terminal, if there is one, says INT once."""
    os.setpgid(0, 0)
    _give_terminal_to(os.getpgrp())
    os.execvp(command[0], list(command))


def _attend(child: int) -> int:
    """Wait for the child; INT, TERM and HUP are its INT, and its SIGKILL after GRACE seconds. The exit status."""
    ended: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        if not ended:
            ended.append(number)
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGINT)
            signal.setitimer(signal.ITIMER_REAL, GRACE)

    def kill(_number: int, _frame: FrameType | None) -> None:
        for send in (os.kill, os.killpg):  # the first process of a namespace; a command's group
            with suppress(ProcessLookupError):
                send(child, signal.SIGKILL)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    signal.signal(signal.SIGALRM, kill)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what is left of its group, where there is no namespace
    _give_terminal_to(os.getpgrp())
    if ended:
        return 128 + ended[0]
    return status if status >= 0 else 128 - status


def _first_process(command: Sequence[str], scratch: str) -> int:
    """PID 1 of the namespace: seal the machine off, run the command, take in orphans, look at what is left."""
    _seal(scratch)
    worker = os.fork()
    if worker == 0:
        _become(command)
    signal.signal(signal.SIGINT, lambda *_: os.kill(worker, signal.SIGINT))
    status = None
    while status is None:
        pid, raw = os.wait()
        if pid == worker:
            status = os.waitstatus_to_exitcode(raw)
    left = _leftovers()
    for line in left:
        print(f"LEFT BEHIND by the tests: {line}", file=sys.stderr, flush=True)
    if status == 0 and left:
        return LEFT_BEHIND
    return status if status >= 0 else 128 - status


def _remove_abandoned() -> None:
    """Folders of runs that were ended by SIGKILL."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        number = path.name.removeprefix(PREFIX).split("-")[0]
        if number.isdigit() and not Path("/proc", number).exists():
            shutil.rmtree(path, ignore_errors=True)


def _seal(scratch: str) -> None:
    """Read-only /etc and /var, empty /run, /dev/shm and /var/tmp. The project and ``scratch`` stay as they are."""
    kept = [str(path) for path in (ROOT, Path(scratch).resolve())]
    hidden = [path for path in kept if path.startswith(("/run/", "/dev/shm/", "/var/tmp/"))]
    if hidden:
        sys.exit(f"tests: {hidden[0]} lies where the tests have an empty folder of their own; move it elsewhere")
    _check(_libc.unshare(CLONE_NEWNS), "unshare")
    _mount("none", "/", None, MS_REC | MS_PRIVATE)
    _mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    for folder in ("/etc", "/var"):
        _mount(folder, folder, None, MS_BIND | MS_REC)
        _mount("none", folder, None, MS_BIND | MS_REMOUNT | MS_RDONLY)
    for path in kept:
        if path.startswith(("/etc/", "/var/")):
            _mount(path, path, None, MS_BIND | MS_REC)
            _mount("none", path, None, MS_BIND | MS_REMOUNT)
    # In memory where there is enough: what is made durable (fsync(2)) shall not wait for what others do to the disk.
    if _available_memory() >= MEMORY:
        _mount("tmpfs", scratch, "tmpfs", MS_NOSUID | MS_NODEV, "mode=700,size=50%")
    # Over the folder for temporary files: a longer path would leave no room for the names of sockets (unix(7)).
    temporary = Path(scratch).resolve().parent
    if temporary in ROOT.parents:
        inside = Path(scratch, ROOT.relative_to(temporary))
        inside.mkdir(parents=True)
        _mount(str(ROOT), str(inside), None, MS_BIND | MS_REC)
    _mount(scratch, str(temporary), None, MS_BIND | MS_REC)
    os.chdir(os.getcwd())  # into what lies there now
    for folder in EXPECTED:
        _mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, f"mode={'755' if folder == '/run' else '1777'}")


def _available_memory() -> int:
    """MemAvailable of /proc/meminfo, in bytes."""
    with open("/proc/meminfo", encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def _leftovers() -> list[str]:
    """Processes that outlived the command, and files where nothing should be. Both get a moment to go."""
    def gone() -> bool:
        with suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        return not [*_processes(), *_files()]

    with suppress(AssertionError):
        wait_until(gone, GRACE, "nothing is left", pause=0.05)
    return [*_processes(), *_files()]


def _processes() -> list[str]:
    """What still runs. A thread's state tells, and not whether there is a command line: that is empty, too, while a
    program is being loaded (execve(2)), and when the main thread of several has ended."""
    lines = []
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1":
            with suppress(OSError):
                process = Path("/proc", name)
                if any(map(_runs, (process / "task").iterdir())):
                    words = (process / "cmdline").read_bytes() or (process / "comm").read_bytes()
                    text = words.replace(b"\0", b" ").decode(errors="replace")
                    lines.append(f"process {name}: {text[:200]!r}")
    return lines


def _runs(task: Path) -> bool:
    """False when the thread is no more than a number: its state is behind the name, which may hold anything (proc(5):
    /proc/PID/task/TID/stat)."""
    with suppress(OSError):
        return (task / "stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    return False


def _files() -> list[str]:
    return [
        f"{folder}/{name}" for folder, expected in EXPECTED.items() for name in sorted(os.listdir(folder))
        if name not in expected
    ]


def _give_terminal_to(group: int) -> None:
    """Give the terminal, if there is one, to a process group: --pdb reads from it."""
    if sys.stdin is not None and sys.stdin.isatty():
        former = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        with suppress(OSError):
            os.tcsetpgrp(sys.stdin.fileno(), group)
        signal.signal(signal.SIGTTOU, former)


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    words = [None if word is None else word.encode() for word in (source, target, kind, data)]
    _check(_libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]), f"mount {target}")


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
