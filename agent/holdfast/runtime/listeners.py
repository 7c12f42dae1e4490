"""Those who want to hear of something, until they do not."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


class Listeners:
    """Callbacks with the same arguments."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[..., None]] = []

    def add(self, callback: Callable[..., None]) -> Callable[[], None]:
        """Call ``callback`` from now on, until the returned function is called."""
        self._callbacks.append(callback)

        def remove() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return remove

    def tell(self, *what: Any) -> None:
        """Call everybody; whoever leaves or comes meanwhile is no trouble."""
        for callback in list(self._callbacks):
            callback(*what)
