"""Fleets on the virtual clock: ours and the models', through outages, storms, loss and busy servers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast_lab.simulate.figures import Figures, figures_of
from holdfast_lab.simulate.fleet import simulate
from holdfast_lab.simulate.models import BY_NAME
from holdfast_lab.simulate.scenario import Outage, Scenario

#: A small fleet with two-minute leases, spread evenly.
FLEET = Scenario(clients=60, span=1500.0, lease=120.0, boot_within=60.0, seed=5)
EDGE = Outage(400.0, 57.0)  # until just before the first lease ends


def run(scenario: Scenario, name: str = "holdfast") -> Figures:
    return figures_of(name, simulate(scenario, BY_NAME.get(name)))


@pytest.mark.parametrize("name", ["holdfast", *BY_NAME])
def test_without_a_fault_nothing_is_lost(name: str) -> None:
    figures = run(FLEET, name)
    assert figures.lost == figures.unserved == figures.overflowed == 0
    assert figures.without == 0.0
    assert figures.boot.count == 60
    assert figures.boot.longest < 0.01
    assert 20 <= figures.packets_mean <= 45
    assert figures.peak_at_return == 0
    assert sum(figures.load) == pytest.approx(figures.packets_mean * 60)


def test_an_outage_up_to_the_edge_costs_us_nothing_and_the_rfc_s_schedule_leases() -> None:
    # rules 37, 39
    ours, theirs = run(replace(FLEET, outage=EDGE)), run(replace(FLEET, outage=EDGE), "RFC 2131")
    assert ours.lost == ours.lost_after_return == 0
    assert theirs.lost_after_return >= 3
    assert ours.recovery_kept.count >= 50
    assert ours.recovery.median < theirs.recovery.median / 2
    assert ours.recovery.longest < 20.0


def test_past_expiry_everybody_loses_and_comes_back() -> None:
    # rule 41
    figures = run(replace(FLEET, outage=Outage(400.0, 300.0)))
    assert figures.lost == 60
    assert figures.lost_after_return == figures.unserved == 0
    assert figures.recovery_lost.count == 60
    assert figures.recovery_lost.longest <= 64.1
    assert figures.without > 60 * 180.0


def test_a_server_deaf_to_unicast_is_no_fault_for_us() -> None:
    # rules 35, 38
    ours, theirs = run(replace(FLEET, deaf=True)), run(replace(FLEET, deaf=True), "systemd")
    assert ours.lost == theirs.lost == 0
    assert ours.wait.longest < 1.1
    assert theirs.wait.median > 40.0


def test_a_server_that_forgets_gives_the_addresses_back() -> None:
    ours = run(replace(FLEET, outage=Outage(400.0, 5.0, forgets=True)))
    theirs = run(replace(FLEET, outage=Outage(400.0, 5.0, forgets=True)), "RFC 2131")
    assert ours.lost == 0
    assert theirs.lost == 60
    refused = replace(FLEET, outage=Outage(400.0, 5.0, forgets=True, naks=True))
    assert run(refused).lost == 0  # rule 26
    assert run(refused, "RFC 2131").lost == 60


def test_the_second_of_two_servers_takes_over() -> None:
    # rule 18
    pair = replace(FLEET, servers=2, outage=Outage(400.0, 900.0))
    assert run(pair).lost == 0
    assert run(pair).wait.longest < 3.0
    assert run(pair, "RFC 2131").lost == 0
    assert run(pair, "RFC 2131").wait.longest > 40.0


def test_loss_each_way() -> None:
    ours = run(replace(FLEET, loss=0.3))
    assert ours.lost == ours.unserved == 0
    assert run(replace(FLEET, loss=0.3), "RFC 2131").lost > 0


def test_a_boot_storm_at_a_slow_server_ends() -> None:
    """The queue is 20 s long. Giving a REQUEST up after 7 s and asking anew kept most clients out for ever."""
    storm = Scenario(clients=300, span=600.0, boot_within=1.0, capacity=15.0, queue=300, seed=2)
    figures = run(storm)
    assert figures.unserved == 0
    assert figures.boot.longest < 100.0
    assert figures.packets_mean < 12


def test_a_fleet_that_comes_back_to_a_slow_server_is_served() -> None:
    back = Scenario(
        clients=150, span=3000.0, lease=600.0, boot_within=300.0, capacity=3.0, queue=40, outage=Outage(900.0, 900.0)
    )
    figures = run(back)
    assert figures.unserved == 0
    assert figures.overflowed < 300


def test_a_fleet_comes_down_after_an_outage_at_a_server_near_its_capacity() -> None:
    """The queue is 17 s long. Asking again before it could have answered kept it full for ever: 138 messages each."""
    near = Scenario(clients=200, span=1800.0, lease=120.0, capacity=12.0, queue=200, outage=Outage(600.0, 59.0))
    figures, theirs = run(near), run(near, "RFC 2131")
    assert figures.unserved == 0
    assert figures.packets_mean < 70
    assert figures.lost <= theirs.lost


def test_the_discover_ceiling_trades_load_for_recovery() -> None:
    past = replace(FLEET, outage=Outage(400.0, 300.0))
    eager = run(replace(past, discover_ceiling=8.0))
    assert eager.recovery.longest <= 8.1
    assert eager.packets_mean > run(past).packets_mean


def test_the_same_seed_gives_the_same_run() -> None:
    lossy = replace(FLEET, loss=0.1, outage=EDGE)
    for name in ("holdfast", "dhclient"):
        assert run(lossy, name) == run(lossy, name)
        assert run(lossy, name) != run(replace(lossy, seed=6), name)


def test_progress_is_told() -> None:
    shares: list[float] = []
    simulate(replace(FLEET, clients=300, span=4000.0), progress=shares.append)
    assert shares == sorted(shares)
    assert all(0.0 < share <= 1.0 for share in shares)
    assert len(shares) >= 2


@pytest.mark.parametrize("name", ["holdfast", "dhclient"])
def test_packets_as_octets_give_the_same_figures(name: str) -> None:
    lossy = replace(FLEET, clients=20, loss=0.1, servers=2, outage=Outage(400.0, 300.0, forgets=True, naks=True))
    octets = figures_of(name, simulate(lossy, BY_NAME.get(name), octets=True))
    assert octets == run(lossy, name)
