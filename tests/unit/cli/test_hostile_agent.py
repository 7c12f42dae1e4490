"""Whoever answers on the control socket may be the daemon's user, or its history's writer: commands of root's say one
line and end, whatever they get, and nothing of it reaches the terminal raw (rule 92)."""

from __future__ import annotations

import copy
import json
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.support import strategies as _profile  # noqa: F401 - the same examples in every run
from tests.support.fake_host import FakeHost

from holdfast import online
from holdfast.cli import main, options
from holdfast.control import client
from holdfast.settings import dirs
from holdfast.takeover.agent import Agent
from holdfast.takeover.errors import TakeoverError
from holdfast_lab.testbed import fair_time

INSTANT = {"time": "2023-11-14T22:13:20.000Z", "seconds": 60.0}
OUTCOME: dict[str, Any] = {
    "time": "2023-11-14T22:13:20.500Z", "boottime": 1.0, "boot_id": "x", "interface": "eth0", "purpose": "operator",
    "result": "renewed", "path": "unicast", "attempts": 1, "latency": 0.01, "server": "10.0.0.1",
    "address": "10.0.0.5", "former_address": "10.0.0.5", "lease_time": 120.0, "seconds_left": 59.9,
    "cause": "operator", "xid": "0x00000007", "started_at": 1.0, "ended_at": 2.0,
}
CLIENT: dict[str, Any] = {
    "interface": "eth0", "state": "BOUND", "present": True, "online": True, "yielded": True, "rival": "dhclient",
    "lease": {"address": "10.0.0.5", "server": "10.0.0.1", "verified": True, "duration": 120.0, "started": INSTANT,
              "renewal": INSTANT, "rebinding": INSTANT, "expiry": INSTANT, "held_until": INSTANT},
    "network": {"address": "10.0.0.5/24", "routes": ["default"], "dns": ["10.0.0.1"], "search": ["a"], "mtu": 1500,
                "ntp": [], "captive_portal": "http://x", "notices": ["n"]},
    "hears_unicast": None, "round_trip": 0.1, "gateway": "10.0.0.1 02:00", "last_outcome": OUTCOME, "drops": {"xid": 3},
}
#: One answer to every question, as far as the types go.
ANSWER: dict[str, Any] = {"version": "1", "pid": 4711, "patterns": ["en*"], "clients": [CLIENT],
                          "outcome": OUTCOME, "outcomes": [OUTCOME], "online": True}
ESCAPES = "\x1b]0;owned\x07\n\x9b2J\x7f\u202e\u200b\u2028\ud800\udc9b"
COMMANDS = (["status"], ["status", "--json"], ["status", "eth0"], ["renew", "eth0"], ["rebind", "eth0"],
            ["release", "eth0"], ["yield", "eth0"], ["clean"], ["wait-online", "--timeout", "0.3", "eth0"], ["doctor"])

Run = Callable[[list[str]], tuple[int, str, str]]


@pytest.fixture(scope="module")
def run_dir() -> Iterator[str]:
    patch = pytest.MonkeyPatch()
    with tempfile.TemporaryDirectory(prefix="hf") as folder:
        for name in ("run", "state", "config"):
            Path(folder, name).mkdir()
        patch.setattr(dirs, "search_config_dirs", lambda: (f"{folder}/config",))
        patch.setattr(dirs, "RUNTIME_DIR", f"{folder}/run")
        patch.setattr(dirs, "STATE_DIR", f"{folder}/state")
        patch.setenv("RUNTIME_DIRECTORY", f"{folder}/run")
        patch.setenv("STATE_DIRECTORY", f"{folder}/state")
        patch.setattr(options.socket, "if_nameindex", lambda: [(1, "lo"), (2, "eth0")])
        patch.setattr(client, "TIMEOUT", 0.5)
        patch.setattr(online, "ASK_AGAIN", 0.05)
        yield f"{folder}/run"
    patch.undo()


@contextmanager
def agent(run_dir: str, *names: str, data: bytes, more: bytes = b"") -> Iterator[None]:
    """Answers everybody with ``data``, then ``more`` without end; listens as each of ``names``."""
    stop = threading.Event()
    listeners = []
    for name in names or ("eth0.varlink",):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{run_dir}/{name}")
        listener.listen(16)
        listener.settimeout(0.01)
        listeners.append(listener)

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(fair_time.longest(2))
            connection.recv(4096)
            connection.sendall(data)
            while more and not stop.is_set():
                connection.sendall(more)

    def serve() -> None:
        while not stop.is_set():
            for listener in listeners:
                with suppress(OSError):
                    connection, _ = listener.accept()
                    threads.append(threading.Thread(target=answer, args=(connection,)))
                    threads[-1].start()

    threads = [threading.Thread(target=serve)]
    threads[0].start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(fair_time.longest(10))
        for name, listener in zip(names or ("eth0.varlink",), listeners, strict=True):
            listener.close()
            os.unlink(f"{run_dir}/{name}")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(argv: list[str]) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(argv)
        captured = capsys.readouterr()
        for text in captured:
            assert all(line.isprintable() for line in text.split("\n")), repr(text)
        return status, captured.out, captured.err

    return run


def message(parameters: object) -> bytes:
    return json.dumps({"parameters": parameters}).encode() + b"\0"


