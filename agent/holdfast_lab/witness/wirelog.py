"""What was seen on the wire, as records with a time; the ground that verdicts stand on."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from holdfast_lab.testbed.fair_time import wait_on

SO_TIMESTAMPNS = 35  # also its SCM number; missing in the socket module
ETH_P_ALL, ETH_P_IP, ETH_P_ARP = 3, 0x0800, 0x0806


def boottime() -> float:
    """CLOCK_BOOTTIME in seconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def packet_socket(name: str, protocol: int) -> socket.socket:
    """A raw packet socket on link ``name`` of the calling thread's namespace, with kernel time stamps."""
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.htons(protocol))
    tap.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    tap.bind((name, protocol))
    return tap


def receive(tap: socket.socket) -> tuple[bytes, float]:
    """One frame and when it arrived (CLOCK_BOOTTIME), by the kernel's stamp: our own turn may come late."""
    frame, ancillary, _flags, _address = tap.recvmsg(65536, 64)
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("=qq", data)
            age = time.time() - (seconds + nanoseconds * 1e-9)
            return frame, boottime() - max(0.0, age)
    return frame, boottime()


@dataclass(frozen=True)
class Seen:
    """One DHCP message on the wire. ``at`` is CLOCK_BOOTTIME; ``direction`` "in" comes from the client.

    ``kind`` is DISCOVER, OFFER, ...; ``broadcast`` tells the Ethernet destination; ``note`` says what the
    server did about it. ``options`` are scapy's names with printable values.
    """

    at: float
    direction: str
    kind: str
    source: str
    destination: str
    broadcast: bool
    mac: str
    xid: int
    secs: int = 0
    flags: int = 0
    ciaddr: str = "0.0.0.0"  # noqa: S104 - an address field, nothing is bound
    yiaddr: str = "0.0.0.0"  # noqa: S104
    server_id: str | None = None
    requested: str | None = None
    lease_time: int | None = None
    length: int = 0
    note: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def unicast_renewal(self) -> bool:
        """A REQUEST that asks one server to prolong a lease."""
        return self.kind == "REQUEST" and self.ciaddr != "0.0.0.0" and self.destination != "255.255.255.255"  # noqa: S104

    @property
    def broadcast_renewal(self) -> bool:
        """A REQUEST that asks every server to prolong a lease."""
        return self.kind == "REQUEST" and self.ciaddr != "0.0.0.0" and self.destination == "255.255.255.255"  # noqa: S104


def merged(logs: Sequence[Sequence[Seen]]) -> list[Seen]:
    """What several servers saw, in order of time. A request that more than one heard is there once: as the one who
    answered it noted it, else as the first did."""
    if len(logs) == 1:
        return list(logs[0])
    found: list[Seen] = []
    for seen in sorted((seen for log in logs for seen in log), key=lambda seen: seen.at):
        twin = next((n for n in range(len(found) - 1, -1, -1) if _same(found[n], seen)), None)
        if twin is None:
            found.append(seen)
        elif seen.note == "answered":
            found[twin] = seen
    return found


def _same(one: Seen, other: Seen) -> bool:
    """One request, seen by two sockets: the kernel's stamps of a frame differ by less than a few milliseconds."""
    if one.direction != "in" or abs(one.at - other.at) > 0.005:
        return False
    return replace(one, at=0.0, note="") == replace(other, at=0.0, note="")


class WireLog:
    """Seen messages in order; safe to read from other threads. ``path``: also written as JSON lines."""

    def __init__(self, path: Path | None = None) -> None:
        self._seen: list[Seen] = []
        self._changed = threading.Condition()
        self._file = path.open("w", encoding="utf-8") if path else None

    def add(self, seen: Seen) -> None:
        """Append one record and wake whoever waits for it."""
        with self._changed:
            self._seen.append(seen)
            if self._file is not None:
                self._file.write(json.dumps(asdict(seen)) + "\n")
                self._file.flush()
            self._changed.notify_all()

    def all(self) -> list[Seen]:
        """A copy of what was seen so far."""
        with self._changed:
            return list(self._seen)

    def written(self) -> threading.Condition:
        """A context: nobody reads the log before what is sent in it has been added."""
        return self._changed

    def wait_for(
        self, wanted: Callable[[Seen], bool], timeout: float, *, count: int = 1, since: float = 0.0
    ) -> Seen:
        """The ``count``-th record after ``since`` that is ``wanted``; AssertionError after ``timeout`` fair
        seconds."""

        def find() -> Seen | None:
            matches = [seen for seen in self._seen if seen.at > since and wanted(seen)]
            return matches[count - 1] if len(matches) >= count else None

        with self._changed:
            found = wait_on(self._changed, find, timeout)
        if found is None:
            tail = "\n".join(
                f"  {s.at:.3f} {s.direction} {s.kind} {s.source}->{s.destination} {s.note}"
                for s in self._seen[-12:]
            )
            raise AssertionError(f"not seen within {timeout} s; the last on the wire:\n{tail}")
        return found

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
