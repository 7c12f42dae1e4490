"""The demo's picture and its words."""

from __future__ import annotations

import io

from tests.support.pictures import complaints_about, texts_of

from holdfast_lab.render.lease import draw
from holdfast_lab.render.terminal import Screen
from holdfast_lab.render.timeline import show_comparison, show_heading, show_history, show_verdict
from holdfast_lab.testbed.faults import Lease
from holdfast_lab.witness.exchanges import Course, modelled_stock
from holdfast_lab.witness.verdict import Finding

OURS = Course("Holdfast", "measured", [0.0, 9.0, 18.3], [8.0, 18.0], [9.0, 18.25])
LOST = Course("another", "measured", [0.0, 31.5], [10.0, 20.0], [])


def test_the_stock_schedule_is_rfc_2131_s() -> None:
    stock = modelled_stock(10, 26, until=37)
    assert (stock.acks, stock.unicasts, stock.broadcasts) == ([0.0, 26.0], [10.0, 36.0], [26.0])
    assert stock.waits(37) == [(10.0, 26.0), (36.0, 37)]


def test_waits_are_from_the_first_unanswered_request_to_the_ack() -> None:
    assert OURS.waits(20) == [(8.0, 9.0), (18.0, 18.3)]


def test_the_picture_says_what_was_measured() -> None:
    picture = draw("Title & more", [modelled_stock(10, 26, 34), OURS, LOST], lease=30, until=34, note="note")
    assert {
        "Title & more", "note", "Holdfast", "unanswered for 16 s", "1 s", "0.3 s", "4 s left", "21 s left",
        "the lease ended 1.5 s before", "30 s", "REQUEST by broadcast",
    } <= set(texts_of(picture))  # fmt: skip
    assert complaints_about(picture) == []


def test_plain_text_goes_to_a_pipe_without_colours() -> None:
    out = io.StringIO()
    with Screen(out) as screen:
        show_heading(screen, Lease(30, 10, 26), None)
        screen.progress("not shown", 0.5)
        show_comparison(screen, [OURS, LOST], until=30)
        kept = show_verdict(screen, [Finding(1, True, "fine"), Finding(2, False, "not fine")], True, 7)
        show_history(screen, "TIME  RESULT\n")
        assert not kept
        assert show_verdict(screen, [Finding(1, True, "fine")], False, 7) is False
    said = out.getvalue()
    assert "\x1b" not in said
    assert "not shown" not in said
    assert "1.00 s, 0.30 s" in said
    assert "promise 1  kept    fine" in said
    assert "promise 2  BROKEN  not fine" in said
