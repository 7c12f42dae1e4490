"""The agent itself is replaced while a lease is held: nothing happens on the interface."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.bench import ADDRESS
from tests.support.servers import Service

pytestmark = pytest.mark.root

LONG = Service(lease_time=600, t1=300, t2=500)


def restart(bench: Any, *, kill: bool = False) -> None:
    """What a package does: the process ends and begins; waits until the new one has done all that it does at first."""
    bound = bench.agent.said().count("-> BOUND")
    if kill:
        bench.agent.kill()
    else:
        assert bench.agent.terminate(timeout=2.0) == 0  # rule 51
    bench.agent.start()
    bench.agent.wait(lambda: bench.agent.said().count("-> BOUND") > bound, 10, "BOUND again")
    bench.agent.wait(lambda: bench.agent.status().get("online"), 10, "it answers, and is online")


@pytest.mark.parametrize("kill", [False, True], ids=["SIGTERM", "SIGKILL"])
def test_no_event_on_the_interface(make_bench: Callable[..., Any], kill: bool) -> None:  # rules 47, 51, 52
    """rule 47, and more: not one message of the kernel about link, address or route, twice; nobody is asked."""
    bench = make_bench("dhcpd", LONG)
    bench.acquire()
    bench.agent.wait(lambda: bench.agent.status().get("online"), 10, "it has settled")
    asked = bench.server.log.read_text().count("DHCP")
    mark = bench.monitor.mark()
    restart(bench, kill=kill)
    restart(bench, kill=kill)
    assert bench.monitor.changes[mark:] == []
    assert bench.server.log.read_text().count("DHCP") == asked
    assert bench.agent.command("wait-online", "--timeout", "5").returncode == 0
    bench.assert_held()


def test_from_the_first_version_of_the_lease_file(make_bench: Callable[..., Any]) -> None:
    """What the release before wrote (without a gateway) is read, and carried on with in the same way."""
    bench = make_bench("dhcpd", LONG)
    bench.acquire()
    bench.agent.wait(lambda: bench.agent.status().get("online"), 10, "it has settled")
    assert bench.agent.terminate() == 0
    path = bench.agent.state / "hf0.lease.json"
    document = json.loads(path.read_text())
    document.pop("gateway", None)
    document["version"] = 1
    document["lease"].pop("ended_at", None)
    path.write_text(json.dumps(document))
    mark = bench.monitor.mark()
    bench.agent.start()
    bench.agent.wait(lambda: bench.agent.status().get("online"), 10, "it answers, and is online")
    assert bench.agent.said().count("-> BOUND") == 2
    assert bench.monitor.changes[mark:] == []
    assert "not usable" not in bench.agent.said()
    assert bench.agent.addresses() == [ADDRESS]
    bench.assert_held()


def test_the_mtu_of_before_is_put_back_on_release(make_bench: Callable[..., Any]) -> None:  # rule 62
    """rule 62: set by the lease, known over a restart of the agent, put back with the lease's end; no link flap."""
    bench = make_bench("dnsmasq", Service(mtu=1400))
    assert "mtu 1500" in bench.site.on_client("ip", "link", "show", "hf0")
    bench.acquire()
    assert "mtu 1400" in bench.site.on_client("ip", "link", "show", "hf0")
    restart(bench)
    assert bench.agent.command("release", "hf0").returncode == 0
    bench.agent.wait(lambda: "mtu 1500" in bench.site.on_client("ip", "link", "show", "hf0"), 5, "the MTU is back")
    bench.agent.wait(lambda: list(bench.agent.runtime.glob("*.mtu")) == [], 5, "it is not remembered any more")
