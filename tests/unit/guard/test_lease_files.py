"""What a client's own file says that it holds."""

from __future__ import annotations

import os
from ipaddress import IPv4Address
from math import inf
from pathlib import Path

import pytest

from holdfast.guard import lease_files
from holdfast.guard.events import LeaseStored
from holdfast.guard.programs import Client
from holdfast.managers.formats import dhclient_leases
from holdfast.managers.formats.tree import Tree
from holdfast.wire import message as m
from holdfast.wire import options as opt
from holdfast_lab.testbed.virtual_host import VirtualClock

OURS, SERVER = IPv4Address("192.0.2.50"), IPv4Address("192.0.2.1")
CLOCK = VirtualClock()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The files as process 7 sees them."""
    folder = tmp_path / "7" / "root"
    folder.mkdir(parents=True)
    return folder


def stored_lease(root: Path, client: Client, ifname: str = "eth0", ifindex: int = 2) -> LeaseStored | None:
    return lease_files.stored_lease(client, ifname, ifindex, CLOCK, proc=str(root.parents[1]))


def written(root: Path, path: str, content: bytes, *, ago: float = 0.0) -> None:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    at = CLOCK.wall() - ago
    os.utime(file, (at, at))


def dhclients(ends_in: float, lease: int = 600) -> bytes:
    options = {1: b"\xff\xff\xff\0", 51: lease.to_bytes(4, "big"), 54: SERVER.packed}
    at = CLOCK.wall() + ends_in
    return dhclient_leases.render(dhclient_leases.Block("eth0", OURS, options, at, at, at), {}).encode()


@pytest.mark.parametrize(("path", "words"), [
    ("/var/lib/dhcp/dhclient.leases", ("dhclient", "eth0")),
    ("/var/lib/dhclient/dhclient.leases", ("dhclient", "eth0")),
    ("/run/x.leases", ("dhclient", "-lf", "/run/x.leases", "eth0")),
])
def test_dhclients_last_block(root: Path, path: str, words: tuple[str, ...]) -> None:
    written(root, path, dhclients(100) + dhclients(500))
    stored = stored_lease(root, Client("dhclient", "dhclient (pid 7)", 7, words))
    assert stored is not None
    assert (stored.address, stored.server) == (OURS, SERVER)
    assert stored.expires_at == pytest.approx(CLOCK.boottime() + 500, abs=2)
    assert stored.started_at == pytest.approx(CLOCK.boottime() - 100, abs=2)


@pytest.mark.parametrize("endless", [False, True])
def test_dhcpcds_reply(root: Path, *, endless: bool) -> None:
    term = b"\xff\xff\xff\xff" if endless else (600).to_bytes(4, "big")
    options = {opt.MESSAGE_TYPE: bytes([m.ACK]), opt.SERVER_ID: SERVER.packed, opt.LEASE_TIME: term}
    reply = m.Message(m.BOOTREPLY, 1, yiaddr=OURS, chaddr=bytes(6), options=options)
    written(root, "/var/lib/dhcpcd/eth0.lease", m.encode(reply), ago=60)
    stored = stored_lease(root, Client("dhcpcd", "dhcpcd (pid 7)", 7))
    assert stored is not None
    assert (stored.address, stored.server) == (OURS, SERVER)
    assert stored.expires_at == (inf if endless else pytest.approx(CLOCK.boottime() + 540, abs=2))


def test_networkds_by_the_number_of_the_interface(root: Path) -> None:
    text = b"# private\nADDRESS=192.0.2.50\nSERVER_ADDRESS=192.0.2.1\nLIFETIME=10min\n"
    written(root, "/run/systemd/netif/leases/2", text, ago=60)
    stored = stored_lease(root, Client("networkd", "systemd-network (pid 7)", 7))
    assert stored is not None
    assert (stored.address, stored.server) == (OURS, SERVER)
    assert stored.expires_at == pytest.approx(CLOCK.boottime() + 540, abs=2)
    assert stored_lease(root, Client("networkd", "systemd-network (pid 7)", 7), "eth1", 3) is None


@pytest.mark.parametrize(("name", "path"), [
    ("dhclient", "/var/lib/dhcp/dhclient.leases"), ("dhcpcd", "/var/lib/dhcpcd/eth0.lease"),
    ("networkd", "/run/systemd/netif/leases/2"),
])
@pytest.mark.parametrize("content", [b"", b"\xff" * 300, b"lease {", b"ADDRESS=x\n"])
def test_a_spoiled_file_tells_nothing(root: Path, name: str, path: str, content: bytes) -> None:
    written(root, path, content)
    assert stored_lease(root, Client(name, name, 7)) is None
    (root / path.lstrip("/")).unlink()
    assert stored_lease(root, Client(name, name, 7)) is None


def test_a_containers_link_does_not_lead_out_of_it(root: Path) -> None:
    folder = root / "var/lib/dhcp"
    folder.mkdir(parents=True)
    (folder / "dhclient.leases").symlink_to("../../../../outside")
    (root.parent / "outside").write_bytes(dhclients(500))
    assert stored_lease(root, Client("dhclient", "dhclient (pid 7)", 7)) is None


@pytest.mark.parametrize("client", [Client("udhcpc", "udhcpc (pid 7)", 7), Client("dhclient", "not known")])
def test_who_has_no_file_or_no_process_tells_nothing(root: Path, client: Client) -> None:
    assert stored_lease(root, client) is None


def test_where_its_process_may_not_be_looked_at_the_files_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def tree(root: str) -> Tree:
        opened.append(root)
        if root != "/":
            raise PermissionError(13, "Permission denied")
        return Tree(root)

    monkeypatch.setattr(lease_files, "Tree", tree)
    lease_files.stored_lease(Client("networkd", "systemd-network (pid 7)", 7), "eth0", 1 << 30, CLOCK)
    assert opened == ["/proc/7/root", "/"]
