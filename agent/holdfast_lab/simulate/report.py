"""The figures as tables: for a terminal, and as Markdown for the matrix."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast_lab.render.tables import Table, markdown_table, seconds_text
from holdfast_lab.simulate.figures import Figures, Spread
from holdfast_lab.simulate.scenario import ABSENCES, Cell

_HEAD = (
    "client", "leases\nlost", "after\nreturn", "without\naddress", "to lease\nmedian", "\np99", "\nmax",
    "to address\nmedian", "\nmax", "packets\nper client", "per second\nmean", "\npeak", "\nat return", "queue\nfull",
)  # fmt: skip


def _three(values: Spread) -> list[str]:
    found = (values.median, values.p99, values.longest)
    return [seconds_text(value) for value in found] if values.count else ["-"] * 3


def table(rows: Sequence[Figures]) -> Table:
    """A row for each fleet; the units are in the cells. "To lease" counts from the server's return, "to address"
    from the boot."""
    cells: list[Sequence[str]] = [_HEAD]
    for row in rows:
        boot_median, _, boot_longest = _three(row.boot)
        cells.append([
            row.name, str(row.lost), str(row.lost_after_return), seconds_text(row.without / row.clients),
            *_three(row.recovery), boot_median, boot_longest, f"{row.packets_mean:.1f}", f"{row.load_mean:.1f}",
            str(row.load_peak), str(row.peak_at_return), str(row.overflowed),
        ])  # fmt: skip
    return cells


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
        f"{figures.lost_after_return} · {seconds_text(recovery.median)}, {seconds_text(recovery.longest)}"
        f" · {figures.peak_at_return}"
    )


def markdown(results: Sequence[tuple[Cell, Sequence[Figures]]]) -> list[str]:
    """The matrix: a table for each lease and hearing, a row for each client, a column for each absence.

    A cell is: leases lost after the server's return · time from its return to the lease, median and longest ·
    messages in the worst second at its return.
    """
    lines: list[str] = []
    for lease, deaf, storm in dict.fromkeys((cell.lease, cell.deaf, cell.storm) for cell, _ in results):
        chosen = [rows for cell, rows in results if (cell.lease, cell.deaf, cell.storm) == (lease, deaf, storm)]
        title = f"Lease {lease:.0f} s, unicast {'not heard' if deaf else 'heard'}"
        lines += [f"### {title}{', booted within 10 s' if storm else ''}", ""]
        heading = ["client", *(absence.name for absence in ABSENCES)]
        cells = [[mine[0].name, *map(_cell, mine)] for mine in zip(*chosen, strict=True)]
        lines += [markdown_table([heading, *cells], words=True), ""]
    return lines
