"""A DHCP server as its clients see it (RFC 2131 section 4.3): what it answers and how fast, and its bad habits.

It shares nothing with the client but the message format.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from math import inf
from typing import Generic, Protocol, TypeVar

from holdfast.wire import message as msg
from holdfast.wire import options as opt
from holdfast.wire.message import ANY, BOOTREPLY, Message
from holdfast_lab.simulate.scenario import Scenario

INFINITE = 0xFFFFFFFF
_FIRST_ADDRESS = int(IPv4Address("10.0.0.10"))


def chaddr_of(index: int) -> bytes:
    """The hardware address of client ``index`` of a fleet: locally administered."""
    return b"\x02\x00" + index.to_bytes(4, "big")


def index_of(chaddr: bytes) -> int:
    """The client of a fleet with this hardware address."""
    return int.from_bytes(chaddr[2:6], "big")


def options_of(
    kind: int, server: IPv4Address | None, lease_time: int | None = None, t1: int | None = None, t2: int | None = None
) -> dict[int, bytes]:
    """Options 53, 54 (unless None) and, unless it is a NAK, 51, 58 and 59 (those that are not None), in seconds."""
    options = {opt.MESSAGE_TYPE: bytes((kind,))}
    if server is not None:
        options[opt.SERVER_ID] = server.packed
    if kind != msg.NAK:
        for code, value in ((opt.LEASE_TIME, lease_time), (opt.RENEWAL_TIME, t1), (opt.REBINDING_TIME, t2)):
            if value is not None:
                options[code] = value.to_bytes(4, "big")
    return options


def reply(request: Message, kind: int, address: IPv4Address, options: Mapping[int, bytes]) -> Message:
    """A server's answer to ``request``, its fields as in RFC 2131 table 3."""
    return Message(
        BOOTREPLY, request.xid, flags=request.flags, ciaddr=request.ciaddr if kind == msg.ACK else ANY,
        yiaddr=ANY if kind == msg.NAK else address, giaddr=request.giaddr, chaddr=request.chaddr, options=options,
    )


def _client_of(message: Message) -> bytes:
    return message.client_id or message.chaddr


class Leases(Protocol):
    """A server's table. A client is known by its client-id, or by its hardware address when it has none (RFC 2131
    section 4.2). Instants are seconds of the virtual clock."""

    def granted(self, client: bytes) -> IPv4Address | None:
        """The address that the client has, or had last."""

    def offer(self, client: bytes, wanted: IPv4Address | None, now: float, *, move: bool) -> IPv4Address | None:
        """The client's own address unless it is to ``move``, else ``wanted`` or any; None when all are taken."""

    def offered(self, client: bytes, address: IPv4Address) -> bool:
        """Whether a client that chose this server may have ``address``."""

    def chose_another(self, client: bytes) -> None:
        """The client has taken another server's offer."""

    def serves(self, address: IPv4Address) -> bool:
        """Whether this server grants ``address`` to anybody."""

    def taken(self, address: IPv4Address, now: float) -> bool:
        """Whether somebody's lease of ``address`` has not ended."""

    def grant(self, client: bytes, address: IPv4Address, ends_at: float) -> None:
        """Write it down."""

    def release(self, client: bytes, address: IPv4Address) -> None:
        """The client does without it."""

    def decline(self, client: bytes, address: IPv4Address) -> None:
        """The client does without it, and nobody is to have it."""

    def forget(self) -> None:
        """Lose every lease."""


@dataclass
class Grant:
    """An address promised until ``ends_at``."""

    address: IPv4Address
    ends_at: float


@dataclass
class Pool:
    """Addresses for whoever asks. ``latest`` remembers the latest end ever granted for (client, address), whatever is
    forgotten, so that tests can judge what the client may still use."""

    addresses: list[IPv4Address]
    grants: dict[bytes, Grant] = field(default_factory=dict)
    offers: dict[bytes, IPv4Address] = field(default_factory=dict)
    declined: set[IPv4Address] = field(default_factory=set)
    latest: dict[tuple[bytes, IPv4Address], float] = field(default_factory=dict)

    def granted(self, client: bytes) -> IPv4Address | None:
        grant = self.grants.get(client)
        return None if grant is None else grant.address

    def offer(self, client: bytes, wanted: IPv4Address | None, now: float, *, move: bool) -> IPv4Address | None:
        address = self.granted(client)
        if address is None or move or address in self.declined:
            taken = {grant.address for owner, grant in self.grants.items() if owner != client and grant.ends_at > now}
            taken |= {address for owner, address in self.offers.items() if owner != client} | self.declined
            free = [other for other in self.addresses if other not in taken and not (move and other == address)]
            address = wanted if wanted in free else next(iter(free), None)
        if address is not None:
            self.offers[client] = address
        return address

    def offered(self, client: bytes, address: IPv4Address) -> bool:
        return address in (self.offers.get(client), self.granted(client))

    def chose_another(self, client: bytes) -> None:
        self.offers.pop(client, None)

    def serves(self, address: IPv4Address) -> bool:
        return address in self.addresses

    def taken(self, address: IPv4Address, now: float) -> bool:
        return any(grant.address == address and grant.ends_at > now for grant in self.grants.values())

    def grant(self, client: bytes, address: IPv4Address, ends_at: float) -> None:
        self.grants[client] = Grant(address, ends_at)
        self.offers.pop(client, None)
        key = (client, address)
        self.latest[key] = max(self.latest.get(key, 0.0), ends_at)

    def release(self, client: bytes, address: IPv4Address) -> None:
        if self.granted(client) == address:
            del self.grants[client]

    def decline(self, client: bytes, address: IPv4Address) -> None:
        self.declined.add(address)
        self.release(client, address)

    def forget(self) -> None:
        self.grants.clear()
        self.offers.clear()


