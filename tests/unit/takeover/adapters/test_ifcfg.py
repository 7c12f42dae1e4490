"""network-scripts' adapter on a fake machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.fake_host import FakeHost
from tests.unit.takeover.adapters.machines import DHCLIENT_LEASE, files, find, own

from holdfast.managers.ifcfg import FOLDER
from holdfast.takeover.adapters.dhclient import Dhclient
from holdfast.takeover.adapters.ifcfg import CLOUD_INIT, Ifcfg, without_dhcp
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Completed
from holdfast.takeover.model import FileChange

LEASES = "/var/lib/dhclient/dhclient-eth0.leases"
FILE = f"{FOLDER}/ifcfg-eth0"
CONTENT = """\
# of the image
DEVICE=eth0
HWADDR="02:00:00:00:00:01"
BOOTPROTO="dhcp"  # from the cloud
ONBOOT=yes
PERSISTENT_DHCLIENT=yes
PEERDNS=yes
NM_CONTROLLED=no
"""



def argv(*oneshot: str) -> tuple[str, ...]:
    return ("/sbin/dhclient", *oneshot, "-q", "-lf", LEASES, "-pf", "/run/dhclient-eth0.pid", "-H", "guest", "eth0")


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    host = FakeHost(tmp_path)
    host.boot_systemd()
    host.answers["systemctl is-enabled"] = Completed(1, "disabled\n", "")
    host.add_process(64, *argv())
    host.put(LEASES, DHCLIENT_LEASE)
    host.put(FILE, CONTENT, 0o640)
    host.put(f"{FOLDER}/ifcfg-lo", "DEVICE=lo\n")
    return host


@pytest.fixture
def adapter() -> Ifcfg:
    return Ifcfg(Dhclient())


@pytest.mark.parametrize(("oneshot", "said"), [((), True), (("-1",), False)])
def test_it_is_found_with_and_without_persistent_dhclient(
    host: FakeHost, adapter: Ifcfg, oneshot: tuple[str, ...], said: bool
) -> None:
    host.add_process(64, *argv(*oneshot))
    found = find(host, adapter)
    assert (found.name, found.pids, found.facts["ifcfg"]) == ("dhclient under ifcfg", (64,), FILE)
    assert ("PERSISTENT_DHCLIENT" in found.evidence) is said


def test_its_file_is_found_by_name_address_or_device(host: FakeHost, adapter: Ifcfg) -> None:
    host.remove(FILE)
    assert adapter.find(host, "eth0") is None
    for name, content in (
        ("ifcfg-a", "DEVICE='eth0'\nBOOTPROTO=bootp\n"), ("ifcfg-b", "HWADDR=02:00:00:00:00:01\nBOOTPROTO=dhcp\n"),
    ):
        host.put(f"{FOLDER}/{name}", content)
        assert find(host, adapter).facts["ifcfg"] == f"{FOLDER}/{name}"  # the later one goes before the earlier


def test_leftovers_of_editors_and_packages_are_passed_over(host: FakeHost, adapter: Ifcfg) -> None:
    host.remove(FILE)
    for ending in ("bak", "orig", "rpmsave", "rpmnew"):
        host.put(f"{FOLDER}/ifcfg-eth0.{ending}", CONTENT)
    assert adapter.find(host, "eth0") is None


@pytest.mark.parametrize("content", [
    "DEVICE=eth0\nBOOTPROTO=none\n", "DEVICE=eth0\n", "BOOTPROTO=dhcp\nBOOTPROTO=static\n",
])
def test_a_file_without_dhcp_is_not_its_business(host: FakeHost, adapter: Ifcfg, content: str) -> None:
    host.put(FILE, content)
    assert adapter.find(host, "eth0") is None


def test_a_dhclient_of_networkmanager_is_not_its_business(host: FakeHost, adapter: Ifcfg) -> None:
    host.add_process(64, "/sbin/dhclient", "-d", "-q", "-sf", "/usr/libexec/nm-dhcp-helper", "-lf", LEASES, "eth0")
    assert adapter.find(host, "eth0") is None


def test_one_word_of_the_file_changes_and_only_at_the_confirmation(host: FakeHost, adapter: Ifcfg) -> None:
    owned = own(host, adapter)
    assert owned.volatile == ()
    (change,) = owned.persistent
    assert isinstance(change, FileChange)
    assert (change.path, change.mode) == (FILE, 0o640)
    assert change.content == CONTENT.replace('BOOTPROTO="dhcp"', "BOOTPROTO=none").encode()


@pytest.mark.parametrize(("before", "after"), [
    (b"BOOTPROTO=dhcp", b"BOOTPROTO=none"), (b"BOOTPROTO='dhcp'\r\nX=1\r\n", b"BOOTPROTO=none\r\nX=1\r\n"),
    (b"  BOOTPROTO=dhcp\t# why\n", b"  BOOTPROTO=none\t# why\n"),
    (b"export BOOTPROTO=bootp\n", b"export BOOTPROTO=none\n"),
    (b"#BOOTPROTO=dhcp\nMY_BOOTPROTO=dhcp\nBOOTPROTO=dhcp\n", b"#BOOTPROTO=dhcp\nMY_BOOTPROTO=dhcp\nBOOTPROTO=none\n"),
    (b"BOOTPROTO=dhcp\nBOOTPROTO=bootp\n", b"BOOTPROTO=none\nBOOTPROTO=none\n"),
    (b"X=\xff\nBOOTPROTO=dhcp\n", b"X=\xff\nBOOTPROTO=none\n"),
])
def test_the_word_is_found_however_it_is_written(before: bytes, after: bytes) -> None:
    assert without_dhcp(before) == after


def test_a_static_address_that_would_come_to_life_is_refused(host: FakeHost, adapter: Ifcfg) -> None:
    host.put(FILE, CONTENT + "IPADDR=192.0.2.1\n")
    with pytest.raises(TakeoverError, match="IPADDR"):
        own(host, adapter)
    host.put(FILE, CONTENT + "IPADDR=\n")
    assert own(host, adapter).persistent


def test_two_files_for_one_link_are_refused(host: FakeHost, adapter: Ifcfg) -> None:
    host.put(f"{FOLDER}/ifcfg-lan", "DEVICE=eth0\nBOOTPROTO=dhcp\n")
    with pytest.raises(TakeoverError, match=r"ifcfg-eth0 and .*ifcfg-lan say BOOTPROTO=dhcp"):
        own(host, adapter)


def test_cloud_init_does_not_write_its_own_file_again(host: FakeHost, adapter: Ifcfg) -> None:
    host.put(FILE, "# Created by cloud-init on instance boot automatically, do not edit.\n#\n" + CONTENT)
    written = files(own(host, adapter).persistent)
    assert set(written) == {FILE, CLOUD_INIT}
    assert written[CLOUD_INIT].endswith("\nnetwork: {config: disabled}\n")


def test_networkmanager_is_kept_off_where_it_reads_the_file_too(host: FakeHost, adapter: Ifcfg) -> None:
    host.put(FILE, CONTENT.replace("NM_CONTROLLED=no\n", ""))
    assert set(files(own(host, adapter).persistent)) == {FILE}
    host.answers["systemctl is-enabled"] = Completed(0, "enabled\n", "")
    written = files(own(host, adapter).persistent)
    assert "interface-name:=eth0" in written["/etc/NetworkManager/conf.d/90-holdfast-eth0.conf"]
    host.put(FILE, CONTENT)
    assert set(files(own(host, adapter).persistent)) == {FILE}


def test_it_is_stopped_and_leaves_no_pid_for_ifdown(host: FakeHost, adapter: Ifcfg) -> None:
    host.put("/run/dhclient-eth0.pid", "64\n")
    adapter.stop(host, find(host, adapter))
    assert host.killed == [(64, 9)]
    assert not host.exists("/run/dhclient-eth0.pid")


def test_it_is_given_back_with_the_same_words(host: FakeHost, adapter: Ifcfg) -> None:
    found = find(host, adapter)
    lease = adapter.read(host, found)
    assert lease.client_id == b""  # none is sent; rule 8
    adapter.stop(host, found)
    adapter.give_back(host, found, lease)
    ((words, _),) = host.started
    assert words[words.index("--") + 2:] == argv()[1:]
    assert words[1] == "--scope"  # it outlives what we run in


def test_what_it_does_with_an_answer(host: FakeHost, adapter: Ifcfg) -> None:
    found = adapter.find(host, "eth0")
    assert found is not None
    assert adapter.decided(host, found) == {}
    host.put(FILE, CONTENT.replace("PEERDNS=yes", "PEERDNS=no\nMETRIC=200"))
    assert adapter.decided(host, found) == {"use_dns": False, "metric": 200}
