"""Somebody who takes a take-over back: armed, disarmed, and it does come."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.fake_host import FakeHost

from holdfast.takeover import deadman
from holdfast.takeover.host import Host


def test_with_systemd(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    host.boot_systemd()
    armed = deadman.arm(host, "eth0", 90.0, "/etc/own.toml")
    assert armed == "holdfast-deadman-eth0"
    assert host.ran[0] == ("systemctl", "stop", "holdfast-deadman-eth0.timer"), "an earlier one goes first"
    command = host.ran[1]
    assert command[:3] == ("systemd-run", "--on-active=90", "--unit=holdfast-deadman-eth0")
    assert command[-5:] == ("handback", "eth0", "--unconfirmed", "--config", "/etc/own.toml")
    deadman.disarm(host, armed)
    assert host.ran[-1] == ("systemctl", "stop", "holdfast-deadman-eth0.timer")


def test_without_systemd(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    armed = deadman.arm(host, "eth0", 90.0)
    process = host.process(int(armed))
    assert process is not None
    assert process.argv[-3:] == ("handback", "eth0", "--unconfirmed")
    deadman.disarm(host, "4711")
    deadman.disarm(host, "")
    host.add_process(4712, "another")
    deadman.disarm(host, "4712")
    assert host.killed == []
    deadman.disarm(host, armed)
    assert host.killed == [(int(armed), 9)]


def test_it_comes(tmp_path: Path) -> None:
    """A process of its own session, that becomes what it is to run."""
    sign = tmp_path / "sign"
    host = Host()
    pid = host.start([sys.executable, "-I", "-S", "-c", deadman._CHILD, "0.2", "/bin/sh", "-c", f"echo > {sign}"], {})
    assert os.getsid(pid) == pid
    assert host.wait(sign.exists, 10)
    os.waitpid(pid, 0)


def test_our_own_command_runs_from_anywhere(tmp_path: Path) -> None:
    done = subprocess.run(deadman.own_program("holdfast.cli", "--version"), cwd=tmp_path, env={"PATH": "/nowhere"},
                          capture_output=True, text=True, check=True)
    assert done.stdout.startswith("holdfast ")
