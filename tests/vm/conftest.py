"""Guests: fixtures, and a bound on how long such a test may take."""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key
from tests.support.distribution import Distribution, build, former
from tests.support.guests import remove_leftovers, why_not

#: Seconds that one test may take, waiting for a free slot included; then its stack is shown and its process ends.
LONGEST = 1200


@pytest.fixture(scope="session")
def guests() -> None:
    """Guests can be made here: asked for by every test in this folder that boots one."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    remove_leftovers()


@pytest.fixture(scope="session")
def distribution(guests: None, tmp_path_factory: pytest.TempPathFactory) -> Distribution:
    """The packages, built once for all workers, and for all parts of a run by ``./dev test``."""
    base = tmp_path_factory.getbasetemp()
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return build(Path(os.environ.get("HOLDFAST_TESTS_SHARED", run)))


@pytest.fixture(scope="session")
def former_package(guests: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of 0.1.0, likewise."""
    base = tmp_path_factory.getbasetemp()
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return former(Path(os.environ.get("HOLDFAST_TESTS_SHARED", run)))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """More time than other tests get: arm pytest's own watchdog anew. It is disarmed as ever at the test's end."""
    if item.get_closest_marker("vm") is not None:
        descriptor = item.config.stash[fault_handler_stderr_fd_key]
        faulthandler.dump_traceback_later(LONGEST, exit=True, file=descriptor)
    return (yield)
