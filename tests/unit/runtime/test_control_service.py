"""The control socket, asked by the PyPI package ``varlink`` and by hostile clients of our own."""

from __future__ import annotations

import errno
import json
import os
import select
import socket
import struct
import tempfile
import threading
from contextlib import ExitStack, closing
from math import inf
from pathlib import Path as File
from typing import Any, Iterator

import pytest
import varlink
from tests.support.control import LEASE, OUTCOME, ControlBench, FakeClient

from holdfast import __version__
from holdfast.control import server as protocol
from holdfast.control import unix_socket
from holdfast.core import events as ev
from holdfast.core.client import Snapshot
from holdfast.eventloop.loop import Loop
from holdfast.observe.outcomes import OutcomeJournal, as_record
from holdfast.runtime import control_service as room
from holdfast.runtime.control_service import Control, agent_path, group_id, socket_path


@pytest.fixture
def bench() -> Iterator[ControlBench]:
    # Not tmp_path: a socket's path has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="hf") as folder, ControlBench(folder) as bench:
        yield bench


@pytest.fixture
def agent(bench: ControlBench) -> Iterator[Any]:
    with varlink.Client(address=f"unix:{bench.path}") as client, client.open(room.NAME) as agent:
        yield agent


def _ask(connection: socket.socket, message: object) -> Any:
    connection.sendall(json.dumps(message).encode() + b"\0")
    return _read(connection)


def _read(connection: socket.socket) -> Any:
    data = b""
    while not data.endswith(b"\0"):
        part = connection.recv(1 << 16)
        assert part, "the agent hung up"
        data += part
    return json.loads(data[:-1])


# -- an independent client -----------------------------------------------------------------------


def test_introspection(bench: ControlBench) -> None:
    with varlink.Client(address=f"unix:{bench.path}") as client:
        with client.open("org.varlink.service") as service:
            info = service.GetInfo()
        assert (info["product"], info["version"]) == ("holdfast", __version__)
        assert info["interfaces"] == ["io.holdfast.Agent", "org.varlink.service"]
        assert set(client.get_interfaces()) == {"io.holdfast.Agent", "org.varlink.service"}
        members = client.get_interface("io.holdfast.Agent").members
        assert {"Status", "Renew", "Rebind", "Release", "History", "NotBound"} <= set(members)


