"""charts.py: scales, ticks, labels, and pictures that are well-formed XML."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from holdfast_lab.render.charts import (
    Drawing,
    Limit,
    Row,
    Scale,
    bar_chart,
    dot_chart,
    even_ticks,
    log_ticks,
    value_text,
)

SVG = "{http://www.w3.org/2000/svg}"
ROWS = [Row("holdfast", (33.0, 49.0), ours=True), Row("dhclient", (19.0, 23.1)), Row("<dhcpcd>", (2198.0, None))]


def words(svg: str) -> list[str]:
    return ["".join(text.itertext()) for text in ET.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize(
    ("low", "high", "about", "ticks"),
    [
        (0, 100, 5, [0, 20, 40, 60, 80, 100]),
        (0, 112, 6, [0, 20, 40, 60, 80, 100]),
        (0, 0.9, 4, [0, 0.5]),
        (3, 17, 7, [4, 6, 8, 10, 12, 14, 16]),
    ],
)
def test_even_ticks_are_multiples_of_a_round_step(low: float, high: float, about: int, ticks: list[float]) -> None:
    assert even_ticks(low, high, about) == pytest.approx(ticks)


def test_log_ticks_are_round_and_inside() -> None:
    assert log_ticks(14, 7000) == pytest.approx([20, 50, 100, 200, 500, 1000, 2000, 5000])
    assert log_ticks(0.001, 1000) == pytest.approx([0.001, 0.01, 0.1, 1, 10, 100, 1000])


def test_a_scale_maps_its_ends_and_keeps_outliers_on_the_edge() -> None:
    scale = Scale(0, 50, 100, 200)
    assert [scale(value) for value in (0, 25, 50, 80, -3)] == pytest.approx([100, 150, 200, 200, 100])
    log = Scale(1, 100, 0, 200, log=True)
    assert [log(value) for value in (1, 10, 100, 0.1)] == pytest.approx([0, 100, 200, 0])
    assert log.ticks() == pytest.approx([1, 2, 5, 10, 20, 50, 100])
    assert scale.ticks(5) == pytest.approx([0, 10, 20, 30, 40, 50])


@pytest.mark.parametrize(
    ("value", "text"),
    [(6.789, "6.79"), (23.14, "23.1"), (20.0, "20"), (181.4, "181"), (7200, "7200"), (0, "0"), (0.0089, "0.009")],
)
def test_values_have_three_digits_at_most(value: float, text: str) -> None:
    assert value_text(value) == text
    assert value_text(value, "ms") == f"{text} ms"


def test_bars_carry_names_values_and_what_is_missing() -> None:
    svg = bar_chart("A title", "a note", ROWS, ["lease 60 s", "lease 240 s"], unit="s")
    said = words(svg)
    assert said[:2] == ["A title", "a note"]
    assert {"holdfast", "<dhcpcd>", "33 s", "49 s", "2198 s", "not measured", "lease 60 s"} <= set(said)
    boxes = [box.get("class") for box in ET.fromstring(svg).iter(f"{SVG}rect")]
    assert boxes.count("ours") == boxes.count("ours-light") == 1
    assert boxes.count("other-light") == 2  # dhclient's, and the legend's


def test_longer_bars_mean_larger_values() -> None:
    svg = bar_chart("t", "n", [Row("a", (10.0,)), Row("b", (40.0,))], ["one"], unit="s")
    boxes = [box for box in ET.fromstring(svg).iter(f"{SVG}rect") if box.get("class") == "other"]
    widths = [float(box.get("width", 0)) for box in boxes]
    assert widths[1] == pytest.approx(4 * widths[0], rel=0.01)


def test_dots_have_limits_and_stay_on_the_picture() -> None:
    svg = dot_chart("t", "n", ROWS, ["first", "second"], [Limit(38, "budget")], unit="ms")
    root = ET.fromstring(svg)
    centres = [float(dot.get("cx", 0)) for dot in root.iter(f"{SVG}circle")]
    assert all(0 < x < float(root.get("width", 0)) for x in centres)
    assert "budget" in words(svg)
    assert "2198 / -" in words(svg)
    assert [line.get("class") for line in root.iter(f"{SVG}line")].count("limit") == 1


def test_an_empty_chart_is_still_a_picture() -> None:
    assert "t" in words(bar_chart("t", "n", [], ["one"], unit="s"))
    assert "t" in words(dot_chart("t", "n", [Row("a", (None, None))], ["one", "two"], [], unit="s"))


def test_text_is_escaped_and_the_title_is_there_for_screen_readers() -> None:
    picture = Drawing(10, 10)
    picture.text(1, 1, "a < b & c")
    root = ET.fromstring(picture.svg("<title>"))
    assert root.findtext(f"{SVG}title") == "<title>"
    assert words(picture.svg("x")) == ["a < b & c"]
