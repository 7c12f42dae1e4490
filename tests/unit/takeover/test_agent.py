"""Holdfast as a take-over sees it: which unit, what it answers, how it ends."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.control import RECORD, Trickler
from tests.support.fake_host import FakeHost

from holdfast.settings.model import InterfaceSettings, Settings
from holdfast.takeover.agent import Agent, unit_for
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Completed
from holdfast_lab.testbed import fair_time


@pytest.fixture
def host() -> Iterator[FakeHost]:
    # Not tmp_path: a socket's path has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="hf") as folder:
        yield FakeHost(Path(folder))


@contextmanager
def answering(host: FakeHost, *answers: bytes) -> Iterator[list[bytes]]:
    """An agent's control socket that gives these answers, one to each connection that asks."""
    asked: list[bytes] = []
    path = host.path("/run/holdfast/eth0.varlink")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            left = list(answers)
            while left:
                connection, _ = listener.accept()
                with connection:
                    question = connection.recv(4096)
                    if question:
                        asked.append(question)
                        connection.sendall(left.pop(0))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield asked
        thread.join(fair_time.longest(5))


def outcome(**facts: str) -> bytes:
    return json.dumps({"parameters": {"outcome": {**RECORD, **facts}}}).encode() + b"\0"


def test_renew(host: FakeHost) -> None:
    agent = Agent(host, "eth0", "/run/holdfast", "")
    assert not agent.serving
    with answering(host, outcome(result="renewed", path="unicast", server="192.0.2.1")) as asked:
        assert agent.serving
        agent.wait()
        assert agent.renew() == "renewed by unicast from 192.0.2.1"
    assert json.loads(asked[0][:-1]) == {"method": "io.holdfast.Agent.Renew", "parameters": {"interface": "eth0"}}


@pytest.mark.parametrize(("answer", "words"), [
    (outcome(result="kept"), "failed: kept"),
    (outcome(result="moved"), "failed: moved"),
    (b'{"error": "io.holdfast.Agent.NoOutcome", "parameters": {"interface": "eth0", "seconds": 30}}\0',
     "failed: io.holdfast.Agent.NoOutcome"),
    (b'{"error": "io.holdfast.Agent.NoOutcome", "parameters": {}}\0', "gave no answer .* interface is missing"),
    (b'{"parameters": {"outcome": 7}}\0', "gave no answer .* outcome is not a JSON object"),
    (b"[]\0", "gave no answer"), (b'{"parameters": 7}\0', "gave no answer"), (b"\xff\0", "gave no answer"),
    (b"{", "it had answered"), (b"[" * 100_000 + b"\0", "gave no answer"),
])
def test_renewals_that_prove_nothing(host: FakeHost, answer: bytes, words: str) -> None:
    with answering(host, answer), pytest.raises(TakeoverError, match=words):
        Agent(host, "eth0", "/run/holdfast", "").renew()


MISSING = b'{"error": "io.holdfast.Agent.LinkMissing", "parameters": {"interface": "eth0"}}\0'


def test_a_link_that_its_manager_has_yet_to_set_up_is_waited_for(host: FakeHost) -> None:
    with answering(host, MISSING, MISSING, outcome(result="renewed", path="broadcast", server="192.0.2.1")) as asked:
        assert Agent(host, "eth0", "/run/holdfast", "").renew() == "renewed by broadcast from 192.0.2.1"
    assert len(asked) == 3


def test_a_link_that_is_never_served(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "wait", lambda condition, _seconds: condition())
    with answering(host, MISSING), pytest.raises(TakeoverError, match="failed: the agent does not serve the link"):
        Agent(host, "eth0", "/run/holdfast", "").renew()


def test_an_answer_that_never_ends(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then is no answer: the time is for the whole of it."""
    monkeypatch.setattr("holdfast.control.client.TIMEOUT", 0.2)
    path = host.path("/run/holdfast/eth0.varlink")
    os.makedirs(os.path.dirname(path))
    with Trickler(path, b" "), pytest.raises(TakeoverError, match=r"gave no answer about the renewal: .* within 0 s"):
        Agent(host, "eth0", "/run/holdfast", "").renew()


def test_what_it_says_is_bounded(host: FakeHost) -> None:
    with answering(host, outcome(result="renewed", path="x" * 9999, server="y" * 9999)):
        assert Agent(host, "eth0", "/run/holdfast", "").renew() == f"renewed by {'x' * 80} from {'y' * 80}"


def test_nobody(host: FakeHost) -> None:
    with pytest.raises(TakeoverError, match="gave no answer about the renewal"):
        Agent(host, "eth0", "/run/holdfast", "").renew()
    with pytest.raises(TakeoverError, match=r"did not start .* `journalctl -u holdfast@eth0.service`"):
        Agent(host, "eth0", "/run/holdfast", "holdfast@eth0.service").wait()


def test_stop(host: FakeHost) -> None:
    agent = Agent(host, "eth0", "/run/holdfast", "")
    agent.stop()
    host.put("/run/holdfast/eth0.lock", "77\n")
    agent.stop()
    host.add_process(77, "vi", "eth0")  # the number is another's by now
    agent.stop()
    assert host.killed == []
    host.add_process(77, "python3", "-I", "-m", "holdfast.runtime", "eth0")
    agent.stop()
    assert host.killed == [(77, 15)]
    Agent(host, "eth0", "/run/holdfast", "holdfast@eth0.service").stop()
    assert host.ran == [("systemctl", "stop", "holdfast@eth0.service")]


def test_unit(host: FakeHost) -> None:
    named = Settings(interfaces={"eth0": InterfaceSettings()})
    assert unit_for(host, named, "eth0", named=False) == "", "without systemd"
    host.boot_systemd()
    host.answers["systemctl is-enabled holdfast.service"] = Completed(0, "enabled\n", "")
    assert unit_for(host, named, "eth0", named=False) == "holdfast.service"
    assert unit_for(host, Settings(serve=("et*",)), "eth0", named=False) == "holdfast.service"
    with pytest.raises(TakeoverError, match="a boot before the confirmation would start both"):
        unit_for(host, Settings(serve=("eth1",)), "eth0", named=True)
    assert unit_for(host, Settings(), "eth0", named=False) == "holdfast@eth0.service"
    host.answers["systemctl is-enabled holdfast.service"] = Completed(1, "disabled\n", "")
    assert unit_for(host, named, "eth0", named=True) == "holdfast@eth0.service"
    with pytest.raises(TakeoverError, match="rename the interface"):
        unit_for(host, named, "a b", named=True)


def test_start(host: FakeHost) -> None:
    Agent(host, "eth0", "/run/holdfast", "holdfast@eth0.service").start()
    assert host.ran[-1] == ("systemctl", "restart", "holdfast@eth0.service")
