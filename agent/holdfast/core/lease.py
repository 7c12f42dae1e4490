"""A lease as the core holds it, and the binding: what is remembered with it.

Instants (``*_at``) are seconds of CLOCK_BOOTTIME; durations are seconds. An infinite lease
(RFC 2131 section 3.3, 0xffffffff) has ``math.inf`` everywhere, so that no comparison needs a special case.
"""

from __future__ import annotations

from math import inf

from holdfast.wire.address import IPv4Address
from holdfast.wire.record import TYPE_CHECKING, NamedTuple, record

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Rule 38: a server that was deaf to unicast in so many renewals in a row is asked by unicast in every eighth only.
UNICAST_TRIES = 3
UNICAST_EVERY = 8


@record
class Lease(NamedTuple):
    """One address for some time.

    ``started_at`` is when the REQUEST that won it was first sent (RFC 2131 section 4.4.5), not
    when the ACK came. ``t1_at`` is already fuzzed. ``server_id`` is option 54, None when the
    server sent none or 0.0.0.0: such a lease is renewed by broadcast. ``verified`` is False while
    the lease is only remembered (INIT-REBOOT that nobody answered).

    ``ended_at`` is None but for a lease that has ended and whose address is held all the same
    (``on_expiry = "hold"``): then it is the lease's end, and ``expires_at`` how long the address may
    still be used, a few seconds at a time.
    """

    address: IPv4Address
    server_id: IPv4Address | None
    started_at: float
    t1_at: float
    t2_at: float
    expires_at: float
    lease_time: float
    options: Mapping[int, bytes]
    siaddr: IPv4Address = IPv4Address(0)
    sname: bytes = b""
    file: bytes = b""
    verified: bool = True
    ended_at: float | None = None

    @property
    def infinite(self) -> bool:
        """True for a lease without an end."""
        return self.expires_at == inf

    def seconds_left(self, now: float) -> float:
        """Seconds of the lease, never negative (rule 75); none of one that is only held."""
        return max(0.0, self.expires_at - now) if self.ended_at is None else 0.0

    def valid(self, now: float) -> bool:
        """True as long as the address may be used: until the lease's end (exclusive), or that of its being held."""
        return now < self.expires_at

    def ended(self, now: float) -> bool:
        """True from the lease's end on, whether its address is held or not."""
        return now >= (self.expires_at if self.ended_at is None else self.ended_at)


@record
class Server(NamedTuple):
    """What was learned about the server ``server_id`` (option 54); kept with the lease.

    ``hears_unicast`` is None until a renewal has shown it. ``srtt`` is the smoothed round-trip time of unicast in
    seconds (RFC 6298 weights), None until one was measured. ``request_rtt``: from REQUEST to ACK when a lease was won
    by broadcast, seconds; None where it is not known. ``unheard``: renewals in a row that unicast did not win, which
    goes in a circle: after ``UNICAST_TRIES`` from there to that + ``UNICAST_EVERY`` - 1.
    """

    server_id: IPv4Address
    hears_unicast: bool | None = None
    srtt: float | None = None
    request_rtt: float | None = None
    unheard: int = 0

    @property
    def unicast_due(self) -> bool:
        """Whether the next renewal begins by unicast: always, but to a server that was deaf ``UNICAST_TRIES`` times in
        a row only every ``UNICAST_EVERY``-th time (rule 38)."""
        return self.unheard < UNICAST_TRIES or self.unheard == UNICAST_TRIES + UNICAST_EVERY - 1

    def answered(self, round_trip: float) -> Server:
        """It answered a unicast message after ``round_trip`` seconds, which count for one eighth (RFC 6298, 2)."""
        srtt = round_trip if self.srtt is None else 0.875 * self.srtt + 0.125 * round_trip
        return self._replace(hears_unicast=True, srtt=srtt, unheard=0)

    def deaf(self) -> Server:
        """A renewal was won by broadcast, after unicast in vain or, with a server known to be deaf, without it."""
        circle = UNICAST_TRIES + UNICAST_EVERY
        unheard = self.unheard + 1 if self.unheard + 1 < circle else UNICAST_TRIES
        return self._replace(hears_unicast=False, unheard=unheard)


@record
class Gateway(NamedTuple):
    """The lease's default gateway as ARP found it: ``mac`` says which network we are on (RFC 4436).
    Kept with the lease."""

    address: IPv4Address
    mac: bytes


@record
class Binding(NamedTuple):
    """What RFC 2131 section 1.4 calls a binding: a lease, and all that is remembered with it from one process to the
    next. ``client_id`` is option 61 as it is sent for this binding (rule 8), empty where none is sent."""

    lease: Lease
    server: Server | None = None
    gateway: Gateway | None = None
    client_id: bytes = b""
