"""The daemon against dnsmasq, Kea, ISC dhcpd and udhcpd: the whole life of a lease, and the fault.

Throughout: no address and no route of ours goes while the lease is valid, and no question of the
probe stays unanswered.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.bench import ADDRESS, OTHER, TOLERANCE, Bench, boottime
from tests.support.servers import Service

pytestmark = pytest.mark.root


def test_acquire(any_bench: Bench) -> None:
    """Address, lifetimes, routes, MTU and name server of a first lease, and its record."""
    bench = any_bench
    bench.acquire()

    [link] = json.loads(bench.site.on_client("ip", "-4", "-j", "addr", "show", "dev", "hf0"))
    [address] = link["addr_info"]
    assert (address["local"], address["prefixlen"]) == (ADDRESS, 24)
    # The kernel's own lifetime ends the address with the lease, even if we are dead (promise 3).
    assert bench.server.lease_time - 10 < address["valid_life_time"] <= bench.server.lease_time
    assert link["mtu"] == 1400  # rule 62

    routes = json.loads(bench.site.on_client("ip", "-4", "-j", "route"))
    # rule 64: option 121 is there, so option 3 is not used: one default route, not two.
    by_destination = {(route["dst"], route.get("gateway")) for route in routes}
    assert ("default", "10.77.0.1") in by_destination
    assert ("192.0.2.0/24", "10.77.0.1") in by_destination
    assert len([route for route in routes if route["dst"] == "default"]) == 1
    ours = [route for route in routes if route.get("gateway")]
    assert {route["protocol"] for route in ours} == {"dhcp"}

    bench.agent.wait(lambda: "nameserver 10.77.0.1" in _resolv(bench), 5, "resolv.conf has the name server")
    assert "lab.example" in _resolv(bench)

    # rule 74
    outcome = bench.agent.outcomes()[0]
    assert outcome["result"] == "acquired"
    assert outcome["address"] == ADDRESS
    assert outcome["server"] == "10.77.0.1"
    bench.assert_held()


def test_renew_at_t1(any_bench: Bench) -> None:
    """Two renewals by unicast: only lifetimes move."""
    bench = any_bench
    bench.acquire()
    watched_since = boottime()  # a renewal may be over already
    watch = bench.stopwatch()

    bench.agent.wait_result("renewed", count=2, since=watched_since)
    bench.assert_held()
    waited = watch.waited()  # a server without a processor does not answer the unicast in time
    assert bench.agent.terminate(timeout=20) == 0  # so that both stories below end at the same renewal

    for outcome in bench.agent.results("renewed"):
        assert outcome["purpose"] == "t1"
        assert outcome["latency"] < 1.0 + waited  # else the broadcast would have come
        assert outcome["path"] == "unicast" or waited > 0.5  # rule 3
        assert 0 < outcome["seconds_left"] < bench.server.lease_time  # rule 75
    # rule 56: each renewal is one address update, with the new lifetime, and nothing else.
    updates = bench.lifetimes()
    assert len(updates) == len(bench.agent.results("renewed", since=watched_since))
    for update in updates:
        assert bench.server.lease_time - 3 - waited <= (update.valid or 0) <= bench.server.lease_time


def test_unicast_is_dropped(any_bench: Bench) -> None:
    """The fault: nobody hears the unicast, so the broadcast follows at once and gets the lease."""
    bench = any_bench
    bench.acquire()
    watch = bench.stopwatch()
    bench.site.drop_unicast()

    bench.agent.wait(lambda: bench.site.dropped() >= 1, 20, "a unicast is dropped")
    done = len(bench.agent.results("renewed"))  # one may have been answered before the rule was there
    first = bench.agent.wait_result("renewed", count=done + 1)
    second = bench.agent.wait_result("renewed", count=done + 2)

    assert bench.site.dropped() >= 2  # rule 38: unicast is still tried
    assert first["path"] == "broadcast"
    assert watch.own(first["latency"]) < 2.5 + TOLERANCE  # rule 35
    assert second["path"] == "broadcast"
    # rule 35: it is known to be deaf by now, and not waited for a second
    assert watch.own(second["latency"]) < 0.6 + TOLERANCE
    bench.assert_held()

    # And once it hears again, that is learned too: unicast was tried first all the while.
    bench.site.heal()
    bench.agent.wait(
        lambda: bench.agent.results("renewed")[-1]["path"] == "unicast", 20, "a renewal by unicast"
    )


def test_only_the_unspecified_source_is_answered(make_bench: Any) -> None:
    """Neither unicast nor broadcast from our address gets through: the third rung of the ladder does."""
    bench = make_bench("dhcpd")
    bench.acquire()
    bench.site.drop_addressed()
    bench.agent.wait(lambda: bench.site.dropped() >= 1, 20, "a unicast is dropped")
    done = len(bench.agent.results("renewed"))  # one may have been answered before the rule was there

    outcome = bench.agent.wait_result("renewed", count=done + 1)

    assert outcome["path"] == "broadcast-any"  # rule 6
    bench.assert_held()


def test_rebind(any_bench: Bench) -> None:
    """Nothing is answered until T2 has passed: the lease is kept, and renewed by broadcast."""
    bench = any_bench
    bench.acquire()
    bench.site.drop_all()

    bench.agent.wait(lambda: "REBINDING" in bench.agent.said(), 20, "the state is REBINDING")
    assert ADDRESS in bench.agent.addresses()  # rule 39
    done = len(bench.agent.results("renewed"))  # one may have been answered before the rule was there
    bench.site.heal()

    outcome = bench.agent.wait_result("renewed", count=done + 1)
    assert outcome["path"] in ("broadcast", "broadcast-any", "discover")
    assert outcome["attempts"] > 2
    bench.assert_held()


def test_server_restarts_without_its_leases(any_bench: Bench) -> None:
    """A server that forgot us, whatever it says to that: the address stays, the lease becomes a fresh one."""
    bench = any_bench
    # Not authoritative: dnsmasq says NAK to the unknown lease, udhcpd never answers it.
    bench.server.service = Service(authoritative=False)
    bench.acquire()
    bench.server.kill()
    bench.server.forget()
    restarted_at = boottime()
    bench.server.start()

    def leased() -> list[dict[str, Any]]:
        return [o for o in bench.agent.results("renewed", "acquired") if o["ended_at"] > restarted_at]

    bench.agent.wait(leased, 30, "a fresh lease")
    bench.agent.wait_address(ADDRESS)
    bench.assert_held()


def test_move_to_another_address(any_bench: Bench) -> None:
    """The server has another address for us: it is there before the old one goes."""
    bench = any_bench
    # Only dnsmasq says NAK to the former address; the others say nothing, and offer the new one to a
    # DISCOVER, which waits in reserve until near the end of the lease. That has to outlive a server's start.
    short = Service(lease_time=20, t1=3, t2=5)
    bench.server.service = short
    bench.acquire(ADDRESS, OTHER)
    bench.server.reconfigure(short._replace(pool=OTHER))

    outcome = bench.agent.wait_result("moved", timeout=50)

    # rules 19, 57
    assert (outcome["former_address"], outcome["address"]) == (ADDRESS, OTHER)
    bench.agent.wait(lambda: bench.agent.addresses() == [OTHER], 5, f"{OTHER} is the only address")
    bench.assert_moved()
    bench.agent.wait_result("renewed", timeout=15)
    assert bench.agent.addresses() == [OTHER]
    routes = json.loads(bench.site.on_client("ip", "-4", "-j", "route"))
    assert {route["dst"] for route in routes if "gateway" in route} == {"default", "192.0.2.0/24"}


def _resolv(bench: Bench) -> str:
    """The client's /etc/resolv.conf."""
    return bench.site.on_client("cat", "/etc/resolv.conf")

