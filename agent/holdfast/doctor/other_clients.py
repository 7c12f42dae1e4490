"""Other programs that speak DHCP on a link now, whatever they are called: by their sockets, by their names.

A UDP socket on port 68 and a packet socket for IPv4 are a client's. A packet socket for all protocols may be a
sniffer's. A client between two renewals may have neither; then only its name tells. Who owns a socket only root sees.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address
from typing import NamedTuple

from holdfast.network.processes import name_of, named, words_of

#: comm (at most 15 bytes) of clients that serve one link or those among their arguments.
NAMES = ("dhclient", "dhcpcd", "udhcpc", "pump", "dhcpcd5", "dhcp6c", "connmand", "wickedd-dhcp4")
#: Programs that have packet sockets and are no DHCP clients.
_SNIFFERS = ("tcpdump", "dumpcap", "tshark", "wireshark", "lldpd", "arpwatch", "suricata", "keepalived")
#: Bounds of the search through /proc.
_MAX_PROCESSES, _MAX_DESCRIPTORS = 4096, 1024
#: ETH_P_IP and ETH_P_ALL as /proc/net/packet has them.
_IP, _ALL = "0800", "0003"


class Other(NamedTuple):
    """A program: ``name (pid 123)``. ``certain``: it is a DHCP client on the link, not only perhaps; ``why`` says by
    what it is known."""

    program: str
    certain: bool
    why: str


def others_on(ifname: str, address: str | None, ours: set[int], proc: str = "/proc") -> list[Other]:
    """The other DHCP clients of the link ``ifname``, whose address is ``address``; ``ours`` are pids of Holdfast.
    Raises OSError when /proc cannot be read."""
    of_all = _on_port_68(None, proc)  # perhaps bound to another link, which /proc does not say
    port = dict.fromkeys(_on_port_68(address, proc) - of_all, "has UDP port 68")
    packet, everything = _packet_sockets(ifname, proc)
    strong = {**dict.fromkeys(packet, "has a packet socket for IPv4"), **port}
    found: dict[str, Other] = {}
    for pid in _pids(ours, proc):
        comm = name_of(pid, proc)
        sockets = _sockets(pid, proc)
        hits = [strong[inode] for inode in sockets if inode in strong]
        if hits:
            found[pid] = Other(named(pid, proc), True, hits[0])
        elif not sockets.isdisjoint(of_all):
            if _serves(pid, ifname, proc):
                found[pid] = Other(named(pid, proc), _names(pid, ifname, proc), "has UDP port 68 of all addresses")
        elif comm in NAMES and _same_network(pid, proc) and _serves(pid, ifname, proc):
            found[pid] = Other(named(pid, proc), _names(pid, ifname, proc), "is a DHCP client by its name")
        elif comm not in _SNIFFERS and not sockets.isdisjoint(everything):
            found[pid] = Other(named(pid, proc), False, "has a packet socket for everything")
    return sorted(found.values())


def _on_port_68(address: str | None, proc: str) -> set[str]:
    """Inodes of UDP sockets on port 68 of the address or of every address (proc(5): net/udp; in host order)."""
    wanted = {0}
    with suppress(ValueError):
        wanted |= {int.from_bytes(IPv4Address((address or "").split("/")[0]).packed, "little")}
    return {row[9] for row in _rows(f"{proc}/net/udp", 10)
            if row[1].endswith(":0044") and int(row[1].partition(":")[0], 16) in wanted}


def _packet_sockets(ifname: str, proc: str) -> tuple[set[str], set[str]]:
    """Inodes of packet sockets on the link or on all links, for IPv4 and for everything (proc(5): net/packet)."""
    try:
        indexes = {"0", str(socket.if_nametoindex(ifname))}
    except (OSError, ValueError):  # no such interface, or not a name
        return set(), set()
    rows = [row for row in _rows(f"{proc}/net/packet", 9) if row[4] in indexes]
    return {row[8] for row in rows if row[3] == _IP}, {row[8] for row in rows if row[3] == _ALL}


def _rows(path: str, columns: int) -> Iterator[list[str]]:
    with open(path, encoding="ascii", errors="replace") as table:
        next(table, None)  # the heading
        yield from (row for line in table if len(row := line.split()) >= columns)


def _pids(ours: set[int], proc: str) -> list[str]:
    """Processes that are not Holdfast's, guard and commands included."""
    pids = [name for name in os.listdir(proc) if name.isdigit() and int(name) not in {os.getpid(), *ours}]
    return [pid for pid in pids[:_MAX_PROCESSES] if not any("holdfast" in word for word in words_of(pid, proc))]


def _sockets(pid: str, proc: str) -> set[str]:
    """The inodes of its sockets, as far as we may see them."""
    found = set()
    with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        for one in os.listdir(f"{proc}/{pid}/fd")[:_MAX_DESCRIPTORS]:
            with suppress(OSError):
                target = os.readlink(f"{proc}/{pid}/fd/{one}")
                if target.startswith("socket:["):
                    found.add(target[8:-1])
    return found


def _names(pid: str, ifname: str, proc: str) -> bool:
    """True when the link is among its arguments."""
    return ifname in words_of(pid, proc)


def _serves(pid: str, ifname: str, proc: str) -> bool:
    """True when the link is among its arguments, or no link is."""
    words = set(words_of(pid, proc))
    links = {name for _, name in socket.if_nameindex()}
    return ifname in words or words.isdisjoint(links)


def _same_network(pid: str, proc: str) -> bool:
    try:
        return os.readlink(f"{proc}/{pid}/ns/net") == os.readlink(f"{proc}/self/ns/net")
    except OSError:
        return False
