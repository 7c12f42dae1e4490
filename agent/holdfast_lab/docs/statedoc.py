"""docs/states.md and its picture, made from the machine's own table.

``python -m holdfast_lab.docs.statedoc`` writes both; with ``--check`` it writes nothing and says by its exit status
whether they are as they would be written. The picture is laid out by hand in ``EDGES``, but what it leaves out or
draws too much is an error: every row of the table is drawn or belongs to a class that the picture says in words.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from holdfast.core import states
from holdfast.core.transitions import TRANSITIONS
from holdfast_lab.render import pages

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "states.md"
PICTURE = ROOT / "docs" / "pictures" / "states.svg"

Row = tuple[str, str, str]

#: The table, its reasons as people read them.
ROWS: tuple[Row, ...] = tuple((source, target, on.value) for source, target, on in TRANSITIONS)

#: Centres of the states' boxes, which are 132 x 44.
BOXES = {
    "INIT": (560, 90), "INIT-REBOOT": (160, 230), "REBOOTING": (160, 410), "SELECTING": (940, 230),
    "REQUESTING": (940, 410), "PROBING": (940, 560), "BOUND": (560, 410), "RENEWING": (480, 630),
    "REBINDING": (660, 630), "STOPPED": (160, 700),
}

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
    Edge(("BOUND",), ASKING,
         ("T1", "T2", "T1 is far away: a check, once a day", "carrier up", "resumed", "restored", "operator"),
         ((520, 432), (520, 560)),
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
    contradicted = reason == "ACK of the server that has just said NAK"
    return contradicted or source == target or "STOPPED" in (source, target) or waits or strict or ipv6


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
    return pages.page("states.svg", boxes=BOXES, edges=EDGES)


def page() -> str:
    """The text of docs/states.md."""
    about = {name: " ".join((kind.__doc__ or "").split()).replace("``", "`") for kind, name in states.NAMES.items()}
    return pages.page("states.md", about=about, transitions=ROWS)


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
