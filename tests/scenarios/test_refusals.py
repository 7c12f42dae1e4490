"""Servers that refuse, forget, move the client or stay silent: the address is held until there is a reason."""

from __future__ import annotations

from itertools import pairwise
from math import inf

import pytest
from tests.scenarios.helpers import ack, assert_kept, removals, wait_acks, wait_record

from holdfast_lab.testbed.faults import Faults, Lease
from holdfast_lab.testbed.stage import Stage

pytestmark = pytest.mark.root
SHORT = Lease(time=20, t1=4, t2=17)
TIGHT = Lease(time=12, t1=3, t2=6)


def test_the_lease_s_own_server_says_nak_and_the_address_stays() -> None:  # rules 26, 27
    with Stage(lease=SHORT, faults=Faults(nak=((1.0, 7.0),))) as stage:
        stage.bind()
        stage.server.wire.wait_for(lambda seen: seen.kind == "NAK", 15)
        wait_record(stage, "refused")
        wait_acks(stage, 2)
        naks = [seen.at for seen in stage.server.wire.all() if seen.kind == "NAK"]
        asked = [seen for seen in stage.server.wire.all() if seen.kind == "DISCOVER" and seen.at > naks[0]]
        cycles = {seen.xid: seen.at for seen in reversed(asked)}  # when each began; it may ask twice (rule 80)
        assert all(later - sooner > 0.9 for sooner, later in pairwise(sorted(cycles.values()))), "one cycle a second"
        assert removals(stage) == []
        assert_kept(stage, 2, 3)


def test_nak_halt_is_the_strict_behaviour() -> None:  # rule 26
    config = '[defaults]\nnak = "halt"\n'
    with Stage(lease=SHORT, faults=Faults(nak=((1.0, 7.0),)), config=config) as stage:
        stage.bind()
        watch = stage.stopwatch()
        nak = stage.server.wire.wait_for(lambda seen: seen.kind == "NAK", 15)
        gone = stage.watch.wait_for(lambda event: event.kind == "address-", 5)
        assert watch.own(gone.at - nak.at) < 1.0
        wait_acks(stage, 2)


@pytest.mark.parametrize("forgotten", ["silent", "nak"])
def test_a_server_that_forgot_gives_the_address_back(forgotten: str) -> None:  # rules 26, 38, 39
    with Stage(lease=TIGHT, faults=Faults(forget_at=0.5, forgotten=forgotten)) as stage:
        stage.bind()
        stage.server.wire.wait_for(lambda seen: seen.note.startswith("forgotten"), 15)
        wait_acks(stage, 2)
        assert removals(stage) == []
        assert_kept(stage, 2, 3)
        assert [address.interface.ip.compressed for address in stage.addresses()] == ["192.0.2.50"]


@pytest.mark.parametrize("by", ["nak", "ack"])
def test_the_new_address_is_there_before_the_old_one_goes(by: str) -> None:  # rules 19, 57
    with Stage(lease=SHORT, faults=Faults(move_at=1.0, move_by=by)) as stage:
        stage.bind()
        stage.watch.wait_for(lambda event: event.kind == "address-" and event.what.startswith("192.0.2.50/"), 20)
        record = wait_record(stage, "moved")
        assert record["address"] == "192.0.2.77"
        assert record["former_address"] == "192.0.2.50"
        assert_kept(stage, 2, 3, 5)
        assert [address.interface.ip.compressed for address in stage.addresses()] == ["192.0.2.77"]
        assert ("0.0.0.0/0", "192.0.2.1") in {(str(r.destination), str(r.gateway)) for r in stage.routes()}


def test_a_server_that_is_back_just_before_expiry_is_found() -> None:  # rules 35, 37, 39
    with Stage(lease=TIGHT, faults=Faults(silent=((0.5, 8.0),))) as stage:
        stage.bind()
        watch = stage.stopwatch()
        answer = wait_acks(stage, 2)
        assert stage.server.first_ack_at is not None
        assert watch.own(answer.at - stage.server.first_ack_at) < 12.0
        assert removals(stage) == []
        assert_kept(stage, 2, 3, 4)
        broadcasts = [seen for seen in stage.server.wire.all() if seen.broadcast_renewal]
        assert len(broadcasts) >= 3


def test_an_address_goes_with_its_lease_and_comes_back_with_the_server() -> None:  # rules 31, 40, 41
    with Stage(lease=Lease(time=10, t1=3, t2=6), faults=Faults(silent=((0.1, inf),))) as stage:
        stage.bind()
        watch = stage.stopwatch()
        first = stage.server.wire.wait_for(ack, 5)
        asked = next(seen for seen in stage.server.wire.all() if seen.kind == "REQUEST")
        gone = stage.watch.wait_for(lambda event: event.kind == "address-", 15)
        assert asked.at + 10.0 - 0.25 <= gone.at <= first.at + 11.0 + watch.waited()
        wait_record(stage, "expired")
        tries = [seen for seen in stage.server.wire.all() if first.at < seen.at < gone.at and seen.broadcast_renewal]
        assert len(tries) >= 4, "rule 37"
        assert watch.own(gone.at - tries[-1].at) <= 4.5
        assert_kept(stage, 2, 3)
        stage.server.faults = Faults()
        back = stage.watch.wait_for(lambda event: event.kind == "address+", 40, since=gone.at)
        assert back.what == "192.0.2.50/24"


def test_malformed_replies_before_each_good_one() -> None:  # rule 22
    with Stage(lease=SHORT, faults=Faults(malformed=40)) as stage:
        stage.bind()
        wait_acks(stage, 3)
        wait_record(stage, "renewed")
        assert_kept(stage, 2, 3, 4, 6)


@pytest.mark.parametrize(
    "faults",
    [
        Faults(loss=0.25),
        Faults(delay=1.5),
        Faults(duplicates=3),
        Faults(reorder=0.5, duplicates=1),
    ],
    ids=["loss", "delay", "duplication", "reordering"],
)
def test_a_bad_network(faults: Faults) -> None:  # rules 11, 34, 39
    with Stage(lease=SHORT) as stage:
        stage.bind()
        stage.server.faults = faults
        wait_acks(stage, 3, 40)
        assert removals(stage) == []
        findings = [finding for finding in stage.findings(records=False) if finding.promise != 1]
        assert [finding.text for finding in findings if not finding.kept] == []
