"""docs/architecture.md: its tables name every file of a room, and no other; its walks name files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "agent" / "holdfast"
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
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


def test_files_that_are_named_with_their_room_exist() -> None:
    named = set(re.findall(r"`(\w+(?:/\w+)*/\w+\.(?:py|varlink))", TEXT))
    rooted = [name for name in sorted(named) if any((base / name.split("/")[0]).is_dir() for base in (PACKAGE, ROOT))]
    missing = [name for name in rooted if not any((base / name).exists() for base in (PACKAGE, ROOT))]
    assert missing == []
