"""Processes that outlived their starters, as a helper of a killed agent does: they would write their files anew."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

#: Seconds for killed processes to be gone.
PATIENCE = 2.0


def end_all_in(namespace: int) -> None:
    """SIGKILL to every process in the network namespace of this descriptor (namespaces(7)), until none is left."""
    until = time.monotonic() + PATIENCE
    while (pids := _in(os.fstat(namespace))) and time.monotonic() < until:
        for pid in pids:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _in(namespace: os.stat_result) -> list[int]:
    found = []
    for pid in (int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
        with suppress(OSError):  # gone meanwhile, or somebody else's
            if pid != os.getpid() and os.path.samestat(os.stat(f"/proc/{pid}/ns/net"), namespace):
                found.append(pid)
    return found