def test_status(agent: Any) -> None:
    status = agent.Status("eth0")
    assert (status["version"], status["pid"], status["patterns"]) == (__version__, os.getpid(), [])
    (client,) = status["clients"]
    outcome = client.pop("last_outcome")
    assert (outcome["result"], outcome["time"], outcome["xid"]) == ("renewed", "2023-11-14T22:13:19.010Z", "0x00000007")
    assert client == {
        "interface": "eth0", "state": "BOUND", "present": True, "online": True, "yielded": False,
        "hears_unicast": False, "round_trip": 0.25,
        "drops": {"xid": 3},
        "lease": {
            "address": "10.0.0.5", "server": "10.0.0.1", "verified": True, "duration": 120.0,
            "started": {"time": "2023-11-14T22:12:20.000Z", "seconds": -60.0},
            "renewal": {"time": "2023-11-14T22:13:20.000Z", "seconds": 0.0},
            "rebinding": {"time": "2023-11-14T22:14:05.000Z", "seconds": 45.0},
            "expiry": {"time": "2023-11-14T22:14:20.000Z", "seconds": 60.0},
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
    assert set(first["lease"]) == {"address", "verified", "started"}
    assert other == {"interface": "eth1", "state": "INIT", "present": False, "online": True, "yielded": False,
                     "drops": {}}


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


def test_a_history_that_cannot_be_read(bench: ControlBench, agent: Any) -> None:
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
        assert submitted.wait(10)

        def later() -> None:
            bench.clock.now += room.ANSWER_TIMEOUT

        bench.run(later)
        assert _read(connection) == {"error": "io.holdfast.Agent.NoOutcome",
                                     "parameters": {"interface": "eth0", "seconds": room.ANSWER_TIMEOUT}}
    assert bench.client.listeners == []


def test_a_client_that_hangs_up_is_forgotten(bench: ControlBench) -> None:
    submitted = threading.Event()
    bench.client.on_submit = submitted.set
    with closing(bench.connect()) as connection:
        connection.sendall(b'{"method":"io.holdfast.Agent.Renew"}\0')
        assert submitted.wait(10)
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
            assert submitted.wait(10)
            bench.run(lambda: None)
            bench.run(bench.client.record)
        assert "parameters" in _read(connection)
        assert connection.recv(1) == b""
    assert bench.run(lambda: bench.control._servers["eth0"]._clients) == {}


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
    server = bench.control._servers["eth0"]
    with closing(bench.connect()) as connection:
        assert _ask(connection, {"method": "io.holdfast.Agent.Status"})
        (client,) = server._clients.values()
        bench.run(lambda: client._connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096))
        bench.client.shot = bench.client.shot._replace(drops={"x" * 50 + str(at): at for at in range(5000)})
        connection.sendall(b'{"method":"io.holdfast.Agent.Status"}\0')
        connection.shutdown(socket.SHUT_WR)
        assert len(_read(connection)["parameters"]["clients"][0]["drops"]) == 5000
        assert connection.recv(1) == b""


# -- the protocol --------------------------------------------------------------------------------


@pytest.mark.parametrize(("message", "error", "parameters"), [
    ({"method": "a.b.C"}, "InterfaceNotFound", {"interface": "a.b"}),
    ({"method": "C"}, "InterfaceNotFound", {"interface": ""}),
    ({"method": "io.holdfast.Agent.Sing"}, "MethodNotFound", {"method": "io.holdfast.Agent.Sing"}),
    ({}, "InvalidParameter", {"parameter": "method"}),
    ([], "InvalidParameter", {"parameter": "method"}),
    ({"method": "io.holdfast.Agent.Status", "parameters": []}, "InvalidParameter", {"parameter": "parameters"}),
    ({"method": "io.holdfast.Agent.Status", "parameters": {"interface": 1}}, "InvalidParameter",
     {"parameter": "interface"}),
    ({"method": "io.holdfast.Agent.History", "parameters": {"limit": -1}}, "InvalidParameter", {"parameter": "limit"}),
    ({"method": "io.holdfast.Agent.History", "parameters": {"since": float("nan")}}, "InvalidParameter",
     {"parameter": "since"}),
    ({"method": "io.holdfast.Agent.History", "parameters": {"since": True}}, "InvalidParameter",
     {"parameter": "since"}),
    ({"method": "org.varlink.service.GetInterfaceDescription"}, "InvalidParameter", {"parameter": "interface"}),
    ({"method": "org.varlink.service.GetInterfaceDescription", "parameters": {"interface": "x"}}, "InterfaceNotFound",
     {"interface": "x"}),
])
def test_errors_of_the_service(bench: ControlBench, message: object, error: str, parameters: object) -> None:
    with closing(bench.connect()) as connection:
        assert _ask(connection, message) == {"error": "org.varlink.service." + error, "parameters": parameters}


def test_more_is_answered_once_and_oneway_never(bench: ControlBench) -> None:
    with closing(bench.connect()) as connection:
        status = {"method": "io.holdfast.Agent.Status", "more": True, "parameters": None}
        assert "continues" not in _ask(connection, status)
        connection.sendall(b'{"method":"io.holdfast.Agent.Renew","oneway":true}\0')
        assert "version" in _ask(connection, status)["parameters"]
    assert bench.client.submitted == [ev.Renew()]


def test_calls_may_come_together_or_in_pieces_and_are_answered_in_order(bench: ControlBench) -> None:
    call = b'{"method":"org.varlink.service.GetInfo"}\0'
    with closing(bench.connect()) as connection:
        connection.sendall(call * 20 + call[:10])
        data = b""
        while data.count(b"\0") < 20:
            data += connection.recv(1 << 16)
        connection.sendall(call[10:])
        assert _read(connection)["parameters"]["product"] == "holdfast"


@pytest.mark.parametrize("data", [b"\0", b"nonsense\0", b"\xff\0", b"[" * 16_000 + b"\0", b"x" * 20_000])
def test_what_is_not_varlink_ends_the_connection(bench: ControlBench, data: bytes) -> None:
    with closing(bench.connect()) as connection:
        connection.sendall(data)
        assert connection.recv(10) == b""
    with closing(bench.connect()) as connection:
        assert _ask(connection, {"method": "io.holdfast.Agent.Status"})


def test_a_client_that_sends_and_never_reads_is_dropped_and_holds_up_nobody(bench: ControlBench) -> None:
    call = b'{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"io.holdfast.Agent"}}\0'
    with closing(bench.connect()) as hostile, closing(bench.connect()) as honest:
        hostile.setblocking(False)

        def flood() -> None:
            for _ in range(10_000):
                try:
                    hostile.send(call * 50)
                except BlockingIOError:
                    assert _ask(honest, {"method": "io.holdfast.Agent.Status"})

        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            flood()
        assert _ask(honest, {"method": "io.holdfast.Agent.Status"})


def test_a_slow_client_gets_its_whole_answer(bench: ControlBench) -> None:
    journal = OutcomeJournal(bench.state, "eth0")
    for wall in range(500):
        journal.append(as_record(OUTCOME._replace(cause="x" * 2000), "eth0", boottime=0.0, wall=float(wall)))
    with closing(bench.connect()) as slow, closing(bench.connect()) as other:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(b'{"method":"io.holdfast.Agent.History"}\0')
        assert _ask(other, {"method": "io.holdfast.Agent.Status"})
        assert len(_read(slow)["parameters"]["outcomes"]) == room.HISTORY_LIMIT
        assert _ask(slow, {"method": "io.holdfast.Agent.Status"})


def test_clients_that_vanish_in_the_middle(bench: ControlBench) -> None:
    call = b'{"method":"io.holdfast.Agent.Status"}\0'
    submitted, go_on = threading.Event(), threading.Event()

    def busy() -> None:
        submitted.set()
        go_on.wait(10)

    # Gone before its answer goes out: the agent is busy while both its call and its end arrive.
    with closing(bench.connect()) as slow, closing(bench.connect()) as gone:
        bench.client.on_submit = busy
        slow.sendall(b'{"method":"io.holdfast.Agent.Renew"}\0')
        assert submitted.wait(10)
        gone.sendall(call)
        gone.close()
        go_on.set()
    # Gone with its answer unread: the agent gets ECONNRESET.
    with closing(bench.connect()) as rude:
        rude.sendall(call)
        select.select([rude], [], [], 10)
    while bench.run(lambda: len(bench.control._servers["eth0"]._clients)):
        pass
    with closing(bench.connect()) as connection:
        assert _ask(connection, {"method": "io.holdfast.Agent.Status"})


def test_a_wake_up_for_nothing_changes_nothing(bench: ControlBench) -> None:
    server = bench.control._servers["eth0"]
    with closing(bench.connect()) as connection:
        assert _ask(connection, {"method": "io.holdfast.Agent.Status"})
        (client,) = server._clients.values()
        bench.run(lambda: server._accept(1))
        bench.run(lambda: client._on_ready(1))
        bench.run(lambda: client._on_ready(2))
        assert _ask(connection, {"method": "io.holdfast.Agent.Status"})


def test_an_answer_waits_while_there_is_no_room_for_it(bench: ControlBench) -> None:
    server = bench.control._servers["eth0"]
    with closing(bench.connect()) as connection:
        assert _ask(connection, {"method": "io.holdfast.Agent.Status"})
        (client,) = server._clients.values()

        def fill() -> int:
            filled = 0
            while True:
                try:
                    filled += client._connection.send(b" " * 65536)
                except BlockingIOError:
                    return filled

        filled = bench.run(fill)
        connection.sendall(b'{"method":"io.holdfast.Agent.Status"}\0')
        while not bench.run(lambda: client._to_send):
            pass
        while filled:
            filled -= len(connection.recv(min(filled, 1 << 16)))
        assert _read(connection)["parameters"]["clients"]


def test_an_answer_to_nobody_is_dropped(bench: ControlBench) -> None:
    reply = protocol.Reply(None, False)  # type: ignore[arg-type]
    reply.answer(late=True)
    reply.gone()


def test_the_idlest_client_makes_room(bench: ControlBench) -> None:
    with ExitStack() as stack:
        connections = []
        for number in range(protocol.CLIENT_LIMIT):
            connections.append(stack.enter_context(closing(bench.connect())))
            bench.clock.now += 0.001
            assert _ask(connections[number], {"method": "io.holdfast.Agent.Status"})
        assert _ask(connections[0], {"method": "io.holdfast.Agent.Status"})
        newest = stack.enter_context(closing(bench.connect()))
        assert _ask(newest, {"method": "io.holdfast.Agent.Status"})
        assert connections[1].recv(10) == b""
        assert _ask(connections[0], {"method": "io.holdfast.Agent.Status"})


def test_a_process_without_descriptors_waits_instead_of_spinning(
    bench: ControlBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = bench.control._servers["eth0"]
    real, refusals = server._socket, []

    class Full:
        def accept(self) -> None:
            refusals.append(1)
            raise OSError(errno.EMFILE, "Too many open files")

        def fileno(self) -> int:
            return real.fileno()

    bench.run(lambda: monkeypatch.setattr(server, "_socket", Full()))
    with closing(bench.connect()) as connection:
        connection.sendall(b'{"method":"io.holdfast.Agent.Status"}\0')
        while not refusals:
            bench.run(lambda: None)

        def later() -> None:
            monkeypatch.setattr(server, "_socket", real)
            bench.clock.now += protocol.ACCEPT_PAUSE

        bench.run(later)
        assert _read(connection)["parameters"]["clients"]
    assert refusals == [1]


# -- the socket ----------------------------------------------------------------------------------


def test_only_owner_and_group_may_connect_and_the_file_goes_at_the_end(bench: ControlBench) -> None:
    status = os.stat(bench.path)
    assert (status.st_mode & 0o777, status.st_uid) == (0o660, os.geteuid())
    bench.run(bench.control.close)
    assert not os.path.exists(bench.path)


def test_a_file_that_is_no_longer_ours_stays(bench: ControlBench) -> None:
    File(bench.path).unlink()
    File(bench.path).touch()
    bench.run(bench.control.close)
    assert os.path.exists(bench.path)


def test_a_socket_left_by_a_crash_is_replaced(tmp_path: File) -> None:
    with tempfile.TemporaryDirectory(prefix="hf") as folder:
        path = socket_path(folder, "eth0")
        os.mkdir(f"{folder}/.eth0.varlink.new", 0o700)
        for name in (path, f"{folder}/.eth0.varlink.new/s"):
            with socket.socket(socket.AF_UNIX) as left:
                left.bind(name)
        with ControlBench(folder) as bench, closing(bench.connect()) as connection:
            assert _ask(connection, {"method": "io.holdfast.Agent.Status"})
        assert os.listdir(folder) == []


@pytest.mark.parametrize("full", [False, True])
def test_a_socket_that_somebody_serves_is_not_replaced(bench: ControlBench, full: bool, tmp_path: File) -> None:
    other = Control(bench.loop, bench.runtime, bench.state)
    with ExitStack() as stack:
        if full:
            bench.run(lambda: bench.loop.unregister(bench.control._servers["eth0"]._socket.fileno()))
            for _ in range(protocol.CLIENT_LIMIT + 1):
                stack.enter_context(closing(bench.connect()))
        with pytest.raises(OSError, match="another agent answers there") as caught:
            other.add(FakeClient())
    assert caught.value.errno == errno.EADDRINUSE


def test_a_file_in_the_way_is_not_removed(tmp_path: File) -> None:
    (tmp_path / "eth0.varlink").write_text("mine")
    loop = Loop()
    with pytest.raises(OSError, match="not a socket"):
        Control(loop, str(tmp_path), str(tmp_path)).add(FakeClient())
    loop.close()
    assert (tmp_path / "eth0.varlink").read_text() == "mine"


def test_a_folder_that_is_not_there_is_an_error(tmp_path: File) -> None:
    loop = Loop()
    with pytest.raises(FileNotFoundError):
        Control(loop, str(tmp_path / "none"), str(tmp_path)).add(FakeClient())
    loop.close()


class Peer:
    """A connection with made-up credentials."""

    def __init__(self, uid: int, gid: int, groups: tuple[int, ...] | None = ()) -> None:
        self.uid, self.gid, self.groups = uid, gid, groups

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        if option == socket.SO_PEERCRED:
            return struct.pack("3i", 1, self.uid, self.gid)
        if self.groups is None:
            raise OSError(errno.ERANGE, "too many")
        return struct.pack(f"{len(self.groups)}I", *self.groups)


@pytest.mark.parametrize(("peer", "group", "wanted"), [
    (Peer(0, 0), None, True),
    (Peer(os.geteuid(), 99), None, True),
    (Peer(4242, 0), None, False),
    (Peer(4242, 7), 7, True),
    (Peer(4242, 4242, (5, 7)), 7, True),
    (Peer(4242, 4242, (5,)), 7, False),
    (Peer(4242, 4242, None), 7, False),
])
def test_root_ourselves_and_the_group_are_permitted(peer: Any, group: int | None, wanted: bool) -> None:
    assert unix_socket.permitted(peer, group) is wanted


def test_who_is_not_permitted_is_hung_up_on(bench: ControlBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "permitted", lambda connection, group: False)
    with closing(bench.connect()) as connection:
        assert connection.recv(10) == b""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a file to another group")
def test_the_group_owns_the_socket() -> None:
    loop = Loop()
    with tempfile.TemporaryDirectory(prefix="hf") as folder:
        control = Control(loop, folder, folder, group=12345)
        control.add(FakeClient())
        assert os.stat(socket_path(folder, "eth0")).st_gid == 12345
        control.close()
    loop.close()


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


@pytest.mark.parametrize(("method", "parameters"), [("WaitOnline", {"insist": 1}), ("Yield", {"back": "yes"})])
def test_flags_are_true_or_false(bench: ControlBench, method: str, parameters: dict[str, Any]) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(bench.path)
        answer = _ask(connection, {"method": f"{room.NAME}.{method}", "parameters": parameters})
    assert answer["error"] == "org.varlink.service.InvalidParameter"
