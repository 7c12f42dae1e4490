"""Finds the link that is served, or waits for it; follows it through renames; drops it when it is gone or another.

``LinkWatch`` follows the link by its index through renames, and by its name when it was removed. A link with another
hardware address is another client with another identity.
"""

from __future__ import annotations

import errno

from holdfast.core import events as ev
from holdfast.network import LinkError
from holdfast.network.watch import Kind, LinkEvent
from holdfast.runtime.retry import Retry
from holdfast.settings import SettingsError
from holdfast.wire.record import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from holdfast.core.client import Snapshot
    from holdfast.eventloop.ports import Loop
    from holdfast.network.link import Link
    from holdfast.runtime.configurator import Configurator
    from holdfast.runtime.ports import InterfaceDeps, Reporter, Sockets

#: Seconds between two attempts to use a link that cannot be used (not Ethernet, sockets refused).
LINK_RETRY = 5.0
#: Seconds between two looks whether the link's manager has set it up, how long that is waited for once the manager
#: has been started, and how long its start is.
MANAGER_RETRY, MANAGER_PATIENCE, START_PATIENCE = 0.05, 10.0, 30.0
#: The events about which link is served; all others are about the link itself.
TRACKED = frozenset({Kind.GONE, Kind.APPEARED, Kind.RENAMED, Kind.NEW_MAC})


class LinkUser(Protocol):
    """The user of the link: ``runtime.interface.Interface``."""

    def serve(self, link: Link) -> None:
        """The link is there, and its sockets are open. Raises OSError or SettingsError when it cannot be served."""

    def snapshot(self) -> Snapshot:
        """The core's state."""

    def submit(self, event: ev.Event) -> None:
        """Feed the core one event."""


class LinkTracker:
    """Tracks the link that is called ``name`` at the start, and opens and closes its sockets and kernel side."""

    def __init__(
        self, name: str, loop: Loop, reporter: Reporter, deps: InterfaceDeps, sockets: Sockets,
        configurator: Configurator, user: LinkUser,
    ) -> None:
        self._name = name  # what it is called now, or was when it was last there; as LinkWatch has it
        self._reporter, self._deps = reporter, deps
        self._sockets, self._configurator, self._user = sockets, configurator, user
        self._known = False  # it was there before
        self._looking = Retry(
            loop, self._look, LINK_RETRY, LINK_RETRY, errors=(OSError, SettingsError), on_failure=self._on_refused
        )
        self._waiting = Retry(loop, self._look, MANAGER_RETRY, MANAGER_RETRY)
        self._loop = loop
        self._waits_since = self._waits_until = 0.0  # for the link's manager; 0: not yet
        self._manager_runs = False
        self.link: Link | None = None  # the one being served, None while there is none

    def begin(self) -> None:
        """Find the link, or say that it is waited for. Raises LinkError or OSError when it may not be served."""
        try:
            link = self._deps.find(self._name)
        except LinkError as error:
            if error.errno != errno.ENODEV:
                raise
            self._reporter.line(4, f"{error.strerror or error}; waiting for it")
            return
        self._take(link)

    def look(self) -> None:
        """Find the link if there is none now, and say that it is there. An error is reported, and it is
        tried again."""
        self._looking.attempt()

    def _look(self) -> None:
        if self.link is not None:
            return
        again = " again" if self._known else ""
        if self._find():
            self._reporter.line(5, f"{self._name} is here{again}")

    def _find(self) -> bool:
        """Take the link if it is there, and its manager has it. Raises OSError or SettingsError when it cannot be
        served."""
        try:
            taken = self._take(self._deps.find(self._name))
        except (OSError, SettingsError) as error:
            self.link = None  # half served is not served
            self._sockets.close()
            if getattr(error, "errno", None) == errno.ENODEV:
                return False  # a netlink event reports it when it appears
            raise
        self._reporter.line_over("link")
        return taken

    def _on_refused(self, error: Exception) -> None:
        why = getattr(error, "strerror", None) or error
        self._reporter.line_once("link", 3, f"{self._name} cannot be served: {why}; trying again")

    def _take(self, link: Link) -> bool:
        """Serve the link; False when its manager is waited for."""
        if not self._deps.manager_has(link) and self._patient(link):
            self._waiting.attempt_after(MANAGER_RETRY)
            return False
        if not link.up:
            self._deps.set_up(link.name)
            link = self._deps.find(link.name)
        self._sockets.open(link.name, link.mac)
        self.link, self._name = link, link.name
        self._configurator.attach(link)
        self._user.serve(link)
        self._known = True
        return True

    def _patient(self, link: Link) -> bool:
        """True while the link's manager may yet set it up. What is served before would be another program's link to
        it, and left alone."""
        now = self._loop.now()
        if not self._waits_until:
            self._waits_since, self._waits_until = now, now + START_PATIENCE
            self._reporter.line(6, f"{link.name} is served when its manager has set it up")
        if not self._manager_runs and self._deps.manager_runs():
            self._manager_runs, self._waits_until = True, now + MANAGER_PATIENCE
        if now < self._waits_until:
            return True
        self._reporter.line_once("manager", 4, f"{link.name} is served although its manager has not set it up in "
                                               f"{now - self._waits_since:.0f} s")
        return False

    def lost(self) -> None:
        """The sockets reported the loss before netlink; look again later in case the link is back by then."""
        self._lose("removed")
        self._looking.attempt_after(LINK_RETRY)

    def changed(self, change: LinkEvent) -> None:
        """Process one event of ``TRACKED``."""
        if change.kind is Kind.GONE:
            self._lose("removed, or moved to another namespace")
        elif change.kind is Kind.APPEARED:
            self.look()
        elif self.link is None:
            return
        elif change.kind is Kind.RENAMED:
            self.link, self._name = self.link._replace(name=change.name), change.name
            self._sockets.rename(change.name)
            self._configurator.attach(self.link)
            self._reporter.line(5, f"{change.former} was renamed to {change.name}; it is served on")
        elif change.mac != self.link.mac:  # else known since we looked
            self._change_mac(self.link, change.mac)

    def _lose(self, why: str) -> None:
        if self.link is not None:
            self._reporter.line(4, f"{self.link.name} is gone ({why}); waiting for it")
            self._let_go()

    def _let_go(self) -> None:
        self.link, self._waits_until = None, 0.0
        self._sockets.close()
        self._configurator.detach()
        self._user.submit(ev.LinkDown())

    def _change_mac(self, link: Link, mac: bytes) -> None:
        """To its server, and to our lease file, another hardware address is another client."""
        lease = self._user.snapshot().lease
        stays = f"; {lease.address} stays until its lease ends, and is not renewed" if lease is not None else ""
        self._reporter.line(4, f"{link.name}: the hardware address changed from {link.mac.hex(':')} to {mac.hex(':')}; "
                               f"to a server that is another client, so a lease of its own is asked for{stays}")
        self._let_go()
        try:
            self._find()
        except (OSError, SettingsError) as error:
            self._looking.failed(error)

    def stop(self) -> None:
        """Stop looking for the link."""
        self._looking.cancel()
        self._waiting.cancel()
