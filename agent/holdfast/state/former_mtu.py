"""What the MTU of a link was before a lease set another: it is put back when the lease is gone.

Kept in the run-time folder, which outlives the process and not the boot, as the link's MTU does.
"""

from __future__ import annotations

from contextlib import suppress

from holdfast.state import folder as folders


class FormerMtu:
    """``path`` None: remembered in memory alone. Nothing here raises: a lost number is not put back."""

    def __init__(self, path: str | None = None) -> None:
        self._path = path
        self._known: int | None = None

    def get(self) -> int | None:
        """The number, None when none is remembered."""
        text = ""
        if self._known is None and self._path is not None:
            with suppress(OSError):
                text = folders.read(self._path, 16).decode("ascii", "replace").strip()
        # 68 is the least that IPv4 can do with (RFC 791), and no link has more than 16 bits of it.
        if text.isascii() and text.isdigit() and len(text) <= 5 and 68 <= int(text) <= 65535:
            self._known = int(text)
        return self._known

    def keep(self, mtu: int) -> None:
        """Remember it."""
        from holdfast.state import atomic  # noqa: PLC0415 - when a lease sets an MTU

        self._known = mtu
        if self._path is not None:
            with suppress(OSError):
                atomic.write(self._path, f"{mtu}\n".encode(), 0o644)

    def forget(self) -> None:
        """It was put back, or the link is gone."""
        self._known = None
        if self._path is not None:
            with suppress(OSError):
                folders.unlink(self._path)
