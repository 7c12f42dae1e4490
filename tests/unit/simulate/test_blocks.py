"""A run in blocks, spread over processes: the same figures however many processes there are."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.core import schedule
from holdfast_lab.simulate import blocks
from holdfast_lab.simulate.blocks import Job, run_jobs
from holdfast_lab.simulate.figures import Figures, figures_of
from holdfast_lab.simulate.fleet import simulate
from holdfast_lab.simulate.scenario import Outage, Scenario

FLEET = Scenario(clients=50, span=900.0, lease=120.0, boot_within=60.0, outage=Outage(300.0, 90.0))


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 20)


def run(*jobs: Job, processes: int) -> list[Figures]:
    return run_jobs(jobs, lambda _name, _share: None, processes)


def test_the_number_of_processes_changes_nothing() -> None:
    jobs = [Job("holdfast", FLEET), Job("RFC 2131", replace(FLEET, clients=30))]
    alone = run(*jobs, processes=1)
    assert alone == run(*jobs, processes=2)
    assert [figures.clients for figures in alone] == [50, 30]


def test_a_run_is_the_sum_of_its_blocks() -> None:
    whole, = run(Job("holdfast", FLEET), processes=1)
    parts = list(blocks.blocks(FLEET))
    assert [part.clients for part in parts] == [20, 20, 10]
    assert len({part.seed for part in parts}) == 3, "each block has chance of its own"
    alone = [figures_of("holdfast", simulate(part)) for part in parts]
    assert whole.load == tuple(map(sum, zip(*(figures.load for figures in alone), strict=True)))
    assert whole.lost == sum(figures.lost for figures in alone) > 0
    assert whole.recovery.count == sum(figures.recovery.count for figures in alone)
    assert whole.packets_most == max(figures.packets_most for figures in alone)
    assert whole.without == pytest.approx(sum(figures.without for figures in alone))


def test_clients_that_share_a_queue_are_not_parted() -> None:
    slow = replace(FLEET, capacity=60.0)
    assert list(blocks.blocks(slow)) == [slow]
    assert run(Job("holdfast", slow), processes=2) == [figures_of("holdfast", simulate(slow))]


def test_another_schedule_holds_for_its_run_alone() -> None:
    former = schedule.GAP_FLOOR
    usual, slower, again = run(
        Job("holdfast", FLEET), Job("holdfast", FLEET, {"GAP_FLOOR": 30.0}), Job("holdfast", FLEET), processes=1
    )
    assert usual == again
    assert slower.packets_mean < usual.packets_mean
    assert former == schedule.GAP_FLOOR


def test_a_run_that_is_killed_leaves_no_process() -> None:
    ours, theirs = os.pipe()  # every process of the run holds its other end
    code = "import sys; from holdfast_lab.simulate.__main__ import main; sys.exit(main(sys.argv[1:]))"
    run = subprocess.Popen(
        [sys.executable, "-c", code, "--clients", "30000", "--lease", "120", "--span", "86400"],
        stdout=theirs, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )
    os.close(theirs)
    try:
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
        until = time.monotonic() + 60.0
        while len(children.read_text(encoding="ascii").split()) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        run.kill()
        run.wait(30)
        assert select.select([ours], [], [], 60.0)[0], "a worker lives on"
        assert os.read(ours, 1) == b""
    finally:
        os.close(ours)
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        run.wait(30)
