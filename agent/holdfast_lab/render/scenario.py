"""The picture of a scenario: one row per client, its address as a band, its requests above, the answers on it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from math import inf, isfinite
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from holdfast_lab.render.tables import value_text
from holdfast_lab.render.theme import ACK, ASK, AXIS, BAD, GAP, GOOD, HELD, LIMIT, NAK, SEARCH, SOFT, WINDOW, Picture
from holdfast_lab.scenario.result import Band, Result
from holdfast_lab.scenario.scenario import Scenario

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW = 1010.0, 152.0, 222.0, 124.0, 52.0
#: Of one row, in pixels: where the band begins and how thick it is.
_BAND, _THICK = 24.0, 15.0
#: Each kind of message: its height in the row, its sign, its size in pixels, its colour, and what it is.
_SIGNS: dict[str, tuple[float, str, float, str, str]] = {
    "unicast": (7.0, "x", 6.5, ASK, "REQUEST, unicast"),
    "broadcast": (16.0, "^", 8.5, ASK, "REQUEST, broadcast"),
    "ask": (16.0, "o", 5.8, SEARCH, "DISCOVER and others"),
    "ack": (_BAND + _THICK - 4, "o", 7.2, ACK, "ACK"),
    "nak": (_BAND + 4, "o", 7.2, NAK, "NAK"),
}
#: How thick the edge of a sign is.
_EDGE = {"x": 1.6, "o": 0.0, "^": 1.4}
_BANDS: dict[str, dict[str, Any]] = {
    "address there": {"facecolor": HELD},
    "leased, but away": {"facecolor": GAP, "edgecolor": BAD, "linestyle": (0, (3, 2)), "linewidth": 1},
    "there without a lease": {"facecolor": NAK},
}
_THERE, _AWAY, _BEYOND = _BANDS.values()
_DEEDS = {
    "cable": "cable {}", "client": "{}", "server": "leases forgotten", "delete": "address deleted",
    "add_address": "addresses of others", "add_route": "a route of others", "gateway": "gateway {}",
}  # fmt: skip


def draw(scenario: Scenario, results: Sequence[Result]) -> str:
    """The SVG document. Time goes from left to right, from the first ACK on."""
    end = max([result.ended for result in results] + [scenario.moment("expiry")])
    height = _ROW * max(len(results), 1) + 22
    bottom = _TOP - 6 + height
    picture = Picture(_WIDTH, bottom + 64, scenario.title, *textwrap.wrap(scenario.story, 138)[:2])
    axes = picture.axes(_LEFT, _TOP - 6, _WIDTH - _RIGHT, bottom)
    axes.set(xlim=(min(0.0, -0.02 * end), end), ylim=(height - 6, -6), yticks=[])
    axes.grid(visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda tick, _position: value_text(tick) if tick >= 0 else "")
    picture.text(_WIDTH - _RIGHT + 22, bottom + 18, "seconds", size=12, color=SOFT)
    _faults(axes, scenario)
    _moments(axes, scenario)
    for place, result in enumerate(results):
        _row(picture, axes, result, _ROW * place)
    picture.legend([
        *(Line2D([], [], marker=sign, markersize=size, linestyle="none", color=colour, markeredgewidth=_EDGE[sign],
                 label=words) for _, sign, size, colour, words in _SIGNS.values()),
        *(Patch(**style, label=words) for words, style in _BANDS.items()),
    ], 20, bottom + 42, handlelength=1.0, handleheight=0.8, columnspacing=1.1)  # fmt: skip
    return picture.svg()


def _faults(axes: Axes, scenario: Scenario) -> None:
    """When something was wrong with the server, as a ground behind the rows."""
    low, high = axes.get_xlim()
    for window in scenario.windows:
        start, end = scenario.moment(window.start), scenario.moment(window.end)
        axes.axvspan(max(start, low), min(end, high), color=WINDOW, linewidth=0, zorder=0)
        if isfinite(end) or "silent" in window.value:
            words = "the server is silent" if "silent" in window.value else ", ".join(window.value)
            axes.annotate(words, (max(start, low), 0), (4, 4), xycoords=axes.get_xaxis_transform(),
                          textcoords="offset points", size=12, color=SOFT)


def _moments(axes: Axes, scenario: Scenario) -> None:
    """T1, T2 and the end of the first lease, and what was done to the client."""

    def line(at: float, words: str, color: str, above: float, ha: str, **style: Any) -> None:
        axes.axvline(at, color=style.pop("line", color), zorder=1, **style)
        axes.annotate(words, (at, 1), (0, above), xycoords=axes.get_xaxis_transform(), textcoords="offset points",
                      size=12, color=color, ha=ha)

    if 51 not in scenario.faults.options:
        for word in ("T1", "T2", "expiry"):
            words = word if word != "expiry" else "lease ends"
            line(scenario.moment(word), words, SOFT, 5, "center", line=AXIS, linewidth=1)
    marks: dict[float, list[str]] = {}
    for deed in scenario.deeds:
        marks.setdefault(scenario.moment(deed.at), []).append(_DEEDS[deed.kind].format(deed.what))
    for place, (at, deeds) in enumerate(sorted(marks.items())):
        ha = "right" if place % 2 == 0 and len(marks) > 1 else "left"
        line(at, deeds[0], LIMIT, 20, ha, linewidth=1.5, dashes=(3.3, 2.7))


def _row(picture: Picture, axes: Axes, result: Result, top: float) -> None:
    y, beside = top + _BAND, _WIDTH - _RIGHT + 12
    weight = "bold" if result.client == "holdfast" else "normal"
    picture.text(_LEFT - 14, _TOP + y + 3, result.client, ha="right", weight=weight)
    picture.text(_LEFT - 14, _TOP + y + 18, result.version, ha="right", size=12, color=SOFT)
    words, kept = verdict_words(result)
    picture.text(beside, _TOP + y + 4, words, color=GOOD if kept else BAD, weight="normal" if kept else "bold")
    picture.text(beside, _TOP + y + 19, _figures(result), size=12, color=SOFT)
    holes = _holes(result)
    # the address is on the link, and does not answer
    deaf = [gap for gap in result.gaps if not any(one.start <= (gap.start + gap.end) / 2 <= one.end for one in holes)]
    for band in result.present:
        for start, end, leased in _cut(band, result.leased):
            axes.broken_barh([(start, end - start)], (y, _THICK), **_THERE if leased else _BEYOND)
    for band in (*holes, *deaf):
        axes.broken_barh([(band.start, band.end - band.start)], (y, _THICK), **_AWAY)
    for mark in result.marks:
        if mark.sign in _SIGNS:
            height, sign, size, colour, _ = _SIGNS[mark.sign]
            axes.plot(mark.at, top + height, sign, markersize=size, color=colour, markeredgewidth=_EDGE[sign],
                      clip_on=False)


def _holes(result: Result) -> list[Band]:
    """When, from the first address on, there was a lease and none of the client's addresses on the link."""
    at = result.present[0].start if result.present else 0.0
    holes = []
    for band in [*sorted(result.present), Band(result.ended, result.ended, "")]:
        for lease in result.leased:
            start, end = max(at, lease.start), min(band.start, lease.end)
            if end - start > 0.1:
                holes.append(Band(start, end, ""))
        at = max(at, band.end)
    return holes


