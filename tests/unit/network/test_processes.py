"""What /proc says of a process, also when it is hostile or gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.network.processes import name_of, named, status_of, words_of

GONE = "99999999"


def process(proc: Path, **files: bytes) -> str:
    (proc / "7").mkdir()
    for name, content in files.items():
        (proc / "7" / name).write_bytes(content)
    return str(proc)


def test_one_that_is_gone_has_no_name(tmp_path: Path) -> None:
    proc = str(tmp_path)
    assert (name_of(GONE, proc), words_of(GONE, proc), status_of(GONE, proc)) == ("", ("",), [])
    assert named(GONE, proc) == f"a process (pid {GONE})"


@pytest.mark.parametrize(("line", "name"), [
    (b"/bin/busybox\0udhcpc\0-i\0eth0\0", "udhcpc"),
    (b"udhcpc\0-i\0eth0\0", "udhcpc"),
    (b"busybox\0", "busybox"),
    (b"", ""),
])
def test_busybox_is_called_as_its_applet(tmp_path: Path, line: bytes, name: str) -> None:
    assert name_of("7", process(tmp_path, comm=b"busybox\n", cmdline=line)) == name


def test_words_that_are_no_utf_8_survive(tmp_path: Path) -> None:
    assert words_of("7", process(tmp_path, cmdline=b"dhclient\0eth\xff\0")) == ("dhclient", "eth\udcff")


def test_a_hostile_name_is_printable_and_bounded(tmp_path: Path) -> None:
    proc = process(tmp_path, comm=b"\x1b[31mred\n", cmdline=b"x" * 100_000, status=b"Uid:\t0\t12\t0\t0\n")
    assert "\x1b" not in named("7", proc)
    assert named("7", proc).endswith("(pid 7, of uid 12)")
    assert len(words_of("7", proc)[0]) == 8192
