"""The simulator's two pictures: the load on the server over time, and the trade between recovery and load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from holdfast.observe.words import counted
from holdfast_lab.render.charts import Drawing, Scale, value_text
from holdfast_lab.simulate.figures import Figures
from holdfast_lab.simulate.matrix import ABSENCES, Cell
from holdfast_lab.simulate.report import seconds
from holdfast_lab.simulate.scenario import Scenario

OURS = "holdfast"
_LEFT, _WIDTH, _TOP = 110.0, 900.0, 84.0
_ROW = 74.0
_BINS = 380


def _worst(load: Sequence[int], bins: int) -> list[int]:
    """The worst second in each of ``bins`` equal parts of the run."""
    edges = [round(index * len(load) / bins) for index in range(bins + 1)]
    return [max(load[low:max(high, low + 1)], default=0) for low, high in pairwise(edges)]


def load_picture(scenario: Scenario, rows: Sequence[Figures]) -> str:
    """Messages per second at the busiest server, a row for each fleet, the outage shaded."""
    bottom = _TOP + len(rows) * _ROW
    picture = Drawing(_WIDTH, bottom + 44)
    title = f"Load on the server: {counted(scenario.clients, 'client')}, lease {seconds(scenario.lease)}"
    picture.text(20, 30, title, "title")
    note = "messages that reach it in the worst second of each column"
    picture.text(20, 50, f"{note}; shaded: the server is away" if scenario.outage else note, "note")
    along = Scale(0, scenario.span, _LEFT, _WIDTH - 20)
    if scenario.outage is not None:
        x = along(scenario.outage.start)
        picture.box(x, _TOP - 12, along(scenario.outage.end) - x, bottom - _TOP + 12, "window", 0)
    unit, size = next(
        ((unit, size) for unit, size in (("h", 3600.0), ("min", 60.0)) if scenario.span >= 3 * size), ("s", 1.0)
    )
    for tick in Scale(0, scenario.span / size, 0, 1).ticks(10):
        picture.line(along(tick * size), _TOP - 12, along(tick * size), bottom, "grid")
        picture.text(along(tick * size), bottom + 18, value_text(tick), "tick", "middle")
    picture.text(_WIDTH - 20, bottom + 34, unit, "tick", "end")
    high = max([max(row.load) for row in rows] + [1])
    columns = min(_BINS, len(rows[0].load)) if rows else 0
    pitch = (_WIDTH - 20 - _LEFT) / max(columns, 1)
    for index, row in enumerate(rows):
        base = _TOP + (index + 1) * _ROW - 14
        picture.line(_LEFT, base, _WIDTH - 20, base, "axis")
        ours = row.name == OURS
        picture.text(_LEFT - 12, base - 4, row.name, "strong" if ours else "", "end")
        picture.text(_LEFT - 12, base - 20, f"peak {max(row.load)}", "note", "end")
        for column, value in enumerate(_worst(row.load, columns)):
            height = value / high * (_ROW - 20)
            if height:
                picture.box(_LEFT + column * pitch, base - height, pitch, height, "ours" if ours else "other", 0)
    return picture.svg(title)


def trade_picture(results: Sequence[tuple[Cell, Sequence[Figures]]]) -> str:
    """A panel for each lease: the worst load at the server's return against the time to the lease, one dot for each
    client, over all absences with a fleet spread evenly and unicast heard; the line is RFC 2131's own worst load."""
    leases = list(dict.fromkeys(cell.lease for cell, _ in results))
    panel, width = 400.0, 900.0
    picture = Drawing(width, 92 + panel * len(leases))
    clients = results[0][0].scenario.clients
    picture.text(20, 30, "The trade: time to the lease against the load of a returning server", "title")
    picture.text(20, 50, f"{counted(clients, 'client')}, every absence of the table, unicast heard. Left is a faster "
                 "return to the lease, lower a lighter load.", "note")
    picture.text(20, 67, "In brackets: leases lost after the server's return. Dashed: RFC 2131's own worst second.",
                 "note")
    for place, lease in enumerate(leases):
        chosen = [(cell, rows) for cell, rows in results if cell.lease == lease and not cell.deaf and not cell.storm]
        _panel(picture, 92 + place * panel, f"Lease {seconds(lease)}", chosen, width, panel)
    return picture.svg("Time to the lease against the load of a returning server")


