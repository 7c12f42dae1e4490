"""Which dhclient, which of its files, and what it sends."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.fake_host import FakeHost

from holdfast.takeover.adapters import dhclient
from holdfast.takeover.adapters.dhclient import Dhclient
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.model import ForeignLease

LEASE = """lease {{
  interface "{name}";
  fixed-address 192.0.2.9;
  option subnet-mask 255.255.255.0;
  option dhcp-lease-time 3600;
  option dhcp-server-identifier 192.0.2.1;
  renew epoch 1800001700;
  rebind epoch 1800003000;
  expire epoch 1800003500;
}}
"""
DUID = 'default-duid "\\000\\001\\000\\001abc";\n'


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    host = FakeHost(tmp_path)
    host.put("/var/lib/dhcp/dhclient.leases", DUID + LEASE.format(name="eth0"))
    return host


def read(host: FakeHost, *argv: str) -> ForeignLease:
    host.add_process(300, *(argv or ("dhclient", "eth0")))
    found = Dhclient().find(host, "eth0")
    assert found is not None
    return Dhclient().read(host, found)


def test_read(host: FakeHost) -> None:
    lease = read(host)
    assert str(lease.address) == "192.0.2.9/24"
    assert str(lease.server_id) == "192.0.2.1"
    # The wall clock shows 1 800 000 000 at instant 10 000.
    assert (lease.started_at, lease.t1_at, lease.t2_at, lease.expires_at) == (9900, 11700, 13000, 13500)
    assert (lease.client_id, lease.vendor_class, lease.hostname) == (b"", None, None)
    assert lease.source == "/var/lib/dhcp/dhclient.leases"


@pytest.mark.parametrize(("argv", "conf", "expected"), [
    ("dhclient -i eth0", "", b"\xff\0\0\0\1\0\1\0\1abc"),
    ("dhclient -D LL eth0", "", b"\xff\0\0\0\1\0\1\0\1abc"),
    ("dhclient eth0", "send dhcp-client-identifier 1:2:ab;", b"\x01\x02\xab"),
    ("dhclient eth0", 'send dhcp-client-identifier = "guest";', b"guest"),
    ("dhclient eth0", "send dhcp-client-identifier = hardware;", b"\x01\x02\0\0\0\0\x01"),
    ("dhclient eth0", "send dhcp-client-identifier = concat(00, hardware);", None),
    ("dhclient eth0", 'send dhcp-client-identifier "x"; interface "eth0" { send dhcp-client-identifier "y"; }', b"y"),
    ("dhclient eth0", 'interface "eth1" { send dhcp-client-identifier "y"; }', b""),
    ("dhclient -I eth0", "", b""),
    ("dhclient -I own eth0", "", b"own"),
])
def test_client_id(host: FakeHost, argv: str, conf: str, expected: bytes | None) -> None:
    host.put("/etc/dhcp/dhclient.conf", conf)
    assert read(host, *argv.split()).client_id == expected


def test_a_client_id_in_another_file(host: FakeHost) -> None:
    host.put("/etc/dhcp/dhclient.conf", 'include "/etc/dhcp/more.conf";\n')
    host.put("/etc/dhcp/more.conf", 'send dhcp-client-identifier "more";\n')
    assert read(host).client_id == b"more"  # rule 8
    host.put("/etc/dhcp/dhclient.conf", 'include "more.conf";\n')
    with pytest.raises(TakeoverError, match=r"/etc/dhcp/dhclient\.conf includes 'more\.conf', which depends on where"):
        read(host)


def test_name_and_class(host: FakeHost) -> None:
    host.put("/etc/dhcp/dhclient.conf", 'send host-name = gethostname();\nsend vendor-class-identifier "lab";')
    lease = read(host)
    assert (lease.hostname, lease.vendor_class) == ("guest", b"lab")
    lease = read(host, "dhclient", "-H", "other", "-V", "mine", "eth0")
    assert (lease.hostname, lease.vendor_class) == ("other", b"mine")


def test_files_of_its_command_line(host: FakeHost) -> None:
    host.put("/run/own.leases", LEASE.format(name="eth0").replace("2.9", "2.19"))
    host.put("/etc/own.conf", 'send dhcp-client-identifier "own";')
    options = ("-4", "-lf", "/run/own.leases", "-cf", "/etc/own.conf", "-pf", "/run/p")
    lease = read(host, "/sbin/dhclient", *options, "eth0")
    assert (str(lease.address.ip), lease.client_id) == ("192.0.2.19", b"own")


@pytest.mark.parametrize("argv", [
    "dhclient -1 -v -lf /run/dhclient.lease -pf /run/dhclient.pid eth0 -sf /bin/true",  # cloud-init's, soon over
    "dhclient -6 eth0", "dhclient -r eth0", "dhclient -x eth0", "dhclient eth1", "sshd eth0",
])
def test_others_are_no_concern(host: FakeHost, argv: str) -> None:
    host.add_process(300, *argv.split())
    assert Dhclient().find(host, "eth0") is None


def test_without_a_name_its_lease_file_tells(host: FakeHost) -> None:
    assert str(read(host, "dhclient", "-q").address.ip) == "192.0.2.9"
    host.links["eth1"] = host.links["eth0"]
    assert Dhclient().find(host, "eth1") is None
    host.put("/var/lib/dhcp/dhclient.leases", LEASE.format(name="eth0") + LEASE.format(name="eth1"))
    found = Dhclient().find(host, "eth0")
    assert found is not None
    with pytest.raises(TakeoverError, match="serves eth0 and eth1"):
        Dhclient().read(host, found)


def test_refusals(host: FakeHost) -> None:
    host.add_process(300, "dhclient", "eth0")
    host.add_process(301, "dhclient", "-v", "eth0", ppid=7)
    with pytest.raises(TakeoverError, match=r"two dhclients serve eth0: pid 300 .* never by its own options"):
        Dhclient().find(host, "eth0")
    host.add_process(301, "dhclient", "eth0", ppid=300)  # on its way to becoming a daemon
    found = Dhclient().find(host, "eth0")
    assert found is not None
    assert found.pids == (300, 301)
    host.put("/var/lib/dhcp/dhclient.leases", "lease {")
    with pytest.raises(TakeoverError, match="has no lease of eth0 that can be read"):
        Dhclient().read(host, found)


def test_a_duid_that_nobody_wrote_down(host: FakeHost) -> None:
    host.put("/var/lib/dhcp/dhclient.leases", LEASE.format(name="eth0"))
    with pytest.raises(TakeoverError, match="no default-duid"):
        read(host, "dhclient", "-i", "eth0")


def test_give_back(host: FakeHost) -> None:
    host.put("/etc/dhcp/dhclient.conf", "")
    lease = read(host, "dhclient", "-v", "eth0")
    found = Dhclient().find(host, "eth0")
    assert found is not None
    Dhclient().stop(host, found)
    assert host.killed == [(300, 9)]
    before = host.text("/var/lib/dhcp/dhclient.leases")

    Dhclient().give_back(host, found, lease)

    text = host.text("/var/lib/dhcp/dhclient.leases")
    assert text.startswith(before), "its DUID and former leases stay"
    assert "expire 5 2027/01/15 08:58:20;" in text[len(before):]
    assert host.started[0][0] == ("dhclient", "-v", "eth0")


def test_arguments() -> None:
    told = dhclient.arguments(["dhclient", "-4", "-pf", "/p", "-e", "A=1", "-timeout", "5", "eth0", "eth1"])
    assert told.words == ("eth0", "eth1")
    assert told.values == {"-pf": "/p", "-e": "A=1", "-timeout": "5"}
    assert told.flags == {"-4"}
    assert dhclient.arguments(["dhclient", "-lf"]).values == {"-lf": ""}
