"""runtime.generation: the one uevent that is meant, from the kernel alone."""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from contextlib import closing

import pytest
from tests.support.scripted_sockets import sockets_that_read
from tests.support.uevents import VMGENID, from_kernel, from_process

from holdfast.runtime.host import vmgenid
from holdfast.runtime.host.vmgenid import GenerationWatch, is_generation_change
from holdfast_lab.testbed.fair_time import wait_until
from holdfast_lab.testbed.netns import Namespace


@pytest.mark.parametrize(("message", "meant"), [
    (VMGENID, True),
    (VMGENID.replace(b"change", b"add"), False),
    (VMGENID.replace(b"NEW_VMGENID=1", b"NEW_VMGENID=0"), False),
    (VMGENID.replace(b"NEW_VMGENID=1", b"SYNTH_ARG_NEW_VMGENID=1"), False),  # what a write to sysfs can make
    (b"change@/devices/NEW_VMGENID=1\0ACTION=change\0", False),
    (b"libudev\0\xfe\xed\xca\xfe", False),
    (b"", False),
    (b"\0" * 8192, False),
])
def test_which_message_is_meant(message: bytes, meant: bool) -> None:
    assert is_generation_change(message) is meant


@pytest.mark.root
def test_the_kernel_is_believed_and_nobody_else() -> None:
    with Namespace("uevents") as machine:
        watch = machine.run(GenerationWatch)
        try:
            from_process(machine, VMGENID)
            from_kernel(machine, VMGENID.replace(b"change", b"add"))  # kept out by the filter
            assert watch.read() is False
            from_kernel(machine, VMGENID.replace(b"VMGENID=1", b"VMGENID=0"))
            assert watch.read() is False
            from_kernel(machine, VMGENID)
            wait_until(watch.read, 5, "the kernel is heard")
            assert watch.read() is False
        finally:
            watch.close()


@pytest.mark.parametrize(("code", "news"), [(errno.ENOBUFS, True), (errno.EIO, False)])
def test_what_was_lost_may_have_been_it(code: int, news: bool) -> None:
    with sockets_that_read(deque([OSError(code, os.strerror(code))])), closing(GenerationWatch()) as watch:
        assert watch.read() is news
        assert watch.read() is False


def test_a_kernel_without_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[socket.socket] = []

    def refuse(sock: socket.socket, program: object) -> None:
        opened.append(sock)
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(vmgenid, "attach", refuse)
    with pytest.raises(OSError, match="not permitted"):
        GenerationWatch()
    assert opened[0].fileno() == -1
