"""``holdfast wait-online``: delays network-online.target until there is an address."""

from __future__ import annotations

import select
import time
from math import inf

import click

from holdfast.cli.asking import agents
from holdfast.cli.exits import CONFIGURATION, FAILED, NOT_PERMITTED, CliError
from holdfast.cli.options import (
    Duration,
    config_option,
    folders_of,
    interface_argument,
    interface_names,
    no_such_interface,
)
from holdfast.cli.output import complain
from holdfast.control.client import Call, ControlError, NotPermittedError
from holdfast.settings.links import awaited
from holdfast.settings.model import Settings, SettingsError

#: Seconds between two checks for agents that have not started yet; a running agent answers when it is online.
LOOK_AGAIN = 0.25
#: Seconds in which a link may appear that fits a pattern of the list of links; then there is nothing to wait for.
APPEARANCE = 5.0


@click.command("wait-online", short_help="Wait until the interfaces have their leases.")
@interface_argument(required=False, nargs=-1)
@click.option("--any", "any_one", is_flag=True, help="Wait for the first of them only.")
@click.option("--timeout", metavar="TIME", type=Duration(0, 1e9), default=120.0, show_default=True,
              help="Give up after this time, such as 90 or 5m, with exit status 1. 0: no limit.")
@config_option
def command(interfaces: tuple[str, ...], any_one: bool, timeout: float, config: str | None) -> None:
    """Wait until every IFACE has a lease and is configured with it.

    Without IFACE: every interface that the configuration or the list of links names or an agent
    serves, and at least one, unless the list has only patterns and no link fits. Interfaces that
    only fit a pattern are not waited for while they have no carrier. The agents may be started
    later.
    """
    for name in interfaces:
        if name not in interface_names():
            complain(f"{no_such_interface(name)}; waiting for it")
    waiter = Waiter(folders_of(config), interfaces, any_one=any_one)
    try:
        if not waiter.wait(inf if timeout == 0 else time.monotonic() + timeout):
            missing = ", ".join(waiter.missing()) or "no interface is served"
            raise CliError(FAILED, f"not online after {timeout:g} s: {missing}")
    finally:
        waiter.close()


class Waiter:
    """Calls WaitOnline once for each interface; its agent answers when the interface is online."""

    def __init__(self, settings: Settings, given: tuple[str, ...], *, any_one: bool) -> None:
        self._settings, self._given, self._any = settings, given, any_one
        self._wanted: set[str] = set()
        self._listed = False
        self._asked: dict[str, Call] = {}
        self._online: set[str] = set()
        self._excused: set[str] = set()

    def wait(self, deadline: float) -> bool:
        """True when all are online; False at ``deadline`` (time.monotonic)."""
        appeared_by = time.monotonic() + APPEARANCE
        while True:
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

    def missing(self) -> list[str]:
        """The interfaces that are not online yet, by name."""
        return sorted(self._wanted - self._online)

    def close(self) -> None:
        """Close all connections."""
        for call in self._asked.values():
            call.close()
        self._asked.clear()

    def _done(self) -> bool:
        if self._any or not self._wanted:
            return bool(self._online & self._wanted)
        return self._wanted <= self._online | self._excused and bool(self._online & self._wanted)

    def _ask(self) -> None:
        """Call the agents that are running and were not called yet."""
        paths = agents(self._settings)
        listed = None if self._given else _listed()
        self._listed = listed is not None
        self._wanted = set(self._given) or {*self._settings.interfaces, *(listed or ()), *paths}
        self._excused.clear()  # there may be a carrier by now
        for name in sorted(self._wanted & paths.keys()):
            if name in self._asked or name in self._online:
                continue
            call = _call(paths[name], name, insist=bool(self._given))
            if call is not None:
                self._asked[name] = call

    def _listen(self, longest: float) -> None:
        """Receive answers for at most ``longest`` seconds, or LOOK_AGAIN when an agent is still to be called."""
        if not self._asked or self._wanted != self._online | self._asked.keys():
            longest = min(longest, LOOK_AGAIN)
        names = {call.fileno(): name for name, call in self._asked.items()}
        poll = select.poll()
        for fd in names:
            poll.register(fd, select.POLLIN)
        # poll(2) takes milliseconds in an int.
        for fd, _ in poll.poll(None if longest == inf else min(longest, 86400) * 1000):
            self._hear(names[fd])

    def _hear(self, name: str) -> None:
        call = self._asked[name]
        try:
            answer = call.receive()
        except ControlError:
            time.sleep(LOOK_AGAIN)  # the agent ended; another one may be started
        else:
            if answer is None:
                return
            (self._online if answer["online"] else self._excused).add(name)
        del self._asked[name]
        call.close()


def _listed() -> frozenset[str] | None:
    """The names on the list of links, None without a list. CliError for one that is wrong."""
    try:
        return awaited()
    except SettingsError as error:
        raise CliError(CONFIGURATION, str(error)) from None


def _call(path: str, interface: str, *, insist: bool) -> Call | None:
    """The call that is answered when ``interface`` is online; None when no agent answers at ``path``."""
    try:
        return Call(path, "WaitOnline", {"interface": interface, "insist": insist}, timeout=inf)
    except NotPermittedError as error:
        raise CliError(NOT_PERMITTED, str(error)) from None
    except ControlError:
        return None
