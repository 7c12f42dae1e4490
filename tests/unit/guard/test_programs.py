"""Which client an interface has, from a /proc of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.guard.machine import UNKNOWN
from holdfast.guard.programs import client_of


def process(proc: Path, pid: int, comm: str, *words: str, network: str = "net:[1]") -> None:
    folder = proc / str(pid)
    (folder / "ns").mkdir(parents=True)
    (folder / "comm").write_text(comm + "\n")
    (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in words))
    (folder / "ns/net").symlink_to(network)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    process(tmp_path, 1, "init", "init")
    (tmp_path / "self").symlink_to("1")
    return tmp_path


def test_the_client_that_names_the_interface_goes_first(proc: Path) -> None:
    process(proc, 10, "systemd-network", "/lib/systemd/systemd-networkd")
    process(proc, 11, "dhclient", "dhclient", "eth1")
    process(proc, 12, "dhclient", "dhclient", "-4", "eth0")
    assert client_of("eth0", str(proc))[:2] == ("dhclient", "dhclient (pid 12)")


def test_a_daemon_for_all_interfaces(proc: Path) -> None:
    process(proc, 10, "systemd-network", "/lib/systemd/systemd-networkd")
    assert client_of("eth0", str(proc))[:2] == ("networkd", "systemd-network (pid 10)")


def test_busybox_is_what_its_arguments_say(proc: Path) -> None:
    process(proc, 10, "busybox", "/bin/busybox", "udhcpc", "-i", "eth0")
    assert client_of("eth0", str(proc))[0] == "udhcpc"
    process(proc, 9, "busybox", "busybox")
    assert client_of("eth0", str(proc))[0] == "udhcpc"


def test_a_container_has_a_client_of_its_own(proc: Path) -> None:
    process(proc, 10, "dhclient", "dhclient", "eth0", network="net:[2]")
    assert client_of("eth0", str(proc))[0] == UNKNOWN


def test_a_container_with_this_machines_network(proc: Path) -> None:
    process(proc, 10, "dhclient", "dhclient", "eth0")
    (proc / "10/status").write_text("Name:\tdhclient\nNSpid:\t10\t3\n")
    assert client_of("eth0", str(proc)).contained
    (proc / "10/status").write_text("Name:\tdhclient\nNSpid:\t10\n")
    assert not client_of("eth0", str(proc)).contained
