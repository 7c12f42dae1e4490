"""This machine's own part: routes, disk, clock, as findings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from itertools import pairwise
from typing import Any, NamedTuple

from holdfast.doctor.finding import BAD, NOTE, OK, Finding
from holdfast.observe.words import duration

Record = Mapping[str, Any]

#: linux/route.h
_RTF_UP, _RTF_REJECT = 0x1, 0x200
#: statvfs(3)
_READ_ONLY = 1
#: Seconds by which a clock that was set back is worth a line; NTP slews less.
SET_BACK = 5.0
#: Outcomes that are looked at.
LATEST = 200


class Route(NamedTuple):
    """A route of the main table. ``mask`` and ``destination`` are numbers in network order."""

    ifname: str
    destination: int
    mask: int
    gateway: IPv4Address
    metric: int


def routes(proc: str = "/proc") -> list[Route]:
    """The IPv4 routes of the main table (proc(5): net/route). Raises OSError."""
    found = []
    with open(f"{proc}/net/route", encoding="ascii", errors="replace") as table:
        next(table, None)
        for line in table:
            row = line.split()
            if len(row) >= 8 and int(row[3], 16) & (_RTF_UP | _RTF_REJECT) == _RTF_UP:
                found.append(Route(row[0], _number(row[1]), _number(row[7]), IPv4Address(_number(row[2])), int(row[6])))
    return found


def _number(text: str) -> int:
    return int.from_bytes(bytes.fromhex(text), "little")


def check_routes(found: Iterable[Route]) -> Iterator[Finding]:
    """Two default routes of one metric: which is used is chance."""
    default: dict[int, list[Route]] = {}
    for route in found:
        if route.mask == 0:
            default.setdefault(route.metric, []).append(route)
    for metric, several in sorted(default.items()):
        if len({route.ifname for route in several}) > 1:
            ways = " and ".join(f"via {route.gateway} dev {route.ifname}" for route in several)
            yield Finding("routes", BAD, f"two default routes have the same metric {metric}: {ways}",
                          "give the links different metrics: `metric` below [interfaces.NAME], or in the manager of "
                          "the other one")


def check_off_link(ifname: str, server: str | None, found: Iterable[Route]) -> Iterator[Finding]:
    """A server that no route of the link leads to: unicast cannot reach it."""
    try:
        number = int(IPv4Address(server or ""))
    except ValueError:  # none, or an agent that is none
        return
    if not any(route.ifname == ifname and number & route.mask == route.destination for route in found):
        yield Finding("off-link", NOTE, f"the DHCP server {server} is not in the link's network, and no route leads to "
                      "it; renewals go by broadcast", "have the server send a route to itself (option 121 or 3)",
                      (f"no route of {ifname} covers {server}",), ifname)


def check_disk(folder: str) -> Iterator[Finding]:
    """The folder of leases and histories can be read and written."""
    try:
        names = os.listdir(folder)
        space = os.statvfs(folder)
    except FileNotFoundError:
        return  # no agent has run yet
    except OSError as error:
        yield _not_read(folder, error, "correct the file system, or the folder's owner and mode; no lease outlives a "
                                       "restart")
        return
    set_aside = sorted(name for name in names if name.endswith(".bad"))
    if space.f_flag & _READ_ONLY:
        yield Finding("disk", BAD, f"{folder} is on a file system that is read-only",
                      "mount it for writing; no lease outlives a restart")
    elif space.f_blocks and not space.f_bavail:
        yield Finding("disk", BAD, f"the disk below {folder} is full", "make room; no lease outlives a restart")
    elif space.f_files and not space.f_favail:
        yield Finding("disk", BAD, f"the disk below {folder} has no inode left", "remove files; no lease outlives a "
                      "restart")
    else:
        yield Finding("disk", OK, f"{folder} can be written")
    for name in set_aside:
        yield Finding("state", NOTE, f"{folder}/{name} could not be used and was set aside",
                      "look why (a power cut, another version), and remove it")
    yield from _unreadable(folder, names)


def _unreadable(folder: str, names: Iterable[str]) -> Iterator[Finding]:
    for name in sorted(names):
        if not name.endswith((".lease.json", ".outcomes.jsonl")):
            continue
        path = os.path.join(folder, name)
        try:
            with open(path, "rb", opener=_no_follow) as file:
                file.read(1)
        except OSError as error:
            yield _not_read(path, error, "correct its owner and mode, or move it away")


def _not_read(path: str, error: OSError, todo: str) -> Finding:
    """What is refused to another user than root says nothing about the machine."""
    if isinstance(error, PermissionError) and os.geteuid() != 0:
        return Finding("state", NOTE, f"not permitted to read {path}; run as root to have it checked")
    return Finding("state", BAD, f"{path} cannot be read: {error.strerror}", todo)


def _no_follow(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def check_history(ifname: str, records: Sequence[Record], offset: float, boot_id: str) -> Iterator[Finding]:
    """What the outcomes of the link tell together. ``offset`` is Unix time minus CLOCK_BOOTTIME now, in the boot that
    ``boot_id`` names."""
    records = [record for record in records[-LATEST:] if record.get("interface") == ifname]
    yield from _clock(ifname, records, offset, boot_id)
    yield from _moves(ifname, records)
    yield from _outages(ifname, records)


def _clock(ifname: str, records: list[Record], offset: float, boot_id: str) -> Iterator[Finding]:
    """Within one boot the wall clock and CLOCK_BOOTTIME go together, unless the former was set."""
    from holdfast.observe.outcomes import unix_time  # noqa: PLC0415

    offsets = []
    for record in records:
        if record.get("boot_id") == boot_id:
            try:
                offsets.append((unix_time(record["time"]) - float(record["boottime"]), record["time"]))
            except (KeyError, TypeError, ValueError):
                continue
    offsets.append((offset, "now"))
    for (former, since), (latter, until) in pairwise(offsets):
        if former - latter > SET_BACK:
            yield Finding("clock", NOTE, f"the clock was set back by {duration(former - latter)}; leases do not depend "
                          "on it", "see which of two time sources is wrong (chrony, timesyncd, the hypervisor)",
                          (f"between {since} and {until}",), ifname)
            return


def _moves(ifname: str, records: list[Record]) -> Iterator[Finding]:
    """A server that gives another address at every other renewal."""
    moved = [record for record in records[-20:] if record.get("result") == "moved"]
    if len(moved) >= 3:
        servers = sorted({str(record.get("server")) for record in moved})
        ways = ", ".join(f"{record.get('former_address')} -> {record.get('address')}" for record in moved[-3:])
        yield Finding("wandering", BAD, f"the DHCP server {' and '.join(servers)} gives another address each time",
                      "see whether it stores its leases, and what it knows this machine by", (ways,), ifname)


def _outages(ifname: str, records: list[Record]) -> Iterator[Finding]:
    """The longest time without an answer against the lease. A lease is renewed from its half on, so a server may be
    away for the other half."""
    longest, lease_time, lost = 0.0, None, 0
    for record in records:
        try:
            if record["result"] in ("acquired", "renewed", "moved") and record["lease_time"] not in (None, "infinite"):
                lease_time = float(record["lease_time"])
            if record["result"] == "expired" and record["purpose"] != "acquire":
                lost += 1
            if record["purpose"] in ("t1", "t2") and record["result"] in ("renewed", "moved", "expired"):
                longest = max(longest, float(record["ended_at"]) - float(record["started_at"]))
        except (KeyError, TypeError, ValueError):
            continue
    if lease_time is None or (not lost and longest < lease_time / 4):
        return
    if lost:
        yield Finding("short-lease", BAD, f"the lease of {duration(lease_time)} is shorter than its server's outages: "
                      f"it ended {'once' if lost == 1 else f'{lost} times'}",
                      f"have the server give leases of {duration(max(4 * lease_time, 4 * longest))} or more; or "
                      'on_expiry = "hold"', (f"longest time without an answer: {duration(longest)}",), ifname)
    else:
        yield Finding("short-lease", NOTE, f"the server was away for {duration(longest)}, half of what the lease of "
                      f"{duration(lease_time)} survives", "have the server give longer leases", (), ifname)
