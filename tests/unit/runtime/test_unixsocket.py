"""Who gets a control socket."""

from __future__ import annotations

import os

import pytest

from holdfast.runtime.unixsocket import may_give_to


def test_a_group_that_we_are_no_member_of_cannot_get_our_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 995)
    monkeypatch.setattr(os, "getegid", lambda: 995)
    monkeypatch.setattr(os, "getgroups", lambda: [4])
    assert may_give_to(995)
    assert may_give_to(4)
    assert not may_give_to(27)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert may_give_to(27)
