"""Small facts about one interface that outlive the process: that it is yielded, the MTU that its link had before, and
an address on it that a lease gave us and that is somebody else's.

They are read before the first DISCOVER, so nothing is imported here that reading them does without.
"""

from __future__ import annotations

import os

from holdfast.state import YIELD
from holdfast.state import folder as folders
from holdfast.wire.address import IPv4Address
from holdfast.wire.lean import suppress


class YieldMarker:
    """``<folder>/IFACE.yield``: while the file exists, Holdfast leaves the interface alone (``holdfast yield``).

    ``yielded`` is what this process goes by; ``load`` and ``set_yielded`` are the only writers of it.
    """

    def __init__(self, folder: str, ifname: str) -> None:
        self._path = os.path.join(folder, ifname + YIELD)
        self.yielded = False

    def load(self) -> bool:
        """Take over what an earlier process left: True if yield was requested and not revoked."""
        self.yielded = os.path.lexists(self._path)
        return self.yielded

    def set_yielded(self, yielded: bool) -> None:
        """Write or remove the file, and act accordingly. Raises OSError; then nothing has changed."""
        from holdfast.state import atomic  # noqa: PLC0415 - rarely, and long after the first DISCOVER

        if yielded:
            atomic.write(self._path, b"holdfast yield --back ends it\n", 0o644)
        elif os.path.lexists(self._path):
            folders.unlink(self._path, durable=True)
        self.yielded = yielded


class FormerMtu:
    """The MTU of a link before a lease set another: it is put back when the lease is gone.

    Kept in the run-time folder, which outlives the process and not the boot, as the link's MTU does. ``path`` None:
    remembered in memory alone. Nothing here raises: a number that is lost is not put back.
    """

    def __init__(self, path: str | None = None) -> None:
        self._path = path
        self._known: int | None = None

    def get(self) -> int | None:
        """The MTU in bytes; None when none is remembered, or what the file holds is no MTU."""
        text = ""
        if self._known is None and self._path is not None:
            with suppress(OSError):
                text = folders.read(self._path, 16).decode("ascii", "replace").strip()
        # 68 is the minimum of IPv4 (RFC 791); the largest fits 16 bits.
        if text.isascii() and text.isdigit() and len(text) <= 5 and 68 <= int(text) <= 65535:
            self._known = int(text)
        return self._known

    def keep(self, mtu: int) -> None:
        """Remember ``mtu`` (bytes)."""
        from holdfast.state import atomic  # noqa: PLC0415 - when a lease sets an MTU

        self._known = mtu
        if self._path is not None:
            with suppress(OSError):
                atomic.write(self._path, f"{mtu}\n".encode(), 0o644)

    def forget(self) -> None:
        """Forget the MTU: it was restored, or the link is gone."""
        self._known = None
        if self._path is not None:
            with suppress(OSError):
                folders.unlink(self._path)


class ForeignAddress:
    """``<folder>/IFACE.foreign``: the address of our lease that was on the link already, and not by us (rule 87).

    Kept beside the lease file, or a restart would take the address for our own. ``path`` None: remembered in memory
    alone. Nothing here raises.
    """

    def __init__(self, path: str | None = None) -> None:
        self._path = path
        self._known: IPv4Address | None = None
        self._read = path is None

    def get(self) -> IPv4Address | None:
        """The address; None when there is none, or the file holds no address."""
        if not self._read and self._path is not None:
            self._read = True
            with suppress(OSError, ValueError):
                self._known = IPv4Address(folders.read(self._path, 16).decode("ascii", "replace").strip())
        return self._known

    def set(self, address: IPv4Address | None) -> None:
        """Remember ``address``, or that there is none."""
        from holdfast.state import atomic  # noqa: PLC0415 - rarely, and long after the first DISCOVER

        if address == self.get():
            return
        self._known = address
        if self._path is not None:
            with suppress(OSError):
                if address is None:
                    folders.unlink(self._path)
                else:
                    atomic.write(self._path, f"{address}\n".encode(), 0o644)
