"""Which dhcpcd, its lease as it came from the wire, and what its title tells of how it was started."""

from __future__ import annotations

import os
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from tests.support.fake_host import FakeHost

from holdfast.takeover.adapters.dhcpcd import Dhcpcd
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Completed
from holdfast.takeover.model import FileChange, Found
from holdfast.wire import message as msg

MAC = bytes.fromhex("020000000001")
CONF = "duid\npersistent\nvendorclassid\noption domain_name_servers\n\ninterface eth9\nstatic ip_address=10.0.0.9/8\n"
OPTIONS = {53: b"\x05", 1: b"\xff\xff\xff\0", 51: b"\0\0\x0e\x10", 54: b"\xc0\0\2\1", 3: b"\xc0\0\2\1"}


def reply(**more: bytes) -> bytes:
    options = {**OPTIONS, **{int(code[1:]): value for code, value in more.items()}}
    return msg.encode(msg.Message(
        op=2, xid=7, chaddr=MAC, yiaddr=IPv4Address("192.0.2.9"), options=options
    ))


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    host = FakeHost(tmp_path)
    host.put("/etc/dhcpcd.conf", CONF.replace("interface eth9\nstatic ip_address=10.0.0.9/8\n", ""))
    host.put("/var/lib/dhcpcd/duid", "00:01:00:01:32:96\n")
    host.put("/var/lib/dhcpcd/eth0.lease", reply())
    os.utime(host.path("/var/lib/dhcpcd/eth0.lease"), (host.unix - 100, host.unix - 100))
    return host


def privileged(host: FakeHost, title: str = "dhcpcd: eth0 [ip4]") -> None:
    for pid, argv in ((20, title), (21, "dhcpcd: [privileged proxy] eth0 [ip4]"), (22, "dhcpcd: [control proxy] eth0"),
                      (23, "dhcpcd: [BPF ARP] eth0 192.0.2.9")):
        host.add_process(pid, argv, group=19, comm="dhcpcd")


def find(host: FakeHost) -> Found:
    found = Dhcpcd().find(host, "eth0")
    assert found is not None
    return found


def test_read(host: FakeHost) -> None:
    privileged(host)
    found = find(host)
    assert found.pids == (20, 21, 22, 23)
    lease = Dhcpcd().read(host, found)
    assert str(lease.address) == "192.0.2.9/24"
    assert (lease.started_at, lease.t1_at, lease.t2_at, lease.expires_at) == (9900, 11700, 13050, 13500)
    assert lease.client_id == b"\xff\0\0\0\1\0\1\0\1\x32\x96"
    assert lease.options[51] == b"\0\0\x0e\x10"


@pytest.mark.parametrize(("conf", "expected"), [
    ("clientid\nvendorclassid\n", b"\x01" + MAC),
    ("duid\nvendorclassid # none\n", b"\xff\0\0\0\1\0\1\0\1\x32\x96"),
    ("clientid\n", None),  # a class of its own is sent
    ("clientid own\nvendorclassid\n", None),
    ("duid\nvendorclassid\niaid 7\n", None),
    ("duid\nvendorclassid\ninterface eth0\n", None),
    ("", None),
])
def test_client_id(host: FakeHost, conf: str, expected: bytes | None) -> None:
    host.put("/etc/dhcpcd.conf", conf)
    privileged(host)
    assert Dhcpcd().read(host, find(host)).client_id == expected


@pytest.mark.parametrize(("title", "argv"), [
    ("dhcpcd: eth0 [ip4]", ("dhcpcd", "-4", "eth0")),
    ("dhcpcd: eth0 [ip4] [ip6]", ("dhcpcd", "eth0")),
    ("dhcpcd: [manager] [ip4] [ip6]", ("dhcpcd", "-b")),
    ("dhcpcd: [master] [ip4]", ("dhcpcd", "-4", "-b")),
])
def test_how_it_was_started(host: FakeHost, title: str, argv: tuple[str, ...]) -> None:
    privileged(host, title)
    assert find(host).argv == argv


