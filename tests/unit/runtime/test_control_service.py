"""The control socket, asked by the PyPI package ``varlink`` and by hostile clients of our own."""

from __future__ import annotations

import errno
import json
import os
import socket
import tempfile
import threading
from contextlib import closing
from math import inf
from pathlib import Path as File
from selectors import EVENT_WRITE
from typing import Any, Iterator

import pytest
import varlink
from tests.support.control import LEASE, OUTCOME, ControlBench, FakeClient, hear

from holdfast import __version__
from holdfast.control.interface import agent_path
from holdfast.core import events as ev
from holdfast.core.client import Snapshot
from holdfast.observe.outcomes import OutcomeJournal, as_record
from holdfast.runtime import control_service as room
from holdfast.runtime.control_service import group_id
from holdfast_lab.testbed import fair_time


@pytest.fixture
def bench() -> Iterator[ControlBench]:
    # Not tmp_path: a socket's path has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="hf") as folder, ControlBench(folder) as bench:
        yield bench


@pytest.fixture
def agent(bench: ControlBench) -> Iterator[Any]:
    with varlink.Client(address=f"unix:{bench.path}") as client, client.open(room.NAME) as agent:
        yield agent


NOTHING_SEEN: dict[str, Any] = {
    "carrier": False, "exchange": {"sent": {}, "heard": {}}, "servers": [], "claims": [], "notices": [], "problems": {},
    "strangers": 0, "tagged": 0, "filtered": 0,
}


# -- an independent client -----------------------------------------------------------------------


def test_status(agent: Any) -> None:
    status = agent.Status("eth0")
    assert (status["version"], status["pid"], status["patterns"]) == (__version__, os.getpid(), [])
    (client,) = status["clients"]
    outcome = client.pop("last_outcome")
    assert (outcome["result"], outcome["time"], outcome["xid"]) == ("renewed", "2023-11-14T22:13:19.010Z", "0x00000007")
    assert client == {
        "interface": "eth0", "state": "BOUND", "present": True, "online": True, "yielded": False,
        "hears_unicast": False, "round_trip": 0.25,
        "drops": {"xid": 3}, **NOTHING_SEEN, "carrier": True,
        "exchange": {"sent": {}, "heard": {}, "next": {"time": "2023-11-14T22:13:20.000Z", "seconds": 0.0}},
        "lease": {
            "address": "10.0.0.5", "server": "10.0.0.1", "verified": True, "duration": 120.0,
            "started": {"time": "2023-11-14T22:12:20.000Z", "seconds": -60.0},
            "renewal": {"time": "2023-11-14T22:13:20.000Z", "seconds": 0.0},
            "rebinding": {"time": "2023-11-14T22:14:05.000Z", "seconds": 45.0},
            "expiry": {"time": "2023-11-14T22:14:20.000Z", "seconds": 60.0}, "options": {},
        },
        "network": {"address": "10.0.0.5/24", "routes": ["default via 10.0.0.1"], "dns": ["10.0.0.1"],
                    "search": ["example.org"], "mtu": 1450, "ntp": [], "notices": ["MTU 12 is ignored"]},
    }


def test_status_of_all_with_nothing_known_and_with_no_end(bench: ControlBench, agent: Any) -> None:
    second = FakeClient("eth1")
    second.link = second.spec = None
    second.shot = Snapshot("INIT", None, None, None, {}, None)
    endless = LEASE._replace(t1_at=inf, t2_at=inf, expires_at=inf, lease_time=inf, server_id=None)
    bench.client.shot = bench.client.shot._replace(lease=endless)
    bench.run(lambda: bench.control.add(second))
    first, other = agent.Status()["clients"]
    assert set(first["lease"]) == {"address", "verified", "started", "options"}
    assert other == {"interface": "eth1", "state": "INIT", "present": False, "online": True, "yielded": False,
                     "drops": {}, **NOTHING_SEEN}


def test_an_agent_that_serves_by_pattern_can_be_asked_when_there_is_no_link(bench: ControlBench) -> None:
    bench.run(lambda: bench.control.serve_patterns(("en*", "eth*")))
    bench.run(lambda: bench.control.remove("eth0"))
    path = agent_path(bench.runtime)
    with varlink.Client(address=f"unix:{path}") as client, client.open(room.NAME) as agent:
        status = agent.Status()
        assert (status["pid"], status["patterns"], status["clients"]) == (os.getpid(), ["en*", "eth*"], [])
        bench.run(lambda: bench.control.add(FakeClient("eth7")))
        assert agent.Renew("eth7")["outcome"]["result"] == "renewed"
        with pytest.raises(varlink.VarlinkError) as refusal:
            agent.Renew()
        assert refusal.value.error() == f"{room.NAME}.NoSuchInterface", "it is nobody's in particular"
    bench.run(bench.control.close)
    assert not os.path.exists(path)


@pytest.mark.parametrize(("method", "event"), [("Renew", ev.Renew()), ("Rebind", ev.Rebind()),
                                               ("Release", ev.Release())])
def test_a_wish_is_answered_with_its_outcome(bench: ControlBench, agent: Any, method: str, event: ev.Event) -> None:
    assert getattr(agent, method)()["outcome"]["result"] == "renewed"
    assert getattr(agent, method)("eth0")["outcome"]["address"] == "10.0.0.5"
    assert bench.client.submitted == [event, event]
    assert bench.client.listeners == []


@pytest.mark.parametrize("method", ["Status", "Renew", "Rebind", "Release", "History"])
def test_another_interface_is_an_error(agent: Any, method: str) -> None:
    with pytest.raises(varlink.VarlinkError) as caught:
        getattr(agent, method)("eth7")
    assert caught.value.error() == "io.holdfast.Agent.NoSuchInterface"
    assert caught.value.parameters() == {"interface": "eth7"}


