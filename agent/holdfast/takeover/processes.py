"""The processes that a take-over believes: root's, in our network namespace, of programs that only root can change.

Other processes are ignored: name, command line, environment and folder of another user's process are never used, and it
is never signalled (rule 93).
"""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from holdfast.takeover.errors import TakeoverError, system_error
from holdfast.takeover.files import Files
from holdfast.takeover.trust import status_weakness

DELETED = " (deleted)"
#: Programs that are many by the name that they are called by: a bare word after them is no script.
#: When such a file is setuid, it gives root's rights up for a client.
_MULTICALL = ("busybox", "toybox")


@dataclass(frozen=True)
class Process:
    """One process of our network namespace. ``comm`` is the kernel's name for it (15 characters), ``group`` its
    process group, ``started`` its start in clock ticks since boot: with the pid, that is one process and no other."""

    pid: int
    ppid: int
    comm: str
    argv: tuple[str, ...]
    group: int = 0
    started: int = 0

    @property
    def program(self) -> str:
        """The base name of argv[0], without what a daemon adds to its title: "dhcpcd: eth0" is "dhcpcd"."""
        first = self.argv[0] if self.argv else self.comm
        return os.path.basename(first.split(" ")[0]).rstrip(":")


class Processes(Files):
    """Reads processes and ends them. Raises TakeoverError only."""

    def processes(self) -> list[Process]:
        """The believed processes, by pid; kernel threads have no argv and are left out."""
        every = self._every()
        believed = {each.pid: each for each in every if self._is_root(each.pid) and not self._weakness(each)}
        self._add_separated(every, believed)
        return [believed[pid] for pid in sorted(believed)]

    def process(self, pid: int) -> Process | None:
        """That process; None when it is gone, a zombie, a kernel thread, or not believed."""
        process = self._look(pid)
        if process is None or not self._is_root(pid):
            return None if process is None else next((each for each in self.processes() if each.pid == pid), None)
        return process if not self._weakness(process) else None

    def same(self, process: Process) -> bool:
        """True when it is still there, and still believed."""
        now = self.process(process.pid)
        return now is not None and now.started == process.started

    def passed_over(self, names: Iterable[str]) -> list[str]:
        """A text for messages: root's processes called one of ``names`` (comm) that are not believed, and why."""
        suspects = [each for each in self._every() if each.comm in names and self._is_root(each.pid)]
        return [f"{each.comm} (pid {each.pid}): {why}" for each in suspects if (why := self._weakness(each))]

    def environment(self, pid: int) -> dict[str, str]:
        """The environment that ``pid`` was started with."""
        entries = (self.read(f"/proc/{pid}/environ") or b"").decode("utf-8", "surrogateescape").split("\0")
        return dict(entry.split("=", 1) for entry in entries if "=" in entry)

    def cwd(self, pid: int) -> str:
        """The folder that ``pid`` is in; "/" for one that is gone, that is the kernel's own, or that others than root
        can write."""
        path = self.readlink(f"/proc/{pid}/cwd")
        kernels = path.split("/")[1:2] in (["proc"], ["sys"], ["dev"])
        return path if path and not kernels and os.path.isdir(self.path(path)) and not self.weakness(path) else "/"

    def executable(self, pid: int) -> str:
        """The file that ``pid`` runs, "" when that cannot be told or it was replaced meanwhile."""
        path = self.readlink(f"/proc/{pid}/exe")
        return "" if path.endswith(DELETED) else path

    def unit_of(self, pid: int) -> str:
        """The systemd unit (service or scope) that ``pid`` belongs to, "" for none (proc(5): cgroup)."""
        for line in self.text(f"/proc/{pid}/cgroup", 65536).splitlines():
            if line.startswith("0::") or ":name=systemd:" in line:
                parts = [part for part in line.split(":", 2)[2].split("/") if part.endswith((".service", ".scope"))]
                if parts:
                    return parts[-1]
        return ""

    def named_by_systemd(self, pid: int) -> Process | None:
        """A process that root's systemd says is a service's own, whatever user it runs as; None when it is gone or in
        another network namespace."""
        return self._look(pid)

    def kill(
        self, pids: Iterable[int], number: int = signal.SIGKILL, timeout: float = 5.0,
        still: Callable[[Process], bool] | None = None,
    ) -> None:
        """Send the signal to each that is believed and (``still``) what the caller means, and wait until all are gone
        when it is SIGKILL or SIGTERM. A pid that another process has by now is left alone: each is looked at while a
        pidfd holds it, and all of them before the first is hit, because one may be known by another of them."""
        targets: list[tuple[Process, int]] = []
        try:
            for pid in pids:
                fd = _pidfd(pid)
                process = self.process(pid)
                if process is not None and (still is None or still(process)):
                    targets.append((process, fd))
                elif fd >= 0:
                    os.close(fd)
            for process, fd in targets:
                self._signal(process, fd, number)
        finally:
            for _, fd in targets:
                if fd >= 0:
                    os.close(fd)
        if number in (signal.SIGKILL, signal.SIGTERM):
            self._await_end([process for process, _ in targets], number, timeout)

    def wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Check ``condition`` twenty times a second; False when it was not true within ``timeout`` seconds."""
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() >= end:
                return False
            time.sleep(0.05)
        return True

    # -- whom to believe -------------------------------------------------------------------------

    def _every(self) -> list[Process]:
        pids = [int(name) for name in self.listdir("/proc") if name.isascii() and name.isdigit()]
        return [process for pid in pids if (process := self._look(pid)) is not None]

    def _look(self, pid: int) -> Process | None:
        """Any process of our network namespace, to be believed or not; None for a zombie and a kernel thread."""
        if self.readlink(f"/proc/{pid}/ns/net") != self.readlink("/proc/self/ns/net"):
            return None
        try:
            status = self.text(f"/proc/{pid}/stat", 4096)
            # proc(5): the name in parentheses may hold anything, so the fields begin after the last one.
            comm, _, rest = status.partition("(")[2].rpartition(")")
            fields = rest.split()
            state, ppid, group, started = fields[0], fields[1], fields[2], fields[19]
            argv = tuple((self.read(f"/proc/{pid}/cmdline") or b"").decode("utf-8", "replace").split("\0"))
            while argv and not argv[-1]:
                argv = argv[:-1]
            alive = argv and state not in "ZX"
            return Process(pid, int(ppid), comm, argv, int(group), int(started)) if alive else None
        except (TakeoverError, ValueError, IndexError):
            return None

    def _is_root(self, pid: int) -> bool:
        """Real, effective, saved and file system uid are 0, as seen in our user namespace (proc(5): status): root of
        another one has another uid here."""
        try:
            status = self.text(f"/proc/{pid}/status", 65536)
        except TakeoverError:
            return False
        return any(line.split()[1:5] == ["0"] * 4 for line in status.splitlines() if line.startswith("Uid:"))

    def _weakness(self, process: Process) -> str:
        """Who else than root can change what ``process`` runs: its program, and its script when it is one; "" for
        nobody."""
        path = self.readlink(f"/proc/{process.pid}/exe")
        if not path:
            return "which program it runs cannot be told"
        found = self._program_weakness(process.pid, path)
        script = _script(process, path)
        if found or not script:
            return found
        return self.weakness(os.path.join(self.readlink(f"/proc/{process.pid}/cwd"), script))

    def _program_weakness(self, pid: int, path: str) -> str:
        status = self.stat(f"/proc/{pid}/exe")
        ours = self.stat("/proc/self/exe")
        if status is None:
            return "which program it runs cannot be told"
        if status.st_mode & stat.S_ISUID and os.path.basename(path) not in _MULTICALL:
            return f"{path} is setuid, and anybody can start it under any name"
        if ours is not None and os.path.samestat(status, ours):
            return ""  # who can change that one is root already, because we run it
        if path.endswith(DELETED):  # replaced by an upgrade, say
            return status_weakness(path, status) or self.weakness(os.path.dirname(path), missing=True)
        found = self.weakness(path)
        here = self.stat(path)
        if not found and (here is None or not os.path.samestat(status, here)):
            return f"{path} is another file here than where it runs"
        return found

    def _add_separated(self, every: Sequence[Process], believed: dict[int, Process]) -> None:
        """Also the processes of a believed program that have given root's rights up (dhcpcd's): of the same program,
        in the process group of one that has not, and its child or parent. Nobody gets there but from root's process,
        because a process group cannot be joined from another session (setpgid(2))."""
        groups = {each.group for each in believed.values()}
        others = [each for each in every if each.pid not in believed and each.group in groups]
        programs = {each.pid: self.readlink(f"/proc/{each.pid}/exe") for each in others if not self._is_root(each.pid)}
        grown = True
        while grown:
            new = [
                each for each in others if each.pid in programs and each.pid not in believed
                and any(self._kin(each, other, programs[each.pid]) for other in believed.values())
            ]
            believed |= {each.pid: each for each in new}
            grown = bool(new)

    def _kin(self, process: Process, believed: Process, program: str) -> bool:
        return (
            process.group == believed.group and (process.ppid == believed.pid or believed.ppid == process.pid)
            and program != "" and program == self.readlink(f"/proc/{believed.pid}/exe")
        )

    # -- signals ---------------------------------------------------------------------------------

    def _signal(self, process: Process, fd: int, number: int) -> None:
        try:
            if fd >= 0:
                signal.pidfd_send_signal(fd, number)
            else:
                os.kill(process.pid, number)
        except ProcessLookupError:
            return
        except OSError as error:
            if fd < 0:
                raise system_error(f"process {process.pid} cannot be stopped", error) from None
            self._signal(process, -1, number)  # a sandbox that knows no pidfds yet

    def _await_end(self, processes: Sequence[Process], number: int, timeout: float) -> None:
        def left() -> list[str]:
            now = [(each, self._look(each.pid)) for each in processes]
            return [str(each.pid) for each, found in now if found is not None and found.started == each.started]

        if not self.wait(lambda: not left(), timeout):
            raise TakeoverError(f"process {', '.join(left())} is still there {timeout:g} s after signal {number}")


def _pidfd(pid: int) -> int:
    """A pidfd; -1 when it is gone, and where the kernel, a sandbox or this Python has none (before Linux 5.3)."""
    if not hasattr(os, "pidfd_open") or not hasattr(signal, "pidfd_send_signal"):
        return -1
    try:
        return os.pidfd_open(pid)
    except OSError:
        return -1


def _script(process: Process, executable: str) -> str:
    """The script that an interpreter runs for the kernel (execve(2): argv is interpreter, perhaps one argument,
    script), "" for a program that is none. The process's name is then the script's."""
    name = os.path.basename(executable).removesuffix(DELETED)
    for word in process.argv[1:3]:
        bare = "/" not in word and name in _MULTICALL
        if os.path.basename(word)[:15] == process.comm and name[:15] != process.comm and not bare:
            return word
    return ""
