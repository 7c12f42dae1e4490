"""The simulator's pictures: the load on the server over time, the trade between recovery and load, and for leases of
two minutes that between leases lost and load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox

from holdfast.observe.words import counted
from holdfast_lab.render.charts import as_text
from holdfast_lab.render.tables import seconds_text
from holdfast_lab.render.theme import AXIS, LIMIT, OTHER, OURS, SOFT, WINDOW, Picture
from holdfast_lab.simulate.figures import Figures
from holdfast_lab.simulate.frontier import LEASE, Server, Verdict, undominated
from holdfast_lab.simulate.scenario import ABSENCES, Cell, Scenario

_OURS = "holdfast"
_LEFT, _WIDTH, _TOP, _ROW = 110.0, 900.0, 84.0, 74.0
_BINS = 380


def _worst(load: Sequence[int], bins: int) -> list[int]:
    """The worst second in each of ``bins`` equal parts of the run."""
    edges = [round(index * len(load) / bins) for index in range(bins + 1)]
    return [max(load[low:max(high, low + 1)], default=0) for low, high in pairwise(edges)]


def load_picture(scenario: Scenario, rows: Sequence[Figures]) -> str:
    """Messages per second at the busiest server, a row for each fleet, the outage shaded."""
    bottom = _TOP + len(rows) * _ROW
    title = f"Load on the server: {counted(scenario.clients, 'client')}, lease {seconds_text(scenario.lease)}"
    note = "messages that reach it in the worst second of each column"
    note += "; shaded: the server is away" if scenario.outage else ""
    picture = Picture(_WIDTH, bottom + 44, title, note)
    unit, size = next(
        ((unit, size) for unit, size in (("h", 3600.0), ("min", 60.0)) if scenario.span >= 3 * size), ("s", 1.0)
    )
    axes = picture.axes(_LEFT, _TOP - 12, _WIDTH - 20, bottom)
    axes.set(xlim=(0, scenario.span / size), ylim=(bottom, _TOP - 12), yticks=[])
    axes.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(as_text)
    picture.text(_WIDTH - 20, bottom + 36, unit, size=12, color=SOFT, ha="right")
    if scenario.outage is not None:
        axes.axvspan(scenario.outage.start / size, scenario.outage.end / size, color=WINDOW, linewidth=0, zorder=0)
    high = max([max(row.load) for row in rows] + [1])
    for index, row in enumerate(rows):
        base, ours = _TOP + (index + 1) * _ROW - 14, row.name == _OURS
        picture.text(_LEFT - 12, base - 4, row.name, weight="bold" if ours else "normal", ha="right")
        picture.text(_LEFT - 12, base - 20, f"peak {max(row.load)}", size=12, color=SOFT, ha="right")
        axes.axhline(base, color=AXIS, linewidth=1)
        worst = _worst(row.load, min(_BINS, len(row.load)))
        heights = [base - value / high * (_ROW - 20) for value in worst]
        edges = [place * scenario.span / size / len(worst) for place in range(len(worst) + 1)]
        axes.stairs(heights, edges, baseline=base, fill=True, color=OURS if ours else OTHER, linewidth=0, zorder=3)
    return picture.svg()


def trade_picture(results: Sequence[tuple[Cell, Sequence[Figures]]]) -> str:
    """A panel for each lease: the worst load at the server's return against the time to the lease, one dot for each
    client, over all absences with a fleet spread evenly and unicast heard; the line is RFC 2131's own worst load."""
    leases = list(dict.fromkeys(cell.lease for cell, _ in results))
    panel = 400.0
    clients = results[0][0].scenario.clients
    picture = Picture(
        _WIDTH, 92 + panel * len(leases), "The trade: time to the lease against the load of a returning server",
        f"{counted(clients, 'client')}, every absence of the table, unicast heard. Left is a faster "
        "return to the lease, lower a lighter load.",
        "In brackets: leases lost after the server's return. Dashed: RFC 2131's own worst second.",
    )  # fmt: skip
    for place, lease in enumerate(leases):
        chosen = [(cell, rows) for cell, rows in results if cell.lease == lease and not cell.deaf and not cell.storm]
        top, bottom = 92 + place * panel, 92 + (place + 1) * panel
        picture.text(70, top + 14, f"Lease {seconds_text(lease)}", weight="bold")
        picture.text(62, top + 14, "per s", size=12, color=SOFT, ha="right")
        picture.text(_WIDTH - 30, bottom - 20, f"mean of the {len(ABSENCES)} medians", size=12, color=SOFT, ha="right")
        _panel(picture.axes(70, top + 28, _WIDTH - 30, bottom - 56), _points(chosen))
    return picture.svg()


