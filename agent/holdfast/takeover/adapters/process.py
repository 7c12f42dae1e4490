"""What the adapters of clients have in common: describe a process, its unit, stop it, start it as it was."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence

from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Host
from holdfast.takeover.model import Change, Command, FileChange, Found, Ownership
from holdfast.takeover.processes import Process

RELOAD = ("systemctl", "daemon-reload")
#: Kept for hand-back: the environment of a daemon is small; what is larger is not needed to start one.
ENVIRONMENT_LIMIT, VARIABLE_LIMIT = 64, 1 << 14
#: What a client has that was started without anything, or that is gone before it was asked: its script needs this.
BARE = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
#: What clients and the scripts of distributions read from their environment: language, dhclient(8)'s own files,
#: interfaces(5)'s of a hook. Nothing else is kept: a variable that tells a loader, a shell or an interpreter what to
#: run (LD_PRELOAD, BASH_ENV, PYTHONPATH, ...) has many names, and PATH keeps only folders that only root can write.
_KEPT = re.compile(r"LANG|LANGUAGE|LC_[A-Z]+|PATH_DHCLIENT_[A-Z]+|IF_\w+|IFACE|LOGICAL|ADDRFAM|METHOD|MODE|PHASE|CLASS|"
                   r"VERBOSITY")
#: Seconds in which a client that is there twice may be one that forks: to call its script, to become a daemon.
FORK_PATIENCE = 5.0


def found(
    host: Host, client: str, manager: str, ifname: str, process: Process, evidence: str, *,
    pids: Sequence[int] = (), facts: Mapping[str, str] | None = None,
) -> Found:
    """The description of ``process``; ``pids`` when there are more than its own."""
    pid = process.pid
    own = environment(host, host.environment(pid)), host.cwd(pid), own_unit(host, pid), host.executable(pid)
    if not host.same(process):  # the pid may belong to another process by now
        own = BARE, "/", "", ""
    return Found(
        client, manager, ifname, tuple(pids) or (pid,), evidence, process.argv, *own[:3],
        {"program": own[3], **(facts or {})},
    )


def environment(host: Host, every: Mapping[str, str]) -> Mapping[str, str]:
    """What a client is started with again, of what it had: bounded, nothing that others than root decide, and a PATH
    in any case."""
    kept = {
        name: value for name, value in every.items() if _KEPT.fullmatch(name) and len(name + value) <= VARIABLE_LIMIT
        and not (value.startswith("/") and host.weakness(value, missing=True))
    }
    path = ":".join(folder for folder in every.get("PATH", "").split(":") if not host.weakness(folder, missing=True))
    return {"PATH": path or BARE["PATH"], **dict(list(kept.items())[:ENVIRONMENT_LIMIT])}


def family(host: Host, look: Callable[[], list[Process]]) -> list[Process]:
    """What ``look`` finds, a parent before its children: a client that forks, to call its script or to become a
    daemon, is one. Two without a common parent for longer than ``FORK_PATIENCE`` are two, and both are first."""

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


def serving(host: Host, client: str, ifname: str, look: Callable[[], list[Process]]) -> list[Process]:
    """The processes of the one ``client`` that serves ``ifname``, a parent before its children; [] for none.
    TakeoverError for two."""
    processes = family(host, look)
    pids = {process.pid for process in processes}
    if len([process for process in processes if process.ppid not in pids]) > 1:
        names = ", ".join(f"pid {process.pid} ({' '.join(process.argv)})" for process in processes)
        raise TakeoverError(f"two {client}s serve {ifname}: {names}; end one of them by "
                            "kill -9, never by its own options, which release the address or flush the interface")
    return processes


def find(host: Host, client: str, ifname: str, look: Callable[[], list[Process]]) -> Found | None:
    """``serving``, described as a client that nobody else runs; None for none."""
    processes = serving(host, client, ifname, look)
    if not processes:
        return None
    pids = [process.pid for process in processes]
    return found(host, client, client, ifname, processes[0], evidence(processes[0]), pids=pids)


def evidence(process: Process) -> str:
    """A text for messages that names the process."""
    return f"pid {process.pid}: {' '.join(process.argv)}"


def own_unit(host: Host, pid: int) -> str:
    """The service whose main process is ``pid``, "" when the process only belongs to one (a login, cloud-init)."""
    unit = host.unit_of(pid)
    return unit if unit.endswith(".service") and main_pid(host, unit) == str(pid) else ""


def main_pid(host: Host, unit: str) -> str:
    """The pid of a service's main process as root's systemd has it, "" for none."""
    if not host.systemd:
        return ""
    pid = host.run(["systemctl", "show", "--property=MainPID", "--value", unit]).stdout.strip()
    return pid if pid.isascii() and pid.isdigit() and pid != "0" else ""


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
    host.kill(client.pids, still=lambda process: _is(process, client.client))


def ask(host: Host, client: Found) -> None:
    """SIGUSR1 to the process that speaks DHCP, while it still is that client: dhcpcd and udhcpc renew then."""
    host.kill(client.pids[:1], signal.SIGUSR1, still=lambda process: _is(process, client.client))


def _is(process: Process, client: str) -> bool:
    """By its name, or as a word after a program of many names (`busybox udhcpc`)."""
    return client in (process.program, process.comm, *process.argv[1:2])


def check(host: Host, client: Found) -> str:
    """The file that starts ``client`` again, "" when only its unit does. TakeoverError when it is not there, when
    others than root can change it, and as ``check_named``."""
    program = client.facts.get("program") or (client.argv[0] if client.argv else "")
    path = program if program.startswith("/") else host.which(program) if program else ""
    if path is None or (path and not host.exists(path)):
        raise TakeoverError(f"{client.name} cannot be started: {program} is not there any more. Nothing was changed; "
                            "install it again")
    if path:
        host.require_root(path, f"{client.name} on {client.ifname} runs")
    check_named(host, client)
    return path


def check_named(host: Host, client: Found) -> None:
    """TakeoverError when its command line names a file (a script, a lease file, a configuration) that others than root
    can change: root would run, write or read it."""
    for named in _named(client):
        host.require_root(named, f"{client.name} on {client.ifname} is told to use")


def _named(client: Found) -> Iterator[str]:
    """Every path that a word of the command line may be: the whole word, the value after "=" or behind a letter."""
    for word in client.argv[1:]:
        option = re.match(r"--[\w-]+=|-\w(?=/)", word)
        path = word[option.end():] if option else word
        if "/" in path or not word.startswith("-"):
            yield os.path.join(client.cwd, path)


def start_again(host: Host, client: Found, extra: Sequence[str] = ()) -> None:
    """By its unit when it has one, else by its own command line (``extra`` words added) and environment."""
    if client.unit:
        host.run(["systemctl", "reset-failed", client.unit])
        host.must(["systemctl", "start", "--no-block", client.unit])
        return
    if not client.argv:
        raise TakeoverError(f"how {client.client} was started on {client.ifname} is not known; start it by hand")
    program = check(host, client)
    surroundings = environment(host, client.environment)
    cwd = "/" if host.weakness(client.cwd) else client.cwd
    if not host.systemd:
        host.start([*client.argv, *extra], surroundings, cwd, program)
        return
    # What we run in (the dead-man's unit, an ssh session) may end its processes when it ends itself.
    scope = [host.which("systemd-run") or "systemd-run", "--scope", "--quiet", "--collect", "--slice=system.slice",
             f"--description={client.name} on {client.ifname}", "--"]
    # busybox selects its program by argv[0].
    same = os.path.basename(program) == os.path.basename(client.argv[0])
    called = program if same else host.which(client.argv[0]) or program
    host.start([*scope, called, *client.argv[1:], *extra], surroundings, cwd)
