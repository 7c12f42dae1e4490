"""What can be wrong with a DHCP server and its network, as one small record that a person can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

Window = tuple[float, float]
"""From, to: seconds after the server's first ACK. ``inf`` is allowed."""


class Unicast(str, Enum):
    """What a client's unicast REQUEST meets."""

    ANSWERED = "answered"
    SILENT = "silent"  # the fault this project exists for
    ICMP = "icmp"  # port unreachable comes back
    FOREIGN_NAK = "foreign-nak"  # another server on the same wire says NAK
    WRONG_DESTINATION = "wrong-destination"  # the ACK's IP destination is copied from the request


@dataclass(frozen=True)
class Lease:
    """What the server gives. Seconds; ``t1``, ``t2`` None leave options 58 and 59 out."""

    time: int = 20
    t1: int | None = None
    t2: int | None = None


@dataclass(frozen=True)
class Faults:
    """The faults of one run; the default has none.

    ``silent``, ``nak``: windows in which the server hears nothing, or answers every REQUEST with NAK.
    ``forget_at``: its leases are lost then; a REQUEST for a forgotten lease meets silence or, with
    ``forgotten="nak"``, NAK. ``move_at``: from then the client's address is ``move_to``; ``move_by``
    "nak" says NAK to the old one, "ack" puts the new one in the ACK (rule 19); ``move_only``: the MAC of the one
    client that is moved. ``answer_as``: another
    server's identifier in answers to broadcast renewals (rule 18). ``nak_before_ack``: a NAK of a
    foreign server goes before every ACK of a renewal (rule 29). ``loss`` is a probability, each way;
    ``delay`` seconds before an answer; ``duplicates`` extra copies of each; ``reorder`` the probability
    that an answer is held back for half a second more; ``malformed`` bad replies before each good one.
    ``options`` are added to each OFFER and ACK by number (replacing ours), ``omit`` are left out.
    ``repeats``: options that are sent twice, each whole. ``ack_as``: another server's identifier in every ACK to a
    REQUEST after an OFFER (rule 79).
    ``ignores``: kinds of message that are never answered. ``only_from_any``: what comes from an address other
    than 0.0.0.0 is not answered. ``relayed``: answers come from the relay's IP address, not from the identifier's.
    """

    unicast: Unicast = Unicast.ANSWERED
    silent: tuple[Window, ...] = ()
    nak: tuple[Window, ...] = ()
    forget_at: float | None = None
    forgotten: str = "silent"
    move_at: float | None = None
    move_to: str = "192.0.2.77"
    move_by: str = "nak"
    move_only: str | None = None
    answer_as: str | None = None
    nak_before_ack: bool = False
    loss: float = 0.0
    delay: float = 0.0
    duplicates: int = 0
    reorder: float = 0.0
    malformed: int = 0
    options: Mapping[int, bytes] = field(default_factory=dict)
    omit: tuple[int, ...] = ()
    repeats: tuple[int, ...] = ()
    ack_as: str | None = None
    ignores: tuple[str, ...] = ()
    only_from_any: bool = False
    relayed: bool = False


NO_FAULTS = Faults()


def within(windows: tuple[Window, ...], at: float) -> bool:
    """True when ``at`` is inside one of ``windows``."""
    return any(start <= at < end for start, end in windows)
