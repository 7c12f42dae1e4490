"""What the adapters of clients have in common: describe a process, its unit, stop it, start it as it was."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from holdfast.takeover.host import Host, Process
from holdfast.takeover.model import Change, Command, FileChange, Found, Ownership, TakeoverError

RELOAD = ("systemctl", "daemon-reload")
#: Kept for hand-back: the environment of a daemon is small; what is larger is not needed to start one.
ENVIRONMENT_LIMIT, VARIABLE_LIMIT = 64, 1 << 14
#: What a client has that was started without anything, or that is gone before it was asked: its script needs this.
BARE = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
#: Seconds in which a client that is there twice may be one that forks: to call its script, to become a daemon.
FORK_PATIENCE = 5.0


def found(
    host: Host, client: str, manager: str, ifname: str, process: Process, evidence: str, *,
    pids: Sequence[int] = (), facts: Mapping[str, str] | None = None,
) -> Found:
    """The description of ``process``; ``pids`` when there are more than its own."""
    return Found(
        client, manager, ifname, tuple(pids) or (process.pid,), evidence, process.argv, _environment(host, process.pid),
        host.cwd(process.pid), own_unit(host, process.pid),
        {"program": host.executable(process.pid), **(facts or {})},
    )


def _environment(host: Host, pid: int) -> Mapping[str, str]:
    """Of ``pid``, bounded; its PATH in any case."""
    every = {name: value for name, value in host.environment(pid).items() if len(name + value) <= VARIABLE_LIMIT}
    first = {name: every[name] for name in ("PATH",) if name in every}
    return dict(list({**first, **every}.items())[:ENVIRONMENT_LIMIT]) or BARE


def family(host: Host, look: Callable[[], list[Process]]) -> list[Process]:
    """What ``look`` finds, a parent before its children: a client that forks, to call its script or to become a
    daemon, is one. Two without a common parent for longer than a moment are two, and both are first."""

    seen: list[Process] = []

    def one() -> bool:
        nonlocal seen
        found = look()
        pids = {process.pid for process in found}
        first = [process for process in found if process.ppid not in pids]
        seen = [*first, *(process for process in found if process not in first)]
        return len(first) < 2

    host.wait(one, FORK_PATIENCE)
    return seen  # and not what a second look would show, which may come in the middle of a fork again


def unrelated(processes: Sequence[Process]) -> bool:
    """True when they are more than one family."""
    pids = {process.pid for process in processes}
    return len([process for process in processes if process.ppid not in pids]) > 1


def own_unit(host: Host, pid: int) -> str:
    """The service that exists to run ``pid``, "" when it only happens to live in one (a login, cloud-init)."""
    unit = host.unit_of(pid)
    if not unit.endswith(".service") or not host.systemd:
        return ""
    main = host.run(["systemctl", "show", "--property=MainPID", "--value", unit]).stdout.strip()
    return unit if main == str(pid) else ""


def unit_ownership(host: Host, client: Found) -> Ownership:
    """Keep the client's own unit from starting it: by a drop-in now, by not being enabled after a reboot."""
    if not client.unit:
        return Ownership()
    drop_in = FileChange(
        f"/run/systemd/system/{client.unit}.d/50-holdfast.conf",
        f"# {client.ifname} is Holdfast's: see `holdfast handback`\n"
        "[Unit]\nConditionPathExists=!/run/systemd/system\n\n[Service]\nRestart=no\n".encode(),
    )
    # Changes are undone in reverse, so the first reload is the one after the drop-in has gone.
    volatile: tuple[Change, ...] = (Command(RELOAD, RELOAD), drop_in, Command(RELOAD))
    persistent: tuple[Change, ...] = ()
    if host.unit_enabled(client.unit) == "enabled":
        persistent = (Command(("systemctl", "disable", client.unit), ("systemctl", "enable", client.unit)),)
    return Ownership(volatile, persistent)


def stop(host: Host, client: Found) -> None:
    """SIGKILL to what of ``client.pids`` still is that client. Every other signal may release or flush."""
    host.kill([pid for pid in client.pids if _still(host, pid, client.client)])


def _still(host: Host, pid: int, program: str) -> bool:
    process = host.process(pid)
    return process is not None and program in (process.program, process.comm)


def start_again(host: Host, client: Found, extra: Sequence[str] = ()) -> None:
    """By its unit when it has one, else by its own command line (``extra`` words added) and environment."""
    if client.unit:
        host.run(["systemctl", "reset-failed", client.unit])
        host.must(["systemctl", "start", "--no-block", client.unit])
        return
    if not client.argv:
        raise TakeoverError(f"how {client.client} was started on {client.ifname} is not known; start it by hand")
    program = client.facts.get("program") or host.which(client.argv[0])
    if not host.systemd:
        host.start([*client.argv, *extra], client.environment, client.cwd, program or None)
        return
    # What we run in (the dead-man's unit, an ssh session) may end its processes when it ends itself.
    scope = [host.which("systemd-run") or "systemd-run", "--scope", "--quiet", "--collect", "--slice=system.slice",
             f"--description={client.name} on {client.ifname}", "--"]
    # busybox goes by the name that it is called by.
    same = program is not None and os.path.basename(program) == os.path.basename(client.argv[0])
    called = program if program and same else host.which(client.argv[0]) or client.argv[0]
    host.start([*scope, called, *client.argv[1:], *extra], client.environment, client.cwd)
