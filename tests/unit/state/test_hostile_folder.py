"""Rule 92: root writes, opens, gives away and changes nothing through what the daemon's user can change."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support import hostile
from tests.support.fake_host import FakeHost
from tests.support.hostile import UID, Victim

from holdfast.control.unix_socket import listen
from holdfast.core.lease import Binding
from holdfast.observe.metrics import Facts, Textfile
from holdfast.observe.outcomes import OutcomeJournal, interfaces_with_history, read_history
from holdfast.publish import spool
from holdfast.runtime.dns_spooler import REMIND_AFTER, DnsSpooler
from holdfast.state import atomic, inventory
from holdfast.state import folder as folders
from holdfast.state.identity import Identity
from holdfast.state.lease_store import LeaseStore
from holdfast.state.locks import Locks
from holdfast.state.markers import FormerMtu, YieldMarker
from holdfast.takeover import adoption
from holdfast.takeover.errors import TakeoverError
from holdfast_lab.testbed.virtual_host import VirtualClock, VirtualLoop, lease_of

pytestmark = pytest.mark.root

ME = Identity("a" * 32, "uuid-1", "02:00:00:00:00:01")
OTHER = ME._replace(machine_id="b" * 32)
LINE = {"time": "2026-01-01T00:00:00.000Z", "result": "renewed", "cause": "NAK: $(touch /root/owned)"}
FACTS = Facts("eth0", "BOUND", 1.0, 2.0, None, None, None, {}, {}, {}, {})
SPEC: Any = SimpleNamespace(routes=(), dns=(), search=(), ntp=(), search_routes=False)


@pytest.fixture
def victim(tmp_path: Path) -> Victim:
    tmp_path.chmod(0o755)
    return Victim(tmp_path)


@pytest.fixture
def folder(tmp_path: Path, victim: Victim, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The daemon user's, with what an agent leaves there."""
    monkeypatch.setattr(folders, "agent_uids", lambda: (UID,))
    path = tmp_path / "state"
    path.mkdir()
    os.chown(path, UID, UID)
    for above in path.parents:  # pytest's are 0700, and root's
        if stat.S_IMODE(above.stat().st_mode) == 0o700:
            above.chmod(0o711)
    umask = os.umask(0o022)
    yield path
    os.umask(umask)


def _store(folder: Path, identity: Identity = ME) -> LeaseStore:
    return LeaseStore(str(folder), "eth0", identity, VirtualClock(), lambda *_: None)


def _fill(folder: Path) -> None:
    """What an earlier agent left; the user's."""
    store = _store(folder, OTHER)
    store.save(Binding(lease_of(VirtualClock())))
    for name in ("eth0.outcomes.jsonl", "eth0.outcomes.jsonl.1", "eth0.yield", "eth0.lock", "locks", "eth0.mtu",
                 "eth0.prom"):
        (folder / name).write_text("x\n")
    (folder / "dns").mkdir()
    for path in [*folder.iterdir()]:
        os.chown(path, UID, UID)


def _lock(folder: Path) -> None:
    locks = Locks(str(folder))
    try:
        locks.take("eth0")
    finally:
        locks.close()


def _listen(folder: Path) -> None:
    server, _ = listen(str(folder / "eth0.varlink"), 0, 1)
    server.close()


def _adopt(folder: Path) -> None:
    host = FakeHost(folder.parent)
    adoption.prepare_folder(host, "/state")
    adoption.write(host, "/state", "eth0", lease_of(VirtualClock()), b"\x01")


def _spool(folder: Path) -> None:
    loop = VirtualLoop(VirtualClock())
    publisher = DnsSpooler(str(folder / "dns"), loop, lambda *_: None, None)
    publisher.publish("eth0", 1, SPEC)
    loop.run(REMIND_AFTER + 1)
    publisher.publish("eth1", 1, SPEC)
    publisher.withdraw("eth1", 1)


def _history(folder: Path) -> None:
    journal = OutcomeJournal(str(folder), "eth0", size_limit=300)
    for _ in range(4):
        with suppress(OSError):
            journal.append(LINE)


def _clean(folder: Path) -> None:
    inventory.remove([path for paths in inventory.by_interface(str(folder)).values() for path in paths])


