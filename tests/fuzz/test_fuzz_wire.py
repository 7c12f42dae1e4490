"""Runs the fuzz target for a bounded number of inputs, from a fixed seed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.fuzz import fuzz_wire

from holdfast_lab.testbed import fair_time


@pytest.mark.long
def test_a_short_fuzz_run_finds_nothing(tmp_path: Path) -> None:  # rule 22
    pytest.importorskip("atheris", reason="atheris is not installed: pip install atheris")
    corpus = tmp_path / "corpus"
    fuzz_wire.write_corpus(corpus)
    command = [
        sys.executable, fuzz_wire.__file__, "-runs=8000", "-seed=1", f"-timeout={fair_time.longest(5):.0f}",
        "-rss_limit_mb=1024", f"-artifact_prefix={tmp_path}/", str(corpus),
    ]
    done = fair_time.run(command, 120, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done 8000 runs" in done.stderr
