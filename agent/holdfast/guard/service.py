"""``holdfast guard`` in the foreground: all interfaces of a network namespace, one loop.

The only thing that is ever written to the network is what ``Rebroadcast`` asks for; of the kernel only the table of
``nflog.py`` is changed, which goes with this process.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from fnmatch import fnmatchcase
from ipaddress import IPv4Address
from math import inf

from holdfast.clock import Clock, SystemClock
from holdfast.control.interface import GUARD, socket_path
from holdfast.eventloop.loop import Loop
from holdfast.eventloop.signals import Signals
from holdfast.guard import events as ev
from holdfast.guard.actions import Action, Noticed, Rebroadcast, Recorded
from holdfast.guard.addresses import AddressWatch, Held
from holdfast.guard.lease_files import stored_lease
from holdfast.guard.machine import UNKNOWN, Guard
from holdfast.guard.metrics import KIND
from holdfast.guard.nflog import Nflog, NflogError
from holdfast.guard.programs import Client, client_of
from holdfast.guard.reporter import Reporter
from holdfast.guard.status import Shown, serve
from holdfast.guard.tap import Packet, Tap, read_message
from holdfast.network import KernelError
from holdfast.network import link as links
from holdfast.network.census import Census, Found, all_links
from holdfast.observe.log import Log
from holdfast.observe.metrics import Textfile
from holdfast.state import folder as folders
from holdfast.wire import WireError
from holdfast.wire import message as m
from holdfast.wire.record import NamedTuple

#: Interfaces guarded at a time; a virtual machine has a few dozen at most.
MAX_GUARDED = 64
#: Seconds without reading after a full batch: a flood is read at most this often, and costs 64 packets each time.
PAUSE = 0.02
#: Seconds for which it is not looked up again which client an interface has.
CLIENT_KNOWN, CLIENT_UNKNOWN = 30.0, 1.0
#: Changes of a lifetime below this, in seconds, are the rounding of the kernel's whole seconds.
ROUNDING = 1.1


#: An abstract name, which belongs to the network namespace and goes with the process (unix(7)).
ALONE = "\0" + GUARD


class GuardedError(OSError):
    """Another guard runs here. ``strerror`` says so in one line."""


class Guarded:
    """One interface: its machine, and what is known around it."""

    def __init__(self, name: str, guard: Guard, reporter: Reporter) -> None:
        self.name, self.guard, self.reporter = name, guard, reporter
        self.client = Client("", "")
        self.mac, self.told_of_stranger = b"", False
        self.client_known_until = self.lease_read_at = -inf


class Places(NamedTuple):
    """Folders: guard's state, guard's control socket, an agent's control sockets, and metrics (None: none)."""

    state_dir: str
    runtime_dir: str
    agents: tuple[str, ...]
    metrics_dir: str | None = None


