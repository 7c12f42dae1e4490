"""runtime.host.notifications: systemd's socket and a folder of hooks, on a virtual clock."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.control import OUTCOME

from holdfast.core.client import Snapshot
from holdfast.core.outcome import Result
from holdfast.observe.log import Log
from holdfast.runtime.factory import AgentContext
from holdfast.runtime.host.notifications import Notifications
from holdfast.settings.model import Settings
from holdfast_lab.testbed.fair_time import wait_until
from holdfast_lab.testbed.virtual_host import VirtualClock, VirtualLoop


class Idle:
    """As much of an interface as a hook is told of."""

    name, spec = "eth0", None

    def snapshot(self) -> Snapshot:
        return Snapshot("INIT", None, None, None, {}, None)


INTERFACE: Any = Idle()


class Bench:
    """A manager that listens, and a folder with one hook."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.status = folder, "eth0: INIT"
        (folder / "hooks.d").mkdir()
        hook = folder / "hooks.d" / "10-note"
        hook.write_text(f"#!/bin/sh\ncat >> {folder}/told\n")
        hook.chmod(0o755)
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(folder / "notify"))
        self.manager.setblocking(False)
        self.loop = VirtualLoop(VirtualClock())
        settings = Settings(hooks_dir=str(folder / "hooks.d"))
        context = AgentContext(settings, "", "", Log("stderr"), self.loop.clock, self.loop, lambda: None)  # type: ignore[arg-type,return-value]
        self.notifications = Notifications(context, lambda: self.status)

    def heard(self) -> list[str]:
        """What systemd was told since."""
        told = []
        try:
            while True:
                told.append(self.manager.recv(1000).decode())
        except BlockingIOError:
            return told


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "20000000")
    yield made
    made.notifications.close()
    made.manager.close()


def test_systemd_hears_of_start_status_life_and_end(bench: Bench) -> None:
    bench.notifications.status_changed()
    bench.loop.run(1)  # before the start nobody is told
    assert bench.heard() == []
    bench.notifications.notify_systemd()
    assert bench.heard() == ["READY=1", "STATUS=eth0: INIT", "WATCHDOG=1"]
    bench.loop.run(21)
    assert bench.heard() == ["WATCHDOG=1", "WATCHDOG=1"]
    bench.status = "eth0: BOUND"
    bench.notifications.status_changed()
    bench.notifications.status_changed()
    bench.loop.run(0.1)
    assert bench.heard() == ["STATUS=eth0: BOUND"]
    bench.notifications.stopping()
    assert bench.heard() == ["STOPPING=1"]


def test_hooks_hear_of_changes_and_of_nothing_else(bench: Bench) -> None:
    for result in (Result.KEPT, Result.REFUSED, Result.STOPPED):
        bench.notifications.outcome(INTERFACE, OUTCOME._replace(result=result))
    bench.loop.run(0)
    bench.notifications.reap()
    bench.notifications.outcome(INTERFACE, OUTCOME)
    bench.loop.run(0)
    told = bench.folder / "told"

    def hook_ran() -> bool:
        bench.notifications.reap()
        return told.exists() and '"renewed"' in told.read_text()

    wait_until(hook_ran, 10, "the hook was run")
    assert [json.loads(line)["outcome"]["result"] for line in told.read_text().splitlines()] == ["renewed"]


def test_without_a_folder_there_are_no_hooks(bench: Bench) -> None:
    (bench.folder / "hooks.d" / "10-note").unlink()
    (bench.folder / "hooks.d").rmdir()
    bench.notifications.outcome(INTERFACE, OUTCOME)
    bench.loop.run(1)
    assert bench.loop.timers == {}, "nothing was started that would have to be ended"
    assert not (bench.folder / "told").exists()
