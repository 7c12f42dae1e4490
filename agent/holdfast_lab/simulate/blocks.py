"""A run in blocks of clients, spread over processes.

Clients meet only in a server's queue, so where a server answers at once (no limit of capacity) a fleet is the sum of
its blocks: what a server remembers is kept for each client, and the outage comes to all at the same time. Each block
has a random generator of its own, seeded by the scenario's seed and its number, so a run is the same however many
processes share it. A fleet at a server with a limit is one block. Memory is that of one block for each process, and
some 100 bytes for each client of the fleet.
"""

from __future__ import annotations

import gc
import os
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import inf
from multiprocessing import get_context, parent_process
from operator import add
from threading import Thread

from holdfast.core import schedule
from holdfast_lab.simulate.figures import Figures, Load, figures_of
from holdfast_lab.simulate.fleet import simulate
from holdfast_lab.simulate.ledger import Ledger
from holdfast_lab.simulate.models import BY_NAME
from holdfast_lab.simulate.scenario import Scenario

#: Clients of one block: so few that they stay in the processor's cache (a seventh quicker than 5000), and so many that
#: a block's start does not matter.
BLOCK = 1000

#: Is told the name of a client and the share of its run that is over.
Progress = Callable[[str, float], object]


@dataclass(frozen=True)
class Job:
    """One run: a scenario with the clients of one kind, ours or the model of another (``models.BY_NAME``).

    ``settings``: constants of ``core.schedule`` by name that have another value in this run, of our own client.
    """

    name: str
    scenario: Scenario
    settings: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Run:
    """What a run leaves: the ledger of all clients, and the load on each server."""

    scenario: Scenario
    ledger: Ledger
    servers: list[Load]


def blocks(scenario: Scenario) -> Iterator[Scenario]:
    """The parts of ``scenario`` that can run apart, the first with its seed."""
    if scenario.capacity < inf:
        yield scenario
        return
    for number, first in enumerate(range(0, scenario.clients, BLOCK)):
        size = min(BLOCK, scenario.clients - first)
        yield replace(scenario, clients=size, seed=scenario.seed if number == 0 else f"{scenario.seed}/{number}")


def run_jobs(jobs: Sequence[Job], progress: Progress, processes: int | None = None) -> list[Figures]:
    """The figures of each of ``jobs``, in their order, by so many ``processes`` (as many as there are processors)."""
    parts = [(index, part) for index, job in enumerate(jobs) for part in blocks(job.scenario)]
    sums = [_Sum(job, sum(1 for index, _ in parts if index == number)) for number, job in enumerate(jobs)]
    workers = min(processes or len(os.sched_getaffinity(0)), len(parts))
    if workers == 1:
        for index, part in parts:
            sums[index].add(_run(jobs[index], part, sums[index].reports_to(progress)))
    else:
        context = get_context("spawn")  # a fork would copy our threads' locks
        with ProcessPoolExecutor(workers, context, _end_with_parent) as pool:
            runs = pool.map(_run, [jobs[index] for index, _ in parts], [part for _, part in parts])
            for (index, _), run in zip(parts, runs, strict=True):
                sums[index].add(run)
                progress(jobs[index].name, sums[index].over())
    return [whole.figures() for whole in sums]


def _end_with_parent() -> None:
    """In a worker: end when the process that has started it is gone, however it went; the pool sees to that only when
    it is closed."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


class _Sum:
    """The blocks of one run that are over, added up."""

    def __init__(self, job: Job, blocks: int) -> None:
        self.job = job
        self._blocks, self._over = blocks, 0
        self._run: Run | None = None

    def over(self, share: float = 0.0) -> float:
        """The part of the run that is over, with ``share`` of one more block."""
        return (self._over + share) / self._blocks

    def reports_to(self, progress: Progress) -> Callable[[float], None]:
        """Tells ``progress`` of the share of the next block that is over."""

        def report(share: float) -> None:
            progress(self.job.name, self.over(share))

        return report

    def add(self, run: Run) -> None:
        """The next block."""
        self._over += 1
        if self._run is None:
            self._run = Run(self.job.scenario, run.ledger, run.servers)
            return
        self._run.ledger.extend(run.ledger)
        for mine, theirs in zip(self._run.servers, run.servers, strict=True):
            mine.arrivals = array("L", map(add, mine.arrivals, theirs.arrivals))
            mine.overflowed += theirs.overflowed

    def figures(self) -> Figures:
        """Of the whole run."""
        assert self._run is not None
        return figures_of(self.job.name, self._run)


def _run(job: Job, part: Scenario, progress: Callable[[float], None] | None = None) -> Run:
    """One block. Its clients know their network and the network its clients, so they are collected afterwards."""
    with _settings(job.settings):
        fleet = simulate(part, BY_NAME.get(job.name), progress)
    run = Run(part, fleet.ledger, [Load(server.arrivals, server.overflowed) for server in fleet.servers])
    del fleet
    gc.collect()
    return run


@contextmanager
def _settings(values: Mapping[str, float]) -> Iterator[None]:
    """Constants of ``core.schedule`` by name, changed in this process until the end."""
    former = {name: getattr(schedule, name) for name in values}
    try:
        vars(schedule).update(values)
        yield
    finally:
        vars(schedule).update(former)
