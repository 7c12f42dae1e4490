"""The history: what a line holds, its bounds, and what crashes and full disks do to it."""

from __future__ import annotations

import errno
import json
import os
import re
from ipaddress import IPv4Address
from math import inf
from pathlib import Path as File
from typing import Any

import pytest

from holdfast.core.outcome import Outcome, Purpose, Result, Via
from holdfast.observe import outcomes
from holdfast.observe.outcomes import (
    QUEUE_LIMIT,
    OutcomeJournal,
    as_outcome,
    as_record,
    interfaces_with_history,
    iso_time,
    read_history,
)
from holdfast.state.folder import NotPlainError

RENEWED = Outcome(
    purpose=Purpose.T1, result=Result.RENEWED, via=Via.BROADCAST, attempts=2, latency=1.03,
    server=IPv4Address("10.0.0.1"), address=IPv4Address("10.0.0.5"), former_address=IPv4Address("10.0.0.5"),
    lease_time=120.0, seconds_left=54.2, cause="unicast unanswered", xid=0x1A2B, started_at=160.0, ended_at=161.03,
)


def _record(**changes: Any) -> outcomes.Record:
    return as_record(RENEWED._replace(**changes), "eth0", boottime=161.04, wall=1_700_000_000.5)


def test_a_record_holds_every_fact_and_the_three_clocks() -> None:  # rule 74
    record = _record()
    assert {*Outcome._fields, "path"} - {"via"} <= set(record)  # the key is older than the field
    assert re.fullmatch("[0-9a-f]{32}", record.pop("boot_id"))  # type: ignore[misc]
    assert record == {
        "time": "2023-11-14T22:13:20.500Z", "boottime": 161.04, "interface": "eth0", "purpose": "t1",
        "result": "renewed", "path": "broadcast", "attempts": 2, "latency": 1.03, "server": "10.0.0.1",
        "address": "10.0.0.5", "former_address": "10.0.0.5", "lease_time": 120.0, "seconds_left": 54.2,
        "cause": "unicast unanswered", "xid": "0x00001a2b", "started_at": 160.0, "ended_at": 161.03,
    }


def test_what_is_not_known_is_null_and_what_has_no_end_says_so() -> None:
    record = _record(via=None, latency=None, server=None, address=None, former_address=None, lease_time=None,
                     xid=None, seconds_left=inf)
    assert [record[key] for key in ("path", "latency", "server", "address", "former_address", "lease_time", "xid")
            ] == [None] * 7  # type: ignore[literal-required]
    assert record["seconds_left"] == "infinite"
    assert _record(lease_time=inf)["lease_time"] == "infinite"


@pytest.mark.parametrize("changes", [{}, {"lease_time": inf, "seconds_left": inf}, {
    "via": None, "latency": None, "server": None, "address": None, "former_address": None, "lease_time": None,
    "xid": None}])
def test_a_record_becomes_the_outcome_again(changes: dict[str, Any]) -> None:
    assert as_outcome(_record(**changes)) == RENEWED._replace(**changes)


def test_seconds_left_is_never_negative() -> None:  # rule 75
    assert _record(seconds_left=-3.0)["seconds_left"] == 0.0


def test_a_kernel_without_boot_id() -> None:
    assert outcomes.boot_id("/nowhere") == ""


def test_iso_times_sort_as_time_does() -> None:
    assert iso_time(0.9999) == "1970-01-01T00:00:01.000Z"
    assert iso_time(999.1) < iso_time(999.2) < iso_time(1000.0)


def test_written_and_read_again(tmp_path: File) -> None:
    journal = OutcomeJournal(str(tmp_path), "eth0")
    journal.append(_record())
    journal.append(_record(attempts=3))
    assert [record["attempts"] for record in read_history(str(tmp_path), "eth0")] == [2, 3]
    assert (tmp_path / "eth0.outcomes.jsonl").stat().st_mode & 0o777 == 0o644
    assert journal.pending == journal.lost == 0


def test_reading_since_a_time(tmp_path: File) -> None:
    journal = OutcomeJournal(str(tmp_path), "eth0")
    for wall in (100.0, 200.0, 300.0):
        journal.append(as_record(RENEWED, "eth0", boottime=wall, wall=wall))
    assert [record["boottime"] for record in read_history(str(tmp_path), "eth0", since=200.0)] == [200.0, 300.0]
    assert [record["boottime"] for record in read_history(str(tmp_path), "eth0", limit=1)] == [300.0]
    assert read_history(str(tmp_path), "eth0", limit=0) == []


def test_no_history_is_an_empty_one(tmp_path: File) -> None:
    assert read_history(str(tmp_path), "eth0") == []
    assert interfaces_with_history(str(tmp_path / "none")) == []


