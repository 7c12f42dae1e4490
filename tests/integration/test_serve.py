"""``[agent] serve``: links that nobody named, from a boot without any to their going away."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.support.bench import ADDRESS, boottime

pytestmark = pytest.mark.root

#: Inside a container the own link is a veth, which is what the tests have.
CONTAINER = "mkdir -p /run/systemd && touch /run/systemd/container"


def serve(bench: Any, *patterns: str, more: str = "") -> None:
    """The daemon is to serve what fits ``patterns``, and no IFACE is on its command line."""
    quoted = ", ".join(f'"{pattern}"' for pattern in patterns)
    bench.agent.config.write_text(f'[agent]\nlog_level = "debug"\nserve = [{quoted}]\n{more}')
    bench.agent.interfaces = []


def idle(bench: Any) -> bool:
    """The agent runs, and serves nothing."""
    told: str = bench.agent.command("status").stdout
    return told.startswith("no interface is served: the agent (pid ")


def test_a_boot_without_any_link(make_bench: Callable[..., Any]) -> None:  # rule 63
    """The agent is there before the network card: ready at once, and serving the card when it comes (rule 63)."""
    bench = make_bench("dnsmasq")
    bench.server.start()
    bench.site.unplug()
    serve(bench, "en*", "hf*", more="[defaults]\nmetric = 77\n")
    bench.agent.start(mounts=CONTAINER)
    waits = "waits for a link that fits en* or hf*\n"
    bench.agent.wait(lambda: bench.agent.command("status").stdout.endswith(waits), 10, "nothing is served yet")
    bench.site.plug()

    bench.agent.wait_address(ADDRESS)
    bench.agent.wait(lambda: any("metric 77" in route for route in bench.routes()), 5, "its settings apply")
    bench.agent.wait(lambda: bench.agent.status().get("state") == "BOUND", 10, "it is bound")


def test_cables_of_containers_are_not_ours(make_bench: Callable[..., Any]) -> None:
    """On a host a veth is a container's, whatever it is called; named exactly, it is served."""
    bench = make_bench("dnsmasq")
    bench.server.start()
    bench.site.on_client("ip", "link", "add", "hf7", "type", "bridge")
    serve(bench, "*", "hf0")
    bench.agent.start()
    bench.agent.wait_address(ADDRESS)
    bench.agent.wait((bench.agent.runtime / "hf0.varlink").exists, 10, "it can be asked")
    clients = bench.agent.command("status", "--json").stdout
    assert '"hf0"' in clients
    assert '"hf7"' not in clients
    assert '"lo"' not in clients

    bench.agent.terminate()
    serve(bench, "*")
    bench.agent.start()
    bench.agent.wait(lambda: idle(bench), 10, "nothing is served")
    bench.site.on_client("ip", "link", "set", "hf7", "up")  # news of a link, and still nothing
    bench.agent.wait(lambda: idle(bench), 10, "nothing is served")


def test_a_late_name(make_bench: Callable[..., Any]) -> None:  # rule 63
    """Renamed while it is served: it goes on under the new name with the same lease, and nothing happens to
    its address (rule 63)."""
    bench = make_bench("dnsmasq")
    serve(bench, "hf*", "en*")
    bench.server.start()
    bench.agent.start(mounts=CONTAINER)
    bench.agent.wait_address(ADDRESS)
    bench.agent.wait_result("acquired")
    bench.watch(ADDRESS)
    asked = bench.server.log.read_text().count("DHCPDISCOVER")

    bench.site.on_client("ip", "link", "set", "hf0", "down")  # before Linux 6.2 only so
    bench.site.on_client("ip", "link", "set", "hf0", "name", "ens7")
    bench.site.on_client("ip", "link", "set", "ens7", "up")
    bench.agent.interface = "ens7"
    bench.agent.wait(lambda: bench.agent.status().get("state") == "BOUND", 15, "served under its new name")

    assert bench.agent.addresses() == [ADDRESS]
    bench.agent.wait((bench.agent.state / "ens7.lease.json").exists, 10, "the lease is kept under the new name")
    former = (bench.agent.state / "hf0.lease.json", bench.agent.runtime / "hf0.varlink")
    bench.agent.wait(lambda: not any(path.exists() for path in former), 10, "and nothing under the old one")
    assert bench.agent.outcomes()[0]["result"] == "acquired"  # the history went along
    assert bench.monitor.lost_addresses(ADDRESS, bench.held_from) == []
    assert bench.server.log.read_text().count("DHCPDISCOVER") == asked


