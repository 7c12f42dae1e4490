"""Somebody who takes a take-over back: armed, disarmed, and it does come."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.fake_host import FakeHost

from holdfast.takeover import deadman
from holdfast.takeover.host import Host


def test_with_systemd(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    host.boot_systemd()
    armed = deadman.arm(host, "eth0", 90.0, "/etc/own.toml")
    assert armed == "holdfast-deadman-eth0"
    stops = [("systemctl", "stop", f"holdfast-{name}-eth0.timer") for name in ("deadman", "unconfirmed")]
    assert host.ran[:2] == stops, "earlier ones go first"
    command = host.ran[2]
    assert command[:3] == ("systemd-run", "--on-active=90", "--unit=holdfast-deadman-eth0")
    assert command[-5:] == ("handback", "eth0", "--unconfirmed", "--config", "/etc/own.toml")
    second = deadman.arm(host, "eth0", 30.0, beside=armed)
    assert second == "holdfast-unconfirmed-eth0"
    assert stops[0] not in host.ran[3:]
    assert deadman.arm(host, "eth0", 30.0, beside=second) == armed
    deadman.disarm(host, "eth0", keep=second)
    assert host.ran[-1] == stops[0]
    deadman.disarm(host, "eth0")
    assert host.ran[-2:] == stops


def test_without_systemd(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    armed = deadman.arm(host, "eth0", 90.0)
    process = host.process(int(armed))
    assert process is not None
    assert process.argv[-3:] == ("handback", "eth0", "--unconfirmed")
    host.add_process(4712, "another", "handback", "eth0", "--unconfirmed")  # one that has begun
    deadman.disarm(host, "eth1")
    deadman.disarm(host, "eth0", keep=armed)
    assert host.killed == []
    second = deadman.arm(host, "eth0", 30.0, beside=armed)
    assert host.killed == []
    deadman.disarm(host, "eth0", keep=second)
    assert host.killed == [(int(armed), 9)]
    deadman.disarm(host, "eth0")
    assert host.killed[1:] == [(int(second), 9)]


def test_it_comes(tmp_path: Path) -> None:
    """A process of its own session, that becomes what it is to run."""
    sign = tmp_path / "sign"
    fake = FakeHost(tmp_path)
    armed = fake.process(int(deadman.arm(fake, "eth0", 1.0)))
    assert armed is not None
    sleeper = armed.argv[:armed.argv.index("1") + 1]
    host = Host()
    pid = host.start([*sleeper, "/bin/sh", "-c", f"echo > {sign}"], {})
    assert os.getsid(pid) == pid
    assert host.wait(sign.exists, 10)
    os.waitpid(pid, 0)


def test_our_own_command_runs_from_anywhere(tmp_path: Path) -> None:
    done = subprocess.run(deadman.own_program("holdfast.cli", "--version"), cwd=tmp_path, env={"PATH": "/nowhere"},
                          capture_output=True, text=True, check=True)
    assert done.stdout.startswith("holdfast ")
