"""The report as one HTML page that needs nothing else: for each interface its verdict, its counts and a time line."""

from __future__ import annotations

import time
from calendar import timegm
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from holdfast.core.outcome import Purpose, Via
from holdfast.guard.actions import Verdict
from holdfast.guard.report import Report
from holdfast.observe.page import TICKS, Kind, document, height, legend, point
from holdfast.observe.words import counted, duration, latency

Record = Mapping[str, Any]

#: The newest ones that are drawn and listed; the counts are of all.
DRAWN, LISTED = 2000, 200
#: Pixels: the whole, and the field of the time line in it.
_WIDTH, _HEIGHT = 960, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 944, 44, 214


_UNICAST = Kind("unicast", "circle", "answered by unicast")
_BROADCAST = Kind("broadcast", "triangle", "answered only by broadcast")
_IGNORED = Kind("ignored", "frame", "answered, and ignored by the client")
_REFUSED = Kind("refused", "diamond", "refused by NAK")
_UNANSWERED = Kind("unanswered", "cross", "not answered")
_LOST = Kind("lost", "square", "the lease ended")
_KINDS = (_UNICAST, _BROADCAST, _IGNORED, _REFUSED, _UNANSWERED, _LOST)

_COLOURS = """\
:root { --unicast: #2da44e; --broadcast: #0a6fb8; --ignored: #8250df; --refused: #c2410c; --unanswered: #cf222e;
  --lost: #82071e; }
@media (prefers-color-scheme: dark) { :root { --unicast: #57ab5a; --broadcast: #58a6ff; --ignored: #b392f0;
  --refused: #f0883e; --unanswered: #ff7b72; --lost: #ffb3ad; } }
"""


def render(reports: Sequence[tuple[Report, Sequence[Record]]]) -> str:
    """The page of ``reports``, each with the records that it was made of. Times are UTC."""
    body = "\n".join(line for report, records in reports for line in _interface(report, records))
    colours = "".join(f".{kind.name} {{ fill: var(--{kind.name}); stroke: var(--{kind.name}); }}\n" for kind in _KINDS)
    made = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    nothing = "<p>Guard has recorded nothing yet.</p>"
    return document(
        "Holdfast guard", "Renewals that Holdfast guard has seen", f"Made {made} UTC. All times are UTC.",
        body or nothing, _COLOURS + colours,
    )


def _interface(report: Report, records: Sequence[Record]) -> Iterator[str]:
    shown = [(record, kind) for record in records if (kind := _kind(record)) is not None]
    yield f"<h2>{escape(report.interface)}: {escape(', '.join(report.clients))}</h2>"
    yield f'<p class="verdict">{escape(report.verdict)}</p>'
    if report.commands:
        yield "<p>Next: " + " or ".join(f"<code>sudo {escape(line)}</code>" for line in report.commands) + "</p>"
    if shown:
        yield from _figure(shown[-DRAWN:])
    yield "<table>"
    yield from (f"<tr><th>{name}</th><td>{escape(value)}</td></tr>" for name, value in _counts(report))
    yield "</table>"
    if shown:
        yield from _list(shown[-LISTED:], len(shown))


def _counts(report: Report) -> Iterator[tuple[str, str]]:
    yield "from, to", f"{_moment(report.begin)}, {_moment(report.end)}"
    yield "renewals", str(report.renewals)
    yield "answered by unicast", str(report.by_unicast)
    yield "only by broadcast", str(report.by_broadcast)
    yield "unanswered", str(report.unanswered)
    yield "refused by NAK", str(report.refused)
    yield "ignored by the client", str(report.ignored)
    yield "packets guard sent", str(report.rebroadcasts)
    if report.delay_median is not None and report.delay_worst is not None:
        yield ("time to the answer where the first message got none",
               f"median {latency(report.delay_median)}, worst {latency(report.delay_worst)}")
    yield "leases lost", str(report.lost)
    yield "longest silence", "-" if report.silence is None else duration(report.silence)
    yield "other servers", ", ".join(report.others) or "-"


