"""Settings that change what is on the wire, and one daemon for two interfaces, with real servers."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest
from tests.support.bench import ADDRESS, OTHER, Bench, boottime
from tests.support.servers import Service
from tests.support.site import BRIDGE

pytestmark = pytest.mark.root


def configure(bench: Bench, text: str) -> None:
    """Add to the daemon's configuration file."""
    bench.agent.config.write_text(bench.agent.config.read_text() + text)


def test_rapid_commit(make_bench: Any) -> None:
    """Two messages instead of four, when it is on and the server can (rule 70)."""
    bench = make_bench("dnsmasq", Service(extra=("dhcp-rapid-commit",)))
    configure(bench, "[defaults]\nrapid_commit = true\n")
    bench.acquire()

    before, granted, _ = bench.server.log.read_text().partition("DHCPACK")  # the renewals are behind it
    assert granted
    assert "DHCPREQUEST" not in before
    assert "DHCPOFFER" not in before
    bench.agent.wait_result("renewed")
    bench.assert_held()


def test_strict_conflict_detection(make_bench: Any) -> None:
    """RFC 5227's probes first: three of them, and the address only after their silence."""
    bench = make_bench("dhcpd", Service(lease_time=60, t1=30, t2=50))
    configure(bench, '[defaults]\nacd = "strict"\n')
    bench.server.start()
    bench.agent.start()

    bench.agent.wait(lambda: "DHCPACK" in bench.server.log.read_text(), 10, "the ACK")
    assert bench.agent.addresses() == []
    bench.agent.wait_address(ADDRESS)
    assert "PROBING" in bench.agent.said()
    bench.watch(ADDRESS)
    bench.agent.wait((bench.agent.runtime / "hf0.varlink").exists, 5, "the socket is there")
    assert bench.agent.command("renew", "hf0").returncode == 0
    bench.agent.wait_result("renewed")
    bench.assert_held()


def test_client_id_from_the_machine(make_bench: Any) -> None:
    """RFC 4361's client-id: Kea echoes it (rule 16), and after a restart it is the same (rule 8)."""
    bench = make_bench("kea")
    configure(bench, '[defaults]\nclient_id = "duid"\n')
    bench.acquire()
    bench.agent.wait_result("renewed")
    bench.agent.terminate()
    bench.agent.start()
    bench.agent.wait_result("renewed", count=2)

    log = bench.server.log.read_text()
    told = {word for line in log.splitlines() if "lease 10.77.0.50" in line for word in line.split() if "cid=" in word}
    assert len(told) == 1
    assert "cid=[ff:" in told.pop()
    bench.assert_held()


def test_halt_after_a_nak(make_bench: Any) -> None:
    """``nak = "halt"`` is RFC 2131 figure 5: refused by its own server, the address goes at once (rule 26)."""
    bench = make_bench("dnsmasq")
    configure(bench, '[defaults]\nnak = "halt"\n')
    bench.acquire(ADDRESS, OTHER)
    bench.server.reconfigure(Service(pool=OTHER))

    bench.agent.wait_address(OTHER)

    [lost] = bench.monitor.lost_addresses(ADDRESS)
    assert lost.at < bench.monitor.given_addresses(OTHER)[0].at


def test_unusable_mtu(make_bench: Any) -> None:
    """An MTU below 576 is ignored, and told (rule 62)."""
    bench = make_bench("dhcpd", Service(mtu=500))
    bench.acquire()

    [link] = json.loads(bench.site.on_client("ip", "-j", "link", "show", "dev", "hf0"))
    assert link["mtu"] == 1500
    bench.agent.wait(lambda: "500" in bench.agent.said(), 5, "it is told")


def frozen_when_bound(bench: Bench) -> bool:
    """Stop the daemon; False, and it goes on, when it is renewing: that renewal would last as long as the stop."""
    bench.agent.freeze()
    if bench.agent.said().rpartition(" -> ")[2].startswith("BOUND "):
        return True
    bench.agent.process.send_signal(signal.SIGCONT)
    return False


