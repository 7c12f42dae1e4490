"""The figures of one benchmark run: what is measured, in which unit, and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

LEASES = (60, 240)


@dataclass
class Starts:
    """One entry for each start. Seconds after exec; ``server`` is the server's own share of ``address``."""

    discover: list[float] = field(default_factory=list)
    address: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)
    failed: int = 0


@dataclass
class Idle:
    """A client bound to a 24 h lease with nothing to do, over ``window`` seconds. Memory in bytes."""

    pss: int
    rss: int
    processes: int
    processor: float
    wakeups: int
    window: float


@dataclass
class Flood:
    """Malformed packets while a lease is held and renewed. Memory in bytes, times in seconds."""

    rate: float
    """Packets per second that the sender really put on the wire."""
    seconds: float
    pss_before: int
    pss_peak: int
    pss_after: int
    processor: float
    """Processor time of the client during the flood."""
    renewal: float | None
    """From the first REQUEST of the renewal that was due in the flood to its ACK; None: it never came."""
    late: float | None
    """How long after T1 that ACK came."""
    kept: bool
    """The address was never removed."""


@dataclass
class Figures:
    """All that one run measured. A client that was not measured has no entry."""

    machine: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    command: str = ""
    starts: dict[str, Starts] = field(default_factory=dict)
    idle: dict[str, Idle] = field(default_factory=dict)
    fault: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """client -> lease time -> seconds from the unanswered unicast to the ACK, renewal by renewal."""
    decode: dict[str, float] = field(default_factory=dict)
    """decoder -> seconds for one reply."""
    imports: dict[str, float] = field(default_factory=dict)
    """"interpreter" and "holdfast": seconds to start the one, and to import the other before its first DISCOVER."""
    flood: Flood | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values for json.dump."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Figures:
        """What ``as_json`` gave; KeyError or TypeError for anything else."""
        figures = cls(**{**raw, "starts": {}, "idle": {}, "flood": None})
        figures.starts = {name: Starts(**one) for name, one in raw["starts"].items()}
        figures.idle = {name: Idle(**one) for name, one in raw["idle"].items()}
        figures.flood = Flood(**raw["flood"]) if raw["flood"] else None
        return figures

    def discover(self, client: str) -> float | None:
        """Median seconds from exec to the first DISCOVER."""
        return _median(self.starts[client].discover) if client in self.starts else None

    def address(self, client: str) -> float | None:
        """Median seconds from exec to the address."""
        return _median(self.starts[client].address) if client in self.starts else None

    def fault_first(self, client: str, lease: int) -> float | None:
        """Seconds from the first unanswered unicast to the ACK, the first time that it happened."""
        return next(iter(self.fault.get(client, {}).get(str(lease), [])), None)

    def fault_later(self, client: str, lease: int) -> float | None:
        """The median of the renewals after the first."""
        return _median(self.fault.get(client, {}).get(str(lease), [])[1:])


def _median(values: list[float]) -> float | None:
    return median(values) if values else None
