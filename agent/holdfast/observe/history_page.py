"""The history as one HTML page: for each interface a time line of its leases, each renewal by its way and latency, the
gaps, the causes, the servers.

The records are of a file that may be damaged; whatever is in them, a page comes out.
"""

from __future__ import annotations

import time
from calendar import timegm
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from statistics import median
from typing import Any, NamedTuple

from holdfast.observe.page import TICKS, Kind, document, height, legend, point
from holdfast.observe.words import counted, duration, latency

Record = Mapping[str, Any]

#: The newest ones that are drawn and listed.
DRAWN, LISTED = 2000, 300
#: Pixels: the whole, the lane of the leases, and the field of the renewals.
_WIDTH, _HEIGHT = 960, 310
_LEFT, _RIGHT, _LANE, _LANE_END, _TOP, _BOTTOM = 64, 944, 24, 48, 104, 274
_WON = ("acquired", "renewed", "moved")
_ENDED = ("expired", "conflict", "released", "ipv6-only")
#: Time without a lease that is drawn as a gap: less is the second between an end and a beginning.
_GAP = 1.0


_KINDS = (
    Kind("unicast", "circle", "answered by unicast"), Kind("broadcast", "triangle", "answered by broadcast"),
    Kind("discover", "square", "answered by DISCOVER"), Kind("kept", "cross", "not answered, the lease was kept"),
    Kind("refused", "diamond", "refused by NAK"), Kind("lost", "plus", "the lease was lost"),
)
_STYLE = """\
:root { --unicast: #1a7f37; --broadcast: #0a6fb8; --discover: #8250df; --kept: #9a6700; --refused: #c2410c;
  --lost: #cf222e; --lease: #b7dfc3; --leasetext: #0f3d1e; --gap: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --unicast: #57ab5a; --broadcast: #58a6ff; --discover: #b392f0;
  --kept: #d4a72c; --refused: #f0883e; --lost: #ff7b72; --lease: #1f4d2c; --leasetext: #c8f0d3; --gap: #ff7b72; } }
svg .lease { fill: var(--lease); } svg text.in { fill: var(--leasetext); } svg .gap { fill: var(--gap); }
svg .server { stroke: var(--soft); stroke-dasharray: 3 3; }
"""


class Span(NamedTuple):
    """``address`` was in use from ``begin`` to ``end`` (Unix seconds), and why it ended ("" for one in use)."""

    address: str
    begin: float
    end: float
    why: str


def render(records: Sequence[Record], now: float) -> str:
    """The page of ``records``, oldest first, of any number of interfaces; ``now`` is Unix seconds. Times are UTC."""
    names = list(dict.fromkeys(str(record.get("interface")) for record in records))
    body = "\n".join(line for name in names
                     for line in _interface(name, [one for one in records if str(one.get("interface")) == name], now))
    colours = "".join(f".{kind.name} {{ fill: var(--{kind.name}); stroke: var(--{kind.name}); }}\n" for kind in _KINDS)
    made = time.strftime("%Y-%m-%d %H:%M", time.gmtime(now))
    return document("Holdfast history", "Leases and renewals", f"Made {made} UTC by Holdfast. All times are UTC.",
                    body or "<p>Nothing is recorded yet.</p>", _STYLE + colours)


def spans(records: Sequence[Record], now: float) -> list[Span]:
    """When which address was in use. A lease that is not renewed ends by itself; one without end goes on to ``now``."""
    found: list[Span] = []
    open_one: tuple[str, float, float] | None = None
    for record in records:
        at, result, address = moment(record), record.get("result"), str(record.get("address"))
        if open_one is not None and open_one[2] < at - _GAP and result != "held":
            found.append(Span(*open_one, "its lease ended"))
            open_one = None
        if result in _WON:
            end = _end(record, at)
            if open_one is not None and open_one[0] == address:
                open_one = (address, open_one[1], max(end, open_one[2]))
                continue
            if open_one is not None:
                found.append(Span(open_one[0], open_one[1], at, f"moved to {address}"))
            open_one = (address, at, end)
        elif result in _ENDED and open_one is not None:
            found.append(Span(open_one[0], open_one[1], min(at, open_one[2]), str(result)))
            open_one = None
        elif result == "held" and open_one is not None:
            open_one = (open_one[0], open_one[1], max(at, open_one[2]))
    if open_one is not None:
        ended = open_one[2] < now
        found.append(Span(open_one[0], open_one[1], min(open_one[2], now), "its lease ended" if ended else ""))
    return found


def _end(record: Record, at: float) -> float:
    lasts = record.get("lease_time")
    return at + float(lasts) if isinstance(lasts, (int, float)) else float("inf")


