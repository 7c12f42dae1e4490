"""A DHCP server for the virtual network: its own lease table, and every bad habit we have met.

It is written from RFC 2131 section 4.3 and shares nothing with the client but the message format.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from math import inf

from holdfast.wire import message as msg
from holdfast.wire import options as opt
from holdfast.wire.message import ANY, BROADCAST, Message

INFINITE = 0xFFFFFFFF


@dataclass
class Grant:
    """An address promised to a hardware address until ``ends_at`` (seconds of the virtual clock)."""

    address: IPv4Address
    ends_at: float


@dataclass
class SimulatedServer:
    """One server. Turn its faults on and off by attribute while the world runs.

    ``silent``: hears nothing. ``deaf``: hears no unicast. ``only_any``: hears nothing that does not come from
    0.0.0.0 (old OVN). ``authoritative``: says NAK to a client it does not know, else stays silent.
    ``adopts``: says ACK to such a client instead. ``jealous``: says NAK to other servers' clients too.
    ``nameless``: leaves out option 54. ``ipv6_only``: asks whoever asks for option 108 to do without IPv4.
    ``promises`` remembers the latest end it ever granted for (chaddr, address); a restart does not forget that, so
    that tests can judge what the client may still use.
    """

    address: IPv4Address
    pool: list[IPv4Address]
    lease_time: int = 120
    times: tuple[int, int] | None = None
    silent: bool = False
    deaf: bool = False
    only_any: bool = False
    authoritative: bool = True
    adopts: bool = False
    jealous: bool = False
    nameless: bool = False
    ipv6_only: bool = False
    refuses: bool = False
    moves: bool = False
    rapid: bool = False
    table: dict[bytes, Grant] = field(default_factory=dict)
    offered: dict[bytes, IPv4Address] = field(default_factory=dict)
    bad: set[IPv4Address] = field(default_factory=set)
    promises: dict[tuple[bytes, IPv4Address], float] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)

    def restart(self) -> None:
        """Forget every lease."""
        self.table.clear()
        self.offered.clear()

    def hears(self, source: IPv4Address, destination: IPv4Address) -> bool:
        """Whether a datagram with these addresses reaches the server at all."""
        if self.silent or (self.only_any and source != ANY):
            return False
        return destination == BROADCAST or (destination == self.address and not self.deaf)

    def receive(self, message: Message, now: float) -> list[Message]:
        """The replies to one message that was heard."""
        kind = message.message_type
        self.heard.append(msg.MESSAGE_NAMES.get(kind or 0, "?"))
        if kind == msg.DISCOVER:
            return self._on_discover(message, now)
        if kind == msg.REQUEST:
            return self._on_request(message, now)
        if kind == msg.DECLINE and message.requested_address is not None:
            self.bad.add(message.requested_address)
            self._forget(message.chaddr, message.requested_address)
        elif kind == msg.RELEASE:
            self._forget(message.chaddr, message.ciaddr)
        return []

    def _forget(self, chaddr: bytes, address: IPv4Address) -> None:
        grant = self.table.get(chaddr)
        if grant is not None and grant.address == address:
            del self.table[chaddr]

    def _on_discover(self, message: Message, now: float) -> list[Message]:
        address = self._address_for(message.chaddr, message.requested_address, now)
        if address is None:
            return []
        if self.rapid and opt.RAPID_COMMIT in message.options:
            return [self._ack(message, address, now, {opt.RAPID_COMMIT: b""})]
        self.offered[message.chaddr] = address
        return [self._reply(message, msg.OFFER, address, self._times())]

    def _address_for(self, chaddr: bytes, wanted: IPv4Address | None, now: float) -> IPv4Address | None:
        known = self.table.get(chaddr)
        if known is not None and not self.moves and known.address not in self.bad:
            return known.address
        taken = {grant.address for owner, grant in self.table.items() if owner != chaddr and grant.ends_at > now}
        taken |= {address for owner, address in self.offered.items() if owner != chaddr} | self.bad
        if self.moves and known is not None:
            taken.add(known.address)
        free = [address for address in self.pool if address not in taken]
        return wanted if wanted in free else next(iter(free), None)

    def _on_request(self, message: Message, now: float) -> list[Message]:
        chosen = message.server_id
        if chosen is not None:  # SELECTING
            if chosen != self.address:
                self.offered.pop(message.chaddr, None)
                return []
            wanted = message.requested_address
            if self.refuses or wanted is None or wanted not in self._acceptable(message.chaddr):
                return [self._nak(message)]
            return [self._ack(message, wanted, now)]
        wanted = message.requested_address or message.ciaddr
        known = self.table.get(message.chaddr)
        if known is None:
            return self._on_stranger(message, wanted, now)
        if self.refuses or known.address != wanted:
            return [self._nak(message)]
        if self.moves:
            address = self._address_for(message.chaddr, None, now) or wanted
            return [self._ack(message, address, now)]
        return [self._ack(message, wanted, now)]

    def _acceptable(self, chaddr: bytes) -> Iterable[IPv4Address]:
        known = self.table.get(chaddr)
        return {self.offered.get(chaddr), None if known is None else known.address} - {None}  # type: ignore[return-value]

    def _on_stranger(self, message: Message, wanted: IPv4Address, now: float) -> list[Message]:
        if wanted not in self.pool:
            return [self._nak(message)] if self.jealous else []
        taken = any(grant.address == wanted and grant.ends_at > now for grant in self.table.values())
        if self.adopts and not taken and not self.refuses:
            return [self._ack(message, wanted, now)]
        return [self._nak(message)] if self.authoritative else []

    def _times(self) -> dict[int, bytes]:
        values = {opt.LEASE_TIME: self.lease_time}
        if self.times is not None:
            values[opt.RENEWAL_TIME], values[opt.REBINDING_TIME] = self.times
        return {code: value.to_bytes(4, "big") for code, value in values.items()}

    def _ack(
        self, message: Message, address: IPv4Address, now: float, more: dict[int, bytes] | None = None
    ) -> Message:
        ends_at = inf if self.lease_time == INFINITE else now + self.lease_time
        self.table[message.chaddr] = Grant(address, ends_at)
        self.offered.pop(message.chaddr, None)
        key = (message.chaddr, address)
        self.promises[key] = max(self.promises.get(key, 0.0), ends_at)
        return self._reply(message, msg.ACK, address, {**self._times(), **(more or {})})

    def _nak(self, message: Message) -> Message:
        return self._reply(message, msg.NAK, ANY, {opt.MESSAGE: b"no"})

    def _reply(self, message: Message, kind: int, address: IPv4Address, more: dict[int, bytes]) -> Message:
        options = {opt.MESSAGE_TYPE: bytes((kind,))}
        if not self.nameless or kind == msg.OFFER:
            options[opt.SERVER_ID] = self.address.packed
        if message.client_id is not None:
            options[opt.CLIENT_ID] = message.client_id
        if kind != msg.NAK:
            options[opt.SUBNET_MASK] = b"\xff\xff\xff\x00"
            options[opt.ROUTER] = self.address.packed
            if self.ipv6_only and opt.IPV6_ONLY in message.options.get(opt.PARAMETER_REQUEST_LIST, b""):
                options[opt.IPV6_ONLY] = bytes(4)
        options.update(more)
        return Message(
            op=msg.BOOTREPLY, xid=message.xid, flags=message.flags, ciaddr=message.ciaddr, yiaddr=address,
            giaddr=message.giaddr, chaddr=message.chaddr, options=options,
        )
