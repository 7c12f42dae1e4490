"""What the agent sends is what its interface declares, member by member and the other way round."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from ipaddress import IPv4Address
from math import inf
from typing import Any

import pytest
from tests.support.control import LEASE, OUTCOME, SPEC, ControlBench, FakeClient, ask, hear

from holdfast.control.idl import Array, Map, Maybe, Named, Struct, Type, conform
from holdfast.control.interface import NAME, SERVICE, definition
from holdfast.core import states
from holdfast.core.actions import NoticeCode, Noticed
from holdfast.core.client import Snapshot
from holdfast.core.events import Received
from holdfast.core.lease import Gateway, Server
from holdfast.core.outcome import Result, Via
from holdfast.network.spec import NetworkSpec
from holdfast.observe.observations import Observations
from holdfast.observe.outcomes import OutcomeJournal, Record, as_record
from holdfast.wire import message as msg
from holdfast.wire import options as opt
from holdfast.wire.message import Message
from holdfast_lab.testbed import fair_time

AGENT = definition(NAME)
Member = tuple[str, str]


@pytest.fixture
def bench() -> Iterator[ControlBench]:
    # Not tmp_path: a socket's path has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="hf") as folder, ControlBench(folder) as bench:
        yield bench


def answer(bench: ControlBench, method: str, **parameters: object) -> Any:
    """The parameters of a real answer, after it was held against the declaration: nothing may be there that is not
    declared, and nothing declared may be left out, null or not."""
    interface, _, short = (method if "." in method else f"{NAME}.{method}").rpartition(".")
    with closing(bench.connect()) as connection:
        message = ask(connection, {"method": f"{interface}.{short}", "parameters": parameters})
    described = definition(interface)
    if "error" in message:
        error_interface, _, error = message["error"].rpartition(".")
        described = definition(error_interface)
        kind = described.errors[error]
    else:
        kind = described.methods[short].gives
    assert set(message) <= {"error", "parameters"}
    assert conform(described, kind, message["parameters"], strict=True) == message["parameters"]
    return message["parameters"] if "error" not in message else error


def members(kind: Type, value: Any, owner: str) -> Iterator[Member]:
    """(type, member) of everything in ``value`` that is not null."""
    if isinstance(kind, Named):
        yield from members(AGENT.types[kind.name], value, kind.name)
    elif isinstance(kind, Maybe):
        if value is not None:
            yield from members(kind.element, value, owner)
    elif isinstance(kind, Struct):
        for name, inner in kind.fields.items():
            if value[name] is not None:
                yield owner, name
                yield from members(inner, value[name], owner)
    elif isinstance(kind, (Array, Map)):
        for inner_value in value.values() if isinstance(value, Mapping) else value:
            yield from members(kind.element, inner_value, owner)


def declared() -> set[Member]:
    """(type, member) of every struct; a method's answer has the method's name."""
    structs = {**{name: kind for name, kind in AGENT.types.items() if isinstance(kind, Struct)},
               **{name: method.gives for name, method in AGENT.methods.items()}}
    return {(owner, name) for owner, kind in structs.items() for name in kind.fields}


GATEWAY = Gateway(IPv4Address("10.0.0.1"), bytes.fromhex("020000000ff1"))
ENDLESS = LEASE._replace(t1_at=inf, t2_at=inf, expires_at=inf, lease_time=inf, server_id=None, verified=False)
HELD = LEASE._replace(ended_at=939.0, expires_at=1030.0)
MOVED = OUTCOME._replace(result=Result.MOVED, former_address=IPv4Address("10.0.0.9"))
FAILED = OUTCOME._replace(result=Result.EXPIRED, via=None, latency=None, server=None, address=None,
                          former_address=None, lease_time=None, seconds_left=0.0, xid=None)
FOR_EVER = OUTCOME._replace(lease_time=inf, seconds_left=inf)
SNAPSHOTS = [
    Snapshot("INIT", None, None, None, {}, None),
    Snapshot("BOUND", LEASE, Server(IPv4Address("10.0.0.1"), False, 0.25), OUTCOME, {"xid": 3}, 1.0, GATEWAY),
    Snapshot("BOUND", ENDLESS, Server(IPv4Address("10.0.0.1"), None, None), FOR_EVER, {}, None),
    Snapshot("SELECTING", HELD, None, MOVED, {"cookie": 1, "xid": 2}, 1.0, GATEWAY),
    *(Snapshot(name, LEASE, None, FAILED, {}, 1.0) for name in states.NAMES.values()),
]


def observed() -> Observations:
    """One of everything that can be seen."""
    seen, server = Observations(), IPv4Address("10.0.0.1")
    request = Message(msg.BOOTREQUEST, 7, chaddr=b"\2" * 6, options={opt.MESSAGE_TYPE: bytes([msg.DISCOVER])})
    seen.on_sent(request, 1.0)
    offer = request._replace(op=msg.BOOTREPLY, yiaddr=IPv4Address("10.0.0.5"), options={
        opt.MESSAGE_TYPE: bytes([msg.OFFER]), opt.SERVER_ID: server.packed})
    seen.on_received(Received(offer, server, msg.BROADCAST), 2.0)
    seen.on_claim(IPv4Address("10.0.0.5"), b"\4" * 6, 3.0)
    seen.on_notice(Noticed(NoticeCode.SEND_FAILED, "unicast: EPERM"), 4.0)
    return seen


def test_status_in_every_state(bench: ControlBench) -> None:
    second = FakeClient("eth1")
    second.link = second.spec = None
    second.rival, second.yielded, second.online = "ifupdown", True, False
    second.fallback = SPEC
    second.observations, second.problems = observed(), {"ARP": "cannot be used"}
    full = NetworkSpec(SPEC.address, mtu=1400, ntp=(IPv4Address("10.0.0.3"),), captive_portal="https://portal.example")
    bench.run(lambda: bench.control.add(second))
    bench.run(lambda: bench.control.serve_patterns(("en*",)))
    seen: set[Member] = set()
    for shot in SNAPSHOTS:
        for spec in (SPEC, full, None):
            bench.client.shot = second.shot = shot
            bench.client.spec = spec
            for parameters in ({}, {"interface": "eth1"}):
                seen |= set(members(AGENT.methods["Status"].gives, answer(bench, "Status", **parameters), "Status"))
    types = {"Status", "Client", "Lease", "Network", "Instant", "Outcome", "Exchange", "Server", "Claim", "Notice"}
    assert seen == {member for member in declared() if member[0] in types}


def test_every_method(bench: ControlBench) -> None:
    journal = OutcomeJournal(bench.state, "eth0")
    journal.append(as_record(OUTCOME, "eth0", boottime=1.0, wall=1.0))
    seen: set[Member] = set()
    for name, method in AGENT.methods.items():
        seen |= {member for member in members(method.gives, answer(bench, name), name) if member[0] == name}
    assert seen == {member for member in declared() if member[0] in AGENT.methods}
    for name in definition(SERVICE).methods:
        parameters = {"interface": SERVICE} if name == "GetInterfaceDescription" else {}
        assert answer(bench, f"{SERVICE}.{name}", **parameters)


def test_every_event(bench: ControlBench) -> None:
    with closing(bench.connect()) as connection:
        first = ask(connection, {"method": f"{NAME}.Monitor", "parameters": {"interface": "eth0"}, "more": True})
        assert (first["continues"], first["parameters"]["event"]["kind"]) == (True, "state")
        (tell,) = bench.client.watchers
        kind = AGENT.methods["Monitor"].gives
        seen: set[Member] = set()
        for what in (("outcome", "renewed", None, OUTCOME), ("notice", "no offer", "no-offer", None)):
            bench.run(lambda what=what: tell(*what))  # type: ignore[misc]
            event = hear(connection)["parameters"]
            assert event["event"]["kind"] == what[0]
            assert conform(AGENT, kind, event, strict=True) == event
            seen |= set(members(kind, event, "Monitor"))
        assert {member for member in seen if member[0] == "Event"} == {
            member for member in declared() if member[0] == "Event"}
    fair_time.wait_until(lambda: bench.client.watchers == [], 10, "nobody watches any more")


def test_every_error(bench: ControlBench, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {answer(bench, "Renew", interface="eth7")}
    bench.client.yield_error = OSError(30, "Read-only file system")
    seen.add(answer(bench, "Yield"))
    monkeypatch.setattr("holdfast.runtime.control_service.ANSWER_TIMEOUT", 0.0)
    bench.client.on_submit = lambda: None
    seen.add(answer(bench, "Rebind"))
    bench.client.shot = SNAPSHOTS[0]
    seen.add(answer(bench, "Release"))
    bench.client.shot = SNAPSHOTS[0]._replace(carrier=False)
    seen.add(answer(bench, "Renew"))
    bench.client.link = None
    seen.add(answer(bench, "Renew"))

    def unreadable(*args: object, **options: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("holdfast.observe.outcomes.read_history", unreadable)
    seen.add(answer(bench, "History"))
    assert seen == set(AGENT.errors)
    service = {answer(bench, "Sing"), answer(bench, "Status", interface=7),
               answer(bench, f"{SERVICE}.GetInterfaceDescription", interface="a.b")}
    assert service == set(definition(SERVICE).errors) - {"MethodNotImplemented"}


@pytest.mark.parametrize("result", [*Result])
@pytest.mark.parametrize("via", [*Via, None])
def test_every_kind_of_outcome(bench: ControlBench, result: Result, via: Via | None) -> None:
    outcome = OUTCOME._replace(result=result, via=via)
    bench.client.on_submit = lambda: [listener(outcome) for listener in list(bench.client.listeners)]  # type: ignore
    told = answer(bench, "Renew")["outcome"]
    assert (told["result"], told["path"]) == (result.value, None if via is None else via.value)


def test_an_outcome_is_a_line_of_the_history() -> None:
    outcome = AGENT.types["Outcome"]
    assert isinstance(outcome, Struct)
    assert list(outcome.fields) == list(Record.__annotations__)


def test_lines_of_the_history_that_are_no_outcomes_are_passed_over(bench: ControlBench) -> None:
    journal = OutcomeJournal(bench.state, "eth0")
    good = as_record(OUTCOME, "eth0", boottime=1.0, wall=1.0)
    lines: list[Any] = [{"time": "2023", "result": "renewed"}, {**good, "attempts": "1"}, {**good, "later": True}, good]
    for line in lines:
        journal.append(line)
    with open(journal.path, "ab") as file:
        file.write(json.dumps({**good, "latency": float("nan")}).encode() + b"\n")
    assert answer(bench, "History")["outcomes"] == [good, good]
