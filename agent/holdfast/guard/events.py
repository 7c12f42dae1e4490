"""Everything that the guard of one interface sees. When is told to ``Guard.handle``, in seconds of CLOCK_BOOTTIME."""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv4Address

from holdfast.wire.message import Message
from holdfast.wire.record import NamedTuple, record


class Seen(str, Enum):
    """Where a message of the client was seen."""

    OUTPUT = "output"  # NFLOG in the output hook: before ARP, whether or not it reaches the wire
    WIRE = "wire"  # the packet socket: it left the interface


@record
class Sent(NamedTuple):
    """The client sent ``message`` from ``source`` to ``destination``; ``payload`` is what the UDP datagram held."""

    message: Message
    payload: bytes
    source: IPv4Address
    destination: IPv4Address
    seen: Seen


@record
class Replied(NamedTuple):
    """A server's message arrived on the interface, from the IP address ``source``; for the client or not."""

    message: Message
    source: IPv4Address


@record
class Lifetime(NamedTuple):
    """The kernel holds ``address`` on the interface until the instant ``valid_until``, inf for ever."""

    address: IPv4Address
    valid_until: float


@record
class AddressGone(NamedTuple):
    """``address`` is not on the interface any more."""

    address: IPv4Address


@record
class ClientFound(NamedTuple):
    """Which client sends here: ``name`` ("dhclient", "networkd", "unknown", ...) and ``program`` for people."""

    name: str
    program: str


@record
class LeaseStored(NamedTuple):
    """The client's own file says that it holds ``address`` since ``started_at`` until ``expires_at``, inf for ever.
    ``server`` None: the file does not say."""

    address: IPv4Address
    server: IPv4Address | None
    started_at: float
    expires_at: float


Event = Sent | Replied | Lifetime | AddressGone | ClientFound | LeaseStored
