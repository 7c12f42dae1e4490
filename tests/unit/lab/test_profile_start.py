"""bench.profile_start: what a start does before its first DISCOVER is counted, whatever the machine's load is."""

from __future__ import annotations

import sys

import pytest

from holdfast_lab.bench import profile_start


@pytest.mark.root
def test_a_start_asks_and_opens_little() -> None:
    measured = profile_start.profile(1, sys.executable)
    facts, spent = measured["facts"], measured["spent"]
    assert facts["requests to the kernel"] <= 9
    assert facts["sockets"] <= 6
    assert facts["files"] <= 29
    assert facts["modules of ours"] <= 81
    assert facts["modules of Python"] <= 46
    assert {"interpreter", "imports", "files", "the link", "packet socket", "protocol", "total"} <= spent.keys()
    assert 0 < spent["imports"] < spent["total"]


@pytest.mark.parametrize(("tool", "text", "number"), [
    ("valgrind", "==7== Collected : 12\n==7== I   refs:      20,894,751\n", 20894751), ("valgrind", "killed", 0),
    ("strace", 'openat(1, "a") = 3\nread(3, "") = 0\n+++ exited with 0 +++\n', 2),
])
def test_what_counters_write_is_read(tool: str, text: str, number: int) -> None:
    assert profile_start.counted_in(tool, text) == number


@pytest.mark.root
def test_a_start_that_fails_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert profile_start.main(["--runs", "1", "--python", "/bin/false"]) == 1
    assert "/bin/false makes no byte-code" in capsys.readouterr().err


def test_without_root_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert profile_start.main([]) == profile_start.NOT_PERMITTED
    assert "needs root" in capsys.readouterr().err
