"""Pauses between tries of something that failed: doubled each time, bounded, and told once."""

from __future__ import annotations


class Backoff:
    """``first`` and ``longest`` are seconds."""

    def __init__(self, first: float = 1.0, longest: float = 60.0) -> None:
        self._first, self._longest = first, longest
        self._pause = first
        self.failures = 0

    def failed(self) -> float:
        """One more failure; the pause before the next try."""
        pause = self._pause
        self._pause = min(self._pause * 2, self._longest)
        self.failures += 1
        return pause

    def succeeded(self) -> bool:
        """Start over; True when there had been failures."""
        had, self.failures, self._pause = self.failures > 0, 0, self._first
        return had
