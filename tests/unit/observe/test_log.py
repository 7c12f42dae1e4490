"""Where lines go, and that nobody's slowness or absence is felt."""

from __future__ import annotations

import os
import pty
import re
import socket
import tempfile
from pathlib import Path
from typing import Iterator

import pytest

from holdfast.observe.log import DEBUG, ERROR, INFO, LINE_LIMIT, Log


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_a_line_for_people(pipe: tuple[int, int]) -> None:
    log = Log("stderr", fd=pipe[1])
    log.write(INFO, "eth0: renewed", {"INTERFACE": "eth0"})
    log.write(DEBUG, "eth0: BOUND -> RENEWING")
    log.close()
    assert log.target == "stderr"
    assert os.read(pipe[0], 1000) == b"eth0: renewed\n"


def test_a_terminal_gets_the_time_too() -> None:
    master, slave = pty.openpty()
    try:
        Log("stderr", fd=slave).write(INFO, "eth0: renewed")
        assert re.fullmatch(rb"\d\d:\d\d:\d\d eth0: renewed\r\n", os.read(master, 1000))
    finally:
        os.close(master)
        os.close(slave)


def test_debug_is_shown_when_asked_for(pipe: tuple[int, int]) -> None:
    log = Log("stderr", level=DEBUG, fd=pipe[1])
    log.write(DEBUG, "detail")
    assert os.read(pipe[0], 1000) == b"detail\n"


def test_control_characters_of_a_server_do_not_reach_the_terminal(pipe: tuple[int, int]) -> None:
    log = Log("stderr", fd=pipe[1])
    log.write(INFO, "NAK: \x1b[2Jgone\r\nroot# \u202e")
    assert os.read(pipe[0], 1000) == rb"NAK: \x1b[2Jgone\r\nroot# \u202e" + b"\n"


def test_a_long_line_is_cut(pipe: tuple[int, int]) -> None:
    log = Log("stderr", fd=pipe[1])
    log.write(INFO, "é" * 1000)
    line = os.read(pipe[0], 5000)
    assert len(line) <= LINE_LIMIT + 1
    assert line.endswith("é...\n".encode())
    log.write(INFO, "x" * LINE_LIMIT)
    assert os.read(pipe[0], 5000) == b"x" * LINE_LIMIT + b"\n"


def test_a_pipe_that_nobody_reads_never_blocks_and_the_loss_is_told(pipe: tuple[int, int]) -> None:
    log = Log("stderr", fd=pipe[1])
    for _ in range(200):
        log.write(INFO, "x" * 900)
    assert log.lost > 100
    os.read(pipe[0], 1 << 20)
    log.write(INFO, "again")
    assert os.read(pipe[0], 1000).decode() == f"again ({log.lost} lines before this one were lost: nobody read them)\n"
    log.lost += 1
    log.write(INFO, "again")
    assert os.read(pipe[0], 1000) == b"again (1 line before this one was lost: nobody read it)\n"
    log.write(INFO, "and again")
    assert os.read(pipe[0], 1000) == b"and again\n"


def test_a_closed_stderr_is_no_error(pipe: tuple[int, int]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    log = Log("stderr", fd=writing)
    log.write(ERROR, "x")
    assert log.lost == 1
    os.close(writing)
    log.write(ERROR, "x")
    assert log.lost == 2


def test_auto_is_stderr_unless_systemd_connected_it(pipe: tuple[int, int]) -> None:
    assert Log("auto", fd=pipe[1], environ={}).target == "stderr"
    assert Log("auto", fd=pipe[1], environ={"JOURNAL_STREAM": "1:1"}).target == "stderr"
    status = os.fstat(pipe[1])
    log = Log("auto", fd=pipe[1], environ={"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
    assert log.target == "journal"
    log.close()
    assert log.target == "stderr"


def test_the_journal_gets_fields_and_every_priority(pipe: tuple[int, int]) -> None:
    with tempfile.TemporaryDirectory(prefix="j") as folder, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journald:
        journald.bind(folder + "/socket")
        log = Log("journal", fd=pipe[1], journal_path=folder + "/socket")
        log.write(DEBUG, "text", {"INTERFACE": "eth0"})
        log.close()
        assert journald.recv(1000) == b"MESSAGE=text\nPRIORITY=7\nSYSLOG_IDENTIFIER=holdfast\nINTERFACE=eth0\n"


def test_without_journald_stderr_gets_the_line(pipe: tuple[int, int], tmp_path: Path) -> None:
    log = Log("journal", fd=pipe[1], journal_path=str(tmp_path / "none"))
    log.write(INFO, "text")
    log.close()
    assert os.read(pipe[0], 1000) == b"text\n"
