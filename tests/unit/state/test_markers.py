"""runtime.yielding: remembered by a file, and by nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.state.markers import YieldFile


def test_it_is_remembered_until_it_is_taken_back(tmp_path: Path) -> None:
    assert not YieldFile(str(tmp_path), "eth0").is_set()
    for _ in range(2):
        YieldFile(str(tmp_path), "eth0").set(True)
    assert YieldFile(str(tmp_path), "eth0").is_set()
    assert not YieldFile(str(tmp_path), "eth1").is_set()
    for _ in range(2):
        YieldFile(str(tmp_path), "eth0").set(False)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    file = YieldFile(str(tmp_path / "none"), "eth0")
    with pytest.raises(OSError, match="none"):
        file.set(True)
    assert not file.is_set()
