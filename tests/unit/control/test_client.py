"""The one client: good answers, everything that is none, and every way in which an agent may fail."""

from __future__ import annotations

import json
import os
import select
import socket
import tempfile
from collections.abc import Iterator
from math import inf
from typing import Any

import pytest
from tests.support.control import RECORD, ControlBench, Impostor, Trickler

from holdfast.control import client
from holdfast.control.client import (
    Call,
    ControlError,
    HungUpError,
    ImproperAnswerError,
    NoAgentError,
    NotPermittedError,
    RefusedError,
    TimedOutError,
    call,
    listens,
)
from holdfast.control.idl import MismatchError
from holdfast.control.interface import NAME, socket_path
from holdfast_lab.testbed import fair_time


@pytest.fixture
def path() -> Iterator[str]:
    # Not tmp_path: a socket's path has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="hf") as folder:
        yield socket_path(folder, "eth0")


@pytest.fixture
def _root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.os, "geteuid", lambda: 0)


def answer(**parameters: object) -> bytes:
    return json.dumps({"parameters": parameters}).encode() + b"\0"


def error(name: str, **parameters: object) -> bytes:
    return json.dumps({"error": name, "parameters": parameters}).encode() + b"\0"


# -- with an agent -------------------------------------------------------------------------------


def test_an_answer(path: str) -> None:
    with ControlBench(os.path.dirname(path)):
        assert listens(path, 2.0)
        assert call(path, "Status", {"interface": "eth0"})["clients"][0]["state"] == "BOUND"
        assert call(path, "Renew")["outcome"]["result"] == "renewed"
        assert call(path, "Yield", {"interface": "eth0", "back": True}) == {}
    assert not listens(path, 2.0)


def test_an_error_of_the_agent(path: str) -> None:
    with ControlBench(os.path.dirname(path)), pytest.raises(RefusedError) as caught:
        call(path, "Renew", {"interface": "eth7"})
    assert str(caught.value) == f'the agent at {path} answered {NAME}.NoSuchInterface {{"interface": "eth7"}}'
    assert (caught.value.name, caught.value.parameters) == (f"{NAME}.NoSuchInterface", {"interface": "eth7"})


def test_a_call_that_is_answered_later(path: str) -> None:
    with ControlBench(os.path.dirname(path)) as bench:
        bench.client.online = False
        with Call(path, "WaitOnline", timeout=inf) as waiting:
            assert waiting.receive() is None
            while not bench.run(lambda: len(bench.client.online_listeners)):
                pass
            bench.run(bench.client.come_online)
            assert select.select([waiting], [], [], fair_time.longest(10))[0]
            assert waiting.receive() == {"online": True}
        with Call(path, "WaitOnline", {"insist": False}, timeout=inf) as answered:
            assert answered.answer() == {"online": True}


@pytest.mark.parametrize("parameters", [{"interface": 7}, {"iface": "eth0"}])
def test_a_question_that_is_not_the_methods_is_not_asked(path: str, parameters: dict[str, object]) -> None:
    with pytest.raises(MismatchError):
        call(path, "Renew", parameters)


def test_the_question(path: str) -> None:
    with Impostor(path, answer(outcome=RECORD)) as impostor:
        call(path, "Renew", {"interface": "eth0"})
    assert impostor.asked == b'{"method":"io.holdfast.Agent.Renew","parameters":{"interface":"eth0"}}\0'


# -- with something else -------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "data", "problem"), [
    ("WaitOnline", b"x\0", "no value at character 0"),
    ("WaitOnline", b"[]\0", "not a Varlink message"),
    ("WaitOnline", b"\xff\0", "not UTF-8"),
    ("WaitOnline", b"[" * 100_000 + b"\0", "nested too deeply"),
    ("WaitOnline", b'{"parameters":1}\0', "the value is not a JSON object"),
    ("WaitOnline", b"{}\0", "online is missing"),
    ("WaitOnline", b'{"parameters":null}\0', "online is missing"),
    ("WaitOnline", answer(online=1), "online is not a bool"),
    ("WaitOnline", answer(online=None), "online is not a bool"),
    ("WaitOnline", answer(online=True) * 2, "more than one answer"),
    ("Renew", answer(outcome=7), "outcome is not a JSON object"),
    ("Renew", answer(outcome={}), "outcome.time is missing"),
    ("Renew", answer(outcome={**RECORD, "attempts": "3"}), "outcome.attempts is not an int"),
    ("Renew", answer(outcome={**RECORD, "path": ["unicast"]}), "outcome.path is not a string"),
    ("Renew", answer(outcome={**RECORD, "latency": {}}), "outcome.latency is not a float"),
    ("Renew", b'{"parameters":{"outcome":{"latency":NaN}}}\0', "NaN is no JSON"),
    ("Status", answer(version="1", pid=-0.5, patterns=[], clients=[]), "pid is not an int"),
    ("Status", answer(version="1", pid=1, patterns=[None], clients=[]), "patterns[0] is not a string"),
    ("Status", answer(version="1", pid=1, patterns=[], clients={}), "clients is not an array"),
    ("History", answer(outcomes=[RECORD, {**RECORD, "result": 1}]), "outcomes[1].result is not a string"),
    ("Renew", b'{"error":7}\0', "error is not the name of an error"),
    ("Renew", error("NoDots"), "error is not the name of an error"),
    ("Renew", error("a.b\x1b[2J"), "error is not the name of an error"),
    ("Renew", error("a." + "b" * 300), "error is not the name of an error"),
    ("Renew", error(f"{NAME}.NoOutcome", interface="eth0", seconds="30"), "seconds is not a float"),
    ("Renew", error(f"{NAME}.NotBound"), "interface is missing"),
])
def test_answers_that_are_none(path: str, method: str, data: bytes, problem: str) -> None:
    with Impostor(path, data), pytest.raises(ImproperAnswerError) as caught:
        call(path, method)
    assert str(caught.value) == f"the agent at {path} gave no proper answer: {problem}"