def test_before_version_9_the_command_line_is_there(host: FakeHost) -> None:
    host.add_process(20, "/sbin/dhcpcd", "-q", "eth0", environment={"LANG": "C", "PATH": "/bin"})
    found = find(host)
    assert (found.argv, found.environment) == (("/sbin/dhcpcd", "-q", "eth0"), {"LANG": "C", "PATH": "/bin"})


def test_others_are_no_concern(host: FakeHost) -> None:
    host.add_process(20, "dhcpcd: eth1 [ip4]", comm="dhcpcd")
    host.add_process(21, "dhcpcd: [launcher]", comm="dhcpcd")
    assert Dhcpcd().find(host, "eth0") is None
    assert Dhcpcd().find(host, "eth7") is None


def test_refusals(host: FakeHost) -> None:
    host.links["eth1"] = host.links["eth0"]
    host.put("/var/lib/dhcpcd/eth1.lease", reply())
    privileged(host, "dhcpcd: [manager] [ip4]")
    with pytest.raises(TakeoverError, match=r"dhcpcd \(pid 20\) serves eth0 and eth1"):
        Dhcpcd().read(host, find(host))
    host.remove("/var/lib/dhcpcd/eth1.lease")
    host.put("/var/lib/dhcpcd/eth0.lease", b"\0" * 100)
    with pytest.raises(TakeoverError, match="is no lease that can be read"):
        Dhcpcd().read(host, find(host))
    host.put("/var/lib/dhcpcd/eth0.lease", reply(o1=b"\xff\0\xff\0"))
    with pytest.raises(TakeoverError, match="subnet mask that is none: ff00ff00"):
        Dhcpcd().read(host, find(host))
    host.add_process(30, "dhcpcd: eth0 [ip4]", comm="dhcpcd")
    host.add_process(31, "dhcpcd: eth0 [ip4] [ip6]", comm="dhcpcd")
    with pytest.raises(TakeoverError, match="two dhcpcds serve eth0"):
        Dhcpcd().find(host, "eth0")


def test_no_lease(host: FakeHost) -> None:
    host.remove("/var/lib/dhcpcd/eth0.lease")
    privileged(host)
    with pytest.raises(TakeoverError, match="has no lease of eth0"):
        Dhcpcd().read(host, find(host))


def test_own(host: FakeHost) -> None:
    """One line, before the interfaces' own; nothing when it is there."""
    host.put("/etc/dhcpcd.conf", CONF)
    privileged(host)
    lease = Dhcpcd().read(host, find(host))
    owned = Dhcpcd().own(host, find(host), lease)
    assert owned.volatile == ()
    (change,) = owned.persistent
    assert isinstance(change, FileChange)
    assert change.content is not None
    text = change.content.decode()
    assert text.replace("\n# Holdfast serves it; see `holdfast handback eth0`\ndenyinterfaces eth0\n", "") == CONF
    assert text.index("denyinterfaces") < text.index("interface eth9")
    host.put("/etc/dhcpcd.conf", text)
    assert Dhcpcd().own(host, find(host), lease).persistent == ()


def test_own_a_unit(host: FakeHost) -> None:
    host.boot_systemd()
    host.add_process(20, "dhcpcd: [manager] [ip4]", comm="dhcpcd", unit="dhcpcd.service")
    host.answers |= {
        "systemctl show": Completed(0, "20\n", ""), "systemctl is-enabled": Completed(0, "enabled\n", ""),
    }
    found = find(host)
    assert found.unit == "dhcpcd.service"
    owned = Dhcpcd().own(host, found, Dhcpcd().read(host, found))
    drop_in = next(change for change in owned.volatile if isinstance(change, FileChange))
    assert drop_in.path == "/run/systemd/system/dhcpcd.service.d/50-holdfast.conf"
    assert [change for change in owned.persistent if not isinstance(change, FileChange)]
    Dhcpcd().give_back(host, found, Dhcpcd().read(host, found))
    assert host.ran[-1] == ("systemctl", "start", "--no-block", "dhcpcd.service")
    assert host.started == []


