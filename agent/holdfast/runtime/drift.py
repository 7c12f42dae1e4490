"""What others take off the interface: it is put back, and who keeps taking it is named (rule 60).

An address that goes is the core's to put back: at once, and ever later when it goes again and again. Routes are put
back here. Both together tell whether another program and this one undo each other's work (*contention*): then that is
said once, with the other's name as far as it can be known, and once more when it has stopped. An administrator who
means it says ``holdfast yield``, and nothing is put back.
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.core import events as ev
from holdfast.network.watch import Kind
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.eventloop.ports import Loop
    from holdfast.network.watch import LinkEvent
    from holdfast.runtime.configurator import Configurator
    from holdfast.runtime.driver import Driver
    from holdfast.runtime.ports import Reporter
    from holdfast.state.markers import YieldMarker

#: So many removals within so many seconds are no accident: an administrator's mistake is made once or twice,
#: and a service that is restarted flushes once.
CONTENTION_COUNT, CONTENTION_WINDOW = 4, 60.0
#: Seconds without a further removal after which the other has stopped; longer than the longest pause of ours.
QUIET_PERIOD = 120.0
#: The kernel takes an address's routes along: what goes within so many seconds of a removal is the same one.
SAME_REMOVAL = 1.0
#: Removed routes gather so many seconds before they are put back together (an interface set down loses all of them in
#: one burst); doubled each time up to the longest, and back to the first after so many quiet ones.
FIRST_DELAY, LONGEST_DELAY, CALM = 0.1, 30.0, 60.0


class Drift:
    """Watches one interface for removals. ``rivals`` names the programs that may be at work."""

    def __init__(
        self, loop: Loop, reporter: Reporter, configurator: Configurator, marker: YieldMarker, driver: Driver,
        rivals: Callable[[], str],
    ) -> None:
        self._loop, self._reporter, self._configurator = loop, reporter, configurator
        self._marker, self._driver, self._rivals = marker, driver, rivals
        self._routes_gone = False
        self._planned = False
        self._delay, self._restored_at = FIRST_DELAY, float("-inf")
        self._removals: list[float] = []
        self.rival: str | None = None  # while two programs undo each other's work: who the other one may be

    def changed(self, change: LinkEvent) -> None:
        """Something happened to the link that is served, as netlink tells."""
        spec = self._configurator.spec
        if self._marker.yielded or spec is None:
            return
        if change.kind in (Kind.CARRIER_UP, Kind.RESYNC):
            self._plan()  # setting a link down takes its routes, without a word
        elif change.kind is Kind.ROUTE_REMOVED:
            self._routes_gone = True
            self._plan()
        elif change.kind is Kind.ADDRESS_REMOVED and change.address == spec.address:
            self._count_removal()
            self._driver.submit(ev.AddressLost(spec.address.ip))

    def _plan(self) -> None:
        """Routes may be missing."""
        if self._planned:
            return
        now = self._loop.now()
        if now - self._restored_at > CALM:
            self._delay = FIRST_DELAY
        self._planned = True
        self._loop.set_timer((self, "restore"), now + self._delay, self._restore)
        self._delay = min(2 * self._delay, LONGEST_DELAY)

    def _restore(self) -> None:
        self._planned, self._restored_at = False, self._loop.now()
        gone, self._routes_gone = self._routes_gone, False
        client = self._driver.client
        if self._marker.yielded or client is None or client.lease is None:
            return
        if gone and not (self._removals and self._loop.now() - self._removals[-1] < SAME_REMOVAL):
            self._count_removal()
        error = self._configurator.restore()
        if error is not None:
            self._driver.submit(ev.ApplyFailed(error))

    def _count_removal(self) -> None:
        now = self._loop.now()
        recent = [at for at in self._removals if now - at < CONTENTION_WINDOW]
        self._removals = [*recent, now][-CONTENTION_COUNT:]
        if self.rival is None and len(self._removals) == CONTENTION_COUNT:
            self.rival = self._rivals()
            self._reporter.contention(self.rival, CONTENTION_COUNT, now - self._removals[0])
        if self.rival is not None:
            self._loop.set_timer((self, "quiet"), now + QUIET_PERIOD, self._on_quiet)

    def _on_quiet(self) -> None:
        self.rival, self._removals = None, []
        self._reporter.line(5, f"nobody has taken anything off the interface for {QUIET_PERIOD:.0f} s")

    def stop(self) -> None:
        """Put nothing back any more, and forget who took what."""
        self._planned = False
        self._loop.set_timer((self, "restore"), None, self._restore)
        self._loop.set_timer((self, "quiet"), None, self._on_quiet)
        self.rival, self._removals = None, []
