"""runtime.systemd against a notify socket of our own."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.runtime.host.systemd import Notifier
from holdfast_lab.testbed import fair_time


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@holdfast-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name[1:] if name[0] == "@" else name)
        sock.settimeout(fair_time.longest(5))
        yield sock, name


def test_what_is_told(manager: tuple[socket.socket, str]) -> None:
    sock, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    assert notifier.present
    notifier.ready()
    notifier.status("eth0: BOUND\n192.0.2.50")
    notifier.status("eth0: BOUND\n192.0.2.50")  # nothing new, nothing told
    notifier.alive()
    notifier.stopping()
    told = [sock.recv(1000).decode() for _ in range(4)]
    assert told == ["READY=1", "STATUS=eth0: BOUND 192.0.2.50", "WATCHDOG=1", "STOPPING=1"]


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}])
def test_silent_without_systemd(environ: dict[str, str]) -> None:
    notifier = Notifier(environ)
    assert not notifier.present
    notifier.ready()
    assert notifier.watchdog_interval is None


def test_a_manager_that_is_away_is_no_error(tmp_path: Path) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "none")}).ready()


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),  # it is for our parent
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_in_its_time(environ: dict[str, str], interval: float | None) -> None:
    assert Notifier(environ).watchdog_interval == interval
