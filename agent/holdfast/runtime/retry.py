"""The one way of trying again what failed: after a pause that doubles, bounded, on the loop's timers."""

from __future__ import annotations

from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.eventloop.ports import Loop


def nothing() -> None:
    """Default handler, and an action that always succeeds: does nothing."""


def _ignore(_error: Exception) -> None:
    """Default handler: does nothing."""


class Retry:
    """Calls ``action`` until it succeeds: when asked to, and then again after each failure.

    The action fails by raising one of ``errors``; anything else that it raises is the caller's. One whose result comes
    later returns False, and ``failed`` or ``succeeded`` is called then. ``action`` may be replaced at any time.
    ``first`` and ``longest`` are the shortest and
    the longest pause, in seconds. ``on_failure`` is called after every failure, when the next try has been planned;
    ``on_recovery`` after the first success that follows a failure.
    """

    def __init__(
        self, loop: Loop, action: Callable[[], bool | None], first: float, longest: float, *,
        errors: tuple[type[Exception], ...] = (OSError,), on_failure: Callable[[Exception], None] = _ignore,
        on_recovery: Callable[[], None] = nothing,
    ) -> None:
        self._loop, self.action, self._errors = loop, action, errors
        self._first, self._longest, self._pause = first, longest, first
        self._on_failure, self._on_recovery = on_failure, on_recovery
        self.failing = False  # the last try whose result is known was a failure

    def attempt(self) -> None:
        """Call the action now; a try that was planned is dropped."""
        self.cancel()
        try:
            known = self.action()
        except self._errors as error:
            self.failed(error)
        else:
            if known is not False:
                self.succeeded()

    def attempt_after(self, seconds: float) -> None:
        """Call the action in so many seconds, in the place of a try that was planned; 0: in the loop's next round."""
        self._loop.set_timer((self, "retry"), self._loop.now() + seconds, self.attempt)

    def failed(self, error: Exception) -> None:
        """Note one failure and plan the next try."""
        pause, self.failing = self._pause, True
        self._pause = min(2 * pause, self._longest)
        self.attempt_after(pause)
        self._on_failure(error)

    def succeeded(self) -> None:
        """Note a success: the next failure is a first one."""
        recovered, self.failing, self._pause = self.failing, False, self._first
        if recovered:
            self._on_recovery()

    def cancel(self) -> None:
        """Drop the try that was planned; ``attempt`` works as before."""
        self._loop.set_timer((self, "retry"), None, self.attempt)
