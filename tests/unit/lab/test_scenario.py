"""The scenarios' files, and what is said about a wrong one."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest

from holdfast_lab.peers import ALL
from holdfast_lab.scenario import scenario
from holdfast_lab.scenario.scenario import ALWAYS, Deed, ScenarioError, classless, moment, parse, read
from holdfast_lab.testbed.faults import Lease, Unicast

LEASE = Lease(30, 10, 26)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("T1", 10.0), ("T2 - 2", 24.0), ("expiry + 5", 35.0), ("bind", 0.0), ("bind + 3", 3.0), ("4.5", 4.5),
        ("T1 + 10%", 13.0), ("expiry-50%", 15.0), ("start", -inf), ("never", inf),
    ],
)  # fmt: skip
def test_moments(text: str, at: float) -> None:
    assert moment(text, LEASE) == at


def test_a_lease_without_t1_and_t2_has_those_of_the_rfc() -> None:
    assert moment("T1", Lease(40)) == 20.0
    assert moment("T2", Lease(40)) == 35.0


@pytest.mark.parametrize("text", ["", " ", "T3", "T1 +", "expiry * 2", "soon"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match="is not a moment"):
        moment(text, LEASE)


def test_every_file_is_read_and_says_what_it_is_about() -> None:
    assert len(scenario.names()) >= 40
    assert len(set(scenario.names())) == len(scenario.names())
    for name in scenario.names():
        one = scenario.find(name)
        assert one.title
        assert one.story.endswith(".")
        assert one.expect.text.endswith(".")
        assert one.moment(one.until) < inf
        assert one.scaled(12).lease.time == 12


def test_every_list_of_the_lab_is_there() -> None:
    """What the project promises to try is tried."""
    for word in ("no-fault", "silent", "forgets", "moved", "loss", "arp", "cable", "killed", "azure", "gcp", "ovn"):
        assert any(word in name for name in scenario.names()), word
    assert {"holdfast", "dhclient", "dhcpcd", "udhcpc", "networkd", "NetworkManager", "pyroute2"} == set(ALL)


def test_faults_come_and_go() -> None:
    one = parse("x", {
        "title": "t", "story": "s", "server": {"unicast": "silent"},
        "fault": [{"from": "T1", "to": "T2", "silent": True}, {"from": "T2", "move": "192.0.2.77"}],
    })
    assert one.faults_at(-1.0).silent == ()
    assert one.faults_at(10.0).silent == ALWAYS
    assert one.faults_at(10.0).unicast is Unicast.SILENT
    assert one.faults_at(26.0).silent == ()
    assert one.faults_at(26.0).move_to == "192.0.2.77"


def test_the_lease_is_scaled_with_t1_and_t2() -> None:
    one = parse("x", {"title": "t", "story": "s", "lease": {"time": 60, "T1": 20, "T2": 50}}).scaled(12)
    assert one.lease == Lease(12, 4, 10)
    assert one.scaled(None) is one


def test_events_and_options() -> None:
    one = parse("x", {
        "title": "t", "story": "s", "event": [{"at": "T1", "client": "kill"}],
        "server": {"options": {"mtu": 1460, "mask": "255.255.255.255", "lease": "infinite", "245": "a83f8110",
                               "routes": ["10.0.0.0/9 via 192.0.2.9"], "T1": 5}},
    })  # fmt: skip
    assert one.deeds == (Deed("T1", "client", "kill"),)
    assert one.faults.options == {
        26: b"\x05\xb4", 1: b"\xff" * 4, 51: b"\xff" * 4, 245: b"\xa8\x3f\x81\x10", 58: b"\0\0\0\x05",
        121: b"\x09\x0a\x00\xc0\x00\x02\x09",
    }  # fmt: skip


def test_a_default_route_has_no_octets() -> None:
    assert classless(["0.0.0.0/0 via 192.0.2.1"]) == bytes([0, 192, 0, 2, 1])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nonsense = 1", "unknown key 'nonsense'"),
        ("title = 1\n[server]\nsilly = 1", "unknown fault 'silly'"),
        ("[[event]]\nat = 'T1'\ndance = 'now'", "one of cable"),
        ("[[fault]]\nfrom = 'soon'\nsilent = true", "is not a moment"),
        ("[server.options]\nhat = 1", "unknown option 'hat'"),
        ("[server.options]\nroutes = ['10.0.0.0/8']", "is not DESTINATION via GATEWAY"),
        ("[lease]\nT3 = 1", "unknown key 'T3'"),
        ("[expect]\nhope = 1", "hope"),
        ("= 3", "Invalid"),
    ],
)
def test_a_wrong_file_is_named_with_its_fault(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "99-wrong.toml"
    head = "" if "title" in text else "title = 't'\n"
    path.write_text(f"{head}story = 's'\n{text}\n")
    with pytest.raises(ScenarioError, match=complaint) as error:
        read(path)
    assert "99-wrong.toml" in str(error.value)


def test_an_unknown_scenario() -> None:
    with pytest.raises(KeyError):
        scenario.find("no-such-thing")
