"""A container with systemd as its first process: boots in seconds, on this machine's kernel and clock.

Inside out: systemd-nspawn runs in a PID namespace of its own, whose end the kernel makes the end of everything in
the container (a container's init survives a killed nspawn otherwise), in the mount namespace of ``net.client``,
where the overlay and the unified cgroup hierarchy are mounted. So a killed pytest leaves two folders and no process.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.support.guests.files import write
from tests.support.guests.guest import Completed, Disk, Guest, GuestError
from tests.support.guests.place import CGROUP, mount_cgroups, remove_cgroup

from holdfast_lab.testbed import fair_time
from holdfast_lab.testbed.fair_time import wait_until
from holdfast_lab.testbed.netns import mount

#: Becomes a member of the cgroup $1, then runs the rest and outlives it, as the first process of its namespace.
_WRAPPER = """
mount -t proc proc /proc || exit
mkdir -p "/sys/fs/cgroup/$1" && echo 0 >"/sys/fs/cgroup/$1/cgroup.procs" || exit
shift
"$@"
"""
#: Runs in the container: in a cgroup of the container, so that what is started belongs to nobody outside.
_INSIDE = """
mkdir -p /sys/fs/cgroup/from-the-test && echo 0 >/sys/fs/cgroup/from-the-test/cgroup.procs
exec "$@"
"""
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8",
    "container": "systemd-nspawn",
}


class Nspawn(Guest):
    """See Guest. Not like a machine: no udev, the host's clock, ``reboot`` only from outside by ``reboot()``."""

    virtual_machine = False
    #: The guest may set the kernel's network switches, and its systemd does what sysctl.d says of them.
    sysctls = False

    def _start(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._console = self.folder / "console"
        self._console.touch()
        self._root = self.folder / "root"
        upper, work = self.folder / "upper", self.folder / "work"
        if self._disk is None:
            upper.mkdir()
        else:
            subprocess.run(["cp", "--archive", str(self._disk.path), str(upper)], check=True)
        work.mkdir()
        self._root.mkdir()
        layers = f"lowerdir={self._lower()},upperdir={upper},workdir={work}"
        self.net.client.run(lambda: mount("overlay", str(self._root), "overlay", 0, layers))
        self.net.client.run(mount_cgroups)
        self.net.client.run(lambda: write(self._root, self._files))
        self._boot()

    def _lower(self) -> str:
        """What is below the guest's own files: folders as overlayfs wants them, the uppermost first."""
        return str(self.tree.root)

    def _boot(self) -> None:
        container = [
            "systemd-nspawn", "--quiet", f"--directory={self._root}", "--boot", "--register=no", "--keep-unit",
            "--settings=no", "--machine=guest", f"--uuid={self._uuid()}",
            "--network-namespace-path=/proc/self/ns/net", "--capability=CAP_NET_ADMIN",
            "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=read-only",
        ]
        space = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--", "sh", "-c", _WRAPPER, "sh"]
        environment = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "TERM": "dumb"}
        if self.sysctls:
            environment["SYSTEMD_NSPAWN_API_VFS_WRITABLE"] = "network"
        with self._console.open("ab") as console:
            self._process = self.net.client.popen(
                [*space, self._cgroup, *container],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, env=environment,
            )
        self._init = 0
        self.wait(self._find_init, 30, "the container's first process is there")

    @property
    def _cgroup(self) -> str:
        return CGROUP + self.folder.name

    def _uuid(self) -> str:
        return self.machine_id if len(self.machine_id) == 32 else "00000000000000000000000000000001"

    def _find_init(self) -> bool:
        """Note the pid of the container's systemd: the process that is the first of a namespace within another."""
        process = self._process
        assert process is not None
        if process.poll() is not None:
            raise GuestError(f"systemd-nspawn has ended ({process.returncode})\n{self.last_words()}")
        ours = [process.pid]
        for pid in ours:
            with suppress(OSError):
                ours += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        for pid in ours:
            with suppress(OSError, StopIteration):
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                numbers = next(line for line in lines if line.startswith("NSpid:")).split()[1:]
                # systemd itself, not nspawn's stub that is about to become it
                if len(numbers) == 3 and numbers[-1] == "1" and Path(f"/proc/{pid}/comm").read_text() == "systemd\n":
                    self._init = pid
        return self._init != 0

    @property
    def running(self) -> bool:
        """True from ``with`` until the container has ended."""
        return self._process is not None and self._process.poll() is None

    def run(
        self, argv: Sequence[str], *, timeout: float = 60, stdin: bytes = b"", check: bool = False
    ) -> Completed:
        """nsenter(1)."""
        try:
            done = fair_time.run([*self.entering(), *argv], timeout, told=stdin, env=_ENVIRONMENT)
        except subprocess.TimeoutExpired as error:
            raise GuestError(f"{' '.join(argv)}: not done after {timeout:g} s\n{self.last_words()}") from error
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        return self._completed(Completed(tuple(argv), done.returncode, out, err, done.stdout), check)

    def entering(self) -> list[str]:
        """The words before a command that another program is to run inside, until the next boot."""
        enter = ["nsenter", f"--target={self._init}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
        return [*enter, "--root", "--wd", "--", "/bin/sh", "-c", _INSIDE, "sh"]

    def reboot(self, *, timeout: float = 120) -> None:
        """Off and on, with a new interface of the same MAC: a machine's would have lost its addresses, too."""
        self.power_off(timeout=timeout)
        self.power_on()

    def power_off(self, *, timeout: float = 60) -> None:
        """systemd's own way down."""
        assert self._process is not None
        os.kill(self._init, signal.SIGRTMIN + 4)  # systemd(1): starts poweroff.target
        try:
            fair_time.wait(self._process, timeout)
        except subprocess.TimeoutExpired as error:
            raise GuestError(f"the container is still up after {timeout:g} s\n{self.last_words()}") from error
        self._ended()

    def power_on(self) -> None:
        """Plug the cable anew, and boot."""
        assert not self.running
        self.net.unplug()
        self.net.forget_boot()
        self.net.plug(self.mac)
        self._boot()

    def kill(self) -> None:
        """SIGKILL to the namespace's first process; the kernel ends the rest."""
        process = getattr(self, "_process", None)
        if process is not None:
            process.kill()
            process.wait()
            self._ended()

    def _ended(self) -> None:
        self._process = None

        def removed() -> bool:  # the kernel may still be busy with the last process
            self.net.client.run(lambda: remove_cgroup(self._cgroup))
            return not self.net.client.run(lambda: os.path.exists(f"/sys/fs/cgroup/{self._cgroup}"))

        wait_until(removed, 10, "the guest's control group is gone", error=GuestError)

    def console_text(self) -> str:
        """The console, which also has what nspawn itself said."""
        return self._console.read_text(errors="replace") if self._console.exists() else ""

    def keep_disk(self, folder: Path) -> Disk:
        """The overlay's upper layer."""
        assert not self.running, "first power the guest off"
        subprocess.run(["cp", "--archive", str(self.folder / "upper"), str(folder / "upper")], check=True)
        return Disk(folder / "upper")

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[arg-type]
        shutil.rmtree(self.folder, ignore_errors=True)
