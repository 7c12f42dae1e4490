"""The reporter: one interface's story in the log, the history and the metrics."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path as File
from typing import Mapping

import pytest

from holdfast.core.actions import Dropped, DropReason, NoticeCode, Noticed, Transitioned
from holdfast.core.lease import Lease
from holdfast.core.outcome import Outcome, Purpose, Result, Via
from holdfast.core.transitions import Reason
from holdfast.observe import ids
from holdfast.observe.log import Log
from holdfast.observe.metrics import Textfile
from holdfast.observe.outcomes import OutcomeJournal, read_history
from holdfast.observe.report import FIELDS, NOTICE_BURST, InterfaceReporter

OURS, SERVER = IPv4Address("10.0.0.5"), IPv4Address("10.0.0.1")
OLD = Lease(OURS, SERVER, 100.0, 160.0, 205.0, 220.0, 120.0, {})
NEW = OLD._replace(started_at=161.0, t1_at=218.0, t2_at=266.0, expires_at=281.0)
RENEWED = Outcome(
    purpose=Purpose.T1, result=Result.RENEWED, via=Via.BROADCAST, attempts=2, latency=1.03, server=SERVER, address=OURS,
    former_address=OURS, lease_time=120.0, seconds_left=58.97, cause="unicast unanswered", xid=0x1A2B,
    started_at=160.0, ended_at=161.03,
)
KEPT = RENEWED._replace(result=Result.KEPT, latency=None, cause="nobody answered")


class Lines(Log):
    """A log that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__("stderr")
        self.entries: list[tuple[int, str, Mapping[str, str]]] = []

    def write(self, priority: int, text: str, fields: Mapping[str, str] | None = None) -> None:
        self.entries.append((priority, text, fields or {}))

    @property
    def texts(self) -> list[str]:
        return [text for priority, text, _ in self.entries if priority < 7]


class Clock:
    def __init__(self) -> None:
        self.now = 161.03

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def log() -> Lines:
    return Lines()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reporter(log: Lines, clock: Clock, tmp_path: File) -> InterfaceReporter:
    return InterfaceReporter(
        "eth0", log, OutcomeJournal(str(tmp_path), "eth0"), Textfile(str(tmp_path), "eth0"),
        boottime=clock, wall=lambda: 1_700_000_000.0,
    )


LINE = ("eth0: renewed 10.0.0.5 from 10.0.0.1 by broadcast in 1.03 s (2 messages; unicast unanswered), "
        "59 s were left, next renewal in 57 s")


def test_a_renewal_is_one_line_with_the_new_t1(reporter: InterfaceReporter, log: Lines) -> None:
    reporter.transitioned(Transitioned("BOUND", "RENEWING", Reason.T1), OLD)
    reporter.transitioned(Transitioned("RENEWING", "BOUND", Reason.ACK), NEW)
    assert log.texts == []
    reporter.recorded(RENEWED)
    assert log.texts == [LINE]


def test_without_the_lease_that_was_won_there_is_no_t1_to_tell(reporter: InterfaceReporter, log: Lines) -> None:
    reporter.recorded(RENEWED)
    assert log.texts == [LINE.removesuffix(", next renewal in 57 s")]
    reporter.transitioned(Transitioned("BOUND", "RENEWING", Reason.T1), OLD)
    reporter.recorded(KEPT)
    assert log.texts[1].startswith("eth0: kept 10.0.0.5")
    assert "next renewal" not in log.texts[1]


def test_a_record_reaches_history_journal_and_metrics_with_the_same_facts(  # rule 74
    reporter: InterfaceReporter, log: Lines, tmp_path: File
) -> None:
    reporter.transitioned(Transitioned("RENEWING", "BOUND", Reason.ACK), NEW)
    reporter.recorded(RENEWED)
    (record,) = read_history(str(tmp_path), "eth0")
    priority, _, fields = log.entries[-1]
    assert priority == ids.RESULTS["renewed"].priority
    assert fields == {
        "MESSAGE_ID": ids.RESULTS["renewed"].message_id, "INTERFACE": "eth0", "DHCP_STATE": "BOUND",
        **{name: str(record[key]) for key, name in FIELDS.items()},
    }
    assert set(FIELDS) | {"time", "boot_id", "interface"} == set(record)
    assert 'holdfast_outcomes_total{interface="eth0",result="renewed"} 1' in (
        tmp_path / "holdfast_eth0.prom").read_text()


def test_transitions_are_for_the_journal(reporter: InterfaceReporter, log: Lines) -> None:
    reporter.transitioned(Transitioned("BOUND", "RENEWING", Reason.T1), OLD)
    assert log.entries == [(7, "eth0: BOUND -> RENEWING (T1)", {
        "MESSAGE_ID": ids.TRANSITION.message_id, "INTERFACE": "eth0", "DHCP_STATE": "RENEWING",
        "HOLDFAST_FORMER_STATE": "BOUND", "HOLDFAST_CAUSE": "T1"})]


