"""When to send again: pure functions of what was tried, the time left and the random generator.

The renewal ladder. One *round* is two or three rungs of the same REQUEST: by unicast, by broadcast, by broadcast from
0.0.0.0. ``rungs`` says which, ``rung_timeout`` how long each waits for its answer, ``round_gap`` how long after the
last one the next round begins.

The gap starts at 4 s and doubles, so that a server that restarts is found quickly, up to an eightieth of the lease
(15 s at 120 s, 45 s at 1 h, 18 min at 24 h); from the other side it is half of the time left, so that rounds come ever
closer as the end nears. From T1 to the end with a silent server that is 16 to 19 messages for a lease of 120 s,
95 to 112 for 1 h, 120 to 139 for 24 h (rule 36 allows 150), at least six broadcasts in the last minute (rule 37 asks
for four), the last within about 2 s of the end. ``tests/properties/test_schedule.py`` holds the bounds over seeds.

Chosen by simulation; docs/decisions/0008-the-schedule-by-simulation.md has the figures and the trade,
docs/decisions/0026-the-frontier-of-short-leases.md that of leases of 120 s. In short, for 500 clients whose server is
away until 3 s before the first lease ends: no lease is lost after its return (with RFC 2131's schedule 95 at 120 s, 18
at 1 h), and the median wait for the lease is 3.6 s (17 s) and 19 s (2.3 min).
"""

from __future__ import annotations

from holdfast.core.lease import Server
from holdfast.core.outcome import Via
from holdfast.wire.record import Protocol

#: RFC 2131 section 4.1 starts at 4 s with thick Ethernet in mind; a virtual network answers in
#: milliseconds, and a boot waits for this.
DISCOVER_FIRST = 1.0
#: Where the gaps between DISCOVERs have reached their ceiling: this part of it is the jitter that is left, and the time
#: within which an OFFER is taken.
CEILING_PARTS = 64
#: A REQUEST that follows an OFFER, and an INIT-REBOOT: tries and the waits after each, in seconds; the former are
#: multiplied by the patience that the server calls for.
REQUEST_WAITS = (1.0, 2.0, 4.0)
REBOOT_WAITS = (1.0, 2.0)
#: Patience: seconds to wait after the first message of its kind. A server with a full queue must not be asked anew
#: before it can have answered, or it answers nothing else any more and a fleet that boots never gets its addresses.
PATIENCE = 1.0
PATIENCE_MAX = 32.0
REQUEST_WAIT_MAX = 64.0
#: With rapid commit a lease counts from the first DISCOVER of its exchange, whichever was answered. After so many
#: seconds a new exchange begins, or a server that comes back after an hour would grant what has already ended.
RAPID_EXCHANGE = 5.0
#: After so many DISCOVERs without an OFFER that can be taken people are told, once for each acquisition: about 30 s.
TELL_AFTER = 5
#: How long to hope for an OFFER of the address we want, once another was offered.
OFFER_WAIT = 1.0
#: A server that offered and then granted nothing: so long others are waited for and preferred (rule 80), in seconds
#: since its last failure; and the longest wait, which doubles with its failures. Memory is for so many servers.
FAILED_OFFER_TIME = 600.0
OFFER_WAIT_MAX = 8.0
FAILED_OFFERS_MAX = 8

#: Bounds of the unicast timeout (rule 35: the first broadcast within 2 s). While unicast was never answered, the
#: exchange that won the lease tells how fast the server is.
TIMEOUT_MIN = 0.25
TIMEOUT_UNKNOWN = 1.0
TIMEOUT_MAX = 1.9
#: The same for the broadcast of a round after the first.
TIMEOUT_LATER = 4.0
#: Clocks and event loops are not exact; stay clear of the bounds that the rules set.
DEAF_TIMEOUT = 0.24
#: Near the end a rung may wait only for this part of what is left, to leave time for the next.
TIMEOUT_SHARE = 0.25

#: Rule 84: so many answers to our own probes prove that an address in use by us is somebody else's too; so many probes
#: are sent, so many seconds apart.
CONTEST_ANSWERS = 2
CONTEST_PROBES = 3
CONTEST_GAP = 1.0

