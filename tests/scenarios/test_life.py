"""Starts, stops, crashes, cables, and neighbours on the interface."""

from __future__ import annotations

from math import inf

import pytest
from tests.scenarios.helpers import assert_kept, removals, wait_acks, wait_control, wait_record, wait_stored

from holdfast_lab.testbed.faults import Faults, Lease
from holdfast_lab.testbed.stage import LINK, Stage
from holdfast_lab.witness.wirelog import boottime

pytestmark = pytest.mark.root
SHORT = Lease(time=20, t1=4, t2=17)
LONG = Lease(time=120)


def test_sigterm_leaves_the_address_and_a_start_touches_nothing() -> None:  # rules 14, 47, 51, 56
    with Stage(lease=LONG) as stage:
        stage.bind()
        wait_record(stage, "acquired")
        assert stage.terminate() < 2.0
        assert stage.process is not None
        assert stage.process.returncode == 0
        assert [str(address.interface) for address in stage.addresses()] == ["192.0.2.50/24"]
        assert not [seen for seen in stage.server.wire.all() if seen.kind == "RELEASE"]
        stage.start()
        stage.wait_until(lambda: "BOUND" in stage.command("status").stdout, 10)
        assert removals(stage) == []
        assert_kept(stage, 2, 3, 4, probes=5)


def test_kill_and_start_again_and_again() -> None:  # rules 47, 52
    with Stage(lease=LONG) as stage:
        stage.bind()
        wait_record(stage, "acquired")
        wait_stored(stage)
        for _ in range(5):
            stage.kill()
            stage.start()
            stage.wait_until(lambda: "BOUND" in stage.command("status").stdout, 10)
        assert removals(stage) == []
        assert [str(address.interface) for address in stage.addresses()] == ["192.0.2.50/24"]
        assert_kept(stage, 2, 3, 4)


def test_a_start_with_a_valid_lease_and_no_server_keeps_the_address() -> None:  # rules 47, 48
    with Stage(lease=LONG) as stage:
        stage.bind()
        wait_record(stage, "acquired")
        wait_stored(stage)
        stage.kill()
        stage.server.faults = Faults(silent=((0.0, inf),))
        stage.start()
        stage.wait_until(lambda: "192.0.2.50" in stage.command("status").stdout, 10)
        assert removals(stage) == []
        assert_kept(stage, 2, 3, 4, probes=5)


def test_a_cable_that_comes_back_is_asked_at_once() -> None:  # rule 61
    with Stage(lease=LONG, switch=True) as stage:
        stage.bind()
        wait_record(stage, "acquired")
        stage.pull_cable()
        down = stage.watch.wait_for(lambda event: event.kind == "down", 5)
        assert [str(address.interface) for address in stage.addresses()] == ["192.0.2.50/24"]
        plugged = boottime()  # "up" has the instant at which its witness had a processor, perhaps after the question
        stage.plug_cable()
        stage.watch.wait_for(lambda event: event.kind == "up", 5, since=down.at)
        asked = stage.server.wire.wait_for(lambda seen: seen.kind == "REQUEST", 5, since=plugged)
        assert asked.requested in {None, "192.0.2.50"}
        wait_acks(stage, 2)
        assert removals(stage) == []


def test_a_cable_that_comes_back_to_a_silent_server_changes_nothing() -> None:  # rules 48, 61
    with Stage(lease=LONG, switch=True, faults=Faults(silent=((0.2, inf),))) as stage:
        stage.bind()
        wait_record(stage, "acquired")
        stage.pull_cable()
        down = stage.watch.wait_for(lambda event: event.kind == "down", 5)
        stage.plug_cable()
        stage.server.wire.wait_for(lambda seen: seen.kind == "REQUEST", 10, since=down.at)
        stage.wait_until(lambda: stage.prober.probes("192.0.2.50")[-1].at > down.at + 6, 12)
        assert removals(stage) == []
        assert [str(address.interface) for address in stage.addresses()] == ["192.0.2.50/24"]
        assert_kept(stage, 2, 3, 4)


def test_what_others_put_on_the_interface_is_left_alone() -> None:  # rules 57, 58
    with Stage(lease=SHORT, faults=Faults(move_at=6.0)) as stage:
        rtnl = stage.client.rtnl
        stage.bind()
        # As keepalived does it: a second address in the subnet of ours, hence a secondary of it.
        stage.client.run(lambda: rtnl.add_address(LINK, "192.0.2.99/24"))
        stage.client.run(lambda: rtnl.add_address(LINK, "203.0.113.7/32"))
        stage.client.run(lambda: rtnl.add_route(LINK, "198.51.100.0/24", "192.0.2.1", metric=7))
        wait_record(stage, "renewed")
        wait_record(stage, "moved")
        stage.watch.wait_for(lambda event: event.kind == "address-" and event.what.startswith("192.0.2.50/"), 10)
        have = {str(address.interface) for address in stage.addresses()}
        assert have == {"192.0.2.77/24", "192.0.2.99/24", "203.0.113.7/32"}
        assert "198.51.100.0/24" in {str(route.destination) for route in stage.routes()}
        foreign = {"192.0.2.99/24", "203.0.113.7/32", "198.51.100.0/24 via 192.0.2.1 metric 7 proto 4"}
        assert_kept(stage, 2, 3, 4, 5, foreign=foreign)
        stage.command("release", LINK)
        stage.watch.wait_for(lambda event: event.kind == "address-" and event.what.startswith("192.0.2.77/"), 10)
        assert {str(address.interface) for address in stage.addresses()} == {"192.0.2.99/24", "203.0.113.7/32"}


def test_release_is_the_operator_s_word() -> None:  # rules 6, 14
    with Stage(lease=LONG) as stage:
        stage.bind()
        wait_record(stage, "acquired")
        wait_control(stage)
        done = stage.command("release", LINK)
        assert done.returncode == 0, done.stderr
        said = stage.server.wire.wait_for(lambda seen: seen.kind == "RELEASE", 5)
        assert (said.destination, said.ciaddr, said.server_id) == ("192.0.2.1", "192.0.2.50", "192.0.2.1")
        stage.watch.wait_for(lambda event: event.kind == "address-", 5)
        assert stage.addresses() == []


def test_the_operator_renews_and_rebinds() -> None:  # rules 3, 4
    with Stage(lease=LONG) as stage:
        stage.bind()
        wait_record(stage, "acquired")
        wait_control(stage)
        assert stage.command("renew", LINK).returncode == 0
        assert stage.server.wire.wait_for(lambda seen: seen.unicast_renewal, 5)
        assert stage.command("rebind", LINK).returncode == 0
        assert stage.server.wire.wait_for(lambda seen: seen.broadcast_renewal, 5)
        assert_kept(stage, 2, 3, 4, probes=5)