def test_interfaces_are_found_by_their_files(tmp_path: File) -> None:
    for name in ("eth1.outcomes.jsonl", "eth0.outcomes.jsonl", "eth0.outcomes.jsonl.1", "eth2.outcomes.jsonl.1", "x"):
        (tmp_path / name).touch()
    assert interfaces_with_history(str(tmp_path)) == ["eth0", "eth1", "eth2"]


def test_the_size_is_bounded_and_one_former_file_is_kept(tmp_path: File) -> None:
    journal = OutcomeJournal(str(tmp_path), "eth0", size_limit=2000)
    for attempts in range(100):
        journal.append(_record(attempts=attempts))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["eth0.outcomes.jsonl", "eth0.outcomes.jsonl.1"]
    assert all(path.stat().st_size <= 2000 for path in tmp_path.iterdir())
    kept = [record["attempts"] for record in read_history(str(tmp_path), "eth0")]
    assert kept == list(range(100 - len(kept), 100))
    assert len(kept) > 4


def test_a_line_that_is_longer_than_the_limit_still_gets_in(tmp_path: File) -> None:
    journal = OutcomeJournal(str(tmp_path), "eth0", size_limit=10)
    journal.append(_record(attempts=1))
    journal.append(_record(attempts=2))
    assert [record["attempts"] for record in read_history(str(tmp_path), "eth0")] == [1, 2]


def test_a_line_cut_short_by_a_crash_costs_only_itself(tmp_path: File) -> None:
    journal = OutcomeJournal(str(tmp_path), "eth0")
    journal.append(_record(attempts=1))
    path = tmp_path / "eth0.outcomes.jsonl"
    path.write_bytes(path.read_bytes() + b'{"time":"2023-11-14T22:13:20.500Z","resu')
    assert len(read_history(str(tmp_path), "eth0")) == 1
    journal.append(_record(attempts=2))
    assert [record["attempts"] for record in read_history(str(tmp_path), "eth0")] == [1, 2]


def test_garbage_is_passed_over(tmp_path: File) -> None:
    journal = OutcomeJournal(str(tmp_path), "eth0")
    path = tmp_path / "eth0.outcomes.jsonl"
    path.write_bytes(b"\xff\xfe\x00\n" + b"[" * 5000 + b'\n[]\n3\n{}\n{"time":1,"result":"renewed"}\n\n' + b"x" * 50_000
                     + b"\n")
    journal.append(_record())
    assert [record["result"] for record in read_history(str(tmp_path), "eth0")] == ["renewed"]


def test_a_history_that_cannot_be_read_says_so(tmp_path: File) -> None:
    (tmp_path / "eth0.outcomes.jsonl").mkdir()
    with pytest.raises(NotPlainError, match="is not a regular file"):
        read_history(str(tmp_path), "eth0")


def test_a_pipe_keeps_nobody_waiting(tmp_path: File) -> None:
    """The state folder is the agent's user's, and root reads it: with and without a writer at the other end."""
    os.mkfifo(outcomes.history_path(str(tmp_path), "eth0"))
    with pytest.raises(NotPlainError):
        read_history(str(tmp_path), "eth0")
    writer = os.open(outcomes.history_path(str(tmp_path), "eth0"), os.O_RDWR)
    with pytest.raises(NotPlainError):
        read_history(str(tmp_path), "eth0")
    os.close(writer)


def test_what_cannot_be_written_waits_and_the_oldest_goes_first(tmp_path: File) -> None:
    folder = tmp_path / "state"
    journal = OutcomeJournal(str(folder), "eth0")
    for attempts in range(QUEUE_LIMIT + 3):
        with pytest.raises(FileNotFoundError):
            journal.append(_record(attempts=attempts))
    assert (journal.pending, journal.lost) == (QUEUE_LIMIT, 3)
    folder.mkdir()
    journal.flush()
    assert journal.pending == 0
    assert [record["attempts"] for record in read_history(str(folder), "eth0")] == list(range(3, QUEUE_LIMIT + 3))


def test_a_disk_that_fills_up_in_the_middle_leaves_no_half_line(
    tmp_path: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = OutcomeJournal(str(tmp_path), "eth0")
    journal.append(_record(attempts=1))
    before = (tmp_path / "eth0.outcomes.jsonl").read_bytes()
    real_write, calls = os.write, []

    def full(fd: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_write(fd, data[:20])

    with monkeypatch.context() as patched:
        patched.setattr(outcomes.os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            journal.append(_record(attempts=2))
    assert (tmp_path / "eth0.outcomes.jsonl").read_bytes() == before
    journal.append(_record(attempts=3))
    lines = (tmp_path / "eth0.outcomes.jsonl").read_text().splitlines()
    assert [json.loads(line)["attempts"] for line in lines] == [1, 2, 3]
