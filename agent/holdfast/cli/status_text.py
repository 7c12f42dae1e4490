"""What ``holdfast status`` prints of one interface: one line, or the whole."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from holdfast.cli.outcome import in_words
from holdfast.cli.times import local_time, unix_time
from holdfast.doctor.finding import OK
from holdfast.doctor.link import activity, check_client
from holdfast.observe.words import counted, duration, latency

Facts = Mapping[str, Any]

#: What programs of this machine really ask, and where systemd-resolved says what stands behind its stub.
RESOLV_CONF, BEHIND_STUB = "/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"
_STUB = "127.0.0.53"
#: Where programs that keep the clock find the lease's time servers, by program.
_TIME_FILES = {"chrony": "/run/chrony-dhcp/holdfast-{}.sources",
               "systemd-timesyncd": "/run/systemd/timesyncd.conf.d/50-holdfast-{}.conf"}
#: Options that the rest of the status tells of.
_TOLD = frozenset(map(str, (1, 3, 6, 12, 15, 26, 28, 33, 42, 51, 53, 54, 58, 59, 61, 82, 114, 119, 121, 249)))
#: Findings of doctor's that are flags, too; the others have words of their own here.
_FLAGGED = ("refused", "conflict", "vlan", "firewall", "removals", "rogue-server", "wandering", "second-client")
HEADINGS = ("IFACE", "STATE", "ADDRESS", "SERVER", "LEFT", "FLAGS", "NOW")
#: Notices that the whole status shows, the latest first.
_NOTICES = 3


class Line(NamedTuple):
    """One interface on one line: its cells, as HEADINGS, and the colour of its state."""

    cells: tuple[str, ...]
    colour: str


def line_of(client: Facts) -> Line:
    """One interface at a glance."""
    lease, network = client["lease"], client["network"]
    address, server, left = "-", "-", "-"
    if lease is not None:
        address = network["address"] if network else lease["address"]
        server = lease["server"] or "-"
        expiry = lease["held_until"] or lease["expiry"]
        left = "for ever" if expiry is None else duration(max(expiry["seconds"], 0.0))
    elif client["fallback"] is not None:
        address = client["fallback"]
    cells = (client["interface"], client["state"], address, server, left, ", ".join(flags(client)) or "-", now(client))
    return Line(cells, _colour(client))


def _colour(client: Facts) -> str:
    if client["lease"] is None or not client["present"]:
        return "red"
    good = client["state"] == "BOUND" and client["carrier"] and client["rival"] is None
    return "green" if good else "yellow"


def flags(client: Facts) -> list[str]:
    """Short words for what is out of the ordinary."""
    lease = client["lease"]
    facts = (
        ("gone", not client["present"]), ("no carrier", client["present"] and not client["carrier"]),
        ("yielded", client["yielded"]), ("fallback", client["fallback"] is not None),
        ("unverified", lease is not None and not lease["verified"]),
        ("held", lease is not None and lease["held_until"] is not None),
        ("deaf server", client["hears_unicast"] is False), ("problem", bool(client["problems"])),
    )
    seen = [found.check for found in check_client(client) if found.status != OK and found.check in _FLAGGED]
    return [*(word for word, true in facts if true), *dict.fromkeys(seen)]


def now(client: Facts) -> str:
    """What is going on, or how the last renewal went."""
    if client["exchange"]["since"] is not None and client["state"] != "STOPPED":
        return activity(client)
    last = client["last_outcome"]
    return "-" if last is None else f"{in_words(last)}, {ago(last['time'])}"


def ago(moment: str) -> str:
    """How long ago that was, a time in ISO 8601."""
    try:
        return f"{duration(max(time.time() - unix_time(moment), 0.0))} ago"
    except ValueError:
        return moment


def block(client: Facts) -> Iterator[str]:
    """The whole, as lines."""
    yield f"{client['interface']}: {_headline(client)}"
    rows = [*_activity_rows(client), *_lease_rows(client), *_network_rows(client), *_record_rows(client)]
    width = max((len(label) for label, _ in rows), default=0)
    yield from (f"  {label:<{width}}  {text}" for label, text in rows)


def _headline(client: Facts) -> str:
    state, lease, network = client["state"], client["lease"], client["network"]
    if not client["present"]:
        state += ", the interface is not there"
    elif not client["carrier"]:
        state += ", no carrier"
    if client["yielded"]:
        state += " (yielded)"
    if lease is None:
        used = client["fallback"]
        return f"{state}, no address" if used is None else f"{state}, no lease; the fallback address {used} is used"
    address = network["address"] if network else lease["address"]
    server = f" from {lease['server']}" if lease["server"] else ""
    held = ", held beyond its lease" if lease["held_until"] else ""
    return f"{state}, {address}{server}" + (held if held or lease["verified"] else ", not yet verified")


def _activity_rows(client: Facts) -> Iterator[tuple[str, str]]:
    if client["exchange"]["since"] is not None:
        yield "now", activity(client)
    for topic in sorted(client["problems"]):
        yield "problem", client["problems"][topic]


def _lease_rows(client: Facts) -> Iterator[tuple[str, str]]:
    lease = client["lease"]
    if lease is None:
        return
    endless = lease["duration"] is None
    yield "lease", ("for ever" if endless else duration(lease["duration"])) + f", since {_instant(lease['started'])}"
    for label, key in (("T1", "renewal"), ("T2", "rebinding"), ("expiry", "expiry")):
        yield label, "never" if lease[key] is None else _instant(lease[key])
    if lease["held_until"] is not None:
        yield "held", f"as long as the gateway answers; now until {_instant(lease['held_until'])}"
    if client["gateway"] is not None:
        yield "gateway", client["gateway"]
    trip = "" if client["round_trip"] is None else f"; round trip {latency(client['round_trip'])}"
    yield "unicast", _unicast(client) + trip
    for code, value in lease["options"].items():
        if code not in _TOLD:
            yield f"option {code}", option_text(value)


def option_text(value: str) -> str:
    """The value of an option, in hex, for people: as text where it is one, as an address where it may be one."""
    try:
        data = bytes.fromhex(value)
    except ValueError:  # an agent of another version
        return value
    if data and all(0x20 <= byte < 0x7F for byte in data):
        return f'"{data.decode("ascii")}"'
    address = f" ({'.'.join(map(str, data))})" if len(data) == 4 else ""
    return data.hex(":") + address if data else "empty"


def _unicast(client: Facts) -> str:
    if not client["lease"]["server"]:
        return "not possible: the server gave no identifier; renewed by broadcast"
    return {True: "heard by the server", False: "not heard by the server; renewed by broadcast",
            None: "not known before the first renewal"}[client["hears_unicast"]]


def _network_rows(client: Facts) -> Iterator[tuple[str, str]]:
    network = client["network"]
    if network is None:
        return
    yield "routes", ", ".join(network["routes"]) or "none"
    search = f" (search {' '.join(network['search'])})" if network["search"] else ""
    yield "DNS", (", ".join(network["dns"]) or "none") + search
    if network["dns"]:
        yield "resolver", resolver(network["dns"])
    if network["ntp"]:
        yield "NTP", ", ".join(network["ntp"]) + _told_to(client["interface"])
    for label, key in (("MTU", "mtu"), ("portal", "captive_portal")):
        if network[key] is not None:
            yield label, str(network[key])
    yield from (("note", notice) for notice in network["notices"])


def resolver(wanted: Sequence[str]) -> str:
    """What programs of this machine ask, compared with the lease's name servers."""
    path, found = RESOLV_CONF, _name_servers(RESOLV_CONF)
    if found == [_STUB]:
        path, found = f"systemd-resolved, {BEHIND_STUB}", _name_servers(BEHIND_STUB)
    if found is None:
        return f"{path} cannot be read"
    missing = [server for server in wanted if server not in found]
    has = f"{path} has {', '.join(found) or 'no name server'}"
    return f"{has}; not {', '.join(missing)}" if missing else has


