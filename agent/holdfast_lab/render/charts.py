"""Small SVG charts without a plotting library: a drawing, scales, and the two charts of the benchmark.

A chart is legible on light and on dark pages: it has a ground of its own, and follows the reader's colour scheme
where the viewer knows it. All lengths are SVG user units (pixels at 100 %).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #24292f; }
.ground { fill: #ffffff; stroke: #d0d7de; }
.title { font-size: 16px; font-weight: 600; }
.note, .tick { font-size: 12px; fill: #57606a; }
.grid { stroke: #e3e8ed; stroke-width: 1; }
.axis { stroke: #8c959f; stroke-width: 1; }
.limit { stroke: #c2410c; stroke-width: 1.5; stroke-dasharray: 5 4; }
.limit-text { font-size: 12px; fill: #c2410c; }
.ours { fill: #0a6fb8; stroke: #0a6fb8; }
.other { fill: #8c959f; stroke: #8c959f; }
.ours-light { fill: #8cc4ec; stroke: #0a6fb8; }
.other-light { fill: #d8dee4; stroke: #8c959f; }
.good { fill: #2da44e; } .bad { fill: #cf222e; } .quiet { fill: #d8dee4; }
.strong { font-weight: 600; }
.held { fill: #8fd19e; } .gap { fill: #ffd7d5; stroke: #cf222e; stroke-dasharray: 3 2; }
.ask { fill: #d97706; stroke: #d97706; stroke-width: 1.6; } .search { fill: #8250df; }
.window { fill: #eaeef2; } .good-text { fill: #1a7f37; } .bad-text { fill: #cf222e; font-weight: 600; }
.halo { paint-order: stroke; stroke: #ffffff; stroke-width: 4; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.ground { fill: #0d1117; stroke: #30363d; }
.halo { stroke: #0d1117; }
.note, .tick { fill: #9198a1; }
.grid { stroke: #21262d; }
.axis { stroke: #6e7681; }
.limit { stroke: #f0883e; } .limit-text { fill: #f0883e; }
.ours { fill: #58a6ff; stroke: #58a6ff; }
.ours-light { fill: #1f4f86; stroke: #58a6ff; }
.other-light { fill: #30363d; stroke: #8c959f; }
.quiet { fill: #30363d; }
.held { fill: #2f6f3e; } .gap { fill: #4c1d1b; stroke: #ff7b72; } .window { fill: #1c2128; }
.ask { fill: #f0a73a; stroke: #f0a73a; } .search { fill: #b392f0; }
.good-text { fill: #57ab5a; } .bad-text { fill: #ff7b72; }
}
"""


class Drawing:
    """An SVG picture under construction. Classes of elements are those of ``STYLE``."""

    def __init__(self, width: float, height: float) -> None:
        self.width = width
        self.height = height
        self._parts: list[str] = []

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        """A straight line."""
        self._parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'
        )

    def box(self, x: float, y: float, width: float, height: float, kind: str, radius: float = 2) -> None:
        """A rectangle; a width under 1 is drawn 1 wide, so that a small value still shows."""
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height:.1f}" rx="{radius:g}" '
            f'class="{kind}"/>'
        )

    def dot(self, x: float, y: float, radius: float, kind: str) -> None:
        """A filled circle."""
        self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" class="{kind}"/>')

    def triangle(self, x: float, y: float, size: float, kind: str) -> None:
        """A triangle that points up, ``size`` from its middle to its point."""
        points = f"{x:.1f},{y - size:.1f} {x + size:.1f},{y + size * 0.8:.1f} {x - size:.1f},{y + size * 0.8:.1f}"
        self._parts.append(f'<polygon points="{points}" class="{kind}"/>')

    def cross(self, x: float, y: float, size: float, kind: str) -> None:
        """Two strokes across each other."""
        self.line(x - size, y - size, x + size, y + size, kind)
        self.line(x - size, y + size, x + size, y - size, kind)

    def text(self, x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> None:
        """One line of text; ``y`` is the base line, ``anchor`` is start, middle or end."""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(words)}</text>'
        )

    def svg(self, title: str) -> str:
        """The file's text; ``title`` is what a screen reader says."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:g}" '
            f'width="{self.width:g}" height="{self.height:g}" role="img">\n<title>{escape(title)}</title>\n'
        )
        ground = (
            f'<rect x="0.5" y="0.5" width="{self.width - 1:g}" height="{self.height - 1:g}" rx="6" class="ground"/>'
        )
        return "\n".join([f"{head}<style>{STYLE}</style>", ground, *self._parts, "</svg>\n"])


@dataclass(frozen=True)
class Scale:
    """Values from ``low`` to ``high`` on pixels from ``start`` to ``end``; ``log`` for a logarithmic one."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value; values outside are put on the edge."""
        inside = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(inside / self.low) / math.log(self.high / self.low)
        else:
            share = (inside - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, about: int = 6) -> list[float]:
        """Round values to label: 1, 2 and 5 times powers of ten; for a logarithm at most about 12."""
        return log_ticks(self.low, self.high) if self.log else even_ticks(self.low, self.high, about)


