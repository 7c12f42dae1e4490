"""What every group of states shares: the state, the timers, the actions of this call - and the gate.

``Machine.enter`` is the only function that assigns the state and the only one that emits Deconfigure. Promises 2 and 3
are checked there: an address goes only for one of four reasons, each of which must be true at that moment, and no state
may use a lease that has ended, unless ``on_expiry = "hold"`` has its address held for a few more seconds
(``expiry_hold``). ``Machine.configure`` is the only function that emits Configure.

Instants are seconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

from holdfast.core import schedule
from holdfast.core.actions import (
    Action,
    Configure,
    Deconfigure,
    DeconfigureReason,
    Dropped,
    DropReason,
    NoticeCode,
    Noticed,
    Recorded,
    Transitioned,
    Watch,
)
from holdfast.core.config import ClientConfig
from holdfast.core.lease import Binding, Gateway, Lease, Server
from holdfast.core.outcome import Outcome
from holdfast.core.schedule import Rng
from holdfast.core.states import (
    NAMES,
    Arp,
    Bound,
    Contest,
    FailedOffer,
    Hold,
    Init,
    InitReboot,
    Probing,
    Rebinding,
    Rebooting,
    Refused,
    Renewing,
    Requesting,
    Routers,
    Selecting,
    State,
    Stopped,
)
from holdfast.core.transitions import TRANSITIONS, Reason
from holdfast.wire.message import Message
from holdfast.wire.record import TYPE_CHECKING, Enum

if TYPE_CHECKING:
    from ipaddress import IPv4Address

_ALLOWED = frozenset(TRANSITIONS)


class PromiseBrokenError(AssertionError):
    """The machine was about to break one of its promises: an error in this package, never in the input."""


class Timer(int, Enum):
    """What can fall due. When several are due at once, the lowest number is served first: after a
    long sleep the lease's end must be seen before anything would renew it."""

    EXPIRE = 0  # the lease in use ends
    REBIND = 1  # T2
    RENEW = 2  # T1
    START = 3  # leave INIT
    OFFERS = 4  # stop waiting for a better OFFER
    RETRANSMIT = 5  # send again, or the next rung, or the next round
    PROBE = 6  # the next ARP probe or announcement
    REAPPLY = 7  # configure the interface again
    GATEWAY = 8  # ask the gateway again
    HOLD = 9  # ask whether an address may be held beyond its lease
    CONTEST = 10  # ask again who claims the address in use
    CHECK = 11  # T1 is far away: does the server still know the lease
    ROUTERS = 12  # ask the routers of an OFFER again


class TimerTable:
    """The timers: one absolute deadline for each name. Setting replaces, stopping an idle timer does nothing."""

    def __init__(self) -> None:
        self._at: dict[Timer, float] = {}

    def set(self, timer: Timer, at: float) -> None:
        """Let ``timer`` fall due at ``at``; an infinite deadline means never."""
        if at == float("inf"):
            self._at.pop(timer, None)
        else:
            self._at[timer] = at

    def hasten(self, timer: Timer, at: float) -> None:
        """Let ``timer`` fall due at ``at`` at the latest: sooner than it was to, never later."""
        self._at[timer] = min(at, self._at.get(timer, at))

    def stop(self, *timers: Timer) -> None:
        """Forget these deadlines."""
        for timer in timers:
            self._at.pop(timer, None)

    def at(self, timer: Timer) -> float | None:
        """The deadline of ``timer``, or None."""
        return self._at.get(timer)

    def next(self) -> float | None:
        """The earliest deadline of all, or None."""
        return min(self._at.values(), default=None)

    def take_due(self, now: float) -> Timer | None:
        """Remove and return the first timer due at ``now``, by rank; None when none is."""
        due = [timer for timer, at in self._at.items() if at <= now]
        if not due:
            return None
        first = min(due)
        del self._at[first]
        return first


