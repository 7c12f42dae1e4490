"""state.markers: remembered over restarts, and no nonsense from a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.state.markers import FormerMtu, YieldMarker

# -- yield ---------------------------------------------------------------------------------------


def test_a_yield_is_remembered_until_it_is_revoked(tmp_path: Path) -> None:
    assert not YieldMarker(str(tmp_path), "eth0").load()
    for _ in range(2):
        YieldMarker(str(tmp_path), "eth0").set_yielded(True)
    again = YieldMarker(str(tmp_path), "eth0")
    assert again.load()
    assert again.yielded
    assert not YieldMarker(str(tmp_path), "eth1").load()
    for _ in range(2):
        again.set_yielded(False)
    assert not again.yielded
    assert list(tmp_path.iterdir()) == []


def test_a_yield_that_cannot_be_written_is_an_error_and_changes_nothing(tmp_path: Path) -> None:
    marker = YieldMarker(str(tmp_path / "none"), "eth0")
    with pytest.raises(OSError, match="none"):
        marker.set_yielded(True)
    assert not marker.yielded
    assert not marker.load()


# -- the former MTU ------------------------------------------------------------------------------


def test_an_mtu_is_remembered_over_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / "eth0.mtu")
    assert FormerMtu(path).get() is None
    FormerMtu(path).keep(1500)
    again = FormerMtu(path)
    assert again.get() == 1500
    again.forget()
    again.forget()
    assert (again.get(), FormerMtu(path).get()) == (None, None)


def test_without_a_file_an_mtu_is_remembered_for_a_life() -> None:
    former = FormerMtu()
    former.keep(9000)
    assert former.get() == 9000
    former.forget()
    assert former.get() is None


def test_a_folder_of_mtus_that_cannot_be_written_is_no_trouble(tmp_path: Path) -> None:
    former = FormerMtu(str(tmp_path / "none" / "eth0.mtu"))
    former.keep(1500)
    assert former.get() == 1500


@pytest.mark.parametrize("text", ["", "x", "67", "65536", "-1500", "1e3", "1500 1", "99999999999",
                                  "\u0661\u0665\u0660\u0660"])
def test_nonsense_is_no_mtu(tmp_path: Path, text: str) -> None:
    (tmp_path / "eth0.mtu").write_text(text)
    assert FormerMtu(str(tmp_path / "eth0.mtu")).get() is None