def _name_servers(path: str) -> list[str] | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            rows = [line.split() for line in file.read(1 << 16).splitlines()]
    except OSError:
        return None
    return [row[1] for row in rows if len(row) > 1 and row[0] == "nameserver"]


def _told_to(ifname: str) -> str:
    """Which program that keeps the clock was told."""
    told = [program for program, path in _TIME_FILES.items() if os.path.exists(path.format(ifname))]
    return f" (passed to {' and '.join(told)})" if told else " (no program that keeps the clock was told)"


def _record_rows(client: Facts) -> Iterator[tuple[str, str]]:
    if client["yielded"]:
        yield "yielded", f"nothing is put back on the interface until `holdfast yield --back {client['interface']}`"
    if client["rival"] is not None:
        yield "fight", f"another program removes what is put on the interface: {client['rival']}"
    last = client["last_outcome"]
    if last is not None:
        yield "last", f"{in_words(last)} ({local_time(last['time'])})"
    ours = (client["lease"] or {}).get("server")
    for server in client["servers"]:
        if server["identifier"] != ours:
            heard = ", ".join(f"{number} {kind}" for kind, number in sorted(server["heard"].items()))
            yield "server", f"{server['identifier'] or server['source']} is there, too: {heard}"
    for claim in client["claims"]:
        yield "ARP", f"{claim['by']} claims {claim['address']} ({counted(claim['count'], 'time')})"
    for notice in client["notices"][:_NOTICES]:
        yield "noticed", f"{notice['text']} ({counted(notice['count'], 'time')}, last {_distance(notice['last'])})"
    drops = client["drops"]
    yield "dropped", ", ".join(f"{count} {reason}" for reason, count in sorted(drops.items())) or "nothing"


def _instant(instant: Facts) -> str:
    # Seconds from now is what the agent knows for sure; the wall clock may have been set since.
    return f"{local_time(time.time() + instant['seconds'])}, {_distance(instant)}"


def _distance(instant: Facts) -> str:
    seconds = instant["seconds"]
    return f"in {duration(seconds)}" if seconds > 0 else f"{duration(-seconds)} ago"