def _cut(band: Band, leased: Sequence[Band]) -> list[tuple[float, float, bool]]:
    """``band`` in pieces that are inside a lease of any address (with what promise 3 allows), or outside of all."""
    allowed = [(one.start - 0.5, one.end + 2.25) for one in leased]
    edges = sorted({band.start, band.end, *(edge for one in allowed for edge in one)})
    inside = [at for at in edges if band.start <= at <= band.end]
    pieces: list[tuple[float, float, bool]] = []
    for start, end in zip(inside, inside[1:]):  # noqa: B905, RUF007 - neighbours
        middle = (start + end) / 2
        leased_then = any(first <= middle <= last for first, last in allowed)
        if pieces and pieces[-1][2] == leased_then:
            start = pieces.pop()[0]  # noqa: PLW2901 - one piece, no seam
        pieces.append((start, end, leased_then))
    return pieces


def verdict_words(result: Result) -> tuple[str, bool]:
    """The verdict in a few words, and whether it is a good one."""
    if result.error:
        return "failed", False
    if not result.bound:
        return "no address at all", False
    if result.broken_promises:
        return f"broken: {', '.join(str(number) for number in result.broken_promises)}", False
    return "every promise kept", True


def _figures(result: Result) -> str:
    parts = []
    if result.unreachable:
        parts.append(f"away {value_text(result.unreachable)} s")
    if result.recovery is not None:
        parts.append("never back" if result.recovery == inf else f"back {value_text(result.recovery)} s")
    elif result.waited >= 0.1 and not result.unreachable:
        parts.append(f"waited {value_text(result.waited)} s")
    return ", ".join([*parts, "1 packet" if result.packets == 1 else f"{result.packets} packets"])
