"""The daemon as an ordinary user with three capabilities, as its unit runs it: everything works but what must not."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.agent import SOURCE
from tests.support.bench import ADDRESS, OTHER
from tests.support.servers import Service, port_bound

from holdfast_lab.testbed import fair_time
from holdfast_lab.testbed.fair_time import wait_until

pytestmark = pytest.mark.root

USER = 61234
CAPABILITIES = "+net_admin,+net_raw,+net_bind_service"
#: As User=, AmbientCapabilities=, CapabilityBoundingSet= and NoNewPrivileges= of a unit.
DEMOTED = [
    "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", f"--inh-caps=-all,{CAPABILITIES}",
    f"--ambient-caps=-all,{CAPABILITIES}", f"--bounding-set=-all,{CAPABILITIES}", "--no-new-privs",
    sys.executable, "-m", "holdfast.runtime",
]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Not pytest's: whenever a session of it begins, it closes the folder above all its folders to other users."""
    with tempfile.TemporaryDirectory(prefix="holdfast-as-user-") as name:
        yield Path(name)


def start(bench: Any, folder: Path) -> None:
    """The daemon, its folders its own; everything above them open, as /var/lib and /run are."""
    for path in (folder, *folder.parents):
        if path.stat().st_mode & 0o005 != 0o005:
            path.chmod(path.stat().st_mode | 0o005)
    subprocess.check_call(["chown", "-R", f"{USER}:{USER}", str(bench.agent.state), str(bench.agent.runtime)])
    bench.agent.start(launcher=DEMOTED)


