"""systemd-networkd's adapter on a fake machine."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface
from math import inf
from pathlib import Path

import pytest
from tests.support.fake_host import FakeHost

from holdfast.network.plan import Address, Observed
from holdfast.takeover.adapters.networkd import Networkd
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Completed
from holdfast.takeover.model import FileChange, Found, ListEntry

NETWORK = "/run/systemd/network/10-netplan-eth0.network"
LEASE = """\
# This is private data. Do not parse.
ADDRESS=10.77.0.80
NETMASK=255.255.255.0
ROUTER=10.77.0.1
SERVER_ADDRESS=10.77.0.1
BROADCAST=10.77.0.255
T1=300
T2=525
LIFETIME=600
DNS=10.77.0.1 10.77.0.2
DOMAINNAME=example.test
DOMAIN_SEARCH_LIST=a.test b.test
CLASSLESS_ROUTES=0.0.0.0/0,10.77.0.1
CLIENTID=ff63e9aac600020000ab11
OPTION_245=a83f8110
OPTION_999=00
"""
LINK = f"ADMIN_STATE=configured\nOPER_STATE=routable\nNETWORK_FILE={NETWORK}\n"
ADDRESS = IPv4Interface("10.77.0.80/24")


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    host = FakeHost(tmp_path)
    host.boot_systemd()
    host.answers["systemctl show --property=MainPID --value systemd-networkd.service"] = Completed(0, "32\n", "")
    host.add_process(32, "/lib/systemd/systemd-networkd", unit="systemd-networkd.service", uids=(998, 998, 998, 998))
    host.put("/lib/systemd/system/systemd-networkd.service", "[Service]\n")
    host.put("/etc/systemd/system/multi-user.target.wants/systemd-networkd.service", "[Service]\n")
    host.put("/run/systemd/netif/links/1", "ADMIN_STATE=unmanaged\n")
    host.put("/run/systemd/netif/links/2", LINK)
    host.put("/run/systemd/netif/leases/2", LEASE)
    host.put(NETWORK, "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=ipv6\n[DHCP]\nRouteMetric=100\n")
    host.observed = Observed(addresses=(Address(ADDRESS, valid=500.0),))
    return host


def find(host: FakeHost) -> Found:
    found = Networkd().find(host, "eth0")
    assert found is not None
    return found


def test_only_the_one_that_systemd_names(host: FakeHost) -> None:
    """rule 93: networkd has a user of its own, so its name and its program prove nothing."""
    host.remove_process(32)
    host.add_process(33, "/lib/systemd/systemd-networkd", uids=(65534, 65534, 65534, 65534))
    assert Networkd().find(host, "eth0") is None
    host.answers["systemctl show --property=MainPID --value systemd-networkd.service"] = Completed(0, "0\n", "")
    assert Networkd().find(host, "eth0") is None


def test_it_is_found_with_its_file(host: FakeHost) -> None:
    found = find(host)
    assert (found.name, found.pids, found.unit) == ("systemd-networkd under netplan", (32,), "systemd-networkd.service")
    assert NETWORK in found.evidence
    assert found.facts["network_file"] == NETWORK


def test_it_is_not_found_where_it_holds_no_lease(host: FakeHost) -> None:
    host.put("/run/systemd/netif/links/2", "ADMIN_STATE=unmanaged\n")
    assert Networkd().find(host, "eth0") is None
    host.put("/run/systemd/netif/links/2", LINK)
    host.remove("/run/systemd/netif/leases/2")
    assert Networkd().find(host, "eth0") is None
    host.remove_process(32)
    assert Networkd().find(host, "eth0") is None


def test_the_lease_with_the_kernels_time_left(host: FakeHost) -> None:
    lease = Networkd().read(host, find(host))
    assert (lease.address, lease.server_id) == (ADDRESS, IPv4Address("10.77.0.1"))
    assert (lease.started_at, lease.t1_at, lease.t2_at, lease.expires_at) == (9900.0, 10200.0, 10425.0, 10500.0)
    assert lease.client_id == bytes.fromhex("ff63e9aac600020000ab11")  # rule 8
    assert (lease.hostname, lease.vendor_class) == ("guest", None)
    assert sorted(lease.options) == [1, 3, 6, 15, 28, 51, 54, 58, 59, 119, 121, 245]
    assert lease.options[245] == bytes.fromhex("a83f8110")


def test_times_as_newer_versions_write_them(host: FakeHost) -> None:
    host.put("/run/systemd/netif/leases/2", LEASE.replace("T1=300", "T1=5min").replace("T2=525", "T2=8min 45s")
             .replace("LIFETIME=600", "LIFETIME=10min"))
    lease = Networkd().read(host, find(host))
    assert (lease.t1_at, lease.t2_at, lease.expires_at) == (10200.0, 10425.0, 10500.0)
    assert lease.options[51] == (600).to_bytes(4, "big")


def test_a_lease_of_unknown_age_is_renewed_at_once(host: FakeHost) -> None:
    host.observed = Observed(addresses=(Address(ADDRESS, valid=inf),))  # netplan's `critical`
    lease = Networkd().read(host, find(host))
    assert lease.t1_at == host.now
    assert lease.started_at <= host.now <= lease.t2_at <= lease.expires_at < inf


def test_a_lease_without_an_end(host: FakeHost) -> None:
    host.put("/run/systemd/netif/leases/2", LEASE.replace("LIFETIME=600", "LIFETIME=infinity").replace("T1=300\n", "")
             .replace("T2=525\n", ""))
    host.observed = Observed(addresses=(Address(ADDRESS, valid=inf),))
    lease = Networkd().read(host, find(host))
    assert lease.t1_at == lease.t2_at == lease.expires_at == inf
    assert lease.options[51] == b"\xff\xff\xff\xff"


@pytest.mark.parametrize("text", ["", "ADDRESS=10.77.0.80\n", "ADDRESS=x\nNETMASK=255.255.255.0\n"])
def test_an_unreadable_lease_is_refused(host: FakeHost, text: str) -> None:
    found = find(host)
    host.put("/run/systemd/netif/leases/2", text)
    with pytest.raises(TakeoverError, match="/run/systemd/netif/leases/2"):
        Networkd().read(host, found)


def test_what_it_sends_comes_from_its_file_and_drop_ins(host: FakeHost) -> None:
    host.put(f"/etc/systemd/network/{NETWORK.rsplit('/', 1)[1]}.d/50.conf",
             "[DHCPv4]\nHostname=other\nVendorClassIdentifier=vc\n")
    lease = Networkd().read(host, find(host))
    assert (lease.hostname, lease.vendor_class) == ("other", b"vc")
    host.put(NETWORK, "[DHCPv4]\nSendHostname=no\n")
    assert Networkd().read(host, find(host)).hostname is None


KEEP = "/run/systemd/network/10-netplan-eth0.network.d/90-holdfast.conf"
OVERLAID = LINK.replace(NETWORK, "/run/systemd/network/05-holdfast-eth0.network")


def test_networkd_keeps_the_link(host: FakeHost) -> None:
    """rule 53: nothing says Unmanaged=; what was on the link stays over the restart, and the list has the link."""
    host.put("/run/systemd/network/10-netplan-eth0.network.d/more.conf",
             "[Network]\nAddress=192.0.2.1/24\nVLAN=v5\n[Route]\nGateway=10.77.0.9\n[Link]\nMTUBytes=1400\n")
    found = find(host)
    owned = Networkd().own(host, found, Networkd().read(host, found))
    assert owned.overlaid
    assert (owned.settings["metric"], owned.settings["use_domains"]) == (100, False)
    first = owned.volatile[0]
    assert isinstance(first, FileChange)
    assert (first.path, b"KeepConfiguration=yes" in (first.content or b"")) == (KEEP, True)
    assert ListEntry("/etc/holdfast/links", "eth0") in owned.persistent
    changed = [each.content for each in owned.volatile if isinstance(each, FileChange)]
    assert not any(b"Unmanaged" in (content or b"") for content in changed)


def test_what_cannot_be_honoured_is_refused_by_name(host: FakeHost) -> None:
    host.put("/run/systemd/network/10-netplan-eth0.network.d/more.conf", "[DHCPv4]\nSendOption=50:string:x\n")
    found = find(host)
    with pytest.raises(TakeoverError, match="SendOption="):
        Networkd().own(host, found, Networkd().read(host, found))


def let_go(host: FakeHost) -> Completed:
    """networkd starts anew with the overlay."""
    host.put("/run/systemd/netif/links/2", OVERLAID)
    host.remove("/run/systemd/netif/leases/2")
    return Completed(0, "", "")


def test_it_is_stopped_for_this_link_by_a_restart(host: FakeHost) -> None:
    found = find(host)
    host.answers["systemctl restart systemd-networkd.service"] = lambda _: let_go(host)
    Networkd().stop(host, found)
    commands = [command for command in host.ran[1:] if command[0] == "systemctl"]
    assert commands == [("systemctl", verb, "systemd-networkd.service") for verb in ("reset-failed", "restart")]


def test_from_257_on_it_is_killed_because_it_would_hand_its_addresses_on(host: FakeHost) -> None:
    found = find(host)
    host.answers["networkctl --version"] = Completed(0, "systemd 257 (257.8-1~deb13u2)\n", "")
    host.answers["systemctl start systemd-networkd.service"] = lambda _: let_go(host)
    pids = iter(("32", "32", "0"))
    host.answers["systemctl show --property=MainPID"] = lambda _: Completed(0, f"{next(pids)}\n", "")
    del host.answers["systemctl show --property=MainPID --value systemd-networkd.service"]
    former = "id 7 via fe80::1 dev eth0 scope link proto ra\nid 8 via fe80::2 dev eth0 scope link proto ra\n"
    static = "id 9 via fe80::1 dev eth0 scope link proto static\n"
    shown = iter((former + static, *[former + "id 17 via fe80::1 dev eth0 scope link proto ra \n"] * 4))
    host.answers["ip -6 nexthop show"] = lambda _: Completed(0, next(shown), "")
    Networkd().stop(host, found)
    assert [command for command in host.ran if command[1] in ("kill", "start") or "del" in command] == [
        ("systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", "systemd-networkd.service"),
        ("systemctl", "start", "systemd-networkd.service"),
        ("ip", "nexthop", "del", "id", "7"),  # the other router has not answered
    ]
    assert next(pids, None) is None, "it is started when systemd has seen that it is gone"


def test_a_link_that_stays_managed_is_told(host: FakeHost) -> None:
    with pytest.raises(TakeoverError, match="still does DHCPv4"):
        Networkd().stop(host, find(host))


def test_it_is_given_back_so_that_it_keeps_the_address(host: FakeHost) -> None:
    found = find(host)
    lease = Networkd().read(host, found)
    Networkd().give_back(host, found, lease)
    assert "KeepConfiguration=yes" in host.text(KEEP)
    commands = [command for command in host.ran[1:] if command[0] == "systemctl"]
    assert commands == [("systemctl", verb, "systemd-networkd.service") for verb in ("reset-failed", "restart")]


def test_no_lease_after_a_hand_back_is_told(host: FakeHost) -> None:
    found = find(host)
    lease = Networkd().read(host, found)
    host.remove("/run/systemd/netif/leases/2")
    with pytest.raises(TakeoverError, match=r"no lease for 10\.77\.0\.80"):
        Networkd().give_back(host, found, lease)


@pytest.mark.parametrize(("version", "refused"), [("239 (239-82.el8)", True), ("252 (252.39)", False), ("", False)])
def test_a_networkd_that_cannot_keep_anything_is_refused(host: FakeHost, version: str, refused: bool) -> None:
    host.answers["networkctl --version"] = Completed(0, f"systemd {version}\n+PAM +AUDIT\n", "")
    found = find(host)
    lease = Networkd().read(host, found)
    if refused:
        with pytest.raises(TakeoverError, match="KeepConfiguration"):
            Networkd().own(host, found, lease)
    else:
        assert Networkd().own(host, found, lease).persistent


def test_other_links_keep_what_they_have(host: FakeHost) -> None:
    other = "/etc/systemd/network/20-other.network"
    drop_in = "/run/systemd/network/20-other.network.d/90-holdfast.conf"
    host.put("/run/systemd/netif/links/3", LINK.replace(NETWORK, other))
    found = find(host)
    assert other in found.facts["lets_go_by"]

    def restart(argv: object) -> Completed:
        assert "KeepConfiguration=yes" in host.text(drop_in)
        return let_go(host)

    host.answers["systemctl restart systemd-networkd.service"] = restart
    lease = Networkd().read(host, found)
    Networkd().stop(host, found)
    assert host.exists(drop_in)
    host.remove(drop_in)
    host.put("/run/systemd/netif/leases/2", LEASE)
    host.answers["systemctl restart systemd-networkd.service"] = Completed(0, "", "")
    Networkd().give_back(host, found, lease)
    assert host.exists(drop_in)


def test_the_plan_says_how_it_lets_go(host: FakeHost) -> None:
    assert find(host).facts["lets_go_by"] == "systemctl restart systemd-networkd.service"


