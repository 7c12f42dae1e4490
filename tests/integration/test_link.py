"""What happens to the interface, and what others have on it."""

from __future__ import annotations

import socket
from math import inf
from typing import Any

import pytest
from tests.support.bench import ADDRESS, OTHER, TOLERANCE, boottime
from tests.support.servers import Service

from holdfast_lab.testbed.netns import Namespace

pytestmark = pytest.mark.root

VIP = "198.51.100.7"
NEIGHBOUR = "10.77.0.200"


def test_no_server_at_first(make_bench: Any) -> None:
    """DISCOVERs go on until a server is there (rule 41)."""
    # rule 41
    bench = make_bench("dhcpd")
    bench.site.drop_all()  # counts them
    bench.agent.start()
    bench.agent.wait(lambda: bench.site.dropped() >= 2, 10, "two DISCOVERs")
    bench.server.start()
    bench.site.heal()

    assert bench.agent.wait_result("acquired")["attempts"] > 3
    bench.agent.wait_address(ADDRESS)


def test_no_carrier_at_first(make_bench: Any) -> None:
    """Without carrier nothing is sent; with it, at once."""
    bench = make_bench("dhcpd")
    bench.server.start()
    bench.site.carrier(False)
    bench.agent.start()
    bench.agent.wait((bench.agent.runtime / "hf0.varlink").exists, 10, "it runs")
    assert bench.agent.addresses() == []
    watch = bench.stopwatch()
    bench.site.carrier(True)
    up_at = boottime()

    outcome = bench.agent.wait_result("acquired")
    # Two messages, or three: the bridge may open its port a moment after the client sees its carrier.
    waited = watch.waited()
    assert outcome["ended_at"] - up_at < 2.0 + waited
    assert outcome["attempts"] <= 3 + waited


def test_no_interface_at_first(make_bench: Any) -> None:
    """Named, but not there yet: waited for (rule 63)."""
    # rule 63
    bench = make_bench("dhcpd")
    bench.site.unplug()
    bench.server.start()
    bench.agent.start()
    bench.agent.wait(lambda: "waiting" in bench.agent.said(), 10, "it is told")
    bench.site.plug()

    bench.agent.wait_address(ADDRESS)
    assert bench.agent.running


def test_carrier_flap(make_bench: Any) -> None:
    """Carrier goes: the address stays. It comes back: the lease is verified within a second (rule 61)."""
    # rule 61
    bench = make_bench("dhcpd", Service(lease_time=60, t1=30, t2=50))
    bench.acquire()

    bench.site.carrier(False)
    bench.agent.wait(lambda: "NO-CARRIER" in bench.site.on_client("ip", "link"), 5, "no carrier")
    assert bench.agent.addresses() == [ADDRESS]
    watch = bench.stopwatch()
    bench.site.carrier(True)
    up_at = boottime()

    outcome = bench.agent.wait_result("renewed")
    assert outcome["purpose"] == "link-up"
    assert watch.own(outcome["started_at"] - up_at) < 1.0
    assert bench.monitor.lost_addresses(ADDRESS) == []
    assert bench.monitor.lost_routes(bench.held_from) == []


def test_carrier_up_and_silence(make_bench: Any) -> None:
    """After a carrier flap nobody answers: no reason to drop a valid lease (rule 61)."""
    # rule 61
    bench = make_bench("dhcpd", Service(lease_time=60, t1=4, t2=8))
    bench.acquire()
    bench.site.drop_all()

    bench.site.carrier(False)
    bench.site.carrier(True)
    bench.agent.wait(lambda: "REBINDING" in bench.agent.said(), 20, "still nobody answers at T2")

    assert bench.agent.addresses() == [ADDRESS]
    bench.site.heal()
    bench.agent.wait_result("renewed", "acquired", count=2)
    assert bench.monitor.lost_addresses(ADDRESS) == []
    assert bench.monitor.lost_routes(bench.held_from) == []


