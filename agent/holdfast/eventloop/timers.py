"""Timers that count suspend (timerfd_create(2)).

epoll's own timeout runs on CLOCK_MONOTONIC, which stands still in suspend: a renewal due in an hour
would be an hour of being awake away. A timer on CLOCK_BOOTTIME is due at once after resume. And a timer
on CLOCK_REALTIME with TFD_TIMER_CANCEL_ON_SET tells, without polling, that the wall clock was set,
which the kernel also does on resume.

Imported after the first DISCOVER: before Python 3.13 it takes the library behind ctypes.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from errno import EINVAL
from math import inf

from holdfast.wire.lean import suppress

_ABSOLUTE = 1  # TFD_TIMER_ABSTIME
_CANCEL_ON_SET = 2  # TFD_TIMER_CANCEL_ON_SET
#: An expiry in the year 2242, for the timer that only waits to be cancelled. Python accepts none after 2262
#: (nanoseconds in 64 bits).
_NEVER = float(1 << 33)


if sys.version_info >= (3, 13):

    def _create(clock: int) -> int:
        return os.timerfd_create(clock, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)

    def _settime(fd: int, flags: int, at: float) -> None:
        os.timerfd_settime(fd, flags=flags, initial=at)

else:
    # What ctypes is made of, without its classes: half a megabyte, and 4 ms.
    import _ctypes

    _libc = _ctypes.dlopen(None, os.RTLD_NOW)  # type: ignore[arg-type]  # the program itself
    _timerfd_create, _timerfd_settime = (
        _ctypes.dlsym(_libc, name) for name in ("timerfd_create", "timerfd_settime")
    )

    def _checked(result: int) -> int:
        if result < 0:
            raise OSError(EINVAL, "no timerfd")
        return result

    def _create(clock: int) -> int:
        return _checked(_ctypes.call_function(_timerfd_create, (clock, os.O_NONBLOCK | os.O_CLOEXEC)))

    def _settime(fd: int, flags: int, at: float) -> None:
        # struct itimerspec: interval, then the first expiry; each a struct timespec of two longs.
        seconds = int(at)
        timer = struct.pack("@llll", 0, 0, seconds, int((at - seconds) * 1e9))
        _checked(_ctypes.call_function(_timerfd_settime, (fd, flags, timer, None)))


class WakeTimer:
    """One absolute CLOCK_BOOTTIME deadline as a readable descriptor. The constructor may raise OSError."""

    def __init__(self) -> None:
        self._fd = _create(time.CLOCK_BOOTTIME)
        self._at: float | None = None

    def fileno(self) -> int:
        """For a selector."""
        return self._fd

    def arm(self, at: float | None) -> None:
        """Become readable at instant ``at``, which may have passed; None or infinity: never."""
        if at == inf:
            at = None
        if at != self._at:
            # An expiry of zero would disarm the timer, so a past instant becomes the first nanosecond of the boot.
            _settime(self._fd, _ABSOLUTE, 0.0 if at is None else max(at, 1e-9))
            self._at = at

    def drain(self) -> None:
        """Make it unreadable; the next ``arm`` counts, even with the same instant."""
        self._at = None
        _read(self._fd)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._fd)


class StepWatch:
    """Becomes readable when the wall clock is set. The constructor may raise OSError."""

    def __init__(self) -> None:
        self._fd = _create(time.CLOCK_REALTIME)
        self._arm()

    def fileno(self) -> int:
        """For a selector."""
        return self._fd

    def _arm(self) -> None:
        _settime(self._fd, _ABSOLUTE | _CANCEL_ON_SET, _NEVER)

    def drain(self) -> None:
        """Make it unreadable, and go on watching."""
        _read(self._fd)
        self._arm()

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._fd)


def _read(fd: int) -> None:
    # EAGAIN: armed again meanwhile. ECANCELED: the clock was set, which is the event that is watched.
    with suppress(OSError):
        os.read(fd, 8)
