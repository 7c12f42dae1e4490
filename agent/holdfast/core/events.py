"""Everything that can happen to a client. Built by ``runtime`` and by tests; read by ``client.py``.

Any event may come in any state and in any order; one that means nothing there changes nothing. When it happened is told
to ``Client.handle``, in seconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

from holdfast.core.lease import Binding
from holdfast.core.outcome import Via
from holdfast.wire.message import Message
from holdfast.wire.record import TYPE_CHECKING, NamedTuple, record

if TYPE_CHECKING:
    from ipaddress import IPv4Address


@record
class Cached(NamedTuple):
    """A binding remembered from an earlier process. ``on_link``: its address is on the interface now."""

    binding: Binding
    on_link: bool


@record
class Start(NamedTuple):
    """The first event; a second one is ignored. ``cached`` None: nothing is remembered. ``carrier`` False means: wait
    for LinkUp before sending."""

    cached: Cached | None
    carrier: bool = True


@record
class Received(NamedTuple):
    """A BOOTP message that ``wire`` could read, whoever sent it; ``replies`` judges it. ``source`` and
    ``destination`` are the IP header's."""

    message: Message
    source: IPv4Address
    destination: IPv4Address


@record
class LinkUp(NamedTuple):
    """The interface has carrier (again). Ignored where that is known."""


@record
class LinkDown(NamedTuple):
    """The interface has lost carrier, is down, or is gone."""


@record
class AddressConflict(NamedTuple):
    """Somebody else (``by``, a hardware address) claims ``address`` by ARP. Our own MACs are filtered before.
    ``answer``: the frame is an ARP reply to our hardware address, as an answer to a probe of ours is."""

    address: IPv4Address
    by: bytes
    answer: bool = False


@record
class GatewaySeen(NamedTuple):
    """``mac`` answered our ARP question for ``address``, the gateway that the last Watch named."""

    address: IPv4Address
    mac: bytes


@record
class AddressLost(NamedTuple):
    """Something else removed ``address`` from the interface; the client says when to put it back (rule 60)."""

    address: IPv4Address


@record
class RoutesLost(NamedTuple):
    """Routes of ours are gone from the interface, or may be: something removed one, the link was set down and up, or
    the kernel's news were lost. One removal may come as many of these."""


@record
class Applied(NamedTuple):
    """The kernel holds what the last Configure asked for, read back."""


@record
class ApplyFailed(NamedTuple):
    """The last Configure could not be carried out, or not wholly. ``error`` is for people (rule 59)."""

    error: str


@record
class TimeJumped(NamedTuple):
    """Suspend, or a wall clock set forward as after a pause: ``seconds`` is how long we were away, as far as known.
    ``cause`` is for people (rules 45, 46)."""

    seconds: float
    cause: str


@record
class Restored(NamedTuple):
    """This machine is a copy, or an earlier self: a snapshot restored, a clone (the VM generation id changed).

    ``seed`` is fresh entropy: another copy has our random generator in the same state, and would draw
    the same transaction ids. How long we were away is not known to any clock.
    """

    seed: int
    cause: str


@record
class SendFailed(NamedTuple):
    """The last Transmit that went ``via`` failed, at once or by an ICMP error that came back (rule 55). ``error`` is
    for people."""

    via: Via
    error: str


@record
class Renew(NamedTuple):
    """The operator asks for a renewal now; in STOPPED after a Release, for a new lease."""


@record
class Rebind(NamedTuple):
    """The operator asks for a renewal now, by broadcast."""


@record
class Release(NamedTuple):
    """The operator gives the lease back: the only command that removes a valid address."""


@record
class Stop(NamedTuple):
    """The process is about to end: keep the address, keep the lease, send nothing."""


Event = (
    Start
    | Received
    | LinkUp
    | LinkDown
    | AddressConflict
    | GatewaySeen
    | AddressLost
    | RoutesLost
    | Applied
    | ApplyFailed
    | TimeJumped
    | Restored
    | SendFailed
    | Renew
    | Rebind
    | Release
    | Stop
)
