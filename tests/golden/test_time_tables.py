"""Time tables that a person can read: what is sent when, for leases from ten seconds to forever.

The tables are the files beside this one. After a change that is meant: ``UPDATE_GOLDEN=1 pytest tests/golden``,
and read the difference.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import inf
from pathlib import Path

import pytest
from tests.support.simulation import SERVER, Entry, Host, World

from holdfast.core import actions as act
from holdfast.core import events as ev
from holdfast.core.lease import Lease
from holdfast.core.outcome import Outcome, Purpose, Result
from holdfast.wire import message as msg

HERE = Path(__file__).resolve().parent
INFINITE = 0xFFFFFFFF
LEASES = {
    "10-seconds": 10, "2-minutes": 120, "1-hour": 3600, "1-day": 86400, "1-week": 7 * 86400, "infinite": INFINITE,
}
#: Longer tables are folded in the middle.
FIRST, LAST = 18, 34


def clock(seconds: float | None) -> str:
    """h:mm:ss.mmm"""
    if seconds is None:
        return "-"
    if seconds == inf:
        return "forever"
    whole, milli = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}.{milli:03}"


def row(at: str, left: str, state: str, message: str, path: str, way: str) -> str:
    return f"{at:>13} {left:>13}  {state:<10} {message:<9} {path:<14} {way}".rstrip()


def told(outcome: Outcome) -> str:
    """The end of a renewal in words."""
    tries = f"{outcome.attempts} message" + ("s" if outcome.attempts != 1 else "")
    took = "" if outcome.latency is None else f", answered after {outcome.latency:.3f} s"
    return f"{'':27}  = {outcome.result.value}: {tries}{took}, {clock(outcome.seconds_left)} left"


def lines(entries: list[Entry], zero: float) -> Iterator[str]:
    """One line for each message either way, and for each outcome."""
    for entry in entries:
        what = entry.what
        at, left = clock(entry.at - zero), clock(entry.left)
        if isinstance(what, act.Transmit):
            name = msg.MESSAGE_NAMES[what.message.message_type or 0]
            yield row(at, left, entry.state, name, what.via.value, f"{what.source} -> {what.destination}")
        elif isinstance(what, ev.Received):
            name = msg.MESSAGE_NAMES[what.message.message_type or 0]
            yield row(at, left, entry.state, name, "", f"{what.message.yiaddr} <- {what.source}")
        elif isinstance(what, act.Recorded):
            yield told(what.outcome)
        elif isinstance(what, act.Deconfigure):
            yield f"{'':27}  = {what.lease.address} removed: {what.reason.value}"


def folded(table: list[str]) -> list[str]:
    """The beginning and the end of a long table."""
    left_out = len(table) - FIRST - LAST
    if left_out <= 8:
        return table
    return [*table[:FIRST], f"{'':13}      ... {left_out} more like these ...", *table[-LAST:]]


def begin(lease_time: int) -> tuple[World, Host, Lease]:
    """A world in which a client has just got a lease."""
    world = World(seed=7)
    world.server.lease_time = lease_time
    host = world.add_host()
    host.start()
    world.run_until(lambda: host.state == "BOUND")
    assert host.lease is not None
    return world, host, host.lease


def _counts(outcome: Outcome) -> bool:
    """It is more than a daily check that nobody answered."""
    return outcome.purpose is not Purpose.CHECK or outcome.result is not Result.KEPT


def renewal(world: World, host: Host, zero: float) -> list[str]:
    """The next renewal to its end: at T1, at a daily check that is answered, or for a lease without T1 at the
    carrier's return."""
    lease, mark, known = host.lease, len(host.transcript), len(host.outcomes)
    assert lease is not None
    if lease.infinite:
        world.run(3600.0)
        host.set_carrier(False)
        world.run(1.0)
        host.set_carrier(True)
    world.run_until(lambda: any(map(_counts, host.outcomes[known:])), limit=10 * 86400.0)
    return list(lines(host.transcript[mark:], zero))


def table(lease_time: int) -> str:
    """The whole file for one lease time."""
    _, _, lease = begin(lease_time)
    how = "after an hour the cable is out for a second" if lease.infinite else (
        f"T1 {clock(lease.t1_at - lease.started_at)}, T2 {clock(lease.t2_at - lease.started_at)}"
    )
    parts = [
        f"A lease of {clock(lease.lease_time)} from {SERVER}; {how}.",
        "Times count from the REQUEST that won the lease; left is what is left of it.",
    ]
    head = row("time", "left", "state", "message", "path", "source -> destination")
    for title, silent, deaf in (
        ("All is well", False, False),
        ("The server does not hear unicast; the second time this is known", False, True),
        ("The server has fallen silent", True, False),
    ):
        world, host, lease = begin(lease_time)
        world.server.silent, world.server.deaf = silent, deaf
        rows = renewal(world, host, lease.started_at)
        if not silent:
            rows += ["", *renewal(world, host, lease.started_at)]
        parts += ["", title, "", head, *folded(rows)]
    return "\n".join(parts) + "\n"


@pytest.mark.parametrize("name", LEASES)
def test_the_time_table_is_as_written(name: str) -> None:
    # rules 3, 4, 6, 32, 35, 37, 85
    path = HERE / f"{name}.txt"
    now = table(LEASES[name])
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(now, encoding="utf-8")
    assert now == path.read_text(encoding="utf-8")