DOINGS: dict[str, Callable[[Path], object]] = {
    "history": _history,
    "lease": lambda folder: _store(folder).save(Binding(lease_of(VirtualClock()))),
    "load": lambda folder: _store(folder).load(),
    "forget": lambda folder: _store(folder).forget(),
    "lock": _lock,
    "socket": _listen,
    "adopt": _adopt,
    "mtu": lambda folder: FormerMtu(str(folder / "eth0.mtu")).keep(1400),
    "mtu gone": lambda folder: FormerMtu(str(folder / "eth0.mtu")).forget(),
    "yield": lambda folder: YieldMarker(str(folder), "eth0").set_yielded(True),
    "yield back": lambda folder: YieldMarker(str(folder), "eth0").set_yielded(False),
    "names": _spool,
    "metrics": lambda folder: Textfile(str(folder), "eth0").write(FACTS),
    "rename": lambda folder: inventory.rename(str(folder), "eth0", "ens3"),
    "clean": _clean,
    "copied disk": lambda folder: inventory.forget_former_machine(str(folder), ME, "x"),
}


@pytest.mark.parametrize("doing", DOINGS)
def test_whatever_is_exchanged_at_any_moment_nothing_of_root_s_changes(
    doing: str, folder: Path, victim: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:  # rule 92
    for number in range(1, 200):
        for path in [*folder.iterdir()]:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        _fill(folder)
        with monkeypatch.context() as patch:
            calls = hostile.attack_before_call(
                number, lambda: hostile.exchange_everything(folder, victim), patch)
            with suppress(OSError, TakeoverError):
                DOINGS[doing](folder)
        assert victim.is_whole(), f"exchanged before system call {number}"
        if calls() < number:
            return
    pytest.fail("it never ended")


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "folder"])
@pytest.mark.parametrize("name", ["eth0.outcomes.jsonl", "eth0.outcomes.jsonl.1", "eth0.lock", "locks",
                                  "eth0.lease.json", "eth0.mtu", "eth0.yield", ".eth0.lease.json.tmp", "eth0.varlink",
                                  ".eth0.varlink.new", "eth0.varlink~", "holdfast_eth0.prom", "dns"])
def test_what_waits_in_the_place_of_a_file(kind: str, name: str, folder: Path, victim: Victim) -> None:  # rule 92
    path = folder / name
    if kind == "link":
        path.symlink_to(victim.folder if name in ("dns", ".eth0.varlink.new") else victim.file)
        os.chown(path, UID, UID, follow_symlinks=False)
    elif kind == "hard link":  # as where fs.protected_hardlinks is 0
        path.hardlink_to(victim.file)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    for doing in DOINGS.values():
        with suppress(OSError, TakeoverError):
            doing(folder)
        assert victim.is_whole()


def test_a_history_goes_on_beside_a_link(folder: Path, victim: Victim) -> None:
    (folder / "eth0.outcomes.jsonl").symlink_to(victim.file)
    journal = OutcomeJournal(str(folder), "eth0")
    journal.append(LINE)
    assert [record["cause"] for record in read_history(str(folder), "eth0", limit=1)] == [LINE["cause"]]
    assert victim.is_whole()


def test_what_root_makes_there_is_the_daemon_s_to_use_later(folder: Path) -> None:
    for name in ("history", "lease", "lock", "socket", "yield", "names", "mtu"):
        DOINGS[name](folder)
    owners = {str(path.relative_to(folder)): path.lstat().st_uid for path in folder.rglob("*")}
    assert owners == dict.fromkeys(("eth0.outcomes.jsonl", "eth0.outcomes.jsonl.1", "eth0.lease.json", "eth0.lock",
                                    "locks", "eth0.client-id", "eth0.varlink", "eth0.yield", "dns", "eth0.mtu"), UID)
    assert stat.S_IMODE((folder / "eth0.varlink").lstat().st_mode) == 0o660


@pytest.mark.parametrize("doing", [name for name in DOINGS if name not in ("metrics", "load", "mtu", "mtu gone", "lock",
                                                                            "rename", "copied disk", "history")])
