"""The metric of an interface for which nobody has set one: no two interfaces have the same (rule 97).

``<folder>/IFACE.metric`` holds it, so that it is kept over restarts. The first is 100, and the next free number
follows, in the order in which the interfaces appeared. Two agents with one folder that choose within the same moment
may choose alike.
"""

from __future__ import annotations

import os

from holdfast.state import METRIC
from holdfast.state import folder as folders
from holdfast.wire.lean import suppress

#: Files of other interfaces that are looked at.
MAX_FILES = 256


class RouteMetrics:
    """Chooses for the interfaces of one agent. ``first`` is the lowest metric. Nothing here raises: in a folder that
    cannot be used the metrics are remembered in memory alone."""

    def __init__(self, folder: str, first: int) -> None:
        self._folder, self._first = folder, first
        self._known: dict[str, int] = {}
        self._waiting: list[str] = []

    def appeared(self, ifname: str) -> None:
        """``ifname`` is served from now on. No file is read."""
        if ifname not in self._waiting:
            self._waiting.append(ifname)

    def of(self, ifname: str) -> int:
        """The metric of ``ifname``."""
        self.appeared(ifname)
        if ifname not in self._known:
            stored = self._stored()
            for name in self._waiting:
                if name not in self._known:
                    self._known[name] = stored[name] if name in stored else self._choose(name, stored)
        return self._known[ifname]

    def _choose(self, ifname: str, stored: dict[str, int]) -> int:
        from holdfast.state import atomic  # noqa: PLC0415 - once for each interface

        taken = {*stored.values(), *self._known.values()}
        metric = next(number for number in range(self._first, self._first + len(taken) + 1) if number not in taken)
        with suppress(OSError):
            # Not durable: the first address would wait for it, and what a power cut takes away is chosen anew.
            atomic.write(os.path.join(self._folder, ifname + METRIC), f"{metric}\n".encode(), 0o644, durable=False)
        return metric

    def _stored(self) -> dict[str, int]:
        found: dict[str, int] = {}
        with suppress(OSError):
            for name in [name for name in folders.names(self._folder) if name.endswith(METRIC)][:MAX_FILES]:
                with suppress(OSError):
                    text = folders.read(os.path.join(self._folder, name), 16).decode("ascii", "replace")
                    number = text.removesuffix("\n")
                    # A file that was cut would give another metric, and the routes would move.
                    if text != number and number.isdigit() and self._first <= int(number) < 1 << 32:
                        found[name.removesuffix(METRIC)] = int(number)
        return found
