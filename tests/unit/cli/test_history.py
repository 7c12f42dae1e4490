"""``holdfast history``: the table, the times, and files that are not what they should be."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.support.control import OUTCOME

from holdfast.cli import main, options, output
from holdfast.cli.commands import history
from holdfast.cli.times import local_time, since
from holdfast.core import outcome as core
from holdfast.observe.outcomes import OutcomeJournal, as_record
from holdfast.settings import dirs

WALL = 1_700_000_000.0
ACQUIRED = OUTCOME._replace(purpose=core.Purpose.ACQUIRE, result=core.Result.ACQUIRED, via=core.Via.DISCOVER,
                            attempts=2, latency=3.007, former_address=None, seconds_left=0.0, cause="start")
RENEWED = OUTCOME._replace(via=core.Via.BROADCAST, attempts=2, latency=0.0248, cause="unicast unanswered")
KEPT = OUTCOME._replace(result=core.Result.KEPT, via=None, latency=None, server=None, cause="")


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("TZ", "UTC")
    history.time.tzset()
    monkeypatch.setattr(dirs, "STATE_DIR", str(tmp_path))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(dirs, "search_config_dirs", lambda: (str(tmp_path),))
    monkeypatch.setattr(history.time, "time", lambda: WALL + 3600)
    monkeypatch.setattr(options.socket, "if_nameindex", lambda: [(1, "lo"), (2, "eth9")])
    return tmp_path


def _write(folder: Path, *outcomes: core.Outcome, name: str = "eth0", wall: float = WALL) -> None:
    journal = OutcomeJournal(str(folder), name)
    for number, outcome in enumerate(outcomes):
        journal.append(as_record(outcome, name, boottime=0.0, wall=wall + 60 * number))


def test_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(folder, ACQUIRED, RENEWED, KEPT)
    assert main(["history", "eth0"]) == 0
    assert capsys.readouterr().out == """\
