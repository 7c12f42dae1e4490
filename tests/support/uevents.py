"""uevents as a hypervisor brings them about, and as a process may fake them.

The kernel passes on what a privileged process sends it on this protocol (lib/kobject_uevent.c, for container
managers): to a listener that is a uevent of the kernel's own. What is sent to the listeners directly is not.
"""

from __future__ import annotations

import socket
import struct

from holdfast_lab.testbed.netns import Namespace

VMGENID = b"change@/devices/LNXSYSTM:00/QEMUVGID:00\0ACTION=change\0SUBSYSTEM=acpi\0NEW_VMGENID=1\0"
NETLINK_KOBJECT_UEVENT = 15


def from_kernel(machine: Namespace, message: bytes) -> None:
    """A uevent of the kernel in the machine's network namespace."""
    header = struct.pack("=IHHII", 16 + len(message), 0x10, 1, 0, 0)
    _send(machine, header + message, (0, 0))


def from_process(machine: Namespace, message: bytes) -> None:
    """The same bytes from a process of the machine to everybody who listens to the kernel."""
    _send(machine, message, (0, 1))


def _send(machine: Namespace, data: bytes, to: tuple[int, int]) -> None:
    def send() -> None:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_KOBJECT_UEVENT) as sender:
            sender.sendto(data, to)

    machine.run(send)
