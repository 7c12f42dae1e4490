"""What runs inside a client's private namespaces; started as a script by ``running.py``, imported by nobody.

It is process 1 of a new PID namespace, in new mount and UTS namespaces and in the network namespace of the
client. It gives the client folders of its own, so that nothing of the machine is written:

- /etc and /var are overlays: the machine's files are seen; changes land in memory and go with the namespace;
- a package that is only unpacked somewhere ("layers") looks installed: its files are seen where they belong;
- /run is empty;
- /sys shows the network namespace and is read-only: systemd-networkd and NetworkManager take that as
  "there is no udev here", and do not wait for udev to name the interface.

Standard input: one line, a JSON object {"files": {path: text}, "folders": {path: user}, "helpers": [[argv, path to
wait for]], "layers": [root folders], "argv": [...], "environment": {...}, "log": path}, and the line "go", once what is
mounted has been looked at from outside. Standard output: the line "mounted", and then a JSON line {"exec":
CLOCK_BOOTTIME in nanoseconds just before the client's exec, "spare": [pids that are not its own]}.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """Build the cage, start the client, and hold the namespace until it is ended from outside."""
    brief = json.loads(sys.stdin.readline())
    private_folders(brief["layers"])
    print("mounted", flush=True)
    if sys.stdin.readline() != "go\n":
        sys.exit("the client was not to be started")
    furnish(brief)
    helpers = [start_helper(argv, Path(wait_for)) for argv, wait_for in brief["helpers"]]
    announce, told = os.pipe()
    child = os.fork()
    if child == 0:
        become(brief, told)
    os.close(told)
    with os.fdopen(announce) as pipe:
        started = int(pipe.read())
    print(json.dumps({"exec": started, "spare": [1, *helpers]}), flush=True)
    # A second interpreter here would share memory with a client in Python and flatter it. sleep(1) inherits
    # the ignored SIGCHLD, with which the kernel itself reaps what the client leaves behind.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.execv("/bin/sleep", ["sleep", "infinity"])  # noqa: S606


def private_folders(layers: list[str]) -> None:
    """Mount what the module's first lines say."""
    commands = [
        "mount --make-rprivate /",
        "mount -t proc proc /proc",
        "mount -t tmpfs -o mode=755 tmpfs /run",
        "umount -l /sys",
        "mount -t sysfs -o ro sysfs /sys",
    ]
    for folder in ("/etc", "/var"):
        upper, work = f"/run/.cage{folder}", f"/run/.cage{folder}.work"
        options = f"{below(folder, folder, layers)},upperdir={upper},workdir={work}"
        commands += [f"mkdir -p {upper} {work}", f"mount -t overlay -o {options} overlay {folder}"]
    # packages from before the merged /usr have their files in /sbin and the like, which are links here
    for source, folder in (("/usr", "/usr"), ("/bin", "/usr/bin"), ("/lib", "/usr/lib"), ("/sbin", "/usr/sbin")):
        if ":" in (lower := below(source, folder, layers)):
            commands.append(f"mount -t overlay -o {lower} overlay {folder}")
    commands += ["rm -rf /var/run", "ln -s /run /var/run"]
    subprocess.run(["/bin/sh", "-ec", "\n".join(commands)], check=True)


def below(source: str, folder: str, layers: list[str]) -> str:
    """The overlay's option that puts ``source`` of every layer that has it under the machine's ``folder``."""
    found = [layer + source for layer in layers if Path(layer + source).is_dir()]
    return "lowerdir=" + ":".join([folder, *(shlex.quote(name.replace(":", r"\:")) for name in found)])


def furnish(brief: dict[str, Any]) -> None:
    """Write the client's folders and configuration files."""
    for name, user in brief["folders"].items():
        Path(name).mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(KeyError):  # a client that is only unpacked brings no user
            entry = pwd.getpwnam(user)
            os.chown(name, entry.pw_uid, entry.pw_gid)
    for name, text in brief["files"].items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text)
        # NetworkManager refuses connection files that others can read; networkd's own user must read its file
        path.chmod(0o600 if path.suffix == ".nmconnection" else 0o644)


def start_helper(argv: list[str], wait_for: Path) -> int:
    """Start a program that the client needs (a message bus) and wait until its socket exists; its pid."""
    null = subprocess.DEVNULL
    process = subprocess.Popen(argv, stdin=null, stdout=null, stderr=null)
    deadline = time.monotonic() + 60  # a guard against a hang, however busy the machine is
    while not wait_for.exists():
        if time.monotonic() > deadline or process.poll() is not None:
            sys.exit(f"{argv[0]} did not make {wait_for}")
        time.sleep(0.002)
    return process.pid


def become(brief: dict[str, Any], told: int) -> None:
    """Turn this child into the client: standard files to the log, then exec."""
    log = os.open(brief["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir("/run")
    os.write(told, b"%d" % time.clock_gettime_ns(time.CLOCK_BOOTTIME))  # the pipe closes itself at the exec
    os.execvpe(brief["argv"][0], brief["argv"], brief["environment"])  # noqa: S606


if __name__ == "__main__":
    main()
