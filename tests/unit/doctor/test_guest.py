"""This machine's own part: routes, the server's network, the disk, and what outcomes tell together."""

from __future__ import annotations

import errno
from ipaddress import IPv4Address
from pathlib import Path
from struct import pack
from typing import Any

import pytest

from holdfast.doctor import guest
from holdfast.doctor.finding import BAD, NOTE, OK
from holdfast.doctor.guest import Route, check_disk, check_history, check_off_link, check_routes
from holdfast.network import rtnl
from holdfast.observe.outcomes import iso_time

WALL = 1_700_000_000.0
NO_GATEWAY = IPv4Address(0)


def route(ifname: str, destination: str = "0.0.0.0", mask: int = 0, metric: int = 100, table: int = 254) -> Route:
    return Route(ifname, int(IPv4Address(destination)), mask, IPv4Address("192.0.2.1"), metric, table)


def record(at: float, result: str = "renewed", **more: Any) -> dict[str, Any]:
    """An outcome ``at`` seconds after the boot."""
    return {"time": iso_time(WALL + at), "boottime": at, "boot_id": "b", "interface": "eth0", "purpose": "t1",
            "result": result, "lease_time": 120.0, "started_at": at, "ended_at": at, "server": "192.0.2.1", **more}


def history(*records: dict[str, Any], offset: float = WALL) -> list[tuple[str, str]]:
    return [(found.check, found.status) for found in check_history("eth0", list(records), offset, "b")]


