"""Errors of the machine under the daemon: ports, sends, netlink."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from tests.support.bench import ADDRESS, boottime
from tests.support.servers import Service, port_bound

from holdfast_lab.testbed.fair_time import wait_until

pytestmark = pytest.mark.root

SHORT = Service(lease_time=60, t1=2, t2=6)

_HOLD_PORT = """
import socket, sys
held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
held.bind(("0.0.0.0", 68))
sys.stdin.read()
"""


def test_port_68_is_taken(make_bench: Any) -> None:
    """Another process has port 68: it is named, and leases go on by packet socket (rule 54)."""
    # rule 54
    bench = make_bench("dhcpd", SHORT)
    holder = bench.site.client.popen(
        [sys.executable, "-c", _HOLD_PORT], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    wait_until(lambda: port_bound(holder.pid, 68), 10, "port 68 is held")

    bench.acquire()
    bench.agent.wait_result("renewed", count=2)

    said = bench.agent.said()
    [line] = [line for line in said.splitlines() if "68" in line and str(holder.pid) in line]
    assert "python" in line
    bench.assert_held()


def test_routes_that_refuse(make_bench: Any) -> None:
    """A route that forbids the way to the server: our unicast goes by the link, whatever the routes say."""
    bench = make_bench("dhcpd", SHORT)
    bench.acquire()
    bench.site.on_client("ip", "route", "add", "unreachable", "10.77.0.1/32")

    done = len(bench.agent.results("renewed")) + 1  # one may have begun before

    def paths() -> list[str]:
        return [one["path"] for one in bench.agent.results("renewed")[done:]]

    bench.agent.wait(lambda: "unicast" in paths(), 20, "a renewal by unicast")
    assert bench.agent.running
    assert bench.monitor.lost_addresses(ADDRESS, bench.held_from) == []


def test_packets_too_big_for_the_link(make_bench: Any) -> None:
    """A link that takes nothing bigger than 200 bytes (EMSGSIZE): recorded, retried, renewed later (rule 55)."""
    # rule 55
    bench = make_bench("dhcpd", SHORT)
    bench.acquire()
    bench.site.drop_unicast()
    bench.site.on_client("ip", "link", "set", "hf0", "mtu", "200")

    said = bench.agent.said
    bench.agent.wait(lambda: "Message too long" in said() or "EMSGSIZE" in said(), 20, "it is told")
    assert bench.agent.running
    assert ADDRESS in bench.agent.addresses()
    bench.site.on_client("ip", "link", "set", "hf0", "mtu", "1400")
    bench.agent.wait_result("renewed")
    bench.assert_held()


def filtered(bench: Any) -> int:
    """How many packets the guest's own firewall has dropped."""
    words = bench.site.on_client("nft", "list", "table", "ip", "guest").split()
    return int(words[words.index("packets") + 1])


def test_firewall_refuses_to_send(make_bench: Any) -> None:
    """The guest's own firewall drops what goes to port 67 (EPERM): the packet socket goes around it."""
    bench = make_bench("dhcpd", SHORT)
    bench.acquire()
    for command in (
        "add table ip guest",
        "add chain ip guest out { type filter hook output priority 0; policy accept; }",
        "add rule ip guest out udp dport 67 counter drop",
    ):
        bench.site.on_client("nft", command)
    bench.agent.wait(lambda: filtered(bench) >= 1, 20, "a unicast is dropped")
    done = len(bench.agent.results("renewed"))  # one may have been answered before the rule was there

    outcome = bench.agent.wait_result("renewed", count=done + 1)

    assert outcome["path"] == "broadcast"  # rule 55
    bench.agent.wait_result("renewed", count=done + 2)
    bench.assert_held()


def test_link_down_under_the_daemon(make_bench: Any) -> None:
    """Set down by an administrator, and up again: the kernel drops the routes, and they come back."""
    bench = make_bench("dhcpd", Service(lease_time=60, t1=30, t2=50))
    bench.acquire()
    before = set(bench.routes())

    bench.site.on_client("ip", "link", "set", "hf0", "down")
    assert bench.agent.addresses() == [ADDRESS]
    watch = bench.stopwatch()
    bench.site.on_client("ip", "link", "set", "hf0", "up")
    up_at = boottime()

    bench.agent.wait(lambda: set(bench.routes()) == before, 10, "the routes are back")
    assert watch.own(bench.agent.wait_result("renewed")["started_at"] - up_at) < 1.0
    assert bench.agent.running


def test_netlink_refuses_renewals(make_bench: Any) -> None:
    """The kernel refuses to move the lifetime: told, retried, and renewals go on meanwhile (rule 59)."""
    # rule 59
    bench = make_bench("dhcpd", SHORT)
    broken = bench.folder / "netlink-is-broken"
    bench.server.start()
    bench.agent.start(launcher=[sys.executable, "-m", "tests.support.faulty_netlink", str(broken)])
    bench.agent.wait_result("acquired")
    bench.agent.wait_address(ADDRESS)
    bench.watch(ADDRESS)

    broken.touch()
    renewed = len(bench.agent.results("renewed"))
    updated = len(bench.lifetimes())
    bench.agent.wait_result("renewed", count=renewed + 2)
    assert len(bench.lifetimes()) == updated, "the fault has no effect"
    said = bench.agent.said
    bench.agent.wait(lambda: "No such device" in said() or "ENODEV" in said(), 10, "it is told")
    broken.unlink()

    bench.agent.wait(lambda: len(bench.lifetimes()) > updated, 10, "the lifetime has moved")
    assert bench.agent.running
    bench.assert_held()


def test_netlink_refuses_the_first_lease(make_bench: Any) -> None:
    """The kernel refuses the first address: told, retried, and it comes when the kernel will (rule 59)."""
    # rule 59
    bench = make_bench("dhcpd", SHORT)
    broken = bench.folder / "netlink-is-broken"
    broken.touch()
    bench.server.start()
    bench.agent.start(launcher=[sys.executable, "-m", "tests.support.faulty_netlink", str(broken)])
    bench.agent.wait(
        lambda: "No such device" in bench.agent.said() or "ENODEV" in bench.agent.said(), 10, "it is told"
    )
    assert bench.agent.addresses() == []
    broken.unlink()

    bench.agent.wait_address(ADDRESS, timeout=10)
    bench.watch(ADDRESS)
    bench.agent.wait_result("renewed")
    bench.assert_held()
