"""A run in blocks, spread over processes: the same figures however many processes there are."""

from __future__ import annotations

from dataclasses import replace

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
