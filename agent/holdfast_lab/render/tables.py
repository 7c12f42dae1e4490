"""Figures in words, and tables of them: for a terminal by rich, for a page as Markdown."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid

Table = Sequence[Sequence[str]]
"""Rows of cells, the heading first; the first column is a name, the others are figures."""


def value_text(value: float, unit: str = "") -> str:
    """A figure with three significant digits at most, without a useless fraction: 0.009, 6.78, 23.1, 181, 7200."""
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 else 3
    text = f"{value:.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"{text} {unit}".rstrip()


def seconds_text(value: float) -> str:
    """A duration with about three digits: 0.42 s, 7.5 s, 64 s, 11 min, 7.5 h."""
    unit, size = ("h", 3600.0) if value >= 7200 else ("min", 60.0) if value >= 120 else ("s", 1.0)
    number = value / size
    return f"{number:.0f} {unit}" if number >= 9.95 else f"{number:.1f} {unit}"


def console(out: TextIO | None = None) -> Console:
    """As wide as the terminal, in its colours (NO_COLOR, TERM); a file or a pipe gets plain lines of any length."""
    out = out or sys.stdout
    return Console(file=out, width=None if out.isatty() else 500, highlight=False, markup=False, emoji=False)


def grid(table: Table, *, words: bool = False) -> Grid:
    """For a terminal: figures to the right, unless all cells are ``words``."""
    found = Grid(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, heading in enumerate(table[0]):
        found.add_column(heading, justify="left" if words or number == 0 else "right")
    for row in table[1:]:
        found.add_row(*row)
    return found


def markdown_table(table: Table, *, words: bool = False) -> str:
    """The same for a page."""
    rule = ["---", *("---" if words else "---:" for _ in table[0][1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in [table[0], rule, *table[1:]])