def test_foreign_things_are_untouched(make_bench: Any) -> None:
    """Addresses and routes of others live through start, renewal, move, stop and release (rule 58)."""
    # rule 58
    bench = make_bench("dnsmasq")
    client = bench.site.on_client
    client("ip", "addr", "add", f"{VIP}/32", "dev", "hf0")
    bench.acquire(ADDRESS, OTHER)
    # A secondary in our own subnet, as keepalived adds: the kernel deletes it with its primary, if not told.
    client("ip", "addr", "add", f"{NEIGHBOUR}/24", "dev", "hf0")
    client("ip", "route", "add", "203.0.113.0/24", "via", "10.77.0.1", "proto", "static")
    client("ip", "route", "add", "203.0.114.0/24", "dev", "hf0")
    client("ip", "route", "add", "default", "via", "10.77.0.9", "metric", "7", "onlink", "dev", "hf0")

    def foreign() -> set[str]:
        return {route for route in bench.routes() if route.startswith("203.0.11") or "10.77.0.9" in route}

    before = foreign()
    assert len(before) == 3

    bench.agent.wait_result("renewed")
    assert foreign() == before
    bench.server.reconfigure(Service(pool=OTHER))
    bench.agent.wait_result("moved")
    bench.agent.wait(lambda: ADDRESS not in bench.agent.addresses(), 5, "the old address has gone")
    assert foreign() == before
    bench.agent.terminate()
    done = len(bench.agent.results("renewed"))
    bench.agent.start()
    bench.agent.wait_result("renewed", count=done + 1)
    assert foreign() == before
    bench.assert_moved()

    done = bench.agent.command("release", "hf0")
    assert done.returncode == 0, done.stderr
    bench.agent.wait(lambda: OTHER not in bench.agent.addresses(), 5, "released")
    assert sorted(bench.agent.addresses()) == sorted([VIP, NEIGHBOUR])
    assert foreign() == before
    assert bench.monitor.lost_addresses(VIP) == []
    assert bench.monitor.lost_addresses(NEIGHBOUR) == []


def test_address_deleted_by_someone_else(make_bench: Any) -> None:
    """Our address is deleted while the lease is valid: it is back within a second (rule 60)."""
    # rule 60
    bench = make_bench("dhcpd", Service(lease_time=60, t1=30, t2=50))
    bench.acquire()
    before = bench.routes()
    asked = bench.server.log.read_text().count("DHCPDISCOVER")

    mark, watch = bench.monitor.mark(), bench.stopwatch()
    bench.site.on_client("ip", "addr", "del", f"{ADDRESS}/24", "dev", "hf0")

    bench.agent.wait(lambda: bench.monitor.given_addresses(ADDRESS, mark), 5, "the address is back")
    [deleted] = bench.monitor.lost_addresses(ADDRESS, mark)
    assert watch.own(bench.monitor.given_addresses(ADDRESS, mark)[0].at - deleted.at) < 1.0
    bench.agent.wait(lambda: bench.routes() == before, 5, "the routes are back too")
    assert bench.server.log.read_text().count("DHCPDISCOVER") == asked


def test_interface_removed_and_created_again(make_bench: Any) -> None:
    """The interface goes and comes, with its own MAC and with another: picked up again (rule 63)."""
    # rule 63
    bench = make_bench("dnsmasq")
    bench.acquire()
    mac = bench.site.client_mac()

    bench.site.unplug()
    bench.agent.wait(lambda: bench.agent.addresses() == [], 5, "the interface has gone")
    assert bench.agent.running
    bench.site.plug(mac)
    bench.agent.wait_address(ADDRESS, timeout=20)

    bench.site.unplug()
    bench.server.stop()  # the pool has one address, and the old MAC holds it
    bench.server.forget()
    bench.server.start()
    bench.site.plug("02:00:00:00:63:63")
    bench.agent.wait_address(ADDRESS, timeout=20)
    assert bench.agent.running


def test_another_hardware_address_on_the_same_interface(make_bench: Any) -> None:
    """It is told as what it is; the server knows the new address as another client (rule 63)."""
    # rule 63
    bench = make_bench("dnsmasq", Service(t1=60, t2=100))  # no renewal gives it to the old MAC once more
    bench.acquire()
    bench.server.stop()  # the pool has one address, and the old MAC holds it
    bench.server.forget()
    bench.server.start()
    done = len(bench.agent.outcomes())
    mac = bench.site.client_mac()
    bench.site.on_client("ip", "link", "set", "hf0", "address", "02:00:00:00:63:64")

    bench.agent.wait(lambda: _leased(bench.agent.outcomes()[done:]), 30, "a lease for the new address")
    said = bench.agent.said()
    assert f"hf0: the hardware address changed from {mac} to 02:00:00:00:63:64; to a server that is" in said
    assert "hf0 is gone" not in said
    assert "is here again" not in said


