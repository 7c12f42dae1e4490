"""Network namespaces that clean up after themselves.

A ``Namespace`` is a thread that lives in a network and a mount namespace of its own. Whatever is to happen
inside is handed to that thread; programs started there inherit both namespaces. Nothing is written to
/run/netns, so it works as well inside an unprivileged user namespace. The kernel ends a program when the
thread that started it ends (PR_SET_PDEATHSIG, set by setpriv(1) of util-linux) and removes a namespace when
nobody lives in it any more: even a killed test leaves nothing behind.

Bench layout: one namespace per machine, joined by ``connect`` (a veth pair) or by ``Switch`` (a bridge in a
namespace of its own). The mount namespace gives each machine its own empty /run, its own /etc/resolv.conf and
machine-id, and the rest of /etc and /var read-only, so that no client under test can reach the machine's resolver,
D-Bus or leases.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import queue
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from holdfast_lab.testbed import fair_time
from holdfast_lab.testbed.orphans import end_all_in
from holdfast_lab.testbed.private import require_private_files
from holdfast_lab.testbed.rtnl import Rtnl

T = TypeVar("T")

CLONE_FS, CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x200, 0x20000, 0x10000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MS_REC, MS_PRIVATE, MS_RELATIME = 16384, 1 << 18, 1 << 21
SIOCETHTOOL, ETHTOOL_STXCSUM, ETHTOOL_SRXCSUM, ETHTOOL_SGSO, ETHTOOL_STSO = 0x8946, 0x17, 0x15, 0x24, 0x1F

_libc = ctypes.CDLL(None, use_errno=True)


class NamespaceError(RuntimeError):
    """A namespace could not be made; the text says what to do."""


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """mount(2), in the mount namespace of the calling thread."""
    encoded = [None if text is None else text.encode() for text in (source, target, kind, data)]
    _check(_libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3]), f"mount {target}")


def make_read_only(folder: str) -> None:
    """Remount a bind mount so that nothing is written below it."""
    flags = MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_RDONLY
    try:
        mount("none", folder, None, flags)
    except OSError:  # in a user namespace flags that the machine has locked must be repeated
        mount("none", folder, None, flags | MS_NOEXEC | MS_RELATIME)


def may_make_namespaces() -> str | None:
    """None when this process can make namespaces, else the reason in one line."""
    try:
        with Namespace("check"):
            return None
    except NamespaceError as error:
        return str(error)


def enter_user_namespace() -> None:
    """Become root in a user namespace of our own. The process must have one thread. Raises NamespaceError."""
    uid, gid = os.geteuid(), os.getegid()
    hint = "this machine does not allow unprivileged user namespaces; use sudo"
    if _libc.unshare(CLONE_NEWUSER) != 0:
        raise NamespaceError(f"{hint} ({os.strerror(ctypes.get_errno())})")
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except OSError as error:
        raise NamespaceError(f"{hint} ({error})") from error


def _memory() -> str | None:
    """Where files are kept in memory, when there is such a place: what a machine of the bench makes durable shall not
    wait for whatever else the disk is busy with."""
    folder = "/dev/shm"  # noqa: S108 - mkdtemp makes a folder of its own there
    return folder if os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK) else None


class Namespace:
    """One machine of the bench. Use it as a context manager; ``name`` is for people."""

    def __init__(self, name: str, *, private_files: bool = True) -> None:
        self.name = name
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._children: list[subprocess.Popen[Any]] = []
        self.directory = Path(tempfile.mkdtemp(prefix=f"holdfast-{name}-", dir=_memory()))
        ready: Future[int] = Future()
        self._thread = threading.Thread(
            target=self._live, args=(ready, private_files), name=f"netns-{name}", daemon=True
        )
        self._thread.start()
        try:
            self.fd = ready.result()
        except OSError as error:
            self._thread.join()
            shutil.rmtree(self.directory, ignore_errors=True)
            raise NamespaceError(
                f"cannot make a network namespace ({error}); run as root, or allow user namespaces"
            ) from error
        self.rtnl: Rtnl = self.run(Rtnl)
        self.run(lambda: self.rtnl.set_link("lo", up=True))

    def _live(self, ready: Future[int], private_files: bool) -> None:
        try:
            _check(_libc.unshare(CLONE_NEWNET | CLONE_NEWNS), "unshare")
            mount("none", "/", None, MS_REC | MS_PRIVATE)
            if private_files:
                self._hide_the_machine()
                self._own_sys()
            fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            ready.set_exception(error)
            return
        ready.set_result(fd)
        while (job := self._jobs.get()) is not None:
            job()

    def _hide_the_machine(self) -> None:
        """An empty /run, a read-only /var, and an /etc of links into a read-only view of the real one, save what a
        client reads."""
        mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
        os.mkdir("/run/machine-etc")
        mount("/etc", "/run/machine-etc", None, MS_BIND)
        mount("/var", "/var", None, MS_BIND | MS_REC)
        for folder in ("/run/machine-etc", "/var"):
            make_read_only(folder)
        names = os.listdir("/etc")
        mount("tmpfs", "/etc", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
        for name in names:
            if name not in {"resolv.conf", "machine-id", "holdfast"}:
                os.symlink(f"/run/machine-etc/{name}", f"/etc/{name}")
        for name, content in (("resolv.conf", "# the lab's own"), ("machine-id", os.urandom(16).hex())):
            with open(f"/etc/{name}", "w", encoding="ascii") as file:
                file.write(content + "\n")

    def _own_sys(self) -> None:
        """/sys/class/net of this namespace, not the machine's; some kernels refuse it to a user namespace."""
        with suppress(OSError):
            mount("sysfs", "/sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)

    def run(self, function: Callable[[], T]) -> T:
        """Call ``function`` inside; its result or its exception comes back."""
        if threading.current_thread() is self._thread:
            return function()
        result: Future[T] = Future()

        def job() -> None:
            try:
                result.set_result(function())
            except BaseException as error:  # handed to the caller, who is another thread
                result.set_exception(error)

        self._jobs.put(job)
        return result.result()

    @property
    def path(self) -> str:
        """For nsenter --net=PATH and the like."""
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    def popen(
        self,
        command: Sequence[str],
        *,
        tether: bool = True,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> subprocess.Popen[Any]:
        """Start a program inside. ``tether``: the kernel kills it when this namespace or process ends."""
        words = [*(["setpriv", "--pdeathsig", "KILL", "--"] if tether else []), *command]
        child: subprocess.Popen[Any] = self.run(lambda: subprocess.Popen(words, env=env, **options))
        self._children.append(child)
        return child

    def start_client(self, command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """As ``popen``, for a DHCP client: NotPrivateError when it could write the machine's own files."""
        require_private_files(f"{os.getpid()}/task/{self._thread.native_id}")
        return self.popen(command, **options)

    def output(self, command: Sequence[str], *, timeout: float = 30) -> str:
        """What a program says on stdout; raises CalledProcessError with what it said on stderr. ``timeout``: fair
        seconds."""
        done = self.run(lambda: fair_time.run(command, timeout, check=True, text=True))
        return str(done.stdout)

    def sysctl(self, key: str, value: str | int) -> None:
        """Set a network sysctl of this namespace ("net/ipv4/ip_forward")."""

        def write() -> None:
            with open(f"/proc/sys/{key}", "w", encoding="ascii") as file:
                file.write(str(value))

        self.run(write)

    def close(self) -> None:
        """End what was started here, and let the namespace go."""
        for child in self._children:
            if child.poll() is None:
                child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout, child.stderr):
                if pipe is not None:
                    pipe.close()
        if self._thread.is_alive():
            end_all_in(self.fd)
            self.run(self.rtnl.close)
            self._jobs.put(None)
            self._thread.join()
            os.close(self.fd)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Namespace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def no_offload(name: str) -> None:
    """Make the kernel fill in checksums at once (this namespace's link ``name``), so that captures are true.

    A veth hands packets over with partial checksums otherwise; a stock dhcp server then drops them, and a
    real wire never looks so. ethtool's value form: struct { u32 cmd; u32 data; } behind ifr_data.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in (ETHTOOL_STXCSUM, ETHTOOL_SRXCSUM, ETHTOOL_SGSO, ETHTOOL_STSO):
            value = ctypes.create_string_buffer(struct.pack("=II", command, 0))
            request = struct.pack("16sP8x", name.encode(), ctypes.addressof(value))
            try:
                fcntl.ioctl(control, SIOCETHTOOL, request)
            except OSError:
                if command == ETHTOOL_STXCSUM:
                    raise


def connect(one: Namespace, one_name: str, other: Namespace, other_name: str) -> None:
    """A cable: a veth pair between two machines, both ends up, checksums real."""
    one.run(lambda: one.rtnl.add_veth(one_name, other_name, other.fd))
    for machine, name in ((one, one_name), (other, other_name)):
        machine.run(lambda name=name: no_offload(name))  # type: ignore[misc]
        machine.run(lambda machine=machine, name=name: machine.rtnl.set_link(name, up=True))  # type: ignore[misc]


class Switch:
    """An Ethernet switch in a namespace of its own; ``plug`` gives a machine a port."""

    def __init__(self, name: str = "switch") -> None:
        self.namespace = Namespace(name, private_files=False)
        self.namespace.run(lambda: self.namespace.rtnl.add_bridge("br0"))
        self.namespace.run(lambda: self.namespace.rtnl.set_link("br0", up=True))
        self._ports = 0

    def plug(self, machine: Namespace, name: str) -> str:
        """Connect ``machine``'s new link ``name``; the name of the switch's port."""
        port = f"port{self._ports}"
        self._ports += 1
        connect(self.namespace, port, machine, name)
        self.namespace.run(lambda: self.namespace.rtnl.set_link(port, master="br0"))
        return port

    def carrier(self, port: str, up: bool) -> None:
        """Pull the cable of a port, or put it back: the machine loses and finds its carrier."""
        self.namespace.run(lambda: self.namespace.rtnl.set_link(port, up=up))

    def close(self) -> None:
        """Remove the switch."""
        self.namespace.close()

    def __enter__(self) -> Switch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def cable(client: str = "eth0", server: str = "srv0") -> Iterator[tuple[Namespace, Namespace]]:
    """The smallest bench: a client's machine and a server's (192.0.2.1/24), joined by one cable."""
    with Namespace("client") as left, Namespace("server") as right:
        connect(left, client, right, server)
        right.run(lambda: right.rtnl.add_address(server, "192.0.2.1/24"))
        yield left, right
