"""A tree of files for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.managers.formats.tree import Tree

Put = Callable[[str, str], None]


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    tree = Tree(str(tmp_path))
    yield tree
    tree.close()


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Writes a file of the tree."""

    def write(path: str, text: str) -> None:
        place = tmp_path / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    return write
