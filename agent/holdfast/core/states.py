"""The states of RFC 2131 figure 5, by name, and every transition between them.

Each state holds only what is true in it. ``held`` is a lease that is still valid and stays on
the interface while another is asked for: our deviation from figure 5, which halts the network.
``TRANSITIONS`` is the whole machine: ``machine.Machine.enter`` refuses a change that is not in
it, and docs/states.md is drawn from it.
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


_NAMES: dict[type, str] = {
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
    return _NAMES[type(state)]


def lease_in_use(state: State) -> Lease | None:
    """The lease whose address is on the interface in ``state``, or None."""
    if isinstance(state, (Bound, Renewing, Rebinding)):
        return state.lease
    if isinstance(state, (InitReboot, Rebooting)):
        return None
    return state.held


#: (from, to, on). Asserted by the gate, drawn in docs/states.md.
TRANSITIONS: tuple[tuple[str, str, str], ...] = (
    ("INIT", "SELECTING", "start: DISCOVER"),
    ("INIT", "INIT-REBOOT", "start: a valid lease is remembered, no carrier"),
    ("INIT", "REBOOTING", "start: a valid lease is remembered"),
    ("INIT", "BOUND", "start: the remembered lease is on the link"),
    ("INIT", "INIT", "start: DISCOVER"),
    ("INIT", "INIT", "the held lease ended"),
    ("INIT", "INIT", "the held address belongs to somebody else"),
    ("INIT-REBOOT", "REBOOTING", "carrier up"),
    ("INIT-REBOOT", "SELECTING", "the remembered lease ended"),
    ("REBOOTING", "INIT-REBOOT", "carrier lost"),
    ("REBOOTING", "BOUND", "ACK"),
    ("REBOOTING", "PROBING", "ACK, strict conflict detection"),
    ("REBOOTING", "RENEWING", "no answer: the lease is still ours"),
    ("REBOOTING", "REBINDING", "no answer: the lease is still ours"),
    ("REBOOTING", "SELECTING", "NAK"),
    ("REBOOTING", "SELECTING", "NAK of another server, and no ACK"),
    ("REBOOTING", "SELECTING", "the remembered lease ended"),
    ("REBOOTING", "SELECTING", "another gateway answers: another network"),
    ("REBOOTING", "PROBING", "no answer, strict conflict detection"),
    ("REBOOTING", "REBOOTING", "restored"),
    ("REBOOTING", "INIT", "the network is IPv6-only"),
    ("SELECTING", "REQUESTING", "OFFER chosen"),
    ("SELECTING", "BOUND", "ACK, rapid commit"),
    ("SELECTING", "PROBING", "ACK, strict conflict detection"),
    ("SELECTING", "INIT", "carrier lost"),
    ("SELECTING", "INIT", "the network is IPv6-only"),
    ("SELECTING", "SELECTING", "restored"),
    ("SELECTING", "SELECTING", "the held lease ended"),
    ("SELECTING", "SELECTING", "the held address belongs to somebody else"),
    ("REQUESTING", "BOUND", "ACK"),
    ("REQUESTING", "PROBING", "ACK, strict conflict detection"),
    ("REQUESTING", "INIT", "ACK of an address that somebody else has: DECLINE"),
    ("REQUESTING", "INIT", "NAK"),
    ("REQUESTING", "SELECTING", "NAK"),
    ("REQUESTING", "SELECTING", "no answer"),
    ("REQUESTING", "SELECTING", "restored"),
    ("REQUESTING", "INIT", "carrier lost"),
    ("REQUESTING", "REQUESTING", "the held lease ended"),
    ("REQUESTING", "REQUESTING", "the held address belongs to somebody else"),
    ("PROBING", "BOUND", "nobody else has the address"),
    ("PROBING", "RENEWING", "nobody else has the address"),
    ("PROBING", "REBINDING", "nobody else has the address"),
    ("PROBING", "INIT", "somebody else has the address: DECLINE"),
    ("PROBING", "SELECTING", "the lease ended while probing"),
    ("PROBING", "INIT", "the lease ended while probing"),
    ("PROBING", "PROBING", "the held lease ended"),
    ("PROBING", "PROBING", "the held address belongs to somebody else"),
    ("BOUND", "RENEWING", "T1"),
    ("BOUND", "REBINDING", "T2"),
    ("BOUND", "RENEWING", "carrier up"),
    ("BOUND", "REBINDING", "carrier up"),
    ("BOUND", "RENEWING", "resumed"),
    ("BOUND", "REBINDING", "resumed"),
    ("BOUND", "RENEWING", "restored"),
    ("BOUND", "REBINDING", "restored"),
    ("BOUND", "RENEWING", "operator"),
    ("BOUND", "REBINDING", "operator"),
    ("BOUND", "INIT", "somebody else has the address: DECLINE"),
    ("BOUND", "SELECTING", "the lease ended"),
    ("BOUND", "INIT", "the lease ended"),
    ("RENEWING", "BOUND", "ACK"),
    ("RENEWING", "BOUND", "no answer, and T1 has not come"),
    ("RENEWING", "REBINDING", "T2"),
    ("RENEWING", "REBINDING", "operator"),
    ("RENEWING", "SELECTING", "NAK"),
    ("RENEWING", "INIT", "NAK"),
    ("RENEWING", "INIT", "somebody else has the address: DECLINE"),
    ("RENEWING", "PROBING", "ACK, strict conflict detection"),
    ("RENEWING", "SELECTING", "the lease ended"),
    ("RENEWING", "INIT", "the lease ended"),
    ("REBINDING", "BOUND", "ACK"),
    ("REBINDING", "BOUND", "no answer, and T1 has not come"),
    ("REBINDING", "SELECTING", "NAK"),
    ("REBINDING", "INIT", "NAK"),
    ("REBINDING", "INIT", "somebody else has the address: DECLINE"),
    ("REBINDING", "PROBING", "ACK, strict conflict detection"),
    ("REBINDING", "SELECTING", "the lease ended"),
    ("REBINDING", "INIT", "the lease ended"),
    *((name, "SELECTING", "the lease ended, its address is held") for name in ("BOUND", "RENEWING", "REBINDING")),
    *((name, name, on) for name in ("INIT", "SELECTING", "REQUESTING", "PROBING")
      for on in ("the lease ended, its address is held", "the gateway answers: the address is held on")),
    *((name, "STOPPED", on) for name in _NAMES.values() for on in ("stop", "release") if name != "STOPPED"),
    ("STOPPED", "INIT", "operator"),
    ("STOPPED", "SELECTING", "operator"),
)
