"""``holdfast wait-online``: for a boot that cannot go on without an address."""

from __future__ import annotations

import json
import select
import socket
import time
from math import inf

import click

from holdfast.cli.asking import NAME, agents
from holdfast.cli.exits import FAILED, NOT_PERMITTED, CliError
from holdfast.cli.options import config_option, folders_of, interface_argument
from holdfast.settings.model import Settings

#: Seconds between two looks for an agent that has not come yet; the agents that are there answer by themselves.
LOOK_AGAIN = 0.25
#: Bytes of an answer; it is about 50.
ANSWER_LIMIT = 4096


@click.command("wait-online", short_help="Wait until the interfaces have their leases.")
@interface_argument(required=False, nargs=-1)
@click.option("--any", "any_one", is_flag=True, help="One of them is enough.")
@click.option("--timeout", metavar="SECONDS", type=click.FloatRange(min=0), default=120.0, show_default=True,
              help="Give up after this time, with exit status 1; 0 waits for ever.")
@config_option
def command(interfaces: tuple[str, ...], any_one: bool, timeout: float, config: str | None) -> None:
    """Wait until every IFACE has a lease and is configured with it.

    Without IFACE: every interface that the configuration names or an agent serves, at least one;
    those that only fit a pattern of `serve` are not waited for while they have no carrier. The
    agents need not run yet.
    """
    waiter = Waiter(folders_of(config), interfaces, any_one=any_one)
    try:
        if not waiter.wait(inf if timeout == 0 else time.monotonic() + timeout):
            missing = ", ".join(waiter.missing()) or "no interface is served"
            raise CliError(FAILED, f"not online after {timeout:g} s: {missing}")
    finally:
        waiter.close()


class Waiter:
    """Asks every agent once for each of its interfaces, and is answered when that one is online."""

    def __init__(self, settings: Settings, given: tuple[str, ...], *, any_one: bool) -> None:
        self._settings, self._given, self._any = settings, given, any_one
        self._wanted: set[str] = set()
        self._asked: dict[str, tuple[socket.socket, bytes]] = {}
        self._online: set[str] = set()
        self._excused: set[str] = set()

    def wait(self, deadline: float) -> bool:
        """True when all are online; False at ``deadline`` (time.monotonic)."""
        while True:
            self._ask()
            if self._done():
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._listen(left)
            if self._done():
                return True

    def missing(self) -> list[str]:
        """Those that are still waited for."""
        return sorted(self._wanted - self._online)

    def close(self) -> None:
        """Hang up."""
        for connection, _ in self._asked.values():
            connection.close()
        self._asked.clear()

    def _done(self) -> bool:
        if self._any or not self._wanted:
            return bool(self._online & self._wanted)
        return self._wanted <= self._online | self._excused and bool(self._online & self._wanted)

    def _ask(self) -> None:
        """Ask those agents that are there and were not asked yet."""
        paths = agents(self._settings)
        self._wanted = set(self._given) or {*self._settings.interfaces, *paths}
        self._excused.clear()  # a cable may have been plugged in
        for name in sorted(self._wanted & paths.keys()):
            if name in self._asked or name in self._online:
                continue
            connection = _call(paths[name], name, insist=bool(self._given))
            if connection is not None:
                self._asked[name] = connection, b""

    def _listen(self, longest: float) -> None:
        """Hear answers, until there is none for a moment when somebody is still to be asked."""
        if not self._asked or self._wanted != self._online | self._asked.keys():
            longest = min(longest, LOOK_AGAIN)
        names = {connection.fileno(): name for name, (connection, _) in self._asked.items()}
        poll = select.poll()
        for fd in names:
            poll.register(fd, select.POLLIN)
        # poll(2) takes milliseconds in an int.
        for fd, _ in poll.poll(None if longest == inf else min(longest, 86400) * 1000):
            self._hear(names[fd])

    def _hear(self, name: str) -> None:
        connection, before = self._asked.pop(name)
        try:
            data = before + connection.recv(ANSWER_LIMIT)
        except OSError:
            data = before
        if data != before and not data.endswith(b"\0") and len(data) < ANSWER_LIMIT:
            self._asked[name] = connection, data
            return
        connection.close()
        online = _online(data)
        if online is None:
            time.sleep(LOOK_AGAIN)  # the agent ended: another one may begin
        else:
            (self._online if online else self._excused).add(name)


def _call(path: str, interface: str, *, insist: bool) -> socket.socket | None:
    """The connection on which the answer will come; None when nobody listens (any more)."""
    call = {"method": f"{NAME}.WaitOnline", "parameters": {"interface": interface, "insist": insist}}
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(1.0)
        connection.connect(path)
        connection.sendall(json.dumps(call).encode() + b"\0")
    except PermissionError:
        connection.close()
        raise CliError(NOT_PERMITTED, f"not permitted to use {path}; run as root, or as a member of the group "
                                      "that control_group names") from None
    except OSError:
        connection.close()
        return None
    return connection


def _online(answer: bytes) -> bool | None:
    """What the agent said; None when it said nothing that makes sense."""
    try:
        online = json.loads(answer.rstrip(b"\0"))["parameters"]["online"]
    except (ValueError, KeyError, TypeError):
        return None
    return online if isinstance(online, bool) else None
