"""The states of RFC 2131 figure 5, by name; ``transitions`` has the ways between them.

Each state holds only what is true in it. ``held`` is a lease that is still valid and stays on
the interface while another is asked for: our deviation from figure 5, which halts the network.
"""

from __future__ import annotations

from holdfast.core.lease import Lease
from holdfast.core.outcome import Path
from holdfast.wire.message import Message
from holdfast.wire.record import NamedTuple, record


@record
class Exchange(NamedTuple):
    """One acquisition under way. ``started_at``: its first message, the base of ``secs``.
    ``sent_at``: the first send of the present message, the base of the lease (RFC 2131 4.4.5).
    ``attempts`` counts all messages, ``tries`` those of the present kind. ``asked_at``: the last DISCOVER.
    ``patience``: seconds to wait after the first message of a kind, more when the server is slow."""

    purpose: str
    cause: str
    xid: int
    started_at: float
    sent_at: float
    secs: int = 0
    attempts: int = 0
    tries: int = 0
    asked_at: float = 0.0
    patience: float = 1.0


@record
class Round(NamedTuple):
    """One round of the ladder: its xid, when its first rung was sent, whether one could not be sent, and
    whether it began with unicast."""

    xid: int
    sent_at: float
    failed: bool = False
    unicast: bool = False


@record
class Asked(NamedTuple):
    """A REQUEST beside a rebinding: the OFFER it takes, its ``secs``, and when it was first sent."""

    offer: Message
    secs: int
    sent_at: float


@record
class Side(NamedTuple):
    """The DISCOVER beside a rebinding: the xid, ``secs`` and round number of the last one; the REQUEST that
    followed, of this or of an earlier one; an OFFER of another address in reserve, with its ``secs``; how many
    OFFERs it has brought."""

    xid: int
    secs: int
    number: int
    asked: Asked | None = None
    reserve: tuple[Message, int] | None = None
    offers: int = 0


@record
class Renewal(NamedTuple):
    """One renewal under way, from its first message to its outcome.

    ``rungs`` are the paths of the present round that are still to be sent. ``rounds`` are the last
    few rounds, the newest last, so that a late answer still counts; ``number`` counts them all.
    ``refused_by_other``: a server that is not the lease's said NAK in this round. ``setback``: why unicast
    was not enough, for the record."""

    purpose: str
    cause: str
    started_at: float | None = None
    rounds: tuple[Round, ...] = ()
    number: int = 0
    rungs: tuple[Path, ...] = ()
    skip_unicast: bool = False
    attempts: int = 0
    last_path: Path | None = None
    last_sent_at: float = 0.0
    refused_by_other: bool = False
    ask_anew: bool = False
    setback: str = ""
    side: Side | None = None


@record
class Init(NamedTuple):
    """Waiting to ask: for the carrier, after a DECLINE, between NAKs, on an IPv6-only network. ``purpose`` and
    ``cause`` are those of the acquisition to come. ``ipv6_only``: no longer than until the carrier comes anew."""

    held: Lease | None = None
    purpose: str = "acquire"
    cause: str = "start"
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
    """An OFFER was chosen and its address requested. ``conflict``: who claims that address by ARP."""

    exchange: Exchange
    offer: Message
    held: Lease | None = None
    conflict: bytes | None = None


@record
class Probing(NamedTuple):
    """Strict conflict detection: the lease is won, its address not yet used (RFC 5227). ``cached``: the remembered
    lease that INIT-REBOOT asked about. ``unanswered``: nobody answered that, and it is ``lease``."""

    lease: Lease
    exchange: Exchange
    path: Path
    held: Lease | None = None
    cached: Lease | None = None
    unanswered: bool = False

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


def lease_in_use(state: State) -> Lease | None:
    """The lease whose address is on the interface in ``state``, or None."""
    if isinstance(state, (Bound, Renewing, Rebinding)):
        return state.lease
    if isinstance(state, (InitReboot, Rebooting)):
        return None
    return state.held
