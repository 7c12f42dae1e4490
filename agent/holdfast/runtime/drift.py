"""Keeps on the interface what the lease put there, when others take it off (rule 60).

An address that goes is the core's business: it is back at once, and later and later when it goes again and
again. Routes are put back here. Both together tell whether another program and we undo each other's work:
then that is said once, with the other's name as far as it can be known, and once more when it has stopped.
An administrator who means it says ``yield``, and nothing is put back.
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.core import events as ev
from holdfast.network.watch import Kind
from holdfast.runtime.mending import Mender
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.eventloop.ports import Loop
    from holdfast.network.watch import LinkEvent
    from holdfast.runtime.configurator import Configurator
    from holdfast.runtime.ports import Reporter

#: So many times within so many seconds is no accident: an administrator's mistake is made once or twice,
#: and a service that is restarted flushes once.
FIGHT_COUNT, FIGHT_WINDOW = 4, 60.0
#: Seconds without a further loss after which the other has stopped; longer than the longest pause of ours.
PEACE = 120.0
#: The kernel takes an address's routes along: what goes within a second of it is not counted again.
SAME_BLOW = 1.0


class Defence:
    """``submit`` feeds the core, ``rivals`` names the programs that may be at work, ``bound`` tells whether
    there is a lease to defend."""

    def __init__(
        self, loop: Loop, reporter: Reporter, configurator: Configurator, submit: Callable[[ev.Event], None],
        rivals: Callable[[], str], bound: Callable[[], bool],
    ) -> None:
        self._loop, self._reporter, self._configurator = loop, reporter, configurator
        self._submit, self._rivals, self._bound = submit, rivals, bound
        self._mender = Mender(loop, self._mend)
        self._routes_gone = False
        self._losses: list[float] = []
        self.rival: str | None = None  # while two programs undo each other's work: who the other one may be

    def give_way(self, yielded: bool, name: str) -> None:
        """From now on the interface is its administrator's, or ours again."""
        self._configurator.yielded = yielded
        self.stop()
        self._reporter.line(5, "yielded: the lease is kept, and nothing is put back on the interface until "
                               f"`holdfast yield --back {name}`" if yielded else
                               "taken back: what the lease says is put on the interface")

    def changed(self, change: LinkEvent) -> None:
        """Something happened to the interface that we serve."""
        spec = self._configurator.spec
        if self._configurator.yielded or spec is None:
            return
        if change.kind in (Kind.CARRIER_UP, Kind.RESYNC):
            self._mender.plan()  # setting a link down takes its routes, without a word
        elif change.kind is Kind.ROUTE_REMOVED:
            self._routes_gone = True
            self._mender.plan()
        elif change.kind is Kind.ADDRESS_REMOVED and change.address == spec.address:
            self._lost()
            self._submit(ev.AddressLost(spec.address.ip))

    def _mend(self) -> None:
        gone, self._routes_gone = self._routes_gone, False
        if self._configurator.yielded or not self._bound():
            return
        if gone and not (self._losses and self._loop.now() - self._losses[-1] < SAME_BLOW):
            self._lost()
        error = self._configurator.restore()
        if error is not None:
            self._submit(ev.ApplyFailed(error))

    def _lost(self) -> None:
        now = self._loop.now()
        self._losses = [*(at for at in self._losses if now - at < FIGHT_WINDOW), now][-FIGHT_COUNT:]
        if self.rival is None and len(self._losses) == FIGHT_COUNT:
            self.rival = self._rivals()
            self._reporter.fight(self.rival, FIGHT_COUNT, now - self._losses[0])
        if self.rival is not None:
            self._loop.set_timer((self, "peace"), now + PEACE, self._at_peace)

    def _at_peace(self) -> None:
        self.rival, self._losses = None, []
        self._reporter.line(5, f"nobody has taken anything off the interface for {PEACE:.0f} s")

    def stop(self) -> None:
        """Put nothing back any more."""
        self._mender.cancel()
        self.rival, self._losses = None, []
        self._loop.set_timer((self, "peace"), None, self._at_peace)
