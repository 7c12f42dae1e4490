"""The machine during a take-over: files below a root, processes, units, commands, the interface."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from holdfast.network import link as links
from holdfast.network.link import Link
from holdfast.network.plan import Observed, Op
from holdfast.takeover.errors import TakeoverError, system_error
from holdfast.takeover.processes import Processes
from holdfast.takeover.trust import weakness

COMMAND_TIMEOUT = 30.0
DAEMON_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Completed:
    """The result of a command: its exit status and output."""

    status: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        """True for exit status 0."""
        return self.status == 0

    @property
    def complaint(self) -> str:
        """The last line of its output, for an error message."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return lines[-1].strip()[:200] if lines else f"exit status {self.status}"


class Host(Processes):
    """Reads and changes the machine. Raises TakeoverError only."""

    # -- commands and units ----------------------------------------------------------------------

    def run(
        self, argv: Sequence[str], timeout: float = COMMAND_TIMEOUT, env: Mapping[str, str] | None = None
    ) -> Completed:
        """Run a program to its end; status 127 when there is none of that name, 124 when it took too long. A bare name
        is looked for as ``which`` does, by the program too; ``env`` instead of our environment."""
        program = argv[0] if "/" in argv[0] else self.which(argv[0])
        if program is None:
            return Completed(127, "", f"{argv[0]}: {os.strerror(errno.ENOENT)}")
        try:
            done = subprocess.run(  # noqa: S603 - a list, never a shell
                [program, *argv[1:]], stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False,
                env={**os.environ, "PATH": search_path()} if env is None else dict(env),
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
        child.returncode = 0  # not waited for here: this prevents a warning when we end first
        return child.pid

    def which(self, program: str) -> str | None:
        """The path of a program that only root can change, searched in our PATH and where daemons are; None when there
        is none."""
        for folder in search_path().split(":"):
            found = shutil.which(program, path=folder)
            if found is not None and not weakness(found):
                return found
        return None

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
        """Its hardware address."""
        return self.link(ifname).mac

    def ifindex(self, ifname: str) -> int:
        """The interface's number in this network namespace."""
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
        """Perform operations on the interface's addresses and routes. A failing operation is reported by ``say``; the
        others are performed."""
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


def search_path() -> str:
    """Our PATH and the folders of daemons, without those that others than root can write."""
    folders = [*os.environ.get("PATH", "").split(":"), *DAEMON_PATH.split(":")]
    return ":".join(folder for folder in dict.fromkeys(folders) if not weakness(folder))


def _hear_hangups() -> None:
    """Restore SIGHUP in the child: an ignored signal is inherited."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
