"""One exchange of the client's with a server: its messages, and the answer."""

from __future__ import annotations

from ipaddress import IPv4Address

from holdfast.core.outcome import Purpose, Via
from holdfast.wire.message import Message
from holdfast.wire.record import NamedTuple

#: Transaction ids that are kept of one exchange: NetworkManager and dhcpcd take a new one for a retry, and an answer
#: to an older one counts.
XIDS = 8
#: Messages of one exchange that are told apart from their copies; a copy comes within the seconds that ARP takes.
COPY_WITHIN = 5.0


class Sighting(NamedTuple):
    """The last unicast message: for its rebroadcast, and to know its copy on the wire when it comes."""

    payload: bytes
    source: IPv4Address
    at: float
    from_output: bool


class Answer(NamedTuple):
    """The first ACK to an exchange."""

    at: float
    server: IPv4Address | None
    address: IPv4Address
    lease_time: float | None


class Heard(NamedTuple):
    """A REQUEST of the client's, and the ACK to it, at the instant ``at``."""

    request: Message
    ack: Message
    at: float


class Exchange:
    """What the client has asked and is not done with. Written by ``Guard`` alone."""

    def __init__(self, purpose: Purpose, ciaddr: IPv4Address, chaddr: bytes, now: float) -> None:
        self.purpose = purpose
        self.ciaddr = ciaddr
        self.chaddr = chaddr
        self.started_at = now
        self.last_at = now
        self.via: Via | None = None
        self.xids: list[int] = []
        self.request: Message | None = None  # the last one, that is no DISCOVER
        self.attempts = 0
        self.unicasts = 0
        self.unicast: Sighting | None = None
        self.on_wire: bool | None = None
        self.rebroadcasts = 0
        self.repeat_at: float | None = None
        self.answer: Answer | None = None
        self.former_taken: bool | None = None

    def add(self, xid: int, via: Via, now: float) -> None:
        """One more message of the client's."""
        if xid not in self.xids:
            self.xids = [*self.xids[1 - XIDS:], xid]
        self.attempts += 1
        self.via, self.last_at, self.repeat_at = via, now, None

    def is_copy(self, payload: bytes, now: float) -> bool:
        """True when the packet socket shows what the output hook has shown before; the runtime reads that first."""
        last = self.unicast
        return last is not None and last.from_output and last.payload == payload and now - last.at < COPY_WITHIN
