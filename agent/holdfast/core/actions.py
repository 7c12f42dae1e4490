"""Everything a client can ask for. Performed in the order given: Persist, then Configure, then the rest.

Performing never raises into the core: what fails comes back as an event (SendFailed, ApplyFailed) or is the runtime's
to try again.
"""

from __future__ import annotations

from holdfast.core.lease import Binding, Lease
from holdfast.core.outcome import Outcome, Via
from holdfast.core.transitions import Reason
from holdfast.wire.message import Message
from holdfast.wire.record import TYPE_CHECKING, Enum, NamedTuple, record

if TYPE_CHECKING:
    from ipaddress import IPv4Address


@record
class Transmit(NamedTuple):
    """Send ``message``, ports 68 -> 67 (RFC 2131 section 4.1). ``destination`` 255.255.255.255 goes to the Ethernet
    broadcast; any other goes by the kernel's routing from ``source``, which is then our configured address."""

    message: Message
    via: Via
    source: IPv4Address
    destination: IPv4Address


@record
class Persist(NamedTuple):
    """Write the binding to stable storage: lease, server, gateway, client-id."""

    binding: Binding


@record
class Forget(NamedTuple):
    """Remove the stored binding: it was released, refused, or another machine has its address."""


@record
class Configure(NamedTuple):
    """Make the interface look like ``lease``; idempotent. When ``former`` has another address, the new
    one is there before the old one goes (promise 5). The runtime answers Applied or ApplyFailed."""

    lease: Lease
    former: Lease | None


class DeconfigureReason(str, Enum):
    """The only reasons for which an address may go."""

    EXPIRED = "expired"
    RELEASED = "released"
    CONFLICT = "conflict"
    HALTED = "halted"  # a NAK, with nak = "halt"


@record
class Deconfigure(NamedTuple):
    """Remove what Configure put there, and nothing else."""

    lease: Lease
    reason: DeconfigureReason


@record
class Probe(NamedTuple):
    """Send one ARP probe (RFC 5227) for ``address``."""

    address: IPv4Address


@record
class Announce(NamedTuple):
    """Send one ARP announcement for ``address`` (RFC 5227 section 2.3)."""

    address: IPv4Address


@record
class AskGateway(NamedTuple):
    """Send one ARP request for ``gateway``: to ``mac`` alone, or to everybody when that is None. ``source`` is
    the sender's protocol address: ours, or 0.0.0.0 where it is not yet certain that we may use it."""

    gateway: IPv4Address
    mac: bytes | None
    source: IPv4Address


@record
class Watch(NamedTuple):
    """From now on report ARP claims by others to any of ``addresses`` as AddressConflict, and who answers us
    for ``gateway`` as GatewaySeen; neither: stop watching."""

    addresses: tuple[IPv4Address, ...]
    gateway: IPv4Address | None = None


@record
class Transitioned(NamedTuple):
    """The state changed. ``former`` and ``state`` are RFC 2131 names (BOUND, RENEWING, ...), ``reason`` is on what."""

    former: str
    state: str
    reason: Reason


class DropReason(str, Enum):
    """Why a message was not acted on; each is counted on its own (rule 15)."""

    NOT_A_REPLY = "not-a-reply"
    HARDWARE_TYPE = "hardware-type"
    HARDWARE_ADDRESS = "hardware-address"
    XID = "xid"
    NO_MESSAGE_TYPE = "no-message-type"
    MESSAGE_TYPE = "message-type"
    CLIENT_ID = "client-id"
    NO_ADDRESS = "no-address"
    NOT_A_HOST = "not-a-host"
    NO_LEASE_TIME = "no-lease-time"
    MISSING_OPTION = "missing-option"
    OTHER_SERVER = "other-server"
    NAK_UNVERIFIED = "nak-unverified"
    FORCERENEW = "forcerenew"
    SERVER_DENIED = "server-denied"
    UNEXPECTED = "unexpected"


@record
class Dropped(NamedTuple):
    """A message was received, counted and ignored. ``server``: its option 54, None when it has none; ``detail`` is for
    people."""

    reason: DropReason
    server: IPv4Address | None
    detail: str = ""


@record
class Recorded(NamedTuple):
    """An acquisition or renewal has ended."""

    outcome: Outcome


class NoticeCode(str, Enum):
    """Kinds of notices: lines in the journal that are not the end of a renewal."""

    LEASE_CLAMPED = "lease-clamped"
    TIMES_CORRECTED = "times-corrected"
    SERVER_CHANGED = "server-changed"
    NO_OFFER = "no-offer"
    UNICAST_UNANSWERED = "unicast-unanswered"
    FOREIGN_NAK = "foreign-nak"
    SEND_FAILED = "send-failed"
    APPLY_FAILED = "apply-failed"
    ADDRESS_RESTORED = "address-restored"
    CONFLICT_IGNORED = "conflict-ignored"
    OFFER_RESERVED = "offer-reserved"
    TIME_JUMPED = "time-jumped"
    AUTO_CONFIGURE = "auto-configure"
    GATEWAY_CHANGED = "gateway-changed"
    OTHER_NETWORK = "other-network"
    RESTORED = "restored"


@record
class Noticed(NamedTuple):
    """A notice for the log. ``detail`` is a text."""

    code: NoticeCode
    detail: str


Action = (
    Transmit
    | Persist
    | Forget
    | Configure
    | Deconfigure
    | Probe
    | Announce
    | AskGateway
    | Watch
    | Transitioned
    | Dropped
    | Recorded
    | Noticed
)
