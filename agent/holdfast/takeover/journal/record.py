"""The record of one take-over: what was there, what was changed, and the phase that it reached."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Interface

from holdfast.network.plan import Observed
from holdfast.takeover.model import ForeignLease, Found, Ownership


class Phase(IntEnum):
    """The phases. A phase is written before its step is done, so the step may have been done."""

    PLANNED = 0
    OWNING = 1
    STOPPING = 2
    ADOPTING = 3
    PROVEN = 4
    CONFIRMING = 5
    CONFIRMED = 6


@dataclass(frozen=True)
class FileDone:
    """A file as it was (None: not there) and as we write it."""

    path: str
    before: bytes | None
    before_mode: int
    after: str | None
    """The sha256 of what we write, None for a file that we remove."""


@dataclass(frozen=True)
class Journal:
    """One take-over. ``before``: the interface's address and routes as the old client had them. ``files`` are in the
    order of ``ownership``. ``agent_unit``: what serves the interface now, "" for an agent in the foreground;
    ``agent_enabled``: it was enabled already. ``deadman``: a unit's name, or a pid as text."""

    ifname: str
    adapter: str
    phase: Phase
    found: Found
    lease: ForeignLease
    ownership: Ownership
    files: tuple[FileDone, ...]
    before: Observed
    boot_id: str
    agent_unit: str = ""
    agent_enabled: bool = False
    deadman: str = ""
    notes: tuple[str, ...] = field(default=())

    def at(self, phase: Phase) -> Journal:
        """The same, so far."""
        return replace(self, phase=phase)

    def armed(self, deadman: str) -> Journal:
        """The same, with this dead-man."""
        return replace(self, deadman=deadman)


def checksum(content: bytes) -> str:
    """The SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def anonymous(journal: Journal) -> Journal:
    """The journal without what belongs to this machine alone, for a copy of its disk. Its address becomes 0.0.0.0,
    which a hand-back replaces by the copy's own."""
    mine = {journal.lease.address.ip}

    def nobodys(interface: IPv4Interface) -> IPv4Interface:
        return IPv4Interface((IPv4Address(0), interface.network.prefixlen)) if interface.ip in mine else interface

    lease = replace(
        journal.lease, address=nobodys(journal.lease.address), server_id=None, started_at=0.0, t1_at=0.0, t2_at=0.0,
        expires_at=0.0, options={}, client_id=None, hostname=None,
    )
    before = journal.before._replace(addresses=tuple(
            held._replace(interface=nobodys(held.interface), label=None) for held in journal.before.addresses
            if held.interface.ip in mine
        ),
        routes=tuple(
            route._replace(source=IPv4Address(0)) if route.source in mine else route for route in journal.before.routes
        ),
    )
    return replace(journal, lease=lease, before=before, found=replace(journal.found, pids=()), boot_id="", deadman="")
