"""Leases of two minutes: how many a schedule loses against how hard its fleet asks a server that is back.

The least gap between two rounds is what trades one for the other, so our own schedule is run with several, and with
fewer messages; beside it other clients. The outage is the worst there is: it ends 3 s before the first lease does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from holdfast.core import schedule
from holdfast_lab.render.tables import Table, seconds_text
from holdfast_lab.simulate.blocks import Job, Progress, run_jobs
from holdfast_lab.simulate.figures import Figures
from holdfast_lab.simulate.scenario import Outage, Scenario, cells

LEASE = 120.0
#: A server that is as slow as this, in messages a second for each client, is near its limit in peace: a fleet sends
#: nearly one message for each 54 s and client.
CAPACITY = 0.06
PEERS = ("RFC 2131", "dhcpcd", "dhclient", "udhcpc")
GAPS = (2.0, 4.0, 8.0, 12.0, 15.0, 20.0, 30.0)
#: Twice the time between the messages of a round, and to the second round: 14 to 18 messages from T1 to the end.
FEWER = {"TIMEOUT_LATER": 8.0, "GAP_FIRST": 8.0}


@dataclass(frozen=True)
class Candidate:
    """A schedule: the client that has it, and constants of ``core.schedule`` that differ."""

    name: str
    client: str = "holdfast"
    settings: Mapping[str, float] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        """True for our own schedule, as it is or with other constants."""
        return self.client == "holdfast"

    @property
    def chosen(self) -> bool:
        """True for our own schedule as it is."""
        return self.ours and self.settings == {"GAP_MIN": schedule.GAP_MIN}


@dataclass(frozen=True)
class Verdict:
    """A candidate at one kind of server. ``lost``: the part of all leases that it lost, 0 to 1; ``peak``: messages in
    the worst second at the server's return; ``wait``: the longest median from then to the lease, seconds."""

    candidate: Candidate
    lost: float
    peak: int
    wait: float


def candidates() -> list[Candidate]:
    """All of the picture."""
    mine = [Candidate(f"{gap:.0f} s", settings={"GAP_MIN": gap}) for gap in GAPS]
    return [*mine, Candidate("2 s, fewer messages", settings=FEWER), *(Candidate(name, name) for name in PEERS)]


def _fast(clients: int, seed: int) -> list[Scenario]:
    """A server that answers at once: a fleet spread evenly and one that booted in 10 s, unicast heard and not."""
    return [
        cell.scenario for storm in (False, True) for cell in cells(clients, seed, leases=(LEASE,), storm=storm)
        if cell.absence == "to the edge"
    ]


def _slow(clients: int, seed: int) -> list[Scenario]:
    """A server near its capacity, away for a second less than half a lease."""
    outage = Outage(2 * LEASE, LEASE / 2 - 1)
    return [Scenario(
        clients=clients, span=outage.end + 6 * LEASE, lease=LEASE, boot_within=LEASE / 2, outage=outage, seed=seed,
        capacity=CAPACITY * clients, queue=clients,
    )]


@dataclass(frozen=True)
class Server:
    """A kind of server: its name, its scenarios, and which leases count as lost."""

    name: str
    scenarios: Callable[[int, int], list[Scenario]]
    lost: Callable[[Figures], int]


SERVERS = (
    Server("A server that answers at once", _fast, lambda figures: figures.lost_after_return),
    Server("A server near its capacity", _slow, lambda figures: figures.lost),
)


def frontier(clients: int, seed: int, progress: Progress) -> list[tuple[Server, list[Verdict]]]:
    """Every candidate at every kind of server."""
    tried = [(server, candidate, scenario) for server in SERVERS for candidate in candidates()
             for scenario in server.scenarios(clients, seed)]
    jobs = [Job(candidate.client, scenario, candidate.settings) for _, candidate, scenario in tried]
    found: dict[tuple[str, str], list[Figures]] = {}
    for (server, candidate, _), figures in zip(tried, run_jobs(jobs, progress), strict=True):
        found.setdefault((server.name, candidate.name), []).append(figures)
    return [
        (server, [_verdict(server, each, found[server.name, each.name]) for each in candidates()])
        for server in SERVERS
    ]


def _verdict(server: Server, candidate: Candidate, runs: Sequence[Figures]) -> Verdict:
    return Verdict(
        candidate, sum(map(server.lost, runs)) / sum(run.clients for run in runs),
        max(run.peak_at_return for run in runs), max(run.recovery.median for run in runs),
    )


def undominated(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Those that no other beats in leases lost and in load, in the order of leases lost."""
    best: list[Verdict] = []
    for verdict in sorted(verdicts, key=lambda each: (each.lost, each.peak)):
        if not best or verdict.peak < best[-1].peak:
            best.append(verdict)
    return best


def table(results: Sequence[tuple[Server, Sequence[Verdict]]]) -> Table:
    """A row for each candidate, three columns for each kind of server."""
    rows: list[list[str]] = [["least gap, or client"]]
    rows += [[f"**{each.name}**" if each.chosen else each.name] for each in candidates()]
    for server, verdicts in results:
        rows[0] += [f"{server.name[:1].lower()}{server.name[1:]}: leases lost", "worst second", "longest median"]
        for row, verdict in zip(rows[1:], verdicts, strict=True):
            row += [f"{100 * verdict.lost:.1f} %", str(verdict.peak), seconds_text(verdict.wait)]
    return rows