class Service:
    """Guards the interfaces that fit ``patterns``, or every one. ``nflog_group``: of the rule in the output hook;
    ``control_group``: the group id whose members may ask beside root. ``outlived``: somebody removes the table when
    this process has ended, so that it may be made where the kernel does not (before Linux 5.12)."""

    def __init__(self, patterns: tuple[str, ...], places: Places, log: Log, *, rebroadcast: bool = False,
                 nflog_group: int, control_group: int | None = None, outlived: bool = False,
                 clock: Clock | None = None) -> None:
        self._patterns, self._places, self._log = patterns, places, log
        self._rebroadcast, self._nflog_group, self._control_group = rebroadcast, nflog_group, control_group
        self._outlived = outlived
        self._clock = clock or SystemClock()
        self.loop = Loop(self._clock)
        self._links: dict[int, Found] = {}
        self._guarded: dict[int, Guarded] = {}
        self._held: dict[IPv4Address, Held] = {}
        self._ends: dict[IPv4Address, float] = {}
        self._nflog: Nflog | None = None
        self._blind: str | None = None
        self._keeps = True
        self._told_served: set[str] = set()

    def start(self) -> None:
        """Open everything. Raises GuardedError, OSError (EPERM: no CAP_NET_RAW), LinkError or KernelError."""
        self._tap = Tap()
        self._lock()
        try:
            self._nflog = Nflog(self._nflog_group, outlived=self._outlived)
            self.loop.register(self._nflog.fileno(), lambda _mask: self._read_nflog())
        except NflogError as error:
            self._blind = error.strerror
            self._log.write(4, f"guard: {error.strerror}; using the packet socket alone, so a renewal is not seen "
                               "where ARP for the server is not answered")
        self._watch, self._census = AddressWatch(), Census()
        self._signals = Signals(self.loop, stop=self.loop.stop, child_ended=_nothing, hangup=_nothing)
        self.loop.use_timerfd()
        self.loop.register(self._tap.fileno(), lambda _mask: self._read_tap())
        self.loop.register(self._watch.fileno(), lambda _mask: self._read_addresses())
        self.loop.register(self._census.fileno(), lambda _mask: self._read_links())
        self._server = serve(self.loop, self._places.runtime_dir, self._control_group, self._shown,
                             self._keep_nothing)
        self._read_addresses()
        self._see_links(all_links())
        mode = "unanswered renewals are repeated by broadcast" if self._rebroadcast else "nothing is sent"
        names = ", ".join(one.name for one in self._guarded.values())
        self._log.write(6, f"guard: watching {names or 'for interfaces'}; {mode}")

    def _lock(self) -> None:
        """One guard in a network namespace, and one with this folder. GuardedError."""
        self._alone = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._alone.bind(ALONE)
        except OSError as error:
            raise GuardedError(error.errno, "another guard watches the interfaces of this network namespace") from None
        folders.make(self._places.state_dir)
        with folders.opened(self._places.state_dir) as here:
            self._folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=here)
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise GuardedError(error.errno, f"another guard uses {self._places.state_dir}") from None

    def _shown(self) -> Shown:
        return Shown(self._rebroadcast, self._blind, [(one.guard, one.reporter) for one in self._guarded.values()])

    def _keep_nothing(self) -> None:
        self._keeps = False
        for one in self._guarded.values():
            one.reporter.keeps = False

    def run(self) -> None:
        """Guard until a signal stops it."""
        self.loop.run()

    def close(self) -> None:
        """Record what is open, and close everything."""
        for one in self._guarded.values():
            self._perform(one, one.guard.stop(self.loop.now()))
        for resource in (self._tap, self._watch, self._census, self._nflog):
            if resource is not None:
                self.loop.unregister(resource.fileno())
                resource.close()
        self._server.close()
        self._signals.close()
        self._alone.close()
        os.close(self._folder)
        self.loop.close()
        self._log.close()

    # -- links and addresses ---------------------------------------------------------------------

    def _read_links(self) -> None:
        self._see_links(self._census.read())

    def _see_links(self, links: list[Found]) -> None:
        for link in links:
            self._links[link.ifindex] = link
            known = self._guarded.get(link.ifindex)
            if known is not None and known.name == link.name and self._fits(link):
                continue
            if known is not None:
                self._let_go(link.ifindex)
            if self._fits(link) and len(self._guarded) < MAX_GUARDED:
                self._guard(link)

    def _fits(self, link: Found) -> bool:
        if not link.ethernet or link.enslaved:
            return False
        if self._served(link.name):
            if link.name in self._patterns and link.name not in self._told_served:
                self._told_served.add(link.name)
                self._log.write(4, f"{link.name}: Holdfast itself serves this interface; there is nothing to guard")
            return False
        return not self._patterns or any(fnmatchcase(link.name, pattern) for pattern in self._patterns)

    def _served(self, ifname: str) -> bool:
        return any(os.path.exists(socket_path(folder, ifname)) for folder in self._places.agents)

    def _guard(self, link: Found) -> None:
        folder = self._places.metrics_dir
        metrics = None if folder is None else Textfile(folder, link.name, KIND)
        reporter = Reporter(link.name, self._log, self._places.state_dir, self.loop.now, metrics=metrics)
        reporter.keeps = self._keeps
        guard = Guard(rebroadcast=self._rebroadcast, others=reporter.others_before())
        self._guarded[link.ifindex] = one = Guarded(link.name, guard, reporter)
        self._find_client(link.ifindex, one)
        if one.client.name == UNKNOWN:  # it is about to start, and then says so by its first message
            one.client_known_until = -inf
        for address, held in self._held.items():
            if held.ifindex == link.ifindex:
                self._feed(link.ifindex, ev.Lifetime(address, self._ends[address]))
        self._read_lease(link.ifindex, one)
        _keep_metrics(one)

    def _find_client(self, ifindex: int, one: Guarded) -> None:
        """Look it up, at most once in CLIENT_KNOWN seconds, and once in CLIENT_UNKNOWN while there is none."""
        now = self.loop.now()
        if now < one.client_known_until:
            return
        former, one.client = one.client, client_of(one.name)
        one.client_known_until = now + (CLIENT_KNOWN if one.client.name != UNKNOWN else CLIENT_UNKNOWN)
        if one.client.contained and one.client != former:
            one.reporter.line(5, f"{one.client.program} runs in a container; its lease file is looked for in there")
        self._feed(ifindex, ev.ClientFound(one.client.name, one.client.program))

    def _read_lease(self, ifindex: int, one: Guarded) -> None:
        """Tell what the client's own file says."""
        stored = stored_lease(one.client, one.name, ifindex, self._clock)
        if stored is not None:
            self._perform(one, one.guard.handle(stored, self.loop.now()))
            self._arm(ifindex, one)

    def _let_go(self, ifindex: int) -> None:
        one = self._guarded.pop(ifindex)
        self._perform(one, one.guard.stop(self.loop.now()))
        self.loop.set_timer((self, ifindex), None, _nothing)

    def _read_addresses(self) -> None:
        self._watch.drain()
        try:
            held = self._watch.read()
        except KernelError as error:
            self._log.write(4, f"guard: {error}")
            return
        now = self.loop.now()
        former, self._held = self._held, held
        for address, one in former.items():
            if address not in held or held[address].ifindex != one.ifindex:
                del self._ends[address]
                self._feed(one.ifindex, ev.AddressGone(address))
        for address, one in held.items():
            ends, before = now + one.valid, self._ends.get(address)
            if before is None or (ends != before and abs(ends - before) > ROUNDING):
                self._ends[address] = ends
                self._feed(one.ifindex, ev.Lifetime(address, ends))

    # -- packets ---------------------------------------------------------------------------------

    def _read_nflog(self) -> None:
        if self._nflog is None:
            return
        found, full = self._nflog.read()
        for logged in found:
            try:
                packet = read_message(logged.packet, logged.ifindex, outgoing=True, checksum_ready=False)
            except WireError:
                continue
            # A broadcast is counted where it leaves; most clients send it on a packet socket, past this hook.
            if packet.destination != m.BROADCAST:
                self._sent(packet, ev.Seen.OUTPUT)
        if full:
            self._pause(self._nflog.fileno(), self._read_nflog)

    def _read_tap(self) -> None:
        packets, full = self._tap.read()
        self._read_nflog()  # what is on the wire was in the output hook before; the machine is told in that order
        for packet in packets:
            if packet.outgoing:
                self._sent(packet, ev.Seen.WIRE)
            else:
                self._feed(packet.ifindex, ev.Replied(packet.message, packet.source))
        if full:
            self._pause(self._tap.fileno(), self._read_tap)

    def _pause(self, fd: int, read: Callable[[], None]) -> None:
        """Leave a flood waiting for a moment."""
        self.loop.unregister(fd)
        self.loop.set_timer((self, "pause", fd), self.loop.now() + PAUSE,
                            lambda: self.loop.register(fd, lambda _mask: read()))

    def _sent(self, packet: Packet, seen: ev.Seen) -> None:
        ifindex = packet.ifindex
        if packet.message.ciaddr == m.ANY and self._is_strangers(ifindex, packet.message):
            return
        if packet.message.ciaddr != m.ANY:
            # A bridge's port shows the bridge's message, and what another machine's client sends through it.
            owner = self._held.get(packet.message.ciaddr)
            if owner is None or (owner.ifindex != ifindex and seen is ev.Seen.WIRE):
                return
            ifindex = owner.ifindex
        one = self._guarded.get(ifindex)
        if one is not None and self._served(one.name):
            one.reporter.line(6, "Holdfast itself serves this interface from now on; it is guarded no more")
            self._let_go(ifindex)
            return
        if one is None and ifindex in self._links:  # an agent may have served it
            self._see_links([self._links[ifindex]])
            one = self._guarded.get(ifindex)
        if one is None:
            return
        self._find_client(ifindex, one)
        self._feed(ifindex, ev.Sent(packet.message, packet.payload, packet.source, packet.destination, seen))

    def _is_strangers(self, ifindex: int, message: m.Message) -> bool:
        """A container or a virtual machine sends through the interface: its client is not the one that is guarded."""
        one = self._guarded.get(ifindex)
        if one is None or message.chaddr == one.mac:
            return False
        with suppress(OSError):
            one.mac = links.find(one.name).mac  # it may have been changed since
        if message.chaddr == one.mac:
            return False
        if not one.told_of_stranger:
            one.told_of_stranger = True
            one.reporter.line(5, f"a client with the hardware address {message.chaddr.hex(':')} asks through this "
                                 "interface: a container's or a virtual machine's, to be guarded where it runs")
        return True

    # -- the machine -----------------------------------------------------------------------------

    def _feed(self, ifindex: int, event: ev.Event) -> None:
        one = self._guarded.get(ifindex)
        if one is not None:
            if isinstance(event, ev.Sent):
                self._tell_proof(ifindex, one)
            self._perform(one, one.guard.handle(event, self.loop.now()))
            self._arm(ifindex, one)

    def _tell_proof(self, ifindex: int, one: Guarded) -> None:
        """Before it is judged whether an answer was taken; at most once a second, because a file is read."""
        now = self.loop.now()
        if one.guard.awaits_proof and now >= one.lease_read_at + 1.0:
            one.lease_read_at = now
            self._read_lease(ifindex, one)

    def _arm(self, ifindex: int, one: Guarded) -> None:
        self.loop.set_timer((self, ifindex), one.guard.next_deadline(), lambda: self._on_timer(ifindex, one))

    def _on_timer(self, ifindex: int, one: Guarded) -> None:
        self._tell_proof(ifindex, one)
        self._perform(one, one.guard.handle_timer(self.loop.now()))
        self._arm(ifindex, one)

    def _perform(self, one: Guarded, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Rebroadcast):
                try:
                    self._tap.send(one.name, action.payload, action.source)
                    one.reporter.repeated()
                except OSError as error:
                    one.reporter.line(4, f"the renewal cannot be repeated by broadcast: {error.strerror}")
            elif isinstance(action, Recorded):
                one.reporter.recorded(action)
            elif isinstance(action, Noticed):
                one.reporter.noticed(action)
        if actions:
            _keep_metrics(one)


def _keep_metrics(one: Guarded) -> None:
    lease = one.guard.lease
    one.reporter.write_metrics(one.guard.client, None if lease is None else lease.expires_at, len(one.guard.others))


def _nothing() -> None:
    """A signal that means nothing here, and a timer that is cancelled."""
