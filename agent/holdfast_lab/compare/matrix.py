"""All results of one comparison, and what they were measured with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from holdfast_lab.scenario.result import Result
from holdfast_lab.scenario.scenario import Scenario


@dataclass(frozen=True)
class Matrix:
    """All results, and what they were measured with."""

    versions: dict[str, str]
    missing: tuple[str, ...]
    scenarios: tuple[Scenario, ...]
    results: tuple[Result, ...]
    machine: str
    command: str
    took: float

    def of(self, scenario: str) -> list[Result]:
        """The results of one scenario, in the order of ``versions``."""
        order = list(self.versions)
        return sorted(
            (result for result in self.results if result.scenario == scenario),
            key=lambda result: order.index(result.client),
        )

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "machine": self.machine, "command": self.command, "took": self.took,
            "versions": self.versions, "missing": list(self.missing),
            "leases": {one.name: [one.lease.time, one.lease.t1, one.lease.t2] for one in self.scenarios},
            "results": [result.as_json() for result in self.results],
        }  # fmt: skip
