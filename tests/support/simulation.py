"""A virtual network: real clients, simulated servers, one virtual clock, and every fault in between.

``World.step`` jumps to the next thing that is due (a packet, a timer, the end of a kernel lifetime) and then asks
every host's ``Promises`` whether all is well. Nothing here sleeps; all chance comes from one seed.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from itertools import count
from math import inf
from random import Random
from typing import ClassVar

from tests.support.promises import Promises
from tests.support.simulated_server import SimulatedServer

from holdfast.core import actions as act
from holdfast.core import events as ev
from holdfast.core.client import Client
from holdfast.core.config import ClientConfig
from holdfast.core.lease import Binding, Lease
from holdfast.core.outcome import Outcome, Via
from holdfast.core.states import name_of
from holdfast.wire import WireError
from holdfast.wire.message import BROADCAST, decode, encode

SERVER = IPv4Address("192.0.2.1")
OTHER_SERVER = IPv4Address("192.0.2.2")
POOL = [IPv4Address("192.0.2.0") + n for n in range(100, 120)]
#: Bytes that can be damaged so that an answer is not ours any more: op, htype, hlen, xid, chaddr, cookie. The
#: rest is the business of UDP's checksum.
_HEADER_BYTES = [0, 1, 2, 4, 5, 6, 7, 28, 29, 30, 31, 32, 33, 236, 237, 238, 239]
STRANGER = bytes.fromhex("02000000dead")
#: Who answers ARP for the servers' addresses, which are the gateways too; and who does after a replacement.
GATEWAYS = {SERVER: bytes.fromhex("020000000ff1"), OTHER_SERVER: bytes.fromhex("020000000ff2")}
NEW_GATEWAY = bytes.fromhex("020000000ff9")


@dataclass
class Direction:
    """What happens to packets one way: chances in 0..1, delays in seconds."""

    loss: float = 0.0
    duplicate: float = 0.0
    delay: tuple[float, float] = (0.001, 0.001)  # drawn anew for each packet, so a wide one reorders
    damage: float = 0.0


class KernelRefusedError(OSError):
    """The kernel model did not do as told."""


@dataclass
class Kernel:
    """The addresses of one interface that are ours, with the instants at which the kernel removes them.

    The kernel's clock stops during sleep, ``slept`` moves the ends. ``operations`` is what a netlink monitor
    would show. ``fault``: "" or "refuse" (nothing is done) or "half" (the new address comes, the old stays).
    """

    ends: dict[IPv4Address, float] = field(default_factory=dict)
    leases: dict[IPv4Address, float] = field(default_factory=dict)  # when the lease of each really ends
    operations: list[str] = field(default_factory=list)
    fault: str = ""
    unwanted: set[IPv4Address] = field(default_factory=set)  # told to go, and still there

    def configure(self, action: act.Configure, now: float, promises: Promises) -> None:
        """Make it so; KernelRefusedError when it cannot be, or not wholly."""
        if self.fault == "refuse":
            raise KernelRefusedError("RTM_NEWADDR: ENOBUFS")
        lease, former = action.lease, action.former
        if lease.expires_at <= now:
            raise KernelRefusedError("RTM_NEWADDR: EINVAL")
        self.operations.append(f"{'lifetime' if lease.address in self.ends else 'new'} {lease.address}")
        self.ends[lease.address] = self.leases[lease.address] = lease.expires_at
        self.unwanted.discard(lease.address)
        if self.fault == "half":
            self.unwanted |= {former.address} - {lease.address} if former is not None else set()
            raise KernelRefusedError("RTM_NEWROUTE: EEXIST")
        if former is not None and former.address != lease.address:
            self.remove(former.address, action, now, promises)

    def remove(self, address: IPv4Address, by: act.Action, now: float, promises: Promises) -> None:
        """Remove ``address`` if it is there."""
        if address in self.ends:
            promises.removed(address, self.leases[address] - now, by, set(self.ends))
            self.drop(address, "del")

    def drop(self, address: IPv4Address, how: str) -> None:
        """Remove the address."""
        del self.ends[address], self.leases[address]
        self.operations.append(f"{how} {address}")

    def slept(self, seconds: float, now: float) -> None:
        """The kernel's lifetimes do not count sleep, and the client corrects them when it wakes. What a faulty kernel
        would not let it correct or remove is beyond anybody's care: there the lifetimes do count."""
        for address in list(self.ends):
            if not self.fault and address not in self.unwanted:
                self.ends[address] += seconds
            elif self.ends[address] <= now:
                self.drop(address, "end")


