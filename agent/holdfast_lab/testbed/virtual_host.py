"""One served interface on a virtual clock, with a host in memory: a link, sockets, a kernel, a store, a server."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Hashable
from ipaddress import IPv4Address
from math import inf
from random import Random

from holdfast.core import actions as act
from holdfast.core.client import Client
from holdfast.core.config import ClientConfig
from holdfast.core.events import Received
from holdfast.core.lease import Binding, Lease
from holdfast.core.outcome import Outcome
from holdfast.network import LinkError
from holdfast.network.link import Link
from holdfast.network.remains import lease_of as lease_of_remains
from holdfast.network.spec import NetworkSpec, spec_from_lease
from holdfast.observe.observations import Observations
from holdfast.runtime.interface import Interface
from holdfast.runtime.ports import InterfaceDeps, NetworkBackends
from holdfast.sockets.arp import Claim
from holdfast.sockets.link import Batch, Listener
from holdfast.state.markers import YieldMarker
from holdfast.wire import message as msg
from holdfast.wire import options as opt
from holdfast.wire.message import Message
from holdfast_lab.simulate.server import Pool, Server
from holdfast_lab.testbed.fake_kernel import FakeKernel

MAC, OTHER_MAC = bytes.fromhex("020000000001"), bytes.fromhex("0200000000ff")
OURS, SERVER = IPv4Address("192.0.2.50"), IPv4Address("192.0.2.1")
#: What the server says about the network.
NETWORK = {opt.SUBNET_MASK: b"\xff\xff\xff\x00", opt.ROUTER: SERVER.packed, opt.DOMAIN_NAME_SERVER: SERVER.packed}
#: IFF_UP | IFF_RUNNING, and IFF_UP alone
UP, NO_CARRIER, DOWN = 0x41, 0x01, 0x00


class VirtualClock:
    """Three clocks that a test moves."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now, self.slept, self.stepped = now, 0.0, 0.0

    def boottime(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now - self.slept

    def wall(self) -> float:
        return 1_700_000_000.0 + self.now + self.stepped


class VirtualLoop:
    """Timers on a virtual clock; descriptors are only noted."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.timers: dict[Hashable, tuple[float, Callable[[], None]]] = {}
        self.registered: dict[int, Callable[[int], None]] = {}

    def now(self) -> float:
        return self.clock.now

    def register(self, fd: int, callback: Callable[[int], None], events: int = 1) -> None:
        self.registered[fd] = callback

    def unregister(self, fd: int) -> None:
        self.registered.pop(fd, None)

    def set_timer(self, key: Hashable, at: float | None, callback: Callable[[], None]) -> None:
        if at is None or at == inf:
            self.timers.pop(key, None)
        else:
            self.timers[key] = (at, callback)

    def run(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        end = self.clock.now + seconds
        for _ in range(100_000):
            due = min(self.timers.items(), key=lambda item: item[1][0], default=None)
            if due is None or due[1][0] > end:
                self.clock.now = end
                return
            key, (at, callback) = due
            self.clock.now = max(self.clock.now, at)
            del self.timers[key]
            callback()
        raise AssertionError("the timers never come to rest")


class Notes:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.transitions: list[str] = []
        self.outcomes: list[Outcome] = []
        self.notices: list[act.Noticed] = []
        self.drops: list[act.Dropped] = []
        self.malformed_count = 0
        self.keeps_nothing = False
        self._said: dict[str, tuple[str, ...]] = {}
        self.observations = Observations()
        self.watchers: list[Callable[..., None]] = []
        self.claims: list[tuple[IPv4Address, bytes]] = []

    def transitioned(self, action: act.Transitioned, lease: Lease | None) -> None:
        self.transitions.append(action.state)

    def dropped(self, action: act.Dropped) -> None:
        self.drops.append(action)

    def malformed(self, number: int = 1, detail: str = "", tagged: int = 0) -> None:
        self.malformed_count += number

    def sent(self, message: Message) -> None:
        pass

    def received(self, received: Received) -> None:
        pass

    def watch(self, callback: Callable[..., None]) -> Callable[[], None]:
        self.watchers.append(callback)
        return lambda: self.watchers.remove(callback)

    def claimed(self, address: IPv4Address, by: bytes) -> None:
        self.claims.append((address, by))

    def recorded(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def noticed(self, action: act.Noticed) -> None:
        self.notices.append(action)

    def contention(self, rival: str, removals: int, seconds: float) -> None:
        self.lines.append(f"contention with {rival}: {removals} times")

    def keep_nothing(self) -> None:
        self.keeps_nothing = True

    def line(self, priority: int, text: str) -> None:
        self.lines.append(text)

    def line_once(self, topic: str, priority: int, *texts: str) -> None:
        if self._said.get(topic, ()) != texts:
            self.lines += texts
        self._said[topic] = texts

    def line_over(self, topic: str) -> None:
        self._said.pop(topic, None)

    @property
    def problems(self) -> dict[str, str]:
        return {topic: "; ".join(texts) for topic, texts in self._said.items()}

    def close(self) -> None:
        pass

    def said(self, text: str) -> int:
        """How many lines contain ``text``."""
        return sum(text in line for line in self.lines)


class MemoryStore:
    """A store; ``error`` (an errno) is what every write meets."""

    def __init__(self) -> None:
        self.path = "/var/lib/holdfast/eth0.lease.json"
        self.foreign = False
        self.kept_id: bytes | None = None
        self.kept: Binding | None = None
        self.error: int | None = None
        self.writes = 0

    def load(self) -> Binding | None:
        return self.kept

    def client_id(self) -> bytes | None:
        return self.kept_id

    def save(self, binding: Binding) -> None:
        self._check()
        self.kept, self.kept_id = binding, binding.client_id

    def forget(self) -> None:
        self._check()
        self.kept = None

    def _check(self) -> None:
        self.writes += 1
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))


class MemorySockets:
    """What was sent; ``errors`` maps "unicast" and "broadcast" to the errno that sending meets."""

    def __init__(self, listener: Listener, host: Host) -> None:
        self.listener, self.host = listener, host
        self.sent: list[act.Transmit] = []
        self.arp: list[str] = []
        self.asked: list[act.AskGateway] = []
        self.watched: tuple[IPv4Address, ...] = ()
        self.errors: dict[str, int] = {}
        self.port_error: int | None = None
        self.on_arp: Callable[[], None] = lambda: None  # called when an announcement goes out
        self.opened: list[tuple[str, bytes]] = []
        self.is_open = False

    def open(self, ifname: str, mac: bytes) -> None:
        self._check("open")
        self.opened.append((ifname, mac))
        self.is_open = True

    def rename(self, ifname: str) -> None:
        self.opened.append((ifname, *self.opened[-1][1:]))

    def hold_port(self) -> None:
        if self.port_error is not None:
            raise OSError(self.port_error, os.strerror(self.port_error))

    def transmit(self, action: act.Transmit) -> None:
        self._check("unicast" if action.destination != msg.BROADCAST else "broadcast")
        self.sent.append(action)
        self.host.on_sent(action)

    def probe(self, address: IPv4Address) -> None:
        self._check("arp")
        self.arp.append(f"probe {address}")

    def announce(self, address: IPv4Address) -> None:
        self._check("arp")
        self.arp.append(f"announce {address}")
        self.on_arp()

    def ask_gateway(self, action: act.AskGateway) -> None:
        self._check("arp")
        self.asked.append(action)
        if self.host.gateway_mac is not None and action.mac in (None, self.host.gateway_mac):
            claim = Claim(action.gateway, self.host.gateway_mac, probe=False, gateway=True)
            key = ("gateway", len(self.asked))
            self.host.loop.set_timer(key, self.host.clock.now + 0.001, lambda: self.listener.on_claim(claim))

    def watch(self, addresses: tuple[IPv4Address, ...], gateway: IPv4Address | None = None) -> None:
        self._check("arp")
        self.watched = addresses

    filtered = 0

    def close(self) -> None:
        self.is_open = False

    def _check(self, what: str) -> None:
        code = errno.ENODEV if not self.is_open and what != "open" else self.errors.get(what)
        if code is not None:
            raise OSError(code, os.strerror(code))

    def kinds(self) -> list[str]:
        """What was sent, as ("DISCOVER", ...)."""
        return [msg.MESSAGE_NAMES[action.message.message_type or 0] for action in self.sent]


class MemoryResolver:
    """What was published; ``error`` is what the next calls meet."""

    def __init__(self) -> None:
        self.published: list[NetworkSpec] = []
        self.names: list[str] = []
        self.withdrawn = 0
        self.error: OSError | None = None

    def publish(self, ifname: str, ifindex: int, spec: NetworkSpec) -> None:
        if self.error is not None:
            raise self.error
        self.published.append(spec)
        self.names.append(ifname)

    def withdraw(self, ifname: str, ifindex: int) -> None:
        if self.error is not None:
            raise self.error
        self.withdrawn += 1


class MemoryArp:
    """The socket by which the fallback address is probed. ``claimant`` answers a probe a moment later."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.claimant: bytes | None = None
        self.error: OSError | None = None
        self.sent: list[str] = []
        self.is_open = False
        self._claims: list[Claim] = []

    def fileno(self) -> int:
        return 99

    def watch(self, addresses: tuple[IPv4Address, ...]) -> None:
        self.is_open = True

    def probe(self, address: IPv4Address) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append(f"probe {address}")
        if self.claimant is not None:
            self._claims.append(Claim(address, self.claimant, probe=False, answer=True))
            self._host.loop.set_timer(self, self._host.clock.now + 0.001, self._on_readable)

    def _on_readable(self) -> None:
        if self.is_open:
            self._host.loop.registered[self.fileno()](1)

    def announce(self, address: IPv4Address) -> None:
        self.sent.append(f"announce {address}")

    def receive(self) -> Claim | None:
        return self._claims.pop(0) if self._claims else None

    def close(self) -> None:
        self.is_open = False


class Host:
    """Everything around one interface. ``server`` answers what is sent, a moment later.

    ``folder`` is the state folder, one of its own by default."""

    def __init__(
        self, *, config: ClientConfig | None = None, lease_time: int = 120, folder: str | None = None
    ) -> None:
        self.client_error: Exception | None = None
        self.clock = VirtualClock()
        self.loop = VirtualLoop(self.clock)
        self.notes, self.store, self.resolver = Notes(), MemoryStore(), MemoryResolver()
        self.kernel = FakeKernel(now=self.clock.now)
        self.kernels: list[FakeKernel] = []
        self.link: Link | None = Link("eth0", 2, MAC, 1, UP)
        self.config = config or ClientConfig(chaddr=MAC, client_id=b"\x01" + MAC, acd="off")
        self.server = Server(SERVER, Pool([OURS]), lease_time, adopts=True, network=NETWORK)
        self._held_answers: list[Message] | None = None
        self.find_error: LinkError | None = None
        self.managed = True  # the link's manager has it
        self.manager_runs = True
        self.configured_client_id: bytes | None = None  # what the settings say, whatever is stored with the lease
        self.gateway_mac: bytes | None = None  # who answers for the gateway by ARP
        self.own_macs = {MAC}
        self.arp = MemoryArp(self)
        self.addresses_on_link: set[IPv4Address] = set()
        self.folder = folder or tempfile.mkdtemp(prefix="hf-host")
        if folder is None:
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.interface = Interface("eth0", self.loop, self.notes, self.deps())

    def deps(self) -> InterfaceDeps:
        """What the interface works with; another process on the same host gets the same."""
        return InterfaceDeps(
            find=self.find,
            set_up=self.set_up,
            manager_has=lambda _: self.managed,
            manager_runs=lambda: self.manager_runs,
            own_macs=lambda: self.own_macs,
            on_link=lambda link, remembered: remembered.lease.address in self.addresses_on_link,
            marked=lambda link: lease_of_remains(self.kernel.observe(), self.clock.now, self.clock.slept),
            sockets=self._make_sockets,
            store=lambda link: self.store,
            client=self._make_client,
            config=lambda link, stored: self.config,
            backends=NetworkBackends(spec_from_lease, self._make_kernel, lambda: self.resolver),
            port_holder=lambda: "dhclient (pid 42)",
            rivals=lambda: "dhclient (pid 42)",
            yield_marker=YieldMarker(self.folder, "eth0"),
            arp=lambda link: self.arp,
        )

    def find(self, name: str) -> Link:
        if self.find_error is not None:
            raise self.find_error
        if self.link is None or self.link.name != name:
            raise LinkError(errno.ENODEV, f"there is no interface called {name!r}")
        return self.link

    def set_up(self, name: str) -> None:
        assert self.link is not None
        self.link = self.link._replace(flags=UP)

    def _make_sockets(self, listener: Listener) -> MemorySockets:
        self.sockets = MemorySockets(listener, self)
        return self.sockets

    def _make_client(self, link: Link, stored: bytes | None) -> tuple[Client, bytes]:
        if self.client_error is not None:
            raise self.client_error
        config = self.config._replace(chaddr=link.mac)
        if self.configured_client_id is not None:
            config = config._replace(client_id=self.configured_client_id)
        elif stored is not None:
            config = config._replace(client_id=stored or None)
        return Client(config, rng=Random(1)), config.client_id or b""

    def _make_kernel(self, ifindex: int) -> FakeKernel:
        if self.kernels:
            self.kernel = FakeKernel(ifindex=ifindex, now=self.clock.now)
        self.kernels.append(self.kernel)
        return self.kernel

    # -- the network -----------------------------------------------------------------------------

    def on_sent(self, action: act.Transmit) -> None:
        unicast = action.destination != msg.BROADCAST
        answer = self.server.receive(action.message, self.clock.now, source=action.source, unicast=unicast)
        if answer is None:
            return
        if self._held_answers is not None:
            self._held_answers.append(answer[1])
            return
        key = ("answer", len(self.sockets.sent))
        self.loop.set_timer(key, self.clock.now + 0.002, lambda: self.receive(answer[1]))

    def hold_answers(self) -> list[Message]:
        """From now on the server's answers go into this list and not on the wire."""
        self._held_answers = []
        return self._held_answers

    def resume_answers(self) -> None:
        """From now on the server's answers go on the wire again; those that were held are lost."""
        self._held_answers = None

    def receive(self, message: Message) -> None:
        """A message comes in."""
        self.sockets.listener.on_batch(Batch([Received(message, SERVER, msg.BROADCAST)], []))

    # -- in short --------------------------------------------------------------------------------

    def bind(self) -> None:
        """Start, and let a lease come."""
        self.interface.begin()
        self.loop.run(0.1)
        assert self.state == "BOUND"

    @property
    def state(self) -> str:
        return self.interface.snapshot().state

    @property
    def addresses(self) -> list[IPv4Address]:
        return [address.interface.ip for address in self.kernel.addresses]


def lease_of(clock: VirtualClock, *, lease_time: float = 120.0, age: float = 10.0) -> Lease:
    """A lease as the store would hold it."""
    started = clock.now - age
    return Lease(
        OURS, SERVER, started, started + lease_time / 2, started + lease_time * 0.875, started + lease_time, lease_time,
        {opt.SUBNET_MASK: b"\xff\xff\xff\x00", opt.ROUTER: SERVER.packed},
    )
