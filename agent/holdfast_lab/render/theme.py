"""What all pictures share: figures measured in pixels, one palette for light and dark pages, and the SVG itself.

matplotlib draws; text stays text in the reader's own font, and the same figures give the same file.
"""

from __future__ import annotations

import io
import re
from typing import Any

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text
from matplotlib.transforms import IdentityTransform

GROUND, INK, SOFT = "#ffffff", "#24292f", "#57606a"
BORDER, GRID, AXIS, WINDOW = "#d0d7de", "#e3e8ed", "#8c959e", "#eaeef2"
OURS, OURS_LIGHT, OTHER, OTHER_LIGHT = "#0a6fb8", "#8cc4ec", "#8c959f", "#d8dee4"
ASK, SEARCH, ACK, NAK, LIMIT = "#d97706", "#8250df", "#2da44e", "#cf222e", "#c2410c"
HELD, GAP, GOOD, BAD = "#8fd19e", "#ffd7d5", "#1a7f37", "#cf222d"
LEASE, LEASE_FILL = "#0b7285", "#c5eef4"
#: Every colour that is another one on a dark page.
DARK = {
    GROUND: "#0d1117", INK: "#e6edf3", SOFT: "#9198a1", BORDER: "#30363d", GRID: "#21262d", AXIS: "#6e7681",
    WINDOW: "#1c2128", OURS: "#58a6ff", OURS_LIGHT: "#1f4f86", OTHER_LIGHT: "#30363d", ASK: "#f0a73a",
    SEARCH: "#b392f0", LIMIT: "#f0883e", HELD: "#2f6f3e", GAP: "#4c1d1b", GOOD: "#57ab5a", BAD: "#ff7b72",
    LEASE: "#3bc9db", LEASE_FILL: "#17525e",
}  # fmt: skip
_FONT = 'system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif'
rcParams.update({
    "svg.fonttype": "none", "svg.hashsalt": "holdfast", "font.size": 13.0, "text.color": INK, "axes.labelcolor": SOFT,
    "axes.facecolor": "none", "axes.spines.left": False, "axes.spines.right": False, "axes.spines.top": False,
    "axes.spines.bottom": False, "axes.grid": True, "axes.grid.axis": "x", "axes.axisbelow": True, "grid.color": GRID,
    "grid.linewidth": 1.0, "xtick.color": SOFT, "xtick.labelsize": 12.0, "ytick.color": INK, "xtick.major.size": 0.0,
    "xtick.minor.size": 0.0, "ytick.major.size": 0.0, "ytick.minor.size": 0.0, "ytick.major.pad": 12.0,
    "xtick.major.pad": 7.0, "legend.frameon": False, "legend.fontsize": 12.0, "legend.labelcolor": SOFT,
    "legend.handletextpad": 0.4, "legend.borderpad": 0.0, "lines.solid_capstyle": "butt", "path.simplify": False,
})  # fmt: skip


class Picture:
    """One picture of ``width`` x ``height`` pixels with a title and lines of text below it, (0, 0) at the top left."""

    def __init__(self, width: float, height: float, title: str, *notes: str) -> None:
        self.width, self.height, self._title = width, height, title
        self.figure = Figure(figsize=(width / 72, height / 72), dpi=72, facecolor="none")
        frame = FancyBboxPatch((0.5, 0.5), width - 1, height - 1, "round,pad=0,rounding_size=6", zorder=-1)
        frame.set(facecolor=GROUND, edgecolor=BORDER, linewidth=1, transform=IdentityTransform())
        self.figure.add_artist(frame)
        self.text(20, 30, title, size=16, weight="bold")
        for place, note in enumerate(notes):
            self.text(20, 50 + 17 * place, note, size=12, color=SOFT)

    def axes(self, left: float, top: float, right: float, bottom: float, **options: Any) -> Axes:
        """Axes between these pixels."""
        box = (left / self.width, 1 - bottom / self.height, (right - left) / self.width, (bottom - top) / self.height)
        return self.figure.add_axes(box, **options)

    def text(self, x: float, y: float, words: str, **options: Any) -> Text:
        """One line of text; ``y`` is the base line."""
        return self.figure.text(x, self.height - y, words, transform=IdentityTransform(), **options)

    def legend(self, handles: list[Any], x: float, y: float, **options: Any) -> None:
        """What the signs mean, in one row whose middle is at ``y``."""
        self.figure.legend(
            handles=handles, loc="center left", bbox_to_anchor=(x, self.height - y), ncol=len(handles),
            bbox_transform=IdentityTransform(), borderaxespad=0, **options,
        )  # fmt: skip

    def svg(self) -> str:
        """The file's text."""
        out = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        self.figure.savefig(out, format="svg", metadata={**nothing, "Title": self._title})
        return themed(out.getvalue())


def themed(svg: str) -> str:
    """An SVG of matplotlib's or graphviz's in pixels, in the reader's own font, with the colours of DARK on dark pages.

    A text whose group has an id that begins with "halo" keeps a rim of the ground's colour. Light is what a viewer
    shows that knows no style sheets.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(width|height)="([\d.]+)pt"', r'\1="\2"', svg, count=2)
    svg = re.sub(r" <metadata>.*?</metadata>\n", "", svg, flags=re.DOTALL)
    svg = re.sub(r"""font-family: [^;]*; |font-family="[^"]*" | transform="rotate\(-0 [^"]*\)\"""", "", svg)
    dark = [
        f'[style*="{what}: {light}"], [{what}="{light}"] {{ {what}: {other} !important; }}'
        for light, other in DARK.items() if light in svg for what in ("fill", "stroke")
    ]  # fmt: skip
    style = "\n".join([
        f"text {{ font-family: {_FONT}; }}",
        f'[id^="halo"] text {{ paint-order: stroke; stroke: {GROUND}; stroke-width: 4px; }}',
        "@media (prefers-color-scheme: dark) {", *dark, f'[id^="halo"] text {{ stroke: {DARK[GROUND]}; }}', "}",
    ])  # fmt: skip
    return re.sub(r"(<svg[^>]*)>", rf'\1 role="img">\n<style>\n{style}\n</style>', svg, count=1)
