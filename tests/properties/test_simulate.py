"""What holds for every fleet, whatever the scenario: the books balance, and a lease that could be kept is kept."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import strategies as _profile  # noqa: F401 - the same examples in every run

from holdfast_lab.simulate.figures import figures_of
from holdfast_lab.simulate.fleet import simulate
from holdfast_lab.simulate.models import BY_NAME
from holdfast_lab.simulate.scenario import Outage, Scenario

SCENARIOS = st.builds(
    Scenario,
    clients=st.integers(1, 12), span=st.just(900.0), lease=st.sampled_from([30.0, 120.0, 400.0]),
    boot_within=st.floats(0.0, 100.0), servers=st.integers(1, 2), capacity=st.sampled_from([2.0, 50.0, 1e6]),
    queue=st.integers(0, 50), loss=st.sampled_from([0.0, 0.2]), deaf=st.booleans(),
    outage=st.none() | st.builds(Outage, st.floats(1.0, 400.0), st.floats(1.0, 400.0), st.booleans(), st.booleans()),
    seed=st.integers(0, 100),
)


@settings(max_examples=40)
@given(scenario=SCENARIOS, name=st.sampled_from(["holdfast", *BY_NAME]))
def test_the_books_balance(scenario: Scenario, name: str) -> None:
    fleet = simulate(scenario, BY_NAME.get(name))
    figures = figures_of(name, fleet)
    sent = sum(fleet.ledger.sent)
    arrived = sum(sum(server.arrivals) for server in fleet.servers)
    assert arrived <= sent * scenario.servers
    if scenario.loss == 0.0 and scenario.servers == 1:
        assert arrived == sent
    assert figures.lost_after_return <= figures.lost <= scenario.clients
    assert figures.recovery.count == figures.recovery_kept.count + figures.recovery_lost.count
    assert 0.0 <= figures.without <= scenario.clients * scenario.span
    assert figures.load_mean <= figures.load_peak
    assert figures.peak_at_return <= figures.load_peak
    assert all(value >= 0.0 for value in fleet.ledger.without)


@settings(max_examples=30)
@given(
    duration=st.floats(1.0, 55.0), seed=st.integers(0, 1000), deaf=st.booleans(), servers=st.integers(1, 2),
    forgets=st.booleans(), naks=st.booleans(),
)
def test_no_lease_is_lost_to_a_server_that_is_back_five_seconds_before_its_end(
    duration: float, seed: int, deaf: bool, servers: int, forgets: bool, naks: bool
) -> None:
    # rules 26, 35, 37, 39
    scenario = Scenario(
        clients=20, span=900.0, lease=120.0, boot_within=60.0, deaf=deaf, servers=servers, seed=seed,
        outage=Outage(300.0, duration, forgets=forgets, naks=naks),
    )
    assert sum(simulate(scenario).ledger.losses) == 0


@pytest.mark.parametrize("name", ["holdfast", "RFC 2131"])
def test_work_grows_with_the_fleet_not_faster(name: str) -> None:
    events = [
        simulate(Scenario(clients=clients, span=4000.0, lease=600.0, boot_within=300.0), BY_NAME.get(name)).events
        for clients in (50, 200)
    ]
    assert events[1] == pytest.approx(4 * events[0], rel=0.1)
