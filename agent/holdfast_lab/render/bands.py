"""The picture of a scenario: one row per client, its address as a band, its requests above, the answers on it."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite

from holdfast_lab.render.charts import Drawing, Scale, value_text
from holdfast_lab.scenario.result import Band, Result
from holdfast_lab.scenario.scenario import Scenario

WIDTH, LEFT, RIGHT, TOP, ROW = 1010.0, 152.0, 222.0, 124.0, 52.0
#: Of one row: where the band begins and how thick it is; where each kind of message has its sign.
BAND, THICK = 24.0, 15.0
HEIGHT = {"unicast": 7.0, "broadcast": 16.0, "ask": 16.0, "nak": BAND + 4, "ack": BAND + THICK - 4}
_DEEDS = {
    "cable": "cable {}", "client": "{}", "server": "leases forgotten", "delete": "address deleted",
    "add_address": "addresses of others", "add_route": "a route of others",
}  # fmt: skip


def draw(scenario: Scenario, results: Sequence[Result]) -> str:
    """The SVG document. Time goes from left to right, from the first ACK on."""
    end = max([result.ended for result in results] + [scenario.moment("expiry")])
    scale = Scale(min(0.0, -0.02 * end), end, LEFT, WIDTH - RIGHT)
    bottom = TOP + ROW * max(len(results), 1) + 16
    picture = Drawing(WIDTH, bottom + 64)
    picture.text(20, 30, scenario.title, "title")
    for place, line in enumerate(_wrapped(scenario.story, 138)[:2]):
        picture.text(20, 50 + 16 * place, line, "note")
    _faults(picture, scenario, scale, bottom)
    _moments(picture, scenario, scale, bottom)
    for place, result in enumerate(results):
        _row(picture, result, scale, TOP + ROW * place)
    for tick in scale.ticks(8):
        if tick >= 0:
            picture.text(scale(tick), bottom + 17, value_text(tick), "tick", "middle")
    picture.text(WIDTH - RIGHT + 22, bottom + 17, "seconds", "tick")
    _legend(picture, bottom + 46)
    return picture.svg(scenario.title)


def _faults(picture: Drawing, scenario: Scenario, scale: Scale, bottom: float) -> None:
    """When something was wrong with the server, as a ground behind the rows."""
    for window in scenario.windows:
        start, end = scenario.moment(window.start), scenario.moment(window.end)
        x = scale(max(start, scale.low))
        picture.box(x, TOP - 6, scale(min(end, scale.high)) - x, bottom - TOP + 6, "window", 0)
        if isfinite(end) or "silent" in window.value:
            words = "the server is silent" if "silent" in window.value else ", ".join(window.value)
            picture.text(x + 4, bottom - 4, words, "tick")


def _moments(picture: Drawing, scenario: Scenario, scale: Scale, bottom: float) -> None:
    """T1, T2 and the end of the first lease, and what was done to the client."""
    if 51 not in scenario.faults.options:
        for word in ("T1", "T2", "expiry"):
            x = scale(scenario.moment(word))
            picture.line(x, TOP - 6, x, bottom, "axis")
            picture.text(x, TOP - 11, word if word != "expiry" else "lease ends", "tick", "middle")
    marks: dict[float, list[str]] = {}
    for deed in scenario.deeds:
        marks.setdefault(scenario.moment(deed.at), []).append(_DEEDS[deed.kind].format(deed.what))
    for place, (at, words) in enumerate(sorted(marks.items())):
        x = scale(at)
        picture.line(x, TOP - 6, x, bottom, "limit")
        anchor = "end" if place % 2 == 0 and len(marks) > 1 else "start"
        picture.text(x, TOP - 26, words[0], "limit-text", anchor)


def _row(picture: Drawing, result: Result, scale: Scale, top: float) -> None:
    ours = result.client == "holdfast"
    picture.text(LEFT - 14, top + BAND + 3, result.client, "strong" if ours else "", "end")
    picture.text(LEFT - 14, top + BAND + 18, result.version, "tick", "end")
    y = top + BAND
    holes = _holes(result)
    for hole in holes:
        _band(picture, scale, hole, y, "gap")
    for band in result.present:
        for start, end, leased in _cut(band, result.leased):
            _band(picture, scale, Band(start, end, ""), y, "held" if leased else "bad")
    for gap in result.gaps:  # the address is on the link, and does not answer
        if not any(hole.start <= (gap.start + gap.end) / 2 <= hole.end for hole in holes):
            _band(picture, scale, gap, y, "gap")
    for mark in result.marks:
        _mark(picture, scale(mark.at), top, mark.sign)
    words, kind = verdict_words(result)
    picture.text(WIDTH - RIGHT + 12, y + 4, words, kind)
    picture.text(WIDTH - RIGHT + 12, y + 19, _figures(result), "tick")


def _band(picture: Drawing, scale: Scale, band: Band, y: float, kind: str) -> None:
    if band.end > band.start and band.end > scale.low:
        picture.box(scale(band.start), y, scale(band.end) - scale(band.start), THICK, kind, 1)


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


def _mark(picture: Drawing, x: float, top: float, sign: str) -> None:
    y = top + HEIGHT.get(sign, 0.0)
    if sign == "unicast":
        picture.cross(x, y, 3.2, "ask")
    elif sign == "broadcast":
        picture.triangle(x, y, 4.5, "ask")
    elif sign == "ask":
        picture.dot(x, y, 2.8, "search")
    elif sign in {"ack", "nak"}:
        picture.dot(x, y, 3.6, "good" if sign == "ack" else "bad")


def verdict_words(result: Result) -> tuple[str, str]:
    """The verdict in a few words, and its colour's class."""
    if result.error:
        return "failed", "bad-text"
    if not result.bound:
        return "no address at all", "bad-text"
    if result.broken_promises:
        return f"broken: {', '.join(str(number) for number in result.broken_promises)}", "bad-text"
    return "every promise kept", "good-text"


def _figures(result: Result) -> str:
    parts = []
    if result.unreachable:
        parts.append(f"away {value_text(result.unreachable)} s")
    if result.recovery is not None:
        parts.append("never back" if result.recovery == inf else f"back {value_text(result.recovery)} s")
    elif result.waited >= 0.1 and not result.unreachable:
        parts.append(f"waited {value_text(result.waited)} s")
    return ", ".join([*parts, "1 packet" if result.packets == 1 else f"{result.packets} packets"])


def _legend(picture: Drawing, y: float) -> None:
    x = 24.0
    entries = (
        ("unicast", "REQUEST, unicast"), ("broadcast", "REQUEST, broadcast"), ("ask", "DISCOVER and others"),
        ("ack", "ACK"), ("nak", "NAK"), ("held", "address there"), ("gap", "leased, but away"),
        ("bad", "there without a lease"),
    )  # fmt: skip
    for sign, words in entries:
        if sign in {"held", "gap"} or words.startswith("there"):
            picture.box(x - 6, y - 10, 14, 11, sign, 1)
        else:
            _mark(picture, x, y - 4 - HEIGHT[sign], sign)
        picture.text(x + 11, y, words, "tick")
        x += 34 + 6.3 * len(words)


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
