"""Draws a run as a picture: what is left of the lease over time, one row per client, and who asked whom when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MultipleLocator

from holdfast_lab.render.theme import ACK, ASK, BAD, GAP, GROUND, LEASE, LEASE_FILL, SOFT, Picture
from holdfast_lab.witness.exchanges import Course

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW, _GAP = 960.0, 70.0, 30.0, 130.0, 120.0, 74.0
_Style = dict[str, Any]
#: The signs: a ring and the strokes in it for what nobody answers, a request to everybody, an ACK.
_RING: _Style = {"marker": "o", "markersize": 15, "color": GROUND, "markeredgecolor": BAD, "markeredgewidth": 1.4}
_STROKES: _Style = {"marker": "x", "markersize": 8, "markeredgecolor": BAD, "markeredgewidth": 2}
_TRIANGLE: _Style = {"marker": "^", "markersize": 14, "color": ASK, "markeredgecolor": GROUND}
_DOT: _Style = {"marker": "o", "markersize": 11, "color": ACK, "markeredgecolor": GROUND}


def draw(title: str, rows: Sequence[Course], *, lease: float, until: float, note: str) -> str:
    """The SVG document: seconds to the right, seconds of lease left upwards."""
    picture = Picture(_WIDTH, _TOP + len(rows) * (_ROW + _GAP), title, note)
    for number, row in enumerate(rows):
        top = _TOP + number * (_ROW + _GAP)
        axes = picture.axes(_LEFT, top, _WIDTH - _RIGHT, top + _ROW)
        axes.set(xlim=(0, until), ylim=(0, lease), yticks=[0, lease / 2, lease])
        axes.xaxis.set_major_locator(MultipleLocator(5 if until <= 60 else 10))
        axes.xaxis.set_major_formatter("{x:.0f} s")
        axes.yaxis.set_major_formatter("{x:g} s")
        axes.grid(visible=False, axis="x")
        axes.grid(visible=True, axis="y")
        axes.tick_params("y", labelsize=12, labelcolor=SOFT, pad=8)
        name = picture.text(20, top - 26, row.title, size=15, weight="bold")
        axes.annotate(row.subtitle, (1, 0), (10, 0), xycoords=name, textcoords="offset points", size=12.5, color=SOFT,
                      va="bottom")
        _waits(axes, row, until)
        _curve(axes, row, lease, until)
        _marks(axes, row, lease, until)
    _legend(picture)
    return picture.svg()


def left_at(row: Course, instant: float, lease: float) -> float:
    """Seconds of lease left just before an ACK at that instant would refill it; negative: so long ago it ended."""
    return lease - (instant - max(at for at in row.acks if at < instant or at == 0))


def _waits(axes: Axes, row: Course, until: float) -> None:
    """How long requests went unanswered, as a ground."""
    pixel = until / (_WIDTH - _LEFT - _RIGHT)
    for start, end in row.waits(until):
        axes.axvspan(start, max(end, start + 3 * pixel), color=GAP, linewidth=0, zorder=0)
        seconds = end - start
        words = f"{seconds:.2g} s" if seconds < 1.95 else f"{seconds:.0f} s"
        if seconds > 120 * pixel:
            words = f"unanswered for {words}" if end < until else "unanswered again"
        _say(axes, words, (start + max(seconds, 3 * pixel) / 2, axes.get_ylim()[1]), (0, 7), BAD, "center")


def _curve(axes: Axes, row: Course, lease: float, until: float) -> None:
    """What is left of the lease."""
    times: list[float] = []
    left: list[float] = []
    for number, ack in enumerate(row.acks):
        end = min([until, *row.acks[number + 1 : number + 2]])
        gone = min(ack + lease, end)
        times += [ack, gone, end]
        left += [lease, lease - (gone - ack), max(0.0, lease - (end - ack))]
    axes.fill_between(times, left, color=LEASE_FILL, linewidth=0, zorder=0.5, alpha=0.6)
    axes.plot(times, left, color=LEASE, linewidth=2.2, zorder=2)


def _marks(axes: Axes, row: Course, lease: float, until: float) -> None:
    """Requests and answers, and how near the end each answer came."""
    for times, styles in ((row.unicasts, (_RING, _STROKES)), (row.broadcasts, (_TRIANGLE,)), (row.acks, (_DOT,))):
        seen = [at for at in times if at <= until]
        heights = [lease if times is row.acks else max(0.0, left_at(row, at, lease)) for at in seen]
        for style in styles:
            axes.plot(seen, heights, linestyle="none", **style, clip_on=False, zorder=3)
    for at in row.acks:
        low = left_at(row, at, lease)
        if not 0 < at <= until:
            continue
        if low > 0:
            _say(axes, f"{low:.0f} s left", (at, max(low - lease * 0.117, lease * 0.05)), (9, 0), LEASE, "left")
        else:
            _say(axes, f"the lease ended {-low:.1f} s before", (at, lease * 0.067), (-9, 0), BAD, "right")


def _say(axes: Axes, words: str, at: tuple[float, float], beside: tuple[float, float], color: str, ha: str) -> None:
    axes.annotate(words, at, beside, textcoords="offset points", color=color, weight="bold", size=12, ha=ha)


def _legend(picture: Picture) -> None:
    """What the signs mean."""
    ring, strokes, triangle, dot = (
        Line2D([], [], linestyle="none", **style) for style in (_RING, _STROKES, _TRIANGLE, _DOT)
    )
    words = (
        "REQUEST by unicast: nobody answers", "REQUEST by broadcast", "ACK: the lease is whole again",
        "left of the lease",
    )  # fmt: skip
    handles = [(ring, strokes), triangle, dot, Patch(facecolor=LEASE_FILL, edgecolor=LEASE)]
    picture.legend(handles, 20, picture.height - 24, labels=words, handlelength=1.2, handleheight=0.9)
