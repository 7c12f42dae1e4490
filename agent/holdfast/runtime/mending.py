"""Puts back what somebody else took off the interface: soon, and more slowly when it goes again and again."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.runtime.retry import Backoff
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.eventloop.ports import Loop

#: Removed routes gather this long before they are put back together (an interface set down loses all of
#: them in one burst); doubled each time, in seconds.
FIRST_DELAY, LONGEST_DELAY = 0.1, 30.0
#: After so many quiet seconds the first delay counts again.
QUIET = 2 * LONGEST_DELAY


class Mender:
    """Calls ``mend`` a moment after ``plan``."""

    def __init__(self, loop: Loop, mend: Callable[[], None]) -> None:
        self._loop, self._mend = loop, mend
        self._planned = False
        self._mended_at = float("-inf")
        self._delays = Backoff(FIRST_DELAY, LONGEST_DELAY)

    def plan(self) -> None:
        """Something may be missing."""
        if self._planned:
            return
        now = self._loop.now()
        if now - self._mended_at > QUIET:
            self._delays.succeeded()
        self._planned = True
        self._loop.set_timer((self, "mend"), now + self._delays.failed(), self._due)

    def _due(self) -> None:
        self._planned, self._mended_at = False, self._loop.now()
        self._mend()

    def cancel(self) -> None:
        """Nothing is to be put back any more."""
        self._planned = False
        self._loop.set_timer((self, "mend"), None, self._due)
