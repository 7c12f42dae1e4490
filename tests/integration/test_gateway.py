"""A real gateway: remembered with the lease, a witness at the next boot, the reason to hold an address beyond it."""

from __future__ import annotations

import json
import os
from ipaddress import IPv4Address
from typing import Any

import pytest
from tests.support.bench import ADDRESS, TOLERANCE, Bench, boottime
from tests.support.monitor import Change
from tests.support.servers import Service
from tests.support.site import BRIDGE, CLIENT

from holdfast_lab.testbed.fair_time import Stopwatch

pytestmark = pytest.mark.root

GATEWAY = "10.77.0.1"
SHORT = Service(lease_time=11, t1=3, t2=6)
NEW_MAC = "02:00:00:00:0f:f9"


def bridge_mac(bench: Bench) -> str:
    """The hardware address of the gateway."""
    fields = bench.site.on_server("ip", "-o", "link", "show", BRIDGE).split()
    return fields[fields.index("link/ether") + 1]


def stored_gateway(bench: Bench) -> dict[str, str] | None:
    """What the lease file says of the gateway."""
    found = list(bench.agent.state.glob("*.lease.json"))
    return json.loads(found[0].read_text())["gateway"] if found else None


def acquire(bench: Bench, config: str = "") -> None:
    """Bind, and let the gateway be learned."""
    bench.site.on_server("ip", "link", "set", BRIDGE, "address", bridge_mac(bench))  # no longer its first port's
    bench.agent.config.write_text(bench.agent.config.read_text() + config)
    bench.acquire()
    bench.agent.wait(lambda: stored_gateway(bench) is not None, 5, "the gateway is kept with the lease")
    assert stored_gateway(bench) == {"address": GATEWAY, "mac": bridge_mac(bench)}


def reboot(bench: Bench) -> float:
    """The machine was switched off: the lease file is there, the address is not. When it was started again."""
    bench.agent.kill()
    bench.site.on_client("ip", "addr", "flush", "dev", CLIENT)
    started = boottime()
    bench.agent.start()
    return started


def test_the_known_gateway_keeps_a_lease_that_no_server_confirms(make_bench: Any) -> None:
    # rules 48, 49
    bench = make_bench("dhcpd", Service(lease_time=60, t1=25, t2=40))
    acquire(bench)
    assert bench.agent.status()["gateway"] == f"{GATEWAY} {bridge_mac(bench)}"
    bench.site.drop_all()
    mark = bench.monitor.mark()

    started = reboot(bench)
    watch = bench.stopwatch()

    kept = bench.agent.wait_result("kept")
    assert (kept["purpose"], kept["cause"]) == ("reboot", "no answer; verified by the gateway")
    bench.agent.wait_address(ADDRESS)
    [given] = bench.monitor.given_addresses(ADDRESS, mark)[:1]
    assert watch.own(given.at - started) < 2.5  # the server's first second, and the start of the program
    assert bench.agent.status()["lease"]["verified"]


def test_another_gateway_is_another_network(make_bench: Any) -> None:
    # rule 49
    bench = make_bench("dhcpd", Service(lease_time=60, t1=25, t2=40))
    acquire(bench)
    bench.site.on_server("ip", "link", "set", BRIDGE, "address", NEW_MAC)
    bench.site.drop_all()

    reboot(bench)

    bench.agent.wait(lambda: "another gateway answers: another network" in bench.agent.said(), 10, "INIT")
    assert bench.agent.addresses() == []
    assert NEW_MAC in bench.agent.said()
    acquired = len(bench.agent.results("acquired"))
    bench.site.heal()
    bench.agent.wait_result("acquired", count=acquired + 1)
    bench.agent.wait_address(ADDRESS)
    now_known = {"address": GATEWAY, "mac": NEW_MAC}
    bench.agent.wait(lambda: stored_gateway(bench) == now_known, 5, "the new gateway is kept")