def test_interface_renamed(make_bench: Any) -> None:
    """Renamed away and back: waited for, and picked up again (rule 63)."""
    # rule 63
    bench = make_bench("dnsmasq")
    bench.acquire()

    bench.site.on_client("ip", "link", "set", "hf0", "down")
    bench.site.on_client("ip", "link", "set", "hf0", "name", "other0")
    said = bench.agent.said
    bench.agent.wait(lambda: "renamed" in said() or "gone" in said(), 10, "it is told")
    assert bench.agent.running
    bench.site.on_client("ip", "link", "set", "other0", "name", "hf0")
    bench.site.on_client("ip", "link", "set", "hf0", "up")

    done = len(bench.agent.outcomes())
    bench.agent.wait(lambda: _leased(bench.agent.outcomes()[done:]), 30, "a lease verified again")
    bench.agent.wait_address(ADDRESS)


def test_interface_moved_to_another_namespace(make_bench: Any) -> None:
    """Taken away into another network namespace, and given back: told, waited for, picked up again (rule 63)."""
    # rule 63
    bench = make_bench("dnsmasq")
    bench.acquire()

    bench.site.on_client("ip", "link", "set", "hf0", "netns", bench.site.server.path)
    bench.agent.wait(lambda: "hf0 is gone" in bench.agent.said(), 5, "it is told")
    assert bench.agent.running
    bench.agent.wait(lambda: bench.agent.status().get("present") is False, 10, "the status has it, too")
    bench.site.on_server("ip", "link", "set", "hf0", "netns", bench.site.client.path)
    bench.site.on_client("ip", "link", "set", "hf0", "up")

    bench.agent.wait_address(ADDRESS, timeout=20)
    done = len(bench.agent.outcomes())
    bench.agent.wait(lambda: _leased(bench.agent.outcomes()[done:]), 30, "the lease is renewed again")


def test_a_connection_lives_until_its_address_goes(make_bench: Any) -> None:
    """A move to another address breaks no connection on the old one before that is removed (rule 57)."""
    # rule 57
    bench = make_bench("dnsmasq")
    bench.acquire(ADDRESS, OTHER)
    listener = bench.site.server.run(lambda: socket.create_server(("10.77.0.1", 5757)))
    ours = bench.site.client.run(lambda: socket.create_connection(("10.77.0.1", 5757), 5, (ADDRESS, 0)))
    theirs, _ = listener.accept()
    with listener, ours, theirs:
        theirs.settimeout(0.5)
        bench.server.reconfigure(Service(pool=OTHER))
        watch, echoed, broken_at = bench.stopwatch(), 0, inf
        while not (gone := bench.monitor.lost_addresses(ADDRESS)):
            asked_at = boottime()
            try:
                ours.sendall(b"?")
                echoed += theirs.recv(1) == b"?"
            except OSError:
                broken_at = asked_at
                break
    bench.agent.wait(lambda: bench.monitor.lost_addresses(ADDRESS), 20, "the old address has gone")
    [gone] = bench.monitor.lost_addresses(ADDRESS)
    assert echoed > 0
    assert watch.own(gone.at - broken_at) < TOLERANCE  # what was asked in the moment of the removal may be lost
    bench.assert_moved()


def test_to_another_namespace_and_back(make_bench: Any) -> None:  # rule 63
    """Named, moved away and back: waited for, and the same lease is taken up again, without a DISCOVER (rule 63)."""
    bench = make_bench("dhcpd", Service(lease_time=60, t1=30, t2=50))
    bench.acquire()
    asked = bench.server.log.read_text().count("DHCPDISCOVER")
    away = Namespace("away")
    try:
        bench.site.on_client("ip", "link", "set", "hf0", "netns", away.path)
        bench.agent.wait(lambda: "is gone" in bench.agent.said(), 10, "it is told")
        bench.agent.wait(lambda: bench.agent.status().get("present") is False, 10, "the status has it, too")
        away.output(["ip", "link", "set", "hf0", "netns", bench.site.client.path])
        bench.agent.wait_address(ADDRESS, timeout=10)
        bench.agent.wait(lambda: bench.agent.status().get("online"), 10, "it is served again")
        bench.agent.wait(lambda: any(r.startswith("default") for r in bench.routes()), 10, "the default route is back")
    finally:
        away.close()
    assert bench.server.log.read_text().count("DHCPDISCOVER") == asked


def _leased(outcomes: list[dict[str, Any]]) -> bool:
    return any(outcome["address"] == ADDRESS for outcome in outcomes)
