"""Work on files that does not hold up the loop: a disk may take seconds, or not answer at all (a cloud volume that
moves, NFS), and other interfaces' renewals are due meanwhile.
"""

from __future__ import annotations

from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Thread

#: Seconds that the loop waits for a disk, at most. Most answer within a few milliseconds, and then what follows a write
#: comes after it.
PATIENCE = 0.05


class Background:
    """Runs one step at a time in a thread of its own. ``error`` is what the last one that has ended raised."""

    def __init__(self) -> None:
        self._thread: Thread | None = None
        self.error: OSError | None = None

    @property
    def busy(self) -> bool:
        """True while a step goes on."""
        return self._thread is not None and self._thread.is_alive()

    def run(self, step: Callable[[], object]) -> bool:
        """Begin ``step``, and wait for it for ``PATIENCE``. True when it is done; OSError is what it raised. False when
        it goes on. Not to be called while one goes on."""
        import threading  # noqa: PLC0415 - long after the first DISCOVER

        assert not self.busy
        self.error = None
        self._thread = threading.Thread(target=self._run, args=(step,), daemon=True)
        self._thread.start()
        if not self.wait(PATIENCE):
            return False
        if self.error is not None:
            raise self.error
        return True

    def wait(self, seconds: float) -> bool:
        """Wait for the step that goes on, if there is one; False when it still does."""
        if self._thread is not None:
            self._thread.join(seconds)
        return not self.busy

    def _run(self, step: Callable[[], object]) -> None:
        try:
            step()
        except OSError as error:
            self.error = error
