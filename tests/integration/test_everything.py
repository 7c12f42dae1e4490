"""A bad quarter of a minute: faults in random order, from a seed that the name of the test gives."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.bench import ADDRESS, Bench
from tests.support.servers import Service

pytestmark = pytest.mark.root


class Faults:
    """Each method is one thing that happens; none waits for the daemon."""

    def __init__(self, bench: Bench, rng: random.Random) -> None:
        self.bench, self.rng = bench, rng
        self.deaf = False

    def killed(self) -> None:
        self.bench.agent.kill()
        self.bench.agent.start()

    def restarted(self) -> None:
        self.bench.agent.terminate(timeout=5)
        self.bench.agent.start()

    def deaf_to_unicast(self) -> None:
        if not self.deaf:
            self.bench.site.drop_unicast()
        self.deaf = True

    def healed(self) -> None:
        if self.deaf:
            self.bench.site.heal()
        self.deaf = False

    def server_restarted(self) -> None:
        self.bench.server.kill()
        self.pause(1.0)
        self.bench.server.start()

    def server_forgot(self) -> None:
        self.bench.server.kill()
        self.bench.server.forget()
        self.bench.server.start()

    def carrier_lost(self) -> None:
        self.bench.site.carrier(False)
        self.pause(0.5)
        self.bench.site.carrier(True)

    def pause(self, longest: float) -> None:
        """The moment of the next fault."""
        time.sleep(self.rng.uniform(0.0, longest))


@pytest.mark.long
@pytest.mark.parametrize("server", ["dnsmasq", "udhcpd"])
def test_faults_in_any_order(make_bench: Any, server: str) -> None:
    """Whatever comes in whatever order: the address and its routes stay, and it ends in renewals."""
    rng = random.Random(server)
    bench = make_bench(server, Service(lease_time=45, authoritative=False))
    bench.acquire()
    faults = Faults(bench, rng)
    everything: list[Callable[[], None]] = [
        faults.killed, faults.restarted, faults.deaf_to_unicast, faults.healed, faults.server_restarted,
        faults.server_forgot, faults.carrier_lost,
    ]

    for fault in rng.sample(everything * 2, 14):
        print(fault.__name__)
        fault()
        faults.pause(2.0)
    faults.healed()

    done = len(bench.agent.results("renewed", "acquired"))
    bench.agent.wait_result("renewed", "acquired", count=done + 2, timeout=60)
    assert bench.agent.addresses() == [ADDRESS]
    assert bench.monitor.lost_addresses(ADDRESS) == []
    assert bench.monitor.lost_routes(bench.held_from) == []
    assert "Traceback" not in bench.agent.said()
