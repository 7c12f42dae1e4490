"""The frame of an HTML page that needs nothing from elsewhere, and follows the reader's light or dark colours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from html import escape
from math import log10
from typing import NamedTuple

_STYLE = """\
:root { color-scheme: light dark; --ground: #fff; --ink: #24292f; --soft: #57606a; --grid: #e3e8ed; --border: #d0d7de; }
@media (prefers-color-scheme: dark) { :root { --ground: #0d1117; --ink: #e6edf3; --soft: #9198a1; --grid: #21262d;
  --border: #30363d; } }
body { background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif;
  max-width: 992px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; border-top: 1px solid var(--border);
  padding-top: 1.2rem; }
.soft, figcaption, th { color: var(--soft); } .verdict { font-size: 1.1rem; }
code { font: 0.95em ui-monospace, "DejaVu Sans Mono", monospace; }
table { border-collapse: collapse; } th, td { text-align: left; padding: 0.15rem 1.2rem 0.15rem 0;
  vertical-align: top; } th { font-weight: normal; } td { font-variant-numeric: tabular-nums; }
figure { margin: 1.2rem 0; } svg { width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 12px; }
svg .grid { stroke: var(--grid); } svg .line { fill: none; stroke-width: 2; } details { margin: 1rem 0; }
.scroll { overflow-x: auto; margin-bottom: 1rem; } .wide { min-width: 760px; }
.sign, .rows, time { white-space: nowrap; }
.sign { margin-right: 0.9em; }
"""


#: Points of a figure: SVG with its middle at (x, y), some 10 units wide. ``line`` has no fill.
_SIGNS: Mapping[str, Callable[[float, float], str]] = {
    "circle": lambda x, y: f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"/>',
    "triangle": lambda x, y: f'<path d="M{x:.1f} {y - 5.5:.1f}l5 9h-10z"/>',
    "square": lambda x, y: f'<path d="M{x - 4.5:.1f} {y - 4.5:.1f}h9v9h-9z"/>',
    "frame": lambda x, y: f'<path class="line" d="M{x - 4:.1f} {y - 4:.1f}h8v8h-8z"/>',
    "diamond": lambda x, y: f'<path d="M{x:.1f} {y - 5.5:.1f}l5.5 5.5-5.5 5.5-5.5-5.5z"/>',
    "cross": lambda x, y: f'<path class="line" d="M{x - 4:.1f} {y - 4:.1f}l8 8m0-8l-8 8"/>',
    "plus": lambda x, y: f'<path class="line" d="M{x - 5:.1f} {y:.1f}h10M{x:.1f} {y - 5:.1f}v10"/>',
}

#: Times that a figure's scale names, in seconds.
TICKS = ((0.001, "1 ms"), (0.01, "10 ms"), (0.1, "0.1 s"), (1.0, "1 s"), (10.0, "10 s"), (100.0, "100 s"))
#: Seconds at the foot and at the head of that scale, which is logarithmic.
_FASTEST, _SLOWEST = 0.001, 1000.0


class Kind(NamedTuple):
    """How one kind of outcome is shown: its class of colours, the sign of its points, and what it means (text)."""

    name: str
    sign: str
    meaning: str


def height(seconds: float, top: float, bottom: float) -> float:
    """Where a time is on the scale between ``top`` and ``bottom``; one that is outside, at its end."""
    inside = min(max(seconds, _FASTEST), _SLOWEST)
    return bottom - log10(inside / _FASTEST) / log10(_SLOWEST / _FASTEST) * (bottom - top)


def point(kind: Kind, x: float, y: float, title: str) -> str:
    """SVG of one outcome; ``title`` (text) is shown under the pointer."""
    return f'<g class="{kind.name}"><title>{escape(title)}</title>{_SIGNS[kind.sign](x, y)}</g>'


def legend(kinds: Iterable[Kind]) -> str:
    """HTML that says what the points of these kinds mean."""
    return " ".join(
        '<span class="sign"><svg style="width:14px;height:14px;vertical-align:-2px" viewBox="0 0 14 14">'
        f'<g class="{kind.name}">{_SIGNS[kind.sign](7, 7)}</g></svg> {escape(kind.meaning)}</span>' for kind in kinds)


def document(title: str, heading: str, below: str, body: str, style: str) -> str:
    """A whole page: ``title``, ``heading`` and the line ``below`` it are texts, ``body`` is HTML and ``style`` CSS that
    is added."""
    return (f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
            f"<style>\n{_STYLE}{style}</style>\n</head>\n<body>\n<h1>{escape(heading)}</h1>\n"
            f'<p class="soft">{escape(below)}</p>\n{body}\n</body>\n</html>\n')
