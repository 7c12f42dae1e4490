"""The frame of an HTML page that needs nothing from elsewhere, and follows the reader's light or dark colours."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

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


def legend(signs: Iterable[tuple[str, str, str]]) -> str:
    """The signs of a figure, each by its class of colours, its SVG in a field of 14 by 14, and what it means (text)."""
    return " ".join(
        '<span class="sign"><svg style="width:14px;height:14px;vertical-align:-2px" viewBox="0 0 14 14">'
        f'<g class="{name}">{sign}</g></svg> {escape(meaning)}</span>' for name, sign, meaning in signs)


def document(title: str, heading: str, below: str, body: str, style: str) -> str:
    """A whole page: ``title``, ``heading`` and the line ``below`` it are texts, ``body`` is HTML and ``style`` CSS that
    is added."""
    return (f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
            f"<style>\n{_STYLE}{style}</style>\n</head>\n<body>\n<h1>{escape(heading)}</h1>\n"
            f'<p class="soft">{escape(below)}</p>\n{body}\n</body>\n</html>\n')
