"""The states of RFC 2131 figure 5, by name; ``transitions`` has the ways between them.

Each state holds only what is true in it. ``held`` is a lease that is still valid and stays on
the interface while another is asked for: our deviation from figure 5, which halts the network.

Beside the state there are three regions, whose questions go on while the state changes: ``Arp`` (written by ``arp``
alone), ``Routers`` (by ``proxy_arp`` alone) and ``Hold`` (by ``expiry_hold`` alone). Instants are seconds of
CLOCK_BOOTTIME.
"""

from __future__ import annotations

from holdfast.core.lease import Lease
from holdfast.core.outcome import Cause, Purpose, Via
from holdfast.core.schedule import CONTEST_ANSWERS
from holdfast.wire.message import Message
from holdfast.wire.record import TYPE_CHECKING, Enum, NamedTuple, record

if TYPE_CHECKING:
    from ipaddress import IPv4Address


@record
class Exchange(NamedTuple):
    """One acquisition under way. ``started_at``: its first message, the base of ``secs``.
    ``sent_at``: the first send of the present message, the base of the lease (RFC 2131 4.4.5).
    ``attempts`` counts all messages, ``tries`` those of the present kind. ``asked_at``: the last DISCOVER.
    ``patience``: seconds to wait after the first message of a kind, more when the server is slow. ``rtt``: from REQUEST
    to ACK, None where a retransmission leaves open which REQUEST was answered (Karn)."""

    purpose: Purpose
    cause: str
    xid: int
    started_at: float
    sent_at: float
    secs: int = 0
    attempts: int = 0
    tries: int = 0
    asked_at: float = 0.0
    patience: float = 1.0
    rtt: float | None = None

    def answered(self, now: float) -> Exchange:
        """An ACK has come: the first tells ``rtt``, when the REQUEST was sent once."""
        return self._replace(rtt=now - self.sent_at) if self.tries == 1 and self.rtt is None else self


@record
class Round(NamedTuple):
    """One round of the ladder: its xid, when its first rung was sent, whether one could not be sent, and
    whether it began with unicast."""

    xid: int
    sent_at: float
    failed: bool = False
    unicast: bool = False


@record
class ParallelRequest(NamedTuple):
    """The REQUEST that follows a parallel DISCOVER: the OFFER it takes, its ``secs``, and when it was first sent."""

    offer: Message
    secs: int
    sent_at: float


@record
class ParallelDiscover(NamedTuple):
    """The DISCOVERs sent while a lease is being rebound: the xid, ``secs`` and round number of the last one; the
    REQUEST that followed, of this or of an earlier one; an OFFER of another address in reserve, with its ``secs``;
    how many OFFERs the last one has brought."""

    xid: int
    secs: int
    number: int
    request: ParallelRequest | None = None
    reserve: tuple[Message, int] | None = None
    offers: int = 0

    @property
    def xids(self) -> tuple[int, ...]:
        """The transaction ids whose answers count: the last DISCOVER's, and that of the REQUEST, which may belong to
        an earlier one."""
        return (self.xid,) if self.request is None else (self.xid, self.request.offer.xid)


@record
class Renewal(NamedTuple):
    """One renewal under way, from its first message to its outcome.

    ``rungs`` are the ways (``Via``) of the present round that are still to be sent. ``rounds`` are the last
    few rounds, the newest last, so that a late answer still counts; ``number`` counts them all.
    ``refused_by_other``: a server that is not the lease's said NAK in this round. ``setback``: why unicast
    was not enough, for the record. ``asked_in``: the number of the round in which the operator asked last, 0 for none;
    a check that may end without an answer counts its rounds from there."""

    purpose: Purpose
    cause: str
    started_at: float | None = None
    rounds: tuple[Round, ...] = ()
    number: int = 0
    rungs: tuple[Via, ...] = ()
    skip_unicast: bool = False
    attempts: int = 0
    last_via: Via | None = None
    last_sent_at: float = 0.0
    refused_by_other: bool = False
    ask_anew: bool = False
    setback: str = ""
    asked_in: int = 0
    parallel: ParallelDiscover | None = None


@record
class FailedOffer(NamedTuple):
    """A server that offered and then said NAK or nothing: its option 54 as it came (empty: it sent none), how often in
    a row, and when last."""

    server: bytes
    failures: int
    at: float


@record
class Init(NamedTuple):
    """Waiting to ask: for the carrier, after a DECLINE, between NAKs, on an IPv6-only network. ``purpose`` and
    ``cause`` are those of the acquisition to come. ``ipv6_only``: no longer than until the carrier comes anew."""

    held: Lease | None = None
    purpose: Purpose = Purpose.ACQUIRE
    cause: str = Cause.START.value
    ipv6_only: bool = False


@record
class InitReboot(NamedTuple):
    """A remembered lease, and no carrier yet to ask about it."""

    cached: Lease


@record
class Rebooting(NamedTuple):
    """Asked whether the remembered lease still holds."""

    cached: Lease
    exchange: Exchange
    refused_by_other: bool = False


@record
class Selecting(NamedTuple):
    """DISCOVER sent; collecting OFFERs."""

    exchange: Exchange
    offers: tuple[Message, ...] = ()
    held: Lease | None = None


