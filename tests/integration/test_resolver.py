"""network.resolver against a real message bus; and against a real systemd-resolved where one is installed.

The service behind the bus is a stand-in that speaks resolve1; the real one (systemd 249 and later) is used
as well on machines that have it, with a bus, an /etc and a /run of the test's own.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from jeepney import HeaderFields, MessageType, message_bus, new_error, new_method_return
from jeepney.io.blocking import open_dbus_connection

from holdfast.network import ResolverError
from holdfast.publish.backends import Resolver, ladder
from holdfast.publish.networkd_link import NetworkdLinks
from holdfast.publish.resolvconf import ResolvConf
from holdfast.publish.resolved import RESOLVE1, Resolved
from holdfast.publish.spool import Names
from holdfast.state import atomic
from holdfast_lab.testbed.fair_time import wait_until
from holdfast_lab.testbed.netns import Namespace, connect

pytestmark = pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="needs dbus-daemon (package dbus)")

NAMES = Names((IPv4Address("10.0.0.2"), IPv4Address("10.0.0.3")), ("example.org",), default_route=True)
PATH = "/org/freedesktop/resolve1"
RESOLVED = "/lib/systemd/systemd-resolved"

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/>
<allow receive_sender="*"/></policy></busconfig>
"""


class StandIn:
    """org.freedesktop.resolve1 on a real bus, in a thread. ``links`` is what it was told per ifindex."""

    def __init__(self, bus: Path) -> None:
        self.links: dict[int, dict[str, Any]] = {}
        self._connection = open_dbus_connection(f"unix:path={bus}")
        self._connection.send_and_get_reply(message_bus.RequestName(RESOLVE1))
        self._thread = threading.Thread(target=self._serve, name="resolve1", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()

    def _serve(self) -> None:
        while True:
            try:
                message = self._connection.receive()
            except OSError:
                return
            fields = message.header.fields
            if message.header.message_type is not MessageType.method_call or fields[HeaderFields.path] != PATH:
                continue
            method, (ifindex, *values) = fields[HeaderFields.member], message.body
            if ifindex == 999:
                self._connection.send(new_error(message, f"{RESOLVE1}.LinkBusy", "s", ("Link is managed.",)))
                continue
            if method == "RevertLink":
                self.links.pop(ifindex, None)
            else:
                self.links.setdefault(ifindex, {})[method] = values[0]
            self._connection.send(new_method_return(message))


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Path]:
    """The socket of a private bus."""
    path = tmp_path / "bus"
    (tmp_path / "bus.conf").write_text(BUS.format(path=path))
    command = ["dbus-daemon", f"--config-file={tmp_path}/bus.conf", "--nofork", "--nopidfile"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as daemon:
        wait_until(path.exists, 5, "the bus is there")
        yield path
        daemon.terminate()


def test_the_ladder_climbs_to_resolved_when_it_comes_up(bus: Path, tmp_path: Path) -> None:
    """Boot: the file first, resolved once it is on the bus, and the file is put back."""
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 192.0.2.53\n")
    plain = ResolvConf(str(tmp_path / "saved"), atomic.write, path=str(file), interfaces=lambda: ["eth0"])
    resolver = Resolver([Resolved(NetworkdLinks(str(tmp_path), atomic.write, lambda *_: ()), str(bus)), plain])
    assert resolver.publish("eth0", 2, NAMES) == "resolv.conf"
    assert "nameserver 10.0.0.2\n" in file.read_text()
    service = StandIn(bus)
    try:
        assert resolver.publish("eth0", 2, NAMES) == "systemd-resolved"
        assert file.read_text() == "nameserver 192.0.2.53\n"
        assert service.links == {2: {
            "SetLinkDNS": [(2, b"\x0a\0\0\x02"), (2, b"\x0a\0\0\x03")],
            "SetLinkDomains": [("example.org", False)], "SetLinkDefaultRoute": True,
        }}
        with pytest.raises(ResolverError, match="systemd-networkd"):
            resolver.publish("eth9", 999, NAMES)
        assert resolver.withdraw("eth0", 2) == "systemd-resolved"
        assert service.links == {}
    finally:
        service.close()
    assert resolver.publish("eth0", 2, NAMES) == "resolv.conf"


def _own_users() -> None:
    """Inside the namespace: /etc with resolved's user, which a machine without the package has not."""
    for name, line in (("passwd", "systemd-resolve:x:996:996::/:/bin/false\n"), ("group", "systemd-resolve:x:996:\n")):
        content = Path(f"/etc/{name}").read_text()
        Path(f"/etc/{name}").unlink()
        Path(f"/etc/{name}").write_text(content if "systemd-resolve:" in content else content + line)
    for folder in ("/run/dbus", "/run/systemd/resolve"):
        os.makedirs(folder)
    shutil.chown("/run/systemd/resolve", "systemd-resolve", "systemd-resolve")
    Path("/run/bus.conf").write_text(BUS.format(path="/run/dbus/system_bus_socket"))
    Path("/etc/resolv.conf").unlink()
    Path("/etc/resolv.conf").symlink_to("/run/systemd/resolve/stub-resolv.conf")


@pytest.mark.root
@pytest.mark.parametrize("program", [path for path in [RESOLVED] if os.path.exists(path)] or ["nothing"])
def test_on_a_machine_of_systemd_resolved(program: str, tmp_path: Path) -> None:
    """resolv.conf is a link into its folder: before it runs nothing is touched; then it is told."""
    with ExitStack() as stack:
        client, peer = stack.enter_context(Namespace("client")), stack.enter_context(Namespace("peer"))
        connect(client, "eth0", peer, "eth0")
        client.run(_own_users)
        ifindex = client.run(lambda: socket.if_nametoindex("eth0"))
        resolver = Resolver(ladder(str(tmp_path), atomic.write, print))

        def publish() -> str:
            try:
                return client.run(lambda: resolver.publish("eth0", ifindex, NAMES))
            except ResolverError as error:
                return "later" if error.temporary else "refused"

        client.popen(["dbus-daemon", "--config-file=/run/bus.conf", "--nofork", "--nopidfile"],
                     stderr=subprocess.DEVNULL)
        wait_until(lambda: client.run(lambda: os.path.exists("/run/dbus/system_bus_socket")), 5, "the bus is there")
        assert publish() == "later"
        if program == "nothing":
            return
        client.popen([program], stderr=subprocess.DEVNULL, env={"PATH": "/usr/bin"})
        wait_until(lambda: publish() == "systemd-resolved", 10, "resolved is there")
        told = client.run(lambda: Path(f"/run/systemd/resolve/netif/{ifindex}").read_text())
        assert {"SERVERS=10.0.0.2 10.0.0.3", "DOMAINS=example.org", "DEFAULT_ROUTE=yes"} <= set(told.split("\n"))
        assert client.run(lambda: resolver.withdraw("eth0", ifindex)) == "systemd-resolved"
        written = lambda: client.run(lambda: Path("/run/systemd/resolve/resolv.conf").read_text())  # noqa: E731
        wait_until(lambda: "10.0.0.2" not in written(), 10, "its file has the servers no more")