def gaps(found: Sequence[Span], now: float) -> list[tuple[float, float, str]]:
    """(from, to, why) of each time without an address after the first."""
    starts = [*(span.begin for span in found[1:]), now]
    return [(span.end, start, span.why) for span, start in zip(found, starts) if start - span.end > _GAP]  # noqa: B905


def kind_of(record: Record) -> Kind | None:
    """How a record is shown; None for what is no renewal and no loss."""
    result, path = record.get("result"), record.get("path")
    if result in _WON:
        return _KINDS[0] if path == "unicast" else _KINDS[2] if path == "discover" else _KINDS[1]
    if result == "kept":
        return _KINDS[3]
    if result == "refused":
        return _KINDS[4]
    return _KINDS[5] if result in ("expired", "conflict", "held") else None


# -- one interface ---------------------------------------------------------------------------------


def _interface(name: str, records: Sequence[Record], now: float) -> Iterator[str]:
    shown = [(record, kind) for record in records[-DRAWN:] if (kind := kind_of(record)) is not None]
    found = spans(records[-DRAWN:], now)
    missing = gaps(found, now)
    yield f"<h2>{escape(name)}</h2>"
    yield f'<p class="verdict">{escape(_summary(records, found, missing))}</p>'
    if shown:
        yield from _figure(shown, found, missing, now)
    yield from _counts(records, missing)
    yield from _servers(records)
    yield from _list(records)


def _summary(records: Sequence[Record], found: Sequence[Span], missing: Sequence[tuple[float, float, str]]) -> str:
    renewals = [record for record in records if record.get("result") == "renewed"]
    lost = sum(to - since for since, to, _ in missing)
    now = f"{found[-1].address} is in use" if found and not found[-1].why else "no address is in use"
    held = "never without an address since the first lease"
    if missing:
        held = f"without an address for {duration(lost)} in {counted(len(missing), 'gap')}"
    return f"{counted(len(renewals), 'renewal')}, {held}; {now}."


def _counts(records: Sequence[Record], missing: Sequence[tuple[float, float, str]]) -> Iterator[str]:
    kinds = Counter(kind.meaning for record in records if (kind := kind_of(record)) is not None)
    causes = Counter(str(record.get("cause") or record.get("purpose")) for record in records)
    yield '<div class="scroll"><table>'
    yield from (f"<tr><th>{escape(meaning)}</th><td>{number}</td></tr>" for meaning, number in kinds.most_common())
    most = "; ".join(f"{cause} ({number})" for cause, number in causes.most_common(6))
    yield f"<tr><th>causes</th><td>{escape(most)}</td></tr>"
    for since, to, why in missing[-10:]:
        yield (f"<tr><th>no address</th><td><time>{_text(since)}</time> to <time>{_text(to)}</time>, "
               f"{escape(duration(to - since))}: "
               f"{escape(why)}</td></tr>")
    yield "</table></div>"


def _servers(records: Sequence[Record]) -> Iterator[str]:
    by: dict[str, list[Record]] = {}
    for record in records:
        if record.get("server"):
            by.setdefault(str(record["server"]), []).append(record)
    if not by:
        return
    yield '<div class="scroll"><table class="rows"><tr><th>server</th><th>answers</th><th>by unicast</th>' \
          "<th>median latency</th><th>refusals</th><th>last</th></tr>"
    for server, theirs in sorted(by.items()):
        took = [float(one["latency"]) for one in theirs if isinstance(one.get("latency"), (int, float))]
        cells = (server, str(sum(one.get("result") in _WON for one in theirs)),
                 str(sum(one.get("path") == "unicast" and one.get("result") in _WON for one in theirs)),
                 latency(median(took)) if took else "-", str(sum(one.get("result") == "refused" for one in theirs)),
                 _text(moment(theirs[-1])))
        yield "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
    yield "</table></div>"


def _list(records: Sequence[Record]) -> Iterator[str]:
    newest = records[-LISTED:]
    title = f"The newest {len(newest)} of {len(records)} outcomes" if len(newest) < len(records) else \
        f"All {counted(len(records), 'outcome')}"
    yield f'<details><summary>{title}</summary><div class="scroll"><table class="rows">'
    yield "<tr>" + "".join(f"<th>{name}</th>" for name in (
        "time", "result", "path", "messages", "latency", "server", "address", "cause")) + "</tr>"
    for record in reversed(newest):
        took = record.get("latency")
        cells = (_text(moment(record)), record.get("result"), record.get("path"), record.get("attempts"),
                 latency(took) if isinstance(took, (int, float)) else None, record.get("server"),
                 record.get("address"), record.get("cause"))
        texts = ("-" if cell in (None, "") else str(cell) for cell in cells)
        yield "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in texts) + "</tr>"
    yield "</table></div></details>"


