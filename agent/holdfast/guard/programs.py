"""Which DHCP client serves an interface, by the processes of this network namespace.

Any user may read a process's name and arguments (proc(5): comm, cmdline); who owns a socket only root may see. So a
client is known by its name first, and by UDP port 68 where its name is none that is known.
"""

from __future__ import annotations

import os

from holdfast.guard.machine import UNKNOWN
from holdfast.network.port_owner import holder_of
from holdfast.network.processes import name_of, named, status_of, words_of
from holdfast.wire.record import NamedTuple

#: comm (at most 15 bytes) -> what guard calls it.
CLIENTS = {
    "dhclient": "dhclient", "systemd-network": "networkd", "NetworkManager": "NetworkManager", "dhcpcd": "dhcpcd",
    "udhcpc": "udhcpc",
}
#: These serve all interfaces; the others may be told theirs as an argument.
_FOR_ALL = ("networkd", "NetworkManager")
_MAX_PROCESSES = 4096


class Client(NamedTuple):
    """``name`` is one of CLIENTS or UNKNOWN, ``program`` is ``name (pid 123)`` for people, ``words`` its command line;
    ``pid`` 0: not known. ``contained``: it runs in a container, whose network is this machine's."""

    name: str
    program: str
    pid: int = 0
    words: tuple[str, ...] = ()
    contained: bool = False


def client_of(ifname: str, proc: str = "/proc") -> Client:
    """The client of ``ifname``.

    One that has ``ifname`` among its arguments goes before one that has no interface there, and one that serves all
    interfaces comes last: a dhclient of NetworkManager's is a dhclient.
    """
    best: tuple[int, str, str] = (0, UNKNOWN, "")
    for pid in [name for name in os.listdir(proc) if name.isdigit()][:_MAX_PROCESSES]:
        client = CLIENTS.get(name_of(pid, proc))
        if client is None or not _same_network(pid, proc):
            continue
        rank = 3 if ifname in words_of(pid, proc) else 1 if client in _FOR_ALL else 2
        if rank > best[0]:
            best = (rank, client, pid)
    if best[0]:
        pid = best[2]
        return Client(best[1], named(pid, proc), int(pid), words_of(pid, proc), _contained(pid, proc))
    return Client(UNKNOWN, holder_of(68, proc))


def _same_network(pid: str, proc: str) -> bool:
    """False when it certainly is in another network namespace; another user's process does not tell."""
    try:
        return os.readlink(f"{proc}/{pid}/ns/net") == os.readlink(f"{proc}/self/ns/net")
    except PermissionError:
        return True
    except OSError:
        return False


def _contained(pid: str, proc: str) -> bool:
    """True when it has a process namespace below ours: NSpid has a number for each (proc(5))."""
    return any(len(line.split()) > 2 for line in status_of(pid, proc) if line.startswith("NSpid:"))
