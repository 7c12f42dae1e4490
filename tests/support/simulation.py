"""Hosts in the simulator's world: a client, a kernel, a lease file and a network card each, and every fault of these.

Every packet goes as octets, and after each step every host's ``Promises`` are asked whether all is well. Nothing here
sleeps; all chance comes from one seed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from itertools import count
from math import inf
from random import Random
from typing import ClassVar

from tests.support.promises import Promises

from holdfast.core import actions as act
from holdfast.core import events as ev
from holdfast.core.client import Client
from holdfast.core.config import ClientConfig
from holdfast.core.lease import Binding, Lease
from holdfast.core.outcome import Outcome, Via
from holdfast.core.states import name_of
from holdfast.wire.message import BROADCAST, Message
from holdfast_lab.simulate import world
from holdfast_lab.simulate.server import Pool, Server

SERVER = IPv4Address("192.0.2.1")
OTHER_SERVER = IPv4Address("192.0.2.2")
POOL = [IPv4Address("192.0.2.0") + n for n in range(100, 120)]
STRANGER = bytes.fromhex("02000000dead")
#: Who answers ARP for the servers' addresses, which are the gateways too; and who does after a replacement.
GATEWAYS = {SERVER: bytes.fromhex("020000000ff1"), OTHER_SERVER: bytes.fromhex("020000000ff2")}
NEW_GATEWAY = bytes.fromhex("020000000ff9")


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
        self.wake_at = inf
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
        self.world.wake_by_deadline(self)

    def _note(self, what: act.Action | ev.Received) -> None:
        now, lease = self.world.now, self.lease
        left = None if lease is None else lease.seconds_left(now)
        self.transcript.append(Entry(now, left, self.state, what))

    def deadline(self) -> float:
        """When the client's next timer is due."""
        at = None if self.client is None else self.client.next_deadline()
        return inf if at is None else at

    def on_timer(self, now: float) -> None:
        """Serve the client's timers."""
        if self.client is not None:
            self._perform(self.client.handle_timer(now))
            self.feed()

    def on_reply(self, message: Message, source: IPv4Address, now: float) -> None:
        """A message arrives, unless the cable is out."""
        if self.carrier:
            self.feed(ev.Received(message, source, BROADCAST))

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
            self.world.send(self, action.message, action.source, action.destination)

    def _configure(self, action: act.Configure) -> None:
        try:
            self.kernel.configure(action, self.world.now, self.promises)
        except KernelRefusedError as error:
            self.inbox.append(ev.ApplyFailed(str(error)))
        else:
            self.inbox.append(ev.Applied())
        self._expect_ends()

    def _expect_ends(self) -> None:
        """The kernel removes each address when its lifetime is over, unless that is longer by then."""
        for address, end in self.kernel.ends.items():
            if end != inf:
                self.world.at(end, self._lifetime_over, address)

    def _lifetime_over(self, address: IPv4Address) -> None:
        if self.kernel.ends.get(address, inf) <= self.world.now:
            self.kernel.drop(address, "end")
            self.feed(ev.AddressLost(address))

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
            self.world.at(self.world.now + 0.001, self._gateway_answers, (action.gateway, mac))

    def _gateway_answers(self, gateway: tuple[IPv4Address, bytes]) -> None:
        """Seen only when it is listened for."""
        address, mac = gateway
        if address == self.gateway and self.carrier:
            self.promises.gateway_seen_at = self.world.now
            self.feed(ev.GatewaySeen(address, mac))

    def _probe(self, action: act.Probe) -> None:
        assert action.address in self.watched, "asked before listening"
        if action.address in self.world.squatters:
            self.world.at(self.world.now + 0.001, self._answer_probe, action.address)

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

    def _answer_probe(self, address: IPv4Address) -> None:
        self.claim(address, answer=True)

    def claim(self, address: IPv4Address, *, answer: bool = False) -> None:
        """Somebody says by ARP that ``address`` is theirs, perhaps to answer us. Seen only when it is watched for."""
        if address in self.watched:
            self.feed(ev.AddressConflict(address, STRANGER, answer))

    def sleep(self, seconds: float, *, timers_first: bool) -> None:
        """It was suspended and wakes up now: its kernel's lifetimes did not go on."""
        now = self.world.now
        self.crash_after = None  # who dies at the moment of waking leaves the kernel's wrong lifetimes behind
        self.kernel.slept(seconds, now)
        self._expect_ends()
        self.promises.slept(seconds, now)
        if timers_first:
            self.on_timer(now)
        self.feed(ev.TimeJumped(seconds, "suspend"))

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


class World(world.World):
    """Hosts and servers, with every promise checked after each step. What is due at one instant comes in any order."""

    def __init__(self, seed: int = 0, *, servers: list[Server[Pool]] | None = None) -> None:
        super().__init__(Random(seed), now=1000.0, octets=True)
        self.servers: list[Server[Pool]] = [Server(SERVER, Pool(list(POOL)))] if servers is None else servers
        self.icmp = False  # an unheard unicast comes back as an ICMP error
        self.squatters: set[IPv4Address] = set()
        self.gateways = dict(GATEWAYS)
        self.hosts: list[Host] = []
        self._numbers = (self.rng.randrange(3) << 60 | number for number in count())
        self._idle_steps = 0

    @property
    def server(self) -> Server[Pool]:
        """The first server."""
        return self.servers[0]

    def add_host(self, **settings: object) -> Host:
        """A host that is not started yet; ``settings`` are fields of ClientConfig."""
        mac = bytes.fromhex("02000000") + (len(self.hosts) + 1).to_bytes(2, "big")
        config = ClientConfig(chaddr=mac, client_id=b"\x01" + mac)._replace(**settings)  # type: ignore[arg-type]
        self.hosts.append(Host(self, config))
        return self.hosts[-1]

    def step(self, until: float = inf) -> bool:
        """As the world does; then see that every promise holds."""
        before = self.now
        stepped = super().step(until)
        self._idle_steps = self._idle_steps + 1 if stepped and self.now == before else 0
        assert self._idle_steps < 500, "time stands still: somebody is spinning"
        self.check()
        return stepped

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
        """Suspend every host: BOOTTIME goes on, the kernels' lifetimes do not, what was due comes late."""
        self.skip(seconds)
        for host in self.hosts:
            host.sleep(seconds, timers_first=timers_first)
        self.check()

    def check(self) -> None:
        """Every promise of every host, and promise 3 by the servers' own books."""
        for host in self.hosts:
            host.promises.check(self.now, host.lease, host.kernel.leases)
            for address in host.kernel.ends:
                key = (host.config.client_id or host.config.chaddr, address)
                books = [server.leases.latest[key] for server in self.servers if key in server.leases.latest]
                assert books, f"{address} was never granted"
                ends_at = max(books) + 1.0
                if host.config.on_expiry == "hold":
                    ends_at = host.promises.may_hold_until(max(books))
                assert self.now <= ends_at, f"promise 3: {address} is used after its lease"

    def send(
        self, station: world.Station, message: Message, source: IPv4Address, destination: IPv4Address
    ) -> None:
        """As the world does; and who hears nothing at an address perhaps says so."""
        super().send(station, message, source, destination)
        hearing = [s for s in self.servers if s.address == destination and s.hears(source, unicast=True)]
        if self.icmp and destination != BROADCAST and not hearing:
            self.at(self.now + 0.001, self._unreachable, station)

    def _unreachable(self, host: Host) -> None:
        host.feed(ev.SendFailed(Via.UNICAST, "ECONNREFUSED"))
