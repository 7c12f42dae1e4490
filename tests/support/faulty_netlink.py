"""Runs the daemon with a kernel that refuses: while the file named first exists, what it asks is spoiled.

``python -m tests.support.faulty_netlink FILE IFACE``. Requests for a new address or route are made wrong
on their way out (an interface that does not exist, a prefix of 255 bits), so the refusal that comes back
is the kernel's own: ENODEV and EINVAL.
"""

from __future__ import annotations

import _socket
import os
import runpy
import struct
import sys
from typing import Any

_RTM_NEWADDR, _RTM_NEWROUTE = 20, 24
_NO_SUCH_INTERFACE = 0x7FFFFFF0


def spoil(data: bytes) -> bytes:
    """The same netlink messages, those for a new address or route made wrong (rtnetlink(7))."""
    spoiled = bytearray(data)
    offset = 0
    while offset + 16 <= len(spoiled):
        length, kind = struct.unpack_from("=IH", spoiled, offset)
        if kind == _RTM_NEWADDR:
            struct.pack_into("=I", spoiled, offset + 20, _NO_SUCH_INTERFACE)
        elif kind == _RTM_NEWROUTE:
            spoiled[offset + 17] = 255
        offset += max(16, (length + 3) & ~3)
    return bytes(spoiled)


def main() -> None:
    """Patch the sockets, then be the daemon."""
    switch = sys.argv.pop(1)

    class Spoiling(_socket.socket):
        """The daemon takes its sockets from ``_socket``."""

        def send(self, data: bytes, *rest: Any) -> int:
            return super().send(self._spoiled(data), *rest)

        def sendto(self, data: bytes, *rest: Any) -> int:
            return super().sendto(self._spoiled(data), *rest)

        def _spoiled(self, data: bytes) -> bytes:
            return spoil(bytes(data)) if self.family == _socket.AF_NETLINK and os.path.exists(switch) else data

    _socket.socket = Spoiling  # type: ignore[misc]
    runpy.run_module("holdfast.runtime", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
