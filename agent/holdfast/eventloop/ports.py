"""The interface of the loop, as a Protocol: the real loop and the tests' virtual loop conform to it."""

from __future__ import annotations

from holdfast.wire.record import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

#: What a descriptor is, or is to be, ready for.
EVENT_READ, EVENT_WRITE = 1, 2


class Loop(Protocol):
    """What ``eventloop.loop.Loop`` offers to everything that runs in it (the control server too)."""

    def now(self) -> float:
        """CLOCK_BOOTTIME seconds."""

    def register(self, fd: int, callback: Callable[[int], None], events: int = 1) -> None:
        """Call ``callback(mask)`` when ``fd`` is ready; ``events`` and ``mask`` are EVENT_READ
        and EVENT_WRITE. Registering again replaces."""

    def unregister(self, fd: int) -> None:
        """Forget ``fd``; unknown ones are ignored. Call it before closing the descriptor."""

    def set_timer(self, key: Hashable, at: float | None, callback: Callable[[], None]) -> None:
        """Call once at instant ``at``; one timer for each key; None cancels."""
