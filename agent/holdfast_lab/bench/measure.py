"""Taking the figures that every client has: starts, an idle window, the fault."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

from holdfast_lab.bench.figures import LEASES, Idle, Starts
from holdfast_lab.bench.room import DEAF, Room, lease_of, unanswered
from holdfast_lab.bench.room import server_time as time_of_server
from holdfast_lab.peers import Peer
from holdfast_lab.peers.running import used

Tell = Callable[[str], None]
"""Takes one line for the person who waits."""

DAY = 86400
PATIENCE = 30.0
"""Seconds to wait for an address. dhcpcd, which probes for conflicts first, needs 5 to 8."""


def round_robin(clients: Sequence[str], runs: int) -> Iterator[tuple[int, str]]:
    """Every client once, then every client again, ...: a change of the machine's mood meets all alike.

    Round 0 is for warming caches (compiled Python files, the page cache) and is not counted.
    """
    for number in range(runs + 1):
        for client in clients:
            yield number, client


def measure_starts(
    clients: Sequence[str], runs: int, tell: Tell, beside: Callable[[], None] | None = None, more: Sequence[Peer] = ()
) -> dict[str, Starts]:
    """``runs`` cold starts of each client, and of each of ``more``: no stored lease, link up, the server answers at
    once.

    ``beside`` is called once in every counted round.
    """
    others = {peer.name: peer for peer in more}
    starts = {client: Starts() for client in (*clients, *others)}
    for number, client in round_robin(list(starts), runs):
        if beside is not None and number > 0 and client == clients[0]:
            beside()
        tell(f"start {number}/{runs}: {client}")
        try:
            with Room(client, lease_of(DAY), peer=others.get(client)) as room:
                started = room.start().started
                if client in others and not others[client].binds:
                    discover = room.first_discover(PATIENCE) - started
                    if number > 0:
                        starts[client].discover.append(discover)
                    continue
                address = room.first_address(PATIENCE) - started
                discover = room.first_discover(1) - started
                room.server.wire.wait_for(lambda seen: seen.kind == "ACK", 1)
                server = time_of_server(room.server.wire.all())
        except (AssertionError, RuntimeError) as error:
            starts[client].failed += 1
            tell(f"start {number}/{runs}: {client} failed: {error}")
            continue
        if number > 0:
            starts[client].discover.append(discover)
            starts[client].address.append(address)
            starts[client].server.append(server)
    return starts


def measure_idle(clients: Sequence[str], window: float, settle: float, tell: Tell) -> dict[str, Idle]:
    """Memory and processor use when bound: clients of one group run together, each in a room of its own."""
    found: dict[str, Idle] = {}
    with ExitStack() as stack:
        rooms = {client: stack.enter_context(Room(client, lease_of(DAY))) for client in clients}
        running = {client: room.start() for client, room in rooms.items()}
        for client, room in rooms.items():
            try:
                room.first_address(PATIENCE)
            except RuntimeError as error:
                tell(f"idle {client} failed: {error}")
                del running[client]
        wait(settle, f"settle {', '.join(clients)}", tell)
        before = {client: one.usage() for client, one in running.items()}
        began = time.monotonic()
        wait(window, f"idle {', '.join(clients)}", tell)
        took = time.monotonic() - began
        for client, one in running.items():
            last = one.usage()
            if not last.work:
                tell(f"idle {client} failed, it ended: {one.last_words()}")
                continue
            done = used(before[client], last)
            found[client] = Idle(last.pss, last.rss, len(last.work), done.processor, done.wakeups, took)
    return found


def groups(clients: Sequence[str], pythons: Sequence[str]) -> list[list[str]]:
    """Clients that may be idle together: at most one in Python, for they would share their interpreter's memory.

    The interpreter that runs the benchmark is shared too; that cannot be helped, and favours all Pythons alike.
    """
    others = [client for client in clients if client not in pythons]
    mine = [client for client in clients if client in pythons]
    first = others + mine[:1]
    return [group for group in [first, *([client] for client in mine[1:])] if group]


def measure_fault(clients: Sequence[str], tell: Tell) -> dict[str, dict[str, list[float]]]:
    """All clients at once, against servers that hear no unicast: for each lease, each renewal's time to its ACK.

    It ends when every client has its first figure for the longest lease, and Holdfast its second.
    """
    with ExitStack() as stack:
        rooms = {
            (client, lease): stack.enter_context(Room(client, lease_of(lease), DEAF))
            for client in clients
            for lease in LEASES
        }
        for room in rooms.values():
            room.start()
        deadline = time.monotonic() + max(LEASES) * 1.3
        while time.monotonic() < deadline:
            figures = {key: unanswered(room.server.wire.all()) for key, room in rooms.items()}
            waiting = [
                f"{client} ({lease} s)"
                for (client, lease), took in figures.items()
                if len(took) < (2 if client == "holdfast" else 1)
            ]
            if not waiting:
                break
            left = deadline - time.monotonic()
            tell(f"fault: {left:.0f} s at most; waiting for {', '.join(waiting)}")
            time.sleep(min(1.0, max(left, 0)))  # how often to look; what is measured has its own time stamps
        return {
            client: {str(lease): unanswered(rooms[client, lease].server.wire.all()) for lease in LEASES}
            for client in clients
        }


def wait(seconds: float, what: str, tell: Tell) -> None:
    """Let time pass, and say how much is left."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        tell(f"{what}: {left:.0f} s")
        time.sleep(min(1.0, left))
