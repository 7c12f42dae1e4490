"""``python -I -m holdfast.publish.publisher [--spool DIR] [--state-dir DIR] [--wait SECONDS]``.

Publishes what the daemon wrote about names (to systemd-resolved, else resolvconf, else /etc/resolv.conf) and about
time servers (to chrony and systemd-timesyncd). A program of its own for two reasons: the daemon may be a user who may
do none of that, and all of it can take seconds, which other interfaces' packets must not wait for. systemd starts it
when the spool changes (holdfast-dns.path); a daemon that is root starts it itself. It may be started at any time and
any number of times: it does what is wanted now, whatever was done before, one at a time. What has been done is told, in
the words of the spool, by a file for each interface in a folder of root's beside the spool's (``dns_dir``): who waits
for names waits for that. With ``--wait`` it goes on for so long while systemd-resolved cannot be told yet: early in a
boot there is no D-Bus, which is no error. Where a boot waits for names, what waits publishes them itself (``online``):
another interpreter's start would be waited for.

Exit statuses: 0 done; 1 something cannot be published; 2 wrong arguments; 75 try again later (sysexits.h).
"""

from __future__ import annotations

import fcntl
import os
import sys
from _signal import SIGALRM, alarm, signal  # type: ignore[import-not-found]  # `signal` makes enums
from _socket import if_nametoindex
from time import monotonic, sleep, time

from holdfast import json_text
from holdfast.escape import printable
from holdfast.network import ResolverError
from holdfast.observe.limit import SayOnce
from holdfast.publish import networkd_link
from holdfast.publish.backends import Backend, Resolver, ladder
from holdfast.publish.spool import SUFFIX, LinkNames, read_all, render
from holdfast.publish.time_servers import TimeServers, daemons
from holdfast.settings.dirs import DNS_STATE_DIR, dns_dir, runtime_dir
from holdfast.state import atomic
from holdfast.state import folder as folders
from holdfast.state.identity import BOOT_ID, read_line
from holdfast.wire.lean import partial, suppress
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

DONE, FAILED, WRONG_USAGE, LATER = 0, 1, 2, 75
USAGE = "usage: python -m holdfast.publish.publisher [--spool DIR] [--state-dir DIR] [--wait SECONDS]"
#: Seconds for the whole run, including the wait for another running publisher.
TIME_LIMIT = 60
#: Longest wait for systemd-resolved or D-Bus to start, and the time between two checks, in seconds.
MAX_WAIT, PAUSE = 45, 0.5
#: Seconds from the end of one run to the work of the next: a writer of the spool could have it started in a loop.
MIN_INTERVAL = 1.0
#: How often the spool is looked at again because it changed while it was worked on.
MAX_ROUNDS = 10
PUBLISHED = "published.json"
#: Bytes of it: a line for each of MAX_FILES interfaces.
PUBLISHED_LIMIT = 32 << 10


def main(argv: list[str] | None = None) -> int:
    """Run once, and return the exit status."""
    options = _arguments(sys.argv[1:] if argv is None else argv)
    spool = options["--spool"] or os.path.join(runtime_dir(), "dns")
    return publish(spool, options["--state-dir"] or state_dir(), _seconds(options, "--wait"))


def state_dir() -> str:
    """The folder for what was done, as systemd or the installation says."""
    return os.environ.get("STATE_DIRECTORY", "").split(":")[0] or DNS_STATE_DIR


def publish(spool: str, state: str, wait: int | None) -> int:
    """One run for what is in the folder ``spool``; the exit status. What was done is kept in the folder ``state``.
    It is repeated for up to ``wait`` seconds while something has to come up first; with None somebody else does that,
    and tells what never came up."""
    signal(SIGALRM, _overdue)
    alarm(TIME_LIMIT)
    try:
        folders.make(state)
        backends = ladder(state, replace, partial(_say, status=FAILED))
        publisher = Publisher(spool, state, backends, time_daemons=daemons())
        return work(publisher, state, wait)
    except TimeoutError as error:
        return _say(str(error), LATER)
    except OSError as error:
        return _say(f"name servers cannot be published: {error.filename or state}: {error.strerror}; make room, or let "
                    "root write there", FAILED)
    finally:
        alarm(0)


def replace(path: str, data: bytes, mode: int) -> None:
    """``atomic.write`` for a file of the resolver, whose folder may be another program's user's, as
    /run/systemd/resolve is. OSError."""
    atomic.write(path, data, mode, anyones=True)


def told_folder(spool: str) -> str:
    """Where is told what has been done of ``spool``."""
    return dns_dir(os.path.dirname(spool.rstrip("/")))


def work(publisher: Publisher, state: str, wait: int | None) -> int:
    """Run ``publisher``, and again for up to ``wait`` seconds while something has to come up first; the exit status."""
    end = monotonic() + (wait or 0)
    while True:
        lock = _lock(state, 0.0 if wait is None else MIN_INTERVAL)
        try:
            status = publisher.run()
        finally:
            os.ftruncate(lock, 1)
            os.utime(lock, (time(), time()))
            os.close(lock)
        if status != LATER or monotonic() >= end:
            if wait is not None:
                publisher.tell_what_is_missing()
            return status
        sleep(PAUSE)


