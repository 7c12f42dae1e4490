"""Downloads of ./dev build: again after a failure, and what failed is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast_build.attempts import PAUSES, BuildError, repeated

#: Fails until it was called as often as its second argument says; counts in its first, a file.
PROGRAM = 'echo . >>"$1"; echo "no route to $2"; test "$(wc -l <"$1")" -ge "$2"'


def command(count: Path, succeeds_at: int) -> list[str]:
    return ["sh", "-c", PROGRAM, "sh", str(count), str(succeeds_at)]


def test_a_download_is_tried_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    waited: list[float] = []
    cleaned: list[int] = []
    repeated("fetching", command(tmp_path / "count", 3), before=lambda: cleaned.append(1), pause=waited.append)
    assert waited == list(PAUSES)
    assert len(cleaned) == 3
    assert "build: fetching failed (no route to 3); again in 5 s\n" in capsys.readouterr().err


def test_what_failed_for_good_is_shown(tmp_path: Path) -> None:
    with pytest.raises(BuildError) as raised:
        repeated("fetching", command(tmp_path / "count", 9), pause=lambda _: None)
    said = str(raised.value)
    assert said.startswith("fetching failed 3 times; the command was\n  sh -c ")
    assert said.endswith("and it said at last:\nno route to 9")
    assert (tmp_path / "count").read_text().count(".") == 3


def test_what_works_at_once_is_done_once(tmp_path: Path) -> None:
    repeated("fetching", command(tmp_path / "count", 1), pause=lambda _: pytest.fail("it waited"))
    assert (tmp_path / "count").read_text() == ".\n"
