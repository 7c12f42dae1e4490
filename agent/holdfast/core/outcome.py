"""What became of one acquisition or renewal: the record every renewal leaves (promise 6)."""

from __future__ import annotations

from holdfast.wire.record import TYPE_CHECKING, Enum, NamedTuple, record

if TYPE_CHECKING:
    from ipaddress import IPv4Address


class Via(str, Enum):
    """Which way a message goes, or went."""

    UNICAST = "unicast"
    BROADCAST = "broadcast"
    BROADCAST_ANY = "broadcast-any"  # from 0.0.0.0 while bound: the ladder's third rung
    DISCOVER = "discover"


class Purpose(str, Enum):
    """Why a server was asked."""

    ACQUIRE = "acquire"
    REBOOT = "reboot"  # is the remembered lease still ours (INIT-REBOOT)
    T1 = "t1"
    T2 = "t2"
    CHECK = "check"  # T1 is more than a day away: does the server still know the lease
    LINK_UP = "link-up"
    RESUME = "resume"
    RESTORED = "restored"  # a snapshot, or a copy of the machine
    OPERATOR = "operator"
    HOLD = "hold"  # the end of an address that was held, against a NAK or beyond its lease


class Cause(str, Enum):
    """Causes in fixed words, for people. Others are a transition's (``transitions.Reason``) or name who and what."""

    START = "start"
    VERIFY = "to verify the remembered lease"
    VERIFIED = "no answer; verified by the gateway"
    UNVERIFIED = "no answer; the lease is used unverified"
    UNICAST_UNANSWERED = "unicast unanswered"
    IPV6_ONLY_OVER = "the wait of an IPv6-only network is over"
    GATEWAY_SILENT = "the gateway does not answer"


class Result(str, Enum):
    """How it ended."""

    ACQUIRED = "acquired"  # a first lease, or one after the old had gone
    RENEWED = "renewed"  # the same address again
    MOVED = "moved"  # another address, new before old
    KEPT = "kept"  # no server answered; the lease is valid and stays in use
    REFUSED = "refused"  # NAK from the lease's own server; the address is held while we ask for a new lease
    EXPIRED = "expired"  # no server answered until the end
    HELD = "held"  # the same, and the address is held beyond the lease while its gateway answers (on_expiry = "hold")
    CONFLICT = "conflict"  # the address belongs to somebody else
    RELEASED = "released"  # the operator gave it back
    STOPPED = "stopped"  # the agent was stopped in the middle
    IPV6_ONLY = "ipv6-only"  # the network asks us to do without IPv4 for some time (RFC 8925)


@record
class Outcome(NamedTuple):
    """One line of the history. Instants are seconds of CLOCK_BOOTTIME; ``seconds_left`` is never negative.

    ``purpose`` is why we asked. ``via`` is the way of
    the message that was sent last before the answer, None if none was sent. ``attempts`` counts the
    messages sent. ``latency`` is seconds from the first message to the answer, None without an answer.
    ``seconds_left`` is what was left of the lease in hand when it ended (0.0 when there was none).
    ``cause`` is for people.
    """

    purpose: Purpose
    result: Result
    via: Via | None
    attempts: int
    latency: float | None
    server: IPv4Address | None
    address: IPv4Address | None
    former_address: IPv4Address | None
    lease_time: float | None
    seconds_left: float
    cause: str
    xid: int | None
    started_at: float
    ended_at: float
