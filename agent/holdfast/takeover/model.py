"""The vocabulary of a take-over: what was found, what it holds, what is to be changed, and the adapters' one interface.

Everything here is plain data; what it does to the machine is in ``journal.changes``, ``procedure`` and the adapters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface
from typing import Protocol, Union, runtime_checkable

from holdfast.managers.model import Value
from holdfast.takeover.host import Host


@dataclass(frozen=True)
class ForeignLease:
    """A lease as another client holds it.

    Instants are CLOCK_BOOTTIME seconds, inf for a lease without an end. ``options`` are the server's, raw,
    by number; without 1 (mask) the agent would guess, so adapters fill it in from other sources.
    ``client_id`` is option 61 as that client sends it: b"" when it sends none, None when that is unknown
    (then it is learned from the wire). ``vendor_class`` (option 60) and ``hostname`` (option 12) are what it
    sends, None when nothing. ``source`` is a text that says where this was read.
    """

    address: IPv4Interface
    server_id: IPv4Address | None
    started_at: float
    t1_at: float
    t2_at: float
    expires_at: float
    options: Mapping[int, bytes]
    client_id: bytes | None
    vendor_class: bytes | None
    hostname: str | None
    source: str


@dataclass(frozen=True)
class Found:
    """A client that serves the interface.

    ``client`` is the DHCP client ("dhclient"), ``manager`` who runs it ("ifupdown", or the client's own name
    when it runs alone). ``pids`` are all processes of it that concern this interface, the one that speaks DHCP
    first: two adapters that find the same process agree, and the manager's goes before the client's.
    ``evidence`` is a text that says how it was found. ``facts`` is what the adapter needs at the
    hand-back, when the client is gone: paths, a unit, a connection's id. It goes into the journal as it is.
    ``argv`` and ``environment`` are those of the first process; ``unit`` is its systemd unit, "" for none.
    """

    client: str
    manager: str
    ifname: str
    pids: tuple[int, ...]
    evidence: str
    argv: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "/"
    unit: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """A name for messages, such as "dhclient under ifupdown"."""
        return self.client if self.client == self.manager else f"{self.client} under {self.manager}"


@dataclass(frozen=True)
class FileChange:
    """``path`` shall have ``content`` (None: shall not be there) with permission bits ``mode``."""

    path: str
    content: bytes | None
    mode: int = 0o644


@dataclass(frozen=True)
class Command:
    """``argv`` is run; ``undo`` reverses it (None: nothing to reverse). Both may be run twice."""

    argv: tuple[str, ...]
    undo: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ListEntry:
    """The list ``path`` shall have the line ``entry``. Undone by taking out that line alone, whatever else has been
    written into the list since."""

    path: str
    entry: str


Change = Union[FileChange, Command, ListEntry]


@dataclass(frozen=True)
class Ownership:
    """What makes the interface ours, in order. ``volatile`` is there while the old client is stopped, and an adapter's
    part of it is under /run only, so that it is gone after a reboot; ``persistent`` is written when the take-over is
    confirmed.

    ``overlaid``: the manager keeps the link, and the list of links starts the agent at boot. Then ``settings`` are
    Holdfast's for the link by the keys of ``[interfaces.NAME]``, and ``lost`` what is no longer run for DHCPv4
    events, a line each. None of the three is kept in the journal."""

    volatile: tuple[Change, ...] = ()
    persistent: tuple[Change, ...] = ()
    overlaid: bool = False
    settings: Mapping[str, Value] = field(default_factory=dict)
    lost: tuple[str, ...] = ()


class Adapter(Protocol):
    """One foreign client. Every method raises TakeoverError and nothing else; ``find``, ``read`` and ``own``
    change nothing. ``Found`` may come from a journal written by an earlier process."""

    name: str

    def find(self, host: Host, ifname: str) -> Found | None:
        """The client, when it serves ``ifname`` now."""

    def read(self, host: Host, found: Found) -> ForeignLease:
        """Its lease on the interface, as complete as possible."""

    def own(self, host: Host, found: Found, lease: ForeignLease) -> Ownership:
        """What keeps the client (and its manager) off the interface, now and after a reboot."""

    def stop(self, host: Host, found: Found) -> None:
        """Stop it: no RELEASE, nothing taken from the interface. Returns when it is gone; may be called again."""

    def give_back(self, host: Host, found: Found, lease_now: ForeignLease) -> None:
        """Start it as it was, with ``lease_now`` where it reads its lease, if it reads one. The agent is
        stopped and the ownership undone by then; the address is on the interface."""


@runtime_checkable
class RenewalTrigger(Protocol):
    """An adapter that can make its client renew now, so that what cannot be read is captured on the wire."""

    def ask_renewal(self, host: Host, found: Found) -> None:
        """Make the client send a REQUEST soon. It keeps its lease, with or without a reply."""


@runtime_checkable
class SettingsSource(Protocol):
    """An adapter whose client has settings for the use of a reply."""

    def decided(self, host: Host, found: Found) -> Mapping[str, bool | int]:
        """Those settings, by the names of ours: use_dns, use_routes, use_mtu, metric."""