def test_drops_are_told_once_and_counted_always(  # rule 15
    reporter: InterfaceReporter, log: Lines, clock: Clock
) -> None:
    for _ in range(50_000):
        reporter.dropped(Dropped(DropReason.XID, SERVER, "0x1 is not ours"))
    reporter.dropped(Dropped(DropReason.FORCERENEW, None))
    reporter.malformed(49_999)
    reporter.malformed(1, "too short")
    assert log.texts == ["eth0: ignored a message from 10.0.0.1 (xid): 0x1 is not ours",
                         "eth0: ignored a message (forcerenew)",
                         "eth0: ignored a packet that is not a DHCP message"]
    assert reporter.counters()["drops"] == {"xid": 50_000, "forcerenew": 1, "malformed": 50_000}
    clock.now += 60
    reporter.dropped(Dropped(DropReason.XID, SERVER, "0x2 is not ours"))
    assert log.texts[-1].endswith("0x2 is not ours (49999 more like this since the last line)")
    assert log.entries[0][2]["DHCP_SERVER"] == "10.0.0.1"


def test_notices_come_as_they_are_and_then_are_counted(reporter: InterfaceReporter, log: Lines) -> None:
    for number in range(NOTICE_BURST + 5):
        reporter.noticed(Noticed(NoticeCode.FOREIGN_NAK, f"from 10.0.0.{number}"))
    assert log.texts[0] == "eth0: foreign NAK: from 10.0.0.0"
    assert len(log.texts) == NOTICE_BURST
    assert log.entries[0][0] == 4
    assert log.entries[0][2]["HOLDFAST_NOTICE"] == "foreign-nak"
    assert reporter.counters()["notices"] == {"foreign-nak": NOTICE_BURST + 5}


def test_free_lines(reporter: InterfaceReporter, log: Lines) -> None:
    reporter.line(4, "port 68 is held by dhclient[7]")
    assert log.entries == [(4, "eth0: port 68 is held by dhclient[7]", {
        "MESSAGE_ID": ids.LINE.message_id, "INTERFACE": "eth0", "DHCP_STATE": "INIT"})]


def test_results_and_paths_are_counted(reporter: InterfaceReporter) -> None:
    reporter.recorded(RENEWED)
    reporter.recorded(KEPT)
    assert reporter.counters()["results"] == {"renewed": 1, "kept": 1}
    assert reporter.counters()["paths"] == {"broadcast": 1}


def test_a_history_that_cannot_be_written_is_told_once_and_written_later(
    log: Lines, clock: Clock, tmp_path: File
) -> None:
    folder = tmp_path / "state"
    reporter = InterfaceReporter("eth0", log, OutcomeJournal(str(folder), "eth0"), boottime=clock)
    for _ in range(3):
        reporter.recorded(KEPT)
    told = [text for text in log.texts if "history" in text]
    assert told == [f"eth0: the history cannot be written: {folder}/eth0.outcomes.jsonl: "
                    "No such file or directory; 1 outcome waits: make room, or let the agent's user write there"]
    folder.mkdir()
    reporter.transitioned(Transitioned("BOUND", "RENEWING", Reason.T1), OLD)
    assert len(read_history(str(folder), "eth0")) == 3


def test_outcomes_that_wait_are_tried_at_the_end(log: Lines, clock: Clock, tmp_path: File) -> None:
    folder = tmp_path / "state"
    reporter = InterfaceReporter("eth0", log, OutcomeJournal(str(folder), "eth0"), boottime=clock)
    reporter.recorded(KEPT)
    reporter.close()
    folder.mkdir()
    reporter.close()
    assert len(read_history(str(folder), "eth0")) == 1


def test_lost_outcomes_are_told(log: Lines, clock: Clock, tmp_path: File) -> None:
    reporter = InterfaceReporter("eth0", log, OutcomeJournal(str(tmp_path / "none"), "eth0"), boottime=clock)
    for _ in range(70):
        reporter.recorded(KEPT)
    clock.now += 3600
    reporter.recorded(KEPT)
    told = "64 outcomes wait, 7 are lost: make room, or let the agent's user write there (69 more like this"
    assert any(told in text for text in log.texts)


def test_one_lost_outcome_is_one(log: Lines, clock: Clock, tmp_path: File) -> None:
    reporter = InterfaceReporter("eth0", log, OutcomeJournal(str(tmp_path / "none"), "eth0"), boottime=clock)
    for _ in range(64):
        reporter.recorded(KEPT)
    clock.now += 3600
    reporter.recorded(KEPT)
    assert any("64 outcomes wait, 1 is lost" in text for text in log.texts)


def test_metrics_that_cannot_be_written_are_told_once(log: Lines, clock: Clock, tmp_path: File) -> None:
    reporter = InterfaceReporter("eth0", log, None, Textfile(str(tmp_path / "none"), "eth0"), boottime=clock)
    reporter.transitioned(Transitioned("INIT", "SELECTING", Reason.START), None)
    reporter.recorded(KEPT)
    (told,) = (text for text in log.texts if "metrics cannot be written" in text)
    assert told.endswith("; make room, or let the agent's user write there")


def test_a_restored_address_is_no_new_lease(reporter: InterfaceReporter, log: Lines) -> None:
    """A reporter that never saw a transition has no T1 to tell."""
    reporter.recorded(KEPT)
    assert log.texts[-1].endswith("59 s are left")


def test_the_real_clock_is_the_boot_clock(log: Lines) -> None:
    reporter = InterfaceReporter("eth0", log)
    reporter.transitioned(Transitioned("INIT", "SELECTING", Reason.START), None)
    reporter.recorded(KEPT)
    reporter.close()
    assert reporter.counters()["results"] == {"kept": 1}
