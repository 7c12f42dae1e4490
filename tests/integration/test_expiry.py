"""A lease that has ended is not used, whether the daemon runs or not; the address comes back with the server."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.bench import ADDRESS, Bench, boottime
from tests.support.servers import Service

pytestmark = pytest.mark.root

SHORT = Service(lease_time=11, t1=3, t2=6)


def test_nobody_answers_until_the_end(make_bench: Any) -> None:
    """Kept to the last second, gone within one more, and asked for again until it is back (rules 40, 41)."""
    # rules 40, 41
    bench = make_bench("dhcpd", SHORT)
    bench.acquire()
    bench.site.drop_all()
    bench.agent.wait(lambda: bench.site.dropped() >= 1, 10, "a renewal is dropped: the one before is over")
    ends_at, watch = _end(bench), bench.stopwatch()

    bench.agent.wait_result("expired", timeout=20)
    bench.agent.wait(lambda: bench.agent.addresses() == [], 2, "the address has gone")
    [gone] = bench.monitor.lost_addresses(ADDRESS)
    # The agent ends it with the lease, which counts from the REQUEST: before the kernel's whole seconds do.
    assert -1.0 <= gone.at - ends_at <= 1.0 + watch.waited()
    bench.agent.wait(lambda: not [r for r in bench.routes() if "10.77.0." in r], 5, "its routes have gone")
    bench.assert_held(until=ends_at - 1.0)

    bench.site.heal()
    bench.agent.wait_result("acquired", count=2, timeout=40)
    bench.agent.wait_address(ADDRESS)


def test_the_daemon_is_dead(make_bench: Any) -> None:
    """Killed and not started again: the kernel ends the address with the lease (promise 3)."""
    bench = make_bench("dhcpd", SHORT)
    bench.acquire()
    bench.agent.kill()
    ends_at = _end(bench)  # nobody renews it any more

    bench.agent.wait(lambda: bench.agent.addresses() == [], ends_at - boottime() + 3, "the address has gone")
    [gone] = bench.monitor.lost_addresses(ADDRESS)
    assert gone.at - ends_at >= -0.2
    bench.assert_held(until=ends_at - 0.2)


def _end(bench: Bench) -> float:
    """When the lease ends, as the kernel was told last; its seconds are whole."""
    update = bench.monitor.given_addresses(ADDRESS)[-1]
    assert update.valid is not None
    return update.at + update.valid
