"""The Varlink server: the protocol, clients of every kind, and the socket."""

from __future__ import annotations

import errno
import json
import os
import select
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path as File
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

import pytest
import varlink
from tests.support.control import OUTCOME, ControlBench, FakeClient, StillClock, WatchedLoop, ask, hear
from tests.support.limits import no_descriptors_left
from tests.support.varlink_oracle import told

from holdfast import __version__
from holdfast.control import interface, unix_socket
from holdfast.control import server as protocol
from holdfast.control.interface import NAME, SERVICE, definition, socket_path
from holdfast.core import events as ev
from holdfast.eventloop.loop import Loop
from holdfast.observe.outcomes import OutcomeJournal, as_record
from holdfast.runtime import control_service as room
from holdfast.runtime.control_service import Control
from holdfast_lab.testbed import fair_time


@pytest.fixture
def bench() -> Iterator[ControlBench]:
    # Not tmp_path: a socket's path has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="hf") as folder, ControlBench(folder) as bench:
        yield bench


# -- what it tells about itself --------------------------------------------------------------------


def test_introspection_by_an_independent_client(bench: ControlBench) -> None:
    with varlink.Client(address=f"unix:{bench.path}") as client:
        with client.open(SERVICE) as service:
            info = service.GetInfo()
        assert info == {"vendor": "Holdfast", "product": "holdfast", "version": __version__,
                        "url": "man:holdfast.service(8)", "interfaces": [NAME, SERVICE]}
        assert set(client.get_interfaces()) == {NAME, SERVICE}
        members = client.get_interface(NAME).members
        assert {"Status", "Renew", "Rebind", "Release", "History", "NotBound"} <= set(members)


def test_introspection_and_calls_by_systemd(bench: ControlBench) -> None:
    """By varlinkctl, where systemd is 255 or later; Debian 12 has none, and PyPI's client asks the same above."""
    if shutil.which("varlinkctl") is None:
        return

    def varlinkctl(*words: str) -> tuple[int, str]:
        done = fair_time.run(["varlinkctl", *words], 20, text=True)
        return done.returncode, done.stdout + done.stderr

    for name in (NAME, SERVICE):
        status, text = varlinkctl("introspect", bench.path, name)
        assert (status, told(text)) == (0, told(definition(name).text))
    assert "io.holdfast.Agent" in varlinkctl("info", bench.path)[1]
    status, text = varlinkctl("call", "-j", bench.path, f"{NAME}.Renew", '{"interface":"eth0"}')
    assert (status, json.loads(text)["outcome"]["result"]) == (0, "renewed")
    status, text = varlinkctl("call", "-j", bench.path, f"{NAME}.Renew", '{"iface":"eth0"}')
    assert status == 1
    assert f"{SERVICE}.InvalidParameter" in text
    assert varlinkctl("call", "--more", bench.path, f"{NAME}.History", "{}")[0] == 0
    assert varlinkctl("call", "--oneway", bench.path, f"{NAME}.Rebind", "{}")[0] == 0
    bench.run(lambda: None)
    assert bench.client.submitted[0] == ev.Renew()


@pytest.mark.parametrize(("name", "file"), [(NAME, "io.holdfast.varlink"), (SERVICE, "org.varlink.service.varlink")])
def test_the_definition_is_served_as_the_file_has_it(bench: ControlBench, name: str, file: str) -> None:
    with closing(bench.connect()) as connection:
        answer = ask(connection, {"method": f"{SERVICE}.GetInterfaceDescription", "parameters": {"interface": name}})
    there = File(interface.__file__).with_name(file).read_text()
    assert answer == {"parameters": {"description": there}}


def test_nothing_is_read_before_the_first_call(
    bench: ControlBench, monkeypatch: pytest.MonkeyPatch, tmp_path: File
) -> None:
    """A start does not pay for the definitions; a package that is removed while its agent runs ends no lease."""
    definition.cache_clear()
    monkeypatch.setattr(interface, "__file__", str(tmp_path / "gone.py"))
    with closing(bench.connect()) as connection:
        connection.sendall(b'{"method":"io.holdfast.Agent.Status"}\0')
        assert connection.recv(1) == b""
    monkeypatch.setattr(interface, "__file__", unix_socket.__file__)
    with closing(bench.connect()) as connection:
        assert ask(connection, {"method": "io.holdfast.Agent.Status"})["parameters"]["clients"]


