"""Ctrl-C for commands that go on until it comes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def until_interrupted() -> Iterator[Callable[[], bool]]:
    """What runs inside ends at Ctrl-C; the function that it gets says whether there was one. Python drops a
    KeyboardInterrupt that comes within a finalizer or the callback of a weak reference, so that a loop has to ask."""
    seen: list[int] = []

    def interrupt(number: int, _frame: object) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGINT, interrupt)
    try:
        yield lambda: bool(seen)
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGINT, former)
