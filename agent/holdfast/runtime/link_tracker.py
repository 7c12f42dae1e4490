"""Which link is served: found or waited for, followed through renames, let go when it is gone or another one.

The link may go and come back: ``LinkWatch`` follows it by its index through renames, and by its name when it was
removed. A link with another hardware address is another client with another identity.
"""

from __future__ import annotations

import errno

from holdfast.core import events as ev
from holdfast.network import LinkError
from holdfast.network.watch import Kind, LinkEvent
from holdfast.settings import SettingsError
from holdfast.wire.record import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from holdfast.core.client import Snapshot
    from holdfast.eventloop.ports import Loop
    from holdfast.network.link import Link
    from holdfast.runtime.configurator import Configurator
    from holdfast.runtime.ports import InterfaceDeps, Reporter, Sockets

#: Pause between two looks at the link that could not be used (not Ethernet, sockets refused), in seconds.
LINK_RETRY = 5.0


class LinkUser(Protocol):
    """Who works on the link: ``runtime.driver.Driver``."""

    def serve(self, link: Link) -> None:
        """The link is there, and its sockets are open. OSError or SettingsError when it cannot be served."""

    def link_changed(self, change: LinkEvent) -> None:
        """Something happened on the link; it is still the same one."""

    def snapshot(self) -> Snapshot: ...
    def submit(self, event: ev.Event) -> None: ...


class Follower:
    """Follows the link that is called ``name`` when we start, and opens and closes what hangs on it."""

    def __init__(
        self, name: str, loop: Loop, reporter: Reporter, parts: InterfaceDeps, sockets: Sockets,
        configurator: Configurator, user: LinkUser,
    ) -> None:
        self._name = name  # what it is called now, or was when it was last there; as LinkWatch has it
        self._loop, self._reporter, self._parts = loop, reporter, parts
        self._sockets, self._configurator, self._user = sockets, configurator, user
        self._known = False  # it was there before
        self._refusal_told = ""
        self.link: Link | None = None  # the one being served, None while there is none

    def begin(self) -> None:
        """Find the link, or say that it is waited for. LinkError or OSError when we may not serve it."""
        try:
            link = self._parts.find(self._name)
        except LinkError as error:
            if error.errno != errno.ENODEV:
                raise
            self._reporter.line(4, f"{error.strerror or error}; waiting for it")
            return
        self._take(link)

    def look(self, *, was_away: bool = True) -> None:
        """Find the link if there is none now, and tell of it when it ``was_away``. What stands in the way is told,
        and tried again."""
        if self.link is not None:
            return
        again = " again" if self._known else ""
        try:
            self._take(self._parts.find(self._name))
        except (OSError, SettingsError) as error:
            self.link = None  # half served is not served
            self._sockets.close()
            if getattr(error, "errno", None) == errno.ENODEV:
                return  # netlink will tell when it appears
            why = str(getattr(error, "strerror", None) or error)
            if why != self._refusal_told:
                self._reporter.line(3, f"{self._name} cannot be served: {why}; trying again")
            self._refusal_told = why
            self._loop.set_timer((self, "look"), self._loop.now() + LINK_RETRY, self.look)
        else:
            self._refusal_told = ""
            if was_away:
                self._reporter.line(5, f"{self._name} is here{again}")

    def _take(self, link: Link) -> None:
        if not link.up:
            self._parts.set_up(link.name)
            link = self._parts.find(link.name)
        self._sockets.open(link.name, link.mac)
        self.link, self._name = link, link.name
        self._configurator.attach(link)
        self._user.serve(link)
        self._known = True

    def lost(self) -> None:
        """The sockets found out before netlink told; look again in case it is back by then."""
        self._lose("removed")
        self._loop.set_timer((self, "look"), self._loop.now() + LINK_RETRY, self.look)

    def changed(self, changes: list[LinkEvent]) -> None:
        """What netlink told, in order."""
        # The kernel takes the addresses off a link before it removes it: nobody else deleted them.
        ending = any(change.kind is Kind.GONE for change in changes)
        for change in changes:
            if not (ending and change.kind in (Kind.ADDRESS_REMOVED, Kind.ROUTE_REMOVED)):
                self._changed(change)

    def _changed(self, change: LinkEvent) -> None:
        kind = change.kind
        if kind is Kind.GONE:
            self._lose("removed, or moved to another namespace")
        elif kind is Kind.APPEARED or (kind is Kind.CARRIER_UP and self.link is None):
            self.look()
        elif self.link is None:
            return
        elif kind is Kind.RENAMED:
            self.link, self._name = self.link._replace(name=change.name), change.name
            self._sockets.rename(change.name)
            self._configurator.attach(self.link)
            self._reporter.line(5, f"{change.former} was renamed to {change.name}; it is served on")
        elif kind is Kind.NEW_MAC:
            if change.mac != self.link.mac:  # else known since we looked
                self._change_mac(self.link, change.mac)
        else:
            self._user.link_changed(change)

    def _lose(self, why: str) -> None:
        if self.link is not None:
            self._reporter.line(4, f"{self.link.name} is gone ({why}); waiting for it")
            self._let_go()

    def _let_go(self) -> None:
        self.link = None
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
        self.look(was_away=False)

    def stop(self) -> None:
        """Look for nothing any more."""
        self._loop.set_timer((self, "look"), None, self.look)
