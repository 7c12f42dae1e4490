"""The core's actions, carried out; what an action brings about at once is the next event."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from holdfast.core import actions as act
from holdfast.core import events as ev
from holdfast.wire import WireError
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.core.lease import Lease
    from holdfast.core.outcome import Outcome
    from holdfast.runtime.configurator import Configurator
    from holdfast.runtime.keeping import Keeper
    from holdfast.runtime.ports import Reporter, Sockets


class Performer:
    """The hands of one client. Every error of the machine is an answer, never an exception (rule 55)."""

    def __init__(
        self,
        sockets: Sockets,
        configurator: Configurator,
        keeper: Keeper,
        reporter: Reporter,
        on_outcome: Callable[[Outcome], None],
    ) -> None:
        self._sockets, self._configurator, self._keeper = sockets, configurator, keeper
        self._reporter, self._on_outcome = reporter, on_outcome
        self._arp_told = ""

    def perform(self, action: act.Action, lease: Lease | None) -> ev.Event | None:
        """Carry out one action. ``lease`` is the one in use after the whole list. The answer is to be fed
        to the core when the list is done."""
        if isinstance(action, act.Transmit):
            return self._transmit(action)
        if isinstance(action, act.Configure):
            error = self._configurator.configure(action.lease, action.former)
            return ev.Applied() if error is None else ev.ApplyFailed(error)
        if isinstance(action, act.Persist):
            self._keeper.save(action.lease, action.path, action.gateway)
        elif isinstance(action, act.Forget):
            self._keeper.forget()
        elif isinstance(action, act.Deconfigure):
            self._configurator.deconfigure(action.lease)
        elif isinstance(action, (act.Probe, act.Announce, act.AskGateway, act.Watch)):
            self._arp(action)
        elif isinstance(action, act.Transitioned):
            self._reporter.transitioned(action, lease)
        elif isinstance(action, act.Dropped):
            self._reporter.dropped(action)
        elif isinstance(action, act.Noticed):
            self._reporter.noticed(action)
        else:
            self._reporter.recorded(action.outcome)
            self._on_outcome(action.outcome)
        return None

    def _transmit(self, action: act.Transmit) -> ev.SendFailed | None:
        try:
            self._sockets.transmit(action)
        except OSError as error:
            return ev.SendFailed(action.path, describe(error))
        except WireError as error:
            return ev.SendFailed(action.path, f"the message cannot be written: {error}")
        return None

    def _arp(self, action: act.Probe | act.Announce | act.AskGateway | act.Watch) -> None:
        try:
            if isinstance(action, act.Probe):
                self._sockets.probe(action.address)
            elif isinstance(action, act.Announce):
                self._sockets.announce(action.address)
            elif isinstance(action, act.AskGateway):
                self._sockets.ask_gateway(action)
            else:
                self._sockets.watch(action.addresses, action.gateway)
        except OSError as error:
            text = describe(error)
            if text != self._arp_told:
                self._reporter.line(4, f"ARP cannot be used ({text}); address conflicts may go unseen")
            self._arp_told = text
        else:
            self._arp_told = ""


def describe(error: OSError) -> str:
    """``ENOBUFS: No buffer space available``, whatever the error was made of."""
    number = error.errno or 0
    return f"{errno.errorcode[number]}: {os.strerror(number)}" if number in errno.errorcode else str(error)
