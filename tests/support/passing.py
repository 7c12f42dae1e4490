"""A cable that has just been plugged in: until the kernel knows of it, what is sent there is lost."""

from __future__ import annotations

import socket

from holdfast_lab.testbed.fair_time import wait_until
from holdfast_lab.testbed.netns import Namespace

#: IEEE 802's first local experimental ethertype: nobody else on the cable says or hears it.
_EXPERIMENTAL = 0x88B5


def wait_passing(one: Namespace, one_name: str, other: Namespace, other_name: str, timeout: float = 30.0) -> None:
    """Return when a frame gets through in either direction. A link that is up gets its queue from a worker of the
    kernel's (linkwatch), up to a second later on an idle machine."""
    ends = (one, one_name), (other, other_name)
    for (sender, sent_from), (receiver, heard_at) in (ends, ends[::-1]):
        with _packets(sender, sent_from) as mouth, _packets(receiver, heard_at) as ear:
            ear.setblocking(False)
            frame = b"\xff" * 6 + b"\x02\0\0\0\0\x09" + _EXPERIMENTAL.to_bytes(2, "big") + b"\0" * 46

            def heard(mouth: socket.socket = mouth, ear: socket.socket = ear, frame: bytes = frame) -> bool:
                mouth.send(frame)
                try:
                    return bool(ear.recv(64))
                except BlockingIOError:
                    return False

            wait_until(heard, timeout, f"a frame from {sent_from} to {heard_at}")


def _packets(machine: Namespace, name: str) -> socket.socket:
    def make() -> socket.socket:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        made.bind((name, _EXPERIMENTAL))
        return made

    return machine.run(make)