@dataclass
class Entry:
    """One line of a host's transcript: what the client asked for, or a message that reached it. ``left``: seconds
    of the lease in use, None without one."""

    at: float
    left: float | None
    state: str
    what: act.Action | ev.Received


class Host:
    """One machine: a client (or none), its kernel, its lease file, its network card."""

    def __init__(self, world: World, config: ClientConfig) -> None:
        self.world = world
        self.config = config
        self.client: Client | None = None
        self.kernel = Kernel()
        self.stored: Binding | None = None
        self.carrier = True
        self.send_fails = False
        self.promises = Promises(config)
        self.transcript: list[Entry] = []
        self.watched: tuple[IPv4Address, ...] = ()
        self.gateway: IPv4Address | None = None  # whose answer the client listens for
        self.crash_after: int | None = None  # kill -9 after so many more actions
        self.inbox: deque[ev.Event] = deque()
        self.transitions: set[tuple[str, str, str]] = set()

    @property
    def state(self) -> str:
        """The client's state by name, "-" when it is not running."""
        return "-" if self.client is None else name_of(self.client.state)

    @property
    def lease(self) -> Lease | None:
        """The client's lease in use."""
        return None if self.client is None else self.client.lease

    @property
    def outcomes(self) -> list[Outcome]:
        """All that was recorded."""
        return self.promises.outcomes

    # -- life and death

    def start(self) -> None:
        """Start the client as the runtime would: with the stored lease, if there is one."""
        now = self.world.now
        self.client = Client(self.config, rng=Random(self.world.rng.getrandbits(64)))
        self.promises.crashed(now)
        cached = None
        if self.stored is not None:
            cached = ev.Cached(self.stored, self.stored.lease.address in self.kernel.ends)
        self.feed(ev.Start(cached, self.carrier))

    def crash(self) -> None:
        """kill -9."""
        self.client, self.watched, self.gateway, self.crash_after = None, (), None, None
        self.inbox.clear()
        self.promises.crashed(self.world.now)

    # -- events in, actions out

    def feed(self, *events: ev.Event) -> None:
        """Hand events to the client and perform what it asks for, and so on until it asks for nothing."""
        self.inbox.extend(events)
        while self.inbox and self.client is not None:
            event = self.inbox.popleft()
            if isinstance(event, ev.Release):
                self.promises.released = True
            if isinstance(event, ev.AddressConflict):
                self.promises.claimed(event)
            if isinstance(event, ev.Received):
                self._note(event)
            self._perform(self.client.handle(event, self.world.now))

    def _note(self, what: act.Action | ev.Received) -> None:
        now, lease = self.world.now, self.lease
        left = None if lease is None else lease.seconds_left(now)
        self.transcript.append(Entry(now, left, self.state, what))

    def tick(self) -> None:
        """Serve the client's timers."""
        if self.client is not None:
            self._perform(self.client.handle_timer(self.world.now))
            self.feed()

    def _perform(self, actions: list[act.Action]) -> None:
        for action in actions:
            client = self.client
            if client is None:
                return
            if self.crash_after is not None:
                self.crash_after -= 1
                if self.crash_after < 0:
                    self.crash()
                    return
            server = client.snapshot().server
            self._note(action)
            self.promises.saw(action, self.world.now, deaf=server is not None and server.hears_unicast is False)
            handler = self._performers.get(type(action))
            if handler is not None:
                handler(self, action)

    def _transmit(self, action: act.Transmit) -> None:
        unicast = action.destination != BROADCAST
        if self.send_fails or (unicast and action.source not in self.kernel.ends):
            self.promises.disturbed(self.world.now)
            self.inbox.append(ev.SendFailed(action.via, "ENETUNREACH"))
        elif self.carrier:
            self.world.send_up(self, action)

    def _configure(self, action: act.Configure) -> None:
        try:
            self.kernel.configure(action, self.world.now, self.promises)
        except KernelRefusedError as error:
            self.inbox.append(ev.ApplyFailed(str(error)))
        else:
            self.inbox.append(ev.Applied())

    def _deconfigure(self, action: act.Deconfigure) -> None:
        self.kernel.remove(action.lease.address, action, self.world.now, self.promises)

    def _persist(self, action: act.Persist) -> None:
        self.stored = action.binding

    def _forget(self, _: act.Forget) -> None:
        self.stored = None

    def _watch(self, action: act.Watch) -> None:
        self.watched, self.gateway = action.addresses, action.gateway

    def _ask_gateway(self, action: act.AskGateway) -> None:
        assert action.gateway == self.gateway, "asked before listening"
        mac = self.world.gateways.get(action.gateway)
        if self.carrier and mac is not None and action.mac in (None, mac):
            self.world.after(0.001, lambda: self.gateway_answers(action.gateway, mac))

    def gateway_answers(self, address: IPv4Address, mac: bytes) -> None:
        """``mac`` says that it is the gateway at ``address``. Seen only when it is listened for."""
        if address == self.gateway and self.carrier:
            self.promises.gateway_seen_at = self.world.now
            self.feed(ev.GatewaySeen(address, mac))

    def _probe(self, action: act.Probe) -> None:
        assert action.address in self.watched, "asked before listening"
        if action.address in self.world.squatters:
            self.world.after(0.001, lambda: self.claim(action.address, answer=True))

    def _transitioned(self, action: act.Transitioned) -> None:
        self.transitions.add((action.former, action.state, action.reason))

    _performers: ClassVar[dict[type, Callable[[Host, act.Action], None]]] = {
        act.Transmit: _transmit,
        act.Configure: _configure,
        act.Deconfigure: _deconfigure,
        act.Persist: _persist,
        act.Forget: _forget,
        act.Watch: _watch,
        act.Probe: _probe,
        act.AskGateway: _ask_gateway,
        act.Transitioned: _transitioned,
    }  # type: ignore[assignment]

    # -- what others do to it

    def claim(self, address: IPv4Address, *, answer: bool = False) -> None:
        """Somebody says by ARP that ``address`` is theirs, perhaps to answer us. Seen only when it is watched for."""
        if address in self.watched:
            self.feed(ev.AddressConflict(address, STRANGER, answer))

    def restore(self) -> None:
        """The hypervisor put an earlier state back, or made a copy of it."""
        self.promises.restored(self.world.now)
        self.feed(ev.Restored(self.world.rng.getrandbits(64), "the VM generation id changed"))

    def set_carrier(self, carrier: bool) -> None:
        """Pull or plug in the cable."""
        if carrier != self.carrier:
            self.carrier = carrier
            self.promises.disturbed(self.world.now)
            self.feed(ev.LinkUp() if carrier else ev.LinkDown())

    def delete_address(self) -> None:
        """Another program deletes our address."""
        lease = self.lease
        if lease is not None and lease.address in self.kernel.ends:
            self.kernel.drop(lease.address, "lost")
            self.feed(ev.AddressLost(lease.address))


