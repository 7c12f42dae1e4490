"""``./dev lab``: lists, refusals, exit statuses. The runs themselves are faked here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.lab.test_compare import BAD, GOOD, matrix

from holdfast_lab import __main__ as cli
from holdfast_lab.__main__ import main
from holdfast_lab.compare import matrix as compare
from holdfast_lab.compare.matrix import Matrix


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.os, "geteuid", lambda: 0)
    monkeypatch.setattr(cli, "installed", lambda names: ({"holdfast": "0.1"}, [n for n in names if n != "holdfast"]))


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert "unicast-silent " in out
    assert "Unicast renewals are not heard" in out
    assert "holdfast " in out
    assert "not installed" in out


def test_without_root(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cli.os, "geteuid", lambda: 1000)
    assert main(["run", "no-fault"]) == 5
    assert "needs root" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (["run", "no-such"], 2, "no scenario no-such; see `./dev lab list`"),
        (["run", "no-fault", "--client", "xdhcp"], 2, "no client xdhcp"),
        (["run", "no-fault", "--client", "dhclient"], 1, "not installed: dhclient"),
        (["run", "no-fault", "--lease", "3"], 2, "--lease"),
        (["compare", "--scenarios", "a,b"], 2, "no scenario a"),
    ],
)
def test_what_is_not_there(words: list[str], status: int, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words]) == status
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(("result", "status"), [(GOOD, 0), (BAD, 1)])
def test_run(
    result: object, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(cli, "play", lambda scenario, client, tell: replace(result, log="it said so"))
    picture = tmp_path / "run.svg"
    assert main(["run", "silent-between", "--lease", "12", "--log", "--svg", str(picture)]) == status
    out = capsys.readouterr().out
    assert "Lease 12 s, T1 4 s, T2 10 s" in out
    assert "it said so" in out
    assert picture.read_text().startswith("<svg")


def test_a_client_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("its namespaces could not be made")

    monkeypatch.setattr(cli, "play", fail)
    assert main(["run", "no-fault"]) == 1
    assert "its namespaces could not be made" in capsys.readouterr().err


@pytest.mark.parametrize(("ours", "status"), [(GOOD, 0), (replace(GOOD, findings=BAD.findings), 1)])
def test_compare(
    ours: object, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked: dict[str, object] = {}

    def run(clients: object, scenarios: object, **options: object) -> Matrix:
        asked.update(options, clients=clients)
        return matrix(ours, BAD)  # type: ignore[arg-type]

    monkeypatch.setattr(compare, "run", run)
    words = ["--clients", "holdfast, dhclient", "--scenarios", "silent-between", "--lease", "24", "-j", "2"]
    assert main(["compare", *words, "--out", str(tmp_path)]) == status
    assert asked["clients"] == ["holdfast", "dhclient"]
    assert asked["command"] == (
        "./dev lab compare --clients holdfast, dhclient --scenarios silent-between --lease 24 -j 2"
    )
    told = capsys.readouterr()
    assert "NetworkManager is not installed; left out" in told.out
    assert ("holdfast in silent-between" in told.err) == bool(status)
    assert json.loads((tmp_path / "compare.json").read_text())["took"] == 12
