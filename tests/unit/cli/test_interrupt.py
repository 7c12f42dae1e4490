"""Ctrl-C ends a loop wherever it comes."""

from __future__ import annotations

import os
import signal
import weakref

import pytest

from holdfast.cli.interrupt import until_interrupted


class Thing:
    """Something that a callback waits for the end of."""


def test_it_ends_what_runs_inside_and_nothing_else() -> None:
    before = signal.getsignal(signal.SIGINT)
    rounds = 0
    with until_interrupted() as interrupted:
        while not interrupted():
            rounds += 1
            os.kill(os.getpid(), signal.SIGINT)
            rounds += 100
    assert rounds == 1
    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_that_python_drops_is_noticed_at_the_next_look() -> None:
    rounds = 0
    with until_interrupted() as interrupted:
        while not interrupted():
            thing = Thing()
            watched = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGINT))
            del thing
            assert watched() is None
            rounds += 1
    assert rounds == 1
