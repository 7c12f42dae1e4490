"""Figures, ledger, tables, matrix and what a scenario refuses."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast_lab.simulate import report
from holdfast_lab.simulate.figures import Spread, figures_of, spread
from holdfast_lab.simulate.fleet import simulate
from holdfast_lab.simulate.ledger import NEVER, Ledger
from holdfast_lab.simulate.models import BY_NAME
from holdfast_lab.simulate.scenario import Outage, Scenario, cells

SMALL = Scenario(clients=20, span=600.0, lease=120.0, boot_within=60.0, outage=Outage(200.0, 57.0))


@pytest.mark.parametrize("how", [
    {"clients": 0}, {"clients": 1 << 24}, {"span": 0.0}, {"span": 1e9}, {"lease": 5.0}, {"lease": float(0xFFFFFFFF)},
    {"boot_within": -1.0}, {"boot_within": 1e6}, {"servers": 3}, {"capacity": 0.0}, {"queue": -1}, {"loss": 1.0},
    {"discover_ceiling": 0.5}, {"outage": Outage(-1.0, 5.0)}, {"outage": Outage(5.0, 0.0)},
    {"outage": Outage(80000.0, 9000.0)}, {"lease": float("nan")},
])
def test_a_scenario_that_makes_no_sense_is_refused(how: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=":"):
        Scenario(**how)


def test_spread() -> None:
    assert spread([]) == spread([NEVER, NEVER]) == Spread(0, 0.0, 0.0, 0.0)
    assert spread([3.0, NEVER, 1.0, 2.0]) == Spread(3, 2.0, 3.0, 3.0)
    assert spread(float(value) for value in range(101)) == Spread(101, 50.0, 99.0, 100.0)


def test_a_client_s_life_in_the_ledger() -> None:
    ledger = Ledger(SMALL)
    ledger.start(3, 1.0)
    ledger.send(3, 1.0)
    ledger.send(3, 2.0)
    ledger.answer(3, 2.5)
    assert (ledger.boot[3], ledger.longest_wait[3], ledger.sent[3]) == (1.5, 1.5, 2)
    ledger.send(3, 200.0)
    ledger.server_back(3, waiting=True)
    ledger.lose(3, 260.0)
    ledger.answer(3, 270.0)
    assert (ledger.losses[3], ledger.without[3], ledger.recovery[3]) == (1, 10.0, 270.0 - 257.0)
    assert (ledger.lost_by_return[3], ledger.lost_after_return[3]) == (0, 1)
    ledger.lose(3, 590.0)
    ledger.close(600.0)
    assert ledger.without[3] == 20.0
    assert ledger.lost_after_return[4] == 0


def test_the_table_is_whole_and_names_who_is_left_out() -> None:
    ours = figures_of("holdfast", simulate(SMALL))
    theirs = figures_of("RFC 2131", simulate(SMALL, BY_NAME["RFC 2131"]))
    heading, *rows = report.table([ours, theirs])
    assert [row[0] for row in rows] == ["holdfast", "RFC 2131"]
    assert [len(row) for row in rows] == [len(heading)] * 2
    assert report.notes([ours, theirs]) == []
    never = Scenario(clients=5, span=100.0, lease=120.0, boot_within=1.0, outage=Outage(0.001, 99.0))
    late = figures_of("holdfast", simulate(never))
    assert report.notes([late]) == [f"holdfast: without an address at the end: {late.unserved} of 5"]
    assert "-" in report.table([late])[1]


def test_json_has_every_figure_but_the_load_second_by_second() -> None:
    facts = figures_of("holdfast", simulate(SMALL)).as_dict()
    assert "load" not in facts
    assert facts["recovery"]["count"] > 0
    assert facts["clients"] == 20


def test_the_matrix_covers_leases_absences_and_hearing() -> None:
    found = list(cells(20, 1))
    assert len(found) == 3 * 2 * 4
    assert {cell.lease for cell in found} == {120.0, 3600.0, 86400.0}
    edge = next(cell for cell in found if cell.absence == "to the edge")
    assert edge.scenario.outage == Outage(240.0, 57.0)
    storm = next(cells(20, 1, storm=True))
    assert storm.scenario.boot_within == 10.0


def test_the_matrix_in_markdown() -> None:
    results = [
        (cell, [figures_of(name, simulate(cell.scenario, BY_NAME.get(name))) for name in ("holdfast", "Apple")])
        for cell in cells(10, 1, leases=(120.0,))
    ]
    lines = "\n".join(report.markdown(results)).splitlines()
    assert lines[0] == "### Lease 120 s, unicast heard"
    assert lines[2] == "| client | short | T1-T2 | to the edge | past expiry |"
    assert lines[4].startswith("| holdfast | 0 · ")
    assert lines[5].startswith("| Apple | ")
    assert "### Lease 120 s, unicast not heard" in lines
