"""One process for all interfaces: starts the drivers, then everything that can wait until a DISCOVER is out.

Theory of operation
-------------------
``start`` brings each driver to its first packet with as few imports as possible. ``warm_up`` then does
the rest in small steps with the loop running in between, so that an OFFER that comes at once is
answered at once. SIGTERM and SIGINT end the process with every address and lease kept (rule 51).
SIGHUP changes nothing: a restart keeps the address as well, and reads the whole configuration.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from holdfast.runtime.assembly import AlreadyServedError, lock, make_parts, make_reporter, make_resolver
from holdfast.runtime.clock import Clock, Jump, SystemClock
from holdfast.runtime.driver import Driver
from holdfast.runtime.loop import Loop
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.core.outcome import Outcome
    from holdfast.network.watch import LinkWatch
    from holdfast.observe.log import Log
    from holdfast.observe.report import InterfaceReporter
    from holdfast.runtime.hooks import Hooks
    from holdfast.runtime.ports import Resolver
    from holdfast.runtime.systemd import Notifier
    from holdfast.settings.model import Settings

#: Where hooks are when the configuration does not say.
HOOKS_DIR = "/etc/holdfast/hooks.d"
#: Results after which nothing about the interface is different.
UNTOLD_TO_HOOKS = ("kept", "refused", "stopped")


class Supervisor:
    """All interfaces of one agent."""

    def __init__(
        self, names: list[str], settings: Settings, state_dir: str, runtime_dir: str, log: Log,
        clock: Clock | None = None,
    ) -> None:
        self._names, self._settings = names, settings
        self._state_dir, self._runtime_dir = state_dir, runtime_dir
        self._clock = clock or SystemClock()
        self.loop = Loop(self._clock)
        self._log = log
        self.drivers: list[Driver] = []
        self._reporters: list[InterfaceReporter] = []
        self._watches: list[LinkWatch] = []
        self._locks: list[int] = []
        self._closers: list[Callable[[], None]] = []
        self._notifier: Notifier | None = None
        self._hooks: Hooks | None = None
        self._publisher: Resolver | None = None

    def _resolver(self) -> Resolver:
        if self._publisher is None:
            self._publisher = make_resolver(self._state_dir)
        return self._publisher

    def start(self) -> None:
        """Bring every interface to its first packet. AlreadyServedError, LinkError or OSError when none can be."""
        self.loop.on_jump = self._on_jump
        for folder in (self._state_dir, self._runtime_dir):
            try:
                os.makedirs(folder, mode=0o755, exist_ok=True)
            except OSError as error:
                self._log.write(4, f"{folder} cannot be made: {error.strerror}; going on without it")
        problems: list[OSError | AlreadyServedError] = []
        for name in self._names:
            try:
                self._start_one(name)
            except (OSError, AlreadyServedError) as error:
                problems.append(error)
        if len(problems) == len(self._names) and problems:
            raise problems[0]
        for problem in problems:  # one interface that cannot be served is no reason to leave the others alone
            self._log.write(3, str(getattr(problem, "strerror", None) or problem))

    def _start_one(self, name: str) -> None:
        from holdfast.network.watch import LinkWatch  # noqa: PLC0415 - kept out of what tests import

        fd = lock(self._runtime_dir, name)
        if fd is not None:
            self._locks.append(fd)
        reporter = make_reporter(name, self._settings, self._state_dir, self._log)
        parts = make_parts(
            name, self._settings.interface(name), self._state_dir, self.loop, self._clock, reporter, self._resolver
        )
        driver = Driver(name, self.loop, reporter, parts)
        watch = LinkWatch(name)  # before the driver looks, so that nothing is missed
        self._reporters.append(reporter)
        self.drivers.append(driver)
        self._watches.append(watch)

        def on_link(_mask: int) -> None:
            driver.links_changed(watch.read())
            self._plan_status()

        self.loop.register(watch.fileno(), on_link)
        driver.subscribe(lambda outcome: self._on_outcome(driver, outcome))
        driver.begin()

    def warm_up(self) -> None:
        """Everything that the first packet did not need, in steps; packets are served between them."""
        steps: list[Callable[[], None]] = [
            self._take_signals,
            _import_kernel,
            *(driver.hold_port for driver in self.drivers),
            self._notify_systemd,
            self.loop.use_timerfd,
            self._serve_control,
            _import_store,
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
        for driver in self.drivers:
            driver.time_jumped(jump)

    # -- warming up ------------------------------------------------------------------------------

    def _take_signals(self) -> None:
        from holdfast.runtime.signals import Signals  # noqa: PLC0415

        signals = Signals(self.loop, stop=self.loop.stop, child_ended=self._reap, hangup=self._on_hangup)
        self._closers.append(signals.close)

    def _on_hangup(self) -> None:
        self._log.write(5, "SIGHUP changes nothing; restart to read the configuration: the address stays")

    def _notify_systemd(self) -> None:
        from holdfast.runtime.systemd import Notifier  # noqa: PLC0415

        self._notifier = Notifier()
        self._notifier.ready()
        self._tell_status()
        self._feed_watchdog()

    def _feed_watchdog(self) -> None:
        if self._notifier is not None and self._notifier.watchdog_interval is not None:
            self._notifier.alive()
            self.loop.set_timer((self, "watchdog"), self.loop.now() + self._notifier.watchdog_interval,
                                self._feed_watchdog)

    def _serve_control(self) -> None:
        from holdfast.runtime.control import Control, group_id  # noqa: PLC0415

        group = None
        try:
            group = group_id(self._settings.control_group)
        except KeyError:
            self._log.write(4, f"control_group: there is no group {self._settings.control_group}; root only")
        control = Control(self.loop, self._runtime_dir, self._state_dir, group=group)
        self._closers.append(control.close)
        for driver in self.drivers:
            try:
                control.add(driver)
            except OSError as error:
                self._log.write(4, f"{driver.name}: no control socket: {error.strerror or error}")

    # -- outcomes --------------------------------------------------------------------------------

    def _on_outcome(self, driver: Driver, outcome: Outcome) -> None:
        self._plan_status()
        folder = self._settings.hooks_dir or HOOKS_DIR
        if outcome.result.value not in UNTOLD_TO_HOOKS and os.path.isdir(folder):
            # In the next round of the loop: the interface then is what the outcome led to.
            self.loop.set_timer(
                (self, driver, outcome.started_at), self.loop.now(), lambda: self._run_hooks(folder, driver, outcome)
            )

    def _plan_status(self) -> None:
        self.loop.set_timer((self, "status"), self.loop.now(), self._tell_status)

    def _run_hooks(self, folder: str, driver: Driver, outcome: Outcome) -> None:
        from holdfast.runtime import hooks  # noqa: PLC0415 - subprocess costs 8 ms

        if self._hooks is None:
            self._hooks = hooks.Hooks(folder, self.loop, self._log.write)
        self._hooks.fire(hooks.describe(
            driver.name, outcome, driver.spec, now=self._clock.boottime(), wall=self._clock.wall()
        ))

    def _tell_status(self) -> None:
        if self._notifier is not None and self._notifier.present:
            self._notifier.status("; ".join(map(_status, self.drivers)))

    def _reap(self) -> None:
        if self._hooks is not None:
            self._hooks.reap()

    # -- the end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop, keeping every address and lease; then close everything."""
        if self._notifier is not None:
            self._notifier.stopping()
        for driver in self.drivers:
            driver.end()
        for watch in self._watches:
            self.loop.unregister(watch.fileno())
            watch.close()
        for close in reversed(self._closers):
            close()
        if self._hooks is not None:
            self._hooks.close()
        for reporter in self._reporters:
            reporter.close()
        for fd in self._locks:
            os.close(fd)
        self.loop.close()
        self._log.close()


def _status(driver: Driver) -> str:
    shot = driver.snapshot()
    if driver.link is None:
        return f"{driver.name}: no such interface, waiting for it"
    return f"{driver.name}: {shot.state}" + (f" {shot.lease.address}" if shot.lease is not None else "")


def _import_kernel() -> None:
    import holdfast.network.kernel  # noqa: F401, PLC0415


def _import_store() -> None:
    import holdfast.runtime.leasefile  # noqa: F401, PLC0415