def test_the_folder_of_another_user_is_refused_with_a_line(
    doing: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # rule 92
    _fill(folder)
    monkeypatch.setattr(folders, "agent_uids", lambda: (4711,))
    before = sorted(os.listdir(folder))
    with pytest.raises((OSError, TakeoverError)) as caught:
        DOINGS[doing](folder)
    text = getattr(caught.value, "strerror", None) or str(caught.value)
    assert "belongs to user" in text
    assert "and not to root or the agent's user" in text
    assert sorted(os.listdir(folder)) == before


@pytest.mark.parametrize("doing", ["load", "mtu", "mtu gone", "lock", "rename", "copied disk", "history"])
def test_what_never_raises_leaves_the_folder_of_another_user_alone(
    doing: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(folder)
    monkeypatch.setattr(folders, "agent_uids", lambda: (4711,))
    before = {name: (folder / name).lstat().st_mtime_ns for name in os.listdir(folder)}
    DOINGS[doing](folder)
    assert {name: (folder / name).lstat().st_mtime_ns for name in os.listdir(folder)} == before


def test_root_s_own_folder_is_as_ever(tmp_path: Path) -> None:
    for name in ("history", "lease", "lock", "socket", "yield", "names", "mtu", "metrics"):
        DOINGS[name](tmp_path)
    assert {path.lstat().st_uid for path in tmp_path.rglob("*")} == {0}
    assert _store(tmp_path).load() is not None


def test_links_of_root_s_lead_on_and_others_do_not(tmp_path: Path, folder: Path, victim: Victim) -> None:
    link = tmp_path / "link"
    link.symlink_to("state/../state")
    atomic.write(str(link / "file"), b"x")
    assert (folder / "file").read_bytes() == b"x"
    os.chown(link, UID, UID, follow_symlinks=False)
    with pytest.raises(folders.RefusedError, match="is reached by a link of user"):
        atomic.write(str(link / "other"), b"x")
    roots = folder / "roots"  # root's, but in a folder whose owner could have put it there
    roots.symlink_to(victim.folder)
    with pytest.raises(folders.RefusedError, match="is reached by a link of user"):
        atomic.write(str(roots / "other"), b"x")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(OSError, match="Too many levels"):
        folders.open_folder(str(loop))
    assert victim.is_whole()


def test_no_descriptor_is_left_open(folder: Path, victim: Victim) -> None:
    (folder / "link").symlink_to(victim.folder)
    (folder / "file").touch()
    before = os.listdir("/proc/self/fd")
    for path in ("link/x", "file/x", "none/x", "../state/none"):
        with pytest.raises(OSError, match=r".") as caught:
            folders.read(str(folder / path), 1)
        assert str(folder) in str(caught.value.filename)
    for doing in DOINGS.values():
        with suppress(OSError):
            doing(folder)
    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.parametrize("kind", ["link", "pipe", "endless"])
def test_readers_are_neither_led_nor_kept_waiting_nor_filled(
    kind: str, folder: Path, victim: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim.file.write_text('{"time":"2026","result":"secret"}\n')
    (folder / "dns").mkdir()
    for name in ("eth0.outcomes.jsonl", "eth0.lease.json", "eth0.mtu", "dns/eth0.json"):
        if kind == "link":
            (folder / name).symlink_to(victim.file)
        elif kind == "pipe":
            os.mkfifo(folder / name)
        else:
            with open(folder / name, "wb") as file:
                file.truncate(10 << 30)
    most, real = [0], os.read

    def read(fd: int, size: int) -> bytes:
        most[0] = max(most[0], size)
        return real(fd, size)

    monkeypatch.setattr(os, "read", read)
    assert interfaces_with_history(str(folder)) == ["eth0"]
    with suppress(folders.NotPlainError):
        assert read_history(str(folder), "eth0") == []
    said: list[str] = []
    store = LeaseStore(str(folder), "eth0", ME, VirtualClock(), lambda _, text: said.append(text))
    assert store.load() is None
    assert "set aside" in said[0]
    assert FormerMtu(str(folder / "eth0.mtu")).get() is None
    assert list(spool.read_all(str(folder / "dns"))[1]) == ["eth0"]
    assert inventory.forget_former_machine(str(folder), ME, "x") == []
    assert most[0] <= 4 << 20
