"""The one adapter between the protocol and the machine: event -> core -> actions -> kernel, disk, journal, wire.

Theory of operation
-------------------
Packets, ICMP errors, ARP claims, deadlines and submitted events are fed to the core one at a time, with the time of
CLOCK_BOOTTIME. The actions that it returns are performed in order. The immediate result of an action (a failed send, a
successful configuration) is an event itself, which is fed after the rest of that list of actions. Then one timer is
armed for the core's next deadline. Every error of the system becomes an event or a retry; only a programming error is
raised (rules 55, 59).
"""

from __future__ import annotations

import errno
import os

from holdfast.core import actions as act
from holdfast.core import events as ev
from holdfast.core.outcome import Via
from holdfast.runtime.retry import Retry, nothing
from holdfast.sockets.link import Batch, Listener
from holdfast.state.background import Background
from holdfast.wire import WireError
from holdfast.wire.lean import deque, partial
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from holdfast.core.client import Client
    from holdfast.core.lease import Binding
    from holdfast.eventloop.ports import Loop
    from holdfast.runtime.configurator import Configurator
    from holdfast.runtime.ports import InterfaceDeps, Reporter, Store
    from holdfast.sockets.arp import Claim


#: Seconds: between two looks at a disk that has not answered; until it is reported; that an agent which ends waits.
LOOK_AGAIN, SLOW_DISK, LAST_WAIT = 0.25, 5.0, 1.0
#: What goes to the ARP socket.
_ARP = (act.Probe, act.Announce, act.AskGateway, act.Watch)


