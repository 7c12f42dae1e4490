"""``./dev simulate`` as a person or a script calls it."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from holdfast_lab.simulate import __main__ as room
from holdfast_lab.simulate.__main__ import main

SMALL = ["--clients", "20", "--lease", "120", "--span", "600", "--outage", "200:57"]


def test_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--client", "holdfast", "--client", "rfc 2131"]) == 0
    out, err = capsys.readouterr()
    assert [line.split("  ")[0] for line in out.splitlines()[2:]] == ["holdfast", "RFC 2131"]
    assert err == ""  # not a terminal: no progress


def test_json_and_a_picture(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "load.svg"
    assert main([*SMALL, "--json", "--deaf", "--svg", str(picture)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts[0]["name"] == "holdfast"
    assert facts[0]["lost"] == 0
    root = ElementTree.fromstring(picture.read_text(encoding="utf-8"))
    assert root.tag.endswith("svg")


def test_the_matrix(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast_lab.simulate import matrix

    monkeypatch.setattr(matrix, "LEASES", (120.0,))
    monkeypatch.setattr(matrix.cells, "__kwdefaults__", {"leases": (120.0,), "storm": False})
    picture = tmp_path / "trade.svg"
    assert main([
        "--matrix", "--clients", "10", "--client", "holdfast", "--client", "RFC 2131",
        "--svg", str(picture),
    ]) == 0
    assert "### Lease 120 s, unicast heard" in capsys.readouterr().out
    ElementTree.fromstring(picture.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("more", "words"), [
    (["--client", "nobody"], "no client is called 'nobody'; there are holdfast, RFC 2131"),
    (["--outage", "five"], "START:SECONDS"),
    (["--outage", "590:57"], "outage: it must end within the span"),
    (["--lease", "1"], "lease: at least 10 s"),
    (["--loss", "2"], "loss: at least 0 and below 1"),
])
def test_wrong_usage_is_one_line(more: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, *more]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert len(err.splitlines()) == 1


def test_forgetting_needs_an_outage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--forgets"]) == 2
    assert "give --outage as well" in capsys.readouterr().err


def test_a_picture_that_cannot_be_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main([*SMALL, "--svg", str(tmp_path / "no" / "such.svg")]) == 1
    assert "No such file" in capsys.readouterr().err


def test_progress_is_for_terminals_only(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert room._progress("holdfast") is None
    monkeypatch.setattr(room.sys.stderr, "isatty", lambda: True, raising=False)
    show = room._progress("holdfast")
    assert show is not None
    show(0.5)
    room._clear()
    assert "holdfast:  50%" in capsys.readouterr().err
