"""runtime.clock on virtual clocks, and once on the real ones."""

from __future__ import annotations

from math import inf

import pytest

from holdfast.clock import Jump, JumpDetector, SystemClock, to_wall
from holdfast_lab.testbed.virtual_host import VirtualClock


def test_instants_for_people() -> None:
    clock = VirtualClock(1000.0)
    assert to_wall(1060.0, clock) == clock.wall() + 60
    assert to_wall(inf, clock) == inf


def test_nothing_happens_while_time_just_passes() -> None:
    clock = VirtualClock()
    jumps = JumpDetector(clock)
    for _ in range(100):
        clock.now += 3600.0
        clock.stepped += 0.004  # slewing moves the wall clock a little all the time
        assert jumps.check() is None or clock.stepped >= 0.5


def test_suspend_is_seen_once() -> None:
    clock = VirtualClock()
    jumps = JumpDetector(clock)
    clock.now += 500.0
    clock.slept += 480.0
    assert jumps.check() == Jump(asleep=480.0, stepped=0.0)  # rule 45
    assert jumps.check() is None


@pytest.mark.parametrize("year", [365 * 86400.0, -365 * 86400.0])
def test_a_set_wall_clock_is_no_suspend(year: float) -> None:
    clock = VirtualClock()
    jumps = JumpDetector(clock)
    clock.stepped += year
    assert jumps.check() == Jump(asleep=0.0, stepped=year)
    assert jumps.check() is None


def test_the_kernel_s_clocks() -> None:
    clock = SystemClock()
    earlier = clock.monotonic()
    assert clock.boottime() >= earlier - 1e-3
    assert clock.wall() > 1_600_000_000
    assert JumpDetector(clock).check() is None
