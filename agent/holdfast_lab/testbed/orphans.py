"""Processes that outlived their starters, as a helper of a killed agent does: they would write their files anew."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from holdfast_lab.testbed.fair_time import wait_until

#: Fair seconds for killed processes to be gone.
PATIENCE = 2.0


def end_all_in(namespace: int) -> None:
    """SIGKILL to every process in the network namespace of this descriptor (namespaces(7)), until none is left."""

    def gone() -> bool:
        pids = _in(os.fstat(namespace))
        for pid in pids:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return not pids

    with suppress(AssertionError):  # what the kernel cannot end, nobody can
        wait_until(gone, PATIENCE, "the namespace's processes are gone")


def _in(namespace: os.stat_result) -> list[int]:
    found = []
    for pid in (int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
        with suppress(OSError):  # gone meanwhile, or somebody else's
            if pid != os.getpid() and os.path.samestat(os.stat(f"/proc/{pid}/ns/net"), namespace):
                found.append(pid)
    return found
