"""Programs of the operator that run after a change (rule 73).

Every executable file in the folder gets one JSON object on its standard input: no shell, no values in
arguments or environment, names already checked against RFC 1123. They run beside the loop: a slow one
delays nothing, and is ended after its time.

Imported when there is a folder and something to tell, because subprocess costs 8 ms.
"""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import suppress
from math import inf
from typing import IO, TYPE_CHECKING, Any, Callable, Mapping

from holdfast.observe.outcomes import as_record, iso_time

if TYPE_CHECKING:
    from holdfast.core.outcome import Outcome
    from holdfast.eventloop.ports import Loop
    from holdfast.network.spec import NetworkSpec

#: Version of the object that hooks get; keys are only added within one.
VERSION = 1
#: Seconds a hook may take before it is killed.
TIME_LIMIT = 30.0
#: Hooks running at once, in the whole process, and events waiting for a turn: a hook that hangs at
#: every renewal of a 120 s lease must not fill the machine.
MAX_RUNNING = 4
MAX_WAITING = 32
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


class Hooks:
    """Runs the hooks of ``folder``, which may change. ``reap`` is to be called after SIGCHLD."""

    def __init__(
        self, folder: str, loop: Loop, say: Callable[[int, str], None], *, time_limit: float = TIME_LIMIT
    ) -> None:
        self.folder, self._loop, self._say = folder, loop, say
        self._time_limit = time_limit
        self._waiting: list[tuple[str, bytes]] = []
        self._running: dict[int, tuple[subprocess.Popen[bytes], str]] = {}

    def fire(self, event: Mapping[str, Any]) -> None:
        """Run every hook with ``event``, each in turn as there is room."""
        data = json.dumps(event, allow_nan=False).encode() + b"\n"
        for path in self._programs():
            if len(self._waiting) >= MAX_WAITING:
                self._say(4, f"hook {path} is left out: {MAX_WAITING} others wait")
                continue
            self._waiting.append((path, data))
        self._start_some()

    def _programs(self) -> list[str]:
        try:
            names = sorted(os.listdir(self.folder))
        except OSError:
            return []
        # Hidden files and what editors and package managers leave behind are no hooks.
        paths = [os.path.join(self.folder, name) for name in names
                 if name[0] != "." and not name.endswith(("~", ".dpkg-new", ".dpkg-old", ".rpmnew", ".rpmsave"))]
        return [path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)]

    def _start_some(self) -> None:
        while self._waiting and len(self._running) < MAX_RUNNING:
            path, data = self._waiting.pop(0)
            try:
                process = self._start(path, data)
            except OSError as error:
                self._say(4, f"hook {path} cannot be run: {error.strerror}; see its first line and its mode")
                continue
            self._running[process.pid] = (process, path)
            self._loop.set_timer((self, process.pid), self._loop.now() + self._time_limit,
                                 lambda pid=process.pid: self._overdue(pid))  # type: ignore[misc]

    def _start(self, path: str, data: bytes) -> subprocess.Popen[bytes]:
        with _readable(data) as stdin:
            return subprocess.Popen(  # noqa: S603 - the operator's own program, no shell
                [path], stdin=stdin, stdout=subprocess.DEVNULL, stderr=None, cwd="/",
                env=_ENVIRONMENT, start_new_session=True,
            )

    def _overdue(self, pid: int) -> None:
        entry = self._running.get(pid)
        if entry is not None:
            self._say(4, f"hook {entry[1]} took longer than {self._time_limit:g} s and was killed")
            with suppress(ProcessLookupError):
                os.killpg(pid, 9)  # its own session, so that its children go with it

    def reap(self) -> None:
        """Take note of the hooks that ended, and start those that wait."""
        for pid, (process, path) in list(self._running.items()):
            status = process.poll()
            if status is None:
                continue
            del self._running[pid]
            self._loop.set_timer((self, pid), None, self.reap)
            if status:
                how = f"exit status {status}" if status > 0 else f"signal {-status}"
                self._say(4, f"hook {path} failed: {how}")
        self._start_some()

    def close(self) -> None:
        """Stop waiting for anything; hooks that run are left to end by themselves."""
        self._waiting.clear()
        for pid, (process, _) in self._running.items():
            self._loop.set_timer((self, pid), None, self.reap)
            process.returncode = process.poll() or 0  # no complaint about a child that outlives us
        self._running.clear()


def describe(
    ifname: str, outcome: Outcome, spec: NetworkSpec | None, options: Mapping[int, bytes], *, now: float, wall: float
) -> dict[str, Any]:
    """What a hook gets: the outcome as in the history, what is on the interface now (null: nothing), and the lease's
    options by number, each value in hex.
    ``now`` and ``wall`` are the same moment on CLOCK_BOOTTIME and in Unix seconds."""
    return {
        "version": VERSION,
        "interface": ifname,
        "outcome": as_record(outcome, ifname, boottime=now, wall=wall),
        "options": {str(code): value.hex() for code, value in sorted(options.items())},
        "network": None if spec is None else {
            "address": str(spec.address),
            "broadcast": None if spec.broadcast is None else str(spec.broadcast),
            "routes": [{"destination": str(route.destination),
                        "gateway": None if route.gateway is None else str(route.gateway),
                        "metric": route.metric} for route in spec.routes],
            "mtu": spec.mtu,
            "dns": [str(server) for server in spec.dns],
            "search": list(spec.search),
            "domain": spec.domain,
            "hostname": spec.hostname,
            "ntp": [str(server) for server in spec.ntp],
            "captive_portal": spec.captive_portal,
            "expires": None if spec.valid_until == inf else iso_time(wall + spec.valid_until - now),
        },
    }


def _readable(data: bytes) -> IO[bytes]:
    """``data`` as a file in memory: a pipe that the hook does not read would block us."""
    file = os.fdopen(os.memfd_create("holdfast-hook"), "w+b")
    file.write(data)
    file.seek(0)
    return file
