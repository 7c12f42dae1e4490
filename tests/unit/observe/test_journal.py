"""The journal's native protocol, against a socket of our own."""

from __future__ import annotations

import os
import socket
import struct
import tempfile
from pathlib import Path
from typing import Iterator

import pytest
from tests.support.limits import no_descriptors_left

from holdfast.observe import journal
from holdfast.observe.journal import JournalSocket, encode, stderr_is_journal
from holdfast_lab.testbed import fair_time


@pytest.fixture
def journald() -> Iterator[socket.socket]:
    # Not tmp_path: a socket's path has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="j") as folder, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(folder + "/socket")
        server.settimeout(fair_time.longest(5))
        yield server


def test_plain_and_multi_line_values() -> None:
    assert encode({"MESSAGE": "one", "A_1": ""}) == b"MESSAGE=one\nA_1=\n"
    assert encode({"MESSAGE": "a\nb"}) == b"MESSAGE\n" + struct.pack("<Q", 3) + b"a\nb\n"


def test_text_that_is_not_text_is_escaped() -> None:
    assert encode({"A": "\udcff"}) == b"A=\\udcff\n"


@pytest.mark.parametrize("key", ["", "_PID", "1A", "message", "A B", "A=B", "A\nB", "A" * 65])
def test_keys_that_the_journal_ignores_are_a_mistake(key: str) -> None:
    with pytest.raises(ValueError, match="not a journal field"):
        encode({key: "x"})


def test_an_entry_is_one_datagram(journald: socket.socket) -> None:
    sender = JournalSocket(journald.getsockname())
    sender.send({"MESSAGE": "hello", "PRIORITY": "6"})
    sender.close()
    assert journald.recv(100) == b"MESSAGE=hello\nPRIORITY=6\n"


def test_an_entry_that_is_too_large_goes_as_a_sealed_file(journald: socket.socket) -> None:
    sender = JournalSocket(journald.getsockname())
    text = "x" * 4_000_000
    sender.send({"MESSAGE": text})
    sender.close()
    data, fds, _, _ = socket.recv_fds(journald, 100, 1)
    assert data == b""
    with os.fdopen(fds[0], "rb") as file:
        file.seek(0)
        assert file.read() == b"MESSAGE=" + text.encode() + b"\n"
        with pytest.raises(PermissionError):
            os.write(file.fileno(), b"y")


def test_no_journald_is_an_error(tmp_path: Path) -> None:
    sender = JournalSocket(str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        sender.send({"MESSAGE": "x"})
    sender.close()


def test_a_journald_that_does_not_read_never_blocks_us(journald: socket.socket) -> None:
    sender = JournalSocket(journald.getsockname())

    def flood() -> None:
        for _ in range(10_000):
            sender.send({"MESSAGE": "x"})

    with pytest.raises(BlockingIOError):
        flood()
    sender.close()


def test_another_error_is_passed_on(journald: socket.socket) -> None:
    sender = JournalSocket(journald.getsockname())
    with no_descriptors_left(), pytest.raises(OSError, match="Too many open files"):
        sender.send({"MESSAGE": "x" * 4_000_000})  # too large for a datagram, and no file can be opened for it
    sender.close()


def test_stderr_is_the_journal_when_it_is_the_same_file() -> None:
    with tempfile.TemporaryFile() as file:
        status = os.fstat(file.fileno())
        stream = f"{status.st_dev}:{status.st_ino}"
        assert stderr_is_journal({"JOURNAL_STREAM": stream}, file.fileno())
        assert not stderr_is_journal({"JOURNAL_STREAM": stream + "1"}, file.fileno())
        assert not stderr_is_journal({}, file.fileno())
        fd = file.fileno()
    assert not stderr_is_journal({"JOURNAL_STREAM": stream}, fd)


def test_the_usual_socket() -> None:
    assert journal.SOCKET_PATH == "/run/systemd/journal/socket"
