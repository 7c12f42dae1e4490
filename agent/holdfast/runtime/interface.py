"""One served interface: found or waited for, configured by its lease, watched, yielded, stopped.

Theory of operation ------------------- ``ServedLink`` makes what one interface needs on a real system (lock, netlink
watch, reporter) and ends it all together; ``Interface`` is what it serves, and uses neither netlink nor files itself.
``begin`` looks for the link, or waits for it (``link_tracker.py``). Netlink events about which link is served go to the
tracker; removals by other programs go to ``drift.py``, carrier changes to the core. The driver (``driver.py``) feeds
the core one event at a time.
"""

from __future__ import annotations

import errno
import os

from holdfast.core import events as ev
from holdfast.core.client import Snapshot
from holdfast.core.lease import Binding
from holdfast.core.schedule import HOLD_LIFETIME
from holdfast.network.watch import Kind, LinkWatch
from holdfast.runtime.configurator import Configurator
from holdfast.runtime.drift import Drift
from holdfast.runtime.driver import Driver, describe
from holdfast.runtime.factory import make_deps, make_reporter
from holdfast.runtime.fallback import Fallback
from holdfast.runtime.link_tracker import TRACKED, LinkTracker
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from holdfast.clock import Jump
    from holdfast.core.lease import Lease
    from holdfast.core.outcome import Outcome
    from holdfast.eventloop.ports import Loop
    from holdfast.network.link import Link
    from holdfast.network.spec import NetworkSpec
    from holdfast.network.watch import LinkEvent
    from holdfast.observe.observations import Observations
    from holdfast.runtime.factory import AgentContext
    from holdfast.runtime.ports import Arp, InterfaceDeps, Reporter, Watcher

#: A wall clock that is set forward by fewer seconds is not treated as a pause of the guest.
PAUSE_MIN = 5.0
#: Seconds until the link is read again when a lack of descriptors or memory gave no answer (rule 90).
LOOK_AGAIN = 1.0
#: Seconds by which the kernel's whole seconds and a lease's end may differ.
ROUNDING = 2.0
#: Seconds for which announcements of a network card belong to the one before (QEMU sends five in 1.5 s).
ANNOUNCEMENT_BURST = 5.0