def test_frozen_for_a_while(make_bench: Any) -> None:
    """Stopped past T1, as by a host that pauses its guest: it renews at once when it goes on."""
    bench = make_bench("dhcpd", Service(lease_time=60, t1=2, t2=6))
    bench.acquire()

    bench.agent.wait(lambda: frozen_when_bound(bench), 20, "it is stopped, and not in the middle of a renewal")
    frozen, renewed = len(bench.agent.outcomes()), len(bench.agent.results("renewed"))
    since = bench.monitor.changes[-1].at
    bench.agent.wait(lambda: bench.probe.asked(ADDRESS, since + 4.0), 10, "four seconds have passed")
    assert len(bench.agent.outcomes()) == frozen
    watch = bench.stopwatch()
    bench.agent.process.send_signal(signal.SIGCONT)

    assert watch.own(bench.agent.wait_result("renewed", count=renewed + 1)["latency"]) < 1.0
    bench.assert_held()


def test_one_daemon_for_two_interfaces(make_bench: Any) -> None:
    """Two interfaces that the configuration names, in one process: each has its lease and its record."""
    bench = make_bench("dhcpd", Service(pool=f"{ADDRESS} 10.77.0.51"))
    site = bench.site
    site.server.run(lambda: site.server.rtnl.add_veth("port1", "hf1", site.client.fd))
    site.on_server("ip", "link", "set", "port1", "master", BRIDGE, "up")
    site.client.sysctl("net/ipv4/conf/all/arp_ignore", 1)  # each address at its own interface
    configure(bench, '[interfaces.hf0]\n[interfaces.hf1]\nmetric = 200\nhostname = "second"\n')
    bench.agent.interfaces = []
    bench.server.start()
    bench.agent.start()

    def outcomes(name: str) -> list[str]:
        path = bench.agent.state / f"{name}.outcomes.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line)["result"] for line in lines if line.endswith("}")]

    for name in ("hf0", "hf1"):
        bench.agent.wait(lambda name=name: "renewed" in outcomes(name), 20, f"{name} has renewed its lease")
    routes = json.loads(site.on_client("ip", "-4", "-j", "route", "show", "default"))
    assert {(route["dev"], route["metric"]) for route in routes} == {("hf0", 100), ("hf1", 200)}
    assert "second" in (bench.server.folder / "leases").read_text()

    def states() -> set[tuple[str, str]]:
        told = json.loads(bench.agent.command("status", "--json").stdout)
        return {(client["interface"], client["state"]) for client in told}

    bench.agent.wait(lambda: states() == {("hf0", "BOUND"), ("hf1", "BOUND")}, 20, "both are bound, none renewing")
    assert bench.agent.terminate() == 0


def test_a_resolver_that_takes_its_time(make_bench: Any) -> None:
    """A resolvconf whose hooks take seconds holds up nobody: the agent answers and renews meanwhile."""
    bench = make_bench("dhcpd", Service(lease_time=60, t1=2, t2=6))
    slow = bench.folder / "resolvconf"
    # It goes on when it is told to, or after 20 s.
    waits = f"for _ in $(seq 200); do [ -e {bench.folder}/go ] && break; sleep 0.1; done"
    slow.write_text(f"#!/bin/sh\ncat > {bench.folder}/names\n{waits}\n: > {bench.folder}/done\n")
    slow.chmod(0o755)
    bench.server.start()
    bench.agent.start(mounts=(
        "mkdir -p /run/sbin/upper /run/sbin/work && mount -t overlay overlay -o "
        "lowerdir=/usr/sbin,upperdir=/run/sbin/upper,workdir=/run/sbin/work /usr/sbin && "
        f"cp {slow} /usr/sbin/resolvconf"
    ))
    bench.agent.wait_address(ADDRESS)
    names, done = bench.folder / "names", bench.folder / "done"
    bench.agent.wait(names.exists, 10, "resolvconf was called")
    since = boottime()
    assert bench.agent.status()["online"]
    bench.agent.wait_result("renewed")
    assert not done.exists(), f"it was waited for ({boottime() - since:.1f} s)"
    (bench.folder / "go").touch()
    bench.agent.wait(done.exists, 10, "it ends in its own time")
    assert "nameserver 10.77.0.1" in names.read_text()
    assert "name servers" not in bench.agent.said()
