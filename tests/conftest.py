"""What holds for every test: root or a reason, no silent skips in CI, and the coverage that is promised.

`./dev test` sets COVERAGE_PROCESS_START, and coverage's own .pth file then measures every process of the
run, the daemons in their namespaces included. When it is set, this plugin adds the data up at the end and
fails the run when it falls short.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
MEASURED = "COVERAGE_PROCESS_START" in os.environ

#: What is promised, in percent with branches: these rooms, and the whole.
COMPLETE = ("wire", "core")
WHOLE = 90.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that make namespaces need root."""
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root: sudo ./dev test (or unshare -Urn ./dev test)"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """In CI a skip is a failure: what is not run there is not known to work."""
    report: Any = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        fail_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    """The same for a whole file that skips itself."""
    report: Any = yield
    if IN_CI and report.skipped:
        fail_skipped(report)
    return report


def fail_skipped(report: Any) -> None:
    """Turn a skip into a failure that says why."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid}: skipped, and with CI=true that is a failure. {reason}"


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, exitstatus: int) -> None:
    """Add up and judge the coverage, in the process that started the others, before pytest's last line."""
    if not MEASURED or hasattr(terminalreporter.config, "workerinput") or exitstatus not in {0, 1}:
        return
    text, shortfalls = judge_coverage()
    terminalreporter.section("coverage (branches included)")
    terminalreporter.write_line(text)
    for shortfall in shortfalls:
        terminalreporter.write_line(f"COVERAGE TOO LOW: {shortfall}", red=True)
    if shortfalls:
        terminalreporter._session.exitstatus = pytest.ExitCode.TESTS_FAILED


def judge_coverage() -> tuple[str, list[str]]:
    """The report as text, and each promise that it breaks."""
    import coverage

    mine = coverage.Coverage.current()
    if mine is not None:
        mine.stop()
        mine.save()
    total = coverage.Coverage(config_file=str(ROOT / "pyproject.toml"))
    total.combine(keep=False)
    total.save()
    report = StringIO()
    whole = total.report(file=report)
    shortfalls = []
    for room in COMPLETE:
        percent = total.report(file=StringIO(), include=[f"*/holdfast/{room}/*"])
        if percent < 100.0:
            shortfalls.append(f"holdfast.{room} has {percent:.2f} %, 100 % is promised")
    if whole < WHOLE and os.geteuid() == 0:  # without root most of runtime and network is not run
        shortfalls.append(f"the whole has {whole:.2f} %, {WHOLE:g} % is promised")
    return report.getvalue(), shortfalls