def _kind(record: Record) -> Kind | None:
    """None for what is no renewal, and has not cost a lease."""
    result = record.get("result")
    if result == Verdict.EXPIRED:
        return _LOST
    if record.get("purpose") != Purpose.T1:
        return None
    if result == Verdict.KEPT:
        return _UNANSWERED
    if result in (Verdict.IGNORED, Verdict.REFUSED):
        return _IGNORED if result == Verdict.IGNORED else _REFUSED
    return _UNICAST if record.get("path") == Via.UNICAST else _BROADCAST


# -- the time line ---------------------------------------------------------------------------------


def _figure(shown: Sequence[tuple[Record, Kind]]) -> Iterator[str]:
    times = [_seconds(record) for record, _ in shown]
    begin, end = min(times), max(times)
    span = max(end - begin, 60.0)  # so that the times below differ

    def across(instant: float) -> float:
        return _LEFT + 12 + (instant - begin) / span * (_RIGHT - _LEFT - 24)

    yield (f'<figure><div class="scroll"><svg class="wide" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
           'aria-label="Each renewal by its time and by the time to its answer">')
    yield f'<text x="{_LEFT - 8}" y="{_TOP - 12}" text-anchor="end">none</text>'
    yield f'<path class="grid" d="M{_LEFT} {_TOP - 16}H{_RIGHT}"/>'
    for seconds, label in TICKS:
        yield (f'<path class="grid" d="M{_LEFT} {height(seconds, _TOP, _BOTTOM):.1f}H{_RIGHT}"/>'
               f'<text x="{_LEFT - 8}" y="{height(seconds, _TOP, _BOTTOM) + 4:.1f}" text-anchor="end">{label}</text>')
    for number in range(5):
        instant = begin + span * number / 4
        anchor = ("start", "middle", "middle", "middle", "end")[number]
        yield (f'<text x="{across(instant):.1f}" y="{_BOTTOM + 22}" text-anchor="{anchor}">'
               f"{_short(instant, span)}</text>")
    for record, kind in shown:
        yield _mark(record, kind, across(_seconds(record)))
    yield "</svg></div><figcaption>Time from the first message to the answer. " + _legend(shown) + \
          "</figcaption></figure>"


def _mark(record: Record, kind: Kind, x: float) -> str:
    took = record.get("latency")
    y = height(took, _TOP, _BOTTOM) if isinstance(took, (int, float)) else _TOP - 16
    said = f"{_moment(str(record.get('time')))}: {kind.meaning}" + (
        f", after {latency(took)}" if isinstance(took, (int, float)) else "")
    return point(kind, x, y, said)


def _legend(shown: Sequence[tuple[Record, Kind]]) -> str:
    there = {kind.name for _, kind in shown}
    return legend(kind for kind in _KINDS if kind.name in there)


def _list(shown: Sequence[tuple[Record, Kind]], total: int) -> Iterator[str]:
    newest = f"The newest {len(shown)} of {total} renewals" if total > len(shown) else \
        f"All {counted(total, 'renewal')}"
    yield f'<details><summary>{newest}</summary><div class="scroll"><table class="rows">'
    yield "<tr>" + "".join(f"<th>{name}</th>" for name in (
        "time", "result", "path", "server", "messages", "repeats", "answer after")) + "</tr>"
    for record, _ in reversed(shown):
        took = record.get("latency")
        cells = (_moment(str(record.get("time"))), *(record.get(key) for key in ("result", "path", "server")),
                 record.get("attempts"), record.get("rebroadcasts"),
                 latency(took) if isinstance(took, (int, float)) else None)
        yield "<tr>" + "".join(f"<td>{escape('-' if cell is None else str(cell))}</td>" for cell in cells) + "</tr>"
    yield "</table></div></details>"


# -- times -----------------------------------------------------------------------------------------


def _seconds(record: Record) -> float:
    """Unix seconds; zero for what is no time: the file may be damaged."""
    try:
        return float(timegm(time.strptime(str(record.get("time"))[:19], "%Y-%m-%dT%H:%M:%S")))
    except (ValueError, OverflowError):
        return 0.0


def _moment(text: str) -> str:
    return text[:19].replace("T", " ")


def _short(instant: float, span: float) -> str:
    return time.strftime("%H:%M:%S" if span < 3600 else "%m-%d %H:%M", time.gmtime(instant))
