"""Every client through every scenario, side by side, each run in a process of its own; what comes of it in files."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from holdfast_lab.peers import installed
from holdfast_lab.scenario.result import Result
from holdfast_lab.scenario.scenario import Scenario
from holdfast_lab.testbed import fair_time

#: Fair seconds. The longest scenario is 1.3 leases and 40 s of patience; a run that takes longer than this is broken.
LIMIT = 60 + 40
Tell = Callable[[int, int, str], None]
"""Told when something has changed: runs done, runs in all, which are going on."""


@dataclass(frozen=True)
class Matrix:
    """All results, and what they were measured with."""

    versions: dict[str, str]
    missing: tuple[str, ...]
    scenarios: tuple[Scenario, ...]
    results: tuple[Result, ...]
    machine: str
    command: str
    took: float

    def of(self, scenario: str) -> list[Result]:
        """The results of one scenario, in the order of ``versions``."""
        order = list(self.versions)
        return sorted(
            (result for result in self.results if result.scenario == scenario),
            key=lambda result: order.index(result.client),
        )

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "machine": self.machine, "command": self.command, "took": self.took,
            "versions": self.versions, "missing": list(self.missing),
            "leases": {one.name: [one.lease.time, one.lease.t1, one.lease.t2] for one in self.scenarios},
            "results": [result.as_json() for result in self.results],
        }  # fmt: skip


def machine() -> str:
    """Kernel, processors, and the interpreter that runs Holdfast."""
    return f"Linux {platform.release()}, {os.cpu_count()} processors, Python {platform.python_version()}"


def run(
    clients: Sequence[str], scenarios: Sequence[Scenario], *, lease: int | None, jobs: int, command: str, tell: Tell
) -> Matrix:
    """Run the matrix, ``jobs`` runs at a time; what is too heavy for company comes last and alone."""
    began = time.monotonic()
    versions, missing = installed(clients)
    scaled = [scenario.scaled(lease) for scenario in scenarios]
    progress = _Progress(len(scaled) * len(versions), tell)
    results: list[Result] = []
    for alone in (False, True):
        cells = [(scenario, client) for scenario in scaled if scenario.alone == alone for client in versions]
        pool = ThreadPoolExecutor(1 if alone else jobs)
        try:
            results += pool.map(lambda cell: _cell(cell[0], cell[1], progress), cells)
        finally:  # Ctrl-C ends the runs that are going on; those that wait must not begin
            pool.shutdown(cancel_futures=True)
    return Matrix(
        versions, tuple(missing), tuple(scaled), tuple(results), machine(), command, round(time.monotonic() - began)
    )


class _Progress:
    """Counts runs, from several threads."""

    def __init__(self, total: int, tell: Tell) -> None:
        self._total, self._tell, self._done = total, tell, 0
        self._now: list[str] = []
        self._lock = threading.Lock()

    def begin(self, words: str) -> None:
        """A run begins."""
        with self._lock:
            self._now.append(words)
            self._tell(self._done, self._total, ", ".join(self._now))

    def end(self, words: str) -> None:
        """It is over."""
        with self._lock:
            self._now.remove(words)
            self._done += 1
            self._tell(self._done, self._total, ", ".join(self._now))


def _cell(scenario: Scenario, client: str, progress: _Progress) -> Result:
    words = f"{client} in {scenario.name}"
    progress.begin(words)
    try:
        return _play_apart(scenario, client)
    finally:
        progress.end(words)


def _play_apart(scenario: Scenario, client: str) -> Result:
    """One run in a process of its own. A run that fails is a result, too."""
    lease = scenario.lease
    command = [sys.executable, "-m", "holdfast_lab.scenario.play", scenario.name, client, str(lease.time)]
    try:
        done = fair_time.run(command, LIMIT + 2 * lease.time, text=True)
        if done.returncode == 0:
            return Result.from_json(json.loads(done.stdout))
        error = (done.stderr.strip().splitlines() or ["it failed without a word"])[-1]
    except subprocess.TimeoutExpired:
        error = "it did not come to an end"
    return Result(scenario.name, client, "", (lease.time, lease.t1, lease.t2), bound=False, error=error)
