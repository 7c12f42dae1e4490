"""Notifies systemd and the operator's hooks of outcomes and states. Nothing is done before the first packet is sent."""

from __future__ import annotations

import os

from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.core.outcome import Outcome
    from holdfast.runtime.factory import AgentContext
    from holdfast.runtime.host.hooks import Hooks
    from holdfast.runtime.host.systemd import Notifier
    from holdfast.runtime.interface import Interface

#: Where hooks are when the configuration does not say.
HOOKS_DIR = "/etc/holdfast/hooks.d"
#: Results after which nothing about the interface is different.
NOT_FOR_HOOKS = ("kept", "refused", "stopped")


class Notifications:
    """Notifies systemd and the hooks. ``status`` is the line about all interfaces for `systemctl status`."""

    def __init__(self, context: AgentContext, status: Callable[[], str]) -> None:
        self._context, self._status = context, status
        self._notifier: Notifier | None = None
        self._hooks: Hooks | None = None

    def notify_systemd(self) -> None:
        """Send READY=1 once the client knows how it will start (it does not wait for a server), and from now on STATUS=
        and, where WatchdogSec= asks for it, WATCHDOG=1."""
        from holdfast.runtime.host.systemd import Notifier  # noqa: PLC0415

        self._notifier = Notifier()
        self._notifier.ready()
        self._send_status()
        self._feed_watchdog()

    def _feed_watchdog(self) -> None:
        if self._notifier is not None and self._notifier.watchdog_interval is not None:
            self._notifier.alive()
            loop = self._context.loop
            loop.set_timer((self, "watchdog"), loop.now() + self._notifier.watchdog_interval, self._feed_watchdog)

    def status_changed(self) -> None:
        """Coalesce a STATUS= update into the next loop iteration."""
        self._context.loop.set_timer((self, "status"), self._context.loop.now(), self._send_status)

    def _send_status(self) -> None:
        if self._notifier is not None and self._notifier.present:
            self._notifier.status(self._status())

    def outcome(self, interface: Interface, outcome: Outcome) -> None:
        """Update the status and run the hooks for an acquisition or renewal that ended."""
        self.status_changed()
        folder = self._context.settings.hooks_dir or HOOKS_DIR
        if outcome.result.value not in NOT_FOR_HOOKS and os.path.isdir(folder):
            # In the next round of the loop: the interface then is what the outcome led to.
            self._context.loop.set_timer(
                (self, interface, outcome.started_at), self._context.loop.now(),
                lambda: self._run_hooks(folder, interface, outcome),
            )

    def _run_hooks(self, folder: str, interface: Interface, outcome: Outcome) -> None:
        from holdfast.runtime.host import hooks  # noqa: PLC0415 - subprocess costs 8 ms

        context = self._context
        if self._hooks is None:
            self._hooks = hooks.Hooks(folder, context.loop, context.log.write)
        self._hooks.folder = folder
        lease = interface.snapshot().lease
        self._hooks.fire(hooks.describe(
            interface.name, outcome, interface.spec, {} if lease is None else lease.options,
            now=context.clock.boottime(), wall=context.clock.wall(),
        ))

    def reap(self) -> None:
        """Take note of hooks that ended; to be called after SIGCHLD."""
        if self._hooks is not None:
            self._hooks.reap()

    def stopping(self) -> None:
        """Send STOPPING=1."""
        if self._notifier is not None:
            self._notifier.stopping()

    def close(self) -> None:
        """Wait for no hook any more; those that run end by themselves."""
        if self._hooks is not None:
            self._hooks.close()