def status_of(bench: Any) -> dict[str, str]:
    lines = Path(f"/proc/{bench.agent.process.pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def publish(bench: Any, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """What holdfast-dns.service does: as root, in the machine's own view of /etc."""
    argv = [sys.executable, "-m", "holdfast.publish.publisher", "--spool", str(bench.agent.runtime / "dns"),
            "--state-dir", str(tmp_path / "dns-state")]
    child = bench.site.client.popen(argv, env={"PYTHONPATH": str(SOURCE), "PATH": "/usr/bin:/bin"},
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = fair_time.communicate(child, 30)
    return subprocess.CompletedProcess(argv, child.returncode, out, err)


def test_the_usual_life(make_bench: Callable[..., Any], tmp_path: Path) -> None:
    """A link that is down, a lease, its MTU, its routes, its names, a renewal, a request of root's, a release."""
    bench = make_bench("dnsmasq")
    bench.site.on_client("ip", "link", "set", "hf0", "down")
    hooks = tmp_path / "hooks.d"
    hooks.mkdir()
    told = bench.agent.state / "told"
    (hooks / "10-id").write_text(f"#!/bin/sh\nid -u > {told}.new && mv {told}.new {told}\n")
    (hooks / "10-id").chmod(0o755)
    metrics = bench.agent.state / "metrics"
    metrics.mkdir()
    bench.agent.config.write_text(f'[agent]\nlog_level = "debug"\nhooks_dir = "{hooks}"\nmetrics_dir = "{metrics}"\n')
    bench.server.start()
    start(bench, tmp_path)
    bench.agent.wait_address(ADDRESS)
    bench.watch(ADDRESS)

    status = status_of(bench)
    assert status["Uid"].split() == [str(USER)] * 4
    assert status["CapEff"] == status["CapBnd"] == f"{1 << 10 | 1 << 12 | 1 << 13:016x}"
    bench.agent.wait(lambda: any(r.startswith("default via 10.77.0.1") for r in bench.routes()), 10, "its route")
    bench.agent.wait(lambda: "mtu 1400" in bench.site.on_client("ip", "link", "show", "hf0"), 10, "its MTU")
    netconf = bench.site.on_client("sh", "-c", "cat /proc/sys/net/ipv4/conf/hf0/promote_secondaries")
    assert netconf.strip() == "1"
    bench.agent.wait(told.exists, 10, "the hook was run")
    assert told.read_text().strip() == str(USER)
    assert "10.77.0.1" not in bench.site.on_client("cat", "/etc/resolv.conf")  # not its business

    spool = bench.agent.runtime / "dns" / "hf0.json"
    bench.agent.wait(spool.exists, 5, "the names are handed on")
    for _ in range(2):
        done = publish(bench, tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        written = bench.site.on_client("cat", "/etc/resolv.conf")
        assert "nameserver 10.77.0.1" in written
        assert "search lab.example" in written

    bench.agent.wait_result("renewed", count=2)
    by_unicast = lambda: any(one["path"] == "unicast" for one in bench.agent.results("renewed"))  # noqa: E731
    bench.agent.wait(by_unicast, 20, "a renewal by unicast: port 68 is its own")
    asked = bench.agent.command("renew", "hf0")
    assert asked.returncode == 0, asked.stderr
    bench.agent.wait((metrics / "holdfast_hf0.prom").exists, 10, "the metrics are written")
    assert "holdfast_state" in (metrics / "holdfast_hf0.prom").read_text()
    assert (bench.agent.runtime / "hf0.varlink").stat().st_uid == USER
    bench.assert_held()

    assert bench.agent.command("release", "hf0").returncode == 0
    bench.agent.wait(lambda: bench.agent.addresses() == [], 5, "released")
    bench.agent.wait(lambda: not spool.exists(), 5, "the names are withdrawn")
    assert publish(bench, tmp_path).returncode == 0
    assert "10.77.0.1" not in bench.site.on_client("cat", "/etc/resolv.conf")
    assert "Permission denied" not in bench.agent.said()
    assert "not permitted" not in bench.agent.said()


def test_a_move_with_a_neighbour_in_the_subnet(make_bench: Callable[..., Any], tmp_path: Path) -> None:  # rules 57, 58
    """rules 57, 58: the rights are enough for a move, and for leaving others' addresses alone."""
    bench = make_bench("dnsmasq")
    bench.server.start()
    start(bench, tmp_path)
    bench.agent.wait_address(ADDRESS)
    bench.site.on_client("ip", "addr", "add", "10.77.0.200/24", "dev", "hf0")
    bench.site.on_client("sh", "-c", "echo 0 > /proc/sys/net/ipv4/conf/hf0/promote_secondaries")
    bench.watch(ADDRESS, OTHER)
    bench.server.reconfigure(Service(pool=OTHER))
    bench.agent.wait_result("moved")
    bench.agent.wait(lambda: ADDRESS not in bench.agent.addresses(), 5, "the old address has gone")
    assert bench.monitor.lost_addresses("10.77.0.200") == []
    bench.assert_moved()


def test_a_port_that_somebody_else_has(make_bench: Callable[..., Any], tmp_path: Path) -> None:  # rule 54
    """rule 54, as far as a user may know: renewals work, and that the port is taken is told."""
    bench = make_bench("dhcpd", Service(lease_time=60, t1=2, t2=6))
    code = "import socket, sys; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', 68)); sys.stdin.read()"
    holder = bench.site.client.popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    wait_until(lambda: port_bound(holder.pid, 68), 10, "port 68 is held")
    bench.server.start()
    start(bench, tmp_path)
    bench.agent.wait_address(ADDRESS)
    bench.agent.wait_result("renewed", count=1)
    bench.agent.wait(lambda: "UDP port 68 is held by" in bench.agent.said(), 10, "it is told")


def test_started_as_a_user_after_root(make_bench: Callable[..., Any], tmp_path: Path) -> None:
    """From the agent by hand to the unit: the folders change hands, the address stays."""
    bench = make_bench("dhcpd", Service(lease_time=60, t1=20, t2=40))
    bench.acquire()
    bench.agent.terminate()
    start(bench, tmp_path)
    bench.agent.wait(lambda: bench.agent.status().get("state") == "BOUND", 10, "bound again")
    assert json.loads((bench.agent.state / "hf0.lease.json").read_text())["lease"]["address"] == ADDRESS
    bench.assert_held()


def test_a_control_group_that_the_user_is_not_in(make_bench: Callable[..., Any], tmp_path: Path) -> None:
    """Told; root is answered all the same."""
    bench = make_bench("dnsmasq")
    bench.agent.config.write_text('[agent]\nlog_level = "debug"\ncontrol_group = "61235"\n')
    bench.server.start()
    start(bench, tmp_path)
    bench.agent.wait_address(ADDRESS)
    bench.agent.wait(lambda: bench.agent.status().get("online"), 10, "root is answered")
    assert "control_group: we may not give the socket to 61235; root only" in bench.agent.said()
