"""What other programs remove from the interface: it is restored, and a program that keeps removing it is named (rule
60).

A removal is reported to the core, which restores what was removed: at once, and with growing delays when removals
continue. This file counts them. Several within a short time are *contention*: one message names the other program as
far as it is known, and another reports when the contention has ended. While the interface is yielded (``holdfast
yield``), nothing is restored.
"""

from __future__ import annotations

from holdfast.core import events as ev
from holdfast.network.rtnl import RT_TABLE_MAIN
from holdfast.network.watch import Kind
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.eventloop.ports import Loop
    from holdfast.network.spec import NetworkSpec
    from holdfast.network.watch import LinkEvent
    from holdfast.runtime.configurator import Configurator
    from holdfast.runtime.driver import Driver
    from holdfast.runtime.ports import Reporter
    from holdfast.state.markers import YieldMarker

#: So many removals within so many seconds are contention: an administrator's mistake happens once or twice, and a
#: restarted service flushes once.
CONTENTION_COUNT, CONTENTION_WINDOW = 4, 60.0
#: Seconds without a removal after which contention has ended; longer than our longest delay.
QUIET_PERIOD = 120.0
#: The kernel removes an address's routes with it, and many routes may be removed at once: all within so many seconds
#: count as one removal.
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
        self.rival: str | None = None  # during contention: the programs that may be the other one

    def changed(self, change: LinkEvent) -> None:
        """Take in one netlink event of the link that is served."""
        spec = self._configurator.spec
        if self._marker.yielded or spec is None:
            return
        if change.kind in (Kind.CARRIER_UP, Kind.RESYNC, Kind.MASTER):
            # Setting a link down removes its routes without a message, and applying tells what a port does not carry.
            self._driver.submit(ev.RoutesLost())
        elif change.kind is Kind.ROUTE_REMOVED:
            if not _concerns(change, spec):
                return
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
        """Forget all removals."""
        self._loop.set_timer((self, "quiet"), None, self._on_quiet)
        self.rival, self._removals = None, []


def _concerns(change: LinkEvent, spec: NetworkSpec) -> bool:
    """The route that was removed may have been of the spec's table: the one that it names, main, or a VRF's, whose
    number is not known here."""
    if spec.table or change.table in (0, RT_TABLE_MAIN):
        return change.table in (0, spec.table or RT_TABLE_MAIN)
    return change.destination in (spec.address.network, *(route.destination for route in spec.routes))
