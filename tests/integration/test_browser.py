"""The HTML pages in a real browser: narrow and wide, light and dark. Run by name; build/pages has pictures
for people afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.browser import Browser, browser

from holdfast.guard.page import render as guard_page
from holdfast.guard.report import report_of
from holdfast.observe.history_page import render as history_page
from holdfast.observe.outcomes import iso_time

pytestmark = pytest.mark.ondemand

START = 1_700_000_000.0
#: Each line of text that is drawn, and its rectangle.
_TEXTS = """
(() => {
  const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walk.nextNode());) {
    if (!node.data.trim() || node.parentElement.closest("title")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects())
      if (box.width && box.height) found.push([node.data.trim(), box.left, box.top, box.right, box.bottom]);
  }
  return found;
})()
"""
#: What is wider than the window. A wide table or figure may scroll in a box of its own.
_SIDEWAYS = """
(() => {
  const wide = document.documentElement.scrollWidth > innerWidth ? ["the page"] : [];
  for (const one of document.querySelectorAll("body *")) {
    if (one.closest("svg") !== null && one.tagName !== "svg") continue;
    const box = one.getBoundingClientRect();
    if (box.right > innerWidth + 1 && one.parentElement.closest(".scroll") === null)
      wide.push(one.outerHTML.slice(0, 80));
  }
  return wide;
})()
"""


def outcome(at: float, result: str, address: str = "192.0.2.50", **more: Any) -> dict[str, Any]:
    """A record of the history, ``at`` seconds after the start."""
    return {"time": iso_time(START + at), "interface": "eth0", "result": result, "purpose": "t1", "path": "unicast",
            "attempts": 1, "latency": 0.004, "server": "192.0.2.1", "address": address, "former_address": None,
            "lease_time": 1200.0, "seconds_left": 600.0, "cause": "T1", **more}


def history() -> str:
    """Two interfaces, and on the first everything that can happen, moves and other servers close together included."""
    records = [outcome(0, "acquired", path="discover", cause="start", purpose="acquire", latency=0.02)]
    records += [outcome(600.0 * number, "renewed", latency=0.002 * (1 + number % 7)) for number in range(1, 40)]
    records += [outcome(24000 + 600.0 * number, "renewed", path="broadcast", latency=0.31, attempts=2,
                        cause="unicast unanswered") for number in range(20)]
    records += [
        outcome(36000, "kept", latency=None, path=None, server=None, lease_time=None, cause="nobody answered"),
        outcome(36700, "expired", path=None, latency=None, lease_time=None, cause="nobody answered until the end"),
        outcome(40000, "acquired", "192.0.2.60", server="192.0.2.2", path="discover", purpose="acquire", latency=3.2),
        outcome(40600, "refused", "192.0.2.60", lease_time=None, server="192.0.2.2", cause="NAK from 192.0.2.2"),
        outcome(40601, "moved", "192.0.2.61", former_address="192.0.2.60", path="discover", server="192.0.2.1"),
        outcome(41200, "renewed", "192.0.2.61", server="192.0.2.202"),
        outcome(41800, "renewed", "192.0.2.61", server="192.0.2.1"),
        outcome(42400, "conflict", "192.0.2.61", path=None, latency=None, cause="b6:6b:d0:94:23:55 has 192.0.2.61"),
        outcome(42420, "acquired", "192.0.2.62", path="discover", purpose="acquire"),
    ]
    return history_page([*records, *({**one, "interface": "enp0s31f6"} for one in records[:3])], START + 43000)


def guarded() -> str:
    """Two interfaces, and on the first every kind of outcome."""
    record = {**outcome(0, "renewed", path="broadcast", latency=1.25), "unicasts": 1, "rebroadcasts": 1,
              "client": "dhclient", "others": [], "boot_id": "b", "watched_since": 0.0}
    kinds: tuple[dict[str, Any], ...] = (
        {"path": "unicast", "rebroadcasts": 0, "latency": 0.004}, {}, {"result": "ignored"}, {"result": "refused"},
        {"result": "kept", "latency": None, "path": None}, {"result": "expired", "latency": None, "path": None},
        {"others": ["192.0.2.9", "192.0.2.200"]},
    )
    records = [{**record, "time": iso_time(START + 600 * number), "started_at": 600.0 * number,
                "ended_at": 600.0 * number + 1, **kinds[number % len(kinds)]} for number in range(70)]
    other = [{**record, "interface": "enp0s31f6", "started_at": 0.0, "ended_at": 1.0}]
    return guard_page([(report_of("eth0", records), records), (report_of("enp0s31f6", other), other)])


PAGES = {"history": history, "guard-report": guarded}


@pytest.fixture(scope="module")
def tab() -> Iterator[Browser]:
    with browser() as one:
        yield one


@pytest.fixture(scope="module")
def pictures() -> Path:
    """Where the pictures stay, for people: build/pages."""
    folder = Path(__file__).parents[2] / "build/pages"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_readable(
    name: str, width: int, scheme: str, tab: Browser, pictures: Path, tmp_path: Path
) -> None:
    page = tmp_path / f"{name}.html"
    page.write_text(PAGES[name]())
    tab.show(page, width, scheme)
    tab.picture(pictures / f"{name}-{width}-{scheme}.png")
    assert tab.evaluate("document.querySelectorAll('figure svg g').length") > 60
    tab.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    tab.picture(pictures / f"{name}-{width}-{scheme}-open.png")
    assert tab.evaluate(_SIDEWAYS) == []
    assert overlapping(tab.evaluate(_TEXTS)) == []
    assert tab.requests() == [page.as_uri()], "it needs nothing from elsewhere"
    assert tab.errors() == []
    ground = sum(map(int, tab.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)")[:3])) / 3
    assert ground > 200 if scheme == "light" else ground < 50


def overlapping(texts: list[list[Any]]) -> list[tuple[str, str]]:
    """Pairs of texts that cover each other by more than a pixel and a half, as neighbouring lines do not."""
    slack, found = 1.5, []
    ordered = sorted(texts, key=lambda text: text[2])
    for number, (text, left, top, right, bottom) in enumerate(ordered):
        for other, its_left, its_top, its_right, its_bottom in ordered[number + 1:]:
            if its_top > bottom - slack:
                break
            high = min(bottom, its_bottom) - max(top, its_top)
            if high > 3 * slack and min(right, its_right) - max(left, its_left) > slack:
                found.append((text, other))
    return found
