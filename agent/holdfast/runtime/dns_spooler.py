"""Name and time servers, the daemon's side: a file for each interface in ``<runtime>/dns``, and who reads it.

The program that reads them is ``publish.publisher``. A daemon that is root starts it after each change, and again after
a temporary failure. For an unprivileged daemon a path unit of systemd starts it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress

from holdfast.observe.limit import SayOnce
from holdfast.runtime.retry import Retry
from holdfast.state import atomic
from holdfast.state import folder as folders
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.eventloop.ports import Loop
    from holdfast.network.spec import NetworkSpec

RESOLV_CONF = "/etc/resolv.conf"
#: ``publish.publisher.LATER``, not imported: it would bring json along.
TRY_AGAIN = 75
#: Seconds, many times what the program takes to end after its last look at the folder. See ``_remind``.
REMIND_AFTER = 5.0
#: Bytes of the program's output that are logged.
SAID_LIMIT = 4096

_BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from holdfast.publish.publisher import main; sys.exit(main())"


class DnsSpooler:
    """Conforms to ``ports.Resolver``. ``start`` runs the program and answers with its pid and a descriptor of
    what it writes; None when systemd runs it. ``say(priority, text)`` is for what it wrote."""

    def __init__(
        self, folder: str, loop: Loop, say: Callable[[int, str], None],
        start: Callable[[], tuple[int, int]] | None, *, resolv_conf: str = RESOLV_CONF,
    ) -> None:
        self._folder, self._loop, self._say, self._start = folder, loop, say, start
        self._said = SayOnce(say)
        self._resolv_conf = resolv_conf
        self._files: dict[int, tuple[str, bytes, object]] = {}
        self._running: tuple[int, int] | None = None
        self._again = False  # something has changed since the program that runs was started
        self._running_program = Retry(loop, self._start_program, 1.0, 60.0, on_failure=self._on_failure)

    def publish(self, ifname: str, ifindex: int, spec: NetworkSpec) -> None:
        """Want these name servers, domains and time servers. Nothing happens when that is known, and /etc/resolv.conf
        is as it was the last time. OSError when the file cannot be written."""
        from holdfast.publish import spool  # noqa: PLC0415 - when there is a lease

        routed = any(route.destination.prefixlen == 0 for route in spec.routes)
        names = spool.Names(spec.dns, spec.search, routed, spec.search_routes)
        data = spool.render(spool.LinkNames(ifindex, names, spec.ntp))
        # Another program's doing, or resolved that came up after us, shows in the file's identity.
        seen = _identity(self._resolv_conf)
        if self._files.get(ifindex) == (ifname, data, seen):
            return
        folders.make(self._folder)
        atomic.write(self._path(ifname), data, 0o644)
        former = self._files.get(ifindex)
        if former is not None and former[0] != ifname:
            atomic.remove(self._path(former[0]))
        self._files[ifindex] = (ifname, data, seen)
        self._run()

    def withdraw(self, ifname: str, ifindex: int) -> None:
        """Publish none. Raises OSError when the file cannot be removed."""
        former = self._files.pop(ifindex, None)
        changed = former is not None
        for name in {ifname} if former is None else {ifname, former[0]}:
            with suppress(FileNotFoundError):
                folders.unlink(self._path(name))
                changed = True
        if changed:
            self._run()

    def _path(self, ifname: str) -> str:
        return os.path.join(self._folder, ifname + ".json")

    def _run(self) -> None:
        """Start the program, or once more when it has ended."""
        if self._start is None:
            self._loop.set_timer((self, "remind"), self._loop.now() + REMIND_AFTER, self._remind)
        else:
            self._running_program.attempt()

    def _start_program(self) -> bool:
        """False: how it ended will be known later (``reap``). Raises OSError."""
        assert self._start is not None
        self._again = self._running is not None
        if self._running is None:
            try:
                self._running = self._start()
            except OSError as error:
                text = f"{sys.executable} cannot be started: {error.strerror} (are memory and processes left?)"
                raise OSError(error.errno, f"name servers cannot be published: {text}") from None
        return False

    def _remind(self) -> None:
        """systemd does not watch the folder while the program runs (systemd.path(5): PathChanged= is an event, not a
        state), so what was written between its last look and its end would be lost; by now that run has ended, and a
        later one has seen it."""
        with suppress(OSError), folders.opened(self._folder) as there:  # else it has gone, with what it wanted
            os.utime(f"/proc/self/fd/{there}")

    def reap(self) -> None:
        """To be called after SIGCHLD: take note of the program's end."""
        if self._running is None:
            return
        pid, said = self._running
        try:
            ended, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            ended, status = pid, 0
        if not ended:
            return
        self._running = None
        text = os.pread(said, SAID_LIMIT, 0).decode("utf-8", "replace").replace("holdfast: ", "").strip()
        os.close(said)
        code = os.waitstatus_to_exitcode(status)
        if self._again:
            self._run()
        elif code == TRY_AGAIN:
            self._running_program.failed(OSError(code, text))
        else:
            self._running_program.succeeded()
            problem = text or (f"the publisher of name servers ended with {code}" if code else "")
            if problem:
                self._said.say("publisher", 4, *problem.splitlines())
            elif self._said.forget("publisher"):
                self._say(5, "name servers are published")

    def _on_failure(self, error: Exception) -> None:
        text = f"{getattr(error, 'strerror', None) or error}; trying again"
        self._said.say("publisher", 4, *text.splitlines())

    def close(self) -> None:
        """Close without waiting; a running program ends by itself."""
        self._running_program.cancel()
        self._loop.set_timer((self, "remind"), None, self._remind)
        if self._running is not None:
            os.close(self._running[1])
            self._running = None


def start_program(spool: str, state: str) -> tuple[int, int]:
    """Start the publisher. Returns its pid, and a descriptor of its output. Raises OSError."""
    import holdfast  # noqa: PLC0415 - for its folder: -I ignores PYTHONPATH

    root = os.path.dirname(os.path.dirname(os.path.abspath(holdfast.__file__)))
    said = os.memfd_create("holdfast-dns", os.MFD_CLOEXEC)
    try:
        alone = "-ISB" if sys.flags.no_site else "-I"  # the interpreter options of this process
        argv = [sys.executable, alone, "-c", _BOOT, root, "--spool", spool, "--state-dir", state]
        pid = os.posix_spawn(
            sys.executable, argv, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
            file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, said, 1),
                          (os.POSIX_SPAWN_DUP2, said, 2)],
            setsid=True, setsigmask=(), setsigdef=(13,),
        )
    except OSError:
        os.close(said)
        raise
    return pid, said


def _identity(path: str) -> object:
    """A value that changes when the file is replaced or written, or its link has another target."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return os.path.realpath(path), status.st_dev, status.st_ino, status.st_mtime_ns
