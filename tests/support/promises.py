"""The six promises as checks that run beside a simulated host, from what can be seen from outside.

A ``Promises`` object is told of everything its host does (the actions, and what the kernel model made of
them) and of everything that is done to the host. It raises AssertionError at the first thing that should not be.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address
from math import inf

from holdfast.core import actions as act
from holdfast.core import events as ev
from holdfast.core.actions import DeconfigureReason
from holdfast.core.config import ClientConfig
from holdfast.core.lease import Lease
from holdfast.core.outcome import Outcome, Result, Via
from holdfast.wire import message as msg
from holdfast.wire.message import ANY, BROADCAST, Message

RENEWING = frozenset({"RENEWING", "REBINDING"})
#: A virtual event loop may be this late, in seconds.
SLACK = 0.02
#: With on_expiry = "hold" an address may outlive its lease for so many seconds after the gateway's last answer.
HOLD_LONGEST = 31.0


@dataclass
class Sent:
    """A renewal message on its way out."""

    at: float
    via: Via
    message: Message


@dataclass
class Promises:
    """What one host has promised so far, and whether it keeps to it."""

    config: ClientConfig
    state: str = "INIT"
    begun: bool = False  # a renewal that has no outcome yet
    first_sent: float | None = None  # of that renewal
    awaiting: tuple[float, float] | None = None  # an unanswered unicast REQUEST: (sent, by when to broadcast)
    rung: Sent | None = None  # the last message of the ladder
    xids: set[int] = field(default_factory=set)
    discovers: dict[int, int] = field(default_factory=dict)  # xid -> secs of the last DISCOVER
    broadcasts: list[float] = field(default_factory=list)
    disturbed_at: float = -inf  # when the host could last not do as it wanted
    released: bool = False
    gateway_seen_at: float = -inf  # when the gateway last answered ARP
    woke_at: float = -inf  # from sleep, or to life

    probes: dict[IPv4Address, int] = field(default_factory=dict)  # sent for an address
    answered: dict[tuple[IPv4Address, bytes], set[int]] = field(default_factory=dict)  # which of them, and by whom
    outcomes: list[Outcome] = field(default_factory=list)

    def may_hold_until(self, ended_at: float) -> float:
        """How long the address of a lease that ended may be used (rule 40): a second when the gateway is silent,
        which can only be asked by who is awake; none at all unless that is configured."""
        return max(ended_at + 1.0, self.woke_at + 1.0, self.gateway_seen_at + HOLD_LONGEST)

    # -- what is done to the host

    def disturbed(self, now: float) -> None:
        """Sleep, crash, a jump: for a while nothing can be said about the times at which things are sent."""
        self.disturbed_at = now

    def slept(self, seconds: float, now: float) -> None:
        """What was due while asleep is due now."""
        self.disturbed(now)
        self.woke_at = now
        if self.awaiting is not None:
            self.awaiting = (self.awaiting[0], self.awaiting[1] + seconds)

    def claimed(self, event: ev.AddressConflict) -> None:
        """Somebody claims an address, and perhaps answers the last probe for it."""
        probes = self.probes.get(event.address, 0)
        if event.answer and probes:
            self.answered.setdefault((event.address, event.by), set()).add(probes)

    def restored(self, now: float) -> None:
        """What was asked is forgotten: another copy of the machine has asked the same."""
        self.disturbed(now)
        self.awaiting = None

    def crashed(self, now: float) -> None:
        """The client is gone, and with it what it was about to do."""
        self.disturbed(now)
        self.woke_at = now
        self.state, self.begun, self.first_sent, self.awaiting, self.rung = "INIT", False, None, None, None

    # -- what the host does

    def saw(self, action: act.Action, now: float, *, deaf: bool) -> None:
        """One action, as it is performed. ``deaf``: the server is known not to hear unicast."""
        if isinstance(action, act.Transmit):
            self._sent(action, now, deaf=deaf)
        elif isinstance(action, act.Transitioned):
            self._entered(action)
        elif isinstance(action, act.Recorded):
            self._recorded(action.outcome, now)
        elif isinstance(action, act.Deconfigure):
            self._deconfigured(action, now)
        elif isinstance(action, act.Probe):
            self.probes[action.address] = self.probes.get(action.address, 0) + 1

    def _sent(self, sent: act.Transmit, now: float, *, deaf: bool) -> None:
        message = sent.message
        assert message.op == msg.BOOTREQUEST
        assert message.chaddr == self.config.chaddr
        assert len(msg.encode(message)) >= 300  # rule 13
        assert message.client_id == self.config.client_id  # rule 8
        if sent.destination == BROADCAST:
            assert sent.via is not Via.UNICAST
        else:
            assert message.message_type in (msg.REQUEST, msg.RELEASE)
        kind = message.message_type
        if kind == msg.DISCOVER:
            self.discovers[message.xid] = message.secs
        elif kind == msg.REQUEST and message.server_id is not None:
            # rules 10, 11: the OFFER's xid and the DISCOVER's secs
            assert message.secs == self.discovers[message.xid]
        elif kind == msg.REQUEST and message.ciaddr != ANY:
            self._climbed(sent, now, deaf=deaf)

    def _climbed(self, sent: act.Transmit, now: float, *, deaf: bool) -> None:
        """A message of the ladder."""
        assert self.state in RENEWING
        message, last = sent.message, self.rung
        assert message.server_id is None  # table 4
        assert message.requested_address is None
        if self.first_sent is None:
            self.first_sent = now
        assert message.secs == min(65535, int(now - self.first_sent)), "rule 10"
        if last is not None and last.message.xid == message.xid:  # rule 11: the same question once more
            assert message == last.message._replace(secs=message.secs)
            assert sent.via is not Via.UNICAST
        else:
            assert message.xid not in self.xids, "rule 11: an old xid for a new question"
            assert last is None or now - last.at >= 2.0 - SLACK, "rule 36: two rounds within 2 s"
            self.xids.add(message.xid)
        self.rung = Sent(now, sent.via, message)
        if sent.via is Via.UNICAST:
            assert sent.source == message.ciaddr  # rule 6
            self.awaiting = (now, now + (0.25 if deaf else 2.0))
        else:
            assert sent.source == (ANY if sent.via is Via.BROADCAST_ANY else message.ciaddr)
            self.awaiting = None
            self.broadcasts.append(now)

    def _entered(self, change: act.Transitioned) -> None:
        assert change.former == self.state
        if change.state in RENEWING and change.former not in RENEWING:
            assert not self.begun, "a renewal begins before the last one has its outcome"
            self.begun, self.first_sent = True, None
        if change.state not in RENEWING:
            self.awaiting = None
        self.state = change.state

    def _recorded(self, outcome: Outcome, now: float) -> None:
        self.outcomes.append(outcome)
        assert outcome.seconds_left >= 0.0  # rule 75
        assert outcome.ended_at == now
        assert outcome.started_at <= now
        assert outcome.latency is None or outcome.latency >= 0.0
        if outcome.purpose == "hold":
            return  # of an address, not of a renewal: one may be under way in PROBING
        if not self.begun:  # promise 6: one outcome, not two
            alone = outcome.purpose in ("acquire", "reboot") or outcome.result is Result.RELEASED
            expired = outcome.result in (Result.EXPIRED, Result.HELD) and self.state == "BOUND"  # it slept through T1
            assert alone or expired, f"an outcome of no renewal: {outcome}"
        self.begun, self.awaiting = False, None
        if outcome.result in (Result.EXPIRED, Result.HELD):
            self._judge_last_minute(outcome, now)

    def _judge_last_minute(self, outcome: Outcome, now: float) -> None:
        """Rule 37, when nothing but silence was in the way."""
        if outcome.lease_time is None or now - self.disturbed_at < max(60.0, outcome.lease_time):
            return
        last = [at for at in self.broadcasts if at >= now - 60.0]
        assert len(last) >= 4, f"rule 37: {len(last)} broadcasts in the last minute"
        assert last[-1] >= now - 4.0 - SLACK, "rule 37: the last broadcast is too early"

    def _deconfigured(self, action: act.Deconfigure, now: float) -> None:
        """Promise 2: the reason holds, and is not the client's word alone."""
        lease, reason = action.lease, action.reason
        if reason is DeconfigureReason.EXPIRED:
            assert now >= (lease.expires_at if lease.ended_at is None else lease.ended_at)
        elif reason is DeconfigureReason.RELEASED:
            assert self.released
        elif reason is DeconfigureReason.CONFLICT:
            twice = any(len(probes) >= 2 for (address, _), probes in self.answered.items() if address == lease.address)
            assert twice or lease.ended_at is not None, "rule 84: nobody answered our own probes twice"
        else:
            assert self.config.nak == "halt"

    # -- what the kernel model says

    def removed(self, address: IPv4Address, left: float, by: act.Action, others: set[IPv4Address]) -> None:
        """Our client had ``address`` removed with ``left`` seconds of its lease to go (promises 2 and 5)."""
        if isinstance(by, act.Configure):
            assert by.lease.address in others, "promise 5: the old address goes before the new one is there"
        else:
            assert isinstance(by, act.Deconfigure)
            assert by.lease.address == address

    # -- after every step

    def check(self, now: float, lease: Lease | None, addresses: dict[IPv4Address, float]) -> None:
        """What must hold at any time. ``addresses``: those of ours in the kernel, with the end of their leases."""
        if self.awaiting is not None:
            assert now <= self.awaiting[1] + SLACK, f"promise 1: no broadcast since {now - self.awaiting[0]:.2f} s"
        for address, configured in addresses.items():
            in_use = lease is not None and lease.address == address
            # The kernel may refuse a renewal, and then does not know of it yet.
            ends_at = max(configured, lease.expires_at) if lease is not None and in_use else configured
            assert now <= ends_at + 1.0, f"promise 3: {address} is used {now - ends_at:.1f} s after its lease"
        if lease is not None and lease.ended_at is not None and self.state != "STOPPED":  # rule 40
            assert self.config.on_expiry == "hold", f"promise 3: {lease.address} is held, and nobody asked for that"
            held_to = self.may_hold_until(lease.ended_at) + SLACK
            assert now <= held_to, f"promise 3: {lease.address} is held and the gateway silent"
        assert lease is None or now < lease.expires_at + SLACK or self.state == "STOPPED"
        assert not self.begun or self.state in RENEWING or self.state == "PROBING", "promise 6: no outcome"
