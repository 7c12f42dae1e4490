"""A machine with a DHCP client of somebody else's, and the `holdfast guard` that ships beside it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

from holdfast_lab.peers import ALL
from holdfast_lab.peers.running import Running
from holdfast_lab.testbed.fair_time import wait_until
from holdfast_lab.testbed.netns import Namespace
from holdfast_lab.testbed.stage import holdfast_command
from holdfast_lab.witness.watch import NetlinkWatch

#: Fair seconds for a guard to watch: its start takes one.
STARTED = 20.0


class GuardedMachine:
    """``machine`` is not closed here, and has the real /etc and /run (``private_files=False``): a client's cage brings
    its own. What is written is in ``folder``. A context manager: leaving it ends guard and client."""

    def __init__(self, machine: Namespace, link: str, folder: Path) -> None:
        self.machine, self.link, self.folder = machine, link, folder
        self.watch = NetlinkWatch(machine)
        self.log, self.client_log = folder / "guard.log", folder / "client.log"
        self.config = folder / "holdfast.toml"
        self._running: list[Running] = []
        self._guards: list[subprocess.Popen[Any]] = []

    def __enter__(self) -> GuardedMachine:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_guards()
        for client in self._running:
            client.kill()
        self.watch.close()

    def guard(self, *options: str, interfaces: tuple[str, ...] | None = None,
              settings: str = "") -> subprocess.Popen[Any]:
        """Start a guard with ``settings`` as its [guard], and wait until it watches."""
        self.config.write_text(
            f'[agent]\nstate_dir = "{self.folder}/state"\nruntime_dir = "{self.folder}/run"\n'
            f'[guard]\nmetrics_dir = "{self.folder}"\n{settings}'
        )
        names = (self.link,) if interfaces is None else interfaces
        before = self.said().count("guard: watching ")
        with self.log.open("ab") as log:
            child = self.machine.popen(self.command("guard", *names, *options),
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._guards.append(child)
        wait_until(lambda: self.said().count("guard: watching ") > before or child.poll() is not None, STARTED,
                   "the guard watches")
        return child

    def stop_guards(self) -> None:
        """SIGKILL to every guard that was started here."""
        for guard in self._guards:
            guard.kill()
            guard.wait()
        self._guards.clear()

    def command(self, *words: str) -> list[str]:
        """A command line of holdfast with this machine's configuration."""
        return [*holdfast_command(), *words, "--config", str(self.config)]

    def client(self, name: str, **changes: Any) -> Running:
        """Start a client of holdfast_lab.peers; ``changes`` are to its description."""
        running = Running(replace(ALL[name], **changes), self.machine, self.link, self.client_log)
        self._running.append(running)
        return running

    def said(self) -> str:
        """What the guard has written."""
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def records(self) -> list[dict[str, Any]]:
        """The guard's history."""
        path = self.folder / "state-guard" / f"{self.link}.outcomes.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]  # the last may be written just now

    def renewals(self) -> list[dict[str, Any]]:
        """The records of renewals."""
        return [record for record in self.records() if record["purpose"] == "t1"]

    def renewal(self, patience: float) -> dict[str, Any]:
        """The record of the first renewal; AssertionError when there is none within so many fair seconds."""
        found = wait_until(lambda: next(iter(self.renewals()), None), patience, "a renewal is recorded")
        assert found is not None
        return found
