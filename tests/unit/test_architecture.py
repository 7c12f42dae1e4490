"""docs/architecture.md: its tables name every file of a room, and no other; every page names files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "agent" / "holdfast"
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
#: What a path in a page is below: the daemon, the lab, the tests, or the checkout.
BASES = (PACKAGE, ROOT / "agent" / "holdfast_lab", ROOT / "agent", ROOT / "tests", ROOT)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ROOMS = re.findall(r"^## (\w+), file by file$", TEXT, re.MULTILINE)


def test_there_are_such_tables() -> None:
    assert {"core", "managers", "runtime", "takeover"} <= set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_table_names_every_file_of_its_room(room: str) -> None:
    section = TEXT.split(f"\n## {room}, file by file\n")[1].split("\n## ")[0]
    rows = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    named = sorted(name for row in rows for name in re.findall(r"`([\w/]+\.py)`", row))
    files = (PACKAGE / room).rglob("*.py")
    assert named == sorted(str(path.relative_to(PACKAGE / room)) for path in files if path.name != "__init__.py")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_with_their_room_exist(page: Path) -> None:
    named = set(re.findall(r"`(\w+(?:/\w+)*/\w+\.(?:py|varlink))", page.read_text(encoding="utf-8")))
    rooted = [name for name in sorted(named) if any((base / name.split("/")[0]).is_dir() for base in BASES)]
    assert [name for name in rooted if not any((base / name).exists() for base in BASES)] == []