class World:
    """Clock, cable, servers and hosts. ``now`` is CLOCK_BOOTTIME in seconds."""

    def __init__(self, seed: int = 0, *, servers: list[SimulatedServer] | None = None) -> None:
        self.rng = Random(seed)
        self.now = 1000.0
        self.servers = [SimulatedServer(SERVER, list(POOL))] if servers is None else servers
        self.up = Direction()
        self.down = Direction()
        self.lateness = 0.0  # of every timer, at most, in seconds
        self.icmp = False  # an unheard unicast comes back as an ICMP error
        self.squatters: set[IPv4Address] = set()
        self.gateways = dict(GATEWAYS)
        self.hosts: list[Host] = []
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._idle_steps = 0

    @property
    def server(self) -> SimulatedServer:
        """The first server."""
        return self.servers[0]

    def add_host(self, **settings: object) -> Host:
        """A host that is not started yet; ``settings`` are fields of ClientConfig."""
        mac = bytes.fromhex("02000000") + (len(self.hosts) + 1).to_bytes(2, "big")
        config = ClientConfig(chaddr=mac, client_id=b"\x01" + mac)._replace(**settings)  # type: ignore[arg-type]
        self.hosts.append(Host(self, config))
        return self.hosts[-1]

    # -- time

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        """Do ``what`` in ``seconds``."""
        heapq.heappush(self._queue, (self.now + seconds, next(self._order), what))

    def _next(self) -> tuple[float, Callable[[], None]]:
        """What is due next, and when."""
        due: list[tuple[float, int, Callable[[], None]]] = []
        if self._queue:
            due.append((self._queue[0][0], self.rng.randrange(3), self._pop))
        for host in self.hosts:
            at = None if host.client is None else host.client.next_deadline()
            if at is not None:
                due.append((at + self.rng.uniform(0.0, self.lateness), self.rng.randrange(3), host.tick))
            if host.kernel.ends:
                end, address = min((end, address) for address, end in host.kernel.ends.items())
                due.append((end, self.rng.randrange(3), lambda h=host, a=address: _lifetime_over(h, a)))  # type: ignore[misc]
        if not due:
            return inf, lambda: None
        at, _, what = min(due, key=lambda entry: entry[:2])
        return at, what

    def _pop(self) -> None:
        heapq.heappop(self._queue)[2]()

    def step(self, until: float = inf) -> bool:
        """Jump to the next thing that is due and do it; False when nothing is due by ``until``."""
        at, what = self._next()
        if at > until or at == inf:
            self.now = max(self.now, until) if until != inf else self.now
            self.check()
            return False
        self._idle_steps = self._idle_steps + 1 if at <= self.now else 0
        assert self._idle_steps < 500, "time stands still: somebody is spinning"
        self.now = max(self.now, at)
        what()
        self.check()
        return True

    def run(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        until = self.now + seconds
        while self.step(until):
            pass

    def run_until(self, condition: Callable[[], bool], limit: float = 1000.0) -> None:
        """Let time pass until ``condition()``; AssertionError after ``limit`` seconds."""
        until = self.now + limit
        while not condition():
            assert self.step(until), f"still waiting after {limit} s"

    def sleep(self, seconds: float, *, timers_first: bool = False) -> None:
        """Suspend every host: BOOTTIME goes on, the kernels' lifetimes do not, packets in flight are lost."""
        self.now += seconds
        self._queue = [(max(at, self.now), n, what) for at, n, what in self._queue]
        heapq.heapify(self._queue)
        for host in self.hosts:
            host.crash_after = None  # who dies at the moment of waking leaves the kernel's wrong lifetimes behind
            host.kernel.slept(seconds, self.now)
            host.promises.slept(seconds, self.now)
            if timers_first:
                host.tick()
            host.feed(ev.TimeJumped(seconds, "suspend"))
        self.check()

    def check(self) -> None:
        """Every promise of every host, and promise 3 by the servers' own books."""
        for host in self.hosts:
            host.promises.check(self.now, host.lease, host.kernel.leases)
            for address in host.kernel.ends:
                books = [s.promises[host.config.chaddr, address] for s in self.servers
                         if (host.config.chaddr, address) in s.promises]
                assert books, f"{address} was never granted"
                ends_at = max(books) + 1.0
                if host.config.on_expiry == "hold":
                    ends_at = host.promises.may_hold_until(max(books))
                assert self.now <= ends_at, f"promise 3: {address} is used after its lease"

    # -- the cable

    def send_up(self, host: Host, action: act.Transmit) -> None:
        """From a client to every server that can hear it."""
        data = encode(action.message)
        assert len(data) >= 300  # rule 13
        unheard = action.via is Via.UNICAST
        for server in self.servers:
            if server.hears(action.source, action.destination):
                unheard = False
                for delay in self._copies(self.up):
                    self.after(delay, lambda s=server: self._at_server(host, s, data))  # type: ignore[misc]
        if unheard and self.icmp:
            self.after(0.001, lambda: host.feed(ev.SendFailed(Via.UNICAST, "ECONNREFUSED")))

    def _at_server(self, host: Host, server: SimulatedServer, data: bytes) -> None:
        if server.silent:
            return
        for reply in server.receive(decode(data), self.now):
            answer = encode(reply)
            for delay in self._copies(self.down):
                self.after(delay, lambda a=answer, s=server: self._at_host(host, s.address, a))  # type: ignore[misc]

    def _at_host(self, host: Host, source: IPv4Address, data: bytes) -> None:
        if not host.carrier:
            return
        if self.rng.random() < self.down.damage:
            at = self.rng.choice(_HEADER_BYTES)
            data = data[:at] + bytes((self.rng.randrange(256),)) + data[at + 1:]
        try:
            message = decode(data)
        except WireError:
            return
        host.feed(ev.Received(message, source, BROADCAST))

    def _copies(self, direction: Direction) -> list[float]:
        """The delays of the copies that arrive: none when lost, two when duplicated."""
        if self.rng.random() < direction.loss:
            return []
        copies = 2 if self.rng.random() < direction.duplicate else 1
        return [self.rng.uniform(*direction.delay) for _ in range(copies)]


def _lifetime_over(host: Host, address: IPv4Address) -> None:
    """The kernel removes an address whose lifetime has ended, and says so to whoever listens."""
    host.kernel.drop(address, "end")
    host.feed(ev.AddressLost(address))
