"""runtime.store on real files and virtual clocks."""

from __future__ import annotations

import errno
import os
from math import inf
from pathlib import Path

import pytest

from holdfast.core.lease import Binding, Gateway, Server
from holdfast.state.identity import Identity
from holdfast.state.lease_store import LeaseStore
from holdfast.state.route_metrics import RouteMetrics
from holdfast_lab.testbed.virtual_host import OURS, SERVER, VirtualClock, lease_of

ME = Identity("a" * 32, "", "02:00:00:00:00:01")


class Bench:
    """One machine's folder, clock and boot."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "state"
        self.clock = VirtualClock()
        self.said: list[str] = []
        self.boot = folder / "boot_id"
        self.boot.write_text("boot-1\n")
        self.lease = lease_of(self.clock)

    def store(self, identity: Identity = ME) -> LeaseStore:
        return LeaseStore(str(self.folder), "eth0", identity, self.clock,
                           lambda priority, text: self.said.append(text), boot_id_path=str(self.boot))

    def reboot(self, *, after: float) -> None:
        """``after`` seconds of wall-clock time pass; BOOTTIME begins anew."""
        wall = self.clock.wall() + after
        self.boot.write_text("boot-2\n")
        self.clock.now = 20.0
        self.clock.stepped += wall - self.clock.wall()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_nothing_is_stored_at_first(bench: Bench) -> None:
    assert bench.store().load() is None
    assert bench.said == []


def test_what_is_saved_is_remembered(bench: Bench) -> None:
    binding = Binding(bench.lease, Server(SERVER, False, 0.02), Gateway(SERVER, b"\x02\0\0\0\x0f\xf1"), b"\x01me")
    bench.store().save(binding)
    assert bench.store().load() == binding
    assert (bench.folder / "eth0.lease.json").stat().st_mode & 0o777 == 0o600


def test_the_first_address_waits_for_two_fsyncs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(os, "fsync", asked.append)
    RouteMetrics(str(bench.folder), 100).of("eth0")
    bench.store().save(Binding(bench.lease, client_id=b"\x01me"))
    assert len(asked) == 2  # the lease's file, and its name: each takes milliseconds


@pytest.mark.parametrize("year", [365 * 86400.0, -365 * 86400.0])
def test_on_the_same_boot_the_wall_clock_is_not_asked(bench: Bench, year: float) -> None:
    bench.store().save(Binding(bench.lease))
    bench.clock.now += 30
    bench.clock.stepped += year
    remembered = bench.store().load()
    assert remembered is not None
    assert remembered.lease == bench.lease  # rule 44


def test_after_a_reboot_the_wall_clock_tells_how_long_ago_it_was(bench: Bench) -> None:
    bench.store().save(Binding(bench.lease))
    left = bench.lease.seconds_left(bench.clock.now)
    bench.reboot(after=40.0)
    remembered = bench.store().load()
    assert remembered is not None
    assert remembered.lease.seconds_left(bench.clock.now) == pytest.approx(left - 40.0)
    assert remembered.lease.started_at < 0 < remembered.lease.expires_at


@pytest.mark.parametrize("behind", [86400.0, 0.5])
def test_a_clock_behind_the_files_time_makes_a_hint_of_a_lease(bench: Bench, behind: float) -> None:
    # rule 88
    bench.store().save(Binding(bench.lease, client_id=b"\x01me"))
    bench.reboot(after=-behind)
    remembered = bench.store().load()
    assert remembered is not None
    assert (remembered.lease.address, remembered.client_id) == (OURS, b"\x01me")
    assert not remembered.lease.valid(bench.clock.now)
    assert "only asked for" in bench.said[0]


def test_an_infinite_lease_has_no_age_to_know(bench: Bench) -> None:
    # rule 88
    bench.store().save(Binding(bench.lease._replace(t1_at=inf, t2_at=inf, expires_at=inf, lease_time=inf)))
    bench.reboot(after=-86400.0)
    remembered = bench.store().load()
    assert remembered is not None
    assert remembered.lease.infinite


def test_a_clock_that_began_anew_in_the_same_boot_is_not_believed(bench: Bench) -> None:
    bench.store().save(Binding(bench.lease))
    bench.clock.stepped += 1000.0 - 20.0
    bench.clock.now = 20.0  # a time namespace, or a restored snapshot
    remembered = bench.store().load()
    assert remembered is not None
    assert remembered.lease.seconds_left(bench.clock.now) == pytest.approx(110.0)


def test_an_infinite_lease_stays_infinite_over_a_reboot(bench: Bench) -> None:
    bench.store().save(Binding(bench.lease._replace(t1_at=inf, t2_at=inf, expires_at=inf, lease_time=inf)))
    bench.reboot(after=10.0)
    remembered = bench.store().load()
    assert remembered is not None
    assert remembered.lease.infinite
    assert remembered.lease.t1_at == inf


def test_an_ended_lease_is_still_a_hint(bench: Bench) -> None:
    bench.store().save(Binding(bench.lease))
    bench.clock.now += 1000
    remembered = bench.store().load()
    assert remembered is not None  # rule 50
    assert remembered.lease.address == OURS
    assert not remembered.lease.valid(bench.clock.now)


@pytest.mark.parametrize(
    "identity", [ME._replace(machine_id="b" * 32), ME._replace(mac="02:00:00:00:00:02")]
)
def test_a_copied_disk_brings_no_lease(bench: Bench, identity: Identity) -> None:
    bench.store().save(Binding(bench.lease))
    assert bench.store(identity).load() is None  # rule 49
    assert "is not used" in bench.said[0]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff" * 100, b'{"version": 99}', b"[]"])
def test_a_bad_file_is_set_aside_with_a_message(bench: Bench, content: bytes) -> None:
    bench.store().save(Binding(bench.lease))
    path = bench.folder / "eth0.lease.json"
    for _ in range(3):  # again and again: they do not pile up
        path.write_bytes(content)
        assert bench.store().load() is None  # rule 53
    assert sorted(os.listdir(bench.folder)) == ["eth0.client-id", "eth0.lease.json.bad"]
    assert "set aside as" in bench.said[0]
    assert (bench.folder / "eth0.lease.json.bad").read_bytes() == content
    bench.store().save(Binding(bench.lease))
    assert bench.store().load() is not None


def test_a_bad_file_that_cannot_be_set_aside(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.folder.mkdir()
    (bench.folder / "eth0.lease.json").write_bytes(b"{")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "rename", refuse)
    assert bench.store().load() is None
    assert "cannot be set aside: Read-only file system" in bench.said[0]


def test_what_is_no_file_is_not_read(bench: Bench) -> None:
    bench.folder.mkdir()
    path = bench.folder / "eth0.lease.json"
    path.mkdir()
    assert bench.store().load() is None
    bad = Path(f"{path}.bad")
    bad.rmdir()
    path.symlink_to("/etc/passwd")
    assert bench.store().load() is None
    assert bad.is_symlink()
    assert len([line for line in bench.said if line.endswith(f"set aside as {bad}")]) == 2


def test_a_file_that_may_not_be_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.store().save(Binding(bench.lease))

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "read", refuse)
    assert bench.store().load() is None
    (line,) = bench.said
    assert "cannot be read: Input/output error" in line
    assert line.endswith("or else for a new lease; let the agent's user read it, or remove it")


def test_forgetting(bench: Bench) -> None:
    store = bench.store()
    store.forget()
    store.save(Binding(bench.lease))
    store.forget()
    assert store.load() is None
    assert os.listdir(bench.folder) == ["eth0.client-id"]


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": 99}', None])
def test_the_client_id_outlives_the_lease_file(bench: Bench, content: bytes | None) -> None:
    # rule 89
    bench.store().save(Binding(bench.lease, client_id=b"\xffadopted"))
    path = bench.folder / "eth0.lease.json"
    path.unlink() if content is None else path.write_bytes(content)
    store = bench.store()
    assert (store.load(), store.client_id(), store.foreign) == (None, b"\xffadopted", False)


def test_no_client_id_is_remembered_as_none(bench: Bench) -> None:
    # rule 89
    bench.store().save(Binding(bench.lease))
    assert bench.store().client_id() == b""


@pytest.mark.parametrize("content", [b"", b"zz\n\n\n\n", b"\xff", b"0102\n"])
def test_a_bad_client_id_is_none(bench: Bench, content: bytes) -> None:
    # rule 89
    bench.store().save(Binding(bench.lease, client_id=b"\x01me"))
    (bench.folder / "eth0.client-id").write_bytes(content)
    store = bench.store()
    assert (store.client_id(), store.foreign) == (None, False)
    store.save(Binding(bench.lease, client_id=b"\x01me"))
    assert bench.store().client_id() == b"\x01me"


@pytest.mark.parametrize("lost", [True, False])
def test_a_copied_disk_brings_no_client_id(bench: Bench, lost: bool) -> None:
    # rules 49, 89
    bench.store().save(Binding(bench.lease, client_id=b"\x01me"))
    if lost:
        (bench.folder / "eth0.lease.json").write_bytes(b"{")
    store = bench.store(ME._replace(mac="02:00:00:00:00:02"))
    assert (store.load(), store.client_id(), store.foreign) == (None, None, True)


def test_the_client_id_is_written_once(bench: Bench) -> None:
    # rule 89: its file is not to be cut by the power failure that cuts the lease's
    store = bench.store()
    store.save(Binding(bench.lease, client_id=b"\x01me"))
    written = (bench.folder / "eth0.client-id").stat()
    store.save(Binding(bench.lease, client_id=b"\x01me"))
    bench.store().save(Binding(bench.lease, client_id=b"\x01me"))
    assert (bench.folder / "eth0.client-id").stat().st_ino == written.st_ino


def test_a_folder_that_cannot_be_made(bench: Bench, tmp_path: Path) -> None:
    bench.folder = tmp_path / "boot_id" / "state"
    with pytest.raises(OSError, match="Not a directory"):
        bench.store().save(Binding(bench.lease))
