"""One process for all interfaces: starts each, then everything that can wait until a DISCOVER is out.

Theory of operation
-------------------
``start`` brings each interface to its first packet with as few imports as possible. ``warm_up`` then does
the rest in small steps with the loop running in between, so that an OFFER that comes at once is
answered at once. Interfaces that fit a pattern of ``[agent] serve`` come and go with their links. SIGTERM
and SIGINT end the process with every address and lease kept (rule 51). SIGHUP has the configuration read
again: what can change without touching a lease does, and what cannot is said.
"""

from __future__ import annotations

import gc
import os

from holdfast import bundle
from holdfast.clock import Clock, Jump, SystemClock
from holdfast.eventloop.loop import Loop
from holdfast.observe.limit import SayOnce
from holdfast.runtime.factory import AgentContext, AlreadyServedError, make_spooler
from holdfast.runtime.host.notifications import Notifications
from holdfast.runtime.interface import Interface, ServedLink
from holdfast.state import folder as folders
from holdfast.wire.lean import partial
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.core.outcome import Outcome
    from holdfast.observe.log import Log
    from holdfast.runtime.control_service import Control
    from holdfast.runtime.dns_spooler import DnsSpooler
    from holdfast.runtime.host.hotplug import Hotplug
    from holdfast.runtime.ports import Resolver
    from holdfast.runtime.waiting import Waiting
    from holdfast.settings.model import Settings


#: What configures and stores a lease imports these, each of which takes about a millisecond.
FOR_A_LEASE = ("functools", "ipaddress", "holdfast.network.plan", "holdfast.network.kernel",
               "holdfast.state.lease_file", "holdfast.state.atomic")
#: Outcomes between two collections.
COLLECT_EVERY = 16


class Collector:
    """Has memory collected now and then: that empties CPython's lists of freed tuples, which grow for hours otherwise,
    and ends what refers to itself. It takes 2 ms, for what was loaded at the start is frozen."""

    def __init__(self) -> None:
        self._outcomes = 0

    def outcome(self) -> None:
        """Count one."""
        self._outcomes += 1
        if not self._outcomes % COLLECT_EVERY:
            gc.collect()


