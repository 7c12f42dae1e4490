"""The history as a page: when which address was in use, gaps and why, a mark for each renewal, and nothing foreign."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from typing import Any

import pytest

from holdfast.observe.history_page import Span, gaps, kind_of, moment, render, spans
from holdfast.observe.outcomes import iso_time

START = 1_700_000_000.0


def record(at: float, result: str, address: str | None = "192.0.2.50", **more: Any) -> dict[str, Any]:
    """An outcome ``at`` seconds after the start."""
    return {"time": iso_time(START + at), "interface": "eth0", "result": result, "purpose": "t1", "path": "unicast",
            "attempts": 1, "latency": 0.004, "server": "192.0.2.1", "address": address, "former_address": None,
            "lease_time": 120.0, "seconds_left": 60.0, "cause": "T1", **more}


STORY = [
    record(0, "acquired", path="discover", cause="start", purpose="acquire"), record(60, "renewed"),
    record(120, "renewed", path="broadcast", latency=0.31, cause="unicast unanswered"),
    record(239, "expired", path=None, latency=None, lease_time=None),
    record(300, "acquired", "192.0.2.60", server="192.0.2.2", path="discover", purpose="acquire"),
    record(360, "kept", "192.0.2.60", latency=None, path=None, server=None, lease_time=None),
    record(361, "refused", "192.0.2.60", path="unicast", lease_time=None),
    record(362, "moved", "192.0.2.61", former_address="192.0.2.60", path="discover", server="192.0.2.2"),
]


def test_when_which_address_was_in_use() -> None:
    now = START + 400
    found = spans(STORY, now)
    assert found == [
        Span("192.0.2.50", START, START + 239, "expired"),
        Span("192.0.2.60", START + 300, START + 362, "moved to 192.0.2.61"),
        Span("192.0.2.61", START + 362, now, ""),
    ]
    assert gaps(found, now) == [(START + 239, START + 300, "expired")]


def test_a_lease_that_is_not_renewed_ends_by_itself() -> None:
    now = START + 1000
    found = spans(STORY[:2], now)
    assert found == [Span("192.0.2.50", START, START + 180, "its lease ended")]
    assert gaps(found, now) == [(START + 180, now, "its lease ended")]
    later = [*STORY[:2], record(500, "acquired", lease_time="infinite")]
    assert [span.why for span in spans(later, now)] == ["its lease ended", ""]


@pytest.mark.parametrize(("result", "path", "kind"), [
    ("renewed", "unicast", "unicast"), ("renewed", "broadcast-any", "broadcast"), ("moved", "discover", "discover"),
    ("kept", None, "kept"), ("refused", None, "refused"), ("conflict", None, "lost"), ("released", None, None),
])
def test_how_an_outcome_is_drawn(result: str, path: str | None, kind: str | None) -> None:
    shown = kind_of({"result": result, "path": path})
    assert (shown and shown.name) == kind


def test_the_page() -> None:
    page = render([*STORY, {**STORY[0], "interface": "eth1"}], START + 400)
    assert re.findall("<h2>(.*?)</h2>", page) == ["eth0", "eth1"]
    assert "without an address for 1 min 1 s in 1 gap; 192.0.2.61 is in use." in page
    assert "server 192.0.2.1 -&gt; 192.0.2.2" in page
    assert page.count("<title>") - 1 >= len(STORY)
    assert not re.search(r"(src|href)=|url\(|@import|<script", page), "it needs nothing from elsewhere"
    for picture in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ET.fromstring(picture)


def test_text_of_a_server_is_only_text() -> None:
    page = render([record(0, "acquired", "<script>alert(1)</script>", cause="<b>&", server="</td>")], START)
    assert "<script" not in page
    assert "&lt;b&gt;&amp;" in page


def test_servers_that_change_often_have_a_line_each_and_names_where_there_is_room() -> None:
    records = [record(number * 10.0, "renewed", server=f"192.0.2.{number}") for number in range(1, 200)]
    page = render(records, START + 2000)
    assert page.count('<path class="server"') == 198
    edges = [(float(x) - (4 if not end else 7 * len(name)), float(x) + (7 * len(name) if not end else 4))
             for x, end, name in re.findall(r'<text x="([\d.]+)" y="14"( text-anchor="end")?>(192[\d.]+)<', page)]
    assert len(edges) > 5
    assert all(former[1] <= latter[0] + 1 for former, latter in pairwise(edges)), edges
    assert edges[-1][1] <= 960


@pytest.mark.parametrize("broken", [
    {"time": "x", "result": "renewed"}, {"time": "9999-99", "result": "acquired", "lease_time": "x"},
    {**STORY[0], "latency": "x", "server": 5}, {"time": iso_time(START), "result": "released"},
])
def test_a_damaged_file_makes_a_page(broken: dict[str, Any]) -> None:
    assert render([broken, *STORY], START + 400).endswith("</html>\n")
    assert moment({"time": "x"}) == 0.0


def test_nothing_is_recorded() -> None:
    assert "Nothing is recorded yet." in render([], START)
