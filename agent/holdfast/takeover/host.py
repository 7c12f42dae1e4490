"""The machine as a take-over sees it: files below a root, processes, units, commands, the interface."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from holdfast.network import link as links
from holdfast.network.link import Link
from holdfast.network.ops import Observed, Op
from holdfast.takeover.files import Files
from holdfast.takeover.model import TakeoverError, system_error

COMMAND_TIMEOUT = 30.0


@dataclass(frozen=True)
class Process:
    """One process of our network namespace. ``comm`` is the kernel's name for it (15 characters), ``group`` its
    process group."""

    pid: int
    ppid: int
    comm: str
    argv: tuple[str, ...]
    group: int = 0

    @property
    def program(self) -> str:
        """The base name of argv[0], without what a daemon adds to its title: "dhcpcd: eth0" is "dhcpcd"."""
        first = self.argv[0] if self.argv else self.comm
        return os.path.basename(first.split(" ")[0]).rstrip(":")


@dataclass(frozen=True)
class Completed:
    """What a command left: its exit status and text."""

    status: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        return self.status == 0

    @property
    def complaint(self) -> str:
        """The last line that it said, for an error message."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return lines[-1].strip()[:200] if lines else f"exit status {self.status}"


class Host(Files):
    """Looks and acts. Raises TakeoverError only."""

    # -- processes -------------------------------------------------------------------------------

    def processes(self) -> list[Process]:
        """The processes of our network namespace, by pid; kernel threads have no argv and are left out."""
        ours = self.readlink("/proc/self/ns/net")
        found = []
        for name in self.listdir("/proc"):
            if name.isascii() and name.isdigit() and self.readlink(f"/proc/{name}/ns/net") == ours:
                process = self.process(int(name))
                if process is not None:
                    found.append(process)
        return sorted(found, key=lambda process: process.pid)

    def process(self, pid: int) -> Process | None:
        """That process, None when it is gone, a zombie, or a kernel thread."""
        try:
            status = self.text(f"/proc/{pid}/stat", 4096)
            # proc(5): the name in parentheses may hold anything, so the fields begin after the last one.
            comm, _, fields = status.partition("(")[2].rpartition(")")
            state, ppid, group = fields.split()[:3]
            argv = tuple((self.read(f"/proc/{pid}/cmdline") or b"").decode("utf-8", "replace").split("\0"))
        except (TakeoverError, ValueError):
            return None
        while argv and not argv[-1]:
            argv = argv[:-1]
        return Process(pid, int(ppid), comm, argv, int(group)) if argv and state not in "ZX" else None

    def environment(self, pid: int) -> dict[str, str]:
        """The environment that ``pid`` was started with."""
        entries = (self.read(f"/proc/{pid}/environ") or b"").decode("utf-8", "surrogateescape").split("\0")
        return dict(entry.split("=", 1) for entry in entries if "=" in entry)

    def cwd(self, pid: int) -> str:
        """The folder that ``pid`` is in, "/" for one that is gone or that is the kernel's own."""
        path = self.readlink(f"/proc/{pid}/cwd")
        kernels = path.split("/")[1:2] in (["proc"], ["sys"], ["dev"])
        return path if path and not kernels and os.path.isdir(self.path(path)) else "/"

    def executable(self, pid: int) -> str:
        """The file that ``pid`` runs, "" when that cannot be told or it was replaced meanwhile."""
        path = self.readlink(f"/proc/{pid}/exe")
        return "" if path.endswith(" (deleted)") else path

    def unit_of(self, pid: int) -> str:
        """The systemd unit (service or scope) that ``pid`` belongs to, "" for none (proc(5): cgroup)."""
        for line in self.text(f"/proc/{pid}/cgroup", 65536).splitlines():
            if line.startswith("0::") or ":name=systemd:" in line:
                parts = [part for part in line.split(":", 2)[2].split("/") if part.endswith((".service", ".scope"))]
                if parts:
                    return parts[-1]
        return ""

    def kill(self, pids: Iterable[int], number: int = signal.SIGKILL, timeout: float = 5.0) -> None:
        """Send the signal to each, and wait until all are gone when it is SIGKILL or SIGTERM."""
        waiting = []
        for pid in pids:
            with suppress(ProcessLookupError):
                try:
                    os.kill(pid, number)
                except PermissionError as error:
                    raise system_error(f"process {pid} cannot be stopped", error) from None
                waiting.append(pid)
        if number not in (signal.SIGKILL, signal.SIGTERM):
            return
        gone = self.wait(lambda: not any(self.process(pid) for pid in waiting), timeout)
        if not gone:
            left = ", ".join(str(pid) for pid in waiting if self.process(pid))
            raise TakeoverError(f"process {left} is still there {timeout:g} s after signal {number}")

    def wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Look twenty times a second until it holds; False when it did not within ``timeout`` seconds."""
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() >= end:
                return False
            time.sleep(0.05)
        return True

    # -- commands and units ----------------------------------------------------------------------

    def run(
        self, argv: Sequence[str], timeout: float = COMMAND_TIMEOUT, env: Mapping[str, str] | None = None
    ) -> Completed:
        """Run a program to its end; status 127 when there is none of that name, 124 when it took too long."""
        try:
            done = subprocess.run(  # noqa: S603 - a list, never a shell
                list(argv), stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False,
                env=None if env is None else dict(env),
            )
        except subprocess.TimeoutExpired:
            return Completed(124, "", f"{argv[0]} took longer than {timeout:g} s")
        except OSError as error:
            return Completed(127, "", f"{argv[0]}: {error.strerror}")
        return Completed(
            done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
        )

    def start(
        self, argv: Sequence[str], env: Mapping[str, str], cwd: str = "/", executable: str | None = None
    ) -> int:
        """Start a program that outlives us, in a session of its own, with exactly this environment; its pid.
        One that makes itself a daemon ends soon after. ``executable`` is the file when argv[0] is but a name; ``cwd``
        may be gone by now."""
        try:
            child = subprocess.Popen(  # noqa: S603
                list(argv), env=dict(env), cwd=cwd if os.path.isdir(cwd) else "/", stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, executable=executable,
                preexec_fn=_hear_hangups,  # noqa: PLW1509 - we have one thread
            )
        except OSError as error:
            raise system_error(f"{argv[0]} cannot be started", error) from None
        child.returncode = 0  # never waited for here: no warning when we end before it does
        return child.pid

    def which(self, program: str) -> str | None:
        """The path of a program, searched where daemons are too."""
        return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin:/sbin:/bin")

    @property
    def systemd(self) -> bool:
        """True when systemd is PID 1 (sd_booted(3))."""
        return os.path.isdir(self.path("/run/systemd/system"))

    def unit_state(self, unit: str) -> str:
        """"active", "inactive", "failed", "activating", ...; "" without systemd."""
        return self.run(["systemctl", "is-active", unit]).stdout.strip() if self.systemd else ""

    def unit_enabled(self, unit: str) -> str:
        """"enabled", "disabled", "masked", "static", ...; "" without systemd or such a unit."""
        return self.run(["systemctl", "is-enabled", unit]).stdout.strip() if self.systemd else ""

    def must(self, argv: Sequence[str], timeout: float = COMMAND_TIMEOUT) -> Completed:
        """As ``run``; TakeoverError when it fails."""
        done = self.run(argv, timeout)
        if not done.ok:
            raise TakeoverError(f"`{' '.join(argv)}` failed: {done.complaint}")
        return done

    # -- the interface and the clocks -------------------------------------------------------------

    def link(self, ifname: str) -> Link:
        """The interface, by the kernel's word (not /sys, which may be another namespace's)."""
        try:
            return links.find(ifname)
        except OSError as error:
            raise TakeoverError(f"{ifname}: {error.strerror or error}") from None

    def interfaces(self) -> list[str]:
        """The names of all interfaces."""
        return [name for _, name in socket.if_nameindex()]

    def nodename(self) -> str:
        """This machine's name (uname(2))."""
        return os.uname().nodename

    def mac(self, ifname: str) -> bytes:
        return self.link(ifname).mac

    def ifindex(self, ifname: str) -> int:
        return self.link(ifname).ifindex

    def observe(self, ifname: str) -> Observed:
        """Addresses and routes of the interface as the kernel has them."""
        from holdfast.network import KernelError  # noqa: PLC0415 - netlink's classes cost 20 ms
        from holdfast.network.kernel import Kernel  # noqa: PLC0415

        try:
            kernel = Kernel(self.ifindex(ifname))
            try:
                return kernel.observe()
            finally:
                kernel.close()
        except (KernelError, OSError) as error:
            raise TakeoverError(f"{ifname}: {error}") from None

    def perform(self, ifname: str, ops: Iterable[Op], say: Callable[[str], None]) -> None:
        """Carry out operations on the interface's addresses and routes; what fails is told, and the rest is done."""
        from holdfast.network import KernelError  # noqa: PLC0415 - see observe
        from holdfast.network.kernel import Kernel  # noqa: PLC0415

        try:
            kernel = Kernel(self.ifindex(ifname))
        except (KernelError, OSError) as error:
            raise TakeoverError(f"{ifname}: {error}") from None
        try:
            for op in ops:
                try:
                    kernel.perform(op)
                except KernelError as error:
                    say(f"{ifname}: {error}")
        finally:
            kernel.close()

    def boottime(self) -> float:
        """CLOCK_BOOTTIME seconds."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def monotonic(self) -> float:
        """CLOCK_MONOTONIC seconds."""
        return time.monotonic()

    def wall(self) -> float:
        """Unix seconds."""
        return time.time()

    def from_wall(self, unix: float) -> float:
        """The BOOTTIME instant at which the wall clock shows ``unix``; inf stays."""
        return unix if unix == float("inf") else unix - self.wall() + self.boottime()


def _hear_hangups() -> None:
    """Whoever starts something while it ignores SIGHUP passes that on."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
