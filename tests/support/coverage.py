"""The coverage that is promised: ``python -m tests.support.coverage``, after the last part of ``./dev test``.

`./dev test` sets COVERAGE_PROCESS_START, and coverage's own .pth file then measures every process of the run, the
daemons in their namespaces included. Here the data are added up, and it fails when they fall short.
"""

from __future__ import annotations

import os
import sys
from io import StringIO

import coverage
from tests.support.guests.place import ROOT

#: What is promised, in percent with branches: these rooms, and the whole.
COMPLETE = ("wire", "core")
WHOLE = 90.0


def judge() -> list[str]:
    """Print the report; each promise that it breaks."""
    if (mine := coverage.Coverage.current()) is not None:  # this process is measured as well
        mine.stop()
        mine.save()
    total = coverage.Coverage(config_file=str(ROOT / "pyproject.toml"))
    total.combine(keep=False)
    total.save()
    whole = total.report()
    shortfalls = []
    for room in COMPLETE:
        percent = total.report(file=StringIO(), include=[f"*/holdfast/{room}/*"])
        if percent < 100.0:
            shortfalls.append(f"holdfast.{room} has {percent:.2f} %, 100 % is promised")
    if whole < WHOLE and os.geteuid() == 0:  # without root most of runtime and network is not run
        shortfalls.append(f"the whole has {whole:.2f} %, {WHOLE:g} % is promised")
    return shortfalls


if __name__ == "__main__":
    print("coverage (branches included)")
    found = judge()
    for shortfall in found:
        print(f"COVERAGE TOO LOW: {shortfall}")
    sys.exit(bool(found))
