"""One interface of this process: its driver, its watch, its reporter, its lock; made and ended together."""

from __future__ import annotations

import os

from holdfast.network.watch import Kind, LinkWatch
from holdfast.runtime.factory import lock, make_deps, make_reporter
from holdfast.runtime.interface import Driver
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.clock import Clock
    from holdfast.eventloop.loop import Loop
    from holdfast.observe.log import Log
    from holdfast.runtime.ports import Resolver
    from holdfast.settings.model import Settings


class Common:
    """What all interfaces of the process share."""

    def __init__(
        self, settings: Settings, state_dir: str, runtime_dir: str, log: Log, clock: Clock, loop: Loop,
        resolver: Callable[[], Resolver],
    ) -> None:
        self.settings, self.state_dir, self.runtime_dir = settings, state_dir, runtime_dir
        self.log, self.clock, self.loop, self.resolver = log, clock, loop, resolver


class Serving:
    """``matched``: it fits a pattern, nobody named it; then it ends with its link, and follows its name.

    AlreadyServedError or LinkError when it cannot be watched. ``begin`` is still to be called.
    """

    def __init__(self, name: str, common: Common, *, matched: bool) -> None:
        self.name, self.matched = name, matched
        self._common = common
        self._lock = lock(common.runtime_dir, name)
        try:
            self.watch = LinkWatch(name)  # before the driver looks, so that nothing is missed
        except OSError:
            self._unlock()
            raise
        self.reporter = make_reporter(name, common.settings, common.state_dir, common.log)
        parts = make_deps(
            name, common.settings.interface(name), common.state_dir, common.runtime_dir, common.loop, common.clock,
            self.reporter, common.resolver,
        )
        self.driver = Driver(name, common.loop, self.reporter, parts, self._awaited)

    @property
    def ifindex(self) -> int | None:
        """The kernel's number of the link, as far as told; None while there is none."""
        return None if self.watch.link is None else self.watch.link.ifindex

    @property
    def present_name(self) -> str:
        """What the link is called now, or was when it was last there."""
        return self.watch.name

    def _awaited(self) -> bool:
        """A card without a cable, that nobody named, is no reason for a boot to wait."""
        return not self.matched or (self.watch.link is not None and self.watch.link.carrier)

    def read_watch(self) -> bool:
        """Hand on what netlink told; True when the link went away or got another name."""
        changes = self.watch.read()
        self.driver.links_changed(changes)
        return any(change.kind in (Kind.GONE, Kind.RENAMED) for change in changes)

    def end(self) -> None:
        """Stop, keeping the address and the lease; everything is closed."""
        self.driver.end()
        self._common.loop.unregister(self.watch.fileno())
        self.watch.close()
        self.reporter.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
