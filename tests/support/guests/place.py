"""Where guests live on this machine: images, working folders, and the slots that keep virtual machines few.

All of it is below .venv/images, and what a killed run left there is removed at the start of the next one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from holdfast_build.buildroot import locked
from holdfast_lab.testbed.netns import MS_NOSUID, Namespace, mount

ROOT = Path(__file__).resolve().parents[3]
IMAGES = ROOT / ".venv" / "images"
#: At most this many virtual machines at once on this machine, whoever starts them: each takes a whole core.
SLOTS = 2
#: The cgroup of each container is called so, and then like its working folder.
CGROUP = "holdfast-guest."


def _running() -> Path:
    """Where the working folders are. The kernel puts no overlay on an overlay (as in Docker): in memory then."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    kind = subprocess.run(["stat", "-f", "-c", "%T", str(IMAGES)], capture_output=True, text=True, check=True).stdout
    folder = Path("/dev/shm/holdfast-guests") if kind.strip() == "overlayfs" else IMAGES / "running"
    folder.mkdir(exist_ok=True)
    return folder


def why_not() -> str | None:
    """None when guests can be made here, else the reason in one line."""
    if os.geteuid() != 0:
        return "needs root: it boots guests (sudo ./dev test)"
    if Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]:
        return "needs real root: a user namespace may not make device nodes"
    needed = ("debootstrap", "systemd-nspawn", "qemu-system-x86_64", "qemu-img", "mke2fs", "dnsmasq", "nft", "ip")
    missing = [program for program in needed if shutil.which(program) is None]
    return f"not found: {', '.join(missing)}; run ./dev test as root, it fetches them" if missing else None


class Slot:
    """The right to run one virtual machine. Waits for it when made."""

    def __init__(self) -> None:
        folder = IMAGES / "slots"
        folder.mkdir(parents=True, exist_ok=True)
        self._files = [(folder / str(number)).open("w") for number in range(SLOTS)]
        with locked(folder / "queue"):  # first come, first served
            while not any(self._try(file.fileno()) for file in self._files):
                time.sleep(0.1)  # without an end: another run's guests have their turn as long as they need

    def _try(self, file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let the next one run."""
        for file in self._files:
            file.close()


#: The working folders of this process, and the descriptors by whose locks other processes know that they are in use.
_held: dict[Path, int] = {}


def new_folder(name: str) -> Path:
    """A working folder that is known to be ours; its owner's death is noticed by ``remove_leftovers``."""
    for folder, descriptor in list(_held.items()):
        if not folder.exists():
            os.close(descriptor)
            del _held[folder]
    running = _running()
    with locked(IMAGES / "leftovers.lock"):
        for number in range(1 << 30):
            folder = running / f"{os.getpid()}.{name}{number}"
            with suppress(FileExistsError):
                folder.mkdir()
                _held[folder] = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                fcntl.flock(_held[folder], fcntl.LOCK_EX)
                return folder
    raise AssertionError("unreachable")


def remove_leftovers() -> None:
    """Remove folders and cgroups whose owner is dead. Their processes and networks the kernel has ended itself, save
    dnsmasq, which gives the signal up together with its privileges."""
    with locked(IMAGES / "leftovers.lock"):
        for folder in _running().iterdir():
            if not _alive(folder):
                _end_processes(folder)
                shutil.rmtree(folder, ignore_errors=True)
        with Namespace("janitor") as room:
            room.run(mount_cgroups)
            room.run(_remove_dead_cgroups)


def _end_processes(folder: Path) -> None:
    """End the programs whose command line names the working folder of a dead owner."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{folder}/".encode() in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)


def mount_cgroups() -> None:
    """The unified hierarchy at /sys/fs/cgroup of the calling thread, also on hybrid machines."""
    mount("cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID)


def remove_cgroup(name: str) -> None:
    """Remove an empty cgroup and those in it."""
    for folder, _folders, _files in os.walk(f"/sys/fs/cgroup/{name}", topdown=False):
        with suppress(OSError):
            os.rmdir(folder)


def _remove_dead_cgroups() -> None:
    for path in Path("/sys/fs/cgroup").glob(f"{CGROUP}*"):
        if not _alive(_running() / path.name.removeprefix(CGROUP)):
            remove_cgroup(path.name)


def _alive(folder: Path) -> bool:
    """True while a process lives that made this folder. Not by its pid: other runs are in other namespaces of pids."""
    if folder in _held:
        return True
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
