"""``./dev lab`` as a user types it, with a real run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from holdfast_lab.__main__ import main

pytestmark = pytest.mark.root


def test_compare_runs_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--clients", "holdfast", "--scenarios", "unicast-silent,killed-for-good", "--lease", "10", "-j", "2"]
    assert main(["compare", *words, "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^unicast-silent +kept *$", out, re.MULTILINE)
    assert "2 of 2" in out
    results = json.loads((tmp_path / "compare.json").read_text())["results"]
    assert [result["scenario"] for result in results] == ["unicast-silent", "killed-for-good"]
    assert all(result["bound"] and not result["error"] for result in results)
    assert "every promise kept" in (tmp_path / "lab-unicast-silent.svg").read_text()