#: Rule 85: a lease whose T1 is further away than a day is checked by one round a day; seconds, with their jitter.
CHECK_INTERVAL = 86400.0
CHECK_JITTER = 0.05
#: The same at the start, within so many seconds.
CHECK_START = 2.0

#: Rule 36: never two rounds within 2 s.
GAP_MIN = 2.0
#: A server that restarts is back in seconds.
GAP_FIRST = 4.0
#: The growing gap ends at this part of the lease, so that every lease has about as many rounds: as many as 150
#: messages allow (rule 36) ...
GAP_PARTS = 80
#: ... but for short leases never under this, or a fleet asks a returning server faster than RFC 2131's would ...
GAP_FLOOR = 15.0
#: ... and for long ones never over this.
GAP_CEILING = 3600.0
#: From the other side: this part of what is left.
GAP_SHARE = 1 / 2

#: How many rounds a check that is not due (carrier up, resume, operator) may take before the
#: lease is simply kept until T1.
VERIFY_ROUNDS = 3
#: How many more when another gateway answers and a server here offers another address: to take it up (rule 49).
MOVE_ROUNDS = 2

#: An OFFER of another address is taken up when this much of the lease is left, at most. At least the
#: second: two rounds of a short lease fit into it, so that one lost answer does not cost the address.
RESERVE_WINDOW = 15.0
RESERVE_WINDOW_MIN = 6.0

#: RFC 2131 section 3.1 point 5 (rule 43), and RFC 5227 section 2.1.1: after ten conflicts, one try a minute.
DECLINE_WAIT = 10.0
CONFLICT_LIMIT = 10
CONFLICT_WAIT = 60.0

NAK_WAIT_CEILING = 300.0
#: Seconds after a NAK in which an ACK of the same server to the same REQUEST still counts: answers of one server and
#: of a neighbour that is faster come within one round trip, and the slowest are a second away.
NAK_DOUBT = 2.0

#: RFC 5227 section 1.1.
PROBE_COUNT = 3
PROBE_GAP = (1.0, 2.0)
PROBE_LAST_WAIT = 2.0
ANNOUNCE_COUNT = 2
ANNOUNCE_GAP = 2.0

#: The gateway's hardware address is learned with up to three ARP requests a second apart. The question which
#: network we are on is asked faster, so that the answer of whatever gateway there is comes before the first wait
#: of an INIT-REBOOT is over. The first two requests go to the known gateway alone, the others to everybody.
LEARN_GAPS = (1.0, 1.0, 1.0)
VERIFY_GAPS = (0.2, 0.2, 0.4, 0.8, 1.6)
ASKED_ALONE = 2

#: Rule 83: the routers of an OFFER are asked for so often, so many seconds apart. Over before the REQUEST is repeated.
ROUTER_GAPS = (0.2, 0.3, 0.3)

#: ``on_expiry = "hold"``. So many seconds before the lease ends the gateway is asked whether it is there; when it
#: has not answered by the end (we slept, it was busy), it has this long to do so, and the address is gone within
#: the second that rule 40 gives. While it is held, the gateway is asked every 8 to 12 s, three times a second apart
#: when it is silent: the address goes 15 s after its last answer at the latest, or 30 s when we are dead, for
#: that is the lifetime it has in the kernel. Every third time the link is asked whether somebody else has it.
HOLD_LEAD = 5.0
HOLD_GRACE = 0.9
HOLD_LIFETIME = 30.0
HOLD_INTERVAL = (8.0, 12.0)
HOLD_GAPS = (1.0, 1.0, 1.0)
HOLD_GRACE_GAPS = (0.3, 0.3, 0.3)
HOLD_PROBE_EVERY = 3

#: After suspend or restore: seconds within which the lease is checked, at most this part of what is left of it; less
#: when it is overdue. Guests of one host wake up together.
RESUME_JITTER = 2.0
RESUME_SHARE = 1 / 20
RESUME_OVERDUE = 0.25

#: RFC 8925 section 3.4 (V6ONLY_WAIT), and a day: then the network may have changed its mind.
IPV6_ONLY_MIN = 300.0
IPV6_ONLY_MAX = 86400.0

APPLY_FIRST = 0.5
APPLY_CEILING = 30.0
ROUTES_FIRST = 0.1


