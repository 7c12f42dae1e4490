"""Waits until interfaces are online, and the names of their leases can be resolved: ``holdfast wait-online``.

``main`` is what holdfast-wait-online.service runs. A boot waits for it, so it imports no library of the command line,
and what it waits for wakes it: an agent answers its call, a socket that appears and a publisher that is done change a
folder. With ``--publish`` it is the publisher, too, as soon as there is a lease: it is root then.
"""

from __future__ import annotations

import os
import select
import sys
import time
from math import inf

from holdfast.control.client import Call, ControlError, NotPermittedError, sockets
from holdfast.escape import printable
from holdfast.eventloop.folder_changes import FolderChanges
from holdfast.settings import Settings, SettingsError, read
from holdfast.settings.dirs import dns_dir, search_runtime_dirs
from holdfast.settings.links import awaited, is_pattern

FAILED, NOT_PERMITTED, WRONG_CONFIGURATION = 1, 5, 6
#: Seconds until ``wait-online`` gives up, unless told otherwise.
TIMEOUT = 120.0
#: Seconds until an agent is asked again that ended instead of an answer.
ASK_AGAIN = 0.25
#: Seconds in which a link may appear that fits a pattern of the list of links; then there is nothing to wait for.
APPEARANCE = 5.0
#: Seconds for the publisher, once an interface has its lease. A boot goes on without names.
NAMES_WITHIN = 10.0
#: Bytes of what is published for an interface (publish/spool.py).
_SIZE_LIMIT = 8 << 10


