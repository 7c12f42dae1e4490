"""The real daemon in a namespace of its own: started, asked, killed.

The namespace already has an /etc/resolv.conf and an empty /run of its own (no journal and no D-Bus of
this machine); here is added what a test wants mounted. What the daemon says goes to a log file.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from holdfast_lab.testbed import fair_time
from holdfast_lab.testbed.fair_time import Stopwatch, wait_until
from holdfast_lab.testbed.netns import Namespace

SOURCE = Path(__file__).resolve().parents[2] / "agent"
#: Fair seconds after which a program that should have ended hangs.
HANGS = 20.0

#: Runs in a new mount namespace, before the daemon: $1 is a test's own shell commands.
_VIEW = """
set -e
eval "$1"
shift
exec "$@"
"""


class Agent:
    """One daemon, serving ``interface``. ``start`` again after ``kill`` or ``terminate``: same folders."""

    def __init__(self, namespace: Namespace, interface: str, folder: Path) -> None:
        self.namespace = namespace
        self.interface = interface
        self.interfaces = [interface]  # what the command line names
        self.state = folder / "state"
        self.runtime = folder / "run"
        self.log = folder / "agent.log"
        self.config = folder / "holdfast.toml"
        for path in (self.state, self.runtime):
            path.mkdir(parents=True)
        # Every change of state goes to the log too: tests wait for some, and a failure is read in it.
        self.config.write_text('[agent]\nlog_level = "debug"\n')
        self.process: subprocess.Popen[bytes] | None = None

    # -- life ------------------------------------------------------------------------------------

    def start(self, *, mounts: str = "", launcher: list[str] | None = None) -> None:
        """Start the daemon. ``mounts``: shell commands for its private view of the file system.

        ``launcher`` replaces ``python -m holdfast.runtime``; the arguments stay.
        """
        assert self.process is None, "it is running"
        daemon = [*(launcher or [sys.executable, "-m", "holdfast.runtime"]), "--config", str(self.config)]
        command = [
            "unshare", "--mount", "sh", "-c", _VIEW, "view", mounts or ":", *daemon, *self.interfaces,
        ]
        with self.log.open("ab") as log:
            self.process = self.namespace.start_client(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment()
            )

    def kill(self) -> None:
        """SIGKILL."""
        self._signal(signal.SIGKILL)
        self._reap()

    def freeze(self) -> None:
        """SIGSTOP; return when it does nothing any more."""
        assert self.process is not None, "it is not running"
        self._signal(signal.SIGSTOP)
        stat = Path(f"/proc/{self.process.pid}/stat")
        wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", 20, "the daemon is stopped")

    def terminate(self, timeout: float = 2.0) -> int:
        """SIGTERM; the exit status. Rule 51: gone in under two seconds, not counting those without a processor."""
        assert self.process is not None, "it is not running"
        process, self.process = self.process, None
        try:
            taken = fair_time.end(process, signal.SIGTERM, max(timeout, HANGS))
            assert taken < timeout, f"still there after {taken:.2f} s of its own"
        except AssertionError as error:
            process.kill()
            process.wait()
            raise AssertionError(f"{error}; it said:\n{self.said()[-4000:]}") from None
        return process.returncode

    def close(self) -> None:
        """End it if it is there: with SIGTERM, so that coverage can be saved."""
        if self.running:
            self.terminate(timeout=HANGS)
        elif self.process is not None:
            self._reap()

    @property
    def running(self) -> bool:
        """True while the process runs."""
        return self.process is not None and self.process.poll() is None

    def inside(self, path: Path) -> Path:
        """``path`` as the daemon sees it, through its private mounts."""
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/root{path}")

    # -- what it says ----------------------------------------------------------------------------

    def said(self) -> str:
        """Its standard error so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def outcomes(self) -> list[dict[str, Any]]:
        """The history file of the interface, oldest first."""
        found: list[dict[str, Any]] = []
        for suffix in (".1", ""):
            path = self.state / f"{self.interface}.outcomes.jsonl{suffix}"
            with suppress(FileNotFoundError):  # the agent itself may remove or rename it
                found += [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
        return found

    def results(self, *wanted: str, since: float = 0.0) -> list[dict[str, Any]]:
        """The outcomes whose result is one of ``wanted`` and that ended after ``since`` (CLOCK_BOOTTIME)."""
        return [found for found in self.outcomes() if found["result"] in wanted and found["ended_at"] > since]

    def command(self, *words: str, timeout: float = 10.0) -> subprocess.CompletedProcess[str]:
        """One command of the command line, such as ``status hf0 --json``."""
        argv = [sys.executable, "-c", "import sys; from holdfast.cli import main; sys.exit(main())", *words]
        child = self.namespace.popen(
            argv, env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            out, err = fair_time.communicate(child, timeout)
        finally:
            child.kill()
        return subprocess.CompletedProcess(argv, child.returncode, out, err)

    def status(self) -> dict[str, Any]:
        """``holdfast status IFACE --json``, or an empty mapping when nobody answers."""
        answer = self.command("status", self.interface, "--json")
        return json.loads(answer.stdout)[0] if answer.returncode == 0 else {}

    def addresses(self) -> list[str]:
        """The IPv4 addresses that the interface has now, without their prefix."""
        try:
            answer = self.namespace.output(["ip", "-4", "-j", "addr", "show", "dev", self.interface])
        except subprocess.CalledProcessError:
            return []  # no such interface
        found = json.loads(answer or "[]")
        return [entry["local"] for link in found for entry in link.get("addr_info", [])]

    # -- waiting ---------------------------------------------------------------------------------

    def stopwatch(self, *others: int) -> Stopwatch:
        """To be started before a cause: judges what the daemon, and ``others`` that it waits for, took of time."""
        assert self.process is not None, "it is not running"
        return Stopwatch(self.process.pid, *others)

    def wait_address(self, address: str, timeout: float = 20.0) -> None:
        """Return when the interface has ``address``."""
        self.wait(lambda: address in self.addresses(), timeout, f"{self.interface} has {address}")

    def wait_result(
        self, *wanted: str, count: int = 1, timeout: float = 20.0, since: float = 0.0
    ) -> dict[str, Any]:
        """The last of ``count`` outcomes of these results after ``since``, as soon as there are that many.

        ``count`` or ``since`` is a mark that was taken before the cause: a record is written after the act.
        """
        what = f"{count} x {'/'.join(wanted)}"
        self.wait(lambda: len(self.results(*wanted, since=since)) >= count, timeout, what)
        return self.results(*wanted, since=since)[count - 1]

    def wait(self, condition: Any, timeout: float, what: str) -> None:
        """Like ``wait_until``; ends at once when the daemon has ended; a failure shows what it said."""

        def ended() -> bool:
            return self.process is not None and self.process.poll() is not None

        wait_until(lambda: condition() or ended(), timeout, what, told=self._last_words)
        assert condition() or not ended(), f"the daemon has ended; still not so: {what}{self._last_words()}"

    def _last_words(self) -> str:
        return f"; it said:\n{self.said()[-4000:]}"

    # -- inside ----------------------------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        """What the agent and its commands are started with."""
        kept = {k: v for k, v in os.environ.items() if k not in {"NOTIFY_SOCKET", "JOURNAL_STREAM"}}
        return {
            **kept,
            "PYTHONPATH": f"{SOURCE}:{SOURCE.parent}",
            "STATE_DIRECTORY": str(self.state),
            "RUNTIME_DIRECTORY": str(self.runtime),
        }

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None, "it is not running"
        self.process.send_signal(number)

    def _reap(self) -> None:
        """Of a process that has ended, or was sent SIGKILL: it cannot stay."""
        assert self.process is not None
        self.process.wait()
        self.process = None
