"""The history of one interface: one JSON line for each outcome, in ``<state>/<ifname>.outcomes.jsonl``.

Bounded: at 1 MiB the file becomes ``.1`` and a new one begins, so that the two hold 2000 to 4500
outcomes: half a week of renewals of a 120 s lease, six years of a 24 h one. An outcome that cannot
be written (full disk, read-only folder) waits in memory and is written with the next one.

Nothing is synchronised to the disk: a killed process loses nothing, a power cut may lose the last
seconds, and a renewal does not wait for a disk.
"""

from __future__ import annotations

import os
import time
from errno import EBUSY
from itertools import islice
from math import inf

from holdfast.core.outcome import Outcome, Purpose, Result, Via
from holdfast.state import HISTORY
from holdfast.state import folder as folders
from holdfast.state.background import Background
from holdfast.state.identity import BOOT_ID, read_line
from holdfast.wire.address import IPv4Address
from holdfast.wire.lean import deque
from holdfast.wire.record import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

#: Bytes of one file; see above.
SIZE_LIMIT = 1 << 20
#: Outcomes that wait in memory: an hour of the shortest lease in the field (120 s), and about 30 KiB.
QUEUE_LIMIT = 64
#: Longest line, in bytes; ours have about 500.
LINE_LIMIT = 16 << 10
#: How often another file with the history's name is moved away for one line.
_ATTEMPTS = 3


class Record(TypedDict):
    """One line of the history. Durations are seconds, or "infinite"; instants are boot-time seconds,
    which count from the boot that ``boot_id`` names; ``time`` is UTC in ISO 8601."""

    time: str
    boottime: float
    boot_id: str
    interface: str
    purpose: str
    result: str
    path: str | None
    attempts: int
    latency: float | None
    server: str | None
    address: str | None
    former_address: str | None
    lease_time: float | str | None
    seconds_left: float | str
    cause: str
    xid: str | None
    started_at: float
    ended_at: float


def as_record(outcome: Outcome, ifname: str, *, boottime: float, wall: float) -> Record:
    """``outcome`` as it is written. ``boottime`` and ``wall`` (Unix seconds) are of the same moment."""
    return Record(
        time=iso_time(wall),
        boottime=round(boottime, 3),
        boot_id=boot_id(),
        interface=ifname,
        purpose=outcome.purpose.value,
        result=outcome.result.value,
        path=None if outcome.via is None else outcome.via.value,
        attempts=outcome.attempts,
        latency=None if outcome.latency is None else round(outcome.latency, 4),
        server=_text(outcome.server),
        address=_text(outcome.address),
        former_address=_text(outcome.former_address),
        lease_time=None if outcome.lease_time is None else _duration(outcome.lease_time),
        seconds_left=_duration(max(0.0, outcome.seconds_left)),
        cause=outcome.cause,
        xid=None if outcome.xid is None else f"0x{outcome.xid:08x}",
        started_at=round(outcome.started_at, 3),
        ended_at=round(outcome.ended_at, 3),
    )


def as_outcome(record: Mapping[str, Any]) -> Outcome:
    """The outcome that ``record`` was made of, with the times rounded as they are there.

    Raises ValueError, KeyError or TypeError when ``record`` is not as we write it.
    """
    via, latency, duration, xid = record["path"], record["latency"], record["lease_time"], record["xid"]
    return Outcome(
        purpose=Purpose(record["purpose"]),
        result=Result(record["result"]),
        via=None if via is None else Via(via),
        attempts=int(record["attempts"]),
        latency=None if latency is None else float(latency),
        server=_address(record["server"]),
        address=_address(record["address"]),
        former_address=_address(record["former_address"]),
        lease_time=None if duration is None else _seconds(duration),
        seconds_left=_seconds(record["seconds_left"]),
        cause=str(record["cause"]),
        xid=None if xid is None else int(xid, 16),
        started_at=float(record["started_at"]),
        ended_at=float(record["ended_at"]),
    )