class Supervisor:
    """All interfaces of one agent: those called ``names``, and those that ``patterns`` of the configuration and
    ``listed`` ones of the list of links mean and that are not called ``others``, which are served by other agents or by
    other clients."""

    def __init__(
        self, names: list[str], settings: Settings, state_dir: str, runtime_dir: str, log: Log,
        clock: Clock | None = None, *, patterns: tuple[str, ...] = (), listed: tuple[str, ...] = (),
        others: frozenset[str] = frozenset(), reread: Callable[[], tuple[Settings, list[str]]] | None = None,
    ) -> None:
        self._names, self._others, self._settings = names, others, settings
        self._patterns, self._listed = patterns, listed
        self._state_dir, self._runtime_dir = state_dir, runtime_dir
        self._clock = clock or SystemClock()
        self.loop = Loop(self._clock)
        self._log = log
        self._context = AgentContext(settings, state_dir, runtime_dir, log, self._clock, self.loop, self.resolver)
        self._links: dict[str, ServedLink] = {}
        self._said = SayOnce(log.write)
        self._hotplug: Hotplug | None = None
        self._closers: list[Callable[[], None]] = []
        self._notifications = Notifications(self._context, self._status)
        self._control: Control | None = None
        self._spooler: DnsSpooler | None = None
        self._waiting: Waiting | None = None
        self._collector = Collector()
        self._reread = reread

    def resolver(self) -> Resolver:
        """The spooler of name servers, one for all interfaces; made when it is first asked for."""
        if self._spooler is None:
            self._spooler = make_spooler(self._state_dir, self._runtime_dir, self.loop, self._log.write)
        return self._spooler

    @property
    def interfaces(self) -> list[Interface]:
        """Those that are served now, waited for included."""
        return [served.interface for served in self._links.values()]

    def start(self) -> None:
        """Bring every interface to its first packet. AlreadyServedError, LinkError or OSError when none can be."""
        self.loop.on_jump = self._on_jump
        self._context.on_news = lambda: self.loop.set_timer((self, "links"), self.loop.now(), self._on_links)
        for folder, lacking in ((self._state_dir, "no lease outlives a restart"), (self._runtime_dir, "no command "
                                "reaches this agent")):
            try:
                folders.make(folder)
            except folders.RefusedError as error:
                self._log.write(4, f"{folder} {error.strerror}; going on without it, so {lacking}")
            except OSError as error:
                self._log.write(4, f"{folder} cannot be made: {error.strerror}; going on without it, so {lacking}: "
                                   "make it for the agent's user and restart the agent")
        problems: dict[str, OSError | AlreadyServedError] = {}
        for name in self._names:
            try:
                self._start_one(name)
            except (OSError, AlreadyServedError) as error:
                problems[name] = error
        if len(problems) == len(self._names) and problems and not self._patterns and not self._listed:
            raise problems[self._names[0]]
        for name, problem in problems.items():  # one that cannot be served is no reason to leave the others alone
            self._log.write(3, why_not(name, problem))
        if self._patterns or self._listed:
            from holdfast.runtime.host.hotplug import Hotplug  # noqa: PLC0415 - rarely configured

            self._hotplug = Hotplug(
                self._patterns, self.loop, self._on_newcomer, self._log.write, listed=self._listed)
            self._hotplug.look()

    # -- interfaces come and go ------------------------------------------------------------------

    def _start_one(self, name: str, *, matched: bool = False) -> None:
        served = ServedLink(name, self._context, self._on_link, matched=matched)
        self._links[name] = served
        interface = served.interface
        interface.subscribe(lambda outcome: self._on_outcome(interface, outcome))
        interface.begin(insist=matched)
        if served.watch.unsure:
            self._on_link(served)
        if self._control is not None:
            self._settle(self._control, interface)

    def _settle(self, control: Control, interface: Interface) -> None:
        """What an interface needs beyond its first packet."""
        interface.hold_port()
        try:
            control.add(interface)
        except OSError as error:
            self._unreachable(f"{interface.name}: ", error)

    def _unreachable(self, whose: str, error: OSError) -> None:
        self._log.write(4, f"{whose}no control socket in {self._runtime_dir}: {error.strerror or error}; `holdfast "
                           "status` and the like cannot reach this agent until it is restarted")

    def _on_outcome(self, interface: Interface, outcome: Outcome) -> None:
        self._notifications.outcome(interface, outcome)
        if self._waiting is not None and outcome.result.value in ("expired", "conflict"):
            self._waiting.begin()
        self._collector.outcome()

    def _on_links(self) -> None:
        for served in list(self._links.values()):
            if served.watch.waiting:
                self._on_link(served)

    def _on_link(self, served: ServedLink) -> None:
        moved = served.read_watch()
        if moved and served.matched:
            self._follow_soon(served)
        self._notifications.status_changed()

    def _follow_soon(self, served: ServedLink) -> None:
        """In the next round of the loop, which may be in the middle of this one's descriptors."""
        self.loop.set_timer((self, served.name), self.loop.now(), lambda: self._follow(served))

    def _follow(self, served: ServedLink) -> None:
        """A pattern-matched link is gone, or has another name: it is served under that one from now on."""
        gone, name = served.ifindex is None, served.present_name
        if self._links.get(served.name) is not served or (not gone and name == served.name):
            return
        self._end_one(served)
        if not gone and name not in self._links:
            from holdfast.state import inventory  # noqa: PLC0415

            inventory.rename(self._state_dir, served.name, name)
            self._start_insisting(name, matched=True)
        assert self._hotplug is not None
        self._hotplug.look()  # it, or another of its name, may be back already

    def _end_one(self, served: ServedLink) -> None:
        del self._links[served.name]
        if self._control is not None:
            self._control.remove(served.name)
        served.end()
        self._notifications.status_changed()

    def _on_newcomer(self, name: str, ifindex: int) -> bool:
        from holdfast.runtime.host.hotplug import MAX_SERVED  # noqa: PLC0415

        known = any(served.ifindex == ifindex for served in self._links.values())
        if known or name in self._links or name in self._others:
            return True
        if sum(served.matched for served in self._links.values()) >= MAX_SERVED:
            return False
        self._start_insisting(name, matched=True)
        return True

    def _start_insisting(self, name: str, *, matched: bool) -> None:
        """Serve ``name`` while others are served; an error is reported."""
        try:
            self._start_one(name, matched=matched)
        except (OSError, AlreadyServedError) as error:
            self._said.say(name, 3, why_not(name, error))
        else:
            started = self._links[name]
            if matched and started.ifindex is None and not started.watch.unsure:
                # Old news: it is gone already, and nobody will tell that again.
                self._follow_soon(started)
        self._notifications.status_changed()

    def warm_up(self) -> None:
        """Everything that the first packet did not need, in steps; packets are served between them. First signals, so
        that no lease is configured by an agent that SIGTERM would kill, then what a lease is configured with."""
        steps: list[Callable[[], object]] = [
            self._take_signals,
            self._notifications.notify_systemd,
            *(partial(__import__, name) for name in FOR_A_LEASE),
            self._say_what_is_served,
            *(interface.hold_port for interface in self.interfaces),
            self.loop.use_timerfd,
            self._serve_control,
            self._forget_former_machine,
            self._watch_generation,
            self._begin_waiting,
            bundle.forget,
        ]
        for step in steps:
            self.loop.run_once(0.0)
            step()

    def run(self) -> None:
        """Serve until told to stop."""
        self.loop.run()

    def _on_jump(self, jump: Jump) -> None:
        if jump.stepped:
            self._log.write(5, f"the wall clock was set by {jump.stepped:+.1f} s; leases do not depend on it")
        for interface in self.interfaces:
            interface.time_jumped(jump)

    # -- warming up ------------------------------------------------------------------------------

    def _say_what_is_served(self) -> None:
        from holdfast import __version__  # noqa: PLC0415

        names = ", ".join((*self._links, *self._patterns, *self._listed))
        self._log.write(6, f"holdfast {__version__} serves {names} (pid {os.getpid()}); an address stays when it ends")

    def _begin_waiting(self) -> None:
        from holdfast.runtime.waiting import Waiting  # noqa: PLC0415 - not before the first DISCOVER

        self._waiting = Waiting(self.loop, lambda: self.interfaces, self._log.write)
        self._waiting.begin()

    def _forget_former_machine(self) -> None:
        """Leases of interfaces that this machine does not have, too, tell that its disk is a copy."""
        from holdfast.state import identity, inventory  # noqa: PLC0415

        boot_id = identity.read_line(identity.BOOT_ID)
        gone = inventory.forget_former_machine(self._state_dir, identity.read_identity(b""), boot_id)
        if gone:
            self._log.write(4, inventory.removal_text(gone))

    def _watch_generation(self) -> None:
        from holdfast.runtime.host.vmgenid import GenerationWatch  # noqa: PLC0415

        try:
            watch = GenerationWatch()
        except OSError:
            return  # a sandbox, or a kernel without uevents

        def on_change(_mask: int) -> None:
            if watch.read():
                for interface in self.interfaces:
                    interface.restored("the VM generation id changed")

        self.loop.register(watch.fileno(), on_change)
        self._closers += [watch.close, lambda: self.loop.unregister(watch.fileno())]  # closed in reverse

    def _take_signals(self) -> None:
        from holdfast.eventloop.signals import Signals  # noqa: PLC0415

        signals = Signals(self.loop, stop=self.loop.stop, child_ended=self._reap, hangup=self._on_hangup)
        self._closers.append(signals.close)

    def _on_hangup(self) -> None:
        from holdfast.settings import SettingsError  # noqa: PLC0415 - seldom asked for

        if self._reread is None:
            return
        try:
            settings, names = self._reread()
        except SettingsError as error:
            for line in error.problems:
                self._log.write(3, f"reload: {line}")
            self._log.write(3, "reload: the configuration is wrong, so nothing is changed")
            return
        self._reload(settings, names)

    def _reload(self, settings: Settings, names: list[str]) -> None:
        """Go on with ``settings``, serving the links called ``names`` and those that fit a pattern."""
        from holdfast.runtime import reload  # noqa: PLC0415

        former, self._context.settings, self._settings = self._settings, settings, settings
        self._log.level = settings.log_priority
        for line in reload.agent_changes(former, settings):
            self._log.write(5, f"reload: {line}")
        for served in list(self._links.values()):
            if not served.matched and served.name not in names:
                self._log.write(5, f"reload: {served.name} is named no more; its address stays until its lease ends")
                self._end_one(served)
                continue
            for priority, line in reload.apply(served.interface, former, settings):
                self._log.write(priority, f"reload: {served.name}: {line}")
        for name in [name for name in names if name not in self._links]:
            self._log.write(5, f"reload: {name} is served from now on")
            self._start_insisting(name, matched=False)
        self._log.write(5, "reload: done")

    def _serve_control(self) -> None:
        from holdfast.control.unix_socket import may_give_to  # noqa: PLC0415
        from holdfast.runtime.control_service import Control, group_id  # noqa: PLC0415

        name, group = self._settings.control_group, None
        try:
            group = group_id(name)
        except KeyError:
            self._log.write(4, f"control_group: there is no group {name}; root only")
        if group is not None and not may_give_to(group):
            group = None
            self._log.write(4, f"control_group: we may not give the socket to {name}; root only. A drop-in of the unit "
                               f"has to say SupplementaryGroups={name} and SystemCallFilter=@chown")
        self._control = Control(self.loop, self._runtime_dir, self._state_dir, group=group)
        self._closers.append(self._control.close)
        if self._patterns or self._listed:
            try:
                self._control.serve_patterns((*self._patterns, *self._listed))
            except OSError as error:
                self._unreachable("", error)
        for interface in self.interfaces:
            self._settle(self._control, interface)

    def _status(self) -> str:
        patterns = ", ".join((*self._patterns, *self._listed))
        return "; ".join(map(_status, self.interfaces)) or f"no interface fits {patterns} yet"

    def _reap(self) -> None:
        self._notifications.reap()
        if self._spooler is not None:
            self._spooler.reap()

    # -- the end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop, keeping every address and lease; then close everything."""
        self._notifications.stopping()
        kept = [text for interface in self.interfaces if (text := _kept(interface, self.loop.now()))]
        if self._hotplug is not None:
            self._hotplug.close()
        for served in self._links.values():
            served.end()
        self._context.close()
        for close in reversed(self._closers):
            close()
        self._notifications.close()
        if self._spooler is not None:
            self._spooler.close()
        self._log.write(6, f"ended; {', '.join(kept)}" if kept else "ended; there was no address to keep")
        self.loop.close()
        self._log.close()


def _status(interface: Interface) -> str:
    shot = interface.snapshot()
    if interface.link is None:
        return f"{interface.name}: no such interface, waiting for it"
    return f"{interface.name}: {shot.state}" + (f" {shot.lease.address}" if shot.lease is not None else "")


def _kept(interface: Interface, now: float) -> str | None:
    """What stays on the interface; None for nothing."""
    lease = interface.snapshot().lease
    if lease is None or interface.spec is None:
        return None
    left = "for ever" if lease.infinite else f"for {lease.seconds_left(now):.0f} s"
    return f"{interface.name} keeps {lease.address} {left}"


def why_not(name: str, error: OSError | AlreadyServedError) -> str:
    """The line about interface ``name``, which cannot be served because of ``error``."""
    text = str(getattr(error, "strerror", None) or error)
    return text if name in text else f"{name} cannot be served: {text}"
