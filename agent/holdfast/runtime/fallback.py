"""A static address that the operator wants on the link when there has been no lease for some time (off by default).

It is probed by ARP first, as a leased one is (RFC 5227 section 2.1), and not used while somebody answers. It is put
there with our mark, so that the next lease replaces it as it would replace a former one: new before old. It
is no lease: the client goes on asking, ``wait-online`` goes on waiting, and no name servers come with it.
"""

from __future__ import annotations

from holdfast.core.schedule import PROBE_COUNT, PROBE_LAST_WAIT
from holdfast.network import KernelError
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from ipaddress import IPv4Address

    from holdfast.eventloop.ports import Loop
    from holdfast.network.spec import NetworkSpec
    from holdfast.runtime.configurator import Configurator
    from holdfast.runtime.ports import Arp, Reporter

#: Seconds until it is tried again, when the kernel refused, or somebody else has the address.
AGAIN = 30.0
#: Seconds from one probe to the next, and from the first one until the address is used.
_GAP = 1.5
PROBING = (PROBE_COUNT - 1) * _GAP + PROBE_LAST_WAIT


class Fallback:
    """``wanted`` gives the address and the seconds to wait, None for none; ``free`` is True while the link is there,
    has neither lease nor remembered one in use, and is not yielded; ``arp`` opens a socket on the link (OSError), and
    ``own_macs`` are the hardware addresses of this machine (OSError). ``used`` is what is on the link, None for
    nothing."""

    def __init__(
        self, loop: Loop, reporter: Reporter, configurator: Configurator,
        wanted: Callable[[], tuple[NetworkSpec, float] | None], free: Callable[[], bool], arp: Callable[[], Arp],
        own_macs: Callable[[], Collection[bytes]],
    ) -> None:
        self._loop, self._reporter, self._configurator = loop, reporter, configurator
        self._wanted, self._free, self._open, self._own_macs = wanted, free, arp, own_macs
        self._arp: Arp | None = None
        self._probes = 0
        self.used: NetworkSpec | None = None

    def begin(self) -> None:
        """There is no lease from now on."""
        self.stop()
        wanted = self._wanted()
        if wanted is not None:
            self._loop.set_timer(self, self._loop.now() + max(wanted[1] - PROBING, 0.0), self._step)

    def stop(self) -> None:
        """Put nothing on the link any more."""
        self._loop.set_timer(self, None, self._step)
        self._close()
        self.used = None

    def _step(self) -> None:
        """The next probe, or, when nobody has answered the last one, the address."""
        wanted = self._wanted()
        if wanted is None or not self._free():
            self._close()
            return
        spec, _ = wanted
        try:
            if self._probes < PROBE_COUNT:
                self._probe(spec.address.ip)
            else:
                self._use(spec)
        except (KernelError, OSError) as error:
            self._later(f"the fallback address {spec.address} cannot be used: {error}")

    def _probe(self, address: IPv4Address) -> None:
        if self._arp is None:
            self._arp = self._open()
            self._loop.register(self._arp.fileno(), self._on_arp)
            self._arp.watch((address,))
        self._arp.probe(address)
        self._probes += 1
        wait = PROBE_LAST_WAIT if self._probes == PROBE_COUNT else _GAP
        self._loop.set_timer(self, self._loop.now() + wait, self._step)

    def _on_arp(self, _mask: int) -> None:
        wanted = self._wanted()
        try:
            while self._arp is not None and wanted is not None and (claim := self._arp.receive()) is not None:
                if claim.address == wanted[0].address.ip and claim.by not in self._own_macs():
                    self._reporter.claimed(claim.address, claim.by)
                    self._later(f"the fallback address {wanted[0].address} is not used: {claim.by.hex(':')} has it")
        except OSError as error:  # the link went down, or the kernel gives no answer
            self._later(f"the fallback address cannot be probed: {error}")

    def _later(self, why: str) -> None:
        self._close()
        self._reporter.line_once("fallback", 4, why)
        self._loop.set_timer(self, self._loop.now() + AGAIN, self._step)

    def _use(self, spec: NetworkSpec) -> None:
        self._configurator.fall_back(spec)
        if self._arp is not None:
            self._arp.announce(spec.address.ip)
        self._close()
        self.used = spec
        self._reporter.line_over("fallback")
        self._reporter.line(4, f"there is no lease: the fallback address {spec.address} is used until there is one")

    def _close(self) -> None:
        if self._arp is not None:
            self._loop.unregister(self._arp.fileno())
            self._arp.close()
        self._arp, self._probes = None, 0
