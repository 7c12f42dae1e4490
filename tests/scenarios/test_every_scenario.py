"""Every scenario of the lab against Holdfast, with leases as short as they may be: no promise may be broken."""

from __future__ import annotations

import pytest

from holdfast_lab.scenario import scenario
from holdfast_lab.scenario.play import play
from holdfast_lab.scenario.result import Result

#: Rule 33 warns below 10 s. Everything in a scenario is told relative to the lease.
LEASE = 12


@pytest.mark.root
@pytest.mark.parametrize("name", scenario.names())
def test_no_promise_is_broken(name: str) -> None:  # rules 35, 39, 40, 47, 51, 52, 56-61, 64-66, 71, 74, 76, 78-83
    one = scenario.find(name).scaled(LEASE)
    result = play(one, "holdfast")
    assert result.broken == [], told(result)
    assert set(one.expect.promises) <= {number for number, _kept, _text in result.findings}, told(result)
    assert result.renewals >= one.expect.renewals, told(result)
    for words in one.expect.says:
        assert result.log.count(words) == 1, told(result)
    if one.expect.recovery is not None:
        assert result.recovery is not None
        assert result.recovery <= one.expect.recovery, told(result)


def told(result: Result) -> str:
    """What happened, for whoever reads the failure."""
    lines = [f"{mark.at:7.2f} {mark.sign:<9} {mark.words}" for mark in result.marks]
    lines += [f"{band.start:7.2f} {band.what} until {band.end:.2f}" for band in result.present]
    return "\n".join([*result.broken, *lines, result.log])
