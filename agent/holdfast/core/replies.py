"""What we accept, and the reading of an ACK into a lease. Pure functions."""

from __future__ import annotations

from math import inf

from holdfast.core import schedule
from holdfast.core.actions import DropReason, NoticeCode
from holdfast.core.config import ClientConfig
from holdfast.core.lease import Lease
from holdfast.wire import WireError
from holdfast.wire import message as msg
from holdfast.wire import options as opt
from holdfast.wire.message import Message
from holdfast.wire.record import TYPE_CHECKING, NamedTuple, record

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from ipaddress import IPv4Address

#: RFC 2131 section 3.3.
INFINITE = 0xFFFFFFFF
#: Shorter leases than this would be renewed every few seconds; no real server means it (rule 33).
SHORTEST_LEASE = 10.0
#: No renewal sooner than this after the last, or than a hundredth of a shorter lease: a server that means T1 = 1 s
#: (a slip of the unit, or malice) would have us ask all day.
SHORTEST_T1 = 10.0
DEFAULT_T1 = 0.5
DEFAULT_T2 = 0.875


def refusal(message: Message, config: ClientConfig, xids: Collection[int]) -> DropReason | None:
    """Why ``message`` is not an answer to one of our exchanges (``xids``), or None when it is.

    The order is the order of the counters' meaning: first whether it is a DHCP reply for this
    hardware, then whether it answers a question of ours. The source address is not looked at:
    relays and off-link servers answer from elsewhere (rule 17).
    """
    if message.op != msg.BOOTREPLY:
        return DropReason.NOT_A_REPLY
    if message.htype != config.htype or len(message.chaddr) != len(config.chaddr):
        return DropReason.HARDWARE_TYPE
    if message.chaddr != config.chaddr:
        return DropReason.HARDWARE_ADDRESS
    kind = message.message_type
    if kind is None:
        return DropReason.NO_MESSAGE_TYPE
    if kind == msg.FORCERENEW:  # RFC 6704: only with authentication, which we do not ask for
        return DropReason.FORCERENEW
    if message.xid not in xids:
        return DropReason.XID
    if kind not in (msg.OFFER, msg.ACK, msg.NAK):
        return DropReason.MESSAGE_TYPE
    ours, echo = config.client_id, message.client_id
    if ours is not None and echo is not None and echo not in (ours, ours[1:]):  # some servers leave out its type byte
        return DropReason.CLIENT_ID  # RFC 6842 section 3
    return None if may_serve(message.server_id, config) else DropReason.SERVER_DENIED


def may_serve(server: IPv4Address | None, config: ClientConfig) -> bool:
    """True unless the settings deny the server with this identifier. One without an identifier is none of those that
    are allowed."""
    if server is None:
        return not config.allow_servers
    number = int(server)
    if any(number & mask == network for network, mask in config.deny_servers):
        return False
    return not config.allow_servers or any(number & mask == network for network, mask in config.allow_servers)


def same_server(answer: Message, offer: Message) -> bool:
    """True unless ``answer`` names (option 54) another server than ``offer`` did, or one where that named none."""
    named = answer.options.get(opt.SERVER_ID)
    return named is None or named == offer.options.get(opt.SERVER_ID)


def usable_address(address: IPv4Address) -> bool:
    """True for an address that an interface can have: not 0/8, loopback, multicast, reserved or broadcast."""
    first = address.packed[0]
    return 0 < first < 224 and first != 127


def is_host(address: IPv4Address, options: Mapping[int, bytes]) -> bool:
    """False for the network and the broadcast address of the subnet that option 1 makes: no neighbour sends to
    either as to a host. A /31 has none of both (RFC 3021)."""
    try:
        hosts = int(opt.subnet_mask(options.get(opt.SUBNET_MASK, b""))) ^ 0xFFFFFFFF
    except WireError:  # none, or none that ``network`` would use
        return True
    return hosts < 3 or 0 < int(address) & hosts < hosts


def same_subnet(one: IPv4Address, other: IPv4Address, options: Mapping[int, bytes]) -> bool:
    """True when a subnet with the mask of option 1 holds both. Where that is missing or none, the mask is unknown: the
    widest that there may be counts."""
    try:
        mask = int(opt.subnet_mask(options.get(opt.SUBNET_MASK, b"")))
    except WireError:
        mask = 0xFF000000
    return int(one) & mask == int(other) & mask


def offer_refusal(message: Message, config: ClientConfig) -> DropReason | None:
    """Why an OFFER cannot be taken, or None."""
    if not usable_address(message.yiaddr):
        return DropReason.NO_ADDRESS
    if not is_host(message.yiaddr, message.options):
        return DropReason.NOT_A_HOST
    if message.lease_time is None and config.default_lease_time is None:
        return DropReason.NO_LEASE_TIME
    return DropReason.MISSING_OPTION if any(code not in message.options for code in config.required) else None


