"""Holdfast itself, as a take-over sees it: which unit serves an interface, start, ask, stop."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Any

from holdfast.settings.model import Settings
from holdfast.state import folder as folders
from holdfast.takeover.host import Host
from holdfast.takeover.model import TakeoverError
from holdfast.takeover.processes import Process

ALL = "holdfast.service"
#: Seconds for the agent to be there after its start, and for the answer to a renewal (the agent itself gives up
#: asking after 30 s).
START_PATIENCE, ANSWER_PATIENCE = 20.0, 45.0
ANSWER_LIMIT = 1 << 20
#: Characters of a word of the answer that are passed on.
WORD_LIMIT = 80


class Agent:
    """The agent of ``ifname``. ``unit`` is "" for one in the foreground."""

    def __init__(self, host: Host, ifname: str, runtime_dir: str, unit: str) -> None:
        self._host, self._ifname, self.unit = host, ifname, unit
        self._runtime_dir = runtime_dir

    @property
    def serving(self) -> bool:
        """True when an agent answers for the interface."""
        try:
            with self._connect(2.0):
                return True
        except OSError:
            return False

    def start(self) -> None:
        """Start the unit. One that serves others too is started anew: that leaves every interface as it is."""
        self._host.run(["systemctl", "reset-failed", self.unit])
        self._host.must(["systemctl", "restart", self.unit], timeout=START_PATIENCE + 10)

    def wait(self) -> None:
        """Return when it answers."""
        if not self._host.wait(lambda: self.serving, START_PATIENCE):
            raise TakeoverError(f"the agent did not come up for {self._ifname} within {START_PATIENCE:.0f} s; "
                                f"see {f'`journalctl -u {self.unit}`' if self.unit else 'what it said above'}")

    def renew(self) -> str:
        """Renew, and say how it went. TakeoverError unless the lease was renewed."""
        try:
            answer = self._call("Renew")
        except (OSError, ValueError, RecursionError) as error:
            raise TakeoverError(f"the agent of {self._ifname} did not say how the renewal went: {error}") from None
        outcome = answer.get("outcome")
        if not isinstance(outcome, dict) or outcome.get("result") != "renewed":
            result = outcome.get("result") if isinstance(outcome, dict) else answer.get("error", "no answer")
            raise TakeoverError(f"the renewal that was to prove the take-over failed: {str(result)[:WORD_LIMIT]}")
        path, server = (str(outcome.get(key))[:WORD_LIMIT] for key in ("path", "server"))
        return f"renewed by {path} from {server}"

    def stop(self) -> None:
        """End it; the interface stays as it is. No error when there is none."""
        if self.unit:
            self._host.must(["systemctl", "stop", self.unit])
            return
        pid = ""
        with suppress(OSError):
            lock = self._host.path(f"{self._runtime_dir}/{self._ifname}.lock")
            pid = folders.read(lock, 20).decode("ascii", "replace").strip()
        if not (pid.isascii() and pid.isdigit()):
            return
        try:
            self._host.kill([int(pid)], signal.SIGTERM, still=_is_agent)
        except TakeoverError:
            self._host.kill([int(pid)], signal.SIGKILL, still=_is_agent)

    def _connect(self, timeout: float) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout)
        try:
            connection.connect(self._host.path(os.path.join(self._runtime_dir, f"{self._ifname}.varlink")))
        except OSError:
            connection.close()
            raise
        return connection

    def _call(self, method: str) -> dict[str, Any]:
        """The answer's parameters, with "error" when it is one. OSError, ValueError, RecursionError: the agent is
        another user, and may answer anything, or one byte now and then."""
        until = time.monotonic() + ANSWER_PATIENCE
        with self._connect(ANSWER_PATIENCE) as connection:
            question = {"method": f"io.holdfast.Agent.{method}", "parameters": {"interface": self._ifname}}
            connection.sendall(json.dumps(question).encode() + b"\0")
            data = bytearray()
            while not data.endswith(b"\0"):
                left = until - time.monotonic()
                if left <= 0:
                    raise TimeoutError("timed out")
                connection.settimeout(left)
                part = connection.recv(1 << 16)
                if not part or len(data) > ANSWER_LIMIT:
                    raise ValueError("it hung up")
                data += part
        answer = json.loads(data[:-1])
        parameters = answer.get("parameters", {}) if isinstance(answer, dict) else None
        if not isinstance(parameters, dict):
            raise ValueError("no Varlink message")
        return {**parameters, **({"error": answer["error"]} if "error" in answer else {})}


def _is_agent(process: Process) -> bool:
    return any("holdfast.runtime" in word for word in process.argv)


def unit_for(host: Host, settings: Settings, ifname: str, *, named: bool) -> str:
    """The unit that shall serve ``ifname``: the one for all when it is enabled and the configuration means the
    interface, else the interface's own. "" without systemd. ``named``: the configuration will name it; TakeoverError
    when the one for all would then serve it at the next boot, confirmed or not."""
    if not host.systemd:
        return ""
    if host.unit_enabled(ALL) == "enabled":
        if ifname in settings.interfaces or meant(settings, ifname):
            return ALL
        if named:
            raise TakeoverError(
                f"{ALL} is enabled for other interfaces, and what is known of the present client would be written into "
                f"its configuration: a boot before the confirmation would start both. Name {ifname} there yourself, as "
                f"[interfaces.{ifname}], if {ALL} shall serve it from the next boot on at any rate"
            )
    if not re.fullmatch(r"[\w:.@-]+", ifname):
        raise TakeoverError(f"{ifname!r} cannot be a part of a unit's name; rename the interface")
    return f"holdfast@{ifname}.service"


def meant(settings: Settings, ifname: str) -> bool:
    """One of the configuration's patterns fits."""
    return any(fnmatchcase(ifname, glob) for glob in settings.serve)
