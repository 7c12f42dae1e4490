"""One client, one lab server, one cable: where every figure of the benchmark is taken."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from holdfast_lab.peers import ALL, Peer
from holdfast_lab.peers.running import Running
from holdfast_lab.testbed.faults import NO_FAULTS, Faults, Lease, Unicast
from holdfast_lab.testbed.netns import Namespace, connect
from holdfast_lab.testbed.server import LabServer
from holdfast_lab.witness.watch import NetlinkWatch
from holdfast_lab.witness.wirelog import Seen, boottime

IFACE = "eth0"
DEAF = Faults(unicast=Unicast.SILENT)


def lease_of(seconds: int) -> Lease:
    """A lease with T1 and T2 spelt out, as dnsmasq does it: half, and seven eighths (RFC 2131 section 4.4.5)."""
    return Lease(time=seconds, t1=seconds // 2, t2=seconds * 7 // 8)


class Room:
    """Two namespaces, the server running, the client not yet. A context manager."""

    def __init__(self, client: str, lease: Lease, faults: Faults = NO_FAULTS, peer: Peer | None = None) -> None:
        """``client`` is a name in ``peers.ALL``, or that of ``peer``."""
        self.client, self._peer = client, peer
        self.machine = Namespace(f"{client}-client", private_files=False)  # the client's cage brings its own
        self._far = Namespace(f"{client}-server")
        connect(self.machine, IFACE, self._far, "srv0")
        self._far.run(lambda: self._far.rtnl.add_address("srv0", "192.0.2.1/24"))
        self.server = LabServer(self._far, lease=lease, faults=faults)
        self._watch = NetlinkWatch(self.machine)
        self._folder = tempfile.TemporaryDirectory(prefix="holdfast-bench-")
        self.running: Running | None = None

    @property
    def far(self) -> Namespace:
        """The server's machine."""
        return self._far

    def start(self) -> Running:
        """Start the client; RuntimeError when it cannot be."""
        log = Path(self._folder.name) / "log"
        self.running = Running(self._peer or ALL[self.client], self.machine, IFACE, log)
        return self.running

    def first_discover(self, timeout: float) -> float:
        """When the first DISCOVER reached the server's end of the cable (CLOCK_BOOTTIME, the kernel's stamp)."""
        return self.server.wire.wait_for(lambda seen: seen.kind == "DISCOVER", timeout).at

    def first_address(self, timeout: float) -> float:
        """When the kernel told that an IPv4 address was added (CLOCK_BOOTTIME).

        RuntimeError when there was none for ``timeout`` seconds, or the client ended.
        """
        assert self.running is not None
        deadline = boottime() + timeout
        while boottime() < deadline:
            with suppress(AssertionError):
                return self._watch.wait_for(lambda event: event.kind == "address+", 1).at
            if not self.running.pids():
                raise RuntimeError(f"{self.client} ended: {self.running.last_words()}")
        raise RuntimeError(f"{self.client}: no address in {timeout:g} s: {self.running.last_words()}")

    def address_removed(self) -> bool:
        """True when the kernel told that an IPv4 address was removed."""
        return bool(self._watch.events("address-"))

    def close(self) -> None:
        """End the client without a chance to tidy up, then everything else."""
        if self.running is not None:
            self.running.kill()
        self._watch.close()
        self.server.close()
        self.machine.close()
        self._far.close()
        self._folder.cleanup()

    def __enter__(self) -> Room:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def unanswered(seen: list[Seen]) -> list[float]:
    """For every renewal: seconds from its first unicast REQUEST, which nobody answered, to the next ACK."""
    took: list[float] = []
    asked_at: float | None = None
    for one in sorted(seen, key=lambda message: message.at):
        if asked_at is None and one.direction == "in" and one.unicast_renewal:
            asked_at = one.at
        elif asked_at is not None and one.direction == "out" and one.kind == "ACK":
            took.append(one.at - asked_at)
            asked_at = None
    return took


def server_time(seen: list[Seen]) -> float:
    """Seconds that the server took for its answers up to the first ACK: what no client can save.

    ``seen`` is in the order in which the server worked; the stamp of an answer is taken after its send, so the
    client's next message may carry an earlier one.
    """
    spent, asked_at = 0.0, None
    for one in seen:
        if one.direction == "in":
            asked_at = one.at
        elif asked_at is not None:
            spent += one.at - asked_at
            asked_at = None
            if one.kind == "ACK":
                break
    return spent
