"""The two charts of the benchmark: bars from 0, and dots on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from holdfast_lab.render.tables import value_text
from holdfast_lab.render.theme import AXIS, LIMIT, OTHER, OTHER_LIGHT, OURS, OURS_LIGHT, SOFT, Picture

#: Of the figures on an axis.
as_text = FuncFormatter(lambda value, _position: value_text(value))
_WIDTH, _LEFT, _RIGHT, _TOP = 760.0, 138.0, 84.0, 88.0


@dataclass(frozen=True)
class Row:
    """One client in a chart: the values of each series, None where there is none; ``ours`` stands out."""

    name: str
    values: tuple[float | None, ...]
    ours: bool = False

    def style(self, place: int) -> dict[str, Any]:
        """Colours of its value in the series at ``place``."""
        edge, light = (OURS, OURS_LIGHT) if self.ours else (OTHER, OTHER_LIGHT)
        return {"facecolor": light if place else edge, "edgecolor": edge, "linewidth": 1}


@dataclass(frozen=True)
class Limit:
    """A vertical line at a value, with its words above."""

    value: float
    words: str


def bar_chart(title: str, note: str, rows: Sequence[Row], series: Sequence[str], *, unit: str) -> str:
    """Horizontal bars from 0, one group for each row, each with its value. At most two series."""
    pitch = 14.0 * len(series) + (18 if len(series) == 1 else 14)
    picture, axes = _frame(title, note, rows, pitch, unit)
    axes.set_xlim(0, max([value for row in rows for value in row.values if value], default=1.0))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.axvline(0, color=AXIS)
    thick = 14 / pitch if len(series) > 1 else 18 / pitch
    for index, row in enumerate(rows):
        for place, value in enumerate(row.values):
            y = index + (place - (len(series) - 1) / 2) * thick
            bar = axes.barh(y, value or 0, thick * 0.86, **row.style(place))
            words = "not measured" if value is None else value_text(value, unit)
            axes.bar_label(bar, [words], padding=6, weight="bold" if row.ours else "normal")
    if len(series) > 1:
        kinds = zip((OTHER, OTHER_LIGHT), series, strict=True)
        picture.legend([Patch(facecolor=face, edgecolor=OTHER, label=words) for face, words in kinds], _LEFT, 70,
                       handlelength=0.9, handleheight=0.9)
    return picture.svg()


def dot_chart(
    title: str, note: str, rows: Sequence[Row], series: Sequence[str], limits: Sequence[Limit], *, unit: str
) -> str:
    """Dots on a logarithmic axis, one line for each row, the values of its series joined. At most two series."""
    picture, axes = _frame(title, note, rows, 34.0, unit)
    values = [value for row in rows for value in row.values if value] + [limit.value for limit in limits]
    low, high = min(values, default=1.0) / 1.4, max(values, default=10.0) * 1.25
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low <= 1e4 else (1,), numticks=20))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(as_text)
    axes.set_ylim(max(len(rows), 1) - 0.4, -0.9)
    for place, limit in enumerate(limits):
        axes.axvline(limit.value, color=LIMIT, linewidth=1.5, dashes=(5, 4))
        axes.annotate(limit.words, (limit.value, 1), (5 if place else -5, -9), xycoords=axes.get_xaxis_transform(),
                      textcoords="offset points", ha="left" if place else "right", color=LIMIT, size=12)
    for index, row in enumerate(rows):
        known = [value for value in row.values if value is not None]
        if not known:
            continue
        axes.plot(known, [index] * len(known), color=row.style(0)["edgecolor"], linewidth=1.2, zorder=2)
        for place, value in enumerate(row.values):
            if value is not None:
                axes.scatter(value, index, s=110, zorder=3 + place, **row.style(place))
        words = " / ".join("-" if value is None else value_text(value) for value in row.values)
        label = axes.annotate(words, (max(known), index), (11, 0), textcoords="offset points", va="center_baseline",
                              weight="bold" if row.ours else "normal", gid=f"halo-{index}")
        dot = axes.transData.transform((max(known), index))[0]
        for line in sorted(axes.transData.transform((limit.value, index))[0] for limit in limits):
            box = label.get_window_extent()
            if box.x0 - 4 < line < box.x1 + 4:  # beyond the limit's line, which would go through it
                label.set_position((line - dot + 7, 0))
    marks = zip((OTHER, OTHER_LIGHT), series, strict=True)
    picture.legend([
        Line2D([], [], marker="o", markersize=10.5, linestyle="none", markerfacecolor=face, markeredgecolor=OTHER,
               label=words) for face, words in marks
    ], _LEFT, 68, handlelength=1.0)  # fmt: skip
    return picture.svg()


def _frame(title: str, note: str, rows: Sequence[Row], pitch: float, unit: str) -> tuple[Picture, Axes]:
    """A picture with one line of ``pitch`` pixels for each row, and the unit beside the axis."""
    bottom = _TOP + len(rows) * pitch + 10
    picture = Picture(_WIDTH, bottom + 40, title, note)
    axes = picture.axes(_LEFT, _TOP, _WIDTH - _RIGHT, bottom)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    for row, label in zip(rows, axes.get_yticklabels(), strict=True):
        label.set_fontweight("bold" if row.ours else "normal")
    axes.xaxis.set_major_formatter(as_text)
    picture.text(_WIDTH - 20, bottom + 18, unit, size=12, color=SOFT, ha="right")
    return picture, axes