@pytest.mark.parametrize("argv", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("data", [
    b"", b"\0", b"[]\0", b"7\0", b"null\0", b"\xff\0", b"{}\0", b'{"parameters":7}\0', b'{"error":7}\0',
    b'{"error":{"a":[]},"parameters":{"interface":[]}}\0', b"[" * 100_000 + b"\0", b'{"parameters":' * 50_000 + b"\0",
    b'{"error":"io.holdfast.Agent.NoOutcome","parameters":{"seconds":"x"}}\0',
    b'{"error":"io.holdfast.Agent.NoOutcome","parameters":{"seconds":NaN,"interface":7}}\0',
    b'{"parameters":{"clients":[{"interface":"eth0"}],"outcome":{},"pid":1,"patterns":[]}}\0',
    message({**ANSWER, "pid": 1 << 70}), message({**ANSWER, "clients": [None]}), message({**ANSWER, "clients": {}}),
    b'{"parameters":{"outcome":{"result":"renewed","latency":1e999},"clients":[],"pid":NaN,"patterns":[]}}\0',
    message({**ANSWER, "outcome": []}), message({}), message({**ANSWER, "version": "x" * (64 << 20)}),
], ids=lambda data: repr(data[-20:]))
def test_answers_that_are_none(argv: list[str], data: bytes, run_dir: str, run: Run) -> None:
    with agent(run_dir, data=data):
        status, _, err = run(argv)
    assert isinstance(status, int)
    if status:
        assert argv == ["doctor"] or 1 <= len(err.splitlines()) <= 2


@pytest.mark.parametrize("argv", COMMANDS, ids=" ".join)
def test_answers_without_end(argv: list[str], run_dir: str, run: Run) -> None:
    with agent(run_dir, data=b"", more=b"x" * 65536):
        status, out, err = run(argv)
    if argv == ["doctor"]:
        assert (status, err) == (1, "")
        assert "the agent of eth0 gives no proper answer" in " ".join(out.split())
    else:
        assert (status, len(err.splitlines())) == (1, 1)


@pytest.mark.parametrize("argv", COMMANDS, ids=" ".join)
def test_text_of_the_agent_speaks_to_no_terminal(argv: list[str], run_dir: str, run: Run) -> None:  # rule 92
    def poisoned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: poisoned(item) for key, item in value.items()}
        if isinstance(value, list):
            return [poisoned(item) for item in value]
        return value + ESCAPES if isinstance(value, str) else value

    with agent(run_dir, data=message(poisoned(ANSWER))):
        run(argv)
    error = {"error": "io.holdfast.Agent.CannotRemember", "parameters": {"interface": ESCAPES, "reason": ESCAPES}}
    for name in ("CannotRemember", "NoSuchInterface", "NotBound", "LinkMissing", ESCAPES):
        error["error"] = f"io.holdfast.Agent.{name}"
        with agent(run_dir, data=json.dumps(error).encode() + b"\0"):
            status, _, err = run(argv)
        assert argv[0] in ("wait-online", "doctor") or (status > 0 and len(err.splitlines()) == 1)


def _places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield way
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*way, key))


PLACES = sorted(_places(ANSWER), key=repr)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from([2**63, 1e308, -1e308, ESCAPES]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=5,
)


def _changed(way: tuple[Any, ...], value: Any, *, gone: bool) -> Any:
    answer = copy.deepcopy(ANSWER)
    if not way:
        return value
    inner: Any = answer
    for key in way[:-1]:
        inner = inner[key]
    if gone:
        del inner[way[-1]]
    else:
        inner[way[-1]] = value
    return answer


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(PLACES), VALUES, st.booleans(),
       st.sampled_from([argv for argv in COMMANDS if argv[0] not in ("wait-online", "doctor")]))
def test_any_value_in_any_place(
    run_dir: str, run: Run, way: tuple[Any, ...], value: Any, gone: bool, argv: list[str]
) -> None:
    with agent(run_dir, data=message(_changed(way, value, gone=gone))):
        status, _, err = run(argv)
    assert (status == 0) or len(err.splitlines()) <= 2


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(way=st.sampled_from(PLACES), value=VALUES)
def test_any_value_before_the_doctor_and_a_take_over(
    run_dir: str, run: Run, way: tuple[Any, ...], value: Any
) -> None:
    data = message(_changed(way, value, gone=False))
    with agent(run_dir, data=data):
        run(["doctor"])
    # Not tmp_path: a socket's path has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="hf") as root:
        os.mkdir(f"{root}/run")
        with agent(f"{root}/run", data=data), suppress(TakeoverError):
            assert Agent(FakeHost(Path(root)), "eth0", "/run", "").renew()


RECORD_VALUES = st.fixed_dictionaries({}, optional=dict.fromkeys(OUTCOME, VALUES))


@hypothesis_settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RECORD_VALUES)
def test_any_line_of_a_history(run_dir: str, run: Run, record: dict[str, Any]) -> None:
    path = Path(run_dir).parent / "state" / f"eth0{ESCAPES[0]}.outcomes.jsonl"
    path.write_text(json.dumps({**OUTCOME, **record}) + "\n" + json.dumps(OUTCOME) + "\n")
    for argv in (["history"], ["history", "--json"], ["history", "--since", "2020-01-01"]):
        status, out, _ = run(argv)
        assert status == 0
        assert "renewed" in out
    path.unlink()


def test_names_of_sockets_and_files_speak_to_no_terminal(run_dir: str, run: Run) -> None:
    name = os.fsdecode(b"\x1b]0;x\x07\xff\n.varlink")
    with agent(run_dir, name, data=b"7\0"):
        for argv in (["status"], ["clean"], ["wait-online", "--timeout", "0.1"]):
            assert run(argv)[0] == 1
