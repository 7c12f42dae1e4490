"""Every measurement once, on Holdfast, with everything as short as it can be. What comes out is plausible."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from holdfast_lab.bench import __main__ as bench
from holdfast_lab.bench import flood, measure
from holdfast_lab.bench.flood import measure_flood
from holdfast_lab.bench.measure import measure_fault, measure_idle, measure_starts
from holdfast_lab.bench.room import Room
from holdfast_lab.peers import ALL, Peer

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make namespaces"),
]

BROKEN = Peer("broken", ("sh", "-c", "echo I give up; exit 3 # {iface}"), ("sh",))


def quiet(_words: str) -> None:
    """Nobody is watching."""


def test_a_short_benchmark_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "SETTLE", 0)
    figures = tmp_path / "figures.json"
    arguments = ["--runs", "1", "--idle", "1", "--clients", "holdfast", "--parts", "starts", "idle"]
    assert bench.main([*arguments, "--json", str(figures)]) == 0
    raw = json.loads(figures.read_text())
    (discover,), (address,) = raw["starts"]["holdfast"]["discover"], raw["starts"]["holdfast"]["address"]
    assert 0 < discover < address
    assert 0 < raw["starts"]["holdfast"]["server"][0] < address
    assert raw["idle"]["holdfast"]["pss"] > 100_000
    assert raw["idle"]["holdfast"]["processes"] >= 1
    assert "holdfast" in capsys.readouterr().out


def test_a_client_that_ends_is_counted_as_failed_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALL, "broken", BROKEN)
    said: list[str] = []
    assert measure_starts(["broken"], 0, said.append)["broken"].failed == 1
    assert "I give up" in said[-1]
    assert measure_idle(["broken"], 0.1, 0.1, said.append) == {}


def test_a_cage_that_cannot_be_built_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    helpers = (((("false",)), "/run/never"),)
    monkeypatch.setitem(ALL, "broken", Peer("broken", ("sh",), ("sh",), helpers=helpers))
    with Room("broken", measure.lease_of(60)) as room, pytest.raises(RuntimeError, match="did not make"):
        room.start()


def test_the_fault_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "LEASES", (10,))  # the shortest lease that Holdfast takes as it is
    took = measure_fault(["holdfast"], quiet)["holdfast"]["10"]
    assert all(0 < seconds < 2.5 for seconds in took)


def test_the_flood_reaches_a_client_that_renews_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LEASE": 10, "LEAD": 2, "SECONDS": 5, "SETTLE": 0, "RATE": 2000}.items():
        monkeypatch.setattr(flood, name, value)
    result = measure_flood("holdfast", quiet)
    assert result.kept
    assert result.renewal is not None
    assert 0 < result.rate <= 2100
    assert result.pss_peak > 0
