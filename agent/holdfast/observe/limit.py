"""Limits for log lines: repeated lines are counted instead of written, or left out until they change."""

from __future__ import annotations

from holdfast.wire.record import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds between two lines of a repeated kind; doubled each time, up to the longest.
FIRST_PAUSE = 60.0
LONGEST_PAUSE = 3600.0
#: Largest number of kinds. Kinds are fixed words of ours, so this is not reached; it bounds memory if a caller has an
#: error.
KIND_LIMIT = 256
#: Topics whose last lines ``SayOnce`` remembers; links that fit a pattern come and go, each with a topic of its own.
TOPIC_LIMIT = 64


class _Kind(NamedTuple):
    pause: float
    until: float
    left: int
    suppressed: int


class Limiter:
    """Lets ``burst`` lines of a kind through, then one in each pause, and counts the rest.

    Memory is one entry for each kind. There is no timer: the number of lines held back is written with the next line of
    their kind, and is in the counters at any time.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, _Kind] = {}

    def allow(self, kind: str, now: float, *, burst: int = 1) -> int | None:
        """Whether a line of ``kind`` may be written at ``now`` (seconds of any one clock): None when it may not, else
        how many like it were held back before."""
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


class SayOnce:
    """Passes lines on to ``line(priority, text)``, but not those that it passed on last about the same topic."""

    def __init__(self, line: Callable[[int, str], None]) -> None:
        self._line = line
        self._said: dict[str, tuple[str, ...]] = {}

    def say(self, topic: str, priority: int, *texts: str) -> None:
        """Write ``texts``, a line each, unless they are the last ones about ``topic``. ``priority`` is syslog's."""
        if self._said.get(topic, ()) == texts:
            return
        self._said.pop(topic, None)
        if len(self._said) >= TOPIC_LIMIT:
            del self._said[next(iter(self._said))]  # the topic that changed the longest time ago
        self._said[topic] = texts
        for text in texts:
            self._line(priority, text)

    @property
    def said(self) -> dict[str, str]:
        """The last texts about each topic that was not forgotten, one line each."""
        return {topic: "; ".join(texts) for topic, texts in self._said.items() if texts}

    def forget(self, topic: str) -> bool:
        """Forget what was written about ``topic``, so that its next texts are written in any case. True if there was
        something."""
        return bool(self._said.pop(topic, ()))
