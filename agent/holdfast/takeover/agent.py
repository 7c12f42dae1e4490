"""Holdfast's agent during a take-over: its unit; start, calls, stop."""

from __future__ import annotations

import re
import signal
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Any

from holdfast.control import client
from holdfast.control.interface import NAME, socket_path
from holdfast.settings.model import Settings
from holdfast.state import folder as folders
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Host
from holdfast.takeover.processes import Process

ALL = "holdfast.service"
#: Seconds in which a started agent must answer.
START_PATIENCE = 20.0
#: Seconds in which it must serve the link: it waits for a manager that has to set the link up first, for ten.
LINK_PATIENCE = 15.0
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
        return client.listens(self._socket, 2.0)

    def start(self) -> None:
        """Start the unit, or restart one that serves other interfaces too; a restart changes no interface."""
        self._host.run(["systemctl", "reset-failed", self.unit])
        self._host.must(["systemctl", "restart", self.unit], timeout=START_PATIENCE + 10)

    def wait(self) -> None:
        """Wait until the agent answers. TakeoverError when it does not in time."""
        if not self._host.wait(lambda: self.serving, START_PATIENCE):
            raise TakeoverError(f"the agent did not start for {self._ifname} within {START_PATIENCE:.0f} s; "
                                f"see {f'`journalctl -u {self.unit}`' if self.unit else 'what it said above'}")

    def renew(self) -> str:
        """Renew when the link is served, and return the outcome as text. TakeoverError unless the lease was renewed."""
        answers: list[dict[str, Any]] = []
        if not self._host.wait(lambda: self._renewed(answers), LINK_PATIENCE):
            raise _unproven(f"the agent does not serve the link after {LINK_PATIENCE:.0f} s")
        outcome = answers[0]["outcome"]
        if outcome["result"] != "renewed":
            raise _unproven(outcome["result"])
        path, server = (str(outcome[key])[:WORD_LIMIT] for key in ("path", "server"))
        return f"renewed by {path} from {server}"

    def _renewed(self, answers: list[dict[str, Any]]) -> bool:
        """Put the answer into ``answers``; False while the agent does not serve the link yet."""
        try:
            answers.append(client.call(self._socket, "Renew", {"interface": self._ifname}))
        except client.RefusedError as error:
            if error.name == f"{NAME}.LinkMissing":
                return False
            raise _unproven(error.name) from None
        except client.ControlError as error:
            raise TakeoverError(f"the agent of {self._ifname} gave no answer about the renewal: {error}") from None
        return True

    def stop(self) -> None:
        """Stop the agent; the interface stays as it is. No error when none is running."""
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

    @property
    def _socket(self) -> str:
        return self._host.path(socket_path(self._runtime_dir, self._ifname))


def _unproven(result: str) -> TakeoverError:
    return TakeoverError(f"the renewal that was to prove the take-over failed: {result[:WORD_LIMIT]}")


def _is_agent(process: Process) -> bool:
    """Started as `holdfast run`, which becomes the daemon, or by a unit."""
    return any("holdfast.runtime" in word or word.endswith(("/holdfast", "/holdfast/agent")) for word in process.argv)


def unit_for(host: Host, settings: Settings, ifname: str, *, named: bool, listed: bool = False) -> str:
    """The unit that shall serve ``ifname``: the one for all when it is enabled and the configuration means the
    interface, else the interface's own; always that when the list of links starts it (``listed``). "" without systemd.
    ``named``: the configuration will name it; TakeoverError
    when the one for all would then serve it at the next boot, confirmed or not."""
    if not host.systemd:
        return ""
    if not listed and host.unit_enabled(ALL) == "enabled":
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
