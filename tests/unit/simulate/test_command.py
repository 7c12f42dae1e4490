"""``./dev simulate`` as a person or a script calls it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from tests.support.pictures import complaints_about, texts_of

from holdfast_lab.simulate import __main__ as cli
from holdfast_lab.simulate import frontier
from holdfast_lab.simulate.__main__ import main

SMALL = ["--clients", "20", "--lease", "120", "--span", "600", "--outage", "200:57"]


def test_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--client", "holdfast", "--client", "rfc 2131"]) == 0
    out, err = capsys.readouterr()
    assert [line.split("  ")[0] for line in out.splitlines()[3:]] == ["holdfast", "RFC 2131"]
    assert err == ""  # not a terminal: no progress


def test_json_and_a_picture(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "load.svg"
    assert main([*SMALL, "--json", "--deaf", "--svg", str(picture)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts[0]["name"] == "holdfast"
    assert facts[0]["lost"] == 0
    svg = picture.read_text(encoding="utf-8")
    assert {"Load on the server: 20 clients, lease 2.0 min", "holdfast", "min"} <= set(texts_of(svg))
    assert complaints_about(svg) == []


def test_the_matrix(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "cells", partial(cli.cells, leases=(120.0,)))
    picture = tmp_path / "trade.svg"
    assert main([
        "--matrix", "--clients", "10", "--client", "holdfast", "--client", "RFC 2131",
        "--svg", str(picture),
    ]) == 0
    assert "### Lease 120 s, unicast heard" in capsys.readouterr().out
    svg = picture.read_text(encoding="utf-8")
    assert {"Lease 2.0 min", "holdfast", "mean of the 4 medians"} <= set(texts_of(svg))
    assert complaints_about(svg) == []


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
    out, err = capsys.readouterr()
    assert "No such file" in err
    assert out == "", "it is seen before the run"


def test_progress_is_for_terminals(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(cli.sys.stderr, "isatty", lambda: True, raising=False)
    assert main(["--clients", "100", "--lease", "120", "--span", "6000"]) == 0
    out, err = capsys.readouterr()
    assert "holdfast" in err
    assert "\x1b[2K" in err, "it goes at the end"
    assert "\x1b" not in out


def test_the_frontier_goes_to_its_page_and_its_picture(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, picture = tmp_path / "page.md", tmp_path / "frontier.svg"
    page.write_text(f"before\n{cli.TABLE_BEGINS}\nold\n{cli.TABLE_ENDS}\nafter\n", encoding="utf-8")
    monkeypatch.setattr(cli, "FRONTIER_PAGE", page)
    monkeypatch.setattr(cli, "FRONTIER_PICTURE", picture)
    monkeypatch.setattr(frontier, "GAPS", (2.0, 30.0))
    monkeypatch.setattr(frontier, "PEERS", ("RFC 2131",))
    assert main(["--frontier", "--write-docs", "--clients", "20"]) == 0
    table = capsys.readouterr().out.strip()
    names = [row.split(" | ")[0].removeprefix("| ") for row in table.splitlines()[2:]]
    assert names == ["**2 s**", "30 s", "2 s, fewer messages", "RFC 2131"]
    assert page.read_text(encoding="utf-8") == f"before\n{cli.TABLE_BEGINS}\n\n{table}\n\n{cli.TABLE_ENDS}\nafter\n"
    svg = picture.read_text(encoding="utf-8")
    assert {"2 s", "30 s", "A server that answers at once", "A server near its capacity"} <= set(texts_of(svg))
    assert complaints_about(svg) == []


def test_the_pages_of_the_frontier_are_there() -> None:
    text = cli.FRONTIER_PAGE.read_text(encoding="utf-8")
    assert text.index(cli.TABLE_BEGINS) < text.index(cli.TABLE_ENDS)
    assert cli.FRONTIER_PICTURE.name in text


def test_the_frontier_has_what_nothing_beats() -> None:
    verdicts = [
        frontier.Verdict(frontier.Candidate(name), lost, peak, 1.0)
        for name, lost, peak in (("a", 0.0, 9), ("b", 0.2, 9), ("c", 0.1, 5), ("d", 0.0, 8), ("e", 0.3, 1))
    ]
    assert [verdict.candidate.name for verdict in frontier.undominated(verdicts)] == ["d", "c", "e"]
