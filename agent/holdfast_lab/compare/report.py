"""The matrix in tables: what was kept, seconds unreachable, seconds to a fresh lease, packets."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import inf
from pathlib import Path

from holdfast_lab.compare.matrix import Matrix
from holdfast_lab.render import pages
from holdfast_lab.render.scenario import draw
from holdfast_lab.render.tables import Table, value_text
from holdfast_lab.scenario.result import Result

OURS = "holdfast"


def kept_cell(result: Result) -> str:
    """ "kept", or the numbers of the promises that were broken."""
    if result.error:
        return "failed"
    if not result.bound:
        return "no lease"
    return ", ".join(str(number) for number in result.broken_promises) or "kept"


def away_cell(result: Result) -> str:
    """Seconds unreachable while the lease was valid."""
    return "-" if result.error or not result.bound else value_text(result.unreachable)


def wait_cell(result: Result) -> str:
    """Seconds from the server's return to a fresh lease; without a return, the longest renewal."""
    if result.error or not result.bound:
        return "-"
    if result.recovery is not None:
        return "never" if result.recovery == inf else value_text(result.recovery)
    return value_text(result.waited)


def packets_cell(result: Result) -> str:
    """Packets that the client sent."""
    return "-" if result.error else str(result.packets)


def table(matrix: Matrix, cell: Callable[[Result], str]) -> Table:
    """Scenarios down, clients across."""
    rows = [["scenario", *matrix.versions]]
    for scenario in matrix.scenarios:
        found = {result.client: cell(result) for result in matrix.of(scenario.name)}
        rows.append([scenario.name, *(found.get(client, "-") for client in matrix.versions)])
    return rows


def summary(matrix: Matrix) -> Table:
    """One row per client. "Holdfast's": how many times as many packets Holdfast sent as this client."""
    rows = [["client", "version", "all kept", "lost a valid lease", "seconds away", "slowest return, s", "packets",
             "Holdfast's"]]
    ours = sum(result.packets for result in matrix.results if result.client == OURS)
    for client, version in matrix.versions.items():
        mine = [result for result in matrix.results if result.client == client]
        kept = sum(not result.broken for result in mine)
        lost = sum(2 in result.broken_promises or not result.bound for result in mine)
        returns = [result.recovery for result in mine if result.recovery is not None]
        slowest = "-" if not returns else "never" if max(returns) == inf else value_text(max(returns))
        away = value_text(sum(result.unreachable for result in mine))
        packets = sum(result.packets for result in mine)
        times = f"{ours / packets:.2f} x" if ours and packets else "-"
        rows.append([client, version, f"{kept} of {len(mine)}", str(lost), away, slowest, str(packets), times])
    return rows


def better_peers(matrix: Matrix) -> list[str]:
    """Where another client has a better figure than Holdfast's, by more than the measurement is good for."""
    lines = []
    for scenario in matrix.scenarios:
        results = {result.client: result for result in matrix.of(scenario.name)}
        ours = results.pop(OURS, None)
        if ours is None:
            continue
        for client, other in results.items():
            if not other.bound or other.error:
                continue
            lines += [f"{scenario.name}: {client}: {words}" for words in _better(ours, other)]
    return lines


def _better(ours: Result, other: Result) -> list[str]:
    words = []
    if other.unreachable < ours.unreachable - 0.25:
        words.append(f"away for {value_text(other.unreachable)} s, Holdfast for {value_text(ours.unreachable)} s")
    if other.recovery is not None and ours.recovery is not None and other.recovery < ours.recovery - 0.25:
        us = "never" if ours.recovery == inf else f"after {value_text(ours.recovery)} s"
        words.append(f"a fresh lease {value_text(other.recovery)} s after the server's return, Holdfast {us}")
    return words


HEADINGS: tuple[tuple[str, Callable[[Result], str]], ...] = (
    ("Promises broken (their numbers)", kept_cell),
    ("Seconds unreachable while the lease was valid", away_cell),
    ("Seconds from the server's return to a fresh lease (where it was not away: the longest renewal)", wait_cell),
    ("Packets sent by the client", packets_cell),
)


def markdown(matrix: Matrix) -> str:
    """All tables as a page."""
    ordered = [result for scenario in matrix.scenarios for result in matrix.of(scenario.name)]
    return pages.page(
        "compare.md", matrix=matrix, leases=sorted({scenario.lease.time for scenario in matrix.scenarios}),
        summary=summary(matrix), tables=[(heading, table(matrix, cell)) for heading, cell in HEADINGS],
        better=better_peers(matrix), results=ordered,
    )  # fmt: skip


def write(matrix: Matrix, folder: Path) -> list[Path]:
    """compare.json, compare.md, and a picture for each scenario; what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []

    def put(name: str, text: str) -> None:
        (folder / name).write_text(text, encoding="utf-8")
        written.append(folder / name)

    put("compare.json", json.dumps(matrix.as_json(), indent=1) + "\n")  # first: the runs took a quarter of an hour
    put("compare.md", markdown(matrix))
    for one in matrix.scenarios:
        put(f"lab-{one.name}.svg", draw(one, matrix.of(one.name)))
    return written