def test_a_declared_method_that_is_not_there_is_said_so() -> None:
    loop = Loop()
    with tempfile.TemporaryDirectory(prefix="hf") as folder:
        server = protocol.Server(loop, socket_path(folder, "eth0"), {NAME: {}})
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(fair_time.longest(10))
            connection.connect(socket_path(folder, "eth0"))
            connection.sendall(b'{"method":"io.holdfast.Agent.Renew"}\0')
            while not select.select([connection], [], [], 0)[0]:
                loop.run_once(0.1)
            assert hear(connection) == {"error": f"{SERVICE}.MethodNotImplemented",
                                        "parameters": {"method": f"{NAME}.Renew"}}
        server.close()
    loop.close()


def test_a_number_that_json_does_not_have_is_not_sent(bench: ControlBench) -> None:
    bench.client.shot = bench.client.shot._replace(drops={"xid": float("nan")})  # type: ignore[dict-item]
    with closing(bench.connect()) as connection:
        connection.sendall(b'{"method":"io.holdfast.Agent.Status"}\0')
        assert connection.recv(1) == b""
    with closing(bench.connect()) as connection:
        assert ask(connection, {"method": "org.varlink.service.GetInfo"})["parameters"]["product"] == "holdfast"


# -- the protocol --------------------------------------------------------------------------------


@pytest.mark.parametrize(("message", "error", "parameters"), [
    ({"method": "a.b.C"}, "InterfaceNotFound", {"interface": "a.b"}),
    ({"method": "C"}, "InterfaceNotFound", {"interface": ""}),
    ({"method": "io.holdfast.Agent.Sing"}, "MethodNotFound", {"method": "io.holdfast.Agent.Sing"}),
    ({}, "InvalidParameter", {"parameter": "method"}),
    ({"method": 7}, "InvalidParameter", {"parameter": "method"}),
    ({"method": "io.holdfast.Agent.Status", "parameters": []}, "InvalidParameter", {"parameter": "parameters"}),
    ({"method": "io.holdfast.Agent.Status", "parameters": {"interface": 1}}, "InvalidParameter",
     {"parameter": "interface"}),
    ({"method": "io.holdfast.Agent.History", "parameters": {"limit": -1}}, "InvalidParameter", {"parameter": "limit"}),
    ({"method": "io.holdfast.Agent.History", "parameters": {"since": 1e12}}, "InvalidParameter",
     {"parameter": "since"}),
    ({"method": "io.holdfast.Agent.History", "parameters": {"limit": 1.5}}, "InvalidParameter", {"parameter": "limit"}),
    ({"method": "io.holdfast.Agent.Status", "parameters": {"interfaces": "eth0"}}, "InvalidParameter",
     {"parameter": "interfaces"}),
    ({"method": "org.varlink.service.GetInfo", "parameters": {"a.b[0]": None}}, "InvalidParameter",
     {"parameter": "a.b[0]"}),
    ({"method": "io.holdfast.Agent.WaitOnline", "parameters": {"insist": 1}}, "InvalidParameter",
     {"parameter": "insist"}),
    ({"method": "io.holdfast.Agent.Yield", "parameters": {"back": "yes"}}, "InvalidParameter", {"parameter": "back"}),
    ({"method": "io.holdfast.Agent.Status", "oneway": 1}, "InvalidParameter", {"parameter": "oneway"}),
    ({"method": "io.holdfast.Agent.Status", "more": "yes"}, "InvalidParameter", {"parameter": "more"}),
    ({"method": "io.holdfast.Agent.Status", "upgrade": True}, "InvalidParameter", {"parameter": "upgrade"}),
    ({"method": "io.holdfast.Agent.NotBound"}, "MethodNotFound", {"method": "io.holdfast.Agent.NotBound"}),
    ({"method": "io.holdfast.Agent.History", "parameters": {"since": True}}, "InvalidParameter",
     {"parameter": "since"}),
    ({"method": "org.varlink.service.GetInterfaceDescription"}, "InvalidParameter", {"parameter": "interface"}),
    ({"method": "org.varlink.service.GetInterfaceDescription", "parameters": {"interface": "x"}}, "InterfaceNotFound",
     {"interface": "x"}),
])
def test_errors_of_the_service(bench: ControlBench, message: object, error: str, parameters: object) -> None:
    with closing(bench.connect()) as connection:
        assert ask(connection, message) == {"error": "org.varlink.service." + error, "parameters": parameters}


def test_more_is_answered_once_and_oneway_never(bench: ControlBench) -> None:
    with closing(bench.connect()) as connection:
        status = {"method": "io.holdfast.Agent.Status", "more": True, "parameters": None}
        assert "continues" not in ask(connection, status)
        connection.sendall(b'{"method":"io.holdfast.Agent.Renew","oneway":true}\0')
        assert "version" in ask(connection, status)["parameters"]
    assert bench.client.submitted == [ev.Renew()]