TIME                 RESULT    PATH       TRIES  LATENCY  SERVER     LEFT  CAUSE
2023-11-14 22:13:20  acquired  discover       2   3.01 s  10.0.0.1      -  start
2023-11-14 22:14:20  renewed   broadcast      2  24.8 ms  10.0.0.1  1 min  unicast unanswered
2023-11-14 22:15:20  kept      -              1        -  -         1 min  -
"""


def test_several_interfaces_are_one_story(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(folder, ACQUIRED, RENEWED)
    _write(folder, ACQUIRED, name="eth1", wall=WALL + 30)
    assert main(["history"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["IFACE", "eth0", "eth1", "eth0"]


def test_since(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(folder, ACQUIRED, RENEWED, KEPT)
    for text, wanted in (("59m", ["renewed", "kept"]), ("2023-11-14T22:15:20Z", ["kept"]), ("1d", 3), ("0s", [])):
        assert main(["history", "--json", "--since", text]) == 0
        results = [record["result"] for record in json.loads(capsys.readouterr().out)]
        assert results == wanted or len(results) == wanted
    assert main(["history", "--since", "10s"]) == 0
    assert capsys.readouterr() == ("", f"holdfast: no outcome since then is recorded in {folder}\n")


@pytest.mark.parametrize(("text", "moment"), [  # WALL is 2023-11-14 22:13:20 UTC
    ("now", WALL), ("today", WALL - 80_000), ("yesterday", WALL - 166_400), ("2h", WALL - 7200), ("-1h", WALL - 3600),
    ("1d12h", WALL - 129_600), ("2 hours ago", WALL - 7200), ("90 min", WALL - 5400), ("@1600000000", 1.6e9),
    ("08:00", WALL - 80_000 + 28_800), ("8:00:30", WALL - 80_000 + 28_830), ("Yesterday", WALL - 166_400),
])
def test_times_as_journalctl_has_them(text: str, moment: float) -> None:
    assert since(text, WALL) == moment


def test_a_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(folder, ACQUIRED, RENEWED, KEPT)
    page = folder / "page.html"
    assert main(["history", "--html", str(page)]) == 0
    assert capsys.readouterr() == ("", f"holdfast: {page} is written\n")
    assert "<h2>eth0</h2>" in page.read_text()
    assert main(["history", "--html", str(folder / "nowhere" / "page.html")]) == 1
    assert capsys.readouterr().err == (
        f"holdfast: {folder}/nowhere/page.html cannot be written: No such file or directory\n")


def test_not_permitted_is_not_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> list[str]:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("holdfast.observe.outcomes.folders.names", refuse)
    assert main(["history"]) == 5
    assert capsys.readouterr() == ("", f"holdfast: not permitted to read {folder}; run as root\n")


def test_a_time_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "--since", "whenever"]) == 2
    err = capsys.readouterr().err
    assert '"whenever" is neither a time such as 2025-01-31T08:00, 08:00 or yesterday nor a span such as 30m, 2h' in err
    assert err.count("\n") == 1


def test_nothing_is_recorded(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history"]) == 0
    assert main(["history", "eth9"]) == 0
    assert capsys.readouterr() == ("", f"holdfast: no outcome is recorded in {folder}\n" * 2)
    assert main(["history", "--json"]) == 0
    assert capsys.readouterr().out == "[]\n"


def test_no_such_interface(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "eth7"]) == 4
    assert capsys.readouterr().err == "holdfast: there is no interface eth7 (there are: lo, eth9)\n"


def test_an_interface_that_is_gone_keeps_its_history(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(folder, ACQUIRED, name="gone0")
    assert main(["history", "gone0"]) == 0
    assert "acquired" in capsys.readouterr().out


@pytest.mark.parametrize(("error", "status", "line"), [
    (PermissionError(13, "Permission denied", "/x"), 5, "not permitted to read /x; run as root"),
    (IsADirectoryError(21, "Is a directory", "/x"), 1,
     "the history /x cannot be read: Is a directory; move it away, and the agent starts a new one"),
])
def test_a_history_that_cannot_be_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: OSError, status: int,
    line: str,
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise error

    _write(folder, ACQUIRED)
    monkeypatch.setattr(history, "read_history", refuse)
    assert main(["history"]) == status
    assert capsys.readouterr().err == f"holdfast: {line}\n"


def test_foreign_lines_are_shown_as_far_as_they_go_and_move_no_cursor(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = {"time": "long ago", "result": "\x1b[31mred", "seconds_left": "infinite", "cause": "a\nb", "attempts": [1]}
    (folder / "eth0.outcomes.jsonl").write_text(json.dumps(line) + "\n")
    assert main(["history"]) == 0
    row = capsys.readouterr().out.splitlines()[1]
    assert "\x1b" not in row
    assert row.split()[:3] == ["long", "ago", "\\x1b[31mred"]
    assert row.endswith("infinite  a\\nb")


def test_a_terminal_gets_lines_that_fit(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(folder, RENEWED._replace(cause="x" * 300))
    monkeypatch.setattr(output.shutil, "get_terminal_size", lambda *_: os.terminal_size((80, 24)))
    monkeypatch.setattr(output.sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(["history"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) == 80
    assert lines[1].endswith("xx…"), "nothing is cut without a sign"


@pytest.mark.parametrize(("text", "wanted"), [
    ("30s", 999_970.0), ("5min", 999_700.0), ("1h30m", 994_600.0), ("0.5h", 998_200.0), ("1w", 395_200.0),
    ("100w", 0.0), ("1970-01-02", 86_400.0), ("1970-01-02T00:00:01Z", 86_401.0),
    ("1970-01-02T02:00:00+02:00", 86_400.0), ("1969-01-01", 0.0),
])
def test_spans_and_times(text: str, wanted: float) -> None:
    assert since(text, 1_000_000.0) == wanted


@pytest.mark.parametrize(
    "text", ["", "5", "h", "5 x", "5x", "@x", "-", "ago", "99:99:99:99", "2023-13-01", "9999999-01-01"])
def test_what_is_neither(text: str) -> None:
    with pytest.raises(ValueError, match="is neither a time"):
        since(text, 1_000_000.0)


def test_local_times(monkeypatch: pytest.MonkeyPatch) -> None:
    assert local_time(0.0) == local_time("1970-01-01T00:00:00.000Z") == "1970-01-01 00:00:00"
    assert local_time("never") == "never"


def test_explain(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(folder, ACQUIRED, RENEWED)
    _write(folder, ACQUIRED, name="eth1")
    assert main(["explain", "eth0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "eth0: renewed, 2023-11-14 22:14:20"
    assert any("did not answer the unicast request" in line for line in lines)
    assert max(map(len, lines)) <= 80
    assert main(["explain"]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if line[:3] == "eth"] == [
        "eth0: renewed, 2023-11-14 22:14:20", "eth1: acquired, 2023-11-14 22:13:20"]
    assert main(["explain", "eth7"]) == 4
    assert main(["explain", "eth9"]) == 0
    assert "no outcome is recorded" in capsys.readouterr().err
