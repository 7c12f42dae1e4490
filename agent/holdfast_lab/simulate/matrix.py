"""The comparison by which the schedule was chosen: leases, outages, and servers that hear unicast or do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast_lab.simulate.scenario import Outage, Scenario

LEASES = (120.0, 3600.0, 86400.0)
#: A storm: everybody boots within this many seconds.
STORM = 10.0


@dataclass(frozen=True)
class Absence:
    """How long the server is away: ``share`` of the lease, less ``less`` seconds."""

    name: str
    share: float
    less: float = 0.0


#: In a fleet whose renewals are spread evenly, leases begin to end half a lease after the server has gone.
ABSENCES = (
    Absence("short", 0.1),
    Absence("T1-T2", 0.4),
    Absence("to the edge", 0.5, 3.0),
    Absence("past expiry", 1.5),
)


@dataclass(frozen=True)
class Cell:
    """One scenario of the matrix, and where it stands in it."""

    lease: float
    absence: str
    deaf: bool
    storm: bool
    scenario: Scenario


def cells(clients: int, seed: int, *, leases: tuple[float, ...] = LEASES, storm: bool = False) -> Iterator[Cell]:
    """The cells in the order of the table. ``storm``: a fleet booted within STORM s, whose server goes when its
    leases are about to be renewed for the second time; else one whose renewals are spread evenly."""
    for lease in leases:
        for deaf in (False, True):
            for absence in ABSENCES:
                within = STORM if storm else lease / 2
                start = lease - 2.0 if storm else 2 * lease
                outage = Outage(start, lease * absence.share - absence.less)
                scenario = Scenario(
                    clients=clients, span=outage.end + max(lease, 1000.0), lease=lease, boot_within=within, deaf=deaf,
                    outage=outage, seed=seed,
                )
                yield Cell(lease, absence.name, deaf, storm, scenario)
