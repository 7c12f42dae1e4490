"""The journal: what is written is read; what is not ours is not believed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from math import inf
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import strategies as _profile  # noqa: F401 - the same examples in every run
from tests.support.takeovers import foreign_lease

from holdfast.network.plan import Address, AddRoute, Observed
from holdfast.network.spec import Route
from holdfast.state import atomic
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.journal import codec
from holdfast.takeover.journal.codec import JournalError
from holdfast.takeover.journal.file import JournalFile
from holdfast.takeover.journal.record import FileDone, Journal, Phase, anonymous, checksum
from holdfast.takeover.link_state import plan_return
from holdfast.takeover.model import Command, FileChange, Found, ListEntry, Ownership

JOURNAL = Journal(
    "eth0", "oldclient", Phase.OWNING,
    Found("oldclient", "manager", "eth0", (100, 101), "pid 100", ("oldclient", "eth0"), {"A": "1"}, "/root",
          "old@eth0.service", {"program": "/usr/bin/oldclient"}),
    replace(foreign_lease(10_000.0), vendor_class=b"\xff\0", hostname="guest"),
    Ownership(
        (FileChange("/run/x", b"\0\xff", 0o600), Command(("a", "b"), ("c",))),
        (FileChange("/etc/y", None), Command(("d",)), ListEntry("/etc/holdfast/links", "eth0")),
    ),
    (FileDone("/run/x", None, 0o644, checksum(b"\0\xff")), FileDone("/etc/y", b"before", 0o640, None)),
    Observed(
        (Address(IPv4Interface("192.0.2.9/24"), IPv4Address("192.0.2.255"), "eth0", 0, 0x280, metric=100),),
        (Route(IPv4Network("0.0.0.0/0"), IPv4Address("192.0.2.1"), 100, IPv4Address("192.0.2.9"), 16, 1400),
         Route(IPv4Network("10.0.0.0/8"), None, 0, None, 3)),
        1400,
    ),
    "a-boot", "holdfast@eth0.service", True, "holdfast-deadman-eth0", ("a note",),
)
TEXT = json.loads(codec.render(JOURNAL))


@pytest.fixture
def file(tmp_path: Path) -> JournalFile:
    return JournalFile(str(tmp_path / "takeover"), "eth0")


@pytest.mark.parametrize("journal", [
    JOURNAL,
    JOURNAL.at(Phase.CONFIRMED).armed("4711"),
    replace(JOURNAL, lease=replace(
        JOURNAL.lease, server_id=None, client_id=None, expires_at=inf, t1_at=inf, t2_at=inf,
    )),
    replace(JOURNAL, before=Observed((Address(IPv4Interface("192.0.2.9/24"), valid=inf),))),
])
def test_what_is_written_is_read(file: JournalFile, journal: Journal) -> None:
    assert file.load() is None
    file.save(journal)
    assert file.load() == journal
    assert os.stat(file.path).st_mode & 0o777 == 0o600
    assert os.stat(file.folder).st_mode & 0o777 == 0o700
    file.remove()
    file.remove()
    assert file.load() is None


def at_once(condition: Callable[[], bool], _seconds: float) -> bool:
    """``Host.wait`` without patience."""
    return condition()



def test_a_copy_knows_how_to_go_back_and_nothing_of_the_original(file: JournalFile) -> None:
    lease = replace(JOURNAL.lease, address=IPv4Interface("192.0.2.9/24"))
    copied = anonymous(replace(JOURNAL, lease=lease).at(Phase.CONFIRMED))
    file.save(copied)
    assert file.load() == anonymous(copied) == copied
    text = codec.render(copied)
    for told in (b"192.0.2.9", b"a-boot", b'"guest"', b"deadman-eth0"):
        assert told in codec.render(replace(JOURNAL, lease=lease)), "else this proves nothing"
        assert told not in text
    assert copied.ownership == JOURNAL.ownership
    assert copied.files == JOURNAL.files
    # A hand-back puts the copy's own address where 0.0.0.0 is.
    mine = IPv4Interface("192.0.2.77/24")
    observed = Observed((Address(mine),), (), 1400)
    routes = [op.route for op in plan_return(observed, copied.before, mine, 60.0) if isinstance(op, AddRoute)]
    assert [route.source for route in routes] == [mine.ip, None]


@pytest.mark.parametrize("found", [
    replace(JOURNAL.found, cwd="/proc/self"), replace(JOURNAL.found, argv=("x" * 100_000,)),
    replace(JOURNAL.found, environment={"A": "x" * 100_000}), replace(JOURNAL.found, argv=("x",) * 2000),
])
def test_what_could_not_be_read_again_is_not_written(file: JournalFile, found: Found) -> None:
    """The dead-man would be given a journal that is not trusted."""
    with pytest.raises(TakeoverError, match="oldclient under manager on eth0 is nothing that a journal can hold"):
        file.save(replace(JOURNAL, found=found))
    assert file.load() is None


@pytest.mark.parametrize(("key", "value"), [
    ("version", 2), ("version", True), ("ifname", "eth1"), ("phase", "DONE"), ("boot_id", 7), ("files", None),
    ("volatile", [{"argv": [], "undo": None}]), ("volatile", [{"argv": ["a", 1], "undo": None}]), ("volatile", [7]),
    ("volatile", [{"path": "/run/../etc/passwd", "content": "", "mode": 420}]),
    ("volatile", [{"path": "etc/passwd", "content": "", "mode": 420}]),
    ("volatile", [{"path": "/proc/sysrq-trigger", "content": "", "mode": 420}]),
    ("volatile", [{"path": "/run/x", "content": "not base64!", "mode": 420}]),
    ("volatile", [{"path": "/run/x", "content": "", "mode": 1 << 20}]),
    ("persistent", [{"list": "/proc/x", "entry": "eth0"}]), ("persistent", [{"list": "/etc/x", "entry": "a\nb"}]),
    ("persistent", [{"list": "/etc/x", "entry": ""}]), ("persistent", [{"list": "/etc/x"}]),
    ("files", [{"path": "/run/x", "before": None, "before_mode": -1, "after": None}]),
    ("files", [{"path": "/run/x", "before": None, "before_mode": 0, "after": "abc"}]),
    ("agent_unit", "../x.service"), ("agent_unit", "x"), ("agent_enabled", 1), ("deadman", ["x"]),
    ("found", {}), ("lease", {"address": "192.0.2.300/24"}), ("before", []), ("adapter", "a\0b"),
    ("notes", ["x"] * 2000),
])
def test_what_is_not_ours_is_not_believed(file: JournalFile, key: str, value: Any) -> None:
    file.save(JOURNAL)
    Path(file.path).write_text(json.dumps({**TEXT, key: value}))
    with pytest.raises(TakeoverError, match=r"is no journal that can be believed .* nothing was done"):
        file.load()


def test_times_and_options() -> None:
    for spoiled in ({"t1_at": "soon"}, {"t1_at": 1e300}, {"options": {"0": "00"}}, {"options": {"x": "00"}},
                    {"options": {"1": "0g"}}):
        with pytest.raises(JournalError):
            codec.parse(json.dumps({**TEXT, "lease": {**TEXT["lease"], **spoiled}}).encode(), "eth0")
    with pytest.raises(JournalError, match="larger than"):
        codec.parse(b" " * (codec.SIZE_LIMIT + 1), "eth0")
    with pytest.raises(JournalError):
        codec.parse(b"[" * 100_000, "eth0")


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(VALUES, st.sampled_from(sorted(TEXT)))
def test_no_value_raises_anything_else(value: Any, key: str) -> None:
    try:
        codec.parse(json.dumps({**TEXT, key: value}).encode(), "eth0")
    except JournalError:
        return


def test_only_roots(file: JournalFile, tmp_path: Path) -> None:
    file.save(JOURNAL)
    os.chmod(file.path, 0o666)
    with pytest.raises(TakeoverError, match=r"eth0\.json can be written by others than root"):
        file.load()
    os.chmod(file.path, 0o600)
    os.chmod(file.folder, 0o777)
    with pytest.raises(TakeoverError, match="takeover can be written by others than root"):
        file.load()
    with pytest.raises(TakeoverError, match="can be written by others"):
        file.save(JOURNAL)
    os.chmod(file.folder, 0o700)
    os.rename(file.path, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", file.path)
    with pytest.raises(TakeoverError, match="cannot be opened"):
        file.load()
    os.rename(file.folder, tmp_path / "folder")
    os.symlink(tmp_path / "folder", file.folder)
    with pytest.raises(TakeoverError, match="cannot be opened"):
        file.load()


def test_a_folder_is_no_journal(file: JournalFile) -> None:
    os.makedirs(file.path, mode=0o700)
    os.chmod(file.folder, 0o700)
    with pytest.raises(TakeoverError, match="cannot be read: Is a directory"):
        file.load()


def test_a_fifo_is_no_journal(file: JournalFile) -> None:
    file.save(JOURNAL)
    os.unlink(file.path)
    os.mkfifo(file.path, 0o600)
    with pytest.raises(TakeoverError):
        file.load()


def test_one_at_a_time(file: JournalFile, tmp_path: Path) -> None:
    other = JournalFile(str(tmp_path / "takeover"), "eth0")
    with file.locked(at_once, 0):
        with pytest.raises(TakeoverError, match="another holdfast takeover"), other.locked(at_once, 0):
            pass
        with JournalFile(str(tmp_path / "takeover"), "eth1").locked(at_once, 0):
            pass
    with other.locked(at_once, 0):
        pass


def test_one_that_lets_go_in_time_is_waited_for(file: JournalFile, tmp_path: Path) -> None:
    other = JournalFile(str(tmp_path / "takeover"), "eth0")
    held = ExitStack()
    held.enter_context(other.locked(at_once, 0))
    asked: list[float] = []

    def wait(condition: Callable[[], bool], seconds: float) -> bool:
        asked.append(seconds)
        assert not condition()
        held.close()
        return condition()

    with file.locked(wait, 2.0):
        assert asked == [2.0]


def test_a_lock_that_cannot_be_made(file: JournalFile) -> None:
    """A full or read-only disk is a line, not a traceback."""
    file.save(JOURNAL)
    os.mkdir(os.path.join(file.folder, "eth0.lock"))
    with pytest.raises(TakeoverError, match=r"eth0\.lock cannot be written: Is a directory"), file.locked(at_once, 0):
        pass


def test_a_folder_that_is_replaced_meanwhile(
    file: JournalFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it is in may be somebody's: a link that takes its place leads root nowhere."""
    file.save(JOURNAL)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    real = atomic.write_at

    def swapped(folder: int, name: str, data: bytes, mode: int) -> None:
        os.rename(file.folder, tmp_path / "away")
        os.symlink(elsewhere, file.folder)
        real(folder, name, data, mode)

    monkeypatch.setattr(atomic, "write_at", swapped)
    file.save(JOURNAL.at(Phase.CONFIRMED))
    assert os.listdir(elsewhere) == []
    with pytest.raises(TakeoverError), file.locked(at_once, 0):
        pass
    assert os.listdir(elsewhere) == []
