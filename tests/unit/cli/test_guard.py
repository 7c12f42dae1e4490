"""``holdfast guard`` before it opens anything, and its records beside the agent's."""

from __future__ import annotations

import json
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
