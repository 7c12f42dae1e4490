"""The VM generation id: by which a hypervisor shows a guest that it is a restored snapshot or a copy.

Where the kernel's vmgenid driver (drivers/virt/vmgenid.c; the device is ACPI's VMGENCTR or the device tree's
"microsoft,vmgenid") tells programs of it, it sends a uevent "change" with NEW_VMGENID=1. Not every kernel does:
Debian's 6.1 has no such driver, and its 6.12 reseeds the random numbers and sends nothing. There the announcement
of the network card tells it (network.watch, ANNOUNCED). No clock does: all of them were restored too. Live
migration and a pause keep the id.
"""

from __future__ import annotations

import _socket as socket
import errno

from holdfast.sockets.filters import attach
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.wire.frame import Instruction

_NETLINK_KOBJECT_UEVENT, _KERNEL_GROUP = 15, 1
#: The kernel's own limit is 2048 bytes of variables and a path (UEVENT_BUFFER_SIZE in linux/kobject.h).
_MAX_MESSAGE = 8192
#: Messages read in one round of the loop.
_MAX_MESSAGES = 64

#: Let only messages in that begin with ``change@/``: devices come and go without waking us.
_CHANGES: list[Instruction] = [
    (0x20, 0, 0, 0),  # BPF_LD|BPF_W|BPF_ABS
    (0x15, 0, 3, int.from_bytes(b"chan", "big")),  # BPF_JMP|BPF_JEQ|BPF_K
    (0x20, 0, 0, 4),
    (0x15, 0, 1, int.from_bytes(b"ge@/", "big")),
    (0x06, 0, 0, 0xFFFF),
    (0x06, 0, 0, 0),
]


class GenerationWatch:
    """Readable when a device has changed. OSError where there are no uevents."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, _NETLINK_KOBJECT_UEVENT)
        try:
            attach(self._socket, _CHANGES)
            self._socket.bind((0, _KERNEL_GROUP))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """For a selector."""
        return self._socket.fileno()

    def read(self) -> bool:
        """True when this machine became another generation of itself; also when messages were lost, because
        that one may have been among them."""
        news = False
        for _ in range(_MAX_MESSAGES):
            try:
                data, sender = self._socket.recvfrom(_MAX_MESSAGE)
            except BlockingIOError:
                break
            except OSError as error:
                news |= error.errno == errno.ENOBUFS
                continue
            # Port 0 is the kernel; a process that sends to this group has a port of its own.
            news |= sender[0] == 0 and is_generation_change(data)
        return news

    def close(self) -> None:
        """Stop watching."""
        self._socket.close()


def is_generation_change(message: bytes) -> bool:
    """True if a uevent is the one of the generation id: ``change@PATH``, then variables, each behind a NUL."""
    head, *variables = message.split(b"\0")
    return head.startswith(b"change@/") and b"ACTION=change" in variables and b"NEW_VMGENID=1" in variables
