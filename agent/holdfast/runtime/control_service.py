"""The control socket: ``io.holdfast.Agent`` over Varlink, one socket for each interface.

An agent that serves by pattern has one for itself as well, which is there before any link that fits. A method without
an ``interface`` means the one whose socket it came by, except Status, which then covers every interface that this
process serves. Renew, Rebind and Release are answered when their outcome is recorded and its other actions are done,
WaitOnline when there is a lease, Monitor until the client hangs up.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress

from holdfast.control.interface import NAME, SERVICE, agent_path, definition, socket_path
from holdfast.control.server import Reply, Server, VarlinkError
from holdfast.core import events as ev
from holdfast.runtime import views
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from holdfast.control.server import Parameters
    from holdfast.core.client import Snapshot
    from holdfast.core.outcome import Outcome
    from holdfast.eventloop.ports import Loop
    from holdfast.runtime.ports import ServedInterface

#: Seconds that Renew and Rebind wait for an outcome: three rounds of the ladder, and some more.
ANSWER_TIMEOUT = 30.0
#: Outcomes in one answer: 100 KiB or so.
HISTORY_LIMIT = 200


class Control:
    """All control sockets of this process. ``wall`` is Unix time."""

    def __init__(
        self, loop: Loop, runtime_dir: str, state_dir: str, *, group: int | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._loop = loop
        self._runtime_dir = runtime_dir
        self._state_dir = state_dir
        self._group = group
        self._wall = wall
        self._patterns: tuple[str, ...] = ()
        self._served: dict[str, ServedInterface] = {}
        self._servers: dict[str, Server] = {}

    def add(self, served: ServedInterface) -> None:
        """Open the socket of one interface. Raises OSError: the agent goes on without it."""
        name = served.name
        self._served[name] = served  # Status of the other sockets includes it even when its own socket fails
        self._open(name, socket_path(self._runtime_dir, name))

    def serve_patterns(self, patterns: tuple[str, ...]) -> None:
        """Open the socket of the agent itself, which serves links that fit ``patterns``. Raises OSError."""
        self._patterns = patterns
        self._open("", agent_path(self._runtime_dir))

    def _open(self, name: str, path: str) -> None:
        """The socket by which a method means ``name``, "" for none."""
        methods = {
            "Status": self._status,
            "Renew": self._asking(name, ev.Renew()),
            "Rebind": self._asking(name, ev.Rebind()),
            "Release": self._asking(name, ev.Release()),
            "WaitOnline": self._wait_online(name),
            "KeepNothing": self._keep_nothing(name),
            "Yield": self._yield(name),
            "History": self._history(name),
            "Monitor": self._monitor(name),
        }
        self._servers[name] = Server(self._loop, path, {NAME: methods}, group=self._group)

    def remove(self, name: str) -> None:
        """Close the socket of one interface; nothing happens when there is none."""
        self._served.pop(name, None)
        server = self._servers.pop(name, None)
        if server is not None:
            server.close()

    def close(self) -> None:
        """Close every socket and remove its file."""
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    def _find(self, parameters: Parameters, default: str) -> ServedInterface:
        name = parameters["interface"] or default
        if name not in self._served:
            raise VarlinkError(NAME + ".NoSuchInterface", interface=name)
        return self._served[name]

    def _status(self, parameters: Parameters, reply: Reply) -> None:
        name = parameters["interface"]
        chosen = list(self._served.values()) if name is None else [self._find(parameters, name)]
        from holdfast import __version__  # noqa: PLC0415

        now, wall = self._loop.now(), self._wall()
        reply.answer(
            version=__version__, pid=os.getpid(), patterns=self._patterns,
            clients=[views.client(served, now, wall) for served in chosen],
        )

    def _asking(self, default: str, event: ev.Renew | ev.Rebind | ev.Release) -> Callable[[Parameters, Reply], None]:
        def method(parameters: Parameters, reply: Reply) -> None:
            served = self._find(parameters, default)
            if served.link is None:
                raise VarlinkError(NAME + ".LinkMissing", interface=served.name)
            if not isinstance(event, ev.Release) and not served.snapshot().carrier:
                raise VarlinkError(NAME + ".NoCarrier", interface=served.name)
            if isinstance(event, ev.Release) and not _has_lease(served.snapshot()):
                raise VarlinkError(NAME + ".NotBound", interface=served.name)
            self._ask(served, event, reply)

        return method

    def _ask(self, served: ServedInterface, event: ev.Renew | ev.Rebind | ev.Release, reply: Reply) -> None:
        """Submit ``event`` and answer with the next outcome, or with NoOutcome after some time."""
        loop = self._loop

        def on_outcome(outcome: Outcome) -> None:
            unsubscribe()
            # In the next round of the loop, so that the address is there, or gone, when the client hears of it.
            loop.set_timer(reply, loop.now(), lambda: reply.answer(
                outcome=views.record(served, outcome, loop.now(), self._wall())
            ))

        def on_timeout() -> None:
            unsubscribe()
            reply.fail(VarlinkError(NAME + ".NoOutcome", interface=served.name, seconds=ANSWER_TIMEOUT))

        def on_hangup() -> None:
            unsubscribe()
            loop.set_timer(reply, None, on_timeout)

        unsubscribe = served.subscribe(on_outcome)
        reply.cancel = on_hangup
        loop.set_timer(reply, loop.now() + ANSWER_TIMEOUT, on_timeout)
        served.submit(event)

    def _wait_online(self, default: str) -> Callable[[Parameters, Reply], None]:
        loop = self._loop

        def method(parameters: Parameters, reply: Reply) -> None:
            served, insist = self._find(parameters, default), parameters["insist"]

            def on_online() -> None:
                unsubscribe()
                reply.cancel = lambda: loop.set_timer(reply, None, answer)
                # In the next round of the loop, when the publisher has been told of the lease's name servers.
                loop.set_timer(reply, loop.now(), answer)

            def answer() -> None:
                reply.answer(online=True)

            if not (served.online or served.awaited or insist):
                reply.answer(online=False)
                return
            unsubscribe = served.when_online(on_online)
            reply.cancel = unsubscribe
            if served.online:
                on_online()

        return method

    def _yield(self, default: str) -> Callable[[Parameters, Reply], None]:
        def method(parameters: Parameters, reply: Reply) -> None:
            served, back = self._find(parameters, default), parameters["back"]
            try:
                served.yield_interface(not back)
            except OSError as error:
                reason = error.strerror or str(error)
                raise VarlinkError(NAME + ".CannotRemember", interface=served.name, reason=reason) from None
            reply.answer()

        return method

    def _keep_nothing(self, default: str) -> Callable[[Parameters, Reply], None]:
        def method(parameters: Parameters, reply: Reply) -> None:
            self._find(parameters, default).keep_nothing()
            reply.answer()

        return method

    def _monitor(self, default: str) -> Callable[[Parameters, Reply], None]:
        def method(parameters: Parameters, reply: Reply) -> None:
            served = self._find(parameters, default)

            def event(kind: str, text: str, code: str | None, outcome: Outcome | None) -> Mapping[str, object]:
                return views.event(served, kind, text, code, outcome, self._loop.now(), self._wall())

            shot = served.snapshot()
            address = "no address" if shot.lease is None else str(shot.lease.address)
            first = event("state", f"{shot.state}, {address}", None, None)
            if not reply.more:
                reply.answer(event=first)
                return
            reply.cancel = served.watch(lambda *what: reply.go_on(event=event(*what)))
            reply.go_on(event=first)

        return method

    def _history(self, default: str) -> Callable[[Parameters, Reply], None]:
        def method(parameters: Parameters, reply: Reply) -> None:
            from holdfast.observe.outcomes import read_history  # noqa: PLC0415

            served = self._find(parameters, default)
            since = _number(parameters, "since")
            limit = _number(parameters, "limit")
            count = HISTORY_LIMIT if limit is None else min(limit, HISTORY_LIMIT)
            try:
                records = read_history(self._state_dir, served.name, since=since, limit=count)
            except OSError as error:
                reason = error.strerror or str(error)
                raise VarlinkError(NAME + ".HistoryUnreadable", interface=served.name, reason=reason) from None
            reply.answer(outcomes=list(_outcomes(records)))

        return method


def group_id(name: str | None) -> int | None:
    """The number of the group ``control_group`` names. KeyError when there is no such group."""
    if name is None or name.isdigit():
        return None if name is None else int(name)
    import grp  # noqa: PLC0415 - rarely configured

    return grp.getgrnam(name).gr_gid


def _has_lease(shot: Snapshot) -> bool:
    """There is one to give back: in use, or won or remembered and not in use yet."""
    return shot.lease is not None or shot.state in ("INIT-REBOOT", "REBOOTING", "PROBING")


def _outcomes(records: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Those of ``records`` that are Outcomes of the interface: the file may have lines of others."""
    from holdfast.control.idl import MismatchError, Named, conform  # noqa: PLC0415 - loaded with the definition

    for record in records:
        with suppress(MismatchError):
            yield conform(definition(NAME), Named("Outcome"), record)


def _number(parameters: Parameters, name: str) -> Any:
    """A number that a clock or a list could have, or None."""
    value = parameters[name]
    if value is not None and not 0 <= value < 1e11:
        raise VarlinkError(SERVICE + ".InvalidParameter", parameter=name)
    return value
