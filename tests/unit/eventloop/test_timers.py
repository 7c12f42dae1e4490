"""runtime.timerfd on the kernel's clocks."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from contextlib import closing
from math import inf

import pytest
from tests.support.limits import no_descriptors_left

from holdfast.clock import SystemClock
from holdfast.eventloop.timers import StepWatch, WakeTimer
from holdfast_lab.testbed import fair_time


@pytest.fixture
def timer() -> Iterator[WakeTimer]:
    with closing(WakeTimer()) as timer:
        yield timer


def _readable(fd: int, seconds: float) -> bool:
    return bool(select.select([fd], [], [], fair_time.longest(seconds))[0])


@pytest.mark.parametrize("ahead", [-1000.0, 0.0, 0.01])
def test_it_becomes_readable_when_due(timer: WakeTimer, ahead: float) -> None:
    timer.arm(SystemClock().boottime() + ahead)
    assert _readable(timer.fileno(), 5)
    timer.drain()
    assert not _readable(timer.fileno(), 0)


def test_an_instant_before_the_boot_is_due_at_once(timer: WakeTimer) -> None:
    timer.arm(-5.0)
    assert _readable(timer.fileno(), 5)


def test_the_same_instant_counts_again_after_draining(timer: WakeTimer) -> None:
    past = SystemClock().boottime() - 1
    for _ in range(2):
        timer.arm(past)
        assert _readable(timer.fileno(), 5)
        timer.drain()


@pytest.mark.parametrize("never", [None, inf])
def test_it_can_be_disarmed(timer: WakeTimer, never: float | None) -> None:
    timer.arm(SystemClock().boottime() - 1)
    timer.arm(never)
    timer.drain()  # not blocked by having nothing to read
    assert not _readable(timer.fileno(), 0)


def test_nothing_is_told_while_nobody_sets_the_clock() -> None:
    with closing(StepWatch()) as watch:
        assert not _readable(watch.fileno(), 0)
        watch.drain()
        assert not _readable(watch.fileno(), 0)


@pytest.mark.parametrize("kind", [WakeTimer, StepWatch])
def test_a_kernel_that_refuses_is_an_oserror(kind: Callable[[], object]) -> None:
    with no_descriptors_left(), pytest.raises(OSError, match=r"no timerfd|Too many open files"):
        kind()
