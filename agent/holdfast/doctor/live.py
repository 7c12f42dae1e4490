"""Checks of a running guest: which client serves its links now, with which lease, and which after the next boot."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from ipaddress import IPv4Address
from typing import Any

from holdfast.control import client as control
from holdfast.doctor import installed
from holdfast.doctor.finding import BAD, NOTE, OK, Finding
from holdfast.doctor.image import next_boot
from holdfast.managers.formats.tree import Tree
from holdfast.network.port_owner import named
from holdfast.observe.words import duration
from holdfast.settings.dirs import search_runtime_dirs
from holdfast.settings.model import Settings

Client = Mapping[str, Any]

#: A lease with less than this share left should have been renewed before: T2 is at 0.875 of it.
LATE = 0.1
#: Bounds of the search through /proc.
_MAX_PROCESSES, _MAX_DESCRIPTORS = 4096, 1024
#: ETH_P_IP as /proc/net/packet has it. Programs that only watch (tcpdump) ask for all protocols, 0003.
_IP = "0800"


def check(settings: Settings) -> Iterator[Finding]:
    """This machine, whose agents run with ``settings``. Raises OSError, FormatError, and ControlError when an agent
    that runs gives no answer."""
    tree = Tree("/")
    try:
        clients, ours = _clients(settings)
        for name in sorted(clients):
            yield from check_client(clients[name])
            yield from check_alone(clients[name], ours)
        yield from check_missing(installed.served(tree), set(clients))
        yield from next_boot(tree, booted=True)
    finally:
        tree.close()


def _clients(settings: Settings) -> tuple[dict[str, Client], set[int]]:
    """Interface -> what its agent says; the agents' process ids."""
    clients: dict[str, Client] = {}
    ours: set[int] = set()
    for name, path in control.sockets(search_runtime_dirs(settings.runtime_dir)).items():
        try:
            answer = control.call(path, "Status", {"interface": name})
        except control.NoAgentError:
            continue  # a socket that a crash left behind
        ours.add(answer["pid"])
        clients |= {client["interface"]: client for client in answer["clients"]}
    return clients, ours


def check_client(client: Client) -> Iterator[Finding]:
    """State, time left, and the counters of ignored messages."""
    name, state, lease = client["interface"], client["state"], client["lease"]
    if not client["present"]:
        yield Finding("agent", BAD, f"{name}: the interface does not exist", "the agent waits for it")
        return
    if lease is None:
        yield Finding("agent", BAD, f"{name}: {state}, no address", f"see `holdfast history {name}`")
        return
    server = f" from {lease['server']}" if lease["server"] else ""
    yield Finding("agent", OK, f"{name}: {state}, {lease['address']}{server}")
    yield _time_left(name, lease)
    if client["hears_unicast"] is False:
        yield Finding("unicast", NOTE, f"{name}: the server does not hear unicast; renewals go by broadcast")
    drops = client["drops"]
    if drops:
        counted = ", ".join(f"{count} {reason}" for reason, count in sorted(drops.items()))
        yield Finding("faults", NOTE, f"{name}: ignored messages: {counted}")
    else:
        yield Finding("faults", OK, f"{name}: no message was ignored")


def _time_left(name: str, lease: Mapping[str, Any]) -> Finding:
    if lease["expiry"] is None:
        return Finding("time-left", OK, f"{name}: the lease has no end")
    left, whole = lease["expiry"]["seconds"], lease["duration"] or 0.0
    text = f"{name}: {duration(max(left, 0.0))} of {duration(whole)} left"
    if left < LATE * whole:
        return Finding("time-left", BAD, f"{text}, and no server has answered",
                       "check the server and the network to it")
    return Finding("time-left", OK, text)


def check_missing(names: list[str], served: set[str]) -> Iterator[Finding]:
    """Links that an enabled unit should serve and no agent serves, and the case that no agent is running."""
    if not served and not names:
        yield Finding("agent", BAD, "no agent is running", "holdfast takeover IFACE")
    links = {name for _, name in socket.if_nameindex()}
    names_only = {name for name in names if not set("*?[") & set(name)}
    for pattern in names:
        if not any(fnmatchcase(link, pattern) for link in served):
            if any(fnmatchcase(link, pattern) for link in links):
                yield Finding("agent", BAD, f"no agent serves {pattern}", "systemctl status 'holdfast*'")
            elif pattern in names_only:
                yield Finding("agent", NOTE, f"no agent serves {pattern}, and there is no such link now")


def check_alone(client: Client, ours: set[int], proc: str = "/proc") -> Iterator[Finding]:
    """Check that no other process listens for DHCP replies on the link, on UDP port 68 or on a packet socket."""
    name = client["interface"]
    sockets = {**_on_port_68(client, proc), **_on_packet_socket(name, proc)}
    others = sorted(set(_holders(set(sockets), ours, proc)))
    if others:
        yield from (Finding("second-client", BAD, f"{name}: {other} listens for DHCP replies too",
                            "stop it, and make sure that nothing starts it again") for other in others)
    else:
        yield Finding("second-client", OK, f"{name}: no other process listens for DHCP replies")


def _on_port_68(client: Client, proc: str) -> dict[str, str]:
    """Inodes of UDP sockets on port 68 of the link's address (proc(5): net/udp; addresses are in host order)."""
    lease = client["lease"] or {}
    wanted: set[int] = set()
    with suppress(ValueError):
        wanted = {int.from_bytes(IPv4Address(lease["address"].split("/")[0]).packed, "little")} if lease else wanted
    return {row[9]: "udp" for row in _rows(f"{proc}/net/udp", 10)
            if row[1].endswith(":0044") and int(row[1].partition(":")[0], 16) in wanted}


def _on_packet_socket(name: str, proc: str) -> dict[str, str]:
    """Inodes of packet sockets for IPv4 on the link (proc(5): net/packet)."""
    try:
        index = str(socket.if_nametoindex(name))
    except (OSError, ValueError):  # no such interface, or not a name
        return {}
    return {row[8]: "packet" for row in _rows(f"{proc}/net/packet", 9) if row[3] == _IP and row[4] == index}


def _rows(path: str, columns: int) -> Iterator[list[str]]:
    with open(path, encoding="ascii", errors="replace") as table:
        next(table, None)  # the heading
        yield from (row for line in table if len(row := line.split()) >= columns)


def _holders(inodes: set[str], ours: set[int], proc: str) -> Iterator[str]:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    pids = [name for name in os.listdir(proc) if name.isdigit() and int(name) not in ours]
    for pid in pids[:_MAX_PROCESSES]:
        try:
            descriptors = os.listdir(f"{proc}/{pid}/fd")[:_MAX_DESCRIPTORS]
            if any(_target(f"{proc}/{pid}/fd/{one}") in wanted for one in descriptors):
                yield named(pid, proc)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile


def _target(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
