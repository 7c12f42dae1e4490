"""What an agent says of one link, as findings: one cause for each state, and nothing bad where nothing is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.doctor.finding import BAD, NOTE, OK, Finding, document, ordered, worst
from holdfast.doctor.link import activity, check_client

NOW: dict[str, Any] = {"time": "2023-11-14T22:13:20.000Z", "seconds": 0.0}
PAST = {**NOW, "seconds": -31.0}
LEASE = {"address": "192.0.2.50", "server": "192.0.2.1", "verified": True, "duration": 3600.0,
         "expiry": {**NOW, "seconds": 1800.0}, "held_until": None, "options": {}}
BOUND: dict[str, Any] = {
    "interface": "eth0", "state": "BOUND", "present": True, "online": True, "yielded": False, "rival": None,
    "lease": LEASE, "network": None, "hears_unicast": True, "round_trip": None, "last_outcome": None, "drops": {},
    "gateway": "192.0.2.1 02:00:00:00:00:01", "carrier": True, "servers": [], "claims": [], "notices": [],
    "problems": {}, "strangers": 0, "tagged": 0, "filtered": 0, "fallback": None,
    "exchange": {"since": None, "sent": {}, "heard": {}, "next": None},
}
ASKING = {**BOUND, "state": "SELECTING", "lease": None, "exchange": {
    "since": PAST, "sent": {"DISCOVER": 5}, "heard": {}, "next": {**NOW, "seconds": 16.0}}}
RENEWING = {**BOUND, "state": "RENEWING", "exchange": {**ASKING["exchange"], "sent": {"REQUEST": 4}}}


def server(
    heard: dict[str, int], identifier: str | None = "192.0.2.9", offered: tuple[str, ...] = ()
) -> dict[str, Any]:
    """One that was heard."""
    return {"identifier": identifier, "source": "192.0.2.9", "heard": heard, "offered": list(offered), "last": PAST}


def notice(code: str, text: str, at: float = -31.0) -> dict[str, Any]:
    """One that came once."""
    return {"code": code, "count": 1, "text": text, "last": {**NOW, "seconds": at}}


def outcome(result: str, cause: str = "") -> dict[str, Any]:
    """The last one."""
    return {"result": result, "server": "192.0.2.1", "cause": cause}


def wrong(client: dict[str, Any]) -> list[tuple[str, str]]:
    """(check, verdict) of what is not in order."""
    return [(finding.check, finding.status) for finding in check_client(client) if finding.status != OK]


def test_nothing_is_wrong() -> None:
    assert wrong(BOUND) == []
    assert wrong({**BOUND, "drops": {"xid": 3, "unexpected": 1}}) == []
    assert wrong({**BOUND, "lease": {**LEASE, "expiry": None, "server": None}}) == []


@pytest.mark.parametrize(("client", "expected"), [
    ({**BOUND, "present": False}, ("agent", BAD)),
    ({**BOUND, "carrier": False}, ("carrier", BAD)),
    ({**ASKING, "carrier": False}, ("carrier", BAD)),
    (ASKING, ("no-server", BAD)),
    ({**ASKING, "exchange": {**ASKING["exchange"], "sent": {"DISCOVER": 2}}}, ("lease", NOTE)),
    ({**ASKING, "state": "STOPPED"}, ("lease", NOTE)),
    ({**ASKING, "last_outcome": outcome("ipv6-only")}, ("lease", NOTE)),
    ({**ASKING, "exchange": {**ASKING["exchange"], "heard": {"NAK": 2}}}, ("refused", BAD)),
    ({**ASKING, "last_outcome": outcome("refused")}, ("refused", BAD)),
    ({**ASKING, "exchange": {**ASKING["exchange"], "heard": {"OFFER": 2}}}, ("refused", BAD)),
    ({**ASKING, "last_outcome": outcome("conflict", "02:00:00:00:00:09 claims it")}, ("conflict", BAD)),
    ({**ASKING, "tagged": 4}, ("vlan", BAD)),
    (RENEWING, ("server-away", BAD)),
    ({**RENEWING, "last_outcome": outcome("refused")}, ("refused", BAD)),
    ({**BOUND, "lease": {**LEASE, "expiry": {**NOW, "seconds": 60.0}}}, ("time-left", BAD)),
    ({**BOUND, "hears_unicast": False}, ("unicast", NOTE)),
    ({**BOUND, "notices": [notice("send-failed", "unicast: Connection refused (ICMP from 192.0.2.1)")]},
     ("unicast", NOTE)),
    ({**BOUND, "notices": [notice("send-failed", "unicast: EPERM: Operation not permitted")]}, ("firewall", NOTE)),
    ({**BOUND, "notices": [notice("send-failed", "broadcast: ENOBUFS: No buffer space available")]}, ("firewall", BAD)),
    ({**BOUND, "filtered": 2}, ("firewall", NOTE)),
    ({**BOUND, "rival": "dhclient (pid 7)"}, ("removals", BAD)),
    ({**BOUND, "notices": [notice("address-restored", "192.0.2.50 was deleted")]}, ("removals", BAD)),
    ({**BOUND, "problems": {"port 68": "UDP port 68 is held by dhclient (pid 7)"}}, ("port-68", NOTE)),
    ({**BOUND, "problems": {"lease file": "cannot be written"}}, ("disk", BAD)),
    ({**BOUND, "problems": {"something": "new"}}, ("agent", NOTE)),
    ({**BOUND, "servers": [server({"NAK": 1})]}, ("rogue-server", BAD)),
    ({**BOUND, "servers": [server({"OFFER": 1})]}, ("rogue-server", NOTE)),
    ({**BOUND, "servers": [server({"OFFER": 3}, "192.0.2.1", ("192.0.2.50", "192.0.2.51", "192.0.2.52"))]},
     ("wandering", BAD)),
    ({**BOUND, "strangers": 1}, ("second-client", NOTE)),
    ({**BOUND, "claims": [{"address": "192.0.2.50", "by": "02:00:00:00:00:09", "count": 1, "last": PAST}]},
     ("conflict", BAD)),
    ({**BOUND, "claims": [{"address": "192.0.2.50", "by": "02:00:00:00:00:01", "count": 1, "last": PAST}]},
     ("proxy-arp", NOTE)),
    ({**BOUND, "drops": {"cookie": 1}}, ("faults", NOTE)),
    ({**BOUND, "tagged": 2}, ("vlan", NOTE)),
])
def test_each_fault_is_one_finding(client: dict[str, Any], expected: tuple[str, str]) -> None:
    assert wrong(client) == [expected]


def test_what_was_ignored_is_the_cause_where_nothing_else_is() -> None:
    assert wrong({**ASKING, "drops": {"no-lease-time": 4}}) == [("ignored", BAD), ("faults", NOTE)]


def test_what_is_long_past_is_no_finding() -> None:
    old = -7200.0
    assert wrong({**BOUND, "notices": [notice("address-restored", "192.0.2.50 was deleted", old)], "claims": [
        {"address": "192.0.2.50", "by": "02:00:00:00:00:09", "count": 1, "last": {**NOW, "seconds": old}}]}) == []


def test_what_is_going_on_now() -> None:
    assert activity(ASKING) == "5 DISCOVERs sent in 31 s, nobody answered, next in 16 s"
    assert activity(BOUND) == "nothing is under way"
    assert activity({**BOUND, "lease": None, "state": "INIT"}) == "INIT, nothing sent yet"


def test_the_worst_comes_first_and_decides() -> None:
    findings = [Finding("a", OK, "x"), Finding("b", NOTE, "y"), Finding("c", BAD, "z"), Finding("d", NOTE, "w")]
    assert [finding.check for finding in ordered(findings)] == ["c", "b", "d", "a"]
    assert (worst(findings), worst(findings[:2]), worst([])) == (BAD, NOTE, OK)
    assert document(findings)["verdict"] == "bad"
