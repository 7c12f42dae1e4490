"""The client's named timers: absolute deadlines in CLOCK_BOOTTIME seconds, one per name."""

from __future__ import annotations

from enum import IntEnum


class Timer(IntEnum):
    """What can fall due. When several are due at once, the lowest number is served first: after a
    long sleep the lease's end must be seen before anything would renew it."""

    EXPIRE = 0  # the lease in use ends
    REBIND = 1  # T2
    RENEW = 2  # T1
    START = 3  # leave INIT
    OFFERS = 4  # stop waiting for a better OFFER
    RETRANSMIT = 5  # send again, or the next rung, or the next round
    PROBE = 6  # the next ARP probe or announcement
    REAPPLY = 7  # configure the interface again
    GATEWAY = 8  # ask the gateway again
    HOLD = 9  # ask whether an address may be held beyond its lease


class TimerTable:
    """Deadlines by name. Setting replaces, stopping an idle timer does nothing."""

    def __init__(self) -> None:
        self._at: dict[Timer, float] = {}

    def set(self, timer: Timer, at: float) -> None:
        """Let ``timer`` fall due at ``at``; an infinite deadline means never."""
        if at == float("inf"):
            self._at.pop(timer, None)
        else:
            self._at[timer] = at

    def stop(self, *timers: Timer) -> None:
        """Forget these deadlines."""
        for timer in timers:
            self._at.pop(timer, None)

    def at(self, timer: Timer) -> float | None:
        """The deadline of ``timer``, or None."""
        return self._at.get(timer)

    def next(self) -> float | None:
        """The earliest deadline of all, or None."""
        return min(self._at.values(), default=None)

    def take_due(self, now: float) -> Timer | None:
        """Remove and return the first timer due at ``now``, by rank; None when none is."""
        due = [timer for timer, at in self._at.items() if at <= now]
        if not due:
            return None
        first = min(due)
        del self._at[first]
        return first
