"""Says what an interface without a lease waits for: soon after the start, then ever more rarely."""

from __future__ import annotations

from holdfast.observe.words import exchange_text
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from holdfast.eventloop.ports import Loop
    from holdfast.runtime.ports import ServedInterface

#: Seconds until the first line, and the most between two.
FIRST, LONGEST = 5.0, 3600.0


class Waiting:
    """Writes by ``line(priority, text)`` while one of the ``interfaces`` has no lease. There is no timer while all have
    one."""

    def __init__(
        self, loop: Loop, interfaces: Callable[[], Iterable[ServedInterface]], line: Callable[[int, str], None]
    ) -> None:
        self._loop, self._interfaces, self._line = loop, interfaces, line
        self._gap = 0.0  # none is under way

    def begin(self) -> None:
        """Look for interfaces without a lease from now on, if that is not being done."""
        if not self._gap:
            self._gap = FIRST
            self._arm()

    def stop(self) -> None:
        """Write nothing any more."""
        self._gap = 0.0
        self._loop.set_timer(self, None, self._look)

    def _arm(self) -> None:
        self._loop.set_timer(self, self._loop.now() + self._gap, self._look)

    def _look(self) -> None:
        texts = [(served.name, text) for served in self._interfaces() if (text := self._awaited(served)) is not None]
        if not texts:
            self._gap = 0.0
            return
        for name, text in texts:
            self._line(5, f"{name}: {text}")
        self._gap = min(2 * self._gap, LONGEST)
        self._arm()

    def _awaited(self, served: ServedInterface) -> str | None:
        """What it waits for; None for one that has what it wants, or wants nothing."""
        shot, seen = served.snapshot(), served.observations
        if shot.lease is not None or shot.state == "STOPPED":
            return None
        if served.link is None:
            return "waiting for the interface, which is not there"
        if not shot.carrier:
            return "waiting for the carrier: the cable is out, or the switch's port is down"
        if seen.since is None:
            return None
        return f"waiting for a lease: {exchange_text(seen.sent, seen.heard, self._loop.now() - seen.since)}"
