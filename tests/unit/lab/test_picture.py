"""Pictures are well formed, and say what was measured."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET

from holdfast_lab.render.picture import Row, draw, modelled_stock
from holdfast_lab.render.timeline import Screen
from holdfast_lab.testbed.faults import Lease
from holdfast_lab.witness.verdict import Finding

OURS = Row("Holdfast", "measured", [0.0, 9.0, 18.3], [8.0, 18.0], [9.0, 18.25])
LOST = Row("another", "measured", [0.0, 31.5], [10.0, 20.0], [])


def test_the_stock_schedule_is_rfc_2131_s() -> None:
    stock = modelled_stock(10, 26, until=37)
    assert (stock.acks, stock.unicasts, stock.broadcasts) == ([0.0, 26.0], [10.0, 36.0], [26.0])
    assert stock.waits(37) == [(10.0, 26.0), (36.0, 37)]


def test_waits_are_from_the_first_unanswered_request_to_the_ack() -> None:
    assert OURS.waits(20) == [(8.0, 9.0), (18.0, 18.3)]


def test_the_picture_is_well_formed_and_speaks() -> None:
    picture = draw("Title & more", [modelled_stock(10, 26, 34), OURS, LOST], lease=30, until=34, note="note")
    words = " ".join(ET.fromstring(picture).itertext())
    for expected in ("Title & more", "Holdfast", "unanswered for 16 s", "4 s left", "the lease ended 1.5 s before"):
        assert expected in words


def test_plain_text_goes_to_a_pipe_without_colours() -> None:
    out = io.StringIO()
    screen = Screen(out)
    screen.heading(Lease(30, 10, 26), None)
    screen.status("not shown")
    screen.comparison([OURS, LOST], until=30)
    kept = screen.verdict([Finding(1, True, "fine"), Finding(2, False, "not fine")], True, 7)
    screen.history("TIME  RESULT\n")
    said = out.getvalue()
    assert not kept
    assert "\x1b" not in said
    assert "1.00 s, 0.30 s" in said
    assert "promise 2  BROKEN  not fine" in said
    assert screen.verdict([Finding(1, True, "fine")], False, 7) is False
