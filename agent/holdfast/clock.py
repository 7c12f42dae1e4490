"""The three clocks of Linux, and what their differences show.

CLOCK_BOOTTIME counts suspend and cannot be set: every instant of a lease is on it.
CLOCK_MONOTONIC does not count suspend: when it falls behind BOOTTIME, the machine was suspended.
CLOCK_REALTIME is for output to people, and for lease files, which outlive a boot (clock_gettime(2)).
"""

from __future__ import annotations

import time
from math import inf

from holdfast.wire.record import NamedTuple, Protocol

#: Differences below this many seconds are the noise of reading three clocks one after the other, and of
#: a wall clock being slewed (adjtimex(2): at most 0.5 ms a second).
JUMP_THRESHOLD = 0.5


class Clock(Protocol):
    """The three clocks, each in seconds. Tests use a virtual clock."""

    def boottime(self) -> float:
        """Seconds since boot, suspend included (CLOCK_BOOTTIME)."""

    def monotonic(self) -> float:
        """Seconds since boot, suspend not included (CLOCK_MONOTONIC)."""

    def wall(self) -> float:
        """Unix time (CLOCK_REALTIME)."""


class SystemClock:
    """The kernel's clocks (clock_gettime(2))."""

    def boottime(self) -> float:
        """See ``Clock.boottime``."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def monotonic(self) -> float:
        """See ``Clock.monotonic``."""
        return time.clock_gettime(time.CLOCK_MONOTONIC)

    def wall(self) -> float:
        """See ``Clock.wall``."""
        return time.clock_gettime(time.CLOCK_REALTIME)


def to_wall(instant: float, clock: Clock) -> float:
    """The Unix time of a BOOTTIME instant, by the wall clock as it is set now. Infinity stays."""
    return instant if instant == inf else instant - clock.boottime() + clock.wall()


class Jump(NamedTuple):
    """What happened to time since the last look. ``asleep``: seconds that BOOTTIME went on without
    MONOTONIC (suspend). ``stepped``: seconds that the wall clock was set forward (negative: back)."""

    asleep: float
    stepped: float


class JumpDetector:
    """Compares the clocks; call ``check`` at every wake-up (three cheap system calls)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asleep, self._wall = self._offsets()

    def _offsets(self) -> tuple[float, float]:
        boottime = self._clock.boottime()
        return boottime - self._clock.monotonic(), self._clock.wall() - boottime

    def check(self) -> Jump | None:
        """What happened since the last call, or None. Suspend is not a wall-clock step: REALTIME counts it too."""
        asleep, wall = self._offsets()
        slept, stepped = asleep - self._asleep, wall - self._wall
        jumped = abs(slept) >= JUMP_THRESHOLD
        moved = abs(stepped) >= JUMP_THRESHOLD
        if jumped:
            self._asleep = asleep
        if moved:
            self._wall = wall
        return Jump(slept if jumped else 0.0, stepped if moved else 0.0) if jumped or moved else None
