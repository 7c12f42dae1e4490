"""Work that the network may fail: done again after a while, and what was said is shown when it fails for good."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence


class BuildError(Exception):
    """What a person has to do, or what a tool said."""


#: Seconds before the second and the third attempt.
PAUSES = (5.0, 20.0)


def repeated(
    what: str, command: Sequence[str], *, environment: Mapping[str, str] | None = None,
    before: Callable[[], None] = lambda: None, pause: Callable[[float], None] = time.sleep,
) -> None:
    """Run ``command``, which downloads something, up to three times; ``before`` each attempt makes its folder clean.
    BuildError with the last lines that it printed when no attempt succeeds."""
    for attempt, seconds in enumerate((*PAUSES, None), start=1):
        before()
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", check=False, env=environment,
        )
        if done.returncode == 0:
            return
        said = "\n".join(done.stdout.splitlines()[-30:])
        if seconds is None:
            raise BuildError(f"{what} failed {attempt} times; the command was\n  {' '.join(command)}\n"
                             f"and it said at last:\n{said}")
        last = (said.splitlines() or ["nothing was said"])[-1]
        sys.stderr.write(f"build: {what} failed ({last}); again in {seconds:.0f} s\n")
        pause(seconds)
