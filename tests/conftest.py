"""What holds for every test: root or a reason, and no silent skips in CI."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from holdfast.state import background

#: The part of a run in which tests begin that take more than a moment.
SLOW_UNTIL = 0.8
IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that gets no processor on a busy machine is no slow disk: what is written in this process is waited for,
    but by tests of slow disks."""
    monkeypatch.setattr(background, "PATIENCE", 60.0)


@pytest.hookimpl(trylast=True)  # when those that are not asked for are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first; tests that make namespaces need root."""
    spread(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root: sudo ./dev test (or unshare -Urn ./dev test)"))


def spread(items: list[pytest.Item], workers: int) -> None:
    """Order the tests so that at any moment some workers wait for clients and servers while others compute, and that
    no long test begins when the others have nothing left to do. On all workers alike: each begins with a block of its
    own."""
    long = [item for item in items if item.get_closest_marker("long") is not None]
    rest = [item for item in items if item.get_closest_marker("long") is None]
    slow = [item for item in rest if item.get_closest_marker("root") or item.nodeid.startswith("tests/properties/")]
    known = {*slow}
    Random(0).shuffle(slow)  # files of tests that wait, and files of tests that compute
    quick = [item for item in rest if item not in known]
    places = {item: place / len(slow) * SLOW_UNTIL for place, item in enumerate(slow)}
    places |= {item: place / len(quick) for place, item in enumerate(quick)}
    items[:] = [*long, *sorted(rest, key=places.__getitem__)]
    items[:] = [item for first in range(workers) for item in items[first::workers]]


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


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Name what failed to `./dev test`, which says it again at the end of all parts."""
    shared = os.environ.get("HOLDFAST_TESTS_SHARED")
    if shared is not None and report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        with Path(shared, "failed").open("a", encoding="utf-8") as names:
            names.write(f"{report.nodeid}{'' if report.when == 'call' else f' ({report.when})'}\n")


def fail_skipped(report: Any) -> None:
    """Turn a skip into a failure that says why."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid}: skipped, and with CI=true that is a failure. {reason}"