# -- the time line ---------------------------------------------------------------------------------


def _figure(
    shown: Sequence[tuple[Record, Kind]], found: Sequence[Span], missing: Sequence[tuple[float, float, str]], now: float
) -> Iterator[str]:
    begin = min([moment(record) for record, _ in shown] + [span.begin for span in found])
    end = max([moment(record) for record, _ in shown] + [min(span.end, now) for span in found] + [begin + 1.0])
    span = end - begin

    def across(instant: float) -> float:
        return _LEFT + 8 + (min(max(instant, begin), end) - begin) / span * (_RIGHT - _LEFT - 16)

    yield (f'<figure><div class="scroll"><svg class="wide" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
           'aria-label="Leases, and each renewal by its time and latency">')
    yield f'<text x="{_LEFT - 8}" y="{_LANE + 16}" text-anchor="end">lease</text>'
    for one in found:
        yield _bar(across(one.begin), across(one.end), one)
    for since, to, why in missing:
        left, right = across(since), max(across(to), across(since) + 2.0)
        if since < end:
            yield (f'<g class="gap"><title>{escape(f"{_text(since)}: no address for {duration(to - since)}, {why}")}'
                   f'</title><path d="M{left:.1f} {_LANE_END + 3}H{right:.1f}v5H{left:.1f}z"/></g>')
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
    yield from _changes_of_server(shown, across)
    for record, kind in shown:
        yield _mark(record, kind, across(moment(record)))
    yield "</svg></div><figcaption>Above: the addresses, and in red the time without one. Below: the time from the " \
          "first message of each renewal to its answer. " + _legend(shown) + "</figcaption></figure>"


def _bar(left: float, right: float, span: Span) -> str:
    width = max(right - left, 2.0)
    title = f"{span.address}: {_text(span.begin)} to {_text(span.end)}, {duration(span.end - span.begin)}" + (
        f", {span.why}" if span.why else ", in use")
    label = f'<text class="in" x="{left + 6:.1f}" y="{_LANE + 16}">{escape(span.address)}</text>'
    fits = width > 7 * len(span.address) + 12
    return (f'<g class="lease"><title>{escape(title)}</title><rect x="{left:.1f}" y="{_LANE}" width="{width:.1f}" '
            f'height="{_LANE_END - _LANE}" rx="3"/>{label if fits else ""}</g>')


def _changes_of_server(shown: Sequence[tuple[Record, Kind]], across: Callable[[float], float]) -> Iterator[str]:
    """A line for each change, with the new server's address where there is room."""
    former, free = None, 0.0
    for record, _ in shown:
        server = record.get("server")
        if server and former and server != former:
            x, width = across(moment(record)), 7.0 * len(str(server)) + 8
            label, left = "", x if x + width <= _WIDTH else x - width
            if left >= free:
                anchor = "" if left == x else ' text-anchor="end"'
                label = (f'<text x="{x + (4 if left == x else -4):.1f}" y="{_LANE - 10}"{anchor}>'
                         f"{escape(str(server))}</text>")
                free = left + width
            yield (f'<g><title>{escape(f"{_text(moment(record))}: server {former} -> {server}")}</title>'
                   f'<path class="server" d="M{x:.1f} {_LANE - 8}V{_BOTTOM}"/>{label}</g>')
        former = server or former


def _mark(record: Record, kind: Kind, x: float) -> str:
    took, cause = record.get("latency"), record.get("cause")
    y = height(float(took), _TOP, _BOTTOM) if isinstance(took, (int, float)) else _TOP - 16
    said = f"{_text(moment(record))}: {record.get('result')}, {kind.meaning}" + (
        f", after {latency(took)}" if isinstance(took, (int, float)) else "") + (f"; {cause}" if cause else "")
    return point(kind, x, y, said)


def _legend(shown: Sequence[tuple[Record, Kind]]) -> str:
    there = {kind for _, kind in shown}
    return legend(kind for kind in _KINDS if kind in there)


# -- times -----------------------------------------------------------------------------------------


def moment(record: Record) -> float:
    """Unix seconds; zero for what is no time: the file may be damaged."""
    try:
        return float(timegm(time.strptime(str(record.get("time"))[:19], "%Y-%m-%dT%H:%M:%S")))
    except (ValueError, OverflowError):
        return 0.0


def _text(instant: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(instant))


def _short(instant: float, span: float) -> str:
    return time.strftime("%H:%M:%S" if span < 3600 else "%m-%d %H:%M", time.gmtime(instant))