class Reservations:
    """One address of its own for each client of a fleet, the same on every server, and a byte for each lease: that is
    what there is room for. ``known`` has 1 for each client whose lease is in the table."""

    def __init__(self, clients: int) -> None:
        self.known = bytearray(clients)

    def granted(self, client: bytes) -> IPv4Address | None:
        index = index_of(client)
        return IPv4Address(_FIRST_ADDRESS + index) if self.known[index] else None

    def offer(self, client: bytes, wanted: IPv4Address | None, now: float, *, move: bool) -> IPv4Address | None:
        return IPv4Address(_FIRST_ADDRESS + index_of(client))

    def offered(self, client: bytes, address: IPv4Address) -> bool:
        return int(address) == _FIRST_ADDRESS + index_of(client)

    def chose_another(self, client: bytes) -> None:
        """A reservation stays."""

    def serves(self, address: IPv4Address) -> bool:
        return 0 <= int(address) - _FIRST_ADDRESS < len(self.known)

    def taken(self, address: IPv4Address, now: float) -> bool:
        return False

    def grant(self, client: bytes, address: IPv4Address, ends_at: float) -> None:
        self.known[index_of(client)] = 1

    def release(self, client: bytes, address: IPv4Address) -> None:
        self.known[index_of(client)] = 0

    decline = release

    def forget(self) -> None:
        self.known = bytearray(len(self.known))


Table = TypeVar("Table", bound=Leases)


