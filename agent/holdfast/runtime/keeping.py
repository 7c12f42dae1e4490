"""Keeps the lease on stable storage, and keeps trying: a full disk is a notice, never an end (rule 59)."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.runtime.retry import Backoff
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.core.lease import Gateway, Lease, ServerPath
    from holdfast.eventloop.ports import Loop
    from holdfast.runtime.ports import Reporter, Store


class Keeper:
    """What the store should hold, and the tries to make it so."""

    def __init__(self, store: Store, loop: Loop, reporter: Reporter) -> None:
        self._store, self._loop, self._reporter = store, loop, reporter
        self._backoff = Backoff(1.0, 300.0)
        self._wish: Callable[[], None] | None = None
        self._resting = False

    def save(self, lease: Lease, path: ServerPath | None, gateway: Gateway | None) -> None:
        """Hold ``lease`` from now on."""
        self._want(lambda: self._store.save(lease, path, gateway))

    def forget(self) -> None:
        """Hold no lease from now on."""
        self._want(self._store.forget)

    def rest(self) -> None:
        """Write nothing any more."""
        self._resting, self._wish = True, None

    def _want(self, wish: Callable[[], None]) -> None:
        if not self._resting:
            self._wish = wish
            self.attempt()

    def attempt(self) -> None:
        """Try what is outstanding; called again by a timer, and once more before the end."""
        if self._wish is None:
            return
        try:
            self._wish()
        except OSError as error:
            if not self._backoff.failures:
                self._reporter.line(4, f"the lease file {self._store.path} cannot be written: "
                                       f"{error.strerror or error}; the lease stays in use, and it is tried again: "
                                       "make room, or let the agent's user write there")
            self._loop.set_timer((self, "save"), self._loop.now() + self._backoff.failed(), self.attempt)
            return
        self._wish = None
        self._loop.set_timer((self, "save"), None, self.attempt)
        if self._backoff.succeeded():
            self._reporter.line(5, "the lease file is written again")

    def close(self) -> None:
        """One last try."""
        self.attempt()
        self._loop.set_timer((self, "save"), None, self.attempt)
