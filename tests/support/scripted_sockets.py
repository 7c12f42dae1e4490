"""Sockets that read what a test has written down: losses and floods that a kernel brings about only by chance."""

from __future__ import annotations

import _socket
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def sockets_that_read(queue: deque[bytes | OSError]) -> Iterator[None]:
    """Whatever socket is made meanwhile reads from ``queue``, for as long as it lives: datagrams, which come from the
    kernel's address, and errors, which are raised. When the queue is empty there is nothing to read."""

    def take() -> bytes:
        item = queue.popleft() if queue else BlockingIOError()
        if isinstance(item, OSError):
            raise item
        return item

    class Scripted(_socket.socket):
        def recv(self, *_: int) -> bytes:
            return take()

        def recvfrom(self, *_: int) -> tuple[bytes, tuple[int, int]]:
            return take(), (0, 0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "socket", Scripted)
        patch.setattr(_socket, "socket", Scripted)
        yield
