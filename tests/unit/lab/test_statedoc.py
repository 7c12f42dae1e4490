"""docs/states.md and its picture are what the table says."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast_lab.docs import statedoc


def test_the_page_and_the_picture_are_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    assert statedoc.main(["--check"]) == 0, capsys.readouterr().err


def test_writing_makes_them_fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statedoc, "ROOT", tmp_path)
    monkeypatch.setattr(statedoc, "PAGE", tmp_path / "docs" / "states.md")
    monkeypatch.setattr(statedoc, "PICTURE", tmp_path / "docs" / "pictures" / "states.svg")
    assert statedoc.main(["--check"]) == 1
    assert statedoc.main([]) == 0
    assert statedoc.main(["--check"]) == 0


def test_every_row_of_the_table_is_on_the_page() -> None:
    text = statedoc.page()
    for _, target, reason in statedoc.ROWS:
        assert f"| {reason} | {target} |" in text


@pytest.mark.parametrize(("table", "complaint"), [
    ((*statedoc.ROWS, ("BOUND", "REQUESTING", "whim")), "lacks"),
    (tuple(row for row in statedoc.ROWS if row[2] != "OFFER chosen"), "has an arrow"),
])
def test_a_picture_that_differs_from_the_table_is_refused(
    table: tuple[statedoc.Row, ...], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statedoc, "ROWS", table)
    with pytest.raises(ValueError, match=complaint):
        statedoc.picture()
