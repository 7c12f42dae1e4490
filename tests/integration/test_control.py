"""Asking the running daemon: over its socket with a client that nobody here wrote, and by the command line."""

from __future__ import annotations

import json
import signal
import socket
import stat
import sys
from typing import Any

import pytest
import varlink
from tests.support.bench import ADDRESS
from tests.support.servers import Service

from holdfast.control.idl import conform, parse
from holdfast.control.interface import definition
from holdfast.state.folder import socket_address
from holdfast_lab.testbed import fair_time

pytestmark = pytest.mark.root

QUIET = Service(lease_time=60, t1=30, t2=50)


def test_varlink(make_bench: Any) -> None:
    """Introspection, status, renewals and history with the PyPI package ``varlink``."""
    bench = make_bench("dhcpd", QUIET)
    bench.acquire()
    path = bench.agent.runtime / "hf0.varlink"
    bench.agent.wait(path.exists, 5, "the socket is there")
    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0, "it is for root and the socket's group only"

    with varlink.Client(address=f"unix:{path}") as client:
        assert {"io.holdfast.Agent", "org.varlink.service"} <= set(client.get_interfaces())
        described = client.get_interface("io.holdfast.Agent")
        assert {"Status", "Renew", "Rebind", "Release", "History"} <= set(described.members)
        with client.open("io.holdfast.Agent") as agent:
            [before] = agent.Status()["clients"]
            renewed = agent.Renew()["outcome"]
            rebound = agent.Rebind()["outcome"]
            [after] = agent.Status("hf0")["clients"]
            outcomes = agent.History()["outcomes"]
            with pytest.raises(varlink.VarlinkError) as wrong:
                agent.Status("nothing0")

    assert (before["interface"], before["state"]) == ("hf0", "BOUND")
    assert before["lease"]["address"] == ADDRESS
    assert before.get("hears_unicast") is None  # not known yet
    assert 0 < before["lease"]["renewal"]["seconds"] < before["lease"]["expiry"]["seconds"] <= 60
    assert (renewed["result"], renewed["path"], renewed["purpose"]) == ("renewed", "unicast", "operator")
    assert (rebound["result"], rebound["path"], rebound["purpose"]) == ("renewed", "broadcast", "operator")
    assert after["hears_unicast"] is True
    assert [outcome["result"] for outcome in outcomes] == ["acquired", "renewed", "renewed"]
    # This client leaves out what is null.
    assert outcomes == [{key: value for key, value in outcome.items() if value is not None}
                        for outcome in bench.agent.outcomes()]
    assert wrong.value.error() == "io.holdfast.Agent.NoSuchInterface"
    bench.assert_held()


def test_introspection_as_varlinkctl_does_it(make_bench: Any) -> None:
    """The raw protocol (varlink.org): JSON and a NUL, methods of org.varlink.service, and every
    method of the agent answered exactly as it says about itself; unknown ones refused."""
    bench = make_bench("dhcpd", QUIET)
    bench.acquire()
    bench.agent.wait((bench.agent.runtime / "hf0.varlink").exists, 5, "the socket is there")

    def call(method: str, **parameters: str) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(fair_time.longest(40))
            with socket_address(str(bench.agent.runtime / "hf0.varlink")) as address:
                connection.connect(address)
            connection.sendall(json.dumps({"method": method, "parameters": parameters}).encode() + b"\0")
            data = b""
            while not data.endswith(b"\0"):
                data += connection.recv(1 << 16)
        return json.loads(data[:-1])

    info = call("org.varlink.service.GetInfo")["parameters"]
    assert set(info) == {"vendor", "product", "version", "url", "interfaces"}
    described = call("org.varlink.service.GetInterfaceDescription", interface="io.holdfast.Agent")
    agent = parse(described["parameters"]["description"])
    assert agent.text == definition("io.holdfast.Agent").text
    for method in ("Status", "Renew", "Rebind", "History", "WaitOnline", "Yield", "KeepNothing", "Release"):
        answer = call(f"{agent.name}.{method}")["parameters"]
        assert conform(agent, agent.methods[method].gives, answer, strict=True) == answer, method
    assert call("io.holdfast.Agent.Nothing")["error"] == "org.varlink.service.MethodNotFound"
    assert call("com.example.Nothing.Do")["error"] == "org.varlink.service.InterfaceNotFound"


