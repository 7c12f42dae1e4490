"""What an interface asks of its collaborators, as Protocols: the real ones and the tests' fakes conform.

Almost every name that is imported here is a type, so that the hot start (see ``__main__``) pays for none of the rooms
behind them.
"""

from __future__ import annotations

from holdfast.state.markers import ForeignAddress, FormerMtu
from holdfast.wire.record import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from ipaddress import IPv4Address

    from holdfast.core.actions import AskGateway, Dropped, Noticed, Transitioned, Transmit
    from holdfast.core.client import Client, Snapshot
    from holdfast.core.config import ClientConfig
    from holdfast.core.events import Event, Received
    from holdfast.core.lease import Binding, Lease
    from holdfast.core.outcome import Outcome
    from holdfast.network.link import Link
    from holdfast.network.spec import NetworkSpec
    from holdfast.observe.observations import Observations
    from holdfast.sockets.arp import Claim
    from holdfast.sockets.link import Listener
    from holdfast.state.markers import YieldMarker
    from holdfast.wire.message import Message

    #: (kind, text, code of a notice, outcome): see ``observe.report``.
    Watcher = Callable[[str, str, str | None, Outcome | None], None]


class Arp(Protocol):
    """ARP on one link (``sockets.arp``); every method may raise OSError."""

    def fileno(self) -> int:
        """For the loop."""

    def watch(self, addresses: tuple[IPv4Address, ...]) -> None:
        """Receive claims to ``addresses`` from now on."""

    def probe(self, address: IPv4Address) -> None:
        """Send one probe."""

    def announce(self, address: IPv4Address) -> None:
        """Send one announcement."""

    def receive(self) -> Claim | None:
        """The next claim, None when there is no more."""

    def close(self) -> None:
        """Close the socket."""


