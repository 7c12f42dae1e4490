"""The guard of one interface: events in, actions out. It knows no clock, socket or file.

Theory of operation
-------------------
The messages of the client and the answers to them are an *exchange*; there is one at a time. It ends with an answer
that the client took or had time to take, with a NAK, with a RELEASE, with a new start of the client's, or with the
lease, and every end is one ``Recorded``. An ACK is believed in nothing but the time that it tells.

Where it is allowed, a unicast REQUEST that nobody answered within a second is repeated by broadcast: once for each
message of the client's, not more than once a second, and never after an answer, a broadcast of the client's own, a
RELEASE, or the lease's end. In ``_may_repeat`` is every condition.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from math import inf

from holdfast.core.outcome import Outcome, Purpose, Result, Via
from holdfast.guard.actions import STOPPED, Action, NoticeCode, Noticed, Rebroadcast, Recorded, Verdict
from holdfast.guard.events import AddressGone, ClientFound, Event, LeaseStored, Lifetime, Replied, Seen, Sent
from holdfast.guard.exchange import Answer, Exchange, Heard, Sighting
from holdfast.wire import message as m
from holdfast.wire.record import NamedTuple

#: Seconds that a unicast may go unanswered; a server that hears it answers within milliseconds, a busy one within this.
#: A newer message starts it again, so that it is also the least time between two packets that guard sends.
PATIENCE = 1.0
#: A repeat is no older than this: a guest's stateful firewall lets an answer through for 30 s after the unicast.
REPEAT_WITHIN = 25.0
#: Seconds in which a client takes an answer: one that probes a new address first (RFC 5227) takes up to seven.
TAKEN_WITHIN = 8.0
#: A lifetime that ends this many seconds before the ACK's lease is that lease's: clients count from their question.
TOLERANCE = 3.0
#: What a lifetime grows by at least when the client renews it, in seconds; smaller steps are rounding.
GROWTH = 1.5
#: Seconds after a broadcast of the client's in which a second server would have answered it.
SETTLED = 3.0
#: The part of a lease after which every client has asked again, also by broadcast (T2 is 7/8).
SILENCE = 0.9
#: A request before this part of the lease has passed shows that the client did not take the answer (T1 is 1/2).
EARLY = 0.25
#: Other servers that are remembered.
SERVERS = 8
#: The name of a client that is none of those that are known.
UNKNOWN = "unknown"
#: Clients that do not act on the NAK of a server that is not their lease's while they renew. An unknown client is
#: taken to be like dhclient, which does.
IGNORE_FOREIGN_NAKS = frozenset({"networkd", "NetworkManager", "dhcpcd", "udhcpc"})

_RESULTS = {Verdict.ANSWERED: Result.RENEWED, Verdict.IGNORED: Result.KEPT}
_CAUSES = {
    Verdict.ANSWERED: "ACK seen; whether the client took it is not provable",
    Verdict.IGNORED: "ACK seen, the client ignored it",
}


class KnownLease(NamedTuple):
    """What is known of the client's lease. ``server`` None: not told."""

    address: IPv4Address
    server: IPv4Address | None
    started_at: float
    expires_at: float


