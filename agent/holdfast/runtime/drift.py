"""What others take off the interface: it is put back, and who keeps taking it is named (rule 60).

What goes is reported to the core, which puts it back: at once, and ever later when it goes again and again. Here it is
counted whether another program and this one undo each other's work (*contention*): then that is said once, with the
other's name as far as it can be known, and once more when it has stopped. An administrator who means it says ``holdfast
yield``, and nothing is put back.
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
#: The kernel takes an address's routes along, and many routes may go at once: what goes within so many seconds of a
#: removal is the same one.
SAME_REMOVAL = 1.0


class Drift:
    """Watches one interface for removals. ``rivals`` names the programs that may be at work."""

    def __init__(
        self, loop: Loop, reporter: Reporter, configurator: Configurator, marker: YieldMarker, driver: Driver,
        rivals: Callable[[], str],
    ) -> None:
        self._loop, self._reporter, self._configurator = loop, reporter, configurator
        self._marker, self._driver, self._rivals = marker, driver, rivals
        self._removals: list[float] = []
        self.rival: str | None = None  # while two programs undo each other's work: who the other one may be

    def changed(self, change: LinkEvent) -> None:
        """Something happened to the link that is served, as netlink tells."""
        spec = self._configurator.spec
        if self._marker.yielded or spec is None:
            return
        if change.kind in (Kind.CARRIER_UP, Kind.RESYNC):
            self._driver.submit(ev.RoutesLost())  # setting a link down takes its routes, without a word
        elif change.kind is Kind.ROUTE_REMOVED:
            if not (self._removals and self._loop.now() - self._removals[-1] < SAME_REMOVAL):
                self._count_removal()
            self._driver.submit(ev.RoutesLost())
        elif change.kind is Kind.ADDRESS_REMOVED and change.address == spec.address:
            self._count_removal()
            self._driver.submit(ev.AddressLost(spec.address.ip))

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
        """Forget who took what."""
        self._loop.set_timer((self, "quiet"), None, self._on_quiet)
        self.rival, self._removals = None, []
