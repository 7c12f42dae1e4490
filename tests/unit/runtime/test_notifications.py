"""runtime.telling: systemd's socket and a folder of hooks, on a virtual clock."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.control import OUTCOME
from tests.support.servers import wait_until

from holdfast.core.outcome import Result
from holdfast.observe.log import Log
from holdfast.runtime.host.notifications import Telling
from holdfast.runtime.serving import Common
from holdfast.settings.model import Settings
from holdfast_lab.testbed.virtual_host import VirtualClock, VirtualLoop


class Idle:
    """As much of a driver as a hook is told of."""

    name, spec = "eth0", None


DRIVER: Any = Idle()


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
        common = Common(settings, "", "", Log("stderr"), self.loop.clock, self.loop, lambda: None)  # type: ignore[arg-type,return-value]
        self.telling = Telling(common, lambda: self.status)

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
    made.telling.close()
    made.manager.close()


def test_systemd_hears_of_start_status_life_and_end(bench: Bench) -> None:
    bench.telling.plan_status()
    bench.loop.run(1)  # before the start nobody is told
    assert bench.heard() == []
    bench.telling.notify_systemd()
    assert bench.heard() == ["READY=1", "STATUS=eth0: INIT", "WATCHDOG=1"]
    bench.loop.run(21)
    assert bench.heard() == ["WATCHDOG=1", "WATCHDOG=1"]
    bench.status = "eth0: BOUND"
    bench.telling.plan_status()
    bench.telling.plan_status()
    bench.loop.run(0.1)
    assert bench.heard() == ["STATUS=eth0: BOUND"]
    bench.telling.stopping()
    assert bench.heard() == ["STOPPING=1"]


def test_hooks_hear_of_changes_and_of_nothing_else(bench: Bench) -> None:
    for result in (Result.KEPT, Result.REFUSED, Result.STOPPED):
        bench.telling.outcome(DRIVER, OUTCOME._replace(result=result))
    bench.loop.run(0)
    bench.telling.reap()
    assert bench.telling._hooks is None
    bench.telling.outcome(DRIVER, OUTCOME)
    bench.loop.run(0)
    told = bench.folder / "told"

    def told_of() -> bool:
        bench.telling.reap()
        return told.exists() and '"renewed"' in told.read_text()

    wait_until(told_of, 10, "the hook was run")


def test_without_a_folder_there_are_no_hooks(bench: Bench) -> None:
    (bench.folder / "hooks.d" / "10-note").unlink()
    (bench.folder / "hooks.d").rmdir()
    bench.telling.outcome(DRIVER, OUTCOME)
    bench.loop.run(0)
    assert bench.telling._hooks is None
