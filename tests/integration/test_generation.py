"""A VM generation id that changes: the lease is re-checked at once, and nothing is lost by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.bench import boottime
from tests.support.servers import Service
from tests.support.uevents import VMGENID, from_kernel, from_process

pytestmark = pytest.mark.root


def test_a_restored_snapshot_asks_at_once(make_bench: Callable[..., Any]) -> None:  # rule 46
    """rule 46: within a second or two, long before T1; kernel lifetimes are written again."""
    bench = make_bench("dhcpd", Service(lease_time=600, t1=300, t2=500))
    bench.acquire()
    bench.agent.wait((bench.agent.runtime / "hf0.varlink").exists, 5, "it has settled")
    assert bench.agent.command("renew", "hf0").returncode == 0  # the warm-up is over
    done, updates = len(bench.agent.results("renewed")), len(bench.lifetimes())

    watch = bench.stopwatch()
    from_process(bench.site.client, VMGENID)  # anybody's word: not believed
    from_kernel(bench.site.client, VMGENID)
    told_at = boottime()

    outcome = bench.agent.wait_result("renewed", count=done + 1)
    assert watch.own(outcome["started_at"] - told_at) < 2.0
    bench.agent.wait(lambda: len(bench.lifetimes()) > updates, 10, "the kernel's lifetimes are written")
    assert "generation id" in bench.agent.said()
    assert bench.agent.said().count("generation id") == 1
    bench.assert_held()