def test_stop_also_what_it_forks(host: FakeHost) -> None:
    privileged(host)
    found = replace(find(host), pids=(20, 21))
    host.add_process(40, "dhcpcd: [BPF BOOTP] eth0", group=19, comm="dhcpcd")
    host.add_process(50, "dhcpcd: eth1 [ip4]", group=50, comm="dhcpcd")
    Dhcpcd().stop(host, found)
    assert {pid for pid, _ in host.killed} == {20, 21, 22, 23, 40}


def test_give_back(host: FakeHost) -> None:
    privileged(host)
    found = find(host)
    lease = Dhcpcd().read(host, found)
    Dhcpcd().give_back(host, found, replace(lease, started_at=9990.0))
    again = Dhcpcd().read(host, found)
    assert again == replace(lease, started_at=9990, t1_at=11790, t2_at=13140, expires_at=13590)
    assert host.started == [(("dhcpcd", "-4", "eth0"), {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})]


def test_ask(host: FakeHost) -> None:
    privileged(host)
    Dhcpcd().ask_renewal(host, find(host))
    assert host.killed == [(20, 10)], "SIGUSR1 to the one that speaks DHCP"


@pytest.fixture
def manager(host: FakeHost) -> FakeHost:
    """dhcpcd.service serves every link, after a boot too; with addresses of DHCPv6, and another link."""
    host.boot_systemd()
    host.put("/etc/systemd/system/multi-user.target.wants/dhcpcd.service", "[Unit]\n")
    host.links["eth1"] = host.links["eth0"]
    host.put("/var/lib/dhcpcd/eth1.lease", reply())
    host.add_process(20, "dhcpcd: [manager] [ip4]", comm="dhcpcd", unit="dhcpcd.service", group=19)
    host.add_process(21, "dhcpcd: [privileged proxy]", comm="dhcpcd", unit="dhcpcd.service", group=19, ppid=20)
    host.answers |= {
        "systemctl show": lambda _: Completed(0, "20\n" if host.exists("/proc/20/stat") else "0\n", ""),
        "ip -6": Completed(0, "2: eth0 inet6 2001:db8::7/128 scope global dynamic\n", ""),
    }
    return host


def test_the_manager_of_all_links_keeps_the_link(manager: FakeHost) -> None:
    found = find(manager)
    lease = Dhcpcd().read(manager, found)
    owned = Dhcpcd().own(manager, found, lease)
    assert owned.overlaid
    assert owned.settings == {"use_domains": False, "use_mtu": False, "use_ntp": False}
    assert not any(isinstance(change, FileChange) and change.path.startswith("/etc") for change in owned.volatile)
    Dhcpcd().stop(manager, found)
    assert {pid for pid, _ in manager.killed} == {20, 21}
    assert manager.ran[-2:] == [("systemctl", "reset-failed", "dhcpcd.service"),
                                ("systemctl", "start", "--no-block", "dhcpcd.service")]
    manager.add_process(30, "dhcpcd: [manager] [ip4]", comm="dhcpcd", unit="dhcpcd.service", group=30)
    assert Dhcpcd().find(manager, "eth0") is None, "its lease is no longer dhcpcd's"
    assert Dhcpcd().find(manager, "eth1") is not None
    manager.killed.clear()
    Dhcpcd().give_back(manager, found, lease)
    assert {pid for pid, _ in manager.killed} == {30}, "it is started again without the overlay"
    assert manager.ran[-1] == ("systemctl", "start", "--no-block", "dhcpcd.service")
    assert manager.exists("/var/lib/dhcpcd/eth0.lease")


def test_a_manager_that_leaves_ipv4_alone_is_no_client(manager: FakeHost) -> None:
    manager.put("/etc/dhcpcd.conf", f"{CONF}interface eth0\nnoipv4\n")
    assert Dhcpcd().find(manager, "eth0") is None
    assert Dhcpcd().find(manager, "eth1") is not None
