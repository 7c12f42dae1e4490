"""Somebody who takes a take-over back when nobody has confirmed it: a lost ssh session must not cost the guest.

With systemd a transient timer, without it a process of its own session that sleeps. Both run `holdfast handback IFACE
--unconfirmed`, which does nothing when the take-over was confirmed after all.
"""

from __future__ import annotations

import os
import signal
import sys

from holdfast.takeover.host import Host

#: Seconds for all that comes before the proof; each step is bounded, and together they stay below it.
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
    """A command line of ``module.main`` of this very program, whatever it was started by and whatever PATH says."""
    site = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return [sys.executable, flags(), "-c", _BOOT.format(module), site, *words]


def flags() -> str:
    """Neither the folder that we are in nor the environment decides what root imports; no site packages either when
    we were started without."""
    return "-ISB" if sys.flags.no_site else "-I"


def arm(host: Host, ifname: str, seconds: float, config: str | None = None) -> str:
    """Hand back in ``seconds``; what ``disarm`` wants to know. ``config``: the agent's, when it is not the usual."""
    options = [] if config is None else ["--config", config]
    command = own_program("holdfast.cli", "handback", ifname, "--unconfirmed", *options)
    if host.systemd:
        unit = f"holdfast-deadman-{ifname}"
        disarm(host, unit)
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


def disarm(host: Host, armed: str) -> None:
    """No error when it is gone. A hand-back that has begun is let be: it may be us."""
    if armed.isdigit():
        process = host.process(int(armed))
        if process is not None and _CHILD in process.argv:
            host.kill([process.pid], signal.SIGKILL)
    elif armed:
        host.run(["systemctl", "stop", f"{armed}.timer"])
