"""Tables, pictures and files of the comparison, and what happens when a run fails."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from io import StringIO
from math import inf
from pathlib import Path

import pytest
from tests.support.pictures import complaints_about, texts_of

from holdfast_lab.compare import matrix as compare
from holdfast_lab.compare.matrix import Matrix
from holdfast_lab.compare.report import HEADINGS, better_peers, markdown, summary, table, write
from holdfast_lab.render.scenario import draw
from holdfast_lab.render.terminal import Screen, show_progress, show_result, show_scenario
from holdfast_lab.scenario import scenario
from holdfast_lab.scenario.result import Band, Mark, Result

KEPT = ((2, True, "the address was there"),)
GOOD = Result(
    "silent-between", "holdfast", "0.1", (30, 10, 26), bound=True, findings=KEPT, recovery=1.2, waited=6.0, packets=9,
    renewals=2, ended=31.0, present=(Band(0.0, 31.0, "192.0.2.50"),), leased=(Band(0.0, 31.0, "192.0.2.50"),),
    marks=(Mark(10.0, "unicast", "REQUEST to 192.0.2.1: silent"), Mark(11.0, "broadcast", "REQUEST to everybody"),
           Mark(11.1, "ack", "ACK 192.0.2.50 from 192.0.2.1"), Mark(11.2, "nak", "NAK"), Mark(0.0, "ask", "DISCOVER")),
    deeds=((3.0, "client kill"),),
)  # fmt: skip
BAD = replace(
    GOOD, client="dhclient", version="4.4", findings=((2, False, "it went"), (3, False, "it stayed")), unreachable=3.5,
    recovery=inf, present=(Band(0.0, 12.0, "192.0.2.50"), Band(15.0, 40.0, "192.0.2.50")), gaps=(Band(12.0, 15.5, ""),),
    ended=40.0,
)  # fmt: skip
NONE = replace(GOOD, client="dhcpcd", version="9", bound=False, present=(), leased=(), findings=(), recovery=None)
FAILED = replace(NONE, client="udhcpc", error="it did not come to an end")


def matrix(*results: Result) -> Matrix:
    versions = {result.client: result.version for result in results}
    return Matrix(
        versions, ("NetworkManager",), (scenario.find("silent-between"),), results, "Linux 6, 2 processors",
        "./dev lab compare", 12,
    )  # fmt: skip


ALL = matrix(GOOD, BAD, NONE, FAILED)


def test_every_table_has_a_row_for_the_scenario() -> None:
    cells = [table(ALL, cell)[1] for _heading, cell in HEADINGS]
    assert cells == [
        ["silent-between", "kept", "2, 3", "no lease", "failed"],
        ["silent-between", "0", "3.5", "-", "-"],
        ["silent-between", "1.2", "never", "-", "-"],
        ["silent-between", "9", "9", "9", "-"],
    ]


def test_the_summary_counts() -> None:
    rows = {row[0]: row[2:] for row in summary(ALL)[1:]}
    assert rows["holdfast"] == ["1 of 1", "0", "0", "1.2", "9", "1.00 x"]
    assert rows["dhclient"] == ["0 of 1", "1", "3.5", "never", "9", "1.00 x"]
    few, none = replace(GOOD, client="dhclient", packets=6), replace(GOOD, client="dhclient", packets=0)
    assert [summary(matrix(GOOD, other))[2][-2:] for other in (few, none)] == [["6", "1.50 x"], ["0", "-"]]


def test_where_another_is_better_is_said() -> None:
    assert better_peers(ALL) == []
    quick = replace(GOOD, client="dhclient", recovery=0.1)
    slow = replace(GOOD, recovery=inf, unreachable=2.0)
    found = better_peers(matrix(slow, quick))
    assert found == [
        "silent-between: dhclient: away for 0 s, Holdfast for 2 s",
        "silent-between: dhclient: a fresh lease 0.1 s after the server's return, Holdfast never",
    ]
    assert better_peers(matrix(quick)) == []


def test_the_page_names_what_was_broken_and_what_is_missing() -> None:
    page = markdown(ALL)
    assert "Not installed, so left out: NetworkManager." in page
    assert "- silent-between, dhclient: promise 2: it went" in page
    assert "- silent-between, udhcpc: it did not come to an end" in page
    assert "Nowhere." in page
    assert "Nothing." in markdown(matrix(GOOD))


@pytest.mark.parametrize("name", ["silent-between", "killed", "azure", "no-fault"])
def test_a_picture_says_who_kept_what(name: str) -> None:
    svg = draw(scenario.find(name), [GOOD, BAD, NONE, FAILED])
    words = texts_of(svg)
    assert {
        "holdfast", "0.1", "every promise kept", "broken: 2, 3", "no address at all", "failed", "REQUEST, unicast",
        "leased, but away", "away 3.5 s, never back, 9 packets", "back 1.2 s, 9 packets",
    } <= set(words)  # fmt: skip
    assert ("the server is silent" in words) == (name == "silent-between")
    assert ("lease ends" in words) == (name != "azure")
    assert complaints_about(svg) == []


@pytest.mark.parametrize("name", scenario.names())
def test_every_scenario_has_a_picture(name: str) -> None:
    assert scenario.find(name).title in texts_of(draw(scenario.find(name), []))


def test_files(tmp_path: Path) -> None:
    written = write(ALL, tmp_path / "out")
    assert [path.name for path in written] == ["compare.json", "compare.md", "lab-silent-between.svg"]
    read = json.loads(written[0].read_text())
    assert [Result.from_json(one) for one in read["results"]] == [GOOD, BAD, NONE, FAILED]


def test_runs_that_fail_are_results_too(monkeypatch: pytest.MonkeyPatch) -> None:
    one = scenario.find("no-fault").scaled(12)
    answers: list[object] = [
        subprocess.CompletedProcess([], 1, "", "Traceback\nRuntimeError: no namespaces"),
        subprocess.CompletedProcess([], 1, "", ""),
        subprocess.TimeoutExpired([], 1),
        subprocess.CompletedProcess([], 0, json.dumps(GOOD.as_json()), ""),
    ]

    def run(command: list[str], _timeout: float, **_options: object) -> object:
        assert command[-3:] == ["no-fault", "holdfast", "12"]
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(compare.fair_time, "run", run)
    monkeypatch.setattr(compare, "installed", lambda _names: ({"holdfast": "0.1"}, []))
    told: list[tuple[int, int, str]] = []

    def result() -> Result:
        found = compare.run(
            ["holdfast"], [one], lease=None, jobs=1, command="c", tell=lambda *words: told.append(words)
        )
        return found.results[0]

    errors = [result().error for _ in range(3)]
    assert errors == ["RuntimeError: no namespaces", "it failed without a word", "it did not come to an end"]
    assert result() == GOOD
    assert told[:2] == [(0, 1, "holdfast in no-fault"), (1, 1, "")]


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_run_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    one = scenario.find("silent-between")
    with Screen(out) as screen:
        show_scenario(screen, one, "holdfast")
        for now, words in ((-3.0, "waiting for the first lease"), (5.0, "client kill"), (33.0, "")):
            show_progress(screen, now, 31.0, words)
            screen.wipe()
        assert not show_result(screen, BAD)
        assert not show_result(screen, NONE)
        assert show_result(screen, GOOD)
    text = re.sub(r"\x1b\[[01]?m", "", out.getvalue())  # bold is no colour
    for words in (
        "The server is silent", "waiting for the first lease", "of 31 s", "after the server's return",
        "REQUEST to everybody", "is gone", "no answer for 3.50 s", "client kill", "BROKEN  it went",
        "never had an address", "never\n",
    ):  # fmt: skip
        assert words in text, words
    assert "\x1b[3" not in text, "no colours"


def test_progress_in_a_pipe_is_a_line_for_each_heading() -> None:
    out = StringIO()
    with Screen(out, headings=True) as screen:
        for heading in ("run 0 of 30", "run 0 of 30", "run 10 of 30"):
            screen.progress(heading, 0.1, "holdfast in no-fault")
    assert out.getvalue() == "run 0 of 30\nrun 10 of 30\n"