def message(*parts: bytes, length: int = 0, table: int = 254, kind: int = 1) -> bytes:
    """A route as RTM_GETROUTE answers, behind its header."""
    return bytes(16) + rtnl.ROUTE.pack(2, length, 0, 0, table, 3, 0, kind, 0) + b"".join(parts)


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The links 2 and 3 are eth0 and eth1."""
    def name(ifindex: int) -> str:
        if ifindex not in (2, 3):
            raise OSError(errno.ENXIO, "no such link")
        return f"eth{ifindex - 2}"

    monkeypatch.setattr(guest.socket, "if_indextoname", name)


LINK, METRIC = rtnl.u32(rtnl.RTA_OIF, 2), rtnl.u32(rtnl.RTA_PRIORITY, 100)
GATEWAY = rtnl.attribute(rtnl.RTA_GATEWAY, bytes((192, 0, 2, 1)))
NET = rtnl.attribute(rtnl.RTA_DST, bytes((192, 0, 2, 0)))


@pytest.mark.parametrize(("answer", "expected"), [
    (message(LINK, METRIC, GATEWAY), route("eth0")),
    (message(LINK, METRIC, NET, length=24), Route("eth0", 0xC0000200, 0xFFFFFF00, NO_GATEWAY, 100)),
    (message(LINK, METRIC, GATEWAY, rtnl.u32(rtnl.RTA_TABLE, 1007), table=252), route("eth0", table=1007)),
    (message(LINK, METRIC, GATEWAY, table=77), route("eth0", table=77)),
    (message(METRIC, rtnl.attribute(rtnl.RTA_MULTIPATH, pack("=HBBi", 16, 0, 0, 3) + GATEWAY
                                    + pack("=HBBi", 16, 0, 0, 2) + GATEWAY)), route("eth1")),
    (message(rtnl.u32(rtnl.RTA_OIF, 9), METRIC, GATEWAY), None),
    (message(METRIC, kind=7), None), (message(LINK, METRIC, NET, length=32, table=255, kind=2), None),
])
@pytest.mark.usefixtures("named")
def test_routes_as_the_kernel_lists_them(answer: bytes, expected: Route | None) -> None:
    assert guest.read_route(answer) == expected


@pytest.mark.parametrize(("routes", "tables", "bad"), [
    ((route("eth0"), route("eth1")), (), 1), ((route("eth0"), route("eth1", metric=101)), (), 0),
    ((route("eth0"), route("eth0")), (), 0), ((), (), 0),
    ((route("eth0"), route("eth1"), route("eth2", metric=5)), (), 1),
    ((route("eth0", table=1007), route("eth1")), (1007,), 0),
    ((route("eth0", table=1007), route("eth1", table=1007)), (1007,), 1),
    ((route("eth0", table=1007), route("eth1", table=1007)), (), 0),
])
def test_two_default_routes_of_one_metric(routes: tuple[Route, ...], tables: tuple[int, ...], bad: int) -> None:
    found = list(check_routes(routes, tables))
    assert [each.status for each in found] == [BAD] * bad
    assert all((" in table 1007 " in each.line) == bool(tables) for each in found)


@pytest.mark.parametrize(("server", "routes", "table", "notes"), [
    ("192.0.2.1", (route("eth0", "192.0.2.0", 0xFFFFFF00),), 254, 0), ("198.51.100.1", (route("eth0"),), 254, 0),
    ("198.51.100.1", (route("eth0", "192.0.2.0", 0xFFFFFF00), route("eth1")), 254, 1),
    ("198.51.100.1", (route("eth0", table=1007),), 1007, 0), ("198.51.100.1", (route("eth0", table=1007),), 254, 1),
    ("198.51.100.1", (route("eth0"),), 1007, 1), (None, (), 254, 0), ("x", (), 254, 0),
])
def test_a_server_off_the_link(server: str | None, routes: tuple[Route, ...], table: int, notes: int) -> None:
    assert [found.status for found in check_off_link("eth0", server, routes, table)] == [NOTE] * notes


def test_which_table_leads_from_a_link() -> None:
    assert guest.table_of("lo", 1007) == 1007
    assert guest.table_of("lo", None) == guest.table_of("no-such-link", None) == 254


def test_the_folder_of_leases(tmp_path: Path) -> None:
    assert list(check_disk(str(tmp_path / "none"))) == []
    (tmp_path / "eth0.lease.json").write_text("{}")
    (tmp_path / "eth0.lease.json.bad").write_text("{")
    assert [(found.check, found.status) for found in check_disk(str(tmp_path))] == [("disk", OK), ("state", NOTE)]
    (tmp_path / "eth1.outcomes.jsonl").symlink_to("/nowhere")
    assert ("state", BAD) in [(found.check, found.status) for found in check_disk(str(tmp_path))]
    assert [found.status for found in check_disk(str(tmp_path / "eth0.lease.json"))] == [BAD]


def test_a_history_in_which_nothing_is_wrong() -> None:
    assert history(*(record(60.0 * number) for number in range(10))) == []
    assert history({"interface": "eth0"}, {"interface": "eth0", "boot_id": "b", "time": "x"}) == []


def test_a_clock_that_was_set_back() -> None:
    assert history(record(0.0), record(60.0), offset=WALL - 3600.0) == [("clock", NOTE)]
    assert history(record(0.0), record(60.0, time=iso_time(WALL - 900.0)), offset=WALL - 960.0) == [("clock", NOTE)]
    assert history(record(0.0), offset=WALL + 3600.0) == [], "forward is what NTP does at boot"
    assert history(record(0.0, boot_id="a"), offset=WALL - 3600.0) == [], "another boot"


def test_a_server_that_gives_another_address_each_time() -> None:
    moved = [record(60.0 * number, "moved", address=f"192.0.2.{number}") for number in range(3)]
    assert history(*moved) == [("wandering", BAD)]
    assert history(*moved[:2]) == []


def test_a_lease_that_is_shorter_than_outages() -> None:
    assert history(record(0.0), record(120.0, "expired", started_at=60.0)) == [("short-lease", BAD)]
    assert history(record(0.0), record(100.0, started_at=60.0)) == [("short-lease", NOTE)]
    assert history(record(0.0), record(61.0, started_at=60.0)) == []
    assert history(record(0.0, lease_time="infinite")) == []