class Interface:
    """One interface. Conforms to ``ports.ServedInterface`` and ``link_tracker.LinkUser``.

    ``name`` is its name at the start, which files and commands go on using. ``awaited`` says whether a
    machine that boots should wait for it.
    """

    def __init__(
        self, name: str, loop: Loop, reporter: Reporter, deps: InterfaceDeps,
        awaited: Callable[[], bool] = lambda: True,
    ) -> None:
        self.name, self._awaited = name, awaited
        self._loop, self._reporter, self._deps = loop, reporter, deps
        self._marker = deps.yield_marker
        self._configurator = Configurator(deps.backends, loop, reporter, self._marker)
        self._driver = Driver(loop, reporter, deps, self._configurator, self._on_gone)
        self._tracker = LinkTracker(name, loop, reporter, deps, self._driver.sockets, self._configurator, self)
        self._drift = Drift(loop, reporter, self._configurator, self._marker, self._driver, deps.rivals)
        self._fallback = Fallback(loop, reporter, self._configurator, deps.fallback, self._without_lease,
                                  self._open_arp, deps.own_macs)
        self._configurator.on_removed = self._fallback.begin
        self._client_link: Link | None = None  # the link that the client was made for
        self._client_id = b""
        self._wants_port = False
        self._announced_until = 0.0

    # -- what others ask -------------------------------------------------------------------------

    @property
    def spec(self) -> NetworkSpec | None:
        """What is configured on the interface now, as far as this process knows."""
        return self._configurator.spec

    @property
    def fallback(self) -> NetworkSpec | None:
        """The fallback address that is used for want of a lease; None for none."""
        return self._fallback.used if self.spec is None and self.link is not None else None

    @property
    def link(self) -> Link | None:
        """The link being served, None while there is none."""
        return self._tracker.link

    def snapshot(self) -> Snapshot:
        """The core's state. Its drops include what was no DHCP message at all, as "malformed"."""
        if self._driver.client is None:
            return Snapshot("INIT", None, None, None, {}, None)
        shot, malformed = self._driver.client.snapshot(), self._driver.malformed
        return shot._replace(drops={**shot.drops, "malformed": malformed}) if malformed else shot

    @property
    def online(self) -> bool:
        """True while there is a lease and the interface is configured with it."""
        return self.link is not None and self.spec is not None

    @property
    def observations(self) -> Observations:
        """What the link has shown so far."""
        return self._reporter.observations

    def watch(self, callback: Watcher) -> Callable[[], None]:
        """Call ``callback`` with every transition, outcome and notice, until the returned function is called."""
        return self._reporter.watch(callback)

    @property
    def problems(self) -> Mapping[str, str]:
        """What is wrong on this machine now, by topic."""
        return self._reporter.problems

    @property
    def filtered(self) -> int:
        """How many answers to our address this machine's firewall has dropped, since we hold UDP port 68."""
        return self._driver.sockets.filtered

    @property
    def awaited(self) -> bool:
        """True when a machine that boots should wait until this interface is online."""
        return self._awaited() and not self.yielded

    @property
    def yielded(self) -> bool:
        """True while the interface is yielded: the lease is kept, and nothing is put on the interface."""
        return self._marker.yielded

    @property
    def rival(self) -> str | None:
        """The program that removes what we configure, as far as it can be known; None while there is none."""
        return self._drift.rival

    def yield_interface(self, yielded: bool) -> None:
        """Leave the interface to its administrator, for this process and those after it, or take it back. Raises
        OSError when that cannot be stored; then nothing has changed."""
        former = self.yielded
        self._marker.set_yielded(yielded)
        if yielded != former:
            self._on_yielded()
            if not yielded:
                self._configure_again()

    def reload(self) -> bool:
        """Use the settings as they are now: in the next message, and on the interface at once. False when they make it
        another client to the server, which needs a restart. Raises SettingsError; then nothing has changed."""
        client, link = self._driver.client, self._client_link
        if client is None or link is None:
            return True
        same = client.reconfigure(self._deps.config(link, self._client_id))
        if self.spec is not None:
            self._configure_again()
        return same

    def _on_yielded(self) -> None:
        self._drift.stop()
        self._reporter.line(5, "yielded: the lease is kept, and nothing is put back on the interface until "
                               f"`holdfast yield --back {self.name}`" if self.yielded else
                               "taken back: what the lease says is put on the interface")

    def subscribe(self, callback: Callable[[Outcome], None]) -> Callable[[], None]:
        """Call ``callback`` with every outcome from now on, until the returned function is called."""
        return self._driver.outcome_subscribers.add(callback)

    def when_online(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` when the interface is online, perhaps more than once, until the returned function is
        called."""
        return self._driver.online_subscribers.add(callback)

    def keep_nothing(self) -> None:
        """From now on write neither lease nor history: the disk is about to be copied."""
        self._reporter.keep_nothing()
        self._driver.stop_writing()

    # -- the link --------------------------------------------------------------------------------

    def begin(self, *, insist: bool = False) -> None:
        """Serve the interface, or say that it is waited for. Raises LinkError or OSError when it cannot be served;
        with ``insist`` it is reported instead, and tried again."""
        if self._marker.load():
            self._on_yielded()
        if insist:
            self._tracker.look()
        else:
            self._tracker.begin()

    def serve(self, link: Link) -> None:
        """The link is there and its sockets are open: go on with the client that it had, or make one. Raises OSError
        or SettingsError when no client can be made."""
        if self._wants_port:
            self.hold_port()
        if self._client_link is None or self._client_link.mac != link.mac:
            self._start_client(link)
        else:
            self._resume_client(link)

    def _start_client(self, link: Link) -> None:
        self._driver.stop()
        store = self._deps.store(link)
        remembered = store.load()
        stored_id = store.client_id() if remembered is None else remembered.client_id
        client, client_id = self._deps.client(link, stored_id)
        self._client_id = client_id
        self._driver.start(client, store)
        self._client_link = link
        cached = None
        if remembered is None and not store.foreign and stored_id in (None, client_id):
            cached = self._recovered(link, client_id)
        elif remembered is not None and remembered.client_id == client_id:
            on_link = self._deps.on_link(link, remembered)
            cached = ev.Cached(remembered, on_link)
            if on_link:
                self._configurator.adopt(remembered.lease.address)
            cached = self._outlasting(link, cached) or cached
        elif remembered is not None:
            self._reporter.line(4, f"the lease of {remembered.lease.address} was another client-id's: not used")
        self.submit(ev.Start(cached, link.carrier))
        self._fallback.begin()

    def _recovered(self, link: Link, client_id: bytes) -> ev.Cached | None:
        """The lease file is lost; an address with our mark is asked for before any other (rule 89)."""
        lease = self._deps.marked(link)
        if lease is None:
            return None
        left = self._time_left(lease)
        self._reporter.line(5, f"{lease.address} is on {link.name} {left} by an earlier agent, whose lease file is "
                               "lost; the server is asked for it")
        return ev.Cached(Binding(lease, client_id=client_id), on_link=False)

    def _outlasting(self, link: Link, cached: ev.Cached) -> ev.Cached | None:
        """An address is there with our mark that lasts longer than the stored lease, or instead of it: renewals went on
        while the disk took no file. What the kernel says is left is the lease (promise 2), and the server is asked."""
        lease, now = cached.binding.lease, self._loop.now()
        later = self._deps.marked(link)
        if later is None or not later.valid(now):
            return None
        if cached.on_link:
            # "hold" has the kernel keep an address beyond its lease
            held = HOLD_LIFETIME if self._deps.config(link, cached.binding.client_id).on_expiry == "hold" else 0.0
            if later.address != lease.address or later.expires_at <= max(lease.expires_at, now) + held + ROUNDING:
                return None
        else:
            self._configurator.adopt(later.address)
        same = later.address == lease.address
        if same:
            later = later._replace(server_id=lease.server_id, options={**lease.options, **later.options})
        self._reporter.line(5, f"{later.address} is on {link.name} {self._time_left(later)}, " + (
            "longer than its lease file says" if same else f"and the lease file is of {lease.address}"
        ) + ", which could not be written; the server is asked")
        binding = cached.binding if same else Binding(later, client_id=cached.binding.client_id)
        return ev.Cached(binding._replace(lease=later), on_link=False)

    def _time_left(self, lease: Lease) -> str:
        return "for ever" if lease.infinite else f"for {lease.seconds_left(self._loop.now()):.0f} s"

    def _open_arp(self) -> Arp:
        link = self.link
        if link is None:
            raise OSError(errno.ENODEV, "the interface is gone")
        return self._deps.arp(link)

    def _without_lease(self) -> bool:
        """True while the link is there with neither a lease nor an operator's or the network's decision against one."""
        shot = self.snapshot()
        asking = shot.state not in ("STOPPED", "PROBING") and shot.lease is None
        last = shot.last_outcome
        return self.link is not None and asking and not self.yielded and (
            last is None or last.result.value != "ipv6-only")

    def _resume_client(self, link: Link) -> None:
        """The same link is there again, without what was on it."""
        if self.spec is None:
            self._configure_again()
            self._fallback.begin()
        if link.carrier:
            self.submit(ev.LinkUp())

    def _configure_again(self) -> None:
        """Configure the interface as the lease says, if there is one."""
        lease = self.snapshot().lease
        if lease is not None and self.link is not None and lease.valid(self._loop.now()):
            error = self._configurator.configure(lease, None)
            self.submit(ev.Applied() if error is None else ev.ApplyFailed(error))

    def links_changed(self, changes: list[LinkEvent]) -> None:
        """Process netlink events in order."""
        # The kernel removes the addresses of a link before the link: no other program deleted them.
        ending = any(change.kind is Kind.GONE for change in changes)
        for change in changes:
            if change.kind in TRACKED:
                self._tracker.changed(change)
            elif not ending or change.kind not in (Kind.ADDRESS_REMOVED, Kind.ROUTE_REMOVED):
                self._on_link_changed(change)

    def _on_link_changed(self, change: LinkEvent) -> None:
        """Something happened on the link; it is still the same one."""
        if change.kind is Kind.CARRIER_UP and self._tracker.link is None:
            self._tracker.look()
        elif self._tracker.link is None:
            return
        elif change.kind is Kind.CARRIER_DOWN:
            self.submit(ev.LinkDown())
        elif change.kind is Kind.ANNOUNCED:
            self._on_announced()
        else:
            self._drift.changed(change)
            if change.kind is Kind.CARRIER_UP:
                self.submit(ev.LinkUp())

    def _on_gone(self) -> None:
        self._tracker.lost()

    def _on_announced(self) -> None:
        """A hypervisor has its guest's card announced after a migration or a restored snapshot, several times within
        a second or two. The first is enough."""
        if self._loop.now() >= self._announced_until:
            self.restored("the network card announced itself, as after a migration or a restored snapshot")
        self._announced_until = self._loop.now() + ANNOUNCEMENT_BURST

    # -- what else comes in ----------------------------------------------------------------------

    def time_jumped(self, jump: Jump) -> None:
        """Suspend counts against the lease (rules 45, 46). A step of the wall clock does not (rule 44), but one
        forward shows that the guest was paused with all its clocks: the lease is then checked."""
        if jump.asleep > 0:
            self.submit(ev.TimeJumped(jump.asleep, "the machine was asleep"))
        elif jump.stepped >= PAUSE_MIN:
            self.submit(ev.TimeJumped(jump.stepped, "the clock was set forward, as after a pause"))

    def restored(self, cause: str) -> None:
        """This machine is a restored snapshot or a copy; ``cause`` is a text that says how that is known."""
        self.submit(ev.Restored(int.from_bytes(os.urandom(16), "big"), cause))

    def submit(self, event: ev.Event) -> None:
        """Feed the core one event, now or when it has dealt with those before. Without a client nothing happens."""
        self._driver.submit(event)

    # -- after the first packet, and the end -----------------------------------------------------

    def hold_port(self) -> None:
        """Take UDP port 68; when another has it, say which program, and what is missing when we may not (rules 54, 96),
        once for each. The first packet does without, so this is called after it; a link that comes back gets the port
        at once."""
        self._wants_port = True
        try:
            self._driver.sockets.hold_port()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                why = f"is held by {self._deps.port_holder()}"
            elif error.errno == errno.EACCES:  # of bind(2), for a port below net.ipv4.ip_unprivileged_port_start
                why = "is not permitted: give the agent CAP_NET_BIND_SERVICE, as its unit does"
            else:
                why = f"cannot be used: {describe(error)}"
            self._reporter.line_once("port 68", 4, f"UDP port 68 {why}; unicast goes by a raw socket instead")

    def end(self) -> None:
        """Stop, keeping the address and the lease (rule 51)."""
        self._fallback.stop()
        self._drift.stop()
        self._tracker.stop()
        self._driver.close()
        self._configurator.close()


class ServedLink:
    """One interface of this process with its lock, its netlink watch and its reporter, made and ended together.

    ``on_unsure`` is called a second after a reading that could not tell what became of the link; it is to read again.
    ``matched``: it fits a pattern and is named nowhere; then it ends with its link, and a rename is a link of another
    name. Raises AlreadyServedError or LinkError when it cannot be watched. ``interface.begin`` is still to be called.
    """

    def __init__(
        self, name: str, context: AgentContext, on_unsure: Callable[[ServedLink], None], *, matched: bool
    ) -> None:
        self.name, self.matched = name, matched
        self._loop = context.loop
        self._on_unsure = lambda: on_unsure(self)
        self._locks = context.locks
        context.lock(name)
        try:
            self.watch = LinkWatch(name, context.messages())  # before the interface looks, so that nothing is missed
        except OSError:
            self._locks.give_back(name)
            raise
        self.reporter = make_reporter(name, context)
        deps = make_deps(name, context, self.reporter)
        self.interface = Interface(name, context.loop, self.reporter, deps, self._awaited)

    @property
    def ifindex(self) -> int | None:
        """The kernel's index of the link, by the last netlink event; None while there is none."""
        return None if self.watch.link is None else self.watch.link.ifindex

    @property
    def present_name(self) -> str:
        """What the link is called now, or was when it was last there."""
        return self.watch.name

    def _awaited(self) -> bool:
        """Pattern-matched interfaces without carrier do not block wait-online."""
        return not self.matched or (self.watch.link is not None and self.watch.link.carrier)

    def read_watch(self) -> bool:
        """Pass netlink events on; True when the link was removed or renamed."""
        changes = self.watch.read()
        self.interface.links_changed(changes)
        again = self._loop.now() + LOOK_AGAIN if self.watch.unsure else None
        self._loop.set_timer((self, "look"), again, self._on_unsure)
        return any(change.kind in (Kind.GONE, Kind.RENAMED) for change in changes)

    def end(self) -> None:
        """Stop, keeping the address and the lease, and close everything."""
        self.interface.end()
        self._loop.set_timer((self, "look"), None, self._on_unsure)
        self.watch.close()
        self.reporter.close()
        self._locks.give_back(self.name)
