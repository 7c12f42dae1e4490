"""Makes the collaborators of an interface on a real system, from the settings. What is not needed before the first
DISCOVER is imported when it is first used."""

from __future__ import annotations

import _random
import os

from holdfast.clock import Clock
from holdfast.core.client import Client
from holdfast.network import link as links
from holdfast.network.link import Link
from holdfast.network.watch import LinkMessages
from holdfast.runtime.ports import InterfaceDeps, NetworkBackends
from holdfast.settings.client import client_config
from holdfast.settings.dirs import dns_dir
from holdfast.settings.model import InterfaceSettings, Settings
from holdfast.sockets.arp import ArpSocket
from holdfast.sockets.link import LinkSockets
from holdfast.state import FOREIGN
from holdfast.state.lease_store import LeaseStore
from holdfast.state.locks import Locks, TakenError
from holdfast.state.markers import ForeignAddress, FormerMtu, YieldMarker
from holdfast.state.route_metrics import RouteMetrics
from holdfast.wire.lean import partial
from holdfast.wire.message import CLIENT_PORT
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.core.config import ClientConfig
    from holdfast.core.lease import Binding, Lease
    from holdfast.eventloop.ports import Loop
    from holdfast.network.netlink import NetlinkSocket
    from holdfast.network.spec import NetworkSpec
    from holdfast.observe.log import Log
    from holdfast.observe.report import InterfaceReporter
    from holdfast.runtime.dns_spooler import DnsSpooler
    from holdfast.runtime.ports import Kernel, Reporter, Resolver


#: NetworkManager(8): what it has on each link, by the link's index; and bytes of such a file.
NETWORKMANAGER_DEVICES = "/run/NetworkManager/devices"
_DEVICE_LIMIT = 64 << 10
#: What systemd makes when it starts a unit, and removes when that has ended; and what is there where systemd runs.
NETWORKMANAGER_STARTED, SYSTEMD = "/run/systemd/units/invocation:NetworkManager.service", "/run/systemd/system"
#: The metric of NetworkManager and netplan for a machine's first Ethernet link (network/spec.py: DEFAULT_METRIC).
FIRST_METRIC = 100


class Jitter(_random.Random):
    """As much of random.Random as the core draws from, for transaction ids and jitter; importing ``random`` takes
    2 ms before the first DISCOVER."""

    def uniform(self, a: float, b: float) -> float:
        """As ``random.Random.uniform``."""
        return a + (b - a) * self.random()


class AgentContext:
    """What all interfaces of one process share. ``resolver`` makes the spooler of name servers when it is first
    needed."""

    def __init__(
        self, settings: Settings, state_dir: str, runtime_dir: str, log: Log, clock: Clock, loop: Loop,
        resolver: Callable[[], Resolver],
    ) -> None:
        self.settings, self.state_dir, self.runtime_dir = settings, state_dir, runtime_dir
        self.log, self.clock, self.loop, self.resolver = log, clock, loop, resolver
        self.metrics = RouteMetrics(state_dir, FIRST_METRIC)
        self.locks = Locks(runtime_dir)
        self.on_news: Callable[[], None] = lambda: None  # a watch of a link has something to read
        self._netlink: NetlinkSocket | None = None
        self._messages: LinkMessages | None = None

    def lock(self, name: str) -> None:
        """Keep other agents from serving ``name``, until ``locks`` gives it back. AlreadyServedError."""
        try:
            self.locks.take(name)
        except TakenError as error:
            raise AlreadyServedError(
                f"{name} is served by another holdfast (pid {error}): ask it with `holdfast status {name}`, or stop it"
            ) from None

    def messages(self) -> LinkMessages:
        """What the kernel tells of links, over the one socket of all interfaces. Raises LinkError."""
        if self._messages is None:
            made = self._messages = LinkMessages(self._tell_news)
            self.loop.register(made.fileno(), lambda _mask: made.receive())
        return self._messages

    def _tell_news(self) -> None:
        self.on_news()  # set when the interfaces are there

    def kernel(self, ifindex: int) -> Kernel:
        """The interface ``ifindex`` in the kernel, over the one socket of all interfaces. Raises KernelError."""
        from holdfast.network.kernel import Kernel as LinkKernel  # noqa: PLC0415 - after the first DISCOVER
        from holdfast.network.netlink import NetlinkSocket as Requests  # noqa: PLC0415

        if self._netlink is None:
            self._netlink = Requests()
        return LinkKernel(ifindex, self._netlink)

    def close(self) -> None:
        """Close what is shared; all interfaces have ended."""
        if self._messages is not None:
            self.loop.unregister(self._messages.fileno())
            self._messages.close()
            self._messages = None
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None
        self.locks.close()


