"""Who gets a control socket."""

from __future__ import annotations

import os

import pytest

from holdfast.control.unix_socket import may_give_to


def test_our_own_group_can_get_our_socket() -> None:
    assert may_give_to(os.getegid())


@pytest.mark.parametrize("error", [PermissionError, OSError])
def test_what_the_kernel_or_a_filter_forbids_is_known_before(
    error: type[OSError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No member of the group, or a unit whose SystemCallFilter= leaves chown out."""
    asked: list[tuple[int, int]] = []

    def fchown(fd: int, uid: int, gid: int) -> None:
        os.fstat(fd)
        asked.append((uid, gid))
        raise error(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", fchown)
    assert not may_give_to(27)
    assert asked == [(-1, 27)]
