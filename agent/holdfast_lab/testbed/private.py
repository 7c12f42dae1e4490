"""Nothing under test writes the machine's own files: who could, is not started."""

from __future__ import annotations

import os

#: What a DHCP client keeps its leases, its sockets and the name servers in.
FOLDERS = ("/etc", "/run", "/var")


class NotPrivateError(RuntimeError):
    """A program could write the machine's own files; the text says which."""


def require_private_files(process: str) -> None:
    """NotPrivateError when a process ("PID", or "PID/task/TID" for a thread) could write the machine's own /etc, /run
    or /var: when one of them is what this process has there, and can be written."""
    for folder in FOLDERS:
        theirs, ours = f"/proc/{process}/root{folder}", f"/proc/{os.getpid()}/root{folder}"
        read_only = os.statvfs(theirs).f_flag & os.ST_RDONLY
        if not read_only and os.path.samestat(os.stat(theirs), os.stat(ours)):
            raise NotPrivateError(f"the client would write the machine's own {folder}, and is not started")
