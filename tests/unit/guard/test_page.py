"""The report as a page: whole, harmless, and without anything from elsewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from holdfast.guard.page import DRAWN, LISTED, render
from holdfast.guard.report import report_of

RECORD = {
    "time": "2026-01-01T01:00:00.000Z", "interface": "eth0", "purpose": "t1", "result": "renewed", "path": "broadcast",
    "attempts": 1, "unicasts": 1, "rebroadcasts": 1, "latency": 1.25, "server": "192.0.2.1", "client": "dhclient",
    "others": [], "boot_id": "b", "cause": "T1", "started_at": 1.0, "ended_at": 2.25, "watched_since": 0.0,
}
EMPTY = {"meta", "br"}


class Checked(HTMLParser):
    """Every element is closed in its turn; the marks by their class."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.marks: list[str] = []
        self.tags: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "g" and "title" not in self.open and self.open[-3:] == ["figure", "div", "svg"]:
            self.marks.append(dict(attrs)["class"] or "")
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page_of(*changes: dict[str, Any]) -> str:
    records = [{**RECORD, **change} for change in changes]
    return render([(report_of("eth0", records), records)])


def test_each_kind_has_a_mark_of_its_own() -> None:
    text = page_of(
        {"path": "unicast", "rebroadcasts": 0}, {}, {"result": "ignored"}, {"result": "refused"},
        {"result": "kept", "latency": None}, {"result": "expired", "latency": None}, {"purpose": "acquire"},
    )
    assert Checked(text).marks == ["unicast", "broadcast", "ignored", "refused", "unanswered", "lost"]
    assert "2026-01-01 01:00:00: answered only by broadcast, after 1.25 s" in text


def test_it_needs_nothing_from_elsewhere() -> None:
    text = page_of({})
    assert {"script", "link", "img", "iframe"}.isdisjoint(Checked(text).tags)
    assert not re.search(r"https?:|@import|url\(", text)
    assert "prefers-color-scheme: dark" in text


def test_what_others_said_is_text() -> None:
    evil = "<script>alert(1)</script>"
    spoiled = dict.fromkeys(("client", "server", "result", "path", "time", "attempts"), evil)
    text = page_of(spoiled, {"others": [evil]})
    assert "<script" not in text
    Checked(text)


@pytest.mark.parametrize("time", ["", "yesterday", "9999-99-99T99:99:99Z"])
def test_a_damaged_time_costs_no_page(time: str) -> None:
    assert len(Checked(page_of({"time": time}, {})).marks) == 2


def test_a_long_history_is_drawn_in_bounds() -> None:
    text = page_of(*[{}] * (DRAWN + 5))
    assert len(Checked(text).marks) == DRAWN
    assert f"The newest {LISTED} of {DRAWN + 5} renewals" in text


def test_nothing_recorded_is_said() -> None:
    assert "Guard has recorded nothing yet." in render([])


def test_a_history_without_renewals_has_no_time_line() -> None:
    assert "figure" not in Checked(page_of({"purpose": "acquire", "result": "acquired"})).tags
