"""The dead-man: a timer that undoes a take-over which nobody confirms, such as after a lost ssh session.

With systemd it is a transient timer, without systemd a sleeping process in its own session. Both run `holdfast
handback IFACE --unconfirmed`, which does nothing when the take-over is confirmed.
"""

from __future__ import annotations

import os
import signal
import sys

from holdfast.takeover.host import Host
from holdfast.takeover.processes import Process

#: Seconds for all steps before the proof; each step is bounded, and their sum is smaller.
STEPS_TIME = 120.0

#: What the child runs: sleep on the clock that counts suspend, then become the hand-back.
_CHILD = """
import os, sys, time
until = time.clock_gettime(time.CLOCK_BOOTTIME) + float(sys.argv[1])
while (left := until - time.clock_gettime(time.CLOCK_BOOTTIME)) > 0:
    time.sleep(min(left, 10.0))
os.execv(sys.argv[2], sys.argv[2:])
"""
#: One line, for messages; no semicolons, because systemd writes them into a transient unit's file in a way that it does
#: not read at a daemon-reload.
_BOOT = (
    "(s := __import__('sys')).path.insert(0, s.argv.pop(1)) or "
    "s.exit(__import__('importlib').import_module('{}').main())"
)


def own_program(module: str, *words: str) -> list[str]:
    """A command line for ``module.main`` of this installation, independent of PATH."""
    site = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return [sys.executable, flags(), "-c", _BOOT.format(module), site, *words]


def flags() -> str:
    """The interpreter's options for a program of ours that root starts: isolated from the working directory and the
    environment (-I), and without site packages when we run without them."""
    return "-ISB" if sys.flags.no_site else "-I"


def arm(host: Host, ifname: str, seconds: float, config: str | None = None, *, beside: str = "") -> str:
    """Have `holdfast handback` run in ``seconds`` unless it is disarmed. Returns what was armed (a unit's name, or a
    pid as text), for ``beside`` and ``disarm``. ``config``: the agent's, when it is not the usual one. ``beside``: one
    that stays armed; every other one is disarmed. TakeoverError when it cannot be armed."""
    options = [] if config is None else ["--config", config]
    command = own_program("holdfast.cli", *_words(ifname), *options)
    disarm(host, ifname, beside)
    if host.systemd:
        unit = next(unit for unit in _units(ifname) if unit != beside)
        host.must([
            "systemd-run", f"--on-active={seconds:.0f}", f"--unit={unit}", "--timer-property=AccuracySec=1s",
            "--collect", "--quiet", f"--description=Hand {ifname} back unless the take-over is confirmed", *command,
        ])
        return unit
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    for name in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY"):
        if name in os.environ:
            environment[name] = os.environ[name]
    return str(host.start([sys.executable, "-I", "-S", "-c", _CHILD, f"{seconds:.0f}", *command], environment))


def disarm(host: Host, ifname: str, keep: str = "") -> None:
    """Disarm whatever is armed for ``ifname`` but ``keep``, also what a killed take-over armed and did not
    record. A running hand-back goes on: it may be this process."""
    if host.systemd:
        for unit in _units(ifname):
            if unit != keep:
                host.run(["systemctl", "stop", f"{unit}.timer"])
        return
    pids = [each.pid for each in host.processes() if _is(each, ifname) and str(each.pid) != keep]
    if pids:
        host.kill(pids, signal.SIGKILL, still=lambda each: _is(each, ifname))


def _units(ifname: str) -> tuple[str, str]:
    """The two names, so that one can be armed before the other is disarmed."""
    return f"holdfast-deadman-{ifname}", f"holdfast-unconfirmed-{ifname}"


def _words(ifname: str) -> tuple[str, str, str]:
    return "handback", ifname, "--unconfirmed"


def _is(process: Process, ifname: str) -> bool:
    words = process.argv
    return _CHILD in words and any(words[at:at + 3] == _words(ifname) for at in range(len(words)))