def test_to_another_namespace_and_back(make_bench: Callable[..., Any]) -> None:  # rule 63
    """Moved away: ended. Moved back: the remembered lease is asked for, and it is the same address (rule 63)."""
    bench = make_bench("dnsmasq")
    serve(bench, "hf*")
    bench.server.start()
    bench.agent.start(mounts=CONTAINER)
    bench.agent.wait_address(ADDRESS)
    away = bench.site.client.popen(
        ["unshare", "--net", "sh", "-c", "echo $$; read answer; ip link set hf0 netns $1; read answer", "sh",
         str(bench.agent.process.pid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    try:
        pid = away.stdout.readline().strip()
        bench.site.on_client("ip", "link", "set", "hf0", "netns", pid)
        bench.agent.wait(lambda: idle(bench), 10, "nothing is served any more")
        ended_at = boottime()
        away.stdin.write("back\n")
        away.stdin.flush()
        bench.agent.wait_address(ADDRESS, timeout=20)
        bench.agent.wait(lambda: bench.agent.status().get("state") == "BOUND", 10, "served again")
        again = bench.agent.wait_result("renewed", "acquired", since=ended_at)
        assert again["purpose"] == "reboot"
    finally:
        away.kill()
        away.communicate()


def test_links_that_come_and_go_leave_nothing(make_bench: Callable[..., Any]) -> None:
    """Thirty cards, one after the other: the daemon has no more descriptors in the end than after the first ten."""
    bench = make_bench("dnsmasq")
    serve(bench, "hf*", "zz*")
    bench.server.start()
    bench.agent.start(mounts=CONTAINER)
    bench.agent.wait_address(ADDRESS)
    pid = bench.agent.process.pid

    def descriptors() -> int:
        return int(subprocess.check_output(["sh", "-c", f"ls /proc/{pid}/fd | wc -l"]))

    before = 0
    for number in range(30):
        if number == 10:  # what it opens after its first packet is open by now
            before = descriptors()
        name = f"zz{number}"
        bench.site.on_client("ip", "link", "add", name, "type", "veth", "peer", "name", f"peer{number}")
        bench.agent.wait((bench.agent.runtime / f"{name}.varlink").exists, 30, f"{name} is served")
        bench.site.on_client("ip", "link", "del", name)
        bench.agent.wait(lambda name=name: not (bench.agent.runtime / f"{name}.varlink").exists(), 30, "it is not")
    bench.agent.wait(lambda: descriptors() <= before, 10, "no more descriptors than before")
    bench.agent.wait(lambda: bench.agent.status().get("state") == "BOUND", 10, "it is bound")


def test_waiting_for_an_address_at_boot(make_bench: Callable[..., Any]) -> None:
    """``wait-online`` is there before the agent, the agent before the card, the card before the server."""
    bench = make_bench("dnsmasq")
    bench.site.unplug()
    serve(bench, "hf*")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: bench.agent.command("wait-online", "--timeout", "40", timeout=60))
        bench.agent.start(mounts=CONTAINER)
        bench.site.plug()
        bench.agent.wait((bench.agent.runtime / "hf0.varlink").exists, 10, "the card is served")
        assert not waiting.done()
        bench.server.start()
        done = waiting.result()
    assert (done.returncode, done.stderr) == (0, "")
    assert bench.agent.addresses() == [ADDRESS]
    assert bench.agent.command("wait-online", "hf0", "--timeout", "20").returncode == 0