def test_without_a_lease_there_is_nothing_to_release(bench: ControlBench, agent: Any) -> None:
    bench.client.shot = Snapshot("SELECTING", None, None, None, {}, None)
    with pytest.raises(varlink.VarlinkError) as caught:
        agent.Release()
    assert caught.value.error() == "io.holdfast.Agent.NotBound"
    assert bench.client.submitted == []


def test_without_a_link_nothing_can_be_asked(bench: ControlBench, agent: Any) -> None:
    bench.client.link = None
    with pytest.raises(varlink.VarlinkError) as caught:
        agent.Renew()
    assert caught.value.error() == "io.holdfast.Agent.LinkMissing"


def test_history(bench: ControlBench, agent: Any) -> None:
    journal = OutcomeJournal(bench.state, "eth0")
    for wall in (100.0, 200.0, 300.0):
        journal.append(as_record(OUTCOME, "eth0", boottime=wall, wall=wall))
    assert [outcome["boottime"] for outcome in agent.History()["outcomes"]] == [100.0, 200.0, 300.0]
    assert [outcome["boottime"] for outcome in agent.History("eth0", 200)["outcomes"]] == [200.0, 300.0]
    assert [outcome["boottime"] for outcome in agent.History("eth0", 0, 1)["outcomes"]] == [300.0]


def test_a_history_that_cannot_behear(bench: ControlBench, agent: Any) -> None:
    (File(bench.state) / "eth0.outcomes.jsonl").mkdir()
    with pytest.raises(varlink.VarlinkError) as caught:
        agent.History()
    assert caught.value.error() == "io.holdfast.Agent.HistoryUnreadable"
    assert caught.value.parameters() == {"interface": "eth0", "reason": "is not a regular file"}


def test_no_outcome_is_an_error_in_the_end(bench: ControlBench) -> None:
    submitted = threading.Event()
    bench.client.on_submit = submitted.set
    with closing(bench.connect()) as connection:
        connection.sendall(b'{"method":"io.holdfast.Agent.Renew"}\0')
        assert submitted.wait(fair_time.longest(10))

        def later() -> None:
            bench.clock.now += room.ANSWER_TIMEOUT

        bench.run(later)
        assert hear(connection) == {"error": "io.holdfast.Agent.NoOutcome",
                                     "parameters": {"interface": "eth0", "seconds": room.ANSWER_TIMEOUT}}
    assert bench.client.listeners == []


def test_a_client_that_hangs_up_is_forgotten(bench: ControlBench) -> None:
    submitted = threading.Event()
    bench.client.on_submit = submitted.set
    with closing(bench.connect()) as connection:
        connection.sendall(b'{"method":"io.holdfast.Agent.Renew"}\0')
        assert submitted.wait(fair_time.longest(10))
        assert len(bench.client.listeners) == 1
    while bench.run(lambda: len(bench.client.listeners)):
        pass
    bench.run(bench.client.record)


@pytest.mark.parametrize("method", ["Status", "Renew"])
def test_a_script_that_says_at_once_that_it_has_no_more_to_ask_gets_its_answer(
    bench: ControlBench, method: str
) -> None:
    # printf '{"method":...}\0' | nc -NU SOCKET: the end of its input comes with its call
    submitted = threading.Event()
    bench.client.on_submit = submitted.set
    with closing(bench.connect()) as connection:
        connection.sendall(json.dumps({"method": f"io.holdfast.Agent.{method}"}).encode() + b"\0")
        connection.shutdown(socket.SHUT_WR)
        if method == "Renew":
            assert submitted.wait(fair_time.longest(10))
            bench.run(lambda: None)
            bench.run(bench.client.record)
        assert "parameters" in hear(connection)
        assert connection.recv(1) == b""
    assert bench.served() == {}


def test_several_calls_and_then_the_end(bench: ControlBench) -> None:
    call = b'{"method":"io.holdfast.Agent.Status"}\0'
    with closing(bench.connect()) as connection:
        connection.sendall(3 * call + b'{"method":')
        connection.shutdown(socket.SHUT_WR)
        data = b""
        while part := connection.recv(1 << 16):
            data += part
    assert data.count(b"\0") == 3


def test_an_answer_that_finds_no_room_after_the_end_waits_for_it(bench: ControlBench) -> None:
    room_for = int(File("/proc/sys/net/core/wmem_default").read_text())
    drops = {f"{at:>100}": at for at in range(room_for // 50)}  # twice what the socket takes at once
    bench.client.shot = bench.client.shot._replace(drops=drops)
    with closing(bench.connect()) as connection:
        connection.sendall(b'{"method":"io.holdfast.Agent.Status"}\0')
        connection.shutdown(socket.SHUT_WR)
        while not any(events == EVENT_WRITE for _, events in bench.served().values()):
            pass
        assert hear(connection)["parameters"]["clients"][0]["drops"] == drops
        assert connection.recv(1) == b""


def test_groups_by_name_and_number() -> None:
    assert (group_id(None), group_id("42"), group_id("root")) == (None, 42, 0)
    with pytest.raises(KeyError):
        group_id("no-such-group")


def test_yield_and_back(bench: ControlBench, agent: Any) -> None:
    agent.Yield()
    assert bench.client.yielded
    assert agent.Status("eth0")["clients"][0]["yielded"] is True
    agent.Yield(back=True)
    assert not bench.client.yielded
    bench.client.yield_error = OSError(errno.EROFS, "Read-only file system")
    with pytest.raises(varlink.VarlinkError) as caught:
        agent.Yield()
    assert caught.value.parameters()["reason"] == "Read-only file system"


def test_keep_nothing(bench: ControlBench, agent: Any) -> None:
    agent.KeepNothing()
    assert bench.client.keeps_nothing
