"""The fault that Holdfast was built for, in every shape: a unicast renewal that brings no good answer."""

from __future__ import annotations

import pytest
from tests.scenarios.helpers import assert_kept, removals, wait_acks, wait_record, wait_stored, wait_unicast

from holdfast_lab.testbed.faults import Faults, Lease, Unicast
from holdfast_lab.testbed.stage import Stage
from holdfast_lab.witness.exchanges import renewals

pytestmark = pytest.mark.root
SHORT = Lease(time=20, t1=4, t2=17)


def test_no_fault_renews_by_unicast() -> None:  # rules 3, 5, 7, 56
    with Stage(lease=SHORT) as stage:
        stage.bind()
        wait_unicast(stage, 2)
        wait_record(stage, "renewed")
        assert_kept(stage, 2, 3, 4, 6)
        asked = [seen for seen in stage.server.wire.all() if seen.unicast_renewal]
        assert {seen.source for seen in asked} == {"192.0.2.50"}
        assert {seen.destination for seen in asked} == {"192.0.2.1"}
        assert {(seen.requested, seen.server_id) for seen in asked} == {(None, None)}


@pytest.mark.parametrize("fault", [Unicast.SILENT, Unicast.ICMP, Unicast.FOREIGN_NAK])
def test_a_unicast_without_a_good_answer_is_followed_by_a_broadcast(fault: Unicast) -> None:  # rules 4, 25, 35, 38
    with Stage(lease=SHORT, faults=Faults(unicast=fault)) as stage:
        stage.bind()
        watch = stage.stopwatch()
        wait_acks(stage, 3)
        assert_kept(stage, 1, 2, 3, 4)
        assert removals(stage) == []
        first, second = renewals(stage.evidence().wire)[:2]
        assert first.latency is not None
        assert watch.own(first.latency) < 2.5
        assert second.latency is not None
        assert watch.own(second.latency) < 0.6, "the server was known to be deaf"


def test_what_was_learned_of_a_server_outlives_a_crash() -> None:  # rules 38, 52
    with Stage(lease=SHORT, faults=Faults(unicast=Unicast.SILENT)) as stage:
        stage.bind()
        wait_acks(stage, 2)
        wait_record(stage, "renewed")
        wait_stored(stage, lambda stored: (stored["path"] or {}).get("hears_unicast") is False)
        stage.kill()
        stage.start()
        watch = stage.stopwatch()
        wait_acks(stage, 3)
        last = renewals(stage.evidence().wire)[-1]
        assert last.fallback is not None
        assert watch.own(last.fallback) < 0.5
        assert_kept(stage, 1, 2, 4)


def test_an_answer_to_the_wrong_ip_destination_is_heard() -> None:  # rule 17: the OVS dhcp extension
    with Stage(lease=SHORT, faults=Faults(unicast=Unicast.WRONG_DESTINATION)) as stage:
        stage.bind()
        wait_unicast(stage, 2)
        assert_kept(stage, 2, 4)


def test_another_server_takes_over() -> None:  # rules 5, 18
    faults = Faults(unicast=Unicast.SILENT, answer_as="192.0.2.2")
    with Stage(lease=SHORT, faults=faults) as stage:
        stage.bind()
        wait_acks(stage, 2)
        record = wait_record(stage, "renewed")
        assert record["server"] == "192.0.2.2"
        other = stage.add_server("192.0.2.2/24", lease=SHORT)
        unicast = other.wire.wait_for(lambda seen: seen.unicast_renewal and seen.destination == "192.0.2.2", 15)
        assert unicast.ciaddr == "192.0.2.50"
        assert removals(stage) == []


def test_a_foreign_nak_before_the_good_ack_changes_nothing() -> None:  # rules 25, 29
    with Stage(lease=SHORT, faults=Faults(nak_before_ack=True)) as stage:
        stage.bind()
        wait_acks(stage, 3)
        wait_record(stage, "renewed")
        assert removals(stage) == []
        assert_kept(stage, 2, 3, 4)
        stage.wait_until(lambda: "BOUND" in stage.command("status").stdout, 5)
