"""This machine's own part: routes, disk, clock, as findings."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from struct import Struct
from sys import byteorder
from typing import Any, NamedTuple

from holdfast.doctor.finding import BAD, NOTE, OK, Finding
from holdfast.network import KernelError, rtnl
from holdfast.network.kernel import AF_INET, RTM_GETROUTE, RTN_UNICAST, Kernel
from holdfast.network.netlink import NetlinkSocket
from holdfast.network.rtnl import RT_TABLE_MAIN
from holdfast.observe.words import duration

Record = Mapping[str, Any]

#: struct rtnexthop of rtnetlink(7): length, two bytes, the link; then attributes.
_NEXTHOP = Struct("=H2xi")
#: statvfs(3)
_READ_ONLY = 1
#: Seconds by which a clock that was set back is worth a line; NTP slews less.
SET_BACK = 5.0
#: Outcomes that are looked at.
LATEST = 200


class Route(NamedTuple):
    """A unicast route. ``mask`` and ``destination`` are numbers in network order; ``gateway`` 0.0.0.0 is none."""

    ifname: str
    destination: int
    mask: int
    gateway: IPv4Address
    metric: int
    table: int = RT_TABLE_MAIN


def routes() -> list[Route]:
    """The IPv4 routes of this network namespace, of all tables. Raises OSError."""
    try:
        netlink = NetlinkSocket()
        try:
            message = rtnl.ROUTE.pack(AF_INET, 0, 0, 0, 0, 0, 0, RTN_UNICAST, 0)
            answers = netlink.dump(message, RTM_GETROUTE, "reading routes", lambda _: True)
        finally:
            netlink.close()
    except KernelError as error:
        raise OSError(error.errno, str(error)) from None
    return [route for route in map(read_route, answers) if route is not None]


def read_route(answer: bytes) -> Route | None:
    """A message of RTM_GETROUTE; of several ways the first. None for what is no unicast route of a link."""
    _, length, _, _, table, _, _, kind, _ = rtnl.ROUTE.unpack_from(answer, rtnl.HEADER)
    held = rtnl.attributes(answer[rtnl.HEADER + rtnl.ROUTE.size:])
    way = held.get(rtnl.RTA_MULTIPATH, b"")
    if len(way) >= _NEXTHOP.size:
        size, ifindex = _NEXTHOP.unpack_from(way)
        held |= {**rtnl.attributes(way[_NEXTHOP.size:size]), rtnl.RTA_OIF: ifindex.to_bytes(4, byteorder)}
    try:
        ifname = socket.if_indextoname(rtnl.number(held.get(rtnl.RTA_OIF)))
    except OSError:
        return None
    if kind != RTN_UNICAST:
        return None
    return Route(
        ifname, int.from_bytes(held.get(rtnl.RTA_DST, b""), "big"), int(IPv4Network((0, length)).netmask),
        IPv4Address(held.get(rtnl.RTA_GATEWAY, bytes(4))), rtnl.number(held.get(rtnl.RTA_PRIORITY)),
        rtnl.number(held.get(rtnl.RTA_TABLE)) or table,
    )


def table_of(ifname: str, wanted: int | None) -> int:
    """The table that leads from the link ``ifname``: ``wanted`` (`route_table`), else its VRF's or main."""
    if wanted:
        return wanted
    try:
        kernel = Kernel(socket.if_nametoindex(ifname))
        try:
            return kernel.own_table()
        finally:
            kernel.close()
    except (OSError, KernelError):  # it is not there
        return RT_TABLE_MAIN


def check_routes(found: Iterable[Route], tables: Iterable[int] = ()) -> Iterator[Finding]:
    """Two default routes of one metric in the main table, or in one of ``tables``: which is used is chance."""
    default: dict[tuple[int, int], list[Route]] = {}
    for route in found:
        if route.mask == 0 and route.table in (RT_TABLE_MAIN, *tables):
            default.setdefault((route.table, route.metric), []).append(route)
    for (table, metric), several in sorted(default.items()):
        if len({route.ifname for route in several}) > 1:
            ways = " and ".join(f"via {route.gateway} dev {route.ifname}" for route in several)
            where = "" if table == RT_TABLE_MAIN else f" in table {table}"
            yield Finding("routes", BAD, f"two default routes{where} have the same metric {metric}: {ways}",
                          "give the links different metrics: `metric` below [interfaces.NAME], or in the manager of "
                          "the other one")


def check_off_link(ifname: str, server: str | None, found: Iterable[Route], table: int) -> Iterator[Finding]:
    """A server that no route of the link in ``table`` leads to: unicast cannot reach it."""
    try:
        number = int(IPv4Address(server or ""))
    except ValueError:  # none, or an agent that is none
        return
    if not any((route.ifname, route.table) == (ifname, table) and number & route.mask == route.destination
               for route in found):
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
