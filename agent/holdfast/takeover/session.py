"""The terminal of a take-over, which may be closed at any moment, as when an ssh session is lost."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_hangup() -> Iterator[None]:
    """Inside, SIGHUP of a closed terminal ends neither this process nor the commands that it runs."""
    former = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGHUP, signal.SIGPIPE)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
