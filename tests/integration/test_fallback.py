"""A static address for want of a lease, on a real kernel: put there after its time, and gone when there is a lease."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.bench import ADDRESS

pytestmark = pytest.mark.root

FALLBACK, GATEWAY = "10.77.0.200", "10.77.0.1"
CONFIG = f"""\
[interfaces.hf0]
fallback_address = "{FALLBACK}/24"
fallback_gateway = "{GATEWAY}"
fallback_after = "5s"
"""


def test_a_fallback_and_then_a_lease(make_bench: Callable[..., Any]) -> None:
    bench = make_bench("dnsmasq")
    bench.agent.config.write_text(bench.agent.config.read_text() + CONFIG)
    bench.agent.start()
    bench.agent.wait_address(FALLBACK)
    bench.agent.wait(lambda: any(route.startswith(f"default via {GATEWAY}") for route in bench.routes()), 10, "a route")
    bench.agent.wait(lambda: bench.agent.status().get("online") is False, 20, "it is no lease")
    bench.agent.wait(lambda: bench.agent.status()["fallback"] == f"{FALLBACK}/24", 20, "status tells of it")
    assert f"no lease; the fallback address {FALLBACK}/24 is used" in bench.agent.command("status", "hf0").stdout
    bench.agent.terminate()
    assert bench.agent.addresses() == [FALLBACK]

    bench.agent.start()  # the address that it finds is not asked for as if it were a lease
    bench.server.start()
    bench.agent.wait_address(ADDRESS, 90)
    bench.agent.wait(lambda: bench.agent.addresses() == [ADDRESS], 10, "the fallback is gone")
    assert [route for route in bench.routes() if FALLBACK in route] == []
    assert FALLBACK not in bench.server.log.read_text(errors="replace")


def test_a_fallback_that_another_machine_has_is_not_used(make_bench: Callable[..., Any]) -> None:
    bench = make_bench("dnsmasq")
    bench.site.add_machine(f"{FALLBACK}/24")
    bench.agent.config.write_text(bench.agent.config.read_text() + CONFIG)
    bench.agent.start()
    told = f"the fallback address {FALLBACK}/24 is not used: "
    bench.agent.wait(lambda: told in bench.agent.said(), 20, "the conflict is told")
    assert bench.agent.addresses() == []
    status = bench.agent.status()
    assert status["fallback"] is None
    assert [claim["address"] for claim in status["claims"]] == [FALLBACK]
    bench.server.start()
    bench.agent.wait_address(ADDRESS, 90)