class OutcomeJournal:
    """Appends to the history of one interface.

    ``lost`` counts the outcomes that were pushed out of the memory queue unwritten.
    """

    def __init__(self, directory: str, ifname: str, *, size_limit: int = SIZE_LIMIT) -> None:
        self.path = history_path(directory, ifname)
        self.lost = 0
        self._size_limit = size_limit
        self._disk = Background()
        self._queue: deque[bytes] = deque()

    @property
    def pending(self) -> int:
        """The number of outcomes that are not written yet."""
        return len(self._queue)

    def append(self, record: Mapping[str, Any]) -> None:
        """Write ``record`` after all that are not written yet. Raises OSError; ``record`` is then kept."""
        from holdfast import json_text  # noqa: PLC0415 - not needed before the first lease

        if len(self._queue) == QUEUE_LIMIT:
            self._queue.popleft()
            self.lost += 1
        self._queue.append(json_text.dumps(record, spaces=False).encode() + b"\n")
        self.flush()

    def flush(self) -> None:
        """Write all that are not written yet, in order; a disk that takes long is not waited for. Raises OSError; the
        rest is then kept."""
        if self._queue and not self._disk.busy:
            self._disk.run(self._write_all)

    def close(self) -> None:
        """Wait a second for what is being written."""
        self._disk.wait(1.0)

    def _write_all(self) -> None:
        while self._queue:
            self._write(self._queue[0])
            self._queue.popleft()

    def _write(self, line: bytes) -> None:
        # Opened for each line: it happens once in a renewal, and survives whatever is done to the file and the folder.
        folder, name = os.path.split(self.path)
        with folders.opened(folder) as there:
            for attempt in range(_ATTEMPTS):
                try:
                    if self._append(there, name, line):
                        return
                except folders.NotPlainError:  # a link, say: it is moved away, and what it leads to is not touched
                    if attempt == _ATTEMPTS - 1:
                        raise
                os.rename(name, name + ".1", src_dir_fd=there, dst_dir_fd=there)
        raise OSError(EBUSY, "is never the file that was begun", self.path)

    def _append(self, folder: int, name: str, line: bytes) -> bool:
        """False when the file is full. OSError."""
        fd = folders.open_or_create_at(folder, name, os.O_RDWR | os.O_APPEND, 0o644)
        try:
            size = os.fstat(fd).st_size
            if size and size + len(line) > self._size_limit:
                return False
            # A line that a crash truncated must not be joined with the next one.
            cut = size and os.pread(fd, 1, size - 1) != b"\n"
            _append_whole(fd, b"\n" + line if cut else line, size)
            return True
        finally:
            os.close(fd)


def _append_whole(fd: int, data: bytes, size: int) -> None:
    """Write all of ``data`` or nothing: a disk that becomes full leaves no partial line."""
    try:
        written = os.write(fd, data)
        while written < len(data):
            written += os.write(fd, data[written:])
    except OSError:
        os.ftruncate(fd, size)
        raise


def history_path(directory: str, ifname: str) -> str:
    """The path of the history of ``ifname``."""
    return os.path.join(directory, ifname + HISTORY)


def interfaces_with_history(directory: str) -> list[str]:
    """The names of all interfaces that have a history in ``directory``; empty when there is none. Raises
    PermissionError."""
    try:
        names = folders.names(directory, anyones=True)
    except PermissionError:
        raise
    except OSError:
        return []
    return sorted({name.removesuffix(".1").removesuffix(HISTORY) for name in names
                   if name.removesuffix(".1").endswith(HISTORY)})


def read_history(
    directory: str, ifname: str, *, since: float | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """The outcomes of ``ifname``, oldest first, from ``since`` (Unix seconds) on; the last ``limit`` of them.

    Lines that are not valid (a crash, an editor, a bad disk) are skipped. Raises OSError when a
    file is there and cannot be read.
    """
    path = history_path(directory, ifname)
    start = "" if since is None else iso_time(since)
    newest_first = (record for part in (path, path + ".1") for record in _records_backwards(part)
                    if record["time"] >= start)
    return list(islice(newest_first, limit))[::-1]


def _records_backwards(path: str) -> Iterator[dict[str, Any]]:
    from holdfast import strict_json  # noqa: PLC0415

    try:
        # Twice the limit, because the file may have been exchanged and the agent answers `History` from it.
        lines = folders.read(path, 2 * SIZE_LIMIT, anyones=True).split(b"\n")
    except FileNotFoundError:
        return
    for line in reversed(lines):
        try:
            record = strict_json.loads(line) if 0 < len(line) <= LINE_LIMIT else None
        except ValueError:
            continue
        if isinstance(record, dict) and _has_texts(record, "time", "result"):
            yield record


def _has_texts(record: dict[str, Any], *keys: str) -> bool:
    return all(isinstance(record.get(key), str) for key in keys)


def iso_time(wall: float) -> str:
    """Unix seconds as UTC, ISO 8601 to the millisecond; such texts sort as time does."""
    thousandths = round(wall * 1000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(thousandths // 1000))
    return f"{whole}.{thousandths % 1000:03d}Z"


def unix_time(text: str) -> float:
    """Unix seconds of a ``time`` as ``iso_time`` writes it. Raises ValueError."""
    from calendar import timegm  # noqa: PLC0415 - for commands

    return timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) + float(text[19:].removesuffix("Z") or 0.0)


def boot_id(path: str = BOOT_ID) -> str:
    """This boot's identifier, which the kernel tells at ``path``, or an empty text where it tells none."""
    return read_line(path).replace("-", "")


def _duration(value: float) -> float | str:
    return "infinite" if value == inf else round(value, 3)


def _seconds(value: float | str) -> float:
    return inf if value == "infinite" else float(value)


def _address(value: str | None) -> IPv4Address | None:
    return None if value is None else IPv4Address(value)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