def make_deps(name: str, context: AgentContext, reporter: Reporter) -> InterfaceDeps:
    """The collaborators of interface ``name``."""
    clock = context.clock

    def settings() -> InterfaceSettings:
        return context.settings.interface(name)  # another one after a reload

    if settings().metric is None:
        context.metrics.appeared(name)

    def metric() -> int:
        configured = settings().metric
        return context.metrics.of(name) if configured is None else configured

    def store(link: Link) -> LeaseStore:
        from holdfast.state.identity import read_identity  # noqa: PLC0415 - two small files, no imports

        return LeaseStore(context.state_dir, name, read_identity(link.mac), clock, reporter.line)

    def client(link: Link, stored: bytes | None) -> tuple[Client, bytes]:
        configured = config(link, stored)
        return Client(configured, rng=Jitter()), configured.client_id or b""  # seeded by the kernel

    def config(link: Link, stored: bytes | None) -> ClientConfig:
        return client_config(settings(), link.mac, link.htype, stored, ifname=name)

    def fallback() -> tuple[NetworkSpec, float] | None:
        wanted = settings()
        return None if wanted.fallback_address is None else (_fallback_spec(wanted, metric()), wanted.fallback_after)

    def marked(link: Link) -> Lease | None:
        found, other = _marked(link, clock), fallback()
        return None if found is not None and other is not None and found.address == other[0].address.ip else found

    resolved: list[Resolver] = []

    def resolver() -> Resolver | None:
        wanted = settings()
        if not resolved and (wanted.use_dns or wanted.dns or wanted.search or wanted.use_ntp):
            resolved.append(context.resolver())
        return resolved[0] if resolved else None  # what was published before a reload must be withdrawn

    return InterfaceDeps(
        find=_find,
        set_up=links.set_up,
        manager_has=_networkmanager_has if settings().wait_for == "networkmanager" else _nothing_to_wait_for,
        manager_runs=_networkmanager_runs,
        own_macs=lambda: context.messages().own_macs(),
        on_link=_on_link,
        marked=marked,
        sockets=lambda listener: LinkSockets(context.loop, listener),
        store=store,
        client=client,
        config=config,
        backends=NetworkBackends(
            lambda lease: _spec(lease, settings(), metric()), context.kernel, resolver,
            FormerMtu(os.path.join(context.runtime_dir, name + ".mtu")),
            ForeignAddress(os.path.join(context.state_dir, name + FOREIGN)),
        ),
        port_holder=_port_holder,
        rivals=_rivals,
        yield_marker=YieldMarker(context.state_dir, name),
        arp=lambda link: ArpSocket(link.name, link.mac),
        fallback=fallback,
    )


def _find(name: str) -> Link:
    """The interface with its carrier as it is at this moment."""
    links.settle_carrier(name)
    return links.ethernet(name)


def _nothing_to_wait_for(_link: Link) -> bool:
    return True


def _networkmanager_has(link: Link) -> bool:
    """True when NetworkManager has taken the link for its own, which its state file says. A link with an address
    before that is another program's to it, whose IPv6 and name servers it leaves alone."""
    try:
        with open(f"{NETWORKMANAGER_DEVICES}/{link.ifindex}", encoding="utf-8", errors="replace") as file:
            return "\nmanaged=true" in file.read(_DEVICE_LIMIT)
    except OSError:
        return False