class Publisher:
    """Makes the machine's resolver, and the programs that keep its clock, what the files in ``spool`` want; what it
    did is kept in ``state``. ``index_of`` tells the number of the interface that has a name now, 0 for none;
    ``watched`` differs when something has changed that backends look at."""

    def __init__(
        self, spool: str, state: str, backends: tuple[Backend, ...], index_of: Callable[[str], int] | None = None,
        watched: Callable[[], object] = networkd_link.states, time_daemons: Sequence[TimeServers] = (),
    ) -> None:
        self._spool, self._state, self._backends = spool, state, backends
        self._index_of, self._watched = index_of or _ifindex, watched
        self._time_daemons = time_daemons
        self._path = os.path.join(state, PUBLISHED)
        self._told = told_folder(spool)
        self._said = SayOnce(_say_line)
        self._missing: list[str] = []

    def run(self) -> int:
        """Work until the spool, and what backends look at, are as they were before the work: systemd starts a unit that
        still runs no second time. OSError when a folder cannot be used."""
        status = DONE
        self._missing.clear()
        for _ in range(MAX_ROUNDS):
            seen, (wanted, problems) = self._watched(), read_all(self._spool)
            for problem in problems.values():
                self._tell(problem)
            status = max(FAILED if problems else DONE, self._publish(wanted, frozenset(problems)))
            if (self._watched(), read_all(self._spool)) == (seen, (wanted, problems)):
                break
        return status

    def tell_what_is_missing(self) -> None:
        """Report why the run has to be repeated."""
        for text in self._missing:
            self._tell(text)

    def _publish(self, wanted: dict[str, LinkNames], unknown: frozenset[str]) -> int:
        """The files of the interfaces in ``unknown`` cannot be used: what is published for them stays as it is."""
        used = self._used()
        resolver = Resolver(self._backends, used)
        present = {name: want for name, want in wanted.items() if self._index_of(name) == want.ifindex}
        status = DONE
        # Withdraw first: a renamed interface keeps its number.
        for ifindex, (_, name) in used.items():
            if name not in unknown and (name not in present or present[name].ifindex != ifindex):
                status = max(status, self._try(f"{name}: name servers", partial(resolver.withdraw, name, ifindex)))
        for name, want in present.items():
            step = partial(resolver.publish, name, want.ifindex, want.names)
            status = max(status, self._try(f"{name}: name servers", step))
        if resolver.used != used:
            self._keep(resolver.used)
        for daemon in self._time_daemons:
            servers = {name: want.ntp for name, want in present.items()}
            status = max(status, self._try("time servers", partial(daemon.update, servers, unknown)))
        with suppress(OSError):  # who waits for it does so for a bounded time
            self._tell_done(present)
        return status

    def _tell_done(self, present: dict[str, LinkNames]) -> None:
        """Say for each interface that what could be done has been, now. Raises OSError."""
        with folders.opened(self._told, make=True) as there:
            for name in folders.names_at(there):
                if name.removesuffix(SUFFIX) not in present and name.endswith(SUFFIX):
                    os.unlink(name, dir_fd=there)
            for name, want in present.items():
                atomic.write_at(there, name + SUFFIX, render(want), 0o644, durable=False)

    def _try(self, what: str, step: Callable[[], object]) -> int:
        try:
            step()
        except ResolverError as error:
            text = f"{what}: {error}"
            if error.temporary:
                self._missing.append(text)
                return LATER
            self._tell(text)
            return FAILED
        return DONE

    def _tell(self, text: str) -> None:
        """Write ``text``, at most once in a run."""
        self._said.say(text, 4, text)

    def _used(self) -> dict[int, tuple[str, str]]:
        """What was published where; after a reboot only what survives one, /etc/resolv.conf."""
        try:
            document = json_text.loads(folders.read(self._path, PUBLISHED_LIMIT))
            same_boot = document["boot_id"] == read_line(BOOT_ID)
            entries = {int(ifindex): (str(backend), str(name)) for ifindex, (backend, name) in document["used"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}
        return {key: value for key, value in entries.items() if same_boot or value[0] == self._backends[-1].name}

    def _keep(self, used: dict[int, tuple[str, str]]) -> None:
        document = {"boot_id": read_line(BOOT_ID), "used": used}
        atomic.write(self._path, json_text.dumps(document).encode() + b"\n", 0o644)


def _ifindex(name: str) -> int:
    try:
        return if_nametoindex(name)
    except OSError:
        return 0


def _lock(state: str, distance: float) -> int:
    """Wait until no other publisher runs, and ``distance`` s have passed since the last run, whose end is the file's
    time; an empty file: there was none. What is written meanwhile is published by this run."""
    while True:
        with folders.opened(state) as there:
            fd = folders.open_or_create_at(there, "lock", os.O_RDWR, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            last = os.fstat(fd)
            since = time() - last.st_mtime  # a clock that was set back says nothing
            if not last.st_size or not 0 <= since < distance:
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # a boot, which is waited for, goes before
        sleep(distance - since)


def _overdue(_number: int, _frame: object) -> NoReturn:
    raise TimeoutError(f"name servers: not done after {TIME_LIMIT} s; a program that the resolver runs does not end")


def _arguments(argv: list[str]) -> dict[str, str | None]:
    options: dict[str, str | None] = {"--spool": None, "--state-dir": None, "--wait": None}
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        given = value if equals else next(words, None)
        if name not in options or not given:
            raise SystemExit(_say(f"{word}: not understood; {USAGE}", WRONG_USAGE))
        options[name] = given
    return options


def _seconds(options: dict[str, str | None], name: str) -> int:
    text = options[name]
    if text is not None and not (text.isascii() and text.isdecimal() and int(text) <= MAX_WAIT):
        raise SystemExit(_say(f"{name} {text}: not a whole number of seconds up to {MAX_WAIT}; {USAGE}", WRONG_USAGE))
    return int(text or 0)


def _say_line(_priority: int, text: str) -> None:
    _say(text, FAILED)


def _say(text: str, status: int) -> int:
    sys.stderr.write(f"holdfast: {printable(text)[:500]}\n")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