def test_a_server_that_confirms_the_lease_makes_nothing_of_another_gateway(make_bench: Any) -> None:
    # rule 49
    bench = make_bench("dhcpd", Service(lease_time=60, t1=25, t2=40))
    acquire(bench)
    bench.site.on_server("ip", "link", "set", BRIDGE, "address", NEW_MAC)
    renewed = len(bench.agent.results("renewed"))

    reboot(bench)

    assert bench.agent.wait_result("renewed", count=renewed + 1)["purpose"] == "reboot"
    bench.agent.wait_address(ADDRESS)


def removal(bench: Bench) -> Change:
    """The one time that the address went."""
    bench.agent.wait(lambda: bench.monitor.lost_addresses(ADDRESS), 10, "the monitor has seen it go")
    [lost] = bench.monitor.lost_addresses(ADDRESS)
    return lost


def hold(bench: Bench) -> float:
    """Let the lease end with nobody to renew it; when it did."""
    acquire(bench, '[defaults]\non_expiry = "hold"\n')
    bench.site.drop_all()
    held = bench.agent.wait_result("held", timeout=25)
    assert held["seconds_left"] == 0.0
    return boottime()


@pytest.mark.long
def test_an_address_is_held_while_the_gateway_answers_and_no_longer(make_bench: Any) -> None:
    # rule 40
    bench = make_bench("dhcpd", SHORT)
    ended_at = hold(bench)

    def answered() -> bool:
        return any(change.at > ended_at + 7.0 for change in bench.lifetimes())

    bench.agent.wait(answered, 16, "the gateway has answered again")
    shown = bench.agent.status()
    assert (shown["state"], shown["lease"]["address"]) == ("SELECTING", ADDRESS)
    assert shown["lease"]["expiry"]["seconds"] < -7.0
    assert 0.0 < shown["lease"]["held_until"]["seconds"] <= 30.0
    assert bench.lifetimes()[-1].valid == 30
    answered_until = boottime()  # the probe, too, asks from the bridge
    bench.site.on_server("ip", "link", "set", BRIDGE, "arp", "off")
    silent_at, watch = boottime(), bench.stopwatch()

    gone = bench.agent.wait_result("expired", timeout=25)
    assert (gone["purpose"], gone["cause"]) == ("hold", "the gateway does not answer")
    lost = removal(bench)
    assert watch.own(lost.at - silent_at) <= 15.5 + TOLERANCE
    assert bench.agent.addresses() == []
    bench.assert_held(until=answered_until)


@pytest.mark.long
def test_a_claim_by_somebody_else_ends_the_holding(make_bench: Any) -> None:
    # rule 40
    bench = make_bench("dhcpd", SHORT)
    hold(bench)
    owner = bench.site.add_machine("10.77.0.2/24")
    owner.sysctl("net/ipv4/conf/eth0/arp_notify", 1)
    owner.output(["ip", "addr", "add", f"{ADDRESS}/24", "dev", "eth0"])
    for state in ("down", "up"):  # so that it announces its addresses
        owner.output(["ip", "link", "set", "eth0", state])

    gone = bench.agent.wait_result("conflict", timeout=40)
    assert (gone["purpose"], gone["former_address"]) == ("hold", ADDRESS)
    bench.agent.wait(lambda: bench.agent.addresses() == [], 2, "the address has gone")


def test_a_server_that_returns_finds_the_address_where_it_was(make_bench: Any) -> None:
    # rules 40, 57
    bench = make_bench("dhcpd", SHORT)
    hold(bench)
    bench.site.heal()
    renewed = len(bench.agent.results("renewed"))
    again = bench.agent.wait_result("renewed", count=renewed + 1, timeout=30)
    assert (again["address"], again["former_address"], again["seconds_left"]) == (ADDRESS, ADDRESS, 0.0)
    bench.assert_held()


@pytest.mark.long
def test_a_dead_agent_holds_nothing_for_long(make_bench: Any) -> None:
    # rule 40: only the kernel is left, and it was told half a minute
    bench = make_bench("dhcpd", SHORT)
    hold(bench)
    bench.agent.kill()
    watch = Stopwatch(os.getpid())
    bench.agent.wait(lambda: bench.agent.addresses() == [], 34, "the address has gone")
    lost = removal(bench)
    assert watch.own(lost.at - watch.started_at) <= 32.0
    assert lost.address == IPv4Address(ADDRESS)