def frontier_picture(clients: int, results: Sequence[tuple[Server, Sequence[Verdict]]]) -> str:
    """A panel for each kind of server: the worst second at its return against the leases lost, a dot for each
    schedule. The line joins those of ours, with several least gaps between rounds, that no other of ours beats in both;
    the chosen one is the largest dot."""
    panel = 330.0
    picture = Picture(
        _WIDTH, 92 + panel * len(results), "The frontier: leases lost against the load of a returning server",
        f"{counted(clients, 'client')}, leases of {seconds_text(LEASE)}, a server that is back before the first lease "
        "ends.",
        "Left is fewer leases lost, lower a lighter load. "
        "Blue: Holdfast, by its least gap between two rounds; large: chosen.",
    )  # fmt: skip
    for place, (server, verdicts) in enumerate(results):
        top, bottom = 92 + place * panel, 92 + (place + 1) * panel
        picture.text(70, top + 14, server.name, weight="bold")
        picture.text(62, top + 14, "per s", size=12, color=SOFT, ha="right")
        picture.text(_WIDTH - 30, bottom - 20, "leases lost", size=12, color=SOFT, ha="right")
        _frontier_panel(picture.axes(70, top + 28, _WIDTH - 30, bottom - 56), verdicts)
    return picture.svg()


def _frontier_panel(axes: Axes, verdicts: Sequence[Verdict]) -> None:
    widest = max(*(verdict.lost for verdict in verdicts), 0.01)
    axes.set(xlim=(-0.04 * widest, 1.15 * widest), ylim=(0, 1.2 * max(verdict.peak for verdict in verdicts)))
    axes.grid(visible=True, axis="y")
    axes.xaxis.set(major_locator=MaxNLocator(8), major_formatter=lambda value, _position: f"{100 * value:.3g} %")
    axes.yaxis.set(major_locator=MaxNLocator(5), major_formatter=as_text)
    axes.tick_params("y", labelsize=12, labelcolor=SOFT, pad=8)
    best = undominated([verdict for verdict in verdicts if verdict.candidate.ours])
    axes.plot([verdict.lost for verdict in best], [verdict.peak for verdict in best], color=OURS, linewidth=1.5)
    points = [
        Point((verdict.candidate.name,), verdict.lost, float(verdict.peak), verdict.candidate.ours)
        for verdict in sorted(verdicts, key=lambda verdict: not verdict.candidate.chosen)
    ]
    taken = [_square(axes, point, 6) for point in points]
    for verdict in verdicts:
        colour = OURS if verdict.candidate.ours else OTHER
        size = 196 if verdict.candidate.chosen else 81
        axes.scatter([verdict.lost], [verdict.peak], s=size, zorder=4 if verdict.candidate.ours else 3, linewidth=0,
                     color=colour)
    for point in points:
        _label(axes, point, taken)


@dataclass(frozen=True)
class Point:
    """A client, or several that do the same: where its dot is, the worst second at the server's return upwards."""

    names: tuple[str, ...]
    at: float
    load: float
    ours: bool


def _points(chosen: Sequence[tuple[Cell, Sequence[Figures]]]) -> list[Point]:
    points = []
    for index, first in enumerate(chosen[0][1]):
        runs = [rows[index] for _, rows in chosen]
        medians = [run.recovery.median for run in runs if run.recovery.count]
        lost = sum(run.lost_after_return for run in runs)
        name = f"{first.name} ({lost})" if lost else first.name
        time = max(sum(medians) / max(len(medians), 1), 0.1)
        load = float(max(*(run.peak_at_return for run in runs), 1))
        points.append(Point((name,), time, load, first.name == _OURS))
    return points


