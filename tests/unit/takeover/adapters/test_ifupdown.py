"""ifupdown's adapter on a fake machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.fake_host import FakeHost
from tests.unit.takeover.adapters.machines import DHCLIENT_LEASE, files, find, own

from holdfast.takeover.adapters.dhclient import Dhclient
from holdfast.takeover.adapters.ifupdown import Ifupdown
from holdfast.takeover.model import ListEntry, Ownership

LEASES = "/var/lib/dhcp/dhclient.eth0.leases"
ARGV = ("dhclient", "-4", "-v", "-i", "-pf", "/run/dhclient.eth0.pid", "-lf", LEASES, "-I", "-df",
        "/var/lib/dhcp/dhclient6.eth0.leases", "eth0")
TEXT = r"""default-duid "\000\001\000\0012\226\000\257RT\000w\000\001";
""" + DHCLIENT_LEASE
SOURCES = "source /etc/network/interfaces.d/*\nauto lo\niface lo inet loopback\n"
STANZA = "auto eth0\niface eth0 inet dhcp\n"


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    host = FakeHost(tmp_path)
    host.boot_systemd()
    host.add_process(64, *ARGV, unit="networking.service", environment={"IFACE": "eth0"})
    host.put(LEASES, TEXT)
    host.put("/etc/network/interfaces", SOURCES)
    host.put("/etc/network/interfaces.d/50-cloud-init", STANZA)
    host.put("/run/network/ifstate", "lo=lo\neth0=eth0\n")
    host.put("/sbin/ifup", "")
    host.put("/etc/systemd/system/multi-user.target.wants/networking.service", "[Unit]\n")
    return host


@pytest.fixture
def adapter() -> Ifupdown:
    return Ifupdown((Dhclient(),))


def test_it_is_found_with_the_client_that_it_runs(host: FakeHost, adapter: Ifupdown) -> None:
    found = find(host, adapter)
    assert (found.name, found.pids, found.unit) == ("dhclient under ifupdown", (64,), "")
    assert (found.argv, found.environment["IFACE"], found.facts["logical"]) == (ARGV, "eth0", "eth0")


def test_a_client_that_ifup_has_not_started_is_not_its(host: FakeHost, adapter: Ifupdown) -> None:
    host.put("/run/network/ifstate", "lo=lo\n")
    assert adapter.find(host, "eth0") is None
    host.put("/run/network/ifstate", "eth0=eth0\n")
    host.put("/etc/network/interfaces.d/50-cloud-init", "auto eth0\niface eth0 inet manual\n")
    assert adapter.find(host, "eth0") is None
    host.put("/etc/network/interfaces.d/50-cloud-init", STANZA)
    host.remove_process(64)
    assert adapter.find(host, "eth0") is None


def test_a_mapped_name_is_looked_up(host: FakeHost, adapter: Ifupdown) -> None:
    host.put("/run/network/ifstate", "eth0=office\n")
    assert adapter.find(host, "eth0") is None
    host.put("/etc/network/interfaces.d/office", "iface office inet dhcp\n")
    assert find(host, adapter).facts["logical"] == "office"


def test_the_lease_is_the_clients(host: FakeHost, adapter: Ifupdown) -> None:
    lease = adapter.read(host, find(host, adapter))
    assert str(lease.address) == "10.77.0.80/24"
    assert lease.client_id == bytes.fromhex("ff0000000100010001329600af525400770001")  # -i; rule 8


def test_the_overlay_and_the_list_are_all_that_changes(host: FakeHost, adapter: Ifupdown) -> None:
    host.put("/etc/network/interfaces.d/50-cloud-init", f"{STANZA}  mtu 1400\n  post-up true\niface eth0 inet6 dhcp\n")
    owned = own(host, adapter)
    assert owned.overlaid
    assert set(files(owned.volatile)) == {"/run/holdfast-overlay/links.d/eth0"}
    assert ListEntry("/etc/holdfast/links", "eth0") in owned.persistent
    assert not files(owned.persistent)


def test_without_systemd_the_next_boot_is_the_old_clients(host: FakeHost, adapter: Ifupdown) -> None:
    (host.folder / "run/systemd/system").rmdir()
    assert own(host, adapter) == Ownership()


def test_files_that_read_each_other_end(host: FakeHost, adapter: Ifupdown) -> None:
    host.put("/etc/network/interfaces.d/loop", "source /etc/network/interfaces\nsource /etc/network/interfaces.d/*\n")
    assert find(host, adapter)


def test_only_the_client_is_stopped(host: FakeHost, adapter: Ifupdown) -> None:
    adapter.stop(host, find(host, adapter))
    assert host.killed == [(64, 9)]
    assert not any("ifdown" in command for command in host.ran)


def test_it_is_given_back_as_ifup_had_left_it(host: FakeHost, adapter: Ifupdown) -> None:
    found = find(host, adapter)
    lease = adapter.read(host, found)
    adapter.stop(host, found)
    host.remove("/run/network/ifstate")  # a boot later
    adapter.give_back(host, found, lease)
    assert host.text("/run/network/ifstate") == "eth0=eth0\n"
    assert host.text("/run/network/ifstate.eth0") == "eth0\n"
    ((words, environment),) = host.started
    assert words[words.index("--") + 1:] == ("/usr/sbin/dhclient", *ARGV[1:])
    assert (words[1], environment["IFACE"]) == ("--scope", "eth0")  # it outlives what we run in
    assert host.text(LEASES).count("lease {") == 2
