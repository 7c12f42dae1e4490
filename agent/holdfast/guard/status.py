"""Guard's control socket: what it knows of each interface, as io.holdfast.Guard declares it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from math import inf

from holdfast import __version__
from holdfast.control.interface import GUARD, guard_path
from holdfast.control.server import Reply, Server, VarlinkError
from holdfast.eventloop.ports import Loop
from holdfast.guard.machine import Guard
from holdfast.guard.reporter import Reporter
from holdfast.observe.outcomes import iso_time
from holdfast.state import folder as folders
from holdfast.wire.message import encode
from holdfast.wire.record import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any, Callable

    from holdfast.control.server import Parameters


class Shown(NamedTuple):
    """What there is to tell about."""

    rebroadcast: bool
    blind: str | None
    interfaces: Iterable[tuple[Guard, Reporter]]


def serve(loop: Loop, runtime_dir: str, group: int | None, shown: Callable[[], Shown],
          keep_nothing: Callable[[], None]) -> Server:
    """The server, listening; ``group`` is the group id that may ask beside root. ``keep_nothing`` ends the writing of
    histories. Raises OSError."""
    folders.make(runtime_dir)

    def status(_parameters: Parameters, reply: Reply) -> None:
        now = shown()
        reply.answer(version=__version__, pid=os.getpid(), rebroadcast=now.rebroadcast, blind=now.blind,
                     interfaces=[_guarded(guard, reporter, loop.now()) for guard, reporter in now.interfaces])

    def keep(_parameters: Parameters, reply: Reply) -> None:
        keep_nothing()
        reply.answer()

    def heard(parameters: Parameters, reply: Reply) -> None:
        name = parameters["interface"]
        last = next((guard.heard for guard, reporter in shown().interfaces if reporter.ifname == name), None)
        if last is None:
            raise VarlinkError(GUARD + ".NothingHeard", interface=name)
        reply.answer(request=encode(last.request).hex(), ack=encode(last.ack).hex(), age=round(loop.now() - last.at, 3))

    methods = {"Status": status, "KeepNothing": keep, "Heard": heard}
    return Server(loop, guard_path(runtime_dir), {GUARD: methods}, group=group)


def _guarded(guard: Guard, reporter: Reporter, now: float) -> Mapping[str, Any]:
    lease, last = guard.lease, reporter.last
    return {
        "interface": reporter.ifname, "client": guard.client, "program": guard.program,
        "lease": None if lease is None else {
            "address": str(lease.address), "server": None if lease.server is None else str(lease.server),
            "expiry": None if lease.expires_at == inf else round(lease.expires_at - now, 3),
        },
        "asking": guard.asking,
        "last": None if last is None else {"time": last.time, "result": last.result, "text": last.text},
        "results": dict(reporter.results), "rebroadcasts": reporter.rebroadcasts,
        "watched_since": iso_time(reporter.to_wall(reporter.watched_since)),
        "others": [str(server) for server in guard.others],
    }
