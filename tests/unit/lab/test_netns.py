"""Namespaces clean up after themselves, and hide the machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast_lab.testbed import fair_time
from holdfast_lab.testbed.fair_time import wait_until
from holdfast_lab.testbed.netns import Namespace, Switch, cable, may_make_namespaces
from holdfast_lab.witness.watch import NetlinkWatch, Prober

pytestmark = pytest.mark.root


def test_a_cable_joins_two_machines() -> None:
    with cable() as (client, server):
        client.run(lambda: client.rtnl.add_address("eth0", "192.0.2.9/24", valid=60))
        [address] = client.run(lambda: client.rtnl.addresses("eth0"))
        assert (str(address.interface), address.valid) == ("192.0.2.9/24", 60)
        prober = Prober(server, lambda: ["192.0.2.9"])
        try:
            client.output(["true"])
            answered = lambda: any(probe.answered_at for probe in prober.probes("192.0.2.9"))  # noqa: E731
            wait_until(answered, 20, "the address answers")
        finally:
            prober.close()


def test_what_is_done_inside_stays_inside() -> None:
    machine_resolver = Path("/etc/resolv.conf").read_bytes() if Path("/etc/resolv.conf").exists() else None
    with Namespace("inside") as namespace:
        namespace.output(["sh", "-c", "echo nameserver 203.0.113.53 > /etc/new && mv /etc/new /etc/resolv.conf"])
        assert "203.0.113.53" in namespace.output(["cat", "/etc/resolv.conf"])
        with pytest.raises(subprocess.CalledProcessError):
            namespace.output(["sh", "-c", "touch /etc/hostname"])
        assert "eth" not in namespace.output(["ls", "/sys/class/net"])
        namespace.sysctl("net/ipv4/ip_forward", 1)
        assert namespace.output(["cat", "/proc/sys/net/ipv4/ip_forward"]).strip() == "1"
    if machine_resolver is not None:
        assert Path("/etc/resolv.conf").read_bytes() == machine_resolver


def test_programs_end_with_their_namespace() -> None:
    with Namespace("ends") as namespace:
        directory = namespace.directory
        child = namespace.popen(["sleep", "600"])
    assert child.returncode == -9
    assert not directory.exists()


def test_what_outlives_its_starter_ends_too() -> None:
    """As a helper of a killed agent does, which would write its files anew."""
    with Namespace("orphans") as machine:
        pid = int(machine.output(["sh", "-c", "setsid sleep infinity >/dev/null 2>&1 & echo $!"]))
        assert os.path.exists(f"/proc/{pid}/exe")
        directory = machine.directory
    assert not os.path.exists(f"/proc/{pid}/exe")
    assert not directory.exists()


def test_programs_end_when_the_lab_is_killed() -> None:
    script = (
        "from holdfast_lab.testbed.netns import Namespace\n"
        "import subprocess, sys\n"
        "namespace = Namespace('doomed')\n"
        "child = namespace.popen(['sh', '-c', 'echo $$; exec sleep 600'], stdout=subprocess.PIPE)\n"
        "print(child.stdout.readline().decode().strip(), namespace.directory, flush=True)\n"
        "sys.stdin.read()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3] / "agent")}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as lab:
        assert lab.stdout is not None
        pid, directory = lab.stdout.readline().split()
        watched = os.pidfd_open(int(pid))
        lab.kill()
        lab.wait()
    os.set_blocking(watched, True)
    import select

    poll = select.poll()
    poll.register(watched, select.POLLIN)
    assert poll.poll(fair_time.longest(5) * 1000), "the program outlived the lab"
    os.close(watched)
    Path(directory).rmdir()


def test_links_can_be_changed_and_moved() -> None:
    with Switch() as switch, Namespace("one") as one, Namespace("two") as two, Namespace("three") as three:
        port = switch.plug(one, "eth0")
        switch.plug(two, "eth0")
        watch = NetlinkWatch(one)
        try:
            one.run(lambda: one.rtnl.add_address("eth0", "192.0.2.1/24"))
            one.run(lambda: one.rtnl.add_route("eth0", "0.0.0.0/0", "192.0.2.9", metric=5))
            routes = {str(route.destination) for route in one.run(lambda: one.rtnl.routes("eth0"))}
            assert routes == {"192.0.2.0/24", "0.0.0.0/0"}
            one.run(lambda: one.rtnl.delete_route("eth0", "0.0.0.0/0", "192.0.2.9", metric=5))
            one.run(lambda: one.rtnl.delete_address("eth0", "192.0.2.1/24"))
            watch.wait_for(lambda event: event.kind == "address-", 5)
            assert "0.0.0.0/0 via 192.0.2.9 metric 5 proto 4" in {event.what for event in watch.events("route-")}
            switch.carrier(port, up=False)
            watch.wait_for(lambda event: event.kind == "down", 5)
            with pytest.raises(AssertionError, match="not seen"):
                watch.wait_for(lambda event: event.what == "never", 0.01)
        finally:
            watch.close()
        one.run(lambda: one.rtnl.set_link("eth0", mtu=1400, address=bytes.fromhex("020000000009"), up=False))
        one.run(lambda: one.rtnl.set_link("eth0", rename="eth7"))
        one.run(lambda: one.rtnl.set_link("eth7", namespace=three.fd))
        assert "eth7" in three.run(lambda: [name for _, name in socket.if_nameindex()])
        three.run(lambda: three.rtnl.delete_link("eth7"))
        with pytest.raises(OSError, match="interface"):
            three.run(lambda: three.rtnl.set_link("eth7", up=True))


def test_root_may_make_namespaces() -> None:
    assert may_make_namespaces() is None