#: Pixels above or below a dot within which its words need no line to it.
_NEAR = 16
#: Times worth a line, in seconds.
_TICKS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 18000)


def _panel(axes: Axes, points: Sequence[Point]) -> None:
    times, loads = [point.at for point in points], [point.load for point in points]
    axes.set(xscale="log", yscale="log")
    axes.set(xlim=(min(times) / 1.3, max(times) * 1.9), ylim=(min(loads) / 1.4, max(loads) * 1.4))
    axes.grid(visible=True, axis="y")
    axes.xaxis.set(major_locator=FixedLocator(_TICKS), major_formatter=lambda value, _position: seconds_text(value))
    axes.yaxis.set(major_locator=LogLocator(subs=(1, 2, 5)), major_formatter=as_text)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
    axes.tick_params("y", labelsize=12, labelcolor=SOFT, pad=8)
    for point in points:
        if point.names[0].startswith("RFC 2131"):
            axes.axhline(point.load, color=LIMIT, linewidth=1.5, dashes=(3.3, 2.7))
    merged = _merged(axes, points)
    taken = [_square(axes, point, 6) for point in merged]
    for point in points:
        if point.names[0].startswith("RFC 2131"):  # nothing is written on the line
            y = axes.transData.transform((point.at, point.load))[1]
            taken.append(Bbox.from_extents(axes.bbox.x0, y - 1, axes.bbox.x1, y + 1))
    for point in merged:
        _label(axes, point, taken)
    for ours in (False, True):
        mine = [point for point in merged if point.ours == ours]
        axes.scatter([point.at for point in mine], [point.load for point in mine], s=121, zorder=3, linewidth=0,
                     color=OURS if ours else OTHER)


def _square(axes: Axes, point: Point, half: float) -> Bbox:
    """Of so many pixels to each side around the point's dot."""
    x, y = axes.transData.transform((point.at, point.load))
    return Bbox.from_extents(x - half, y - half, x + half, y + half)


def _merged(axes: Axes, points: Sequence[Point]) -> list[Point]:
    """Ours first; those of the others whose dots would lie on each other become one."""
    merged: list[Point] = []
    for point in sorted(points, key=lambda point: not point.ours):
        near = [
            other for other in merged if not (point.ours or other.ours)
            and _square(axes, other, 4.5).overlaps(_square(axes, point, 4.5))
        ]
        if near:
            merged[merged.index(near[0])] = replace(near[0], names=(*near[0].names, *point.names))
        else:
            merged.append(point)
    return merged


def _label(axes: Axes, point: Point, taken: list[Bbox]) -> None:
    """Words beside a dot: to its right, else to its left, else below or above it, wherever nothing is yet."""
    label = axes.annotate(
        ", ".join(point.names), (point.at, point.load), (9, 0), textcoords="offset points", va="center_baseline",
        weight="bold" if point.ours else "normal", gid=f"halo-{point.names[0]}", zorder=4,
    )  # fmt: skip
    size, room = label.get_window_extent().width, axes.bbox.padded(12, 0)
    x = axes.transData.transform((point.at, point.load))[0]
    below = min(-6.0, room.x1 - 1 - size - x)
    places = [(9.0, 0.0), (-9.0 - size, 0.0), *((below, side * step) for step in (16, 30, 44) for side in (-1, 1))]
    for place in (*places, places[0]):
        label.set_position(place)
        box = label.get_window_extent()
        if room.x0 < box.x0 and box.x1 < room.x1 and not any(box.overlaps(other) for other in taken):
            break
    taken.append(label.get_window_extent())
    if abs(label.get_position()[1]) > _NEAR:
        y = label.get_position()[1]
        axes.annotate("", (point.at, point.load), (0, y - 6 if y > 0 else y + 6), textcoords="offset points",
                      arrowprops={"arrowstyle": "-", "color": OTHER, "linewidth": 1, "shrinkA": 0, "shrinkB": 0})
