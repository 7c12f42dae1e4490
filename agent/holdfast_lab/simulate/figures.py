"""The figures of a run, made from its ledger. Seconds throughout, and packets per second."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from holdfast_lab.simulate.ledger import NEVER, Ledger
from holdfast_lab.simulate.scenario import Scenario

#: The load at the server's return is its worst second of the first two minutes.
RETURN_WINDOW = 120


@dataclass
class Load:
    """What reached one server: messages in each second, and those that found its queue full."""

    arrivals: array[int]
    overflowed: int


class Ran(Protocol):
    """What figures are made of: a fleet that has run, or the sum of several."""

    @property
    def scenario(self) -> Scenario:
        """What was simulated."""

    @property
    def ledger(self) -> Ledger:
        """What happened to each client."""

    @property
    def servers(self) -> Sequence[Arrivals]:
        """The load on each server."""


class Arrivals(Protocol):
    """A server, or a ``Load``."""

    arrivals: array[int]
    overflowed: int


@dataclass(frozen=True)
class Spread:
    """Median, 99th percentile and maximum of ``count`` durations; zeros when there is none."""

    count: int
    median: float
    p99: float
    longest: float


@dataclass(frozen=True)
class Figures:
    """One run in numbers.

    ``lost``: clients whose address was lost, at least once; ``lost_after_return``: of these, those that still had it
    when the server came back (before that, nobody could have kept it). ``recovery`` counts from the server's return,
    over the clients that were asking then; ``recovery_kept`` and ``recovery_lost`` part it by whether they still had
    their address. ``boot`` is start to first address, ``wait`` each client's longest wait for an answer. ``without``
    is the seconds without an address, summed over all clients. Loads are those of the busiest server: packets per
    second that reach it, heard or not; ``peak_at_return`` within RETURN_WINDOW. ``unserved``: clients without an
    address at the end of the run. ``overflowed``: messages that found a server's queue full.
    """

    name: str
    clients: int
    lost: int
    lost_after_return: int
    unserved: int
    without: float
    recovery: Spread
    recovery_kept: Spread
    recovery_lost: Spread
    boot: Spread
    wait: Spread
    packets_mean: float
    packets_most: int
    load_mean: float
    load_peak: int
    peak_at_return: int
    overflowed: int
    load: tuple[int, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON, without the load second by second."""
        return {key: value for key, value in asdict(self).items() if key != "load"}


def spread(values: Iterable[float]) -> Spread:
    """The spread of ``values``, those that are NEVER left out."""
    known = sorted(value for value in values if value != NEVER)
    if not known:
        return Spread(0, 0.0, 0.0, 0.0)
    last = len(known) - 1
    return Spread(len(known), known[last // 2], known[round(last * 0.99)], known[-1])


def figures_of(name: str, fleet: Ran) -> Figures:
    """Sum up a fleet that has run."""
    ledger, scenario = fleet.ledger, fleet.scenario
    busiest = max(fleet.servers, key=lambda server: max(server.arrivals))
    load, outage = busiest.arrivals, scenario.outage
    back = int(outage.end) if outage is not None else 0
    by_return = list(zip(ledger.recovery, ledger.lost_by_return, strict=True))
    return Figures(
        name=name,
        clients=scenario.clients,
        lost=sum(1 for losses in ledger.losses if losses),
        lost_after_return=sum(ledger.lost_after_return),
        unserved=sum(
            1 for index in range(scenario.clients) if ledger.boot[index] == NEVER or ledger.gone_at[index] != NEVER
        ),
        without=sum(ledger.without),
        recovery=spread(ledger.recovery),
        recovery_kept=spread(value for value, gone in by_return if not gone),
        recovery_lost=spread(value for value, gone in by_return if gone),
        boot=spread(ledger.boot),
        wait=spread(ledger.longest_wait),
        packets_mean=sum(ledger.sent) / scenario.clients,
        packets_most=max(ledger.sent),
        load_mean=sum(load) / scenario.span,
        load_peak=max(load),
        peak_at_return=max(load[back : back + RETURN_WINDOW]) if outage is not None else 0,
        overflowed=sum(server.overflowed for server in fleet.servers),
        load=tuple(load),
    )