def even_ticks(low: float, high: float, about: int) -> list[float]:
    """Multiples of a round step within [low, high]; roughly ``about`` of them."""
    raw = (high - low) / max(about, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, 20, ... within [low, high]; only powers of ten when the range spans over four decades."""
    factors = (1, 2, 5) if high / low <= 1e4 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [factor * 10.0**power for power in powers for factor in factors]
    return [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]


def value_text(value: float, unit: str = "") -> str:
    """A figure with three significant digits at most, without a useless fraction: 0.009, 6.78, 23.1, 181, 7200."""
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 else 3
    text = f"{value:.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"{text} {unit}".rstrip()


@dataclass(frozen=True)
class Row:
    """One client in a chart: the values of each series, None where there is none; ``ours`` stands out."""

    name: str
    values: tuple[float | None, ...]
    ours: bool = False


@dataclass(frozen=True)
class Limit:
    """A vertical line at a value, with its words above."""

    value: float
    words: str


_LEFT, _RIGHT, _TOP = 138.0, 84.0, 88.0


def bar_chart(title: str, note: str, rows: Sequence[Row], series: Sequence[str], *, unit: str) -> str:
    """Horizontal bars from 0, one group for each row, each with its value. At most two series."""
    thickness = 18.0 if len(series) == 1 else 14.0
    pitch = thickness * len(series) + 14
    high = max([value for row in rows for value in row.values if value is not None], default=1.0)
    picture, scale, bottom = _frame(title, note, len(rows) * pitch, Scale(0, high or 1.0, 0, 1), unit)
    _legend(picture, series, square=True)
    for index, row in enumerate(rows):
        top = _TOP + 7 + index * pitch
        _row_name(picture, row, top + (pitch - 14) / 2 + 4.5)
        for place, value in enumerate(row.values):
            y = top + place * thickness
            if value is None:
                picture.text(_LEFT + 6, y + thickness - 4.5, "not measured", "note")
                continue
            picture.box(_LEFT, y + 1, scale(value) - _LEFT, thickness - 2, _kind(row, place))
            words = "strong" if row.ours else ""
            picture.text(scale(value) + 6, y + thickness - 4.5, value_text(value, unit), words)
    picture.line(_LEFT, _TOP, _LEFT, bottom, "axis")
    return picture.svg(title)


def dot_chart(
    title: str, note: str, rows: Sequence[Row], series: Sequence[str], limits: Sequence[Limit], *, unit: str
) -> str:
    """Dots on a logarithmic axis, one line for each row, the values of its series joined. At most two series."""
    pitch = 34.0
    values = [value for row in rows for value in row.values if value] + [limit.value for limit in limits]
    low, high = min(values, default=1.0) / 1.4, max(values, default=10.0) * 1.25
    picture, scale, bottom = _frame(title, note, len(rows) * pitch, Scale(low, high, 0, 1, log=True), unit)
    _legend(picture, series, square=False)
    for place, limit in enumerate(limits):
        x = scale(limit.value)
        picture.line(x, _TOP - 4, x, bottom, "limit")
        beside, end = (-5, "end") if place == 0 else (5, "start")
        picture.text(x + beside, _TOP + 2, limit.words, "limit-text", end)
    for index, row in enumerate(rows):
        y = _TOP + 26 + index * pitch
        _row_name(picture, row, y + 4.5)
        known = [value for value in row.values if value is not None]
        if known:
            picture.line(scale(min(known)), y, scale(max(known)), y, _kind(row, 0))
        for place, value in enumerate(row.values):
            if value is not None:
                picture.dot(scale(value), y, 5.5, _kind(row, place))
        words = " / ".join("-" if value is None else value_text(value) for value in row.values)
        anchor = scale(max(known)) if known else _LEFT
        picture.text(anchor + 11, y + 4.5, words, "strong halo" if row.ours else "halo")
    return picture.svg(title)


def _frame(title: str, note: str, body: float, scale: Scale, unit: str) -> tuple[Drawing, Scale, float]:
    """Title, note, grid and ticks; the drawing, the scale on its pixels, and the lower end of the plot."""
    width, bottom = 760.0, _TOP + body + 10
    picture = Drawing(width, bottom + 40)
    picture.text(20, 30, title, "title")
    picture.text(20, 50, note, "note")
    placed = Scale(scale.low, scale.high, _LEFT, width - _RIGHT, scale.log)
    for tick in placed.ticks():
        x = placed(tick)
        picture.line(x, _TOP, x, bottom, "grid")
        picture.text(x, bottom + 17, value_text(tick), "tick", "middle")
    picture.text(width - 20, bottom + 17, unit, "tick", "end")
    return picture, placed, bottom


def _legend(picture: Drawing, series: Sequence[str], *, square: bool) -> None:
    if len(series) < 2:
        return
    x = _LEFT
    for place, words in enumerate(series):
        kind = ("other", "other-light")[place]
        if square:
            picture.box(x, 62, 11, 11, kind)
        else:
            picture.dot(x + 5.5, 67.5, 5.5, kind)
        picture.text(x + 17, 72, words, "note")
        x += 40 + 6.6 * len(words)


def _row_name(picture: Drawing, row: Row, y: float) -> None:
    picture.text(_LEFT - 12, y, row.name, "strong" if row.ours else "", "end")


def _kind(row: Row, place: int) -> str:
    return ("ours" if row.ours else "other") + ("-light" if place else "")
