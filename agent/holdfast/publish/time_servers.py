"""Time servers for chrony and systemd-timesyncd: a file for each interface where the daemon looks, and a word to it.

Debian and Fedora do it the same way in hooks of dhclient and NetworkManager: ``/run/chrony-dhcp/*.sources`` and
``chronyc reload sources``; a drop-in of timesyncd.conf(5) and ``systemctl try-restart``. Ours have names of their own,
because those hooks remove the files that have theirs. A daemon that starts later finds the files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence

from holdfast.network import ResolverError
from holdfast.publish.resolvconf import Run, run
from holdfast.state import atomic
from holdfast.state import folder as folders
from holdfast.wire.address import IPv4Address
from holdfast.wire.record import NamedTuple

HEADER = "# Written by Holdfast from DHCP; removed when the lease ends.\n"
#: Follows the text until the daemon has been told, so that a run that fails here is repeated by the next one.
UNTOLD = "# not told yet\n"
#: Bytes: eight servers take 300.
_LIMIT = 4096


class TimeDaemon(NamedTuple):
    """A program that keeps the clock. ``programs``: one of them is there where it is installed. ``running`` is there
    when ``command`` can reach it."""

    name: str
    programs: tuple[str, ...]
    folder: str
    prefix: str
    suffix: str
    text: Callable[[Sequence[IPv4Address]], str]
    running: str
    command: tuple[str, ...]


CHRONY = TimeDaemon(
    "chrony", ("/usr/sbin/chronyd",), "/run/chrony-dhcp", "holdfast-", ".sources",
    lambda servers: "".join(f"server {server} iburst\n" for server in servers),
    "/run/chrony/chronyd.sock", ("chronyc", "reload", "sources"),
)
#: It reads its files when it starts. Not waited for: a restart early in a boot waits for other units.
TIMESYNCD = TimeDaemon(
    "systemd-timesyncd", ("/usr/lib/systemd/systemd-timesyncd", "/lib/systemd/systemd-timesyncd"),
    "/run/systemd/timesyncd.conf.d", "50-holdfast-", ".conf",
    lambda servers: f"[Time]\nNTP={' '.join(map(str, servers))}\n",
    "/run/systemd/private", ("systemctl", "--no-block", "try-restart", "systemd-timesyncd.service"),
)


class TimeServers:
    """Publishes the time servers of all interfaces to one daemon."""

    def __init__(self, daemon: TimeDaemon, run: Run = run) -> None:
        self._daemon, self._run = daemon, run

    def update(self, wanted: Mapping[str, Sequence[IPv4Address]], kept: Collection[str]) -> None:
        """Make the files say what is ``wanted``, by interface, and tell the daemon when one of them changed. Files of
        the interfaces in ``kept`` stay as they are. Nothing is done where the daemon is not installed. Raises
        ResolverError; a later call does then what this one could not."""
        if not any(os.access(program, os.X_OK) for program in self._daemon.programs):
            return
        try:
            self._update({name: servers for name, servers in wanted.items() if servers}, kept)
        except OSError as error:
            path = error.filename or self._daemon.folder
            raise ResolverError(f"{self._daemon.name}: {path}: {error.strerror}") from None

    def _update(self, wanted: Mapping[str, Sequence[IPv4Address]], kept: Collection[str]) -> None:
        there = self._files()
        gone = [name for name in there if name not in wanted and name not in kept]
        texts = {name: HEADER + self._daemon.text(servers) for name, servers in wanted.items()}
        changed = {name: text for name, text in texts.items() if there.get(name) != text}
        if not gone and not changed:
            return
        folders.make(self._daemon.folder)
        for name, text in {**dict.fromkeys(gone, HEADER), **changed}.items():
            self._write(name, text + UNTOLD)
        if os.path.exists(self._daemon.running):
            self._run(list(self._daemon.command), "")
        for name, text in changed.items():
            self._write(name, text)
        for name in gone:
            folders.unlink(self._path(name))

    def _files(self) -> dict[str, str]:
        """What our files say now, by interface."""
        prefix, suffix = self._daemon.prefix, self._daemon.suffix
        try:
            with folders.opened(self._daemon.folder) as there:
                ours = [name for name in folders.names_at(there) if name.startswith(prefix) and name.endswith(suffix)]
                return {
                    name[len(prefix):-len(suffix)]: folders.read_at(there, name, _LIMIT).decode("utf-8", "replace")
                    for name in ours
                }
        except FileNotFoundError:
            return {}

    def _write(self, name: str, text: str) -> None:
        atomic.write(self._path(name), text.encode(), 0o644, durable=False)  # /run ends with the boot

    def _path(self, name: str) -> str:
        return f"{self._daemon.folder}/{self._daemon.prefix}{name}{self._daemon.suffix}"


def daemons() -> tuple[TimeServers, ...]:
    """Those of this machine: each is told, because at most one of them runs."""
    return TimeServers(CHRONY), TimeServers(TIMESYNCD)
