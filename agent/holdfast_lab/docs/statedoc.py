"""docs/states.md and its picture, made from the machine's own table.

``python -m holdfast_lab.docs.statedoc`` writes both; with ``--check`` it writes nothing and says by its exit status
whether they are as they would be written. The picture is laid out by hand in ``EDGES``, but what it leaves out or
draws too much is an error: every row of the table is drawn or belongs to a class that the picture says in words.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import pairwise
from math import hypot
from pathlib import Path

from holdfast.core import states
from holdfast.core.transitions import TRANSITIONS
from holdfast_lab.render.charts import Drawing

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "states.md"
PICTURE = ROOT / "docs" / "pictures" / "states.svg"

#: What a diagram needs beyond the charts' style.
STYLE = """
.state { fill: #ddf4ff; stroke: #0a6fb8; } .area { fill: #f6f8fa; stroke: #d0d7de; }
.edge { stroke: #57606a; stroke-width: 1.3; stroke-linecap: round; }
@media (prefers-color-scheme: dark) {
.state { fill: #10243a; stroke: #58a6ff; } .area { fill: #161b22; stroke: #30363d; } .edge { stroke: #9198a1; }
}
"""

Row = tuple[str, str, str]

#: The table, its reasons as people read them.
ROWS: tuple[Row, ...] = tuple((source, target, on.value) for source, target, on in TRANSITIONS)

#: Centres of the states' boxes.
BOXES = {
    "INIT": (560, 90), "INIT-REBOOT": (160, 230), "REBOOTING": (160, 410), "SELECTING": (940, 230),
    "REQUESTING": (940, 410), "PROBING": (940, 560), "BOUND": (560, 410), "RENEWING": (480, 630),
    "REBINDING": (660, 630), "STOPPED": (160, 700),
}
WIDTH, HEIGHT = 132, 44

ENDED = "the lease ended"
HELD = "the lease ended, its address is held"
DECLINE = "somebody else has the address: DECLINE"
IN_USE = ("BOUND", "RENEWING", "REBINDING")
ASKING = ("RENEWING", "REBINDING")
REMEMBERED = ("INIT-REBOOT", "REBOOTING")


@dataclass(frozen=True)
class Edge:
    """One arrow: every row from ``sources`` to ``target`` for ``reasons``, and where it runs and is labelled."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    reasons: tuple[str, ...]
    points: tuple[tuple[int, int], ...]
    label: tuple[str, ...]
    at: tuple[int, int]
    anchor: str = "start"


EDGES = (
    Edge(("INIT",), ("SELECTING",), ("start: DISCOVER",), ((626, 80), (940, 80), (940, 208)),
         ("start: DISCOVER",), (650, 74)),
    Edge(("INIT",), ("INIT-REBOOT",), ("start: a valid lease is remembered, no carrier",),
         ((494, 80), (130, 80), (130, 208)), ("a lease is remembered, no carrier",), (150, 74)),
    Edge(("INIT",), ("REBOOTING",), ("start: a valid lease is remembered",),
         ((520, 112), (520, 150), (290, 150), (290, 398), (226, 398)), ("a lease is remembered",), (300, 144)),
    Edge(("INIT",), ("BOUND",), ("start: the remembered lease is on the link",), ((550, 112), (550, 388)),
         ("the remembered lease", "is on the link"), (542, 296), "end"),
    Edge(("INIT-REBOOT",), ("REBOOTING",), ("carrier up",), ((130, 252), (130, 388)),
         ("carrier", "up"), (122, 316), "end"),
    Edge(("REBOOTING",), ("INIT-REBOOT",), ("carrier lost",), ((160, 388), (160, 252)),
         ("carrier", "lost"), (168, 316)),
    Edge(REMEMBERED, ("SELECTING",), ("the remembered lease ended",), ((254, 222), (874, 222)),
         ("the remembered lease ended",), (300, 216)),
    Edge(("REBOOTING",), ("SELECTING",), ("NAK", "NAK of another server, and no ACK",
                                           "another gateway answers: another network"),
         ((205, 388), (205, 348), (320, 348), (320, 240), (874, 240)), ("NAK, another network",), (330, 256)),
    Edge(("REBOOTING",), ("BOUND",), ("ACK",), ((226, 418), (494, 418)), ("ACK",), (300, 412)),
    Edge(("REBOOTING",), ASKING, ("no answer: the lease is still ours",), ((160, 432), (160, 620), (396, 620)),
         ("no answer:", "the lease is still ours"), (170, 590)),
    Edge(("SELECTING",), ("INIT",), ("carrier lost",), ((890, 208), (890, 102), (626, 102)),
         ("carrier lost",), (650, 118)),
    Edge(("REQUESTING",), ("INIT",), ("carrier lost", "ACK of an address that somebody else has: DECLINE"),
         ((900, 388), (900, 330), (810, 330), (810, 150), (600, 150), (600, 112)),
         ("carrier lost, DECLINE",), (650, 144)),
    Edge(("SELECTING",), ("REQUESTING",), ("OFFER chosen",), ((930, 252), (930, 388)), ("OFFER",), (938, 304)),
    Edge(("REQUESTING",), ("SELECTING",), ("NAK", "no answer", "restored"), ((986, 388), (986, 252)),
         ("NAK,", "no answer"), (994, 324)),
    Edge(("SELECTING",), ("BOUND",), ("ACK, rapid commit",),
         ((890, 252), (890, 282), (592, 282), (592, 388)), ("ACK, rapid commit",), (650, 276)),
    Edge(("REQUESTING",), ("BOUND",), ("ACK",), ((874, 404), (626, 404)), ("ACK",), (780, 398)),
    Edge(("REQUESTING",), ("PROBING",), ("ACK, strict conflict detection",), ((940, 432), (940, 538)),
         ("ACK, strict (*)",), (948, 490)),
    Edge(("PROBING",), ("BOUND",), ("nobody else has the address",), ((874, 552), (800, 552), (800, 420), (626, 420)),
         ("nobody else", "has the address"), (808, 490)),
    Edge(("PROBING",), ("SELECTING",), ("the lease ended while probing",),
         ((1006, 552), (1080, 552), (1080, 244), (1006, 244)), ("ended",), (1012, 546)),
    Edge(("PROBING",), ("INIT",), (DECLINE,), ((1006, 572), (1140, 572), (1140, 46), (580, 46), (580, 68)),
         ("DECLINE",), (1012, 588)),
    Edge(IN_USE, ("SELECTING",), (ENDED, HELD), ((768, 650), (1100, 650), (1100, 230), (1006, 230)),
         (ENDED,), (880, 644)),
    Edge(ASKING, ("SELECTING",), ("NAK",), ((744, 676), (1120, 676), (1120, 216), (1006, 216)),
         ("NAK (the lease is held)",), (880, 692)),
    Edge(IN_USE, ("INIT",), (DECLINE,), ((768, 716), (1160, 716), (1160, 26), (540, 26), (540, 68)),
         ("somebody else has the address: DECLINE",), (820, 732)),
    Edge(("BOUND",), ASKING, ("T1", "T2", "carrier up", "resumed", "restored", "operator"), ((520, 432), (520, 560)),
         ("T1, carrier up,", "resumed, operator"), (512, 484), "end"),
    Edge(ASKING, ("BOUND",), ("ACK", "no answer, and T1 has not come"), ((590, 560), (590, 432)),
         ("ACK; or no answer,", "and T1 has not come"), (598, 484)),
    Edge(("RENEWING",), ("REBINDING",), ("T2", "operator"), ((546, 630), (594, 630)),
         ("T2, operator",), (570, 672), "middle"),
)


def drawn(edge: Edge) -> set[Row]:
    """The rows of the table that an arrow stands for."""
    return {
        (source, target, reason)
        for source in edge.sources for target in edge.targets for reason in edge.reasons
        if (source, target, reason) in ROWS
    }


def in_words(row: Row) -> bool:
    """True for rows that the picture says in a line of text."""
    source, target, reason = row
    waits = target == "INIT" and (source, "SELECTING", reason) in ROWS  # INIT instead of SELECTING
    strict = reason.endswith(", strict conflict detection") or (source == "PROBING" and target in ASKING)
    ipv6 = reason == "the network is IPv6-only"
    return source == target or "STOPPED" in (source, target) or waits or strict or ipv6


def check_complete() -> None:
    """ValueError when the picture and the table differ."""
    shown: set[Row] = set()
    for edge in EDGES:
        rows = drawn(edge)
        if {reason for _, _, reason in rows} != set(edge.reasons):
            raise ValueError(f"the picture has an arrow that the table has not: {edge}")
        shown |= rows
    missing = [row for row in ROWS if row not in shown and not in_words(row)]
    if missing:
        raise ValueError(f"the picture lacks {missing}")


def picture() -> str:
    """The state diagram as SVG."""
    check_complete()
    drawing = Drawing(1180, 800)
    for x, y, width, height, title in (
        (66, 176, 188, 284, "remembered"),
        (352, 366, 416, 364, "a lease is in use"),
        (396, 560, 348, 132, ""),
    ):
        drawing.box(x, y, width, height, "area", 8)
        drawing.text(x + width - 10, y + 18, title, "note", "end")
    for edge in EDGES:
        _arrow(drawing, edge)
    for name, (x, y) in BOXES.items():
        drawing.box(x - WIDTH / 2, y - HEIGHT / 2, WIDTH, HEIGHT, "state", 6)
        drawing.text(x, y + 5, name, "strong", "middle")
    drawing.text(160, 744, "from everywhere: stop, release;", "note", "middle")
    drawing.text(160, 760, "after a release the operator starts over", "note", "middle")
    drawing.text(352, 760, "Without carrier, while a wait is due, or where IPv4 is not wanted (option 108), INIT takes "
                 "the place of SELECTING.", "note")
    drawing.text(352, 778, "(*) With strict conflict detection each ACK of a new address, and a remembered lease that "
                 "nobody answers for, goes through PROBING.", "note")
    return drawing.svg("The states of a Holdfast client").replace("</style>", f"{STYLE}</style>", 1)


def _arrow(drawing: Drawing, edge: Edge) -> None:
    """The line with its head, and the label beside it."""
    for (x1, y1), (x2, y2) in pairwise(edge.points):
        drawing.line(x1, y1, x2, y2, "edge")
    (x1, y1), (x2, y2) = edge.points[-2:]
    length = hypot(x2 - x1, y2 - y1)
    dx, dy = (x2 - x1) / length, (y2 - y1) / length
    for side in (-1, 1):
        drawing.line(x2, y2, x2 - 8 * dx - 4 * side * dy, y2 - 8 * dy + 4 * side * dx, "edge")
    x, y = edge.at
    for number, words in enumerate(edge.label):
        drawing.text(x, y + 15 * number, words, "tick halo", edge.anchor)


INTRO = """# States

Generated from `TRANSITIONS` in `agent/holdfast/core/transitions.py` by `./dev states`; a test fails when this
page is stale, and another makes every transition happen. A change that is not listed here cannot be made:
`Machine.enter` refuses it.

![The states and the ways between them](pictures/states.svg)

The names are those of RFC 2131, figure 5. What differs: a lease that its server has refused is *held*, still in use,
while another is asked for; INIT-REBOOT that nobody answers goes on in RENEWING or REBINDING with the remembered lease;
PROBING is RFC 5227's, on the way to BOUND when conflict detection is strict; STOPPED is the end of the process or a
released lease. With `on_expiry = "hold"` a held lease may also be one that has ended, while its gateway answers. A row
from a state to itself is the loss of a held lease, its being held on, a fresh start after a snapshot was restored, or
INIT going on waiting.
"""


def page() -> str:
    """The text of docs/states.md."""
    parts = [INTRO]
    for kind, name in states.NAMES.items():
        about = " ".join((kind.__doc__ or "").split()).replace("``", "`")
        parts += [f"## {name}", "", about, "", "| on | to |", "|---|---|"]
        parts += [f"| {reason} | {target} |" for source, target, reason in ROWS if source == name]
        parts.append("")
    return "\n".join(parts)


def main(arguments: list[str]) -> int:
    """Write the page and the picture, or with ``--check`` compare; 1 when something is stale."""
    files = {PAGE: page(), PICTURE: picture()}
    if arguments == ["--check"]:
        stale = [path for path, text in files.items() if not path.is_file() or path.read_text("utf-8") != text]
        for path in stale:
            print(f"{path.relative_to(ROOT)} is stale: python -m holdfast_lab.docs.statedoc", file=sys.stderr)
        return 1 if stale else 0
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