def ipv6_only_wait(message: Message, config: ClientConfig) -> float | None:
    """Seconds to do without IPv4, from option 108 (RFC 8925); None when there is none, when it has not four
    bytes (section 3.1), or when we did not ask for it (section 3.2)."""
    value = message.options.get(opt.IPV6_ONLY)
    if opt.IPV6_ONLY not in config.request_list or value is None or len(value) != 4:
        return None
    return schedule.ipv6_only_wait(int.from_bytes(value, "big"))


def duration(seconds: int | None) -> float | None:
    """A time from the wire in seconds: 0xffffffff is ``inf``, absent is None."""
    return None if seconds is None else inf if seconds == INFINITE else float(seconds)


@record
class Reading(NamedTuple):
    """An ACK as a lease, or why not; and what had to be corrected."""

    lease: Lease | None
    refusal: DropReason | None
    notices: tuple[tuple[NoticeCode, str], ...] = ()


def read_ack(
    ack: Message, *, sent_at: float, now: float, fallback_time: float | None, rng: schedule.Rng,
    in_use: IPv4Address | None = None, limit: float | None = None,
) -> Reading:
    """The lease that ``ack`` grants to the REQUEST first sent at ``sent_at`` (RFC 2131 section 4.4.5).

    ``fallback_time`` (seconds) stands in for a missing option 51: the former lease's duration or the
    OFFER's; None when there is neither, and then the ACK is refused (rule 20). ``in_use`` is the address of
    the lease in hand, which is not given up for an odd mask. ``limit``: seconds that the lease lasts at most.
    """
    if not usable_address(ack.yiaddr):
        return Reading(None, DropReason.NO_ADDRESS)
    if ack.yiaddr != in_use and not is_host(ack.yiaddr, ack.options):
        return Reading(None, DropReason.NOT_A_HOST)
    asked, renewal, rebinding, server_id = ack.lease_time, ack.renewal_time, ack.rebinding_time, ack.server_id
    lease_time = fallback_time if asked is None else duration(asked)
    if lease_time is None:
        return Reading(None, DropReason.NO_LEASE_TIME)
    if limit is not None and limit < lease_time:  # T1 and T2 are of another lease than this shorter one
        lease_time, renewal, rebinding = limit, None, None
    notices: list[tuple[NoticeCode, str]] = []
    if lease_time < SHORTEST_LEASE:
        notices.append((NoticeCode.LEASE_CLAMPED, f"lease time {lease_time:.0f} s is used as {SHORTEST_LEASE:.0f} s"))
        lease_time = SHORTEST_LEASE
    if sent_at + lease_time <= now:
        return Reading(None, DropReason.UNEXPECTED)  # it took longer to arrive than it lasts
    t1, t2, corrected = normal_times(lease_time, renewal, rebinding)
    if corrected:
        notices.append((NoticeCode.TIMES_CORRECTED, corrected))
    lease = Lease(
        address=ack.yiaddr,
        server_id=server_id,
        started_at=sent_at,
        t1_at=sent_at + (fuzz_t1(t1, rng) if t1 != inf else inf),
        t2_at=sent_at + t2,
        expires_at=sent_at + lease_time,
        lease_time=lease_time,
        options=ack.options,
        siaddr=ack.siaddr,
        sname=ack.sname,
        file=ack.file,
    )
    return Reading(lease, None, tuple(notices))


def fuzz_t1(t1: float, rng: schedule.Rng) -> float:
    """T1 spread over its last fifth: standard deviation 5.8 % of T1 (rule 34), and never later."""
    return t1 * rng.uniform(0.8, 1.0)


def normal_times(lease_time: float, t1: int | None, t2: int | None) -> tuple[float, float, str]:
    """T1 and T2 in seconds with 0 < T1 < T2 < lease (rule 30), and what was wrong with the server's.

    An infinite lease has no timers. Missing values are RFC 2131's 0.5 and 0.875; a value that cannot
    hold (zero, infinite, not below the lease, T1 not below T2, T1 in no time) is replaced and named.
    """
    if lease_time == inf:
        return inf, inf, ""
    wrong = []
    second = DEFAULT_T2 * lease_time
    if t2 is not None:
        if 0 < t2 < lease_time:
            second = float(t2)
        else:
            wrong.append(f"T2 {_seconds(t2)}")
    first = min(DEFAULT_T1 * lease_time, second * DEFAULT_T1 / DEFAULT_T2)
    if t1 is not None:
        if 0 < t1 < second:
            first = float(t1)
        elif t2 is None and 0 < t1 < lease_time:  # a lone T1 beyond the default T2: keep it, move T2
            first, second = float(t1), (t1 + lease_time) / 2
        else:
            wrong.append(f"T1 {_seconds(t1)}")
    floor = min(SHORTEST_T1, lease_time / 100)
    if first < floor:
        wrong.append(f"T1 {first:.2g} s")
        first, second = floor, max(second, floor * DEFAULT_T2 / DEFAULT_T1)
    if not wrong:
        return first, second, ""
    what = " and ".join(wrong)
    return first, second, f"{what} cannot hold for a lease of {lease_time:.0f} s; T1 {first:.0f} s, T2 {second:.0f} s"


def _seconds(value: int) -> str:
    return "infinite" if value == INFINITE else f"{value} s"
