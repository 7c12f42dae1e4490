"""Others on the same network: a second server that knows better, a machine that has our address."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.bench import ADDRESS, OTHER
from tests.support.servers import Dnsmasq, Service

pytestmark = pytest.mark.root


def test_another_server_says_nak(make_bench: Any) -> None:
    """A broadcast renewal reaches a server that refuses our address: heard, counted, not believed."""
    bench = make_bench("dhcpd", Service(lease_time=60, t1=2, t2=8))
    bench.acquire()
    machine = bench.site.add_machine("10.77.0.2/24")
    stranger = Dnsmasq(machine, "eth0", bench.folder / "stranger", Service(pool=OTHER, server="10.77.0.2/24"))
    stranger.start()
    watch = bench.stopwatch()
    try:
        bench.site.drop_unicast()  # dhcpd's own address only: it hears the broadcasts
        bench.agent.wait(lambda: bench.site.dropped() >= 1, 20, "a unicast is dropped")
        done = len(bench.agent.results("renewed"))  # some may have been answered before the rule was there
        outcomes = [bench.agent.wait_result("renewed", count=done + number) for number in (1, 2)]
        bench.agent.wait(lambda: "DHCPNAK" in stranger.log.read_text(), 10, "the stranger refuses")
    finally:
        stranger.kill()

    # rules 25, 29: the ACK of our own server ends the renewal, whichever came first.
    assert {outcome["server"] for outcome in outcomes} == {"10.77.0.1"}
    assert all(watch.own(outcome["latency"]) < 2.5 for outcome in outcomes)
    assert bench.agent.addresses() == [ADDRESS]
    bench.assert_held()


def test_another_machine_has_the_address(make_bench: Any) -> None:
    """ARP finds the conflict: DECLINE, and the address goes (rules 14, 43)."""
    bench = make_bench("dhcpd", Service(lease_time=60, t1=30, t2=50))
    bench.site.add_machine(f"{ADDRESS}/24")
    bench.server.start()
    bench.agent.start()

    outcome = bench.agent.wait_result("conflict")

    assert outcome["address"] is None
    bench.agent.wait(lambda: ADDRESS in bench.agent.said(), 5, "it is told which")
    bench.agent.wait(lambda: "DHCPDECLINE of 10.77.0.50" in bench.server.log.read_text(), 5, "declined")
    bench.agent.wait(lambda: bench.agent.addresses() == [], 5, "the address has gone")
    bench.agent.wait(lambda: bench.routes() == [], 5, "its routes have gone")
    assert bench.agent.running
