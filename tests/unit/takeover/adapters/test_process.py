"""What the adapters of clients share: units, stopping, starting as it was."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from tests.support.fake_host import FakeHost

from holdfast.takeover.adapters import process
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Completed
from holdfast.takeover.model import Found
from holdfast.takeover.processes import Process


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path)


def found(host: FakeHost) -> Found:
    one = host.process(50)
    assert one is not None
    return process.found(host, "udhcpc", "udhcpc", "eth0", one, "it runs")


def test_a_client_that_forks_while_it_is_looked_at(host: FakeHost) -> None:
    """/proc is read process by process: a parent that ends in between and its child are two without each other, for
    once. What was seen to be one family is that."""
    parent, child = Process(166, 1, "dhclient", ("dhclient",)), Process(167, 1, "dhclient", ("dhclient",))
    views = [[parent, child], [child], [parent, child]]
    assert process.serving(host, "dhclient", "eth0", lambda: views.pop(0)) == [child]


def test_a_large_environment(host: FakeHost) -> None:
    """Bounded, and its PATH in any case."""
    many = {f"IF_{number}": "x" for number in range(100)}
    host.add_process(50, "udhcpc", environment={"IF_BIG": "x" * 70_000, **many, "PATH": "/opt/bin"})
    environment = found(host).environment
    assert len(environment) == process.ENVIRONMENT_LIMIT + 1
    assert environment["PATH"] == "/opt/bin"
    assert "IF_BIG" not in environment


def test_what_is_kept_of_an_environment(host: FakeHost) -> None:
    """rule 93: neither what loaders, shells and interpreters obey, nor a path that a user can change."""
    host.put("/home/user/dhclient.conf", "")
    os.chown(host.path("/home/user"), 65534, 65534)
    host.put("/etc/own.conf", "")
    kept = {"LANG": "C.UTF-8", "LC_ALL": "C", "IF_METRIC": "5", "IFACE": "eth0", "PATH_DHCLIENT_CONF": "/etc/own.conf"}
    others = {
        "LD_PRELOAD": "/lib/x.so", "BASH_ENV": "/etc/profile", "ENV": "/etc/profile", "PYTHONPATH": "/usr",
        "HOME": "/root", "IFS": "x", "GCONV_PATH": "/usr/lib", "PATH_DHCLIENT_SCRIPT": "/home/user/dhclient.conf",
    }
    path = "/home/user:/home/user/bin:bin::/usr/sbin:/bin"
    host.add_process(50, "udhcpc", environment={**kept, **others, "PATH": path})
    assert found(host).environment == {**kept, "PATH": "/usr/sbin:/bin"}
    assert process.environment(host, {"PATH": "/home/user"}) == process.BARE


def test_a_unit_of_its_own(host: FakeHost) -> None:
    host.add_process(50, "udhcpc", unit="udhcpc@eth0.service")
    assert found(host).unit == "", "without systemd"
    host.boot_systemd()
    host.answers["systemctl show --property=MainPID --value udhcpc@eth0.service"] = Completed(0, "50\n", "")
    assert found(host).unit == "udhcpc@eth0.service"
    host.answers["systemctl show --property=MainPID --value udhcpc@eth0.service"] = Completed(0, "1\n", "")
    assert found(host).unit == "", "it only happens to live there"
    host.add_process(50, "udhcpc", unit="session-3.scope")
    assert found(host).unit == ""


def test_a_unit_is_kept_from_starting_it(host: FakeHost) -> None:
    host.boot_systemd()
    host.add_process(50, "udhcpc", unit="u.service")
    host.answers |= {"systemctl show": Completed(0, "50", ""), "systemctl is-enabled": Completed(0, "enabled", "")}
    owned = process.unit_ownership(host, found(host))
    assert len(owned.volatile) == 3
    assert len(owned.persistent) == 1
    host.answers["systemctl is-enabled"] = Completed(0, "static", "")
    assert process.unit_ownership(host, found(host)).persistent == ()


def test_stop_only_what_still_is_that_client(host: FakeHost) -> None:
    host.add_process(50, "udhcpc")
    client = found(host)
    host.add_process(50, "postgres")
    process.stop(host, client)
    assert host.killed == []


@pytest.mark.parametrize("argv", [("udhcpc", "-i", "eth0"), ("busybox", "udhcpc", "-i", "eth0")])
def test_what_is_asked_and_ended(host: FakeHost, argv: tuple[str, ...]) -> None:
    host.add_process(50, *argv)
    client = found(host)
    process.ask(host, client)
    process.stop(host, client)
    assert host.killed == [(50, signal.SIGUSR1), (50, signal.SIGKILL)]


def test_start_again(host: FakeHost) -> None:
    host.add_process(50, "udhcpc", "-i", "eth0", environment={"IF_METRIC": "1", "PATH": "/bin"})
    client = found(host)
    process.start_again(host, client, ["-b"])
    assert host.started == [(("udhcpc", "-i", "eth0", "-b"), {"IF_METRIC": "1", "PATH": "/bin"})]
    host.boot_systemd()
    process.start_again(host, client)
    argv = host.started[-1][0]
    assert argv[0] == "/usr/sbin/systemd-run"
    assert argv[argv.index("--") + 1:] == ("/usr/sbin/udhcpc", "-i", "eth0"), "not /bin/busybox -i eth0"
    with pytest.raises(TakeoverError, match="start it by hand"):
        process.start_again(host, Found("udhcpc", "udhcpc", "eth0", (), ""))