@dataclass(frozen=True)
class Point:
    """A client, or several that do the same: mean of the medians of recovery, worst second at the server's return."""

    names: tuple[str, ...]
    time: float
    load: float

    @property
    def ours(self) -> bool:
        """True when it is Holdfast's."""
        return any(name.startswith(OURS) for name in self.names)


def _points(chosen: Sequence[tuple[Cell, Sequence[Figures]]]) -> list[Point]:
    points = []
    for index, first in enumerate(chosen[0][1]):
        runs = [rows[index] for _, rows in chosen]
        medians = [run.recovery.median for run in runs if run.recovery.count]
        lost = sum(run.lost_after_return for run in runs)
        name = f"{first.name} ({lost})" if lost else first.name
        time = max(sum(medians) / max(len(medians), 1), 0.1)
        points.append(Point((name,), time, float(max(*(run.peak_at_return for run in runs), 1))))
    return points


def _merged(points: Sequence[Point], x: Scale, y: Scale) -> list[Point]:
    """Those whose dots would lie on each other become one, except ours."""
    merged: list[Point] = []
    for point in points:
        near = [
            other for other in merged if not (point.ours or other.ours)
            and abs(x(other.time) - x(point.time)) < 9 and abs(y(other.load) - y(point.load)) < 9
        ]
        if near:
            merged[merged.index(near[0])] = replace(near[0], names=(*near[0].names, *point.names))
        else:
            merged.append(point)
    return merged


#: Times worth a line, in seconds.
_TICKS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 18000)
_CHARACTER = 6.9  # pixels, about


def _panel(
    picture: Drawing, top: float, title: str, chosen: Sequence[tuple[Cell, Sequence[Figures]]], width: float,
    height: float,
) -> None:
    points = _points(chosen)
    times, loads = [point.time for point in points], [point.load for point in points]
    x = Scale(min(times) / 1.3, max(times) * 1.9, 70, width - 30, log=True)
    y = Scale(min(loads) / 1.4, max(loads) * 1.4, top + height - 56, top + 28, log=True)
    picture.text(70, top + 14, title, "strong")
    for time in _TICKS:
        if x.low <= time <= x.high:
            picture.line(x(time), top + 28, x(time), top + height - 56, "grid")
            picture.text(x(time), top + height - 40, seconds(time), "tick", "middle")
    for tick in y.ticks():
        picture.line(70, y(tick), width - 30, y(tick), "grid")
        picture.text(62, y(tick) + 4, value_text(tick), "tick", "end")
    picture.text(width - 30, top + height - 22, f"mean of the {len(ABSENCES)} medians", "tick", "end")
    picture.text(62, top + 14, "per s", "tick", "end")
    for point in points:
        if point.names[0].startswith("RFC 2131"):
            picture.line(70, y(point.load), width - 30, y(point.load), "limit")
    merged = sorted(_merged(points, x, y), key=lambda point: not point.ours)
    taken = [(x(point.time) - 6, y(point.load) - 6, x(point.time) + 6, y(point.load) + 6) for point in merged]
    for point in merged:
        _label(picture, ", ".join(point.names), x(point.time), y(point.load), taken, width - 30, ours=point.ours)
    for point in merged:
        picture.dot(x(point.time), y(point.load), 5, "ours" if point.ours else "other")


Box = tuple[float, float, float, float]


def _label(picture: Drawing, words: str, x: float, y: float, taken: list[Box], right: float, *, ours: bool) -> None:
    """Words beside a dot: to its right, else to its left, else below or above it, wherever nothing is yet."""
    size = len(words) * _CHARACTER
    places = [(x + 9, y + 4), (x - 13 - size, y + 4)]
    places += [(min(x - 6, right - size), y + step * side) for step in (18, 32, 46) for side in (1, -1)]
    for left, base in places:
        box = (left, base - 11, left + size, base + 3)
        free = not any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken)
        if free and left >= 66 and left + size <= right + 25:
            break
    else:
        left, base = places[0]
        box = (left, base - 11, left + size, base + 3)
    taken.append(box)
    picture.text(left, base, words, "strong halo" if ours else "halo")