def test_an_error_that_this_version_does_not_know_has_no_parameters(path: str) -> None:
    with Impostor(path, error(f"{NAME}.TooHot", degrees="\x1b[2J")), pytest.raises(RefusedError) as caught:
        call(path, "Renew")
    assert (caught.value.name, caught.value.parameters) == (f"{NAME}.TooHot", {})


def test_what_another_version_says_beside_is_left_out(path: str) -> None:
    with Impostor(path, answer(outcome={**RECORD, "colour": "red"}, more=1)):
        assert call(path, "Renew") == {"outcome": RECORD}


def test_an_answer_in_pieces(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with Call(path, "WaitOnline", timeout=fair_time.longest(10)) as waiting:
            peer, _ = listener.accept()
            with peer:
                for piece in (b'{"parameters":', b'{"online":', b"false}}"):
                    peer.sendall(piece)
                    assert select.select([waiting], [], [], fair_time.longest(10))[0]
                    assert waiting.receive() is None
                peer.sendall(b"\0")
                assert waiting.answer() == {"online": False}


@pytest.mark.usefixtures("_root")
@pytest.mark.parametrize("data", [b"", b'{"parameters":'])
def test_an_agent_that_goes_in_the_middle(path: str, data: bytes) -> None:
    with Impostor(path, data), pytest.raises(HungUpError, match="ended before it had answered; try again"):
        call(path, "Renew")


@pytest.mark.usefixtures("_root")
def test_an_agent_that_goes_with_the_question_unread(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with Call(path, "Renew") as waiting:
            listener.accept()[0].close()
            with pytest.raises(HungUpError):
                waiting.answer()


def test_who_is_hung_up_on_may_not_be_permitted(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent closes the connection of a user that it does not serve, as it does when it ends."""
    monkeypatch.setattr(client.os, "geteuid", lambda: 4242)
    with Impostor(path, b""), pytest.raises(NotPermittedError, match="it answers root, its own user and the group"):
        call(path, "Renew")
    os.unlink(path)
    with Impostor(path, b"{"), pytest.raises(HungUpError):
        call(path, "Renew")


def test_nobody_listens(path: str) -> None:
    with pytest.raises(NoAgentError):
        call(path, "Renew")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
    with pytest.raises(NoAgentError):
        call(path, "Renew")


# rule 92
def test_a_link_in_the_sockets_place_is_not_followed(path: str) -> None:
    with ControlBench(os.path.dirname(path)):
        link = socket_path(os.path.dirname(path), "eth1")
        os.symlink(path, link)
        assert not listens(link, 2.0)
        with pytest.raises(ControlError, match=r"eth1.varlink cannot be asked: is not a socket"):
            call(link, "Status")


@pytest.mark.parametrize(("refusal", "kind", "problem"), [
    (PermissionError(), NotPermittedError, "run as root, or as a member of the group that control_group names"),
    (BlockingIOError(11, "Resource temporarily unavailable"), ControlError,
     "cannot be asked: Resource temporarily unavailable; try again"),
    (TimeoutError(), TimedOutError, "did not answer within 3 s"),
    (ConnectionResetError(), HungUpError, "ended before it had answered"),
])
@pytest.mark.usefixtures("_root")
def test_a_socket_that_cannot_be_used(
    path: str, monkeypatch: pytest.MonkeyPatch, refusal: OSError, kind: type[ControlError], problem: str
) -> None:
    class Refusing(client.socket.socket):
        def connect(self, address: Any) -> None:
            raise refusal

    with socket.socket(socket.AF_UNIX) as there:
        there.bind(path)
        monkeypatch.setattr(client.socket, "socket", Refusing)
        with pytest.raises(ControlError, match=problem) as caught:
            call(path, "Renew", timeout=3.0)
    assert type(caught.value) is kind


def test_an_agent_that_stands_still(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as still:
        still.bind(path)
        still.listen()
        with pytest.raises(TimedOutError, match=f"the agent at {path} did not answer within 0 s"):
            call(path, "Renew", timeout=0.01)


@pytest.mark.parametrize(("drop", "kind", "problem"), [
    (b" ", TimedOutError, "did not answer within 0 s"),
    (b"x" * 4096, ImproperAnswerError, "more than 8192 bytes"),
])
def test_an_answer_that_never_ends(
    path: str, monkeypatch: pytest.MonkeyPatch, drop: bytes, kind: type[ControlError], problem: str
) -> None:
    """A byte now and then is no answer, nor is any number of them: the time and the size are for the whole of it."""
    monkeypatch.setattr(client, "ANSWER_LIMIT", 8192)
    timeout = 0.2 if kind is TimedOutError else fair_time.longest(10)
    with Trickler(path, drop), pytest.raises(kind, match=problem):
        call(path, "Renew", timeout=timeout)
