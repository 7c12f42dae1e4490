"""Say it once: repeated lines are counted instead of written."""

from __future__ import annotations

from holdfast.wire.record import NamedTuple

#: Seconds between two lines of a kind that keeps coming; doubled each time up to the longest.
FIRST_PAUSE = 60.0
LONGEST_PAUSE = 3600.0
#: Kinds that are told apart. Kinds are our own words, not a peer's, so this is never reached;
#: it is here so that a mistake elsewhere cannot grow the daemon.
KIND_LIMIT = 256


class _Kind(NamedTuple):
    pause: float
    until: float
    left: int
    suppressed: int


class Limiter:
    """Lets ``burst`` lines of a kind through, then one in each pause, and counts the rest.

    Memory is one entry for each kind; there is no timer: what was held back is told with the next
    line of its kind that goes through, and is in the counters at any time.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, _Kind] = {}

    def allow(self, kind: str, now: float, *, burst: int = 1) -> int | None:
        """None: say nothing. Else: say it, and that so many like it were held back before."""
        known = self._kinds.get(kind)
        if known is None or now >= known.until + known.pause:  # new, or quiet for a whole pause since
            if known is None and len(self._kinds) >= KIND_LIMIT:
                return None
            self._kinds[kind] = _Kind(FIRST_PAUSE, now + FIRST_PAUSE, burst - 1, 0)
            return 0 if known is None else known.suppressed
        if known.left > 0:
            self._kinds[kind] = known._replace(left=known.left - 1)
            return 0
        if now >= known.until:
            pause = min(known.pause * 2, LONGEST_PAUSE)
            self._kinds[kind] = _Kind(pause, now + pause, 0, 0)
            return known.suppressed
        self._kinds[kind] = known._replace(suppressed=known.suppressed + 1)
        return None
