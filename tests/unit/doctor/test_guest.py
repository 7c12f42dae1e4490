"""This machine's own part: routes, the server's network, the disk, and what outcomes tell together."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from holdfast.doctor import guest
from holdfast.doctor.finding import BAD, NOTE, OK
from holdfast.doctor.guest import Route, check_disk, check_history, check_off_link, check_routes
from holdfast.observe.outcomes import iso_time

WALL = 1_700_000_000.0
NO_GATEWAY = IPv4Address(0)


def route(ifname: str, destination: str = "0.0.0.0", mask: int = 0, metric: int = 100) -> Route:
    return Route(ifname, int(IPv4Address(destination)), mask, IPv4Address("192.0.2.1"), metric)


def record(at: float, result: str = "renewed", **more: Any) -> dict[str, Any]:
    """An outcome ``at`` seconds after the boot."""
    return {"time": iso_time(WALL + at), "boottime": at, "boot_id": "b", "interface": "eth0", "purpose": "t1",
            "result": result, "lease_time": 120.0, "started_at": at, "ended_at": at, "server": "192.0.2.1", **more}


def history(*records: dict[str, Any], offset: float = WALL) -> list[tuple[str, str]]:
    return [(found.check, found.status) for found in check_history("eth0", list(records), offset, "b")]


def test_routes_as_the_kernel_lists_them(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "route").write_text(
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
        "eth0\t000200C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"
        "*\t00000A0A\t00000000\t0200\t0\t0\t0\t00FFFFFF\t0\t0\t0\n")
    assert guest.routes(str(tmp_path)) == [
        route("eth0"), Route("eth0", 0xC0000200, 0xFFFFFF00, NO_GATEWAY, 100)]


@pytest.mark.parametrize(("routes", "bad"), [
    ((route("eth0"), route("eth1")), 1), ((route("eth0"), route("eth1", metric=101)), 0),
    ((route("eth0"), route("eth0")), 0), ((), 0), ((route("eth0"), route("eth1"), route("eth2", metric=5)), 1),
])
def test_two_default_routes_of_one_metric(routes: tuple[Route, ...], bad: int) -> None:
    assert [found.status for found in check_routes(routes)] == [BAD] * bad


@pytest.mark.parametrize(("server", "routes", "notes"), [
    ("192.0.2.1", (route("eth0", "192.0.2.0", 0xFFFFFF00),), 0), ("198.51.100.1", (route("eth0"),), 0),
    ("198.51.100.1", (route("eth0", "192.0.2.0", 0xFFFFFF00), route("eth1")), 1), (None, (), 0), ("x", (), 0),
])
def test_a_server_off_the_link(server: str | None, routes: tuple[Route, ...], notes: int) -> None:
    assert [found.status for found in check_off_link("eth0", server, routes)] == [NOTE] * notes


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