def _networkmanager_runs() -> bool:
    """False while systemd has not started NetworkManager, which can be long after the agent on a busy machine."""
    return os.path.lexists(NETWORKMANAGER_STARTED) or not os.path.isdir(SYSTEMD)


def _on_link(link: Link, remembered: Binding) -> bool:
    return links.has_address(link.name, remembered.lease.address)


def _marked(link: Link, clock: Clock) -> Lease | None:
    if not links.addresses(link.name):
        return None  # as at every boot, without a library
    from holdfast.network import KernelError  # noqa: PLC0415 - when a lease file was lost
    from holdfast.network.kernel import Kernel as RealKernel  # noqa: PLC0415
    from holdfast.network.remains import lease_of  # noqa: PLC0415

    try:
        kernel = RealKernel(link.ifindex)
        try:
            now = clock.boottime()
            return lease_of(kernel.observe(), now, max(0.0, now - clock.monotonic()))
        finally:
            kernel.close()
    except KernelError:
        return None


def _spec(lease: Lease, settings: InterfaceSettings, metric: int) -> NetworkSpec:
    from holdfast.network.spec import spec_from_lease  # noqa: PLC0415

    return spec_from_lease(
        lease, metric=metric, subnet_metric=settings.subnet_metric, use_mtu=settings.use_mtu, use_dns=settings.use_dns,
        use_routes=settings.use_routes, use_domains=settings.use_domains, use_ntp=settings.use_ntp,
        use_gateway=settings.use_gateway, dns=settings.dns, own_search=settings.search,
        use_domain_name=settings.use_domain_name, route_domains=settings.route_domains, edits=settings.option_edits,
        dotted_search=settings.dotted_search, router_routes=settings.router_routes,
        route_metrics=settings.route_metrics, address_label=settings.address_label,
        routes_to_dns=settings.routes_to_dns, routes_to_ntp=settings.routes_to_ntp, table=settings.route_table,
    )


def _fallback_spec(settings: InterfaceSettings, metric: int) -> NetworkSpec:
    from ipaddress import IPv4Address, IPv4Interface, IPv4Network  # noqa: PLC0415 - seldom configured

    from holdfast.network.spec import NetworkSpec, Route  # noqa: PLC0415

    address = IPv4Interface(settings.fallback_address or "")
    gateway = settings.fallback_gateway
    default = () if gateway is None else (
        Route(IPv4Network("0.0.0.0/0"), IPv4Address(gateway), metric, address.ip),)
    return NetworkSpec(address, broadcast=address.network.broadcast_address, routes=default, metric=metric)


def make_spooler(state_dir: str, runtime_dir: str, loop: Loop, say: Callable[[int, str], None]) -> DnsSpooler:
    """One for all interfaces, because there is one /etc/resolv.conf."""
    from holdfast.runtime import dns_spooler  # noqa: PLC0415 - when there is a lease

    spool, state = os.path.join(runtime_dir, "dns"), dns_dir(state_dir)
    start = partial(dns_spooler.start_program, spool, state) if os.geteuid() == 0 else None
    return dns_spooler.DnsSpooler(spool, loop, say, start)


def _port_holder() -> str:
    from holdfast.network.port_owner import holder_of  # noqa: PLC0415

    return holder_of(CLIENT_PORT)


def _rivals() -> str:
    from holdfast.network.port_owner import others_of  # noqa: PLC0415

    return others_of(CLIENT_PORT)


def make_reporter(name: str, context: AgentContext) -> InterfaceReporter:
    """The reporter of interface ``name``: journal or stderr, history, metrics."""
    from holdfast.observe.outcomes import OutcomeJournal  # noqa: PLC0415
    from holdfast.observe.report import InterfaceReporter  # noqa: PLC0415

    metrics = None
    if context.settings.metrics_dir is not None:
        from holdfast.observe.metrics import Textfile  # noqa: PLC0415

        metrics = Textfile(context.settings.metrics_dir, name)
    return InterfaceReporter(name, context.log, OutcomeJournal(context.state_dir, name), metrics)


class AlreadyServedError(Exception):
    """Another agent serves the interface; the text names it."""
