"""The benchmark's charts: names, values, and what a reader can tell apart, on light and on dark pages."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from tests.support.pictures import complaints_about, texts_of, words_of

from holdfast_lab.render.charts import Limit, Row, bar_chart, dot_chart
from holdfast_lab.render.theme import Picture

ROWS = [Row("holdfast", (33.0, 49.0), ours=True), Row("dhclient", (19.0, 23.1)), Row("<dhcpcd>", (2198.0, None))]


def test_bars_carry_names_values_and_what_is_missing() -> None:
    svg = bar_chart("A title", "a note", ROWS, ["lease 60 s", "lease 240 s"], unit="s")
    assert {
        "A title", "a note", "holdfast", "<dhcpcd>", "33 s", "49 s", "2198 s", "not measured", "lease 60 s",
        "lease 240 s", "0", "2000",
    } <= set(texts_of(svg))  # fmt: skip
    assert complaints_about(svg) == []


def test_a_longer_bar_means_a_larger_value() -> None:
    svg = bar_chart("t", "n", [Row("a", (10.0,)), Row("b", (40.0,)), Row("c", (20.0,))], ["one"], unit="s")
    at = {words.text: words.left for words in words_of(svg)}
    assert (at["40 s"] - at["20 s"]) == pytest.approx(2 * (at["20 s"] - at["10 s"]), rel=0.01)


def test_dots_have_limits_and_figures() -> None:
    svg = dot_chart("t", "n", ROWS, ["first", "second"], [Limit(38, "budget")], unit="ms")
    assert {"budget", "33 / 49", "2198 / -", "first", "second", "20", "50", "1000"} <= set(texts_of(svg))
    assert complaints_about(svg) == []


def test_an_empty_chart_is_still_a_picture() -> None:
    assert "t" in texts_of(bar_chart("t", "n", [], ["one"], unit="s"))
    assert "t" in texts_of(dot_chart("t", "n", [Row("a", (None, None))], ["one", "two"], [], unit="s"))


def test_a_picture_is_the_same_each_time_and_speaks_to_screen_readers() -> None:
    def draw() -> str:
        picture = Picture(90, 60, "<title>", "a < b & c")
        picture.axes(10, 10, 80, 50).plot([1, 2], [1, 2])
        return picture.svg()

    svg = draw()
    assert svg == draw()
    root = ET.fromstring(svg)
    assert root.findtext("{http://www.w3.org/2000/svg}title") == "<title>"
    assert (root.get("role"), root.get("width"), root.get("height")) == ("img", "90", "60")
    assert "a < b & c" in texts_of(svg)
    assert "system-ui" in svg, "the reader's own font"