class Guard:
    """One client on one interface. ``rebroadcast``: it may repeat. ``others``: servers that were seen before in this
    boot beside the lease's."""

    def __init__(self, *, rebroadcast: bool = False, others: tuple[IPv4Address, ...] = ()) -> None:
        self.rebroadcast = rebroadcast
        self.lease: KnownLease | None = None
        self.heard: Heard | None = None  # the exchange that gave the lease, as far as it was on the wire
        self.client, self.program = UNKNOWN, "an unknown program"
        self.others = others[:SERVERS]
        self._exchange: Exchange | None = None
        self._quiet = False  # after a RELEASE and after the lease's end, until the client has a lease again
        self._lifetimes: dict[IPv4Address, float] = {}
        self._grew_at = -inf
        self._broadcast_at: float | None = None
        self._broadcast_servers: tuple[IPv4Address, ...] = ()
        self._unproven: Answer | None = None
        self._silence_told = False
        self._actions: list[Action] = []

    def handle(self, event: Event, now: float) -> list[Action]:
        """What is to be done about ``event``. ``now`` is seconds of CLOCK_BOOTTIME."""
        if isinstance(event, LeaseStored):  # a proof that is told when it is due still counts
            self._lease_stored(event, now)
        self._due(now)
        if isinstance(event, Sent):
            self._sent(event, now)
        elif isinstance(event, Replied):
            self._replied(event, now)
        elif isinstance(event, Lifetime):
            self._lifetime(event, now)
        elif isinstance(event, AddressGone):
            self._address_gone(event, now)
        elif isinstance(event, ClientFound):
            self.client, self.program = event.name, event.program
        return self._taken_actions()

    def handle_timer(self, now: float) -> list[Action]:
        """What is due at ``now``."""
        self._due(now)
        return self._taken_actions()

    def stop(self, now: float) -> list[Action]:
        """The guard ends: an exchange that is not answered is recorded as it is."""
        if self._exchange is not None:
            verdict = Verdict.KEPT if self._exchange.answer is None else Verdict.ANSWERED
            self._record(verdict, now, cause=STOPPED)
        return self._taken_actions()

    def next_deadline(self) -> float | None:
        """When ``handle_timer`` has something to do; None: never."""
        instants = [self._repeat_due(), self._proof_due(), self._silence_due(), self._end_due()]
        return min((at for at in instants if at is not None and at != inf), default=None)

    def _taken_actions(self) -> list[Action]:
        actions, self._actions = self._actions, []
        return actions

    # -- timers ----------------------------------------------------------------------------------

    def _repeat_due(self) -> float | None:
        return None if self._exchange is None else self._exchange.repeat_at

    @property
    def asking(self) -> bool:
        """The client has asked, and what became of it is not known yet."""
        return self._exchange is not None

    @property
    def awaits_proof(self) -> bool:
        """An answer was seen. It is judged when TAKEN_WITHIN has passed, and when the client asks again; what the
        client's file says is to be told before."""
        return self._exchange is not None and self._exchange.answer is not None

    def _proof_due(self) -> float | None:
        answer = None if self._exchange is None else self._exchange.answer
        return None if answer is None else answer.at + TAKEN_WITHIN

    def _silence_due(self) -> float | None:
        lease = self.lease
        if lease is None or self._silence_told or self._exchange is not None or lease.expires_at == inf:
            return None
        return lease.started_at + SILENCE * (lease.expires_at - lease.started_at)

    def _end_due(self) -> float | None:
        return None if self.lease is None else self.lease.expires_at

    def _due(self, now: float) -> None:
        """The lease's end first: nothing is repeated beyond it, however late this is called."""
        if _is_due(self._proof_due(), now):
            self._judge(now)
        if _is_due(self._end_due(), now):
            self._lease_ended(now)
        if _is_due(self._silence_due(), now):
            self._tell_silence(now)
        if _is_due(self._repeat_due(), now):
            self._repeat(now)

    def _lease_ended(self, now: float) -> None:
        if self._exchange is not None and self._exchange.answer is not None:
            self._judge(now)
            return
        lease = self.lease
        assert lease is not None
        held_until = self._lifetimes.get(lease.address, -inf)
        if now < held_until < inf:  # an ACK that was not seen
            self.lease = lease._replace(expires_at=held_until)
            return
        self.lease, self._quiet = None, True
        if self._exchange is not None and self._exchange.ciaddr == lease.address:
            self._record(Verdict.EXPIRED, now, former=lease)
        elif self._exchange is None:
            self._exchange = Exchange(Purpose.T1, lease.address, b"", now)
            self._record(Verdict.EXPIRED, now, cause="the client did not ask", former=lease)

    def _tell_silence(self, now: float) -> None:
        assert self.lease is not None
        held_until = self._lifetimes.get(self.lease.address, -inf)
        if self.lease.expires_at + GROWTH < held_until < inf:  # an ACK that was not seen
            self.lease = self.lease._replace(started_at=now, expires_at=held_until)
            return
        self._silence_told = True
        left = max(0.0, self.lease.expires_at - now)
        self._notice(NoticeCode.CLIENT_SILENT, f"{self.program} has not asked to renew {self.lease.address}; its lease "
                                               f"ends in {left:.0f} s, and the address is lost then")

    def _judge(self, now: float) -> None:
        """The client had its time to take the answer."""
        exchange = self._exchange
        assert exchange is not None
        assert exchange.answer is not None
        known = self._lifetimes.get(exchange.answer.address)
        ends = exchange.answer.at + (exchange.answer.lease_time or inf) - TOLERANCE
        if known is None:
            self._record(Verdict.IGNORED, now)
        elif ends <= known < inf:
            self._was_taken(now)
        elif known == inf:
            self._unproven = exchange.answer
            self._record(Verdict.ANSWERED, now)
        else:
            self._record(Verdict.IGNORED, now)

    # -- the client's messages -------------------------------------------------------------------

    def _sent(self, event: Sent, now: float) -> None:
        message = event.message
        kind = message.message_type
        if message.op != m.BOOTREQUEST:
            return
        if kind in (m.RELEASE, m.DECLINE):
            self._gave_back(kind, now)
        elif kind == m.DISCOVER:
            self._began_anew(event, now)
        elif kind == m.REQUEST and message.ciaddr == m.ANY:
            self._requested_first(event, now)
        elif kind == m.REQUEST:
            self._requested_again(event, now)

    def _gave_back(self, kind: int, now: float) -> None:
        self._close_open(now, "the client gave the address back")
        lease, self.lease, self._quiet = self.lease, None, True
        if kind == m.RELEASE and lease is not None:
            self._exchange = Exchange(Purpose.OPERATOR, lease.address, b"", now)
            self._record(Verdict.RELEASED, now, former=lease)

    def _began_anew(self, event: Sent, now: float) -> None:
        exchange = self._exchange
        if exchange is None or exchange.purpose is not Purpose.ACQUIRE or exchange.answer is not None:
            self._close_open(now, "the client began anew")
            exchange = self._open(Purpose.ACQUIRE, event, now)
        exchange.add(event.message.xid, Via.DISCOVER, now)
        self._broadcast(now)

    def _requested_first(self, event: Sent, now: float) -> None:
        """SELECTING, or INIT-REBOOT when no server is named (RFC 2131 section 4.3.2)."""
        exchange = self._exchange
        if exchange is None or exchange.ciaddr != m.ANY or exchange.answer is not None:
            self._close_open(now, "the client began anew")
            purpose = Purpose.REBOOT if event.message.server_id is None else Purpose.ACQUIRE
            exchange = self._open(purpose, event, now)
        exchange.request = event.message
        exchange.add(event.message.xid, Via.BROADCAST, now)
        self._broadcast(now)

    def _requested_again(self, event: Sent, now: float) -> None:
        """RENEWING or REBINDING."""
        message, exchange = event.message, self._exchange
        if exchange is not None and exchange.answer is not None:
            if message.xid in exchange.xids and exchange.is_copy(event.payload, now):
                return
            self._asked_despite_answer(exchange, now)
            exchange = None
        if exchange is None or exchange.ciaddr != message.ciaddr or exchange.chaddr != message.chaddr:
            self._close_open(now, "the client began anew")
            exchange = self._open(Purpose.T1, event, now)
        exchange.request = message
        if event.destination == m.BROADCAST:
            exchange.add(message.xid, Via.BROADCAST, now)
            self._broadcast(now)
        elif event.seen is Seen.WIRE and exchange.is_copy(event.payload, now):
            exchange.on_wire = True
        else:
            exchange.add(message.xid, Via.UNICAST, now)
            exchange.unicasts += 1
            output = event.seen is Seen.OUTPUT
            exchange.unicast = Sighting(event.payload, event.source, now, output)
            if output and exchange.on_wire is None:
                exchange.on_wire = False
            exchange.repeat_at = now + PATIENCE

    def _asked_despite_answer(self, exchange: Exchange, now: float) -> None:
        """A client that asks again has not taken the ACK, unless its next renewal is due already."""
        assert exchange.answer is not None
        term = exchange.answer.lease_time or 0.0
        if now - exchange.answer.at < EARLY * term:
            self._record(Verdict.IGNORED, now)
        else:
            self._judge(now)

    def _open(self, purpose: Purpose, event: Sent, now: float) -> Exchange:
        self._exchange = exchange = Exchange(purpose, event.message.ciaddr, event.message.chaddr, now)
        former, self._unproven = self._unproven, None
        if former is not None and former.lease_time:
            exchange.former_taken = now - former.at >= EARLY * former.lease_time
        return exchange

    def _close_open(self, now: float, cause: str) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        if exchange.answer is not None:
            self._judge(now)
        else:
            self._record(Verdict.KEPT, now, cause=cause)

    def _broadcast(self, now: float) -> None:
        self._broadcast_at, self._broadcast_servers = now, ()

    # -- the rebroadcast -------------------------------------------------------------------------

    def _repeat(self, now: float) -> None:
        exchange = self._exchange
        assert exchange is not None
        assert exchange.unicast is not None
        exchange.repeat_at = None
        if not self.rebroadcast or not self._may_repeat(exchange, exchange.unicast, now):
            return
        exchange.rebroadcasts += 1
        # A server that hears only 0.0.0.0 does not hear the first one: every second one comes from there.
        source = exchange.unicast.source if exchange.rebroadcasts % 2 else m.ANY
        self._actions.append(Rebroadcast(exchange.unicast.payload, source))

    def _may_repeat(self, exchange: Exchange, last: Sighting, now: float) -> bool:
        """``repeat_at`` is gone already after an answer and after a broadcast of the client's own."""
        if self._quiet or exchange.answer is not None or now - last.at > REPEAT_WITHIN:
            return False
        if self._lifetimes.get(exchange.ciaddr, -inf) <= now:  # it has ended, or the address is not there
            return False
        if self.client in IGNORE_FOREIGN_NAKS:
            return True
        why = self._may_be_refused(now)
        if why:
            self._notice(NoticeCode.NOT_REPEATED, f"the unanswered renewal of {exchange.ciaddr} is not repeated by "
                                                  f"broadcast: {self.program} obeys any server's NAK, and {why}")
        return not why

    def _may_be_refused(self, now: float) -> str:
        if self.others:
            return f"{', '.join(map(str, self.others))} answers here, too"
        if self._broadcast_at is None or len(self._broadcast_servers) != 1:
            return "no broadcast of it was seen to be answered by one server alone"
        return "" if now - self._broadcast_at >= SETTLED else "its last broadcast was a moment ago"

    # -- servers ---------------------------------------------------------------------------------

    def _replied(self, event: Replied, now: float) -> None:
        message = event.message
        kind = message.message_type
        if message.op != m.BOOTREPLY or kind not in (m.OFFER, m.ACK, m.NAK):
            return
        server = message.server_id or event.source
        exchange = self._exchange
        ours = exchange is not None and message.xid in exchange.xids and message.chaddr == exchange.chaddr
        self._note_server(server, ours, now)
        if exchange is None or not ours or exchange.answer is not None:
            return
        if kind == m.ACK:
            exchange.repeat_at = None
            exchange.answer = Answer(now, server, message.yiaddr, _term(message.lease_time))
            if exchange.request is not None:
                self.heard = Heard(exchange.request, message, now)
            if self._grew_at >= exchange.last_at and message.yiaddr in self._lifetimes:
                self._was_taken(now)
        elif kind == m.NAK and not self._ignores_nak(exchange, server):
            exchange.repeat_at = None
            self._record(Verdict.REFUSED, now, server=server)

    def _ignores_nak(self, exchange: Exchange, server: IPv4Address) -> bool:
        """In REQUESTING and RENEWING these clients obey the server that they ask alone; in REBINDING, by broadcast,
        anybody."""
        asked = None if self.lease is None or exchange.via is not Via.UNICAST else self.lease.server
        if exchange.ciaddr == m.ANY and exchange.request is not None:
            asked = exchange.request.server_id
        return asked not in (None, server) and self.client in IGNORE_FOREIGN_NAKS

    def _note_server(self, server: IPv4Address, ours: bool, now: float) -> None:
        recent = self._broadcast_at is not None and now - self._broadcast_at < SETTLED
        if ours and recent and server not in self._broadcast_servers:
            self._broadcast_servers = (*self._broadcast_servers, server)[:SERVERS]
        known = (self.lease and self.lease.server) or next(iter(self._broadcast_servers), server)
        if server != known and server not in self.others and len(self.others) < SERVERS:
            self.others = (*self.others, server)
            self._notice(NoticeCode.OTHER_SERVER, f"{server} answers DHCP here, too, beside {known}")

    # -- the kernel ------------------------------------------------------------------------------

    def _lifetime(self, event: Lifetime, now: float) -> None:
        former = self._lifetimes.get(event.address)
        self._lifetimes[event.address] = event.valid_until
        if former is not None and not event.valid_until > former + GROWTH:
            return
        exchange = self._exchange
        if former is None and (exchange is None or exchange.ciaddr != m.ANY):
            self._held_before(event, now)
            return  # what was there before is no proof
        self._grew_at = now
        if exchange is not None and exchange.answer is not None and exchange.answer.address == event.address:
            self._was_taken(now)

    def _held_before(self, event: Lifetime, now: float) -> None:
        """An address that ends is a lease's, where a client is known."""
        known = self.lease is not None or self._exchange is not None or self._quiet
        if not known and self.client != UNKNOWN and now < event.valid_until < inf:
            self.lease = KnownLease(event.address, None, now, event.valid_until)

    def _lease_stored(self, event: LeaseStored, now: float) -> None:
        """Proof when the file has moved since the question; else what the client held before guard watched."""
        exchange = self._exchange
        if event.expires_at <= now or event.address not in self._lifetimes:
            return
        if exchange is not None and exchange.answer is not None:
            if exchange.answer.address == event.address and event.started_at > exchange.started_at - GROWTH:
                self._was_taken(now)
        elif not self._quiet and (self.lease is None or self.lease.server is None):
            held_until = self._lifetimes[event.address]
            ends = event.expires_at if held_until == inf else held_until
            self.lease = KnownLease(event.address, event.server, min(event.started_at, now), ends)

    def _was_taken(self, now: float) -> None:
        assert self._exchange is not None
        first = self._exchange.ciaddr == m.ANY
        self._record(Verdict.ACQUIRED if first else Verdict.RENEWED, now)

    def _address_gone(self, event: AddressGone, now: float) -> None:
        if self._lifetimes.pop(event.address, None) is None or self.lease is None:
            return
        left = self.lease.expires_at - now
        if self.lease.address == event.address and left > GROWTH and not self._quiet:
            self._notice(NoticeCode.ADDRESS_LOST, f"{event.address} was removed from the interface {left:.0f} s before "
                                                  "the end of its lease")

    # -- the end of an exchange ------------------------------------------------------------------

    def _record(self, verdict: Verdict, now: float, *, cause: str = "", server: IPv4Address | None = None,
                former: KnownLease | None = None) -> None:
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        answer, lease = exchange.answer, former or self.lease
        taken = {Verdict.ACQUIRED: True, Verdict.RENEWED: True, Verdict.IGNORED: False}.get(verdict)
        outcome = Outcome(
            purpose=exchange.purpose,
            result=_RESULTS.get(verdict) or Result(verdict.value),
            via=Via.BROADCAST if exchange.rebroadcasts and answer else exchange.via,
            attempts=exchange.attempts,
            latency=None if answer is None else answer.at - exchange.started_at,
            server=server or (lease.server if answer is None and lease else answer.server if answer else None),
            address=answer.address if answer else lease.address if lease else _some(exchange.ciaddr),
            former_address=lease.address if lease else _some(exchange.ciaddr),
            lease_time=None if answer is None else answer.lease_time,
            seconds_left=self._left(exchange, lease, answer.at if answer else now),
            cause=cause or _CAUSES.get(verdict, "T1"),
            xid=exchange.xids[-1] if exchange.xids else None,
            started_at=exchange.started_at,
            ended_at=answer.at if answer else now,
        )
        self._actions.append(Recorded(outcome, verdict, self.client, self.program, taken, exchange.former_taken,
                                      exchange.on_wire, exchange.unicasts, exchange.rebroadcasts, self.others))
        if answer is not None and verdict is not Verdict.IGNORED and answer.lease_time is not None:
            self.lease = KnownLease(answer.address, answer.server, answer.at, answer.at + answer.lease_time)
            self._quiet = self._silence_told = False

    def _left(self, exchange: Exchange, lease: KnownLease | None, at: float) -> float:
        ends = lease.expires_at if lease else self._lifetimes.get(exchange.ciaddr, at)
        return max(0.0, ends - at)

    def _notice(self, code: NoticeCode, detail: str) -> None:
        self._actions.append(Noticed(code, detail))


def _is_due(at: float | None, now: float) -> bool:
    return at is not None and at <= now


def _some(address: IPv4Address) -> IPv4Address | None:
    return address if address != m.ANY else None


def _term(seconds: int | None) -> float | None:
    return inf if seconds == 0xFFFFFFFF else None if seconds is None else float(seconds)
