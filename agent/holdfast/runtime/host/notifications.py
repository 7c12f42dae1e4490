"""Who hears of what happens: systemd, and the operator's hooks. Everything here waits until the first packet is out."""

from __future__ import annotations

import os
from collections.abc import Callable

from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.core.outcome import Outcome
    from holdfast.runtime.host.hooks import Hooks
    from holdfast.runtime.host.systemd import Notifier
    from holdfast.runtime.interface import Driver
    from holdfast.runtime.serving import Common

#: Where hooks are when the configuration does not say.
HOOKS_DIR = "/etc/holdfast/hooks.d"
#: Results after which nothing about the interface is different.
UNTOLD_TO_HOOKS = ("kept", "refused", "stopped")


class Telling:
    """``status`` is the line about all interfaces."""

    def __init__(self, common: Common, status: Callable[[], str]) -> None:
        self._common, self._status = common, status
        self._notifier: Notifier | None = None
        self._hooks: Hooks | None = None

    def notify_systemd(self) -> None:
        """Started; from now on systemd hears the status, and that we live if it wants to."""
        from holdfast.runtime.host.systemd import Notifier  # noqa: PLC0415

        self._notifier = Notifier()
        self._notifier.ready()
        self._tell_status()
        self._feed_watchdog()

    def _feed_watchdog(self) -> None:
        if self._notifier is not None and self._notifier.watchdog_interval is not None:
            self._notifier.alive()
            loop = self._common.loop
            loop.set_timer((self, "watchdog"), loop.now() + self._notifier.watchdog_interval, self._feed_watchdog)

    def plan_status(self) -> None:
        """The status may be another."""
        self._common.loop.set_timer((self, "status"), self._common.loop.now(), self._tell_status)

    def _tell_status(self) -> None:
        if self._notifier is not None and self._notifier.present:
            self._notifier.status(self._status())

    def outcome(self, driver: Driver, outcome: Outcome) -> None:
        """An acquisition or renewal ended."""
        self.plan_status()
        folder = self._common.settings.hooks_dir or HOOKS_DIR
        if outcome.result.value not in UNTOLD_TO_HOOKS and os.path.isdir(folder):
            # In the next round of the loop: the interface then is what the outcome led to.
            self._common.loop.set_timer(
                (self, driver, outcome.started_at), self._common.loop.now(),
                lambda: self._run_hooks(folder, driver, outcome),
            )

    def _run_hooks(self, folder: str, driver: Driver, outcome: Outcome) -> None:
        from holdfast.runtime.host import hooks  # noqa: PLC0415 - subprocess costs 8 ms

        common = self._common
        if self._hooks is None:
            self._hooks = hooks.Hooks(folder, common.loop, common.log.write)
        self._hooks.fire(hooks.describe(
            driver.name, outcome, driver.spec, now=common.clock.boottime(), wall=common.clock.wall()
        ))

    def reap(self) -> None:
        """A child has ended."""
        if self._hooks is not None:
            self._hooks.reap()

    def stopping(self) -> None:
        """The end begins."""
        if self._notifier is not None:
            self._notifier.stopping()

    def close(self) -> None:
        """Wait for no hook any more."""
        if self._hooks is not None:
            self._hooks.close()
