"""Others change what is ours: put back, fought over, or given up (rule 60)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.bench import ADDRESS, TOLERANCE, boottime
from tests.support.servers import Service

pytestmark = pytest.mark.root

LONG = Service(lease_time=600, t1=300, t2=500)
SHORT = Service(lease_time=60, t1=2, t2=6)

#: Another client: it has a packet socket and wants the interface empty.
RIVAL = """
import socket, subprocess, sys, time
held = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
while True:
    subprocess.call(["ip", "addr", "flush", "dev", "hf0"])
    time.sleep(0.05)
"""


def test_a_route_deleted_by_another_program_is_back_within_a_second(make_bench: Callable[..., Any]) -> None:  # rule 60
    bench = make_bench("dhcpd", LONG)
    bench.acquire()
    before = bench.routes()
    [default] = [route for route in before if route.startswith("default")]
    mark, watch = bench.monitor.mark(), bench.stopwatch()
    bench.site.on_client("ip", "route", "del", *default.split())
    bench.agent.wait(lambda: bench.monitor.given_routes(mark), 10, "the route is back")
    [gone] = bench.monitor.lost_routes(mark)
    assert watch.own(bench.monitor.given_routes(mark)[0].at - gone.at) < 1.0 + TOLERANCE
    bench.agent.wait(lambda: bench.routes() == before, 10, "the routes are as before")
    assert bench.monitor.lost_addresses(ADDRESS) == []


def test_two_programs_that_fight(make_bench: Callable[..., Any]) -> None:  # rule 60
    """Noticed and told once, with the other's name; ever more slowly; over when the other stops."""
    bench = make_bench("dhcpd", LONG)
    bench.acquire()
    asked = bench.server.log.read_text().count("DHCPDISCOVER")
    metrics = bench.folder / "metrics"
    metrics.mkdir()
    rival = bench.site.client.popen([sys.executable, "-c", RIVAL], stdin=subprocess.DEVNULL)
    try:
        bench.agent.wait(lambda: "fight:" in bench.agent.said(), 30, "the fight is told")
        since = boottime()
        status = bench.agent.status()
        assert f"(pid {rival.pid})" in status["rival"]
        bench.agent.wait(lambda: boottime() - since > 10, 20, "ten seconds of fight")
        restored = [change for change in bench.lifetimes() if change.at > since]
        assert 1 <= len(restored) <= 6
    finally:
        rival.kill()
        rival.wait()
    bench.agent.wait_address(ADDRESS, timeout=40)
    bench.agent.wait(lambda: any(r.startswith("default") for r in bench.routes()), 40, "the routes are back")
    said = bench.agent.said()
    assert said.count("fight:") == 1
    assert "holdfast yield hf0" in said
    assert bench.server.log.read_text().count("DHCPDISCOVER") == asked


def test_an_administrator_who_means_it(make_bench: Callable[..., Any]) -> None:  # rule 60
    """yield: the address stays away over renewals and a restart; --back: it is there within a second."""
    bench = make_bench("dhcpd", SHORT)
    bench.acquire()
    before = bench.routes()
    assert bench.agent.command("yield", "hf0").returncode == 0
    bench.site.on_client("ip", "addr", "del", f"{ADDRESS}/24", "dev", "hf0")
    done = len(bench.agent.results("renewed"))
    bench.agent.wait_result("renewed", count=done + 2)
    assert bench.agent.addresses() == []
    assert "yielded" in bench.agent.command("status", "hf0").stdout
    assert bench.agent.status()["online"] is False

    bench.agent.terminate()
    bench.agent.start()
    done = len(bench.agent.results("renewed"))
    bench.agent.wait_result("renewed", count=done + 2)
    assert bench.agent.addresses() == []
    assert bench.agent.command("wait-online", "--timeout", "0.5").returncode == 1

    mark, watch = bench.monitor.mark(), bench.stopwatch()
    assert bench.agent.command("yield", "--back", "hf0").returncode == 0
    answered_at = boottime()  # the agent was told before that; the command's own start is not its business
    bench.agent.wait(lambda: bench.monitor.given_addresses(ADDRESS, mark), 10, "the address is back")
    assert watch.own(bench.monitor.given_addresses(ADDRESS, mark)[0].at - answered_at) < 1.0 + TOLERANCE
    bench.agent.wait(lambda: bench.routes() == before, 10, "the routes are back")
    bench.agent.wait(lambda: list(bench.agent.state.glob("*.yield")) == [], 10, "nothing says that it is yielded")


def test_a_yielded_address_that_is_left_lives_on(make_bench: Callable[..., Any]) -> None:
    """Nobody took it away: it must not end with the lease that was in use when it was yielded."""
    bench = make_bench("dhcpd", Service(lease_time=10, t1=2, t2=5))
    bench.acquire()
    [default] = [route for route in bench.routes() if route.startswith("default")]
    assert bench.agent.command("yield", "hf0").returncode == 0
    bench.site.on_client("ip", "route", "del", *default.split())
    bench.agent.wait(bench.monitor.lost_routes, 10, "the monitor has heard of the route")
    bench.held_from = bench.monitor.mark()
    since = boottime()
    bench.agent.wait(lambda: boottime() - since > 11, 30, "longer than one lease")
    assert default not in bench.routes()
    bench.assert_held()