@dataclass
class Server(Generic[Table]):
    """One server. Turn its habits on and off by attribute while the world runs.

    ``times``: T1 and T2, in seconds; ``network``: the options about it, those of a /24 with the server as its router
    unless told otherwise. ``silent``: hears nothing. ``deaf``: hears no unicast. ``only_any``: hears nothing that does
    not come from 0.0.0.0 (old OVN). ``authoritative``: says NAK to a client it does not know, else stays silent.
    ``adopts``: says ACK to such a client instead. ``jealous``: says NAK to other servers' clients too. ``nameless``:
    leaves out option 54. ``ipv6_only``: asks whoever asks for option 108 to do without IPv4. ``refuses``: says NAK to
    everybody. ``moves``: has another address for whoever asks. ``rapid``: commits rapidly (RFC 4039).
    """

    address: IPv4Address
    leases: Table
    lease_time: int = 120
    times: tuple[int, int] | None = None
    network: dict[int, bytes] = field(default_factory=dict)
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

    def __post_init__(self) -> None:
        self.network = self.network or {opt.SUBNET_MASK: b"\xff\xff\xff\x00", opt.ROUTER: self.address.packed}
        self._same: dict[tuple[object, ...], dict[int, bytes]] = {}  # options: thousands of answers have the same

    def hears(self, source: IPv4Address, *, unicast: bool) -> bool:
        """Whether a datagram that comes to it is heard."""
        return not (self.silent or (unicast and self.deaf) or (self.only_any and source != ANY))

    def receive(
        self, message: Message, now: float, *, source: IPv4Address = ANY, unicast: bool
    ) -> tuple[float, Message] | None:
        """When the answer to a datagram leaves, and the answer; None when there is none."""
        if not self.hears(source, unicast=unicast):
            return None
        answer = self._answer(message, now)
        return None if answer is None else (now, answer)

    def _answer(self, message: Message, now: float) -> Message | None:
        kind = message.message_type
        if kind == msg.REQUEST:
            return self._on_request(message, now)
        if kind == msg.DISCOVER:
            return self._on_discover(message, now)
        if kind == msg.DECLINE and message.requested_address is not None:
            self.leases.decline(_client_of(message), message.requested_address)
        elif kind == msg.RELEASE:
            self.leases.release(_client_of(message), message.ciaddr)
        return None

    def _on_discover(self, message: Message, now: float) -> Message | None:
        address = self.leases.offer(_client_of(message), message.requested_address, now, move=self.moves)
        if address is None:
            return None
        if self.rapid and opt.RAPID_COMMIT in message.options:
            return self._ack(message, address, now, rapid=True)
        return self._reply(message, msg.OFFER, address)

    def _on_request(self, message: Message, now: float) -> Message | None:
        """By the three kinds of REQUEST of RFC 2131 section 4.3.2."""
        chosen = message.options.get(opt.SERVER_ID)
        if chosen is not None:
            return self._on_choice(message, chosen, now)
        wanted = message.requested_address or message.ciaddr
        known = self.leases.granted(_client_of(message))
        if known is None:
            return self._on_stranger(message, wanted, now)
        if self.refuses or known != wanted:
            return self._reply(message, msg.NAK, ANY)
        if self.moves:
            wanted = self.leases.offer(_client_of(message), None, now, move=True) or wanted
        return self._ack(message, wanted, now)

    def _on_choice(self, message: Message, chosen: bytes, now: float) -> Message | None:
        if chosen != self.address.packed:
            self.leases.chose_another(_client_of(message))
            return None
        wanted = message.requested_address
        if self.refuses or wanted is None or not self.leases.offered(_client_of(message), wanted):
            return self._reply(message, msg.NAK, ANY)
        return self._ack(message, wanted, now)

    def _on_stranger(self, message: Message, wanted: IPv4Address, now: float) -> Message | None:
        if not self.leases.serves(wanted):
            return self._reply(message, msg.NAK, ANY) if self.jealous else None
        if self.adopts and not self.leases.taken(wanted, now) and not self.refuses:
            return self._ack(message, wanted, now)
        return self._reply(message, msg.NAK, ANY) if self.authoritative else None

    def _ack(self, message: Message, address: IPv4Address, now: float, *, rapid: bool = False) -> Message:
        self.leases.grant(_client_of(message), address, inf if self.lease_time == INFINITE else now + self.lease_time)
        return self._reply(message, msg.ACK, address, rapid=rapid)

    def _reply(self, message: Message, kind: int, address: IPv4Address, *, rapid: bool = False) -> Message:
        named = not self.nameless or kind == msg.OFFER
        ipv6_only = self.ipv6_only and opt.IPV6_ONLY in message.options.get(opt.PARAMETER_REQUEST_LIST, b"")
        key = (kind, message.client_id, self.lease_time, self.times, named, ipv6_only, rapid)
        options = self._same.get(key)
        if options is None:
            options = options_of(kind, self.address if named else None, self.lease_time, *(self.times or ()))
            if message.client_id is not None:
                options[opt.CLIENT_ID] = message.client_id  # RFC 6842
            options.update({opt.MESSAGE: b"no"} if kind == msg.NAK else self.network)
            if ipv6_only and kind != msg.NAK:
                options[opt.IPV6_ONLY] = bytes(4)
            if rapid:
                options[opt.RAPID_COMMIT] = b""
            self._same[key] = options
        return reply(message, kind, address, options)


class ScenarioServer(Server[Reservations]):
    """Server ``number`` of a scenario: of a finite speed, and away for a while.

    Messages are read one by one, each taking 1/``capacity`` s, answered or not; those that find the queue full are
    lost. ``arrivals`` counts what reaches the host in each second, heard or not. ``partners`` are told of each lease.
    """

    def __init__(self, scenario: Scenario, number: int) -> None:
        outage = scenario.outage if number == 1 else None
        super().__init__(
            IPv4Address(f"192.0.2.{number}"), Reservations(scenario.clients), int(scenario.lease),
            network={opt.SUBNET_MASK: b"\xff\x00\x00\x00"}, deaf=scenario.deaf,
            authoritative=outage is not None and outage.naks,
        )
        self.arrivals = array("L", bytes(array("L").itemsize * (int(scenario.span) + 1)))
        self.overflowed = 0
        self.partners: list[ScenarioServer] = []
        self._down_from, self._down_until = (inf, -inf) if outage is None else (outage.start, outage.end)
        self._forgets = outage is not None and outage.forgets
        self._service = 1.0 / scenario.capacity
        self._room = scenario.queue * self._service + 1e-9  # seconds of work; the rest is for rounding
        self._free_at = 0.0

    def receive(
        self, message: Message, now: float, *, source: IPv4Address = ANY, unicast: bool
    ) -> tuple[float, Message] | None:
        self.arrivals[int(now)] += 1
        if self._down_from <= now < self._down_until or not self.hears(source, unicast=unicast):
            return None
        start = max(now, self._free_at)
        if start - now > self._room:
            self.overflowed += 1
            return None
        self._free_at = done = start + self._service
        if now < self._down_from <= done:
            return None  # it went down with this message in its queue
        answer = self._answer(message, done)
        if answer is None:
            return None
        index = index_of(message.chaddr)
        if self.leases.known[index]:
            for partner in self.partners:
                partner.leases.known[index] = 1
        return done, answer

    def restart(self) -> None:
        """Come back, with an empty queue, and with what its table had on disk."""
        self._free_at = self._down_until
        if self._forgets:
            self.leases.forget()
