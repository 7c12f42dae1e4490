"""``holdfast status`` and ``clean`` beside a guard that runs."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Interface
from pathlib import Path

import pytest
from tests.support.control import StillClock
from tests.support.fake_host import FakeHost
from tests.support.guarded import LEASE, MAC, OTHER, OURS, SERVER, Scene
from tests.support.takeovers import foreign_lease

from holdfast.cli import main
from holdfast.control.interface import guard_path
from holdfast.eventloop.loop import Loop
from holdfast.guard.actions import Recorded
from holdfast.guard.reporter import Reporter
from holdfast.guard.status import Shown, serve
from holdfast.observe.log import Log
from holdfast.takeover.capture import seen_by_guard
from holdfast_lab.testbed import fair_time


class Running:
    """A guard's socket on a loop in a thread, at the instant of ``scene``."""

    def __init__(self, folder: Path, scene: Scene) -> None:
        clock = StillClock()
        clock.now = scene.now
        self.loop, self.kept = Loop(clock), True
        reporter = Reporter("eth0", Log("stderr", level=0), str(folder), clock.boottime)
        for _, action in scene.actions:
            if isinstance(action, Recorded):
                reporter.recorded(action)
        shown = Shown(True, "no nftables", [(scene.guard, reporter)])
        self._server = serve(self.loop, f"{folder}/run-guard", None, lambda: shown, self._keep_nothing)
        self._stop, self._stopped = os.pipe()
        self.loop.register(self._stop, lambda _: self.loop.stop())
        self._thread = threading.Thread(target=self.loop.run)
        self._thread.start()

    def _keep_nothing(self) -> None:
        self.kept = False

    def close(self) -> None:
        os.write(self._stopped, b"x")
        self._thread.join(fair_time.longest(10))
        assert not self._thread.is_alive()
        self._server.close()
        self.loop.close()
        os.close(self._stop)
        os.close(self._stopped)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hf") as name:
        (Path(name) / "holdfast.toml").write_text(
            f'[agent]\nstate_dir = "{name}/state"\nruntime_dir = "{name}/run"\n')
        yield Path(name)


@pytest.fixture
def guard(folder: Path) -> Iterator[Running]:
    scene = Scene("dhclient", others=(OTHER,))
    scene.bound()
    scene.send()
    scene.reply()
    scene.configured()
    running = Running(folder, scene)
    yield running
    running.close()


def test_status_shows_what_is_guarded(
    guard: Running, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--config", f"{folder}/holdfast.toml"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("eth0   guarded  192.0.2.50")
    assert main(["status", "eth0", "--config", f"{folder}/holdfast.toml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "eth0: guarded beside dhclient (pid 7), 192.0.2.50 from 192.0.2.1"
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in lines[1:]}
    assert rows["expiry"] == "in 1 min"
    assert rows["last"].startswith("dhclient (pid 7) renewed 192.0.2.50 from 192.0.2.1")
    assert rows["seen"].startswith("1 renewed since ")
    assert rows["guard"] == "unanswered renewals are repeated by broadcast; 0 so far"
    assert rows["others"] == "192.0.2.2 answers here, too"
    assert rows["blind"] == "where the server does not answer ARP: no nftables"


def test_status_for_programs(guard: Running, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "eth0", "--json", "--config", f"{folder}/holdfast.toml"]) == 0
    one, = json.loads(capsys.readouterr().out)
    assert (one["guarded"], one["interface"], one["client"], one["asking"]) == (True, "eth0", "dhclient", False)
    assert one["lease"]["server"] == "192.0.2.1"
    assert (one["results"], one["last"]["result"]) == ({"renewed": 1}, "renewed")


def test_a_takeover_goes_on_with_what_guard_has_heard(guard: Running, folder: Path, tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    host.links["eth0"] = host.links["eth0"]._replace(mac=MAC)
    before = replace(foreign_lease(host.now, None), address=IPv4Interface(f"{OURS}/24"), options={})
    dirs = (f"{folder}/nothing", f"{folder}/run-guard")
    seen = seen_by_guard(host, "eth0", before, dirs)
    assert seen is not None
    assert (seen.client_id, seen.server_id, seen.address) == (b"", SERVER, before.address)
    assert seen.expires_at - seen.started_at == LEASE
    assert seen.expires_at <= host.now + LEASE
    assert seen_by_guard(host, "lo", before, dirs) is None  # not guarded
    other = replace(before, address=IPv4Interface("192.0.2.99/24"))
    assert seen_by_guard(host, "eth0", other, dirs) is None
    host.links["eth0"] = host.links["eth0"]._replace(mac=bytes(6))
    assert seen_by_guard(host, "eth0", before, dirs) is None


def test_an_interface_that_guard_does_not_know(
    guard: Running, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "lo", "--config", f"{folder}/holdfast.toml"]) == 3
    assert "no agent is running for lo" in capsys.readouterr().err


def test_a_socket_that_a_crash_left_is_no_guard(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "run-guard").mkdir()
    assert main(["status", "--config", f"{folder}/holdfast.toml"]) == 3
    assert "no agent is running" in capsys.readouterr().err


def test_clean_tells_guard_to_write_nothing_more(guard: Running, folder: Path) -> None:
    (folder / "state-guard").mkdir()
    history = folder / "state-guard" / "eth0.outcomes.jsonl"
    history.touch()
    assert main(["clean", "--config", f"{folder}/holdfast.toml"]) == 0
    assert not guard.kept
    assert not history.exists()


def test_clean_stops_before_a_guard_that_does_not_answer(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "run-guard").mkdir()
    Path(guard_path(f"{folder}/run-guard")).touch()
    assert main(["clean", "--config", f"{folder}/holdfast.toml"]) == 1
    assert "a guard runs that does not answer" in capsys.readouterr().err
    assert main(["clean", "--force", "--config", f"{folder}/holdfast.toml"]) == 0
