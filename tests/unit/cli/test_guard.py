"""``holdfast guard`` before it opens anything, and its records beside the agent's."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from holdfast.cli import main


@pytest.mark.parametrize(("name", "said"), [("absent0", "there is no interface absent0"), ("lo", "loopback")])
def test_an_interface_that_cannot_be_guarded(name: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guard", name]) == 4
    assert said in capsys.readouterr().err


def test_history_has_the_records_of_guard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, result in (("state", "renewed"), ("state-guard", "ignored")):
        (tmp_path / folder).mkdir()
        line = json.dumps({"time": "2026-01-01T00:00:00.000Z", "interface": "eth0", "result": result})
        (tmp_path / folder / "eth0.outcomes.jsonl").write_text(line + "\n")
    config = tmp_path / "holdfast.toml"
    config.write_text(f'[agent]\nstate_dir = "{tmp_path}/state"\n')
    assert main(["history", "eth0", "--config", str(config), "--json"]) == 0
    assert [record["result"] for record in json.loads(capsys.readouterr().out)] == ["renewed", "ignored"]


def _settled(tmp_path: Path) -> tuple[Path, Path]:
    """A configuration file, and guard's folder with two renewals that only a broadcast got answered."""
    folder = tmp_path / "state-guard"
    folder.mkdir()
    lines = [json.dumps({
        "time": f"2026-01-01T0{hour}:00:00.000Z", "interface": "eth0", "purpose": "t1", "result": "renewed",
        "path": "broadcast", "attempts": 1, "unicasts": 1, "rebroadcasts": 1, "latency": 1.25, "server": "192.0.2.1",
        "client": "dhclient", "others": [], "boot_id": "b", "cause": "T1",
        "started_at": 3600.0 * hour, "ended_at": 3600.0 * hour + 1.25, "watched_since": 0.0,
    }) for hour in (1, 2)]
    (folder / "eth0.outcomes.jsonl").write_text("\n".join(lines) + "\n")
    config = tmp_path / "holdfast.toml"
    config.write_text(f'[agent]\nstate_dir = "{tmp_path}/state"\n')
    return config, folder


def test_the_report_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    config, _ = _settled(tmp_path)
    assert main(["guard", "--report", "--config", str(config)]) == 0
    assert capsys.readouterr().out == """\
eth0: dhclient, 2026-01-01 01:00:00 to 2026-01-01 02:00:00
  renewals             2
  answered by unicast  0
  only by broadcast    2
  unanswered           0
  packets guard sent   2
  time to the answer   median 1.25 s, worst 1.25 s, where the first message got none
  leases lost          0
  longest silence      59 min 59 s
  other servers        -
2 of 2 unicast renewals to 192.0.2.1 were not answered, all 2 broadcasts were: the server does not hear unicast.
  next: sudo holdfast guard eth0 --rebroadcast
  next: sudo holdfast takeover eth0
"""


def test_the_report_for_programs_from_a_time_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, _ = _settled(tmp_path)
    words = ["guard", "--report", "--json", "--config", str(config), "--since"]
    assert main([*words, "2026-01-01T01:30:00Z", "eth*"]) == 0
    found, = json.loads(capsys.readouterr().out)
    assert (found["interface"], found["renewals"], found["finding"]) == ("eth0", 1, "deaf-to-unicast")
    assert main([*words, "2026-01-02T00:00:00Z"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_report_of_nothing_says_where_it_looked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, folder = _settled(tmp_path)
    (folder / "eth0.outcomes.jsonl").unlink()
    assert main(["guard", "--report", "--config", str(config)]) == 0
    assert f"recorded nothing in {folder}" in capsys.readouterr().err


@pytest.mark.parametrize("words", [
    ["--report", "--rebroadcast"], ["--json"], ["--since", "1h"], ["--report", "--since", "whenever"],
])
def test_options_that_do_not_go_together(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guard", *words]) == 2
    assert capsys.readouterr().err


def test_the_report_as_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, _ = _settled(tmp_path)
    page = tmp_path / "report.html"
    assert main(["guard", "--report", "--html", str(page), "--config", str(config)]) == 0
    assert "the server does not hear unicast" in page.read_text()
    assert main(["guard", "--report", "--html", "-", "--config", str(config)]) == 0
    assert capsys.readouterr().out == page.read_text()
    assert main(["guard", "--report", "--html", str(tmp_path), "--config", str(config)]) == 1


@pytest.mark.parametrize("words", [
    ["--advise", "--rebroadcast"], ["--advise", "--report"], ["--report", "--json", "--html", "x"], ["--html", "x"],
])
def test_what_does_not_go_together(words: list[str]) -> None:
    assert main(["guard", *words]) == 2


def test_advice_for_an_interface_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guard", "--advise", "absent0"]) == 4
    assert "there is no interface absent0" in capsys.readouterr().err
