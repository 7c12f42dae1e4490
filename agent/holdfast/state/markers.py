"""``holdfast yield``: an administrator's word, which outlives the process and the boot."""

from __future__ import annotations

import os


class YieldFile:
    """``<state>/IFACE.yield``: while it is there, the interface is its administrator's."""

    def __init__(self, folder: str, ifname: str) -> None:
        self._path = os.path.join(folder, ifname + ".yield")

    def is_set(self) -> bool:
        """Whether he said so, now or in an earlier life."""
        return os.path.lexists(self._path)

    def set(self, yielded: bool) -> None:
        """Remember it. OSError; then it is as it was."""
        from holdfast.state import atomic  # noqa: PLC0415 - rarely, and long after the first DISCOVER
        from holdfast.state import folder as folders  # noqa: PLC0415

        if yielded:
            atomic.write(self._path, b"holdfast yield --back ends it\n", 0o644)
        elif self.is_set():
            folders.unlink(self._path, durable=True)
