"""How long the programs of a run have waited for a processor: what a verdict about their time is relative to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from holdfast_lab.testbed.fair_time import processor_waited
from holdfast_lab.witness.wirelog import boottime

#: Seconds between two samples. Rare enough to cost nothing, frequent enough to tell one renewal from the next.
GAP = 0.2


class ProcessorWatch:
    """Samples the processes that ``pids`` names, (pid, thread) each, from construction until ``close``.

    Thread None means all of the process."""

    def __init__(self, pids: Callable[[], Iterable[tuple[int, int | None]]]) -> None:
        self._pids = pids
        self._last: dict[tuple[int, int | None], float] = {}
        self._total = 0.0
        self._samples: list[tuple[float, float]] = []
        self._turn = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="processor", daemon=True)
        self._thread.start()

    def samples(self) -> list[tuple[float, float]]:
        """(instant of CLOCK_BOOTTIME, seconds waited until then, all together), oldest first; the last is of now.

        The waits of a process that ended between two samples are missing from the last of them on."""
        self._sample()
        with self._turn:
            return list(self._samples)

    def close(self) -> None:
        """Sample no more."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(GAP):
            self._sample()

    def _sample(self) -> None:
        with self._turn:
            for key in self._pids():
                waited = processor_waited(*key)
                self._total += max(0.0, waited - self._last.get(key, 0.0))
                self._last[key] = waited
            self._samples.append((boottime(), self._total))
