"""The processes that have UDP port 68 or a packet socket: named when bind(2) fails (rule 54), and on contention."""

from __future__ import annotations

import os

from holdfast.network.processes import named

#: Bounds of the search, which takes well under a second.
_MAX_PROCESSES = 4096
_MAX_DESCRIPTORS = 1024
#: Number of programs that a message names.
_MAX_NAMED = 3


def holder_of(port: int, proc: str = "/proc") -> str:
    """``name (pid 123)`` of the process with a UDP socket on ``port``, or a text that says why it is not known."""
    inodes = _inodes(port, proc)
    if not inodes:
        return "a process in another namespace"
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for pid in _processes(proc):
        if _has_descriptor(f"{proc}/{pid}/fd", wanted):
            return named(pid, proc)
    return f"a process that could not be found (socket inode {min(inodes)})"


def others_of(port: int, proc: str = "/proc") -> str:
    """The other programs that can speak DHCP as a client: with a UDP socket on ``port``, or with a packet socket
    for IPv4 or for everything. An unprivileged process sees only those of its own user."""
    wanted = {f"socket:[{inode}]" for inode in _inodes(port, proc) | _packet_inodes(proc)}
    found = []
    for pid in _processes(proc) if wanted else []:
        if _has_descriptor(f"{proc}/{pid}/fd", wanted):
            found.append(named(pid, proc))
            if len(found) == _MAX_NAMED:
                break
    return ", ".join(found) or "which one is not known"


def _packet_inodes(proc: str) -> set[str]:
    """Inodes of packet sockets in this network namespace (proc(5): net/packet): sk, RefCnt, Type, Proto (hex),
    Iface, R, Rmem, User, Inode."""
    found: set[str] = set()
    try:
        with open(f"{proc}/net/packet", encoding="ascii", errors="replace") as table:
            for line in table:
                fields = line.split()
                if len(fields) > 8 and fields[3] in ("0003", "0800"):
                    found.add(fields[8])
    except OSError:
        pass
    return found


def _inodes(port: int, proc: str) -> set[str]:
    """Inodes of the UDP sockets on ``port`` in this network namespace (proc(5): net/udp)."""
    found: set[str] = set()
    try:
        with open(f"{proc}/net/udp", encoding="ascii", errors="replace") as table:
            for line in table:
                fields = line.split()
                if len(fields) > 9 and fields[1].endswith(f":{port:04X}"):
                    found.add(fields[9])
    except OSError:
        pass
    return found


def _processes(proc: str) -> list[str]:
    own = str(os.getpid())
    pids = [name for name in os.listdir(proc) if name.isdigit() and name != own]
    return pids[:_MAX_PROCESSES]


def _has_descriptor(folder: str, wanted: set[str]) -> bool:
    try:
        descriptors = os.listdir(folder)[:_MAX_DESCRIPTORS]
    except OSError:
        return False  # it ended meanwhile, or we may not look
    for descriptor in descriptors:
        try:
            if os.readlink(f"{folder}/{descriptor}") in wanted:
                return True
        except OSError:
            continue
    return False