class Machine:
    """The mutable part of one client; the files of the states are functions over it.

    Every attribute has one writer. Those of the first group are written by this class alone, each of the second by the
    file that is named beside it.
    """

    def __init__(self, config: ClientConfig, rng: Rng) -> None:
        self.config = config
        self.rng = rng
        self.timers = TimerTable()
        self.state: State = Init()
        self.lease: Lease | None = None  # the one whose address is on the interface
        self.carrier = True
        self.hint: IPv4Address | None = None  # the address to ask for in a DISCOVER (option 50)
        self.naks = 0  # accepted ones since a lease was last bound
        self.replacing: Lease | None = None  # the lease whose address the last Configure has to remove
        self.apply_failures = 0  # of Configure, in a row
        self.drops: dict[str, int] = {}
        self.last_outcome: Outcome | None = None
        self._actions: list[Action] = []
        self._watch = Watch(())

        self.started = False  # init_reboot
        self.failed_offers: tuple[FailedOffer, ...] = ()  # acquisition
        self.server: Server | None = None  # bound
        self.round_at = float("-inf")  # renewal: when the last message of a round was sent (rule 36)
        self.latency = 0.0  # renewal: seconds that the last answer took, of which a server's queue is the most
        self.arp = Arp()  # arp
        self.gateway: Gateway | None = None  # arp
        self.routers = Routers()  # proxy_arp
        self.refused: Refused | None = None  # refusal
        self.hold_region: Hold | None = None  # expiry_hold
        self.address_losses: tuple[float, ...] = ()  # host: when others removed our address
        self.route_losses: tuple[float, ...] = ()  # host: when others removed our routes

    @property
    def bound(self) -> bool:
        """True in BOUND, RENEWING and REBINDING."""
        return isinstance(self.state, (Bound, Renewing, Rebinding))

    @property
    def hold(self) -> Hold | None:
        """The question whether the lease in use may be held beyond its end; None while it is not asked."""
        region, lease = self.hold_region, self.lease
        return region if region is not None and lease is not None and region.started_at == lease.started_at else None

    @property
    def contest(self) -> Contest | None:
        """The contest for the address in use; None while there is none."""
        contest, lease = self.arp.contest, self.lease
        return contest if contest is not None and lease is not None and contest.address == lease.address else None

    def binding(self, lease: Lease) -> Binding:
        """``lease`` with all that is remembered with it."""
        return Binding(lease, self.server, self.gateway, self.config.client_id or b"")

    def emit(self, action: Action) -> None:
        """Add ``action`` after all earlier ones."""
        self._actions.append(action)

    def take_actions(self) -> list[Action]:
        """The actions of this call, in order; called once at its end."""
        self.watch()
        actions, self._actions = self._actions, []
        return actions

    def new_xid(self) -> int:
        """A random transaction id that no exchange under way has."""
        return self.rng.getrandbits(32)

    def notice(self, code: NoticeCode, detail: str) -> None:
        """Emit a notice for the log, which is not the end of a renewal."""
        self.emit(Noticed(code, detail))

    def drop(self, reason: DropReason, message: Message, detail: str = "") -> None:
        """Count and ignore ``message``. The counters have one key per DropReason, so they cannot grow."""
        self.drops[reason.value] = self.drops.get(reason.value, 0) + 1
        self.emit(Dropped(reason, message.server_id, detail))

    def conclude(self, outcome: Outcome) -> None:
        """Leave the record of an acquisition or renewal that has ended (promise 6)."""
        self.last_outcome = outcome
        self.emit(Recorded(outcome))

    def set_carrier(self, up: bool) -> bool:
        """Note whether there is carrier; True when that is news."""
        news, self.carrier = up is not self.carrier, up
        return news

    def set_hint(self, address: IPv4Address) -> None:
        """Ask for ``address`` in the next DISCOVER (option 50)."""
        self.hint = address

    def reconfigure(self, config: ClientConfig) -> bool:
        """Use ``config`` from now on. False, and nothing changes, when it is another client to a server: its hardware
        address or client-id differs. An address that is held beyond its lease is not let go by a setting."""
        former = self.config
        if (config.chaddr, config.htype, config.client_id) != (former.chaddr, former.htype, former.client_id):
            return False
        held = self.lease is not None and self.lease.ended_at is not None
        self.config = config._replace(on_expiry=former.on_expiry) if held else config
        return True

    def drop_hint(self, address: IPv4Address) -> None:
        """Do not ask for ``address`` again: another machine has it."""
        if self.hint == address:
            self.hint = None

    def nak_wait(self) -> float:
        """Count an accepted NAK; returns the seconds until the next DISCOVER (rule 27)."""
        self.naks += 1
        return schedule.nak_wait(self.naks, self.rng)

    def configure(self, lease: Lease, former: Lease | None = None) -> None:
        """Configure the interface as ``lease`` says. The address of ``former`` goes, if it is another; that is
        remembered, so that a retry after a failure removes it too."""
        if former is not None and former.address != lease.address:
            self.replacing = former
        self.emit(Configure(lease, self.replacing))

    def configured(self) -> None:
        """The kernel holds what the last Configure asked for: it need not be asked for again."""
        self.replacing, self.apply_failures = None, 0
        self.timers.stop(Timer.REAPPLY)

    def not_configured(self) -> float:
        """Count a failure of Configure; returns the seconds until the next try (rule 59)."""
        self.apply_failures += 1
        return schedule.apply_wait(self.apply_failures)

    def enter(
        self, state: State, on: Reason | None, now: float, why: DeconfigureReason | None = None, *,
        found: Lease | None = None,
    ) -> None:
        """The gate: change the state because of ``on``; None replaces the state's data only (``update``).

        ``why`` is the reason for which the lease in use goes, when it goes; it must be true. ``found``: a lease that
        is not in use, and whose address was found on the interface at start and goes. Raises PromiseBrokenError when
        the change is not in the table, drops a valid lease, or would use an ended one.
        """
        former, lease, in_hand = self.lease or found, lease_in_use(state), lease_in_hand(state)
        change = (NAMES[type(self.state)], NAMES[type(state)])
        if on is None:
            if change[0] != change[1] or lease != former:
                raise PromiseBrokenError(f"update of {change[0]} to another state or lease")
            self.state = state
            return
        if (*change, on) not in _ALLOWED:
            raise PromiseBrokenError(f"no transition from {change[0]} to {change[1]} on {on.value!r}")
        if lease is not None and (
            lease.expires_at <= now or (lease.ended_at is not None and self.config.on_expiry != "hold")
        ):
            raise PromiseBrokenError(f"{change[1]} would use {lease.address}, whose lease has ended")
        if former is not None and lease is None:
            if why is None or not self._may_go(former, why, now):
                raise PromiseBrokenError(f"{former.address} would go for the reason {why}, which does not hold")
            self.emit(Deconfigure(former, why))
        if change[0] != change[1]:
            self.emit(Transitioned(*change, on))
        self.state, self.lease = state, lease
        if in_hand is not None:
            self.hint = in_hand.address
        self._follow(state, lease, now)

    def update(self, state: State) -> None:
        """Replace the state's data, not the state and not the lease in use."""
        self.enter(state, None, float("-inf"))

    def _may_go(self, lease: Lease, why: DeconfigureReason, now: float) -> bool:
        """Promise 2: whether ``why`` is true of ``lease``."""
        if why is DeconfigureReason.EXPIRED:
            return lease.ended(now)
        if why is DeconfigureReason.CONFLICT:  # rule 84
            return lease.ended_at is not None or (self.contest is not None and self.contest.proven)
        return why is not DeconfigureReason.HALTED or self.config.nak == "halt"

    def _follow(self, state: State, lease: Lease | None, now: float) -> None:
        """The deadlines, which follow from the state alone."""
        if lease is None or isinstance(state, Stopped):
            self.timers.stop(Timer.EXPIRE, Timer.REAPPLY, Timer.HOLD)
        else:
            self.timers.set(Timer.EXPIRE, lease.expires_at)
            if self.config.on_expiry == "hold" and lease.ended_at is None and self.hold is None:
                self.timers.set(Timer.HOLD, lease.expires_at - schedule.HOLD_LEAD)
        self.timers.stop(Timer.CHECK)
        if isinstance(state, Bound):
            self.naks = 0
            if state.lease.t1_at - now > schedule.CHECK_INTERVAL:
                self.timers.set(Timer.CHECK, now + schedule.check_wait(self.rng))
            self.timers.set(Timer.RENEW, state.lease.t1_at)
            self.timers.set(Timer.REBIND, state.lease.t2_at)
            self.timers.stop(Timer.START, Timer.OFFERS, Timer.RETRANSMIT)
        elif isinstance(state, Renewing):
            self.timers.stop(Timer.RENEW)
            self.timers.set(Timer.REBIND, state.lease.t2_at)
        else:
            self.timers.stop(Timer.RENEW, Timer.REBIND)
        if isinstance(state, (Init, InitReboot, Probing, Stopped)):
            self.timers.stop(Timer.OFFERS, Timer.RETRANSMIT)
        if isinstance(state, (Init, InitReboot, Rebooting, Selecting, Stopped)):
            self.timers.stop(Timer.ROUTERS)

    def watch(self) -> None:
        """Keep the runtime's ARP watch equal to what the state and the regions call for."""
        wanted, acd, contest, query = set(), self.arp.acd, self.contest, self.arp.query
        if acd is not None:
            wanted.add(acd.address)
        if contest is not None:
            wanted.add(contest.address)
        if isinstance(self.state, (Init, Selecting, Requesting, Probing)) and self.state.held is not None:
            wanted.add(self.state.held.address)
        if self.hold is not None and self.lease is not None:
            wanted.add(self.lease.address)
        if self.timers.at(Timer.ROUTERS) is not None:
            wanted.update(self.routers.silent)
        watch = Watch(tuple(sorted(wanted, key=int)), query.address if query is not None else None)
        if watch != self._watch:
            self._watch = watch
            self._actions.append(watch)


def lease_in_use(state: State) -> Lease | None:
    """The lease whose address is on the interface in ``state``, or None."""
    if isinstance(state, (Bound, Renewing, Rebinding)):
        return state.lease
    if isinstance(state, (InitReboot, Rebooting)):
        return None
    return state.held


def lease_in_hand(state: State) -> Lease | None:
    """The lease in use in ``state``, or else the one that is remembered and being asked about; None: there is none."""
    return state.cached if isinstance(state, (InitReboot, Rebooting)) else lease_in_use(state)