class Rng(Protocol):
    """What is drawn from a random generator: random.Random has it."""

    def uniform(self, a: float, b: float) -> float:
        """Between ``a`` and ``b``, seconds or a factor."""

    def getrandbits(self, k: int) -> int:
        """``k`` bits, a transaction id."""

    def seed(self, a: int) -> None:
        """Start anew from ``a``."""


def _jitter(rng: Rng, value: float, spread: float) -> float:
    return value * rng.uniform(1.0 - spread, 1.0 + spread)


def discover_gap(tries: int, ceiling: float, rng: Rng, patience: float = PATIENCE) -> float:
    """Seconds after the ``tries``-th DISCOVER (1, 2, ...) until the next: ``patience`` (1 s) doubling up to
    ``ceiling``, jittered by up to a quarter and never above the ceiling (rule 41).

    The first gap that is cut to the ceiling is drawn from its upper half, which spreads clients that began together;
    later ones are within a 64th of it, for a fleet that waits less is faster than RFC 2131's (64 s +- 1 s), and heavier
    on a server that returns."""
    base = max(DISCOVER_FIRST, patience) * 2.0 ** min(tries - 1, 30)
    if base >= 2.0 * ceiling:
        return rng.uniform(ceiling * (1.0 - 1.0 / CEILING_PARTS), ceiling)
    if base >= ceiling:
        return rng.uniform(0.5 * ceiling, ceiling)
    gap = _jitter(rng, base, 0.25)
    return gap if gap <= ceiling else 2.0 * ceiling - gap


def offer_wait(tries: int, ceiling: float, rng: Rng) -> float:
    """Seconds from the OFFER that answers the ``tries``-th DISCOVER to its REQUEST: none, until the gaps have reached
    ``ceiling``; then up to a 64th of it (1 s). A whole fleet may have waited for this server, and two messages of each
    client in one second make a peak of twice the clients that happen to ask in it."""
    return rng.uniform(0.0, ceiling / CEILING_PARTS) if DISCOVER_FIRST * 2.0 ** min(tries - 1, 30) >= ceiling else 0.0


def request_wait(tries: int, waits: tuple[float, ...], rng: Rng, patience: float = PATIENCE) -> float | None:
    """Seconds to wait after the ``tries``-th REQUEST, or None when that was the last."""
    if tries > len(waits):
        return None
    return _jitter(rng, min(REQUEST_WAIT_MAX, waits[tries - 1] * patience), 0.1)


def patience_for(latency: float, patience: float) -> float:
    """The patience with a server whose OFFER took ``latency`` seconds: twice that, and no less than before."""
    return min(PATIENCE_MAX, max(patience, 2.0 * latency))


def failed_offer_wait(failures: int) -> float:
    """Seconds to wait for other OFFERs than that of a server that failed so many times in a row (1, 2, ...)."""
    return min(OFFER_WAIT_MAX, OFFER_WAIT * 2.0 ** min(failures - 1, 10))


def rungs(number: int, *, unicast: bool) -> tuple[Via, ...]:
    """The rungs of the ``number``-th round (1, 2, ...) of a renewal; ``unicast``: there is a server to send it to.

    The first round has all three, so that whichever way works is found in seconds. Later ones have two: every
    round asks everyone, the odd ones begin with unicast and the even ones end from 0.0.0.0.
    """
    first = (Via.UNICAST,) if unicast and number % 2 else ()
    last = (Via.BROADCAST_ANY,) if number == 1 or number % 2 == 0 else ()
    return (*first, Via.BROADCAST, *last)