def test_calls_may_come_together_or_in_pieces_and_are_answered_in_order(bench: ControlBench) -> None:
    call = b'{"method":"org.varlink.service.GetInfo"}\0'
    with closing(bench.connect()) as connection:
        connection.sendall(call * 20 + call[:10])
        data = b""
        while data.count(b"\0") < 20:
            data += connection.recv(1 << 16)
        connection.sendall(call[10:])
        assert hear(connection)["parameters"]["product"] == "holdfast"


@pytest.mark.parametrize("data", [b"\0", b"nonsense\0", b"\xff\0", b"[" * 16_000 + b"\0", b"x" * 20_000, b"[]\0",
                                  b'{"method":"io.holdfast.Agent.Status","parameters":{"interface":NaN}}\0',
                                  b'{"method":"io.holdfast.Agent.Status","x":1%s}\0' % (b"0" * 9000),
                                  b'{"method":"io.holdfast.Agent.Status","x":' + b"[" * 20 + b"]" * 20 + b"}\0"])
def test_what_is_not_varlink_ends_the_connection(bench: ControlBench, data: bytes) -> None:
    with closing(bench.connect()) as connection:
        connection.sendall(data)
        assert connection.recv(10) == b""
    with closing(bench.connect()) as connection:
        assert ask(connection, {"method": "io.holdfast.Agent.Status"})


_ANYTHING = [None, True, 0, -1, 1.5, 2**63 - 1,
             "", "eth0", "\x1b[2J\u202e", [], ["eth0"], {}, {"interface": {}}, "x" * 15_000]


@pytest.mark.parametrize("method", [*(f"{NAME}.{name}" for name in definition(NAME).methods),
                                    *(f"{SERVICE}.{name}" for name in definition(SERVICE).methods)])
def test_any_value_in_any_parameter_gets_an_answer(bench: ControlBench, method: str) -> None:
    interface_name, _, short = method.rpartition(".")
    names = [*definition(interface_name).methods[short].takes.fields, "else"]
    with closing(bench.connect()) as connection:
        for name in names:
            for value in _ANYTHING:
                answer = ask(connection, {"method": method, "parameters": {name: value}})
                assert set(answer) <= {"error", "parameters"}
                if name == "else":
                    assert answer == {"error": f"{SERVICE}.InvalidParameter", "parameters": {"parameter": "else"}}
        for value in _ANYTHING[:-1]:
            for field in ("method", "parameters", "oneway", "more", "upgrade"):
                if (field, value) == ("oneway", True) or (field, value, short) == ("more", True, "Monitor"):
                    continue  # never answered, or never to the end
                assert ask(connection, {"method": method, "parameters": None, field: value})


def test_a_client_that_sends_and_never_reads_is_dropped_and_holds_up_nobody(bench: ControlBench) -> None:
    call = b'{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"io.holdfast.Agent"}}\0'
    with closing(bench.connect()) as hostile, closing(bench.connect()) as honest:
        hostile.setblocking(False)

        def flood() -> None:
            for _ in range(10_000):
                try:
                    hostile.send(call * 50)
                except BlockingIOError:
                    assert ask(honest, {"method": "io.holdfast.Agent.Status"})

        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            flood()
        assert ask(honest, {"method": "io.holdfast.Agent.Status"})


def test_a_client_that_watches_and_does_not_read_is_disconnected(bench: ControlBench) -> None:
    with closing(bench.connect()) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(b'{"method":"io.holdfast.Agent.Monitor","more":true}\0')
        fair_time.wait_until(lambda: bool(bench.client.watchers), 10, "it watches")

        def flood() -> bool:
            for watcher in list(bench.client.watchers):
                watcher("notice", "x" * 4096, "no-offer", None)
            return not bench.client.watchers

        fair_time.wait_until(lambda: bench.run(flood), 20, "it is let go")
    with closing(bench.connect()) as other:
        assert ask(other, {"method": "io.holdfast.Agent.Status"})


def test_a_slow_client_gets_its_whole_answer(bench: ControlBench) -> None:
    journal = OutcomeJournal(bench.state, "eth0")
    for wall in range(500):
        journal.append(as_record(OUTCOME._replace(cause="x" * 2000), "eth0", boottime=0.0, wall=float(wall)))
    with closing(bench.connect()) as slow, closing(bench.connect()) as other:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(b'{"method":"io.holdfast.Agent.History"}\0')
        assert ask(other, {"method": "io.holdfast.Agent.Status"})
        assert len(hear(slow)["parameters"]["outcomes"]) == room.HISTORY_LIMIT
        assert ask(slow, {"method": "io.holdfast.Agent.Status"})