class ServedInterface(Protocol):
    """What the control socket asks of one interface (``runtime.interface``)."""

    @property
    def name(self) -> str:
        """What the interface is called in files and commands."""

    @property
    def link(self) -> object | None:
        """The link that is served; None while there is none."""

    @property
    def spec(self) -> NetworkSpec | None:
        """What is configured on it now; None for nothing."""

    @property
    def fallback(self) -> NetworkSpec | None:
        """The fallback address that is used for want of a lease; None for none."""

    @property
    def online(self) -> bool:
        """True while there is a lease and the interface is configured with it."""

    @property
    def awaited(self) -> bool:
        """True when a machine that boots should wait for it."""

    def when_online(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` when it is online, perhaps more than once, until the returned function is called."""

    @property
    def observations(self) -> Observations:
        """What the link has shown so far."""

    def watch(self, callback: Watcher) -> Callable[[], None]:
        """Call ``callback`` with every transition, outcome and notice, until the returned function is called."""

    @property
    def problems(self) -> Mapping[str, str]:
        """What is wrong on this machine now, by topic."""

    @property
    def filtered(self) -> int:
        """How many answers to our address this machine's firewall has dropped."""

    @property
    def yielded(self) -> bool:
        """True while the interface is yielded."""

    @property
    def rival(self) -> str | None:
        """The program that removes what we configure; None while there is none."""

    def keep_nothing(self) -> None:
        """From now on write neither lease nor history."""

    def yield_interface(self, yielded: bool) -> None:
        """Yield the interface, or take it back. Raises OSError; then nothing has changed."""

    def snapshot(self) -> Snapshot:
        """The core's state, for people."""

    def submit(self, event: Event) -> None:
        """Feed the core one event."""

    def subscribe(self, callback: Callable[[Outcome], None]) -> Callable[[], None]:
        """Call ``callback`` with every outcome from now on, until the returned function is called."""


class Reporter(Protocol):
    """Receives what happens on one interface (``observe.report``). No method raises."""

    def transitioned(self, action: Transitioned, lease: Lease | None) -> None:
        """The state changed; ``lease`` is the one in use now."""

    def dropped(self, action: Dropped) -> None:
        """A message was received and ignored."""

    def malformed(self, number: int = 1, detail: str = "", tagged: int = 0) -> None:
        """``number`` packets were no DHCP messages, ``tagged`` of them because of a VLAN tag."""

    def sent(self, message: Message) -> None:
        """A message was sent, or tried to be."""

    def received(self, received: Received) -> None:
        """A message came in, whoever it is for."""

    def claimed(self, address: IPv4Address, by: bytes) -> None:
        """The hardware address ``by`` claims ``address`` by ARP."""

    @property
    def observations(self) -> Observations:
        """What the link has shown so far."""

    def recorded(self, outcome: Outcome) -> None:
        """One outcome: a JSON line in the state folder, a structured record in the journal."""

    def noticed(self, action: Noticed) -> None:
        """Something worth a line that is not the end of a renewal."""

    def contention(self, rival: str, removals: int, seconds: float) -> None:
        """Another program, perhaps ``rival``, removed ``removals`` times within ``seconds`` what the lease put on the
        interface."""

    def keep_nothing(self) -> None:
        """Write no history from now on."""

    def line(self, priority: int, text: str) -> None:
        """One line of text. ``priority`` is syslog's: 3 error, 4 warning, 5 notice, 6 info, 7 debug."""

    def line_once(self, topic: str, priority: int, *texts: str) -> None:
        """``texts``, a line each, unless they are the last ones about ``topic``."""

    def line_over(self, topic: str) -> None:
        """Forget what was written about ``topic``, so that its next texts are written."""

    def watch(self, callback: Watcher) -> Callable[[], None]:
        """Call ``callback`` with every transition, outcome and notice, until the returned function is called."""

    @property
    def problems(self) -> Mapping[str, str]:
        """What ``line_once`` wrote last about each topic that is not over."""

    def close(self) -> None:
        """Write what is not written yet."""


class Kernel(Protocol):
    """One interface's addresses and routes (network/kernel.py). Errors are KernelError (an Exception)."""

    def apply(
        self, desired: NetworkSpec, former: NetworkSpec | None, now: float, *, keep: bool = False
    ) -> tuple[str, ...]:
        """Returns texts about what could not be configured and is no failure."""

    def foreign(self, address: IPv4Address) -> bool:
        """True when ``address`` is on the link without our mark."""

    def refresh(self, spec: NetworkSpec, now: float) -> bool:
        """Only the lifetimes of the address; False when it is not there."""

    def present_mtu(self) -> int:
        """The link's MTU now, in bytes."""

    def put_mtu_back(self, ours: int, former: int) -> None:
        """Set the MTU to ``former`` where it still is ``ours``, both in bytes."""

    def remove(self, spec: NetworkSpec, *, yielded: bool = False) -> None:
        """Remove the spec's address and routes. ``yielded``: not an address that was made permanent since."""

    def close(self) -> None:
        """Close; the interface stays as it is."""


class Resolver(Protocol):
    """Name servers, search domains and time servers (``runtime.dns_spooler``): what is wanted, not waited for. Errors
    are OSError."""

    def publish(self, ifname: str, ifindex: int, spec: NetworkSpec) -> None:
        """Publish those of the spec for this link."""

    def withdraw(self, ifname: str, ifindex: int) -> None:
        """Publish none for this link."""


class Store(Protocol):
    """The binding on stable storage. ``save`` and ``forget`` may raise OSError (full disk, read-only folder)."""

    path: str
    foreign: bool  # what ``load`` or ``client_id`` found is another machine's or another link's

    def load(self) -> Binding | None:
        """What is stored, its instants of this boot's CLOCK_BOOTTIME; None when there is nothing of ours."""

    def client_id(self) -> bytes | None:
        """The client-id of the last lease that was stored, also when the lease is lost; None when there is none of
        ours."""

    def save(self, binding: Binding) -> None:
        """Store ``binding``, replacing what was stored."""

    def forget(self) -> None:
        """Store nothing any more."""


class Sockets(Protocol):
    """One link's sockets (``sockets.LinkSockets``). Everything but ``rename`` and ``close`` may raise OSError."""

    def open(self, ifname: str, mac: bytes) -> None:
        """Receive on the link ``ifname`` from now on; what was open is closed."""

    def rename(self, ifname: str) -> None:
        """The same link is called ``ifname`` now."""

    def hold_port(self) -> None:
        """Bind UDP port 68 on the link. OSError EADDRINUSE: another program has it."""

    def transmit(self, action: Transmit) -> None:
        """Send once. Also raises WireError, when the message cannot be written."""

    def probe(self, address: IPv4Address) -> None:
        """Send one ARP probe (RFC 5227)."""

    def announce(self, address: IPv4Address) -> None:
        """Send one ARP announcement (RFC 5227)."""

    def ask_gateway(self, action: AskGateway) -> None:
        """Send one ARP request for the gateway."""

    def watch(self, addresses: tuple[IPv4Address, ...], gateway: IPv4Address | None = None) -> None:
        """Report the ARP claims of others to ``addresses``, and what ``gateway`` answers; neither: stop."""

    @property
    def filtered(self) -> int:
        """How many answers came to our address and did not reach UDP port 68, since we hold it."""

    def close(self) -> None:
        """Close everything; ``open`` works again."""


class NetworkBackends:
    """Where a configurator gets what it works with. Each is asked for when first needed, so that the hot start does
    without: ``spec`` makes a lease's NetworkSpec, ``kernel`` opens the kernel's side of the link with an index,
    ``resolver`` is None where name servers are not used."""

    def __init__(
        self,
        spec: Callable[[Lease], NetworkSpec],
        kernel: Callable[[int], Kernel],
        resolver: Callable[[], Resolver | None],
        former_mtu: FormerMtu | None = None,
        foreign: ForeignAddress | None = None,
    ) -> None:
        self.spec, self.kernel, self.resolver = spec, kernel, resolver
        self.former_mtu = former_mtu or FormerMtu()
        self.foreign = foreign or ForeignAddress()


class InterfaceDeps(NamedTuple):
    """What an interface is made of: ``factory.make_deps`` makes the real ones, ``holdfast_lab`` has fakes."""

    find: Callable[[str], Link]  # LinkError when there is none, or none that we can serve
    set_up: Callable[[str], None]  # LinkError
    manager_has: Callable[[Link], bool]  # whether its manager has set it up, where that is to be waited for
    manager_runs: Callable[[], bool]  # whether it has been started, as far as anybody can tell
    own_macs: Callable[[], Collection[bytes]]  # of all links of this network namespace
    on_link: Callable[[Link, Binding], bool]  # whether the remembered address is on the link
    marked: Callable[[Link], Lease | None]  # a lease made of the address with our mark on the link
    sockets: Callable[[Listener], Sockets]
    store: Callable[[Link], Store]
    client: Callable[[Link, bytes | None], tuple[Client, bytes]]  # and its client-id, empty for none
    config: Callable[[Link, bytes | None], ClientConfig]  # by the settings as they are now
    backends: NetworkBackends
    port_holder: Callable[[], str]  # who has UDP port 68
    rivals: Callable[[], str]  # the programs that may configure the link too
    yield_marker: YieldMarker
    arp: Callable[[Link], Arp]  # a socket of its own, for the fallback address; OSError
    fallback: Callable[[], tuple[NetworkSpec, float] | None] = lambda: None  # an address for want of a lease, and when
