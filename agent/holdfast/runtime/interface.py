"""One interface: what happens becomes events for the core, and the core's actions are performed in order.

Theory of operation
-------------------
``begin`` looks for the interface, or waits for it (``following.py``). Everything that comes in (packets,
netlink, timers, the operator, the clocks) ends in ``submit``, which feeds the core one event at a time
(``feeding.py``). Every error of the machine becomes an event, a record and a retry; only an error of this
program gets out (rules 55, 59).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from holdfast.core import events as ev
from holdfast.core.client import Snapshot
from holdfast.core.outcome import Path
from holdfast.network.watch import Kind
from holdfast.runtime.configurator import Configurator
from holdfast.runtime.drift import Defence
from holdfast.runtime.driver import Feed
from holdfast.runtime.keeping import Keeper
from holdfast.runtime.link_tracker import Follower
from holdfast.runtime.listeners import Listeners
from holdfast.runtime.performing import Performer, describe
from holdfast.sockets.link import Batch, Listener
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.clock import Jump
    from holdfast.core.outcome import Outcome
    from holdfast.eventloop.ports import Loop
    from holdfast.network.link import Link
    from holdfast.network.spec import NetworkSpec
    from holdfast.network.watch import LinkEvent
    from holdfast.runtime.ports import InterfaceDeps, Reporter
    from holdfast.sockets.arp import Claim

#: A wall clock set forward by less than this many seconds tells of no pause that a lease would feel.
PAUSE_MIN = 5.0
#: Seconds for which announcements of a network card belong to the one before (QEMU sends five in 1.5 s).
ANNOUNCED_ONCE = 5.0


class Driver:
    """Conforms to ``control.Served`` and ``following.LinkUser``. ``name`` is what the interface is called when we
    start. ``awaited`` says whether a machine that boots should wait for this interface."""

    def __init__(
        self, name: str, loop: Loop, reporter: Reporter, parts: InterfaceDeps,
        awaited: Callable[[], bool] = lambda: True,
    ) -> None:
        self.name, self._awaited = name, awaited
        self._loop, self._reporter, self._parts = loop, reporter, parts
        self._sockets = parts.sockets(Listener(self._on_batch, self._on_unicast_error, self._on_claim, self._on_gone))
        self._configurator = Configurator(parts.backends, loop, reporter)
        self._follower = Follower(name, loop, reporter, parts, self._sockets, self._configurator, self)
        self._served: Link | None = None  # the link that the client was made for
        self._feed = Feed(loop, self._on_fed)
        self._keeper: Keeper | None = None
        self._malformed = 0
        self._outcome_listeners, self._online_listeners = Listeners(), Listeners()
        self._port_told = ""
        self._wants_port = self._keeps_nothing = False
        self._announced_until = 0.0
        self._defence = Defence(
            loop, reporter, self._configurator, self.submit, parts.rivals, lambda: self.snapshot().lease is not None
        )

    # -- what others ask -------------------------------------------------------------------------

    @property
    def spec(self) -> NetworkSpec | None:
        """What is configured on the interface now."""
        return self._configurator.spec

    @property
    def link(self) -> Link | None:
        """The link being served, None while there is none."""
        return self._follower.link

    def snapshot(self) -> Snapshot:
        """The core's state. Its drops include what was no DHCP message at all, as "malformed"."""
        if self._feed.client is None:
            return Snapshot("INIT", None, None, None, {}, None)
        shot = self._feed.client.snapshot()
        return shot._replace(drops={**shot.drops, "malformed": self._malformed}) if self._malformed else shot

    @property
    def online(self) -> bool:
        """There is a lease, and the interface is configured with it."""
        return self.link is not None and self.spec is not None

    @property
    def awaited(self) -> bool:
        """Whether a machine that boots should wait until this interface is online."""
        return self._awaited() and not self.yielded

    @property
    def yielded(self) -> bool:
        """Whether the interface is its administrator's now: the lease is kept, and nothing is put back."""
        return self._configurator.yielded

    @property
    def rival(self) -> str | None:
        """While another program undoes what we do: which, as far as it can be known."""
        return self._defence.rival

    def yield_interface(self, yielded: bool) -> None:
        """Leave the interface to its administrator, now and in lives to come, or take it back. OSError when that
        cannot be remembered; then nothing is different."""
        self._parts.yield_file.set(yielded)
        if yielded != self.yielded:
            self._defence.give_way(yielded, self.name)
            if not yielded:
                self._configure_again()

    def subscribe(self, callback: Callable[[Outcome], None]) -> Callable[[], None]:
        """Hear of every outcome from now on, until the returned function is called."""
        return self._outcome_listeners.add(callback)

    def when_online(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Hear it when the interface is online, perhaps more than once, until the returned function is called."""
        return self._online_listeners.add(callback)

    def keep_nothing(self) -> None:
        """From now on write neither lease nor history: the disk is about to be copied."""
        self._keeps_nothing = True
        self._reporter.keep_nothing()
        if self._keeper is not None:
            self._keeper.rest()

    # -- the link --------------------------------------------------------------------------------

    def begin(self, *, insist: bool = False) -> None:
        """Serve the interface, or say that it is waited for. LinkError or OSError when we may not; ``insist``:
        tell of those, and try again."""
        if self._parts.yield_file.is_set():
            self._defence.give_way(True, self.name)
        if insist:
            self._follower.look()
        else:
            self._follower.begin()

    def serve(self, link: Link) -> None:
        """The link is there: go on with the client that it had, or make one."""
        if self._wants_port:
            self.hold_port()
        if self._feed.client is None or self._served is None or self._served.mac != link.mac:
            self._start_client(link)
        else:
            self._resume_client(link)

    def _start_client(self, link: Link) -> None:
        if self._feed.client is not None:
            self.submit(ev.Stop())
        if self._keeper is not None:
            self._keeper.close()
        self._malformed = 0
        store = self._parts.store(link)
        remembered = store.load()
        client, store.client_id = self._parts.client(link, remembered and remembered.client_id)
        self._keeper = Keeper(store, self._loop, self._reporter)
        if self._keeps_nothing:
            self._keeper.rest()
        self._feed.start(client, Performer(
            self._sockets, self._configurator, self._keeper, self._reporter, self._outcome_listeners.tell
        ))
        self._served = link
        cached = None
        if remembered is not None and remembered.client_id == store.client_id:
            on_link = self._parts.on_link(link, remembered)
            cached = ev.Cached(remembered.lease, remembered.path, on_link, remembered.gateway)
        elif remembered is not None:
            self._reporter.line(4, f"the lease of {remembered.lease.address} was another client-id's: not used")
        self.submit(ev.Start(cached, link.carrier))

    def _resume_client(self, link: Link) -> None:
        """The same link is there again, without what was on it."""
        if self.spec is None:
            self._configure_again()
        if link.carrier:
            self.submit(ev.LinkUp())

    def _configure_again(self) -> None:
        """Put on the interface what the lease says, if there is one."""
        lease = self.snapshot().lease
        if lease is not None and self.link is not None and lease.valid(self._loop.now()):
            error = self._configurator.configure(lease, None)
            self.submit(ev.Applied() if error is None else ev.ApplyFailed(error))

    def links_changed(self, changes: list[LinkEvent]) -> None:
        """What netlink told, in order."""
        self._follower.changed(changes)

    def link_changed(self, change: LinkEvent) -> None:
        """Something happened on the link that is served."""
        if change.kind is Kind.CARRIER_DOWN:
            self.submit(ev.LinkDown())
        elif change.kind is Kind.ANNOUNCED:
            self._on_announced()
        else:
            self._defence.changed(change)
            if change.kind is Kind.CARRIER_UP:
                self.submit(ev.LinkUp())

    def _on_gone(self) -> None:
        self._follower.lost()

    def _on_announced(self) -> None:
        """A hypervisor has its guest's card announced after a migration or a restored snapshot, several times within
        a second or two. The first is enough."""
        if self._loop.now() >= self._announced_until:
            self.restored("the network card announced itself, as after a migration or a restored snapshot")
        self._announced_until = self._loop.now() + ANNOUNCED_ONCE

    # -- what comes in ---------------------------------------------------------------------------

    def _on_batch(self, batch: Batch) -> None:
        if batch.malformed:
            self._malformed += len(batch.malformed)
            self._reporter.malformed(len(batch.malformed), batch.malformed[0])
        for received in batch.messages:
            self.submit(received)

    def _on_unicast_error(self, text: str) -> None:
        self.submit(ev.SendFailed(Path.UNICAST, text))

    def _on_claim(self, claim: Claim) -> None:
        if claim.gateway:
            self.submit(ev.GatewaySeen(claim.address, claim.by))
            return
        if claim.probe and self.spec is not None and self.spec.address.ip == claim.address:
            return  # it only asks, and the kernel answers that we have it
        if claim.by not in self._parts.own_macs():  # rule 71: another of our own interfaces is no conflict
            self.submit(ev.AddressConflict(claim.address, claim.by))

    def time_jumped(self, jump: Jump) -> None:
        """Suspend counts against the lease (rules 45, 46). A step of the wall clock does not (rule 44), but one
        forward is how a guest that was paused, with all its clocks, learns of it: the lease is looked after."""
        if jump.asleep > 0:
            self.submit(ev.TimeJumped(jump.asleep, "the machine was asleep"))
        elif jump.stepped >= PAUSE_MIN:
            self.submit(ev.TimeJumped(jump.stepped, "the clock was set forward, as after a pause"))

    def restored(self, cause: str) -> None:
        """This machine is a restored snapshot or a copy: ``cause`` says how that is known."""
        self.submit(ev.Restored(int.from_bytes(os.urandom(16), "big"), cause))

    def submit(self, event: ev.Event) -> None:
        """Feed the core one event, now or when it has dealt with those before."""
        self._feed.submit(event)

    def _on_fed(self) -> None:
        if self.online:
            self._online_listeners.tell()

    # -- after the first packet, and the end -----------------------------------------------------

    def hold_port(self) -> None:
        """Take UDP port 68; when another has it, say who, once for each holder (rule 54). The first packet
        does without, so this is asked for after it; a link that comes back gets it at once."""
        self._wants_port = True
        try:
            self._sockets.hold_port()
        except OSError as error:
            holder = self._parts.port_holder() if error.errno == errno.EADDRINUSE else describe(error)
            if holder != self._port_told:
                self._port_told = holder
                self._reporter.line(4, f"UDP port 68 is held by {holder}; unicast goes by a raw socket instead")

    def end(self) -> None:
        """Stop, keeping the address and the lease (rule 51)."""
        self.submit(ev.Stop())
        if self._keeper is not None:
            self._keeper.close()
        self._defence.stop()
        self._feed.stop()
        self._follower.stop()
        self._sockets.close()
        self._configurator.close()
