"""The fuzzer of exchanges: what it changes, that it finds what is broken, and a few of its runs."""

from __future__ import annotations

from ipaddress import IPv4Address
from random import Random

import pytest
from tests.fuzz import fuzz_exchanges as fuzz

from holdfast.core import machine
from holdfast.core.actions import DeconfigureReason
from holdfast.wire import WireError
from holdfast.wire import message as msg
from holdfast.wire import options as opt
from holdfast.wire.message import Message, decode, encode
from holdfast_lab.simulate.server import options_of

ACK = Message(
    msg.BOOTREPLY, 7, yiaddr=IPv4Address("192.0.2.100"), chaddr=bytes(6),
    options=options_of(msg.ACK, IPv4Address("192.0.2.1"), 120, 60, 105) | {opt.SUBNET_MASK: b"\xff\xff\xff\0"},
)


def test_a_message_taken_apart_is_the_same_put_together() -> None:
    data = encode(ACK)
    assert decode(data[:fuzz.HEADER] + fuzz.packed(fuzz.options_of(data))) == ACK


def test_answers_are_changed_by_their_structure() -> None:
    forger, kinds = fuzz.Forger(Random(1)), set()
    for _ in range(2000):
        data = forger.change(ACK)
        try:
            read = decode(data)
        except WireError as error:
            kinds.add(error.reason)
            continue
        codes = [code for code, _ in fuzz.options_of(data)]
        kinds |= {
            name for name, there in {
                "repeated": len(codes) > len(set(codes)), "reordered": codes != sorted(codes),
                "left out": not set(ACK.options) <= set(read.options), "overloaded": opt.OVERLOAD in codes,
                "xid": read.xid != ACK.xid, "yiaddr": read.yiaddr != ACK.yiaddr,
                "server": read.server_id != ACK.server_id, "type": read.message_type != msg.ACK,
            }.items() if there
        }
    assert kinds >= {
        "repeated", "reordered", "left out", "overloaded", "xid", "yiaddr", "server", "type", "option",
    }, kinds


def test_runs_find_nothing() -> None:
    found = [fuzz.run(number) for number in range(60)]
    assert [each for each in found if each.error] == []
    assert found[0] == fuzz.run(0), "a run is its number"
    assert sum(each.events for each in found) > 10_000


def test_a_client_that_lets_go_of_its_lease_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise 2 broken on purpose: whatever is in use is removed when a renewal begins."""
    enter = machine.Machine.enter

    def careless(self: machine.Machine, *arguments: object, **more: object) -> None:
        enter(self, *arguments, **more)  # type: ignore[arg-type]
        if self.lease is not None and type(self.state).__name__ == "Renewing":
            self.emit(machine.act.Deconfigure(self.lease, DeconfigureReason.EXPIRED))

    monkeypatch.setattr(machine.Machine, "enter", careless)
    assert any(fuzz.run(number).error for number in range(20))
