"""Figures in words, and tables of them on terminals, in pipes and on pages."""

from __future__ import annotations

import io

import pytest

from holdfast_lab.render.tables import console, grid, markdown_table, seconds_text, value_text


@pytest.mark.parametrize(
    ("value", "text"),
    [(6.789, "6.79"), (23.14, "23.1"), (20.0, "20"), (181.4, "181"), (7200, "7200"), (0, "0"), (0.0089, "0.009")],
)
def test_values_have_three_digits_at_most(value: float, text: str) -> None:
    assert value_text(value) == text
    assert value_text(value, "ms") == f"{text} ms"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.42, "0.4 s"), (64.0, "64 s"), (119.4, "119 s"), (120.0, "2.0 min"), (660.0, "11 min"), (27000.0, "7.5 h")],
)
def test_durations_have_the_unit_that_fits(value: float, text: str) -> None:
    assert seconds_text(value) == text


def test_a_table_in_a_pipe_is_aligned_plain_and_as_wide_as_it_is() -> None:
    out = io.StringIO()
    long = "x" * 200
    console(out).print(grid([["client", "ms"], ["a", "7"], [long, "1200"]]))
    lines = [line.rstrip() for line in out.getvalue().splitlines() if line.strip()]
    assert lines[0].split() == ["client", "ms"]
    assert lines[2].startswith("a ")
    assert len(lines[2]) == len(lines[3])
    assert lines[2].endswith("   7")
    assert lines[3].split() == [long, "1200"]
    assert "\x1b" not in out.getvalue()


def test_a_markdown_table_has_figures_to_the_right() -> None:
    assert markdown_table([["client", "ms"], ["a", "7"]]) == "| client | ms |\n| --- | ---: |\n| a | 7 |"
    assert markdown_table([["a", "b"], ["c", "d"]], words=True) == "| a | b |\n| --- | --- |\n| c | d |"