def test_clients_that_vanish_in_the_middle(bench: ControlBench) -> None:
    call = b'{"method":"io.holdfast.Agent.Status"}\0'
    submitted, go_on = threading.Event(), threading.Event()

    def busy() -> None:
        submitted.set()
        go_on.wait(fair_time.longest(10))

    # Gone before its answer goes out: the agent is busy while both its call and its end arrive.
    with closing(bench.connect()) as slow, closing(bench.connect()) as gone:
        bench.client.on_submit = busy
        slow.sendall(b'{"method":"io.holdfast.Agent.Renew"}\0')
        assert submitted.wait(fair_time.longest(10))
        gone.sendall(call)
        gone.close()
        go_on.set()
    # Gone with its answer unread: the agent gets ECONNRESET.
    with closing(bench.connect()) as rude:
        rude.sendall(call)
        assert select.select([rude], [], [], fair_time.longest(10))[0]
    while bench.served():
        pass
    with closing(bench.connect()) as connection:
        assert ask(connection, {"method": "io.holdfast.Agent.Status"})


def test_a_wake_up_for_nothing_changes_nothing(bench: ControlBench) -> None:
    with closing(bench.connect()) as connection:
        assert ask(connection, {"method": "io.holdfast.Agent.Status"})
        bench.wake(EVENT_READ)
        bench.wake(EVENT_WRITE)
        assert ask(connection, {"method": "io.holdfast.Agent.Status"})


def test_an_answer_waits_while_there_is_no_room_for_it(bench: ControlBench) -> None:
    asked, data = 0, b""
    with closing(bench.connect()) as connection:
        while not any(events & EVENT_WRITE for _, events in bench.served().values()):
            connection.sendall(b'{"method":"io.holdfast.Agent.Status"}\0')  # and what comes back is not read
            asked += 1
        while data.count(b"\0") < asked:
            data += connection.recv(1 << 16)
    assert all(json.loads(answer)["parameters"]["clients"] for answer in data.split(b"\0")[:-1])


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
            assert ask(connections[number], {"method": "io.holdfast.Agent.Status"})
        assert ask(connections[0], {"method": "io.holdfast.Agent.Status"})
        newest = stack.enter_context(closing(bench.connect()))
        assert ask(newest, {"method": "io.holdfast.Agent.Status"})
        assert connections[1].recv(10) == b""
        assert ask(connections[0], {"method": "io.holdfast.Agent.Status"})


def test_a_process_without_descriptors_waits_instead_of_spinning() -> None:
    clock = StillClock()
    methods = {NAME: {"Status": lambda _, reply: reply.answer(clients=[])}}
    with tempfile.TemporaryDirectory(prefix="hf") as folder, closing(WatchedLoop(clock)) as loop:
        path = socket_path(folder, "eth0")
        with closing(protocol.Server(loop, path, methods)), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(fair_time.longest(10))
            connection.connect(path)
            connection.sendall(b'{"method":"io.holdfast.Agent.Status"}\0')
            with no_descriptors_left():
                loop.run_once(0)
            assert loop.registered == {}, "nothing wakes it for what it cannot take"
            clock.now += protocol.ACCEPT_PAUSE
            while not select.select([connection], [], [], 0)[0]:
                loop.run_once(0)
            assert hear(connection) == {"parameters": {"clients": []}}


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
            assert ask(connection, {"method": "io.holdfast.Agent.Status"})
        assert os.listdir(folder) == []


def test_a_socket_that_somebody_serves_is_not_replaced(bench: ControlBench) -> None:
    with pytest.raises(OSError, match="another agent answers there") as caught:
        Control(bench.loop, bench.runtime, bench.state).add(FakeClient())
    assert caught.value.errno == errno.EADDRINUSE


def test_a_socket_of_an_agent_that_is_busy_is_not_replaced() -> None:
    with tempfile.TemporaryDirectory(prefix="hf") as folder, closing(Loop()) as loop, ExitStack() as stack:
        path = socket_path(folder, "eth0")
        busy = stack.enter_context(socket.socket(socket.AF_UNIX))
        busy.bind(path)
        busy.listen(1)
        with suppress(BlockingIOError):
            while True:
                waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                waiting.connect(path)
        with pytest.raises(OSError, match="another agent answers there") as caught:
            protocol.Server(loop, path, {})
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