class Subscribers:
    """Callbacks with the same arguments."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[..., None]] = []

    def add(self, callback: Callable[..., None]) -> Callable[[], None]:
        """Call ``callback`` from now on, until the returned function is called."""
        self._callbacks.append(callback)

        def remove() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return remove

    def call(self, *arguments: Any) -> None:
        """Call all callbacks; they may be added and removed meanwhile."""
        for callback in list(self._callbacks):
            callback(*arguments)


class LeaseWriter:
    """Keeps the lease file equal to what the core wants: writes at once, and tries again while the disk refuses. A disk
    that takes long is not waited for."""

    def __init__(self, store: Store, loop: Loop, reporter: Reporter) -> None:
        self._store, self._loop, self._reporter = store, loop, reporter
        self._stopped = self._slow = False
        self._disk, self._began = Background(), 0.0
        self._writing: Callable[[], None] = nothing
        self._wanted: Callable[[], None] = nothing
        self._retry = Retry(loop, self._begin, 1.0, 300.0, on_failure=self._on_failure, on_recovery=self._on_recovery)

    def save(self, binding: Binding) -> None:
        """Keep ``binding`` in the file from now on."""
        self._write(partial(self._store.save, binding))

    def forget(self) -> None:
        """Keep no file from now on."""
        self._write(self._store.forget)

    def stop_writing(self) -> None:
        """Write nothing from now on, also not what could not be written so far."""
        self._stopped = True
        self._cancel()

    def close(self) -> None:
        """Try once more to write what could not be written so far."""
        if self._retry.failing and not self._stopped:
            self._retry.attempt()
        self._cancel()

    def _cancel(self) -> None:
        self._retry.cancel()
        self._loop.set_timer((self, "disk"), None, self._look)
        self._disk.wait(LAST_WAIT)

    def _write(self, action: Callable[[], None]) -> None:
        if self._stopped:
            return
        self._wanted = action
        if self._retry.failing or self._disk.busy:
            self._retry.attempt()
            return
        try:
            self._begin()
        except OSError as error:
            self._retry.failed(error)

    def _begin(self) -> bool:
        """Write what is wanted now; False: the disk has not answered yet. Raises OSError."""
        if self._disk.busy:
            return False
        self._writing, self._began = self._wanted, self._loop.now()
        if self._disk.run(self._writing):
            return True
        self._loop.set_timer((self, "disk"), self._began + LOOK_AGAIN, self._look)
        return False

    def _look(self) -> None:
        """Has the disk answered?"""
        now, error = self._loop.now(), self._disk.error
        if self._disk.busy:
            if now - self._began >= SLOW_DISK and not self._slow:
                self._slow = True
                self._on_failure(OSError(errno.ETIMEDOUT, "the disk does not answer"))
            self._loop.set_timer((self, "disk"), now + LOOK_AGAIN, self._look)
            return
        if self._slow and error is None:
            self._on_recovery()
        self._slow = False
        if error is not None:
            self._retry.failed(error)
        elif self._writing is self._wanted:
            self._retry.succeeded()
        else:
            self._retry.attempt()

    def _on_failure(self, error: Exception) -> None:
        why = getattr(error, "strerror", None) or error
        self._reporter.line_once("lease file", 4, (
            f"the lease file {self._store.path} cannot be written: {why}; the lease stays in use, and it is tried "
            "again: make room, or let the agent's user write there"
        ))

    def _on_recovery(self) -> None:
        self._reporter.line_over("lease file")
        self._reporter.line(5, "the lease file is written again")


class Driver:
    """Runs one client of the core and performs its actions. Events without a client are ignored.

    ``on_gone`` is called when the sockets find out that the link is not there any more. ``malformed`` counts packets
    that were no DHCP messages.
    """

    def __init__(
        self, loop: Loop, reporter: Reporter, deps: InterfaceDeps, configurator: Configurator,
        on_gone: Callable[[], None],
    ) -> None:
        self._loop, self._reporter, self._configurator = loop, reporter, configurator
        self._own_macs = deps.own_macs
        self.sockets = deps.sockets(Listener(self._on_batch, self._on_unicast_error, self._on_claim, on_gone))
        self.outcome_subscribers, self.online_subscribers = Subscribers(), Subscribers()
        self.client: Client | None = None
        self.malformed = 0
        self._lease_writer: LeaseWriter | None = None
        self._writes_leases = True
        self._events: deque[ev.Event] = deque()
        self._busy = self._arp_failed = False

    def start(self, client: Client, store: Store) -> None:
        """Use this client from now on, and keep its lease in ``store``."""
        self.client, self.malformed = client, 0
        self._lease_writer = LeaseWriter(store, self._loop, self._reporter)
        if not self._writes_leases:
            self._lease_writer.stop_writing()

    def stop_writing(self) -> None:
        """Leave the lease file as it is from now on, for this client and those after it."""
        self._writes_leases = False
        if self._lease_writer is not None:
            self._lease_writer.stop_writing()

    def stop(self) -> None:
        """Stop the client, if there is one, keeping the address and the lease (rule 51)."""
        self.submit(ev.Stop())
        if self._lease_writer is not None:
            self._lease_writer.close()

    def close(self) -> None:
        """Stop the client and close everything."""
        self.stop()
        self._loop.set_timer((self, "client"), None, self._on_deadline)
        self.sockets.close()

    # -- what comes in ---------------------------------------------------------------------------

    def submit(self, event: ev.Event) -> None:
        """Feed the core one event and perform its actions; events that arise meanwhile are queued."""
        self._events.append(event)
        if not self._busy:
            self._work([])

    def _on_batch(self, batch: Batch) -> None:
        if batch.malformed:
            self.malformed += len(batch.malformed)
            self._reporter.malformed(len(batch.malformed), batch.malformed[0], batch.tagged)
        if batch.flood:
            self._reporter.line(4, "more packets come to UDP port 68 than can be read: for 10 s only replies to our "
                                   "questions are read; `tcpdump -n udp port 68` shows who sends them")
        for received in batch.messages:
            self._reporter.received(received)
            self.submit(received)

    def _on_unicast_error(self, text: str) -> None:
        self.submit(ev.SendFailed(Via.UNICAST, text))

    def _on_claim(self, claim: Claim) -> None:
        spec = self._configurator.spec
        if claim.gateway:
            self.submit(ev.GatewaySeen(claim.address, claim.by))
        elif claim.probe and spec is not None and spec.address.ip == claim.address:
            pass  # a probe: the kernel answers it
        elif not self._is_own(claim.by):
            self._reporter.claimed(claim.address, claim.by)
            self.submit(ev.AddressConflict(claim.address, claim.by, claim.answer))

    def _is_own(self, mac: bytes) -> bool:
        """Rule 71: another of our own interfaces is no conflict. While the kernel gives no answer the claim counts as
        our own (rule 90): a real claimant repeats it."""
        try:
            return mac in self._own_macs()
        except OSError:
            return True

    def _on_deadline(self) -> None:
        if self.client is not None:
            self._work(self.client.handle_timer(self._loop.now()))

    def _work(self, actions: list[act.Action]) -> None:
        """Perform ``actions`` and whatever follows from them, until nothing is left to do."""
        client = self.client
        if client is None:
            self._events.clear()
            return
        self._busy = True
        try:
            while actions or self._events:
                for action in actions:
                    event = self._perform(action, client)
                    if event is not None:
                        self._events.append(event)
                actions = []
                if self._events:
                    actions = client.handle(self._events.popleft(), self._loop.now())
        finally:
            self._busy = False
        if self._configurator.spec is not None:
            self.online_subscribers.call()
        self._loop.set_timer((self, "client"), client.next_deadline(), self._on_deadline)

    # -- what goes out ---------------------------------------------------------------------------

    def _perform(self, action: act.Action, client: Client) -> ev.Event | None:
        """Perform one action. Returns the event that is its result, to be fed when the list is done."""
        assert self._lease_writer is not None
        if isinstance(action, act.Transmit):
            return self._transmit(action)
        if isinstance(action, act.Configure):
            error = self._configurator.configure(action.lease, action.former)
            return ev.Applied() if error is None else ev.ApplyFailed(error)
        if isinstance(action, act.Persist):
            self._lease_writer.save(action.binding)
        elif isinstance(action, act.Forget):
            self._lease_writer.forget()
        elif isinstance(action, act.Deconfigure):
            self._configurator.deconfigure(action.lease)
        elif isinstance(action, _ARP):
            self._arp(action)
        elif isinstance(action, act.Transitioned):
            self._reporter.transitioned(action, client.lease)
        elif isinstance(action, act.Dropped):
            self._reporter.dropped(action)
        elif isinstance(action, act.Noticed):
            self._reporter.noticed(action)
        else:
            self._reporter.recorded(action.outcome)
            self.outcome_subscribers.call(action.outcome)
        return None

    def _transmit(self, action: act.Transmit) -> ev.SendFailed | None:
        self._reporter.sent(action.message)
        try:
            self.sockets.transmit(action)
        except OSError as error:
            return ev.SendFailed(action.via, describe(error))
        except WireError as error:
            return ev.SendFailed(action.via, f"the message cannot be written: {error}")
        return None

    def _arp(self, action: act.Probe | act.Announce | act.AskGateway | act.Watch) -> None:
        try:
            if isinstance(action, act.Probe):
                self.sockets.probe(action.address)
            elif isinstance(action, act.Announce):
                self.sockets.announce(action.address)
            elif isinstance(action, act.AskGateway):
                self.sockets.ask_gateway(action)
            else:
                self.sockets.watch(action.addresses, action.gateway)
        except OSError as error:
            text = f"ARP cannot be used ({describe(error)}); address conflicts may go unseen"
            self._reporter.line_once("ARP", 4, text)
            self._arp_failed = True
        else:
            if self._arp_failed:
                self._reporter.line_over("ARP")
            self._arp_failed = False


def describe(error: OSError) -> str:
    """The error as text, such as ``ENOBUFS: No buffer space available``."""
    number = error.errno or 0
    return f"{errno.errorcode[number]}: {os.strerror(number)}" if number in errno.errorcode else str(error)
