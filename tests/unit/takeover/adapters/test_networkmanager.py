"""NetworkManager's adapter on a fake machine."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface
from math import inf
from pathlib import Path

import pytest
from tests.support.fake_host import FakeHost

from holdfast.network.plan import Address, Observed
from holdfast.takeover.adapters.networkmanager import NetworkManager
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Completed
from holdfast.takeover.model import FileChange, Found

UUID = "6a1b3ab6-1d5c-4d8f-9a5b-2f2f0c7d9e11"
NMCLI = "nmcli --terse --escape no"
DEVICE = f"GENERAL.DEVICE:eth0\nGENERAL.TYPE:ethernet\nGENERAL.STATE:100 (connected)\nGENERAL.CONNECTION:my: own\n" \
         f"GENERAL.CON-UUID:{UUID}\n"
OPTIONS = """\
DHCP4.OPTION[1]:broadcast_address = 10.77.0.255
DHCP4.OPTION[2]:dhcp_client_identifier = 01:52:54:00:77:00:01
DHCP4.OPTION[3]:dhcp_lease_time = 600
DHCP4.OPTION[4]:dhcp_server_identifier = 10.77.0.1
DHCP4.OPTION[5]:domain_name = example.test
DHCP4.OPTION[6]:domain_name_servers = 10.77.0.1 10.77.0.2
DHCP4.OPTION[7]:domain_search = a.test b.test
DHCP4.OPTION[8]:expiry = 1800000500
DHCP4.OPTION[10]:interface_mtu = 1450
DHCP4.OPTION[11]:ip_address = 10.77.0.80
DHCP4.OPTION[14]:private_245 = a8:3f:81:10
DHCP4.OPTION[16]:requested_domain_name = 1
DHCP4.OPTION[32]:rfc3442_classless_static_routes = 0.0.0.0/0 10.77.0.1 10.9.0.0/16 0.0.0.0
DHCP4.OPTION[33]:routers = 10.77.0.1
DHCP4.OPTION[34]:subnet_mask = 255.255.255.0
"""
CONNECTION = "connection.master:\nipv4.method:auto\nipv4.addresses:\nipv4.routes:\nipv4.never-default:no\n" \
             "ipv4.dhcp-send-hostname:yes\nipv4.dhcp-hostname:\nipv4.dhcp-vendor-class-identifier:\n" \
             "ipv6.method:auto\nipv6.addresses:\n802-3-ethernet.mtu:auto\n"
ADDRESS = IPv4Interface("10.77.0.80/24")


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    host = FakeHost(tmp_path)
    host.boot_systemd()
    host.add_process(37, "/usr/sbin/NetworkManager", "--no-daemon", unit="NetworkManager.service")
    host.answers[f"{NMCLI} --fields GENERAL device show eth0"] = Completed(0, DEVICE, "")
    host.answers[f"{NMCLI} --fields DHCP4 device show eth0"] = Completed(0, OPTIONS, "")
    host.answers[f"{NMCLI} connection show uuid {UUID}"] = Completed(0, CONNECTION, "")
    host.observed = Observed(addresses=(Address(ADDRESS, valid=500.0),))
    return host


def find(host: FakeHost) -> Found:
    found = NetworkManager().find(host, "eth0")
    assert found is not None
    return found


def connection(host: FakeHost, old: str, new: str) -> None:
    host.answers[f"{NMCLI} connection show uuid {UUID}"] = Completed(0, CONNECTION.replace(old, new), "")


def test_it_is_found_with_its_connection(host: FakeHost) -> None:
    found = find(host)
    assert (found.name, found.pids) == ("NetworkManager", (37,))
    assert "'my: own'" in found.evidence
    assert (found.facts["uuid"], found.facts["kind"]) == (UUID, "ethernet")


def test_it_is_found_by_the_process_that_speaks_dhcp(host: FakeHost) -> None:
    host.add_process(90, "/sbin/dhclient", "-d", "-q", "-sf", "/usr/libexec/nm-dhcp-helper", "eth0", ppid=37)
    found = find(host)
    assert (found.name, found.pids) == ("dhclient under NetworkManager", (90, 37))


@pytest.mark.parametrize(("fields", "said"), [
    ("GENERAL", DEVICE.replace("100 (connected)", "10 (unmanaged)")), ("GENERAL", DEVICE.replace(UUID, "")),
    ("GENERAL", ""), ("DHCP4", ""),
])
def test_it_is_not_found_where_it_has_no_lease(host: FakeHost, fields: str, said: str) -> None:
    host.answers[f"{NMCLI} --fields {fields} device show eth0"] = Completed(0, said, "")
    assert NetworkManager().find(host, "eth0") is None


def test_the_lease_as_it_tells_it(host: FakeHost) -> None:
    lease = NetworkManager().read(host, find(host))
    assert (lease.address, lease.server_id) == (ADDRESS, IPv4Address("10.77.0.1"))
    assert (lease.started_at, lease.t1_at, lease.t2_at, lease.expires_at) == (9900.0, 10200.0, 10425.0, 10500.0)
    assert lease.client_id == bytes.fromhex("01525400770001")  # rule 8
    assert (lease.hostname, lease.vendor_class) == ("guest", None)
    assert sorted(lease.options) == [1, 3, 6, 15, 26, 28, 51, 54, 119, 121, 245]


def test_the_shorter_of_two_ends_counts(host: FakeHost) -> None:
    said = OPTIONS.replace("1800000500", "1800000300")  # the kernel says 500 s, NetworkManager 300 s
    host.answers[f"{NMCLI} --fields DHCP4 device show eth0"] = Completed(0, said, "")
    assert NetworkManager().read(host, find(host)).expires_at == 10300.0


def test_a_lease_without_an_end(host: FakeHost) -> None:
    said = OPTIONS.replace("dhcp_lease_time = 600", "dhcp_lease_time = 4294967295")
    host.answers[f"{NMCLI} --fields DHCP4 device show eth0"] = Completed(0, said, "")
    host.observed = Observed(addresses=(Address(ADDRESS, valid=inf),))
    lease = NetworkManager().read(host, find(host))
    assert lease.t1_at == lease.t2_at == lease.expires_at == inf


def test_a_client_id_that_it_does_not_tell_is_unknown(host: FakeHost) -> None:
    said = "".join(line for line in OPTIONS.splitlines(keepends=True) if "client_identifier" not in line)
    host.answers[f"{NMCLI} --fields DHCP4 device show eth0"] = Completed(0, said, "")
    assert NetworkManager().read(host, find(host)).client_id is None


def test_a_lease_without_an_address_is_refused(host: FakeHost) -> None:
    found = find(host)
    host.answers[f"{NMCLI} --fields DHCP4 device show eth0"] = Completed(0, "DHCP4.OPTION[1]:x = y\n", "")
    with pytest.raises(TakeoverError, match="no address and mask"):
        NetworkManager().read(host, found)


def test_what_it_sends_is_in_the_connection(host: FakeHost) -> None:
    connection(host, "ipv4.dhcp-hostname:", "ipv4.dhcp-hostname:other")
    assert NetworkManager().read(host, find(host)).hostname == "other"
    connection(host, "send-hostname:yes", "send-hostname:no")
    assert NetworkManager().read(host, find(host)).hostname is None


def test_ownership_counts_at_its_next_start(host: FakeHost) -> None:
    found = find(host)
    owned = NetworkManager().own(host, found, NetworkManager().read(host, found))
    (volatile,), (persistent,) = owned.volatile, owned.persistent
    assert isinstance(volatile, FileChange)
    assert isinstance(persistent, FileChange)
    assert volatile.path == "/run/NetworkManager/conf.d/90-holdfast-eth0.conf"
    assert persistent.path == "/etc/NetworkManager/conf.d/90-holdfast-eth0.conf"
    assert persistent.content is not None
    assert b"[keyfile]\nunmanaged-devices+=interface-name:=eth0\n" in persistent.content
    assert not any("reload" in word for command in host.ran for word in command)


@pytest.mark.parametrize(("old", "new", "named"), [
    ("ipv4.method:auto", "ipv4.method:manual", "ipv4.method=manual"),
    ("ipv4.routes:", "ipv4.routes:192.0.2.0/24 10.77.0.9", "ipv4.routes="),
    ("ipv4.never-default:no", "ipv4.never-default:yes", "never-default"),
    ("ipv6.method:auto", "ipv6.method:dhcp", "ipv6.method=dhcp"),
    ("connection.master:", "connection.master:bond0", "connection.master=bond0"),
])
def test_more_than_dhcp_is_refused(host: FakeHost, old: str, new: str, named: str) -> None:
    connection(host, old, new)
    found = find(host)
    with pytest.raises(TakeoverError, match=named):
        NetworkManager().own(host, found, NetworkManager().read(host, found))


def test_a_device_that_it_makes_is_refused(host: FakeHost) -> None:
    host.answers[f"{NMCLI} --fields GENERAL device show eth0"] = Completed(0, DEVICE.replace("ethernet", "bridge"), "")
    found = find(host)
    with pytest.raises(TakeoverError, match="bridge"):
        NetworkManager().own(host, found, NetworkManager().read(host, found))


def test_it_lets_go_by_its_own_command(host: FakeHost) -> None:
    host.add_process(90, "/sbin/dhclient", "-d", "eth0", ppid=37)
    found = find(host)
    host.ran.clear()
    host.answers[f"{NMCLI} --fields GENERAL device show eth0"] = Completed(0, "GENERAL.STATE:10 (unmanaged)\n", "")
    NetworkManager().stop(host, found)
    assert host.ran[0] == ("nmcli", "device", "set", "eth0", "managed", "no")
    assert host.killed == [(90, 9)]  # and never NetworkManager itself


def test_a_device_that_stays_managed_is_told(host: FakeHost) -> None:
    with pytest.raises(TakeoverError, match="still manages"):
        NetworkManager().stop(host, find(host))


def test_it_starts_believing_that_the_device_was_its_own(host: FakeHost) -> None:
    found = find(host)
    lease = NetworkManager().read(host, found)
    host.ran.clear()
    NetworkManager().give_back(host, found, lease)
    changing = [command for command in host.ran if "show" not in command]
    assert changing == [("systemctl", verb, "NetworkManager.service") for verb in ("stop", "reset-failed", "start")]
    state = host.text("/run/NetworkManager/devices/2").splitlines()
    assert {"managed=true", f"connection-uuid={UUID}"} <= set(state)
    assert "ADDRESS=10.77.0.80\n" in host.text(f"/var/lib/NetworkManager/internal-{UUID}-eth0.lease")


def test_no_lease_after_a_hand_back_is_told(host: FakeHost) -> None:
    found = find(host)
    lease = NetworkManager().read(host, found)
    host.answers[f"{NMCLI} --fields DHCP4 device show eth0"] = Completed(0, "", "")
    with pytest.raises(TakeoverError, match=r"no lease for 10\.77\.0\.80"):
        NetworkManager().give_back(host, found, lease)


def test_what_it_does_with_an_answer(host: FakeHost) -> None:
    assert NetworkManager().decided(host, find(host)) == {"use_dns": True, "use_routes": True}
    host.answers[f"{NMCLI} connection show uuid {UUID}"] = Completed(
        0, f"{CONNECTION}ipv4.ignore-auto-dns:yes\nipv4.ignore-auto-routes:yes\nipv4.route-metric:50\n", ""
    )
    found = find(host)
    assert NetworkManager().decided(host, found) == {"use_dns": False, "use_routes": False, "metric": 50}
    NetworkManager().own(host, found, NetworkManager().read(host, found))  # no reason to refuse


@pytest.mark.parametrize("line", ["connection.zone:trusted", "802-1x.eap:tls", "ipv4.dns-search:own.test"])
def test_what_only_it_can_keep_is_refused(host: FakeHost, line: str) -> None:
    """A firewall's zone, the port's authentication: with the device unmanaged they are gone."""
    host.answers[f"{NMCLI} connection show uuid {UUID}"] = Completed(0, f"{CONNECTION}{line}\n", "")
    found = find(host)
    with pytest.raises(TakeoverError, match=f"its connection also sets {line.replace(':', '=')}, which"):
        NetworkManager().own(host, found, NetworkManager().read(host, found))
