"""The terminal that a take-over is asked for on, which may go away at any moment: it is the network that changes."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_hangup() -> Iterator[None]:
    """A terminal that goes away ends neither a take-over nor a hand-back half-way, nor a command that it runs."""
    former = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGHUP, signal.SIGPIPE)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
