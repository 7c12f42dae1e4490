"""Every outcome in sentences, and the pattern of the last renewals."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.core.outcome import Purpose, Result
from holdfast.observe.explanation import explain

RENEWED: dict[str, Any] = {
    "purpose": "t1", "result": "renewed", "path": "unicast", "attempts": 1, "latency": 0.004, "server": "192.0.2.1",
    "address": "192.0.2.50", "former_address": "192.0.2.50", "seconds_left": 1800.0, "cause": "T1",
}
DEAF = {**RENEWED, "path": "broadcast", "attempts": 2, "latency": 0.31, "cause": "T1; unicast unanswered"}
KEPT = {**RENEWED, "result": "kept", "path": None, "attempts": 9, "latency": None, "server": None}


def test_nothing_is_recorded() -> None:
    assert explain([]) == []


def test_a_renewal_as_it_should_be() -> None:
    assert explain([RENEWED] * 3) == [
        "Half of the lease was over (T1), so its server was asked to renew it.",
        "192.0.2.1 answered after 4.0 ms, by unicast, as it should be.",
        "192.0.2.50 is renewed; 30 min of the lease were left, so nothing was lost.",
        "All of the last 3 renewals were answered at the first try; the slowest took 4.0 ms.",
    ]


def test_a_server_that_is_deaf_to_unicast() -> None:
    told = explain([RENEWED, DEAF, DEAF])
    assert told[1].startswith("192.0.2.1 did not answer the unicast request; the same request went out by broadcast at")
    assert told[2] == "192.0.2.1 answered to message 2 after 0.31 s, by broadcast."
    assert told[-1].startswith("So it was in 2 of the last 3 renewals")


def test_a_server_that_is_away() -> None:
    told = explain([RENEWED, RENEWED, KEPT])
    assert "Nobody answered 9 messages." in told
    assert "192.0.2.50 stays in use: 30 min of the lease are left, and the server is asked again and again until the " \
        "end." in told
    assert told[-1] == "Of the last 3 renewals 1 got no answer at all."


@pytest.mark.parametrize("result", [one.value for one in Result])
@pytest.mark.parametrize("purpose", [one.value for one in Purpose])
def test_every_outcome_has_an_end(purpose: str, result: str) -> None:
    told = explain([{**RENEWED, "purpose": purpose, "result": result, "cause": "02:00:00:00:00:09 claims it"}])
    assert len(told) >= 2
    assert all(sentence[0].isupper() or sentence[0].isdigit() for sentence in told)
    assert all(sentence.endswith(".") for sentence in told)


@pytest.mark.parametrize("broken", [
    {}, {"purpose": 5, "latency": "x"}, {"result": "renewed", "seconds_left": "infinite"}])
def test_a_damaged_record(broken: dict[str, Any]) -> None:
    assert isinstance(explain([broken]), list)
