"""Work on files that does not hold up the loop: a disk may take seconds, or not answer at all (a cloud volume that
moves, NFS), and other interfaces' renewals are due meanwhile.
"""

from __future__ import annotations

import _thread
import errno
import os
from time import monotonic

from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds that the loop waits for a disk, at most. Most answer within a few milliseconds, and then what follows a write
#: comes after it.
PATIENCE = 0.05
#: Seconds after which a thread that has not begun never will: without memory it ends before its first step.
START = 5.0


class Background:
    """Runs one step at a time in a thread of its own. ``error`` is what the last one that has ended raised.

    Not by ``threading``: its ``start`` waits for the new thread without end, also for one that lack of memory ended."""

    def __init__(self) -> None:
        self.error: OSError | None = None
        self._lock = _thread.allocate_lock()  # held while a step goes on
        self._begun = True
        self._since = 0.0

    @property
    def busy(self) -> bool:
        """True while a step goes on."""
        if self._lock.locked() and not self._begun and monotonic() - self._since > START:
            self._lock, self._begun = _thread.allocate_lock(), True
            self.error = OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        return self._lock.locked()

    def run(self, step: Callable[[], object]) -> bool:
        """Begin ``step``, and wait for it for ``PATIENCE``. True when it is done; OSError is what it raised. False when
        it goes on. Where no thread can be had it is waited for. Not to be called while one goes on."""
        assert not self.busy
        self.error, self._begun, self._since = None, False, monotonic()
        self._lock.acquire()
        try:
            _thread.start_new_thread(self._run, (step, self._lock))
        except RuntimeError:  # TasksMax=, or memory
            self._run(step, self._lock)
        if not self.wait(PATIENCE):
            return False
        if self.error is not None:
            raise self.error
        return True

    def wait(self, seconds: float) -> bool:
        """Wait for the step that goes on, if there is one; False when it still does."""
        if not self._lock.acquire(timeout=seconds):
            return False
        self._lock.release()
        return True

    def _run(self, step: Callable[[], object], lock: _thread.LockType) -> None:
        self._begun = True
        try:
            step()
        except OSError as error:
            self.error = error
        except MemoryError:
            self.error = OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        finally:
            lock.release()