def test_command_line(make_bench: Any) -> None:
    """``holdfast run`` and every command against it, with their exit statuses."""
    bench = make_bench("dhcpd", QUIET)
    bench.server.start()
    run = [sys.executable, "-c", "import sys; from holdfast.cli import main; sys.exit(main())", "run"]
    bench.agent.start(launcher=run)
    bench.agent.wait_result("acquired")
    bench.agent.wait_address(ADDRESS)
    bench.watch(ADDRESS)
    command = bench.agent.command

    bench.agent.wait((bench.agent.runtime / "hf0.varlink").exists, 5, "the socket is there")
    told = command("status", "hf0")
    assert (told.returncode, told.stderr) == (0, "")
    assert "BOUND" in told.stdout
    assert f"{ADDRESS}/24 from 10.77.0.1" in told.stdout
    assert bench.agent.status()["state"] == "BOUND"
    for name in ("renew", "rebind"):
        done = command(name, "hf0")
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        assert f"renewed {ADDRESS}" in done.stdout
    history = command("history", "hf0").stdout.splitlines()
    assert len(history) == 4
    assert "RESULT" in history[0]
    assert [line.split()[3] for line in history[1:]] == ["discover", "unicast", "broadcast"]
    assert [entry["result"] for entry in json.loads(command("history", "--json").stdout)] == [
        "acquired", "renewed", "renewed",
    ]
    bench.assert_held()

    second = command("run", "hf0")
    assert second.returncode == 7
    assert len(second.stderr.splitlines()) == 1
    assert "another holdfast" in second.stderr
    assert command("status", "nothing0").returncode == 4

    def resolv() -> str:
        return bench.site.on_client("cat", "/etc/resolv.conf")

    bench.agent.wait(lambda: "nameserver 10.77.0.1" in resolv(), 5, "the name server is there")
    assert command("release", "hf0").returncode == 0
    assert bench.agent.addresses() == []
    bench.agent.wait(lambda: resolv() == "# the lab's own\n", 5, "the former resolv.conf is back")
    bench.agent.wait(lambda: "DHCPRELEASE" in bench.server.log.read_text(), 5, "the server was told")  # rule 14
    again = command("renew", "hf0")
    assert again.returncode == 0, again.stderr
    bench.agent.wait_address(ADDRESS)

    bench.agent.terminate()
    ended = command("status", "hf0")
    assert ended.returncode == 3
    assert len(ended.stderr.splitlines()) == 1


def test_monitor_follows_an_agent_that_is_restarted(make_bench: Any) -> None:
    bench = make_bench("dnsmasq", Service(t1=60, t2=100))  # the only renewal is the operator's
    bench.acquire()
    argv = [sys.executable, "-c", "import sys; from holdfast.cli import main; sys.exit(main())", "monitor", "--json"]
    told = bench.folder / "monitor.json"
    with told.open("wb") as out:
        child = bench.agent.namespace.popen(argv, env=bench.agent.environment(), stdout=out)

    def events(kind: str) -> list[dict[str, Any]]:
        whole = [json.loads(line) for line in told.read_text().splitlines() if line.endswith("}")]
        return [event for event in whole if event["kind"] == kind]

    bench.agent.wait(lambda: events("state"), 20, "it watches")
    assert bench.agent.command("renew", "hf0").returncode == 0
    bench.agent.wait(lambda: events("outcome"), 10, "the renewal")
    assert events("outcome")[0]["outcome"]["result"] == "renewed"
    assert {"BOUND -> RENEWING (operator)"} <= {event["text"] for event in events("transition")}
    bench.agent.terminate()
    bench.agent.start()
    bench.agent.wait(lambda: len(events("state")) == 2, 20, "it watches the next agent")
    child.send_signal(signal.SIGINT)
    assert fair_time.wait(child, 20) == 0