class WaitError(Exception):
    """Waiting ends without success: ``status`` is the exit status, the text one line or more for the user."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def main(*, publish: bool = False) -> int:
    """Wait for what the configuration and the list of links name, or an agent serves, and ``publish`` their names; the
    exit status."""
    if publish:
        import holdfast.publish.publisher  # noqa: F401, PLC0415 - now, and not when there is a lease
    try:
        settings = read(overlay=False)
    except SettingsError:
        settings = Settings()  # agents that were started before it became wrong are still found
        _say("the configuration is wrong and not used; see `holdfast config check`")
    try:
        wait(settings, publish=publish)
    except WaitError as error:
        _say(*str(error).split("\n"))
        return error.status
    return 0


def _say(*lines: str) -> None:
    for line in lines:
        sys.stderr.write(f"holdfast: {printable(line)}\n")


def wait(
    settings: Settings, given: tuple[str, ...] = (), *, any_one: bool = False, timeout: float = TIMEOUT,
    publish: bool = False,
) -> None:
    """Return when the interfaces ``given``, names or patterns, or else all that the machine is to wait for, are online,
    with ``any_one`` the first of them; at the latest after ``timeout`` seconds, 0 for no limit. Their names are waited
    for, too, and with ``publish`` made known. Raises WaitError."""
    waiter = Waiter(settings, given, any_one=any_one)
    try:
        if not waiter.wait(inf if timeout == 0 else time.monotonic() + timeout, publish=publish):
            missing = ", ".join(waiter.missing()) or "no interface is served"
            raise WaitError(FAILED, f"not online after {timeout:g} s: {missing}")
        if publish:
            waiter.publish_names()
        unnamed = waiter.wait_names(time.monotonic() + NAMES_WITHIN)
        if unnamed:
            _say(f"name servers not in use after {NAMES_WITHIN:g} s: {', '.join(unnamed)}; going on without them")
    finally:
        waiter.close()


class Waiter:
    """Calls WaitOnline once for each interface; its agent answers when the interface is online."""

    def __init__(self, settings: Settings, given: tuple[str, ...], *, any_one: bool) -> None:
        self._settings, self._given, self._any = settings, given, any_one
        self._folders = search_runtime_dirs(settings.runtime_dir)
        self._wanted: set[str] = set()
        self._paths: dict[str, str] = {}
        self._listed = False
        self._asked: dict[str, Call] = {}
        self._online: set[str] = set()
        self._excused: set[str] = set()
        self._attempted: dict[str, bytes | None] = {}
        self._changes = FolderChanges()

    def wait(self, deadline: float, *, publish: bool = False) -> bool:
        """True when all are online; False at ``deadline`` (time.monotonic). With ``publish`` names of those that are
        wait for no other. Raises WaitError."""
        appeared_by = time.monotonic() + APPEARANCE
        while True:
            self._changes.watch(self._folders)
            self._ask()
            if self._done():
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if self._listed and not self._wanted and time.monotonic() >= appeared_by:
                return True
            self._listen(left)
            if self._done():
                return True
            if publish:
                self.publish_names()

    def publish_names(self) -> None:
        """Publish what the leases say of names and nobody has published, once. What has to be repeated is left to
        holdfast-dns.service."""
        from holdfast.publish import publisher  # noqa: PLC0415 - for root only

        wanted = {name: self._said(name) for name in self._online if not self._published(name)}
        fresh = [name for name, said in wanted.items() if self._attempted.get(name) != said]
        self._attempted.update(wanted)
        for folder in sorted({os.path.dirname(self._paths[name]) for name in fresh}):
            publisher.publish(f"{folder}/dns", publisher.state_dir(), None)

    def wait_names(self, deadline: float) -> list[str]:
        """Wait until what the leases say of names has been published; the names of the interfaces, sorted, whose has
        not at ``deadline`` (time.monotonic). That nothing can be published does not count: the publisher tells."""
        while True:
            self._changes.watch([dns_dir(folder) for folder in self._folders])
            waits = sorted(name for name in self._online & self._wanted if not self._published(name))
            left = deadline - time.monotonic()
            if not waits or left <= 0:
                return waits
            self._changes.wait(select.poll(), left)

    def missing(self) -> list[str]:
        """The interfaces that are not online yet, by name."""
        return sorted(self._wanted - self._online)

    def close(self) -> None:
        """Close all connections."""
        for call in self._asked.values():
            call.close()
        self._asked.clear()
        self._changes.close()

    def _published(self, name: str) -> bool:
        """Whether the publisher has done what the agent asked of it for this interface, if anything."""
        folder, wanted = os.path.dirname(self._paths[name]), self._said(name)
        return wanted is None or wanted == _content(f"{dns_dir(folder)}/{name}.json")

    def _said(self, name: str) -> bytes | None:
        """What the agent asks of the publisher for this interface; None for nothing."""
        return _content(f"{os.path.dirname(self._paths[name])}/dns/{name}.json")

    def _done(self) -> bool:
        if self._any or not self._wanted:
            return bool(self._online & self._wanted)
        return self._wanted <= self._online | self._excused and bool(self._online & self._wanted)

    def _ask(self) -> None:
        """Call the agents that are running and were not called yet."""
        try:
            self._paths.update(sockets(self._folders))
            listed = None if self._given else awaited()
        except PermissionError as error:
            raise WaitError(NOT_PERMITTED, f"not permitted to read {error.filename}; run as root") from None
        except SettingsError as error:
            raise WaitError(WRONG_CONFIGURATION, str(error)) from None
        self._listed = listed is not None
        self._wanted = self._meant() or {*self._settings.interfaces, *(listed or ()), *self._paths}
        self._excused.clear()  # there may be a carrier by now
        for name in sorted(self._wanted & self._paths.keys()):
            if name in self._asked or name in self._online:
                continue
            call = _call(self._paths[name], name, insist=name in self._given)
            if call is not None:
                self._asked[name] = call

    def _meant(self) -> set[str]:
        """The interfaces given; a pattern stands for those that are served, and for itself while there is none."""
        wanted: set[str] = set()
        if not self._given:
            return wanted
        from fnmatch import fnmatchcase  # noqa: PLC0415 - a boot names none; it brings ``re``

        for one in self._given:
            fit = {name for name in self._paths if fnmatchcase(name, one)} if is_pattern(one) else {one}
            wanted |= fit or {one}
        return wanted

    def _listen(self, longest: float) -> None:
        """Receive answers for at most ``longest`` seconds, or until an agent that was not called may be there."""
        poll = select.poll()
        names = {call.fileno(): name for name, call in self._asked.items()}
        for fd in names:
            poll.register(fd, select.POLLIN)
        complete = bool(self._asked) and self._wanted == self._online | self._asked.keys()
        for fd in self._changes.wait(poll, longest, look_again=not complete):
            self._hear(names[fd])

    def _hear(self, name: str) -> None:
        call = self._asked[name]
        try:
            answer = call.receive()
        except ControlError:
            time.sleep(ASK_AGAIN)  # the agent ended; another one may be started
        else:
            if answer is None:
                return
            (self._online if answer["online"] else self._excused).add(name)
        del self._asked[name]
        call.close()


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read(_SIZE_LIMIT)
    except OSError:
        return None


def _call(path: str, interface: str, *, insist: bool) -> Call | None:
    """The call that is answered when ``interface`` is online; None when no agent answers at ``path``."""
    try:
        return Call(path, "WaitOnline", {"interface": interface, "insist": insist}, timeout=inf)
    except NotPermittedError as error:
        raise WaitError(NOT_PERMITTED, str(error)) from None
    except ControlError:
        return None
