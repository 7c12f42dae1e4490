"""What is simulated: how many clients, which server, what goes wrong; and the matrix of scenarios by which the schedule
was chosen: leases, outages, and servers that hear unicast or do not. All times are seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True)
class Outage:
    """The first server answers nothing from ``start`` for ``duration`` seconds.

    ``forgets``: it comes back without its leases. ``naks``: it then refuses a renewal of what it does not know
    (an authoritative server), instead of being silent to it.
    """

    start: float
    duration: float
    forgets: bool = False
    naks: bool = False

    @property
    def end(self) -> float:
        """When the server is back."""
        return self.start + self.duration


@dataclass(frozen=True)
class Scenario:
    """One run. ``lease`` is what the server grants, with T1 and T2 left to RFC 2131's 0.5 and 0.875.

    ``boot_within``: the clients start at random moments of this many seconds; a few seconds are a boot storm,
    half a lease is a fleet whose renewals are spread evenly. ``capacity``: messages a server reads per second, and
    ``queue`` how many more may wait; infinite capacity answers at once. ``loss``: the chance of a message being
    lost, each way. ``deaf``: no server hears unicast. ``delay``: one way, over the cable. ``discover_ceiling``: the
    setting of that name, of our own client. ``seed``: that of all chance.
    """

    clients: int = 1000
    span: float = 86400.0
    lease: float = 3600.0
    boot_within: float = 1800.0
    servers: int = 1
    capacity: float = inf
    queue: int = 1000
    loss: float = 0.0
    deaf: bool = False
    outage: Outage | None = None
    delay: float = 0.0005
    discover_ceiling: float = 64.0
    seed: int | str = 1

    def __post_init__(self) -> None:
        checks = (
            (1 <= self.clients <= CLIENTS_MAX, f"clients: 1 to {CLIENTS_MAX}"),
            (0 < self.span <= SPAN_MAX, f"span: more than 0 and at most {SPAN_MAX:.0f} s"),
            (10 <= self.lease < 0xFFFFFFFF, "lease: at least 10 s, and finite"),
            (0 <= self.boot_within <= self.span, "boot within: 0 to the span"),
            (self.servers in (1, 2), "servers: 1 or 2"),
            (self.capacity > 0 and self.queue >= 0, "capacity: more than 0; queue: at least 0"),
            (self.discover_ceiling >= 1, "DISCOVER ceiling: at least 1 s"),
            (0 <= self.loss < 1, "loss: at least 0 and below 1"),
            (self.outage is None or min(self.outage.start, self.outage.duration) > 0, "outage: both above 0"),
            (self.outage is None or self.outage.end < self.span, "outage: it must end within the span"),
        )
        for holds, words in checks:
            if not holds:
                raise ValueError(words)


#: Addresses are drawn from 10.0.0.0/8.
CLIENTS_MAX = 1 << 23
#: A counter for each second is kept for each server.
SPAN_MAX = 366 * 86400.0


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
