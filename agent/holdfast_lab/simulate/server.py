"""A DHCP server as its clients see it: what it answers, how fast, and what it has forgotten."""

from __future__ import annotations

from array import array
from ipaddress import IPv4Address
from math import inf

from holdfast.wire import message as msg
from holdfast.wire import options as opt
from holdfast.wire.message import BOOTREPLY, Message
from holdfast_lab.simulate.scenario import Scenario

_FIRST_ADDRESS = int(IPv4Address("10.0.0.10"))
_MASK = IPv4Address("255.0.0.0").packed


def chaddr_of(index: int) -> bytes:
    """The hardware address of client ``index``: locally administered."""
    return b"\x02\x00" + index.to_bytes(4, "big")


class Server:
    """One server. Every client has one address, the same on every server.

    Messages are read one by one, each taking 1/``capacity`` s, answered or not; those that find the queue full are
    lost. ``arrivals`` counts what reaches the host in each second, heard or not.
    """

    def __init__(self, scenario: Scenario, number: int) -> None:
        self.address = IPv4Address(f"192.0.2.{number}")
        self.arrivals = array("L", bytes(array("L").itemsize * (int(scenario.span) + 1)))
        self.overflowed = 0
        self.known = bytearray(scenario.clients)  # 1 for each client whose lease is in the database
        self.down_from, self.down_until = inf, -inf
        self._naks = False
        self._deaf = scenario.deaf
        self._service = 1.0 / scenario.capacity
        self._room = scenario.queue * self._service + 1e-9  # seconds of work; the rest is for rounding
        self._free_at = 0.0
        common = {
            opt.SERVER_ID: self.address.packed,
            opt.LEASE_TIME: int(scenario.lease).to_bytes(4, "big"),
            opt.SUBNET_MASK: _MASK,
        }
        self._options = {
            kind: {opt.MESSAGE_TYPE: bytes((kind,)), **common} for kind in (msg.OFFER, msg.ACK)
        }
        self._options[msg.NAK] = {opt.MESSAGE_TYPE: bytes((msg.NAK,)), opt.SERVER_ID: self.address.packed}
        if scenario.outage is not None and number == 1:
            self.down_from, self.down_until = scenario.outage.start, scenario.outage.end
            self._naks = scenario.outage.naks

    def receive(self, index: int, message: Message, now: float, *, unicast: bool) -> tuple[float, Message] | None:
        """When the answer leaves, and the answer; None when there is none."""
        self.arrivals[int(now)] += 1
        if self.down_from <= now < self.down_until or (unicast and self._deaf):
            return None
        start = max(now, self._free_at)
        if start - now > self._room:
            self.overflowed += 1
            return None
        self._free_at = done = start + self._service
        if now < self.down_from <= done:
            return None  # it went down with this message in its queue
        kind = self._verdict(index, message)
        if kind is None:
            return None
        if kind == msg.ACK:
            self.known[index] = 1
        yiaddr = msg.ANY if kind == msg.NAK else IPv4Address(_FIRST_ADDRESS + index)
        return done, Message(
            BOOTREPLY, message.xid, yiaddr=yiaddr, chaddr=message.chaddr, options=self._options[kind]
        )

    def restart(self, *, knows: bytearray | None) -> None:
        """Come back: with an empty queue, and with the database ``knows`` (None: with an empty one)."""
        self._free_at = self.down_until
        self.known = bytearray(len(self.known)) if knows is None else bytearray(knows)

    def _verdict(self, index: int, message: Message) -> int | None:
        """The type of the answer (RFC 2131 section 4.3), or None."""
        if message.options[opt.MESSAGE_TYPE][0] == msg.DISCOVER:
            return msg.OFFER
        chosen = message.options.get(opt.SERVER_ID)
        if chosen is not None:
            return msg.ACK if chosen == self.address.packed else None
        if self.known[index]:
            return msg.ACK
        return msg.NAK if self._naks else None
