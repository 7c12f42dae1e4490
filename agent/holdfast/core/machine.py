"""What every phase of the client shares: the state, the timers, the actions of this call - and the gate.

``Machine.enter`` is the only function that changes the state and the only one that can emit
Deconfigure. Promises 2 and 3 are checked there: an address goes only for one of four reasons,
each of which must be true at that moment, and no state may use a lease that has ended, unless
``on_expiry = "hold"`` has its address held for a few more seconds (``overtime``).
"""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv4Address
from random import Random

from holdfast.core import schedule
from holdfast.core.actions import (
    Action,
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
from holdfast.core.lease import Gateway, Lease, ServerPath
from holdfast.core.outcome import Outcome
from holdfast.core.states import (
    Bound,
    Init,
    InitReboot,
    Probing,
    Renewing,
    Requesting,
    Selecting,
    State,
    Stopped,
    lease_in_use,
    name_of,
)
from holdfast.core.timers import Timer, TimerTable
from holdfast.core.transitions import TRANSITIONS
from holdfast.wire.message import Message
from holdfast.wire.record import NamedTuple, record

_ALLOWED = frozenset(TRANSITIONS)


class PromiseBrokenError(AssertionError):
    """The machine was about to break one of its promises: an error in this package, never in the input."""


@record
class Acd(NamedTuple):
    """Conflict detection under way for ``address``: probes and announcements sent (RFC 5227)."""

    address: IPv4Address
    probes: int = 0
    announced: int = 0


class Network(Enum):
    """What ARP says of the network we are on, compared with the gateway that the lease remembers."""

    UNKNOWN = "unknown"  # not asked, or nobody answered
    KNOWN = "known"  # that gateway answered
    OTHER = "other"  # another machine answered for its address, and it did not


class AskingWhy(Enum):
    """What the gateway is being asked for."""

    LEARN = "learn"  # to remember its hardware address with the lease
    VERIFY = "verify"  # to find out which network we are on
    HOLD = "hold"  # to go on using the address of a lease that has ended, or is about to


@record
class Asking(NamedTuple):
    """ARP requests under way for the gateway at ``address``, on behalf of ``source``, our address. ``known``:
    the hardware address that it had, if any is remembered; ``gaps``: the seconds after each request, of which
    ``asked`` have been sent."""

    why: AskingWhy
    address: IPv4Address
    known: bytes | None
    source: IPv4Address
    gaps: tuple[float, ...]
    asked: int = 0


@record
class Hold(NamedTuple):
    """The question whether the address may outlive its lease: when the gateway last answered, whether
    somebody else claimed the address, how often was asked."""

    answered_at: float | None = None
    claimed: bool = False
    rounds: int = 0


class Machine:
    """The mutable heart of one client. Phases (``acquiring``, ``renewing``, ``conflict``) are functions over it."""

    def __init__(self, config: ClientConfig, rng: Random) -> None:
        self.config = config
        self.rng = rng
        self.state: State = Init()
        self.timers = TimerTable()
        self.path: ServerPath | None = None
        self.gateway: Gateway | None = None
        self.network = Network.UNKNOWN
        self.asking: Asking | None = None
        self.hold: Hold | None = None
        self.hint: IPv4Address | None = None  # the address to ask for in a DISCOVER (option 50)
        self.started = False
        self.carrier = True
        self.naks = 0
        self.conflicts = 0
        self.round_at = float("-inf")  # when the last message of a renewal round was sent (rule 36)
        self.acd: Acd | None = None
        self.apply_failures = 0
        self.replacing: Lease | None = None  # the lease whose address the last Configure has to remove
        self.restored_at: tuple[float, ...] = ()
        self.drops: dict[str, int] = {}
        self.last_outcome: Outcome | None = None
        self._actions: list[Action] = []
        self._watch = Watch(())

    @property
    def lease(self) -> Lease | None:
        """The lease whose address is on the interface."""
        return lease_in_use(self.state)

    def emit(self, action: Action) -> None:
        """Ask the runtime for something, after all that was asked for before."""
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
        """Tell people something that is not the end of a renewal."""
        self.emit(Noticed(code, detail))

    def drop(self, reason: DropReason, message: Message, detail: str = "") -> None:
        """Count and ignore ``message``. The counters have one key per DropReason, so they cannot grow."""
        self.drops[reason.value] = self.drops.get(reason.value, 0) + 1
        self.emit(Dropped(reason, message.server_id, detail))

    def conclude(self, outcome: Outcome) -> None:
        """Leave the record of an acquisition or renewal that has ended (promise 6)."""
        self.last_outcome = outcome
        self.emit(Recorded(outcome))

    def enter(self, state: State, on: str, now: float, why: DeconfigureReason | None = None) -> None:
        """The gate: change the state because of ``on``.

        ``why`` is the reason for which the lease in use goes, when it goes; it must be true. Raises
        PromiseBrokenError when the change is not in the table, drops a valid lease, or would use an ended one.
        """
        former, lease = lease_in_use(self.state), lease_in_use(state)
        change = (name_of(self.state), name_of(state), on)
        if change not in _ALLOWED:
            raise PromiseBrokenError("no transition from {} to {} on {!r}".format(*change))
        if lease is not None and (
            not lease.valid(now) or (lease.ended_at is not None and self.config.on_expiry != "hold")
        ):
            raise PromiseBrokenError(f"{change[1]} would use {lease.address}, whose lease has ended")
        if former is not None and lease is None:
            self._deconfigure(former, why, now)
        if change[0] != change[1]:
            self.emit(Transitioned(*change))
        self.state = state
        self._arm(lease)

    def update(self, state: State) -> None:
        """Replace the state's data, not the state and not the lease in use."""
        if type(state) is not type(self.state) or lease_in_use(state) != lease_in_use(self.state):
            raise PromiseBrokenError(f"update of {name_of(self.state)} to another state or lease")
        self.state = state

    def remove_ended(self, lease: Lease, now: float) -> None:
        """Remove an ended lease's address that was found on the interface at start (promise 3)."""
        self._deconfigure(lease, DeconfigureReason.EXPIRED, now)

    def _deconfigure(self, lease: Lease, why: DeconfigureReason | None, now: float) -> None:
        allowed = (
            (why is DeconfigureReason.EXPIRED and lease.ended(now))
            or why in (DeconfigureReason.RELEASED, DeconfigureReason.CONFLICT)
            or (why is DeconfigureReason.HALTED and self.config.nak == "halt")
        )
        if why is None or not allowed:
            raise PromiseBrokenError(f"{lease.address} would go for the reason {why}, which does not hold")
        self.emit(Deconfigure(lease, why))

    def _arm(self, lease: Lease | None) -> None:
        """Deadlines that follow from the state alone."""
        if lease is None or isinstance(self.state, Stopped):
            self.hold = None
            self.timers.stop(Timer.EXPIRE, Timer.REAPPLY, Timer.HOLD)
        else:
            self.timers.set(Timer.EXPIRE, lease.expires_at)
            if self.config.on_expiry == "hold" and lease.ended_at is None and self.hold is None:
                self.timers.set(Timer.HOLD, lease.expires_at - schedule.HOLD_LEAD)
        if isinstance(self.state, Bound):
            self.timers.set(Timer.RENEW, self.state.lease.t1_at)
            self.timers.set(Timer.REBIND, self.state.lease.t2_at)
            self.timers.stop(Timer.START, Timer.OFFERS, Timer.RETRANSMIT)
        elif isinstance(self.state, Renewing):
            self.timers.stop(Timer.RENEW)
            self.timers.set(Timer.REBIND, self.state.lease.t2_at)
        else:
            self.timers.stop(Timer.RENEW, Timer.REBIND)
        if isinstance(self.state, (Init, InitReboot, Probing, Stopped)):
            self.timers.stop(Timer.OFFERS, Timer.RETRANSMIT)

    def watch(self) -> None:
        """Keep the runtime's ARP watch equal to what the state calls for."""
        wanted = set()
        if self.acd is not None:
            wanted.add(self.acd.address)
        if isinstance(self.state, (Init, Selecting, Requesting, Probing)) and self.state.held is not None:
            wanted.add(self.state.held.address)
        if self.hold is not None and self.lease is not None:
            wanted.add(self.lease.address)
        watch = Watch(tuple(sorted(wanted)), self.asking.address if self.asking is not None else None)
        if watch != self._watch:
            self._watch = watch
            self._actions.append(watch)