def rung_timeout(via: Via, number: int, server: Server | None, left: float) -> float:
    """Seconds to wait for the answer to the rung ``via`` of the ``number``-th round before the next rung; ``server``:
    what is known of the lease's.

    In the first round four times the smoothed round trip, within 0.25 s and 1.9 s, and 1 s before any is known. For
    unicast that was never answered it is twice the round trip of the exchange that won the lease, within 0.25 s and
    1 s, and 0.24 s to a server that is known not to hear it. In later rounds it is plain that the server is not at its
    best, and a busy one is given time to answer before it is asked again: 1.9 s, and 4 s after a broadcast. Shorter
    when the lease is about to end.
    """
    srtt = server.srtt if server is not None else None
    won_in = server.request_rtt if server is not None else None
    if via is Via.UNICAST and server is not None and server.hears_unicast is False:
        timeout = DEAF_TIMEOUT
    elif number > 1:
        timeout = TIMEOUT_MAX if via is Via.UNICAST else TIMEOUT_LATER
    elif srtt is not None:
        timeout = min(TIMEOUT_MAX, max(TIMEOUT_MIN, 4.0 * srtt))
    elif via is Via.UNICAST and won_in is not None:
        timeout = min(TIMEOUT_UNKNOWN, max(TIMEOUT_MIN, 2.0 * won_in))
    else:
        timeout = TIMEOUT_UNKNOWN
    return min(timeout, max(0.05, left * TIMEOUT_SHARE))


def round_gap(rounds: int, left: float, lease_time: float, rng: Rng, latency: float = 0.0) -> float:
    """Seconds from the last rung of the ``rounds``-th round (1, 2, ...) to the next round, with ``left``
    seconds of a lease of ``lease_time``. At least 2 s; doubling from 4 s, or from twice the ``latency`` that the
    answer to the last renewal had: a server whose queue is long answers nothing else any more when a fleet asks before
    it can have answered. At most a part of the lease and half of what is left."""
    growing = max(GAP_FIRST, 2.0 * latency) * 2.0 ** min(rounds - 1, 20)
    ceiling = min(GAP_CEILING, max(GAP_FLOOR, lease_time / GAP_PARTS))
    gap = min(growing, ceiling, left * GAP_SHARE)
    return max(GAP_MIN, _jitter(rng, gap, 0.1))


def nak_wait(naks: int, rng: Rng) -> float:
    """Seconds until DISCOVER after the ``naks``-th NAK in a row: at once, then 1, 2, 4 ... 300 (rule 27)."""
    if naks <= 1:
        return 0.0
    return max(1.0, min(NAK_WAIT_CEILING, _jitter(rng, 2.0 ** min(naks - 2, 10), 0.1)))


def conflict_wait(conflicts: int) -> float:
    """Seconds to stay away after the ``conflicts``-th conflict in a row (rule 43)."""
    return DECLINE_WAIT if conflicts < CONFLICT_LIMIT else CONFLICT_WAIT


def start_delay(rng: Rng) -> float:
    """RFC 2131 section 4.4.1's desynchronisation at boot. Off unless configured: it costs every boot
    five seconds, and the jitter on T1 and on retransmission already keeps a fleet apart (rule 42)."""
    return rng.uniform(1.0, 10.0)


def resume_wait(left: float, rng: Rng, *, overdue: bool) -> float:
    """Seconds from waking up to the check of a lease with ``left`` seconds (rule 45); ``overdue``: T1 has passed."""
    return rng.uniform(0.0, min(RESUME_OVERDUE if overdue else RESUME_JITTER, left * RESUME_SHARE))


def check_wait(rng: Rng) -> float:
    """Seconds to the next check of a lease whose T1 is more than a day away (rule 85)."""
    return _jitter(rng, CHECK_INTERVAL, CHECK_JITTER)


def ipv6_only_wait(seconds: int) -> float:
    """V6ONLY_WAIT: what option 108 says, within bounds (RFC 8925 section 3.4)."""
    return min(IPV6_ONLY_MAX, max(IPV6_ONLY_MIN, float(seconds)))


def apply_wait(failures: int) -> float:
    """Seconds until the interface is configured again after the ``failures``-th failure in a row (rule 59)."""
    return min(APPLY_CEILING, APPLY_FIRST * 2.0 ** min(failures - 1, 10))


def restore_wait(restores: int) -> float:
    """Seconds until our address is put back for the ``restores``-th time within a minute: three times
    at once, then ever later, so that contention with another program is slow (rule 60)."""
    return 0.0 if restores <= 3 else apply_wait(restores - 3)


def restore_routes_wait(restores: int) -> float:
    """Seconds until our routes are put back for the ``restores``-th time within a minute: 0.1, 0.2 ... 30. A link that
    is set down loses all of them in one burst, which is gathered first (rule 60)."""
    return min(APPLY_CEILING, ROUTES_FIRST * 2.0 ** min(restores - 1, 10))
