"""What the guard asks its runtime to do: send one packet, keep one record, write one line."""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv4Address

from holdfast.core.outcome import Outcome
from holdfast.wire.record import NamedTuple, record


class Verdict(str, Enum):
    """What became of one exchange of the client's. What core.outcome.Result knows, too, has its word."""

    ACQUIRED = "acquired"  # a lease by DISCOVER or INIT-REBOOT, and its address is on the interface
    RENEWED = "renewed"  # answered, and the kernel's lifetime grew
    ANSWERED = "answered"  # an ACK was seen; whether the client took it cannot be proven
    IGNORED = "ignored"  # an ACK was seen, and the client did not take it
    REFUSED = "refused"  # a NAK
    KEPT = "kept"  # not answered; the client began anew, or guard stopped, before the lease's end
    EXPIRED = "expired"  # not answered until the lease's end
    RELEASED = "released"  # the client gave the lease back


@record
class Rebroadcast(NamedTuple):
    """Send ``payload``, a message of the client's, once from ``source`` to 255.255.255.255, ports 68 and 67."""

    payload: bytes
    source: IPv4Address


#: The cause of an exchange that was open when guard ended: what became of it is not known.
STOPPED = "guard was stopped"


@record
class Recorded(NamedTuple):
    """One exchange is over. ``outcome`` has the agent's form; ``verdict`` says what its ``result`` has no word for.

    ``taken`` is True when the client proved to use the answer, False when it proved not to, None when nothing tells.
    ``former_taken`` is the same of the exchange before, told by the time of this one's first message, where that one's
    own record had to say None; else None. ``on_wire`` is False when no unicast message reached the wire, so that ARP
    for the server went unanswered; None without NFLOG, which alone sees them, or without a unicast message.
    ``unicasts`` counts the client's own unicast messages, ``rebroadcasts`` the packets that guard sent. ``others`` are
    other servers than the lease's, seen in this boot. ``client`` and ``program`` are the event ClientFound's.
    """

    outcome: Outcome
    verdict: Verdict
    client: str
    program: str
    taken: bool | None
    former_taken: bool | None
    on_wire: bool | None
    unicasts: int
    rebroadcasts: int
    others: tuple[IPv4Address, ...]


class NoticeCode(str, Enum):
    """Kinds of lines; a fixed set."""

    OTHER_SERVER = "other-server"
    CLIENT_SILENT = "client-silent"
    NOT_REPEATED = "not-repeated"
    ADDRESS_LOST = "address-lost"


@record
class Noticed(NamedTuple):
    """Something worth a line. ``detail`` is for people."""

    code: NoticeCode
    detail: str


Action = Rebroadcast | Recorded | Noticed
