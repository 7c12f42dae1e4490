"""A foreign lease in the core's terms, and back."""

from __future__ import annotations

import os
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import strategies as _profile  # noqa: F401 - the same examples in every run
from tests.support.fake_host import FakeHost
from tests.support.takeovers import ADDRESS, foreign_lease

from holdfast.core.lease import Binding
from holdfast.network.plan import Address
from holdfast.state import folder as folders
from holdfast.state.lease_store import LeaseStore
from holdfast.takeover import adoption
from holdfast.takeover.errors import TakeoverError

NOW = 10_000.0
HELD = Address(ADDRESS, valid=3000.0)
FOREVER = HELD._replace(valid=inf)


def test_as_the_kernel_counts() -> None:
    """A step of the wall clock has moved the file's times, not the kernel's (rule 44)."""
    lease = adoption.to_lease(foreign_lease(NOW + 5_000_000), HELD, NOW)
    assert (lease.started_at, lease.t1_at) == (NOW - 600, NOW + 1200)
    assert (lease.t2_at, lease.expires_at) == (NOW + 2550, NOW + 3000)
    assert lease.lease_time == 3600
    assert lease.verified


def test_a_client_that_sets_no_lifetimes() -> None:
    lease = adoption.to_lease(foreign_lease(NOW), FOREVER, NOW)
    assert lease.expires_at == NOW + 3000
    unknown = replace(foreign_lease(NOW), expires_at=inf, t1_at=inf, t2_at=inf)
    assert adoption.to_lease(unknown, FOREVER, NOW).expires_at == NOW + 3600


def test_without_an_end() -> None:
    endless = replace(foreign_lease(NOW), expires_at=inf, t1_at=inf, t2_at=inf, options={51: b"\xff" * 4})
    lease = adoption.to_lease(endless, FOREVER, NOW)
    assert (lease.expires_at, lease.t1_at, lease.lease_time) == (inf, inf, inf)
    assert lease.options[1] == b"\xff\xff\xff\0", "the mask as it is on the interface"


def test_ended() -> None:
    with pytest.raises(TakeoverError, match=r"192\.0\.2\.9 has ended"):
        adoption.to_lease(replace(foreign_lease(NOW), expires_at=NOW), FOREVER, NOW)


@given(st.floats(1, 1e7), *[st.floats(-1e7, 1e7)] * 4, st.integers(0, 2**32 - 1))
def test_any_times_become_a_lease_that_can_be_stored(
    valid: float, started: float, t1: float, t2: float, end: float, lasts: int
) -> None:
    foreign = replace(
        foreign_lease(NOW), started_at=started, t1_at=t1, t2_at=t2, expires_at=end,
        options={51: lasts.to_bytes(4, "big")},
    )
    lease = adoption.to_lease(foreign, HELD._replace(valid=valid), NOW)
    assert lease.started_at <= lease.t1_at <= lease.t2_at <= lease.expires_at
    assert abs(lease.started_at + lease.lease_time - lease.expires_at) < 1
    assert lease.started_at <= NOW


def test_stored_and_remembered(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    adoption.prepare_folder(host, "/var/lib/holdfast")
    lease = adoption.to_lease(foreign_lease(NOW), HELD, NOW)
    adoption.write(host, "/var/lib/holdfast", "eth0", lease, b"\x01old")
    stored = adoption.remembered(host, "/var/lib/holdfast", "eth0")
    assert stored is not None
    assert stored == Binding(lease, client_id=b"\x01old")
    again = adoption.from_lease(stored.lease, foreign_lease(NOW))
    assert again == replace(foreign_lease(NOW), source="the agent's lease file")
    adoption.forget(host, "/var/lib/holdfast", "eth0")
    adoption.forget(host, "/var/lib/holdfast", "eth0")
    assert adoption.remembered(host, "/var/lib/holdfast", "eth0") is None


@pytest.mark.root
def test_no_other_file_is_given_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state folder is the agent's user's: a link that is put there between two steps leads root nowhere."""
    monkeypatch.setattr(folders, "agent_uids", lambda: (65534,))
    host, secret = FakeHost(tmp_path), tmp_path / "shadow"
    secret.write_text("root's own")
    adoption.prepare_folder(host, "/var/lib/holdfast")
    folder = Path(host.path("/var/lib/holdfast"))
    os.chown(folder, 65534, 65534)
    save = LeaseStore.save

    def save_and_swap(self: LeaseStore, *words: Any) -> None:
        save(self, *words)
        os.unlink(self.path)
        os.symlink(secret, self.path)

    monkeypatch.setattr(LeaseStore, "save", save_and_swap)
    adoption.write(host, "/var/lib/holdfast", "eth0", adoption.to_lease(foreign_lease(NOW), HELD, NOW), b"")
    assert secret.stat().st_uid == os.geteuid()


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    host.put("/var/lib", "a file")
    with pytest.raises(TakeoverError, match="cannot be made"):
        adoption.prepare_folder(host, "/var/lib/holdfast")
    with pytest.raises(TakeoverError, match="cannot be written"):
        adoption.write(host, "/var/lib/holdfast", "eth0", adoption.to_lease(foreign_lease(NOW), HELD, NOW), b"")
