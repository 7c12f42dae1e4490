"""NetworkManager's adapter on a fake machine."""

from __future__ import annotations

from collections.abc import Sequence
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


def configured(host: FakeHost, profile: str) -> None:
    """The profile that is in use, as a file."""
    host.write("/etc/systemd/system/multi-user.target.wants/NetworkManager.service", b"")
    host.write("/lib/systemd/system/NetworkManager.service", b"[Install]\nWantedBy=multi-user.target\n")
    host.write("/etc/NetworkManager/system-connections/a.nmconnection", profile.encode())


PROFILE = f"[connection]\nid=my: own\nuuid={UUID}\ntype=ethernet\ninterface-name=eth0\nzone=trusted\n"


def test_it_keeps_the_device_and_loses_dhcpv4(host: FakeHost) -> None:
    configured(host, f"{PROFILE}[ipv4]\nignore-auto-dns=true\nroute-metric=50\n[ipv6]\nmethod=dhcp\n")
    found = find(host)
    owned = NetworkManager().own(host, found, NetworkManager().read(host, found))
    assert owned.overlaid
    assert (owned.settings["use_dns"], owned.settings["metric"]) == (False, 50)
    assert not any(b"unmanaged" in (change.content or b"") for change in (*owned.volatile, *owned.persistent)
                   if isinstance(change, FileChange))


def test_what_cannot_be_kept_is_refused(host: FakeHost) -> None:
    configured(host, f"{PROFILE}[ipv4]\ndhcp-reject-servers=server;\n")
    found = find(host)
    with pytest.raises(TakeoverError, match=r"a\.nmconnection: ipv4\.dhcp-reject-servers="):
        NetworkManager().own(host, found, NetworkManager().read(host, found))


def test_a_connection_that_does_not_come_up_at_boot_is_refused(host: FakeHost) -> None:
    configured(host, PROFILE.replace(UUID, "0" * 8))
    found = find(host)
    with pytest.raises(TakeoverError, match="is not the one that comes up at boot"):
        NetworkManager().own(host, found, NetworkManager().read(host, found))


def test_it_is_started_anew_with_the_profile(host: FakeHost) -> None:
    host.add_process(90, "/sbin/dhclient", "-d", "eth0", ppid=37)
    found = find(host)
    host.ran.clear()

    def start(_command: Sequence[str]) -> Completed:
        connection(host, "ipv4.method:auto", "ipv4.method:manual")
        return Completed(0, "", "")

    host.answers["systemctl restart NetworkManager.service"] = start
    NetworkManager().stop(host, found)
    verbs = [command[1] for command in host.ran if command[0] == "systemctl"]
    assert verbs == ["reset-failed", "restart"]
    assert host.killed == [(90, 9)]  # and never NetworkManager itself
    host.ran.clear()
    NetworkManager().stop(host, found)
    assert not any(command[0] == "systemctl" for command in host.ran)


def test_a_profile_that_is_not_used_is_told(host: FakeHost) -> None:
    with pytest.raises(TakeoverError, match="does not use its profile"):
        NetworkManager().stop(host, find(host))


def test_it_starts_believing_that_the_device_was_its_own(host: FakeHost) -> None:
    found = find(host)
    lease = NetworkManager().read(host, found)
    host.ran.clear()
    NetworkManager().give_back(host, found, lease)
    changing = [command for command in host.ran if "show" not in command]
    stop, *rest = [("systemctl", verb, "NetworkManager.service") for verb in ("stop", "reset-failed", "start")]
    assert changing == [stop, ("ip", "address", "delete", "127.72.70.1/32", "dev", "eth0"), *rest]
    state = host.text("/run/NetworkManager/devices/2").splitlines()
    assert {"managed=true", f"connection-uuid={UUID}"} <= set(state)
    assert "ADDRESS=10.77.0.80\n" in host.text(f"/var/lib/NetworkManager/internal-{UUID}-eth0.lease")


def test_no_lease_after_a_hand_back_is_told(host: FakeHost) -> None:
    found = find(host)
    lease = NetworkManager().read(host, found)
    host.answers[f"{NMCLI} --fields DHCP4 device show eth0"] = Completed(0, "", "")
    with pytest.raises(TakeoverError, match=r"no lease for 10\.77\.0\.80"):
        NetworkManager().give_back(host, found, lease)