@record
class Requesting(NamedTuple):
    """An OFFER was chosen and its address requested. ``conflict``: who claims that address by ARP. ``granted``: the
    ACK, while it is not known whether that is a router (``proxy_arp``)."""

    exchange: Exchange
    offer: Message
    held: Lease | None = None
    conflict: bytes | None = None
    granted: Message | None = None


@record
class Probing(NamedTuple):
    """Strict conflict detection: the lease is won, its address not yet used (RFC 5227). ``cached``: the remembered
    lease that INIT-REBOOT asked about. ``unanswered``: nobody answered that, and it is ``lease``. ``conflict``: who
    claims its address by ARP, while it is not known whether that is a router (``proxy_arp``)."""

    lease: Lease
    exchange: Exchange
    via: Via
    held: Lease | None = None
    cached: Lease | None = None
    unanswered: bool = False
    conflict: bytes | None = None

    @property
    def in_hand(self) -> Lease | None:
        """What we had before ``lease`` was won: in use, or remembered."""
        return self.held if self.held is not None else self.cached


@record
class Bound(NamedTuple):
    """The lease is in use."""

    lease: Lease


@record
class Renewing(NamedTuple):
    """The lease is in use and its renewal under way."""

    lease: Lease
    renewal: Renewal


@record
class Rebinding(NamedTuple):
    """As RENEWING, after T2: any server may answer, and a lost lease is asked for anew."""

    lease: Lease
    renewal: Renewal


@record
class Stopped(NamedTuple):
    """Told to stop (the lease stays in use), or the lease was released."""

    held: Lease | None = None


class Network(Enum):
    """What ARP says of the network we are on, compared with the gateway that the lease remembers (RFC 4436)."""

    UNKNOWN = "unknown"  # not asked, or not yet answered
    KNOWN = "known"  # that gateway answered
    OTHER = "other"  # another machine answered for its address, and it did not
    SILENT = "silent"  # asked to the end, and nobody answered for its address


class QueryPurpose(Enum):
    """What the gateway is being asked for."""

    LEARN = "learn"  # to remember its hardware address with the lease
    VERIFY = "verify"  # to find out which network we are on
    HOLD = "hold"  # to go on using the address of a lease that has ended, or is about to


@record
class GatewayQuery(NamedTuple):
    """ARP requests under way for the gateway at ``address``, on behalf of ``source``, our address. ``known``:
    the hardware address that it had, if any is remembered; ``gaps``: the seconds after each request, of which
    ``asked`` have been sent."""

    purpose: QueryPurpose
    address: IPv4Address
    known: bytes | None
    source: IPv4Address
    gaps: tuple[float, ...]
    asked: int = 0


@record
class Acd(NamedTuple):
    """Conflict detection under way for ``address``: probes and announcements sent (RFC 5227)."""

    address: IPv4Address
    probes: int = 0
    announced: int = 0


@record
class Contest(NamedTuple):
    """``by`` claims ``address``, which is in use by us, and is asked: ``probes`` sent since the claim, and ``answers``,
    at most one for each probe. ``open``: the last probe has not been answered yet."""

    address: IPv4Address
    by: bytes
    probes: int = 0
    answers: int = 0
    open: bool = False

    @property
    def proven(self) -> bool:
        """They have answered often enough for it to be theirs (rule 84)."""
        return self.answers >= CONTEST_ANSWERS


@record
class Routers(NamedTuple):
    """The routers that an OFFER names: the addresses of those that have not answered ARP, asked for ``asked`` times,
    and the hardware addresses of those that have."""

    silent: tuple[IPv4Address, ...] = ()
    macs: tuple[bytes, ...] = ()
    asked: int = 0


@record
class Arp(NamedTuple):
    """The region of ARP: the conflict detection, the contest and the question to the gateway that are under way, what
    the last question showed, and how many conflicts there were in a row."""

    acd: Acd | None = None
    contest: Contest | None = None
    query: GatewayQuery | None = None
    network: Network = Network.UNKNOWN
    conflicts: int = 0


@record
class Refused(NamedTuple):
    """The exchange that a NAK ended at ``at``: the state that it was of, its xid, option 54 of the NAK as it came."""

    state: Renewing | Rebinding | Requesting
    xid: int
    server: bytes
    at: float


@record
class Hold(NamedTuple):
    """The region of ``on_expiry = "hold"``: may the address of the lease won at ``started_at`` outlive it? When the
    gateway last answered, whether somebody else claimed the address, how often was asked."""

    started_at: float
    answered_at: float | None = None
    claimed: bool = False
    rounds: int = 0


State = (
    Init
    | InitReboot
    | Rebooting
    | Selecting
    | Requesting
    | Probing
    | Bound
    | Renewing
    | Rebinding
    | Stopped
)


#: The RFC's names.
NAMES: dict[type, str] = {
    Init: "INIT",
    InitReboot: "INIT-REBOOT",
    Rebooting: "REBOOTING",
    Selecting: "SELECTING",
    Requesting: "REQUESTING",
    Probing: "PROBING",
    Bound: "BOUND",
    Renewing: "RENEWING",
    Rebinding: "REBINDING",
    Stopped: "STOPPED",
}


def name_of(state: State) -> str:
    """The RFC's name of ``state``."""
    return NAMES[type(state)]
