"""The figures as tables: aligned for a terminal, and Markdown for the matrix."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast_lab.simulate.figures import Figures, Spread
from holdfast_lab.simulate.matrix import ABSENCES, Cell


def seconds(value: float) -> str:
    """A duration with about three digits: 0.42 s, 7.5 s, 64 s, 11 min, 7.5 h."""
    for unit, size in (("s", 1.0), ("min", 60.0), ("h", 3600.0)):
        if value < 120 * size or unit == "h":
            number = value / size
            return f"{number:.0f} {unit}" if number >= 9.95 else f"{number:.1f} {unit}"
    raise AssertionError("the hours take everything")


def _three(values: Spread) -> list[str]:
    return [seconds(values.median), seconds(values.p99), seconds(values.longest)] if values.count else ["-"] * 3


_HEAD = (
    ("", "client"), ("leases", "lost"), ("", "after return"), ("without", "address"),
    ("return to", "median"), ("lease", "p99"), ("", "max"),
    ("boot to", "median"), ("address", "max"),
    ("packets", "per client"), ("per second", "mean"), ("", "peak"), ("", "at return"), ("queue", "full"),
)


def table(rows: Sequence[Figures]) -> list[str]:
    """Lines for a terminal, one for each fleet; the units are in the cells."""
    cells = [[head[0] for head in _HEAD], [head[1] for head in _HEAD]]
    for row in rows:
        median, p99, longest = _three(row.recovery)
        boot_median, _, boot_longest = _three(row.boot)
        cells.append([
            row.name, str(row.lost), str(row.lost_after_return), seconds(row.without / row.clients),
            median, p99, longest, boot_median, boot_longest,
            f"{row.packets_mean:.1f}", f"{row.load_mean:.1f}", str(row.load_peak), str(row.peak_at_return),
            str(row.overflowed),
        ])
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
    return [
        "  ".join(
            text.ljust(width) if column == 0 else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]


def notes(rows: Sequence[Figures]) -> list[str]:
    """What the table leaves unsaid: who is still without an address at the end."""
    return [
        f"{row.name}: without an address at the end: {row.unserved} of {row.clients}"
        for row in rows if row.unserved
    ]


def _cell(figures: Figures) -> str:
    recovery = figures.recovery
    if not recovery.count:
        return f"{figures.lost_after_return} · - · {figures.peak_at_return}"
    return (
        f"{figures.lost_after_return} · {seconds(recovery.median)}, {seconds(recovery.longest)}"
        f" · {figures.peak_at_return}"
    )


def markdown(results: Sequence[tuple[Cell, Sequence[Figures]]]) -> list[str]:
    """The matrix: a table for each lease and hearing, a row for each client, a column for each absence.

    A cell is: leases lost after the server's return · time from its return to the lease, median and longest ·
    messages in the worst second at its return.
    """
    lines: list[str] = []
    for lease, deaf, storm in dict.fromkeys((cell.lease, cell.deaf, cell.storm) for cell, _ in results):
        chosen = [(cell, rows) for cell, rows in results if (cell.lease, cell.deaf, cell.storm) == (lease, deaf, storm)]
        title = f"Lease {lease:.0f} s, unicast {'not heard' if deaf else 'heard'}"
        lines += [f"### {title}{', booted within 10 s' if storm else ''}", ""]
        lines.append("| client | " + " | ".join(absence.name for absence in ABSENCES) + " |")
        lines.append("|---|" + "---|" * len(ABSENCES))
        for index, first in enumerate(chosen[0][1]):
            lines.append(f"| {first.name} | " + " | ".join(_cell(rows[index]) for _, rows in chosen) + " |")
        lines.append("")
    return lines
