"""Names and command lines of processes, which any user may read (proc(5): comm, cmdline, status)."""

from __future__ import annotations

import os

from holdfast.escape import printable

#: No more of a file is read: a command line may have megabytes.
_MAX_BYTES = 8192


def named(pid: str, proc: str = "/proc") -> str:
    """``name (pid 123)``, with the uid when it is not root's: a DHCP client runs as root, except for a part of it that
    has dropped its privileges."""
    name = printable(_text(pid, "comm", proc).strip())
    uids = next((line.split()[1:5] for line in status_of(pid, proc) if line.startswith("Uid:")), [])
    other = next((uid for uid in uids if uid != "0"), "")
    return f"{name or 'a process'} (pid {pid}{f', of uid {other}' if other else ''})"


def name_of(pid: str, proc: str = "/proc") -> str:
    """Its comm, at most 15 characters; that of the applet for busybox; empty when there is no such process."""
    comm = _text(pid, "comm", proc).strip()
    if comm != "busybox":
        return comm
    words = words_of(pid, proc)
    return os.path.basename(words[len(words) > 1 and words[0].endswith("busybox")])


def words_of(pid: str, proc: str = "/proc") -> tuple[str, ...]:
    """Its command line, as os.fsdecode has it; one empty word when there is none or no such process."""
    return tuple(os.fsdecode(_read(pid, "cmdline", proc)).rstrip("\0").split("\0"))


def status_of(pid: str, proc: str = "/proc") -> list[str]:
    """The lines of its status; none when there is no such process."""
    return _text(pid, "status", proc).splitlines()


def _text(pid: str, name: str, proc: str) -> str:
    return _read(pid, name, proc).decode("utf-8", "replace")


def _read(pid: str, name: str, proc: str) -> bytes:
    try:
        with open(f"{proc}/{pid}/{name}", "rb") as file:
            return file.read(_MAX_BYTES)
    except OSError:
        return b""
