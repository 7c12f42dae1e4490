"""runtime.portholder: this process as the holder, and a /proc of our own."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from holdfast.network import port_owner
from holdfast.network.port_owner import holder_of, others_of

_TABLE = """\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  100: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0 0
  101: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2 0 0
nonsense
"""


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "udp").write_text(_TABLE)
    for pid, name, inode in (("41", "dnsmasq", 4712), ("42", "dhclient", 4711)):
        (tmp_path / pid / "fd").mkdir(parents=True)
        (tmp_path / pid / "comm").write_text(name + "\n")
        (tmp_path / pid / "fd" / "0").symlink_to("/dev/null")
        (tmp_path / pid / "fd" / "5").symlink_to(f"socket:[{inode}]")
        (tmp_path / pid / "fd" / "6").write_text("not a link")
    (tmp_path / "43").mkdir()  # ended meanwhile: no fd any more
    (tmp_path / "self").mkdir()
    return tmp_path


def test_the_process_is_named(proc: Path) -> None:
    assert holder_of(68, str(proc)) == "dhclient (pid 42)"  # rule 54


def test_a_process_without_a_name(proc: Path) -> None:
    (proc / "42" / "comm").unlink()
    assert holder_of(68, str(proc)) == "a process (pid 42)"


@pytest.mark.parametrize(("uids", "whose"), [
    ("0 0 0 0", ""), ("65534 65534 65534 65534", ", of uid 65534"), ("0 65534 0 0", ", of uid 65534"),
])
def test_whose_it_is(proc: Path, uids: str, whose: str) -> None:
    """rule 93: another user's process is told as his, and its name cannot speak to a terminal."""
    (proc / "42" / "comm").write_text("dh\x1b]0;x\x07\nclient\u202e\n")
    (proc / "42" / "status").write_text(f"Name:\tdhclient\nUid:\t{uids}\n")
    assert holder_of(68, str(proc)) == rf"dh\x1b]0;x\x07\nclient\u202e (pid 42{whose})"


def test_a_process_that_cannot_be_seen(proc: Path) -> None:
    (proc / "42" / "fd" / "5").unlink()
    assert holder_of(68, str(proc)) == "a process that could not be found (socket inode 4711)"


_PACKET = """\
sk               RefCnt Type Proto  Iface R Rmem   User   Inode
0000000000000000 3      3    0003   2     1 0      0      4713
0000000000000000 3      3    0806   2     1 0      0      4714
nonsense
"""


def test_those_who_can_speak_dhcp_are_named(proc: Path) -> None:
    (proc / "net" / "packet").write_text(_PACKET)
    for pid, name, inode in (("44", "udhcpc", 4713), ("45", "arping", 4714)):
        (proc / pid / "fd").mkdir(parents=True)
        (proc / pid / "comm").write_text(name + "\n")
        (proc / pid / "fd" / "3").symlink_to(f"socket:[{inode}]")
    assert set(others_of(68, str(proc)).split(", ")) == {"dhclient (pid 42)", "udhcpc (pid 44)"}
    for number in range(50, 60):
        (proc / str(number) / "fd").mkdir(parents=True)
        (proc / str(number) / "fd" / "3").symlink_to("socket:[4713]")
    assert len(others_of(68, str(proc)).split(", ")) == 3


def test_those_who_cannot_be_seen_are_not_known(proc: Path) -> None:
    (proc / "42" / "fd" / "5").unlink()
    assert others_of(68, str(proc)) == "which one is not known"
    (proc / "net" / "udp").unlink()
    assert others_of(68, str(proc)) == "which one is not known"


def test_no_socket_on_the_port(proc: Path, tmp_path: Path) -> None:
    assert holder_of(69, str(proc)) == "a process in another namespace"
    (proc / "net" / "udp").unlink()
    assert holder_of(68, str(proc)) == "a process in another namespace"


def test_on_the_real_proc_we_do_not_find_ourselves(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.1", 0))
        assert "could not be found" in holder_of(held.getsockname()[1])
        monkeypatch.setattr(port_owner.os, "getpid", lambda: -1)
        assert "(pid " in holder_of(held.getsockname()[1])
