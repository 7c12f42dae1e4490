"""runtime.signals: real ones, sent to ourselves."""

from __future__ import annotations

import os
import signal
from contextlib import closing

import pytest

from holdfast.eventloop.loop import Loop
from holdfast.eventloop.signals import Signals


@pytest.mark.parametrize(
    ("number", "heard"),
    [(signal.SIGTERM, "stop"), (signal.SIGINT, "stop"), (signal.SIGCHLD, "child"), (signal.SIGHUP, "hangup")],
)
def test_each_has_its_meaning(number: signal.Signals, heard: str) -> None:
    said: list[str] = []
    before = signal.getsignal(number)
    with closing(Loop()) as loop:
        signals = Signals(
            loop, stop=lambda: said.append("stop"), child_ended=lambda: said.append("child"),
            hangup=lambda: said.append("hangup"),
        )
        try:
            for _ in range(3):
                os.kill(os.getpid(), number)
            loop.run_once(5)
            # A signal that nobody asked for only wakes: its number is in the pipe as well.
            former = signal.signal(signal.SIGUSR1, lambda *_: None)
            os.kill(os.getpid(), signal.SIGUSR1)
            loop.run_once(5)
            signal.signal(signal.SIGUSR1, former)
        finally:
            signals.close()
    assert said == [heard]
    assert signal.getsignal(number) == before
    assert signal.set_wakeup_fd(-1) == -1
