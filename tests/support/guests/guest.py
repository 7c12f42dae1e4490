"""What a guest is, whether it is a container or a virtual machine."""

from __future__ import annotations

import secrets
import shutil
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from tests.support.guests.files import File, Files, Link
from tests.support.guests.net import Net, Terms
from tests.support.guests.place import new_folder
from tests.support.guests.tree import tree
from tests.support.guests.variants import Variant, seed_files, variant_files

from holdfast_lab.testbed.fair_time import wait_until


class Completed(NamedTuple):
    """How a program in a guest ended. ``returncode`` is negative for a signal, as in subprocess."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    raw: bytes  # standard output as it was


class GuestError(AssertionError):
    """The guest did not do what it was told; the text says what, and what its console showed last."""


class Disk(NamedTuple):
    """A guest's disk, set aside by ``keep_disk``: what it has written on top of the tree."""

    path: Path


class Guest(ABC):
    """A booting guest, from ``with`` until the end of the block.

    ``seed``: cloud-init's NoCloud seed, "user-data" and so on to their text; without one cloud-init does not run.
    ``configured``: the variant's manager is told to use DHCP on ``ens3``; by default when there is no seed.
    ``files``: more files, brought in before the first boot. ``disk``: start from another guest's disk, as a copied
    image does. ``machine_id``: 32 hexadecimal digits, a new one by default; with ``disk`` the disk's is kept unless
    one is given. ``mac``: a new one by default; ``second``: that of a second card, ens4, of a container.
    ``release``: Debian's, see ``tree.RELEASES``.
    """

    virtual_machine: bool

    def __init__(
        self,
        variant: Variant = "bare",
        *,
        terms: Terms | None = None,
        seed: Mapping[str, str] | None = None,
        configured: bool | None = None,
        files: Files | None = None,
        disk: Disk | None = None,
        mac: str | None = None,
        machine_id: str | None = None,
        release: str = "bookworm",
        second: str | None = None,
    ) -> None:
        self.variant = variant
        self.mac = mac or "52:54:00:" + secrets.token_bytes(3).hex(":")
        self.machine_id = machine_id or secrets.token_hex(16)
        self._second = second
        self.tree = tree(release)
        self.folder = new_folder(type(self).__name__.lower())
        self._disk = disk
        self._files: dict[str, File | Link] = {}
        if disk is None:
            self._files |= {
                **variant_files(variant, configured=seed is None if configured is None else configured),
                **seed_files(seed),
                "/etc/hostname": File("guest\n"),
                "/etc/hosts": File("127.0.0.1 localhost\n127.0.1.1 guest\n"),
            }
        if disk is None or machine_id is not None:
            self._files["/etc/machine-id"] = File(self.machine_id + "\n", 0o444)
        self._files |= files or {}
        self._terms = terms
        self.net: Net  # made by __enter__

    # -- what each back end does

    @abstractmethod
    def _start(self) -> None:
        """Prepare the disk and start the first boot."""

    @abstractmethod
    def run(
        self, argv: Sequence[str], *, timeout: float = 60, stdin: bytes = b"", check: bool = False
    ) -> Completed:
        """A program in the guest, as root. GuestError when it takes longer, or with ``check`` when it fails."""

    @abstractmethod
    def reboot(self, *, timeout: float = 120) -> None:
        """An orderly reboot; returns when the guest can run programs in its next boot."""

    @abstractmethod
    def power_off(self, *, timeout: float = 60) -> None:
        """An orderly end; ``power_on`` starts it again from its disk."""

    @abstractmethod
    def power_on(self) -> None:
        """Boot again after ``power_off`` or ``kill``."""

    @abstractmethod
    def kill(self) -> None:
        """Pull the plug."""

    @abstractmethod
    def console_text(self) -> str:
        """What the console has shown so far, over all boots."""

    @abstractmethod
    def keep_disk(self, folder: Path) -> Disk:
        """A copy of the disk of a guest that is off, for others to start from."""

    # -- common

    def shell(self, script: str, *words: str, timeout: float = 60, check: bool = True) -> str:
        """What a shell script prints; its ``$1`` and so on are ``words``."""
        return self.run(["sh", "-c", script, "sh", *words], timeout=timeout, check=check).stdout

    def push(self, path: str, data: bytes | str, *, mode: int = 0o644) -> None:
        """Write a file, and the folders above it."""
        script = 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"'
        data = data.encode() if isinstance(data, str) else data
        self.run(["sh", "-c", script, "sh", path, f"{mode:o}"], stdin=data, check=True)

    def push_tree(self, source: Path, target: str) -> None:
        """Copy the content of a folder into ``target``; everything becomes root's."""
        archive = self.folder / "push.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(source, ".", filter=_of_root)
        self.run(["mkdir", "-p", target], check=True)
        self.run(["tar", "-xf", "-", "-C", target], stdin=archive.read_bytes(), check=True)
        archive.unlink()

    def pull(self, path: str) -> bytes:
        """Read a file."""
        return self.run(["cat", path], check=True).raw

    def boot_id(self) -> str:
        """Changes with every boot."""
        return self.pull("/proc/sys/kernel/random/boot_id").decode().strip()

    def wait_booted(self, timeout: float = 300, *, pause: float = 0.2) -> str:
        """Wait for systemd's last job; "running", or "degraded" when a unit has failed. It is asked after each
        ``pause`` s, which takes processor time from the boot."""
        state = ""

        def done() -> bool:
            nonlocal state
            state = self.run(["systemctl", "is-system-running"], timeout=60).stdout.strip()
            return state in {"running", "degraded"}

        self.wait(done, timeout, "systemd has booted", pause=pause)
        return state

    def wait_cloud_init(self, timeout: float = 180) -> str:
        """Wait for cloud-init's last stage; what ``cloud-init status --long`` says then."""
        done = self.run(["cloud-init", "status", "--wait", "--long"], timeout=timeout)
        return done.stdout

    def wait(self, condition: Callable[[], object], timeout: float, what: str, *, pause: float = 0.05) -> None:
        """Return when ``condition`` holds; GuestError with the console's last words after ``timeout`` s."""
        wait_until(condition, timeout, what, pause=pause, error=GuestError, told=lambda: f"\n{self.last_words()}")

    def last_words(self) -> str:
        """The end of the console, for messages."""
        return f"--- the guest's console ends so:\n{self.console_text()[-4000:]}"

    def addresses(self, link: str = "ens3") -> list[str]:
        """The IPv4 addresses of ``link`` by which others reach it, without their prefixes."""
        said = self.run(["ip", "-4", "-o", "addr", "show", "dev", link, "scope", "global"]).stdout
        return [line.split()[3].partition("/")[0] for line in said.splitlines()]

    def wait_address(self, timeout: float = 60, link: str = "ens3") -> str:
        """The first IPv4 address of ``link``, when it has one."""
        self.wait(lambda: self.addresses(link), timeout, f"{link} has an address", pause=0.1)
        return self.addresses(link)[0]

    def journal(self, *arguments: str) -> str:
        """journalctl's output."""
        return self.run(["journalctl", "--no-pager", "--output=short-monotonic", *arguments]).stdout

    def _completed(self, done: Completed, check: bool) -> Completed:
        if check and done.returncode != 0:
            raise GuestError(f"{' '.join(done.argv)}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        return done

    def __enter__(self) -> Guest:
        try:
            self.net = Net(self.folder, mac=self.mac, virtual_machine=self.virtual_machine, terms=self._terms,
                           second=self._second)
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None:  # pytest shows it with the failure
                print(self.last_words())
                print(f"--- the DHCP server's log ends so:\n{self.net.dhcp.log.read_text(errors='replace')[-3000:]}")
        finally:
            self.kill()
            if hasattr(self, "net"):
                self.net.close()
            shutil.rmtree(self.folder, ignore_errors=True)


def _of_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry
