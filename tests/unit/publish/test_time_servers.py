"""publish.time_servers: what a lease says of time servers, in the files of the programs that keep the clock."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from holdfast.network import ResolverError
from holdfast.publish import publisher
from holdfast.publish.spool import LinkNames, Names, render
from holdfast.publish.time_servers import CHRONY, HEADER, TIMESYNCD, UNTOLD, TimeDaemon, TimeServers
from holdfast_lab.testbed.fair_time import wait_until

FIRST, SECOND = IPv4Address("192.0.2.123"), IPv4Address("192.0.2.124")


class Clock:
    """A daemon that is installed and runs; ``told`` has what its files said whenever it was told."""

    def __init__(self, folder: Path, daemon: TimeDaemon = CHRONY) -> None:
        self.folder, self.program, self.running = folder / "files", folder / "daemon", folder / "socket"
        self.program.write_text("")
        self.program.chmod(0o755)
        self.running.write_text("")
        self.daemon = daemon._replace(
            programs=(str(self.program),), folder=str(self.folder), running=str(self.running))
        self.told: list[list[str]] = []
        self.error: ResolverError | None = None

    def run(self, command: list[str], stdin: str) -> None:
        assert (command, stdin) == (list(self.daemon.command), "")
        if self.error is not None:
            raise self.error
        self.told.append(self.lines())

    def lines(self) -> list[str]:
        found = sorted(self.folder.iterdir()) if self.folder.exists() else []
        return [line for path in found for line in path.read_text().splitlines() if not line.startswith("#")]

    def update(self, kept: tuple[str, ...] = (), **wanted: tuple[IPv4Address, ...]) -> None:
        TimeServers(self.daemon, self.run).update(wanted, kept)


def test_chrony_gets_a_file_of_sources_and_is_told(tmp_path: Path) -> None:  # rule 98
    clock = Clock(tmp_path)
    clock.update(eth0=(FIRST, SECOND))
    lines = [f"server {FIRST} iburst", f"server {SECOND} iburst"]
    assert clock.told == [lines]
    assert (clock.folder / "holdfast-eth0.sources").read_text() == HEADER + "\n".join(lines) + "\n"
    assert (clock.folder / "holdfast-eth0.sources").stat().st_mode & 0o777 == 0o644  # chrony's user reads it
    clock.update(eth0=(FIRST, SECOND))
    assert len(clock.told) == 1  # a renewal disturbs nothing


def test_timesyncd_gets_a_drop_in_and_is_told(tmp_path: Path) -> None:  # rule 98
    clock = Clock(tmp_path, TIMESYNCD)
    clock.update(eth0=(FIRST, SECOND), eth1=(SECOND,))
    assert clock.told == [["[Time]", f"NTP={FIRST} {SECOND}", "[Time]", f"NTP={SECOND}"]]
    assert sorted(path.name for path in clock.folder.iterdir()) == ["50-holdfast-eth0.conf", "50-holdfast-eth1.conf"]


def test_they_are_withdrawn_with_the_lease_and_nothing_of_others_is(tmp_path: Path) -> None:  # rule 98
    clock = Clock(tmp_path)
    clock.folder.mkdir()
    theirs = clock.folder / "eth0.sources"
    theirs.write_text("server 2001:db8::123 iburst\n")  # NetworkManager's hook writes DHCPv6's servers there
    clock.update(eth0=(FIRST,), eth1=(SECOND,))
    clock.update(eth1=(SECOND,))
    assert clock.told[-1] == ["server 2001:db8::123 iburst", f"server {SECOND} iburst"]
    clock.update()
    assert clock.lines() == ["server 2001:db8::123 iburst"]
    assert [path.name for path in clock.folder.iterdir()] == ["eth0.sources"]
    told = len(clock.told)
    clock.update(eth0=())
    assert len(clock.told) == told


def test_one_that_does_not_run_finds_the_file_when_it_starts(tmp_path: Path) -> None:  # rule 98
    clock = Clock(tmp_path)
    clock.running.unlink()
    clock.update(eth0=(FIRST,))
    assert (clock.told, clock.lines()) == ([], [f"server {FIRST} iburst"])


def test_one_that_is_not_installed_gets_nothing(tmp_path: Path) -> None:  # rule 98
    clock = Clock(tmp_path)
    clock.program.unlink()
    clock.update(eth0=(FIRST,))
    assert (clock.told, clock.folder.exists()) == ([], False)


def test_one_that_could_not_be_told_is_told_later(tmp_path: Path) -> None:  # rule 98
    clock = Clock(tmp_path)
    clock.error = ResolverError("chronyc took longer than 5 s", temporary=True)
    with pytest.raises(ResolverError):
        clock.update(eth0=(FIRST,))
    assert clock.lines() == [f"server {FIRST} iburst"]  # read when it starts again
    assert (clock.folder / "holdfast-eth0.sources").read_text().endswith(UNTOLD)
    clock.error = None
    clock.update(eth0=(FIRST,))
    assert len(clock.told) == 1

    clock.error = ResolverError("chronyc took longer than 5 s", temporary=True)
    with pytest.raises(ResolverError):
        clock.update()
    assert clock.lines() == []
    clock.error = None
    clock.update()
    assert (len(clock.told), list(clock.folder.iterdir())) == (2, [])


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    clock.folder.write_text("no folder")
    with pytest.raises(ResolverError, match=f"chrony: {clock.folder}"):
        clock.update(eth0=(FIRST,))


@pytest.mark.parametrize("name", ["a b", "eth0'", 'x";y', "é"])
def test_any_name_of_an_interface_is_a_file_s(tmp_path: Path, name: str) -> None:
    clock = Clock(tmp_path)
    TimeServers(clock.daemon, clock.run).update({name: (FIRST,)}, ())
    assert clock.lines() == [f"server {FIRST} iburst"]
    TimeServers(clock.daemon, clock.run).update({}, (name,))  # its file in the spool cannot be read now
    assert clock.lines() == [f"server {FIRST} iburst"]
    TimeServers(clock.daemon, clock.run).update({}, ())
    assert clock.lines() == []


def test_the_publisher_passes_them_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # rule 98
    monkeypatch.setattr(publisher, "MIN_INTERVAL", 0)
    clock, spool, state = Clock(tmp_path), tmp_path / "dns", tmp_path / "state"
    spool.mkdir()
    state.mkdir()
    file = spool / "eth0.json"

    def work(said: Callable[[], None] = lambda: None) -> int:
        made = publisher.Publisher(str(spool), str(state), (Nowhere(),), lambda _: 2, watched=lambda: 0,
                                   time_daemons=(TimeServers(clock.daemon, clock.run),))
        said()
        return publisher.work(made, str(state), 0)

    file.write_bytes(render(LinkNames(2, Names((), (), default_route=True), (FIRST,))))
    assert work() == publisher.DONE
    assert clock.lines() == [f"server {FIRST} iburst"]
    file.write_bytes(b"no JSON")
    assert work() == publisher.FAILED
    assert clock.lines() == [f"server {FIRST} iburst"]  # what cannot be read changes nothing
    file.unlink()
    assert work() == publisher.DONE
    assert clock.lines() == []


class Nowhere:
    """A backend for names that is never there."""

    name = "nowhere"

    def publish(self, link: object, names: object) -> bool:
        raise AssertionError("no names are wanted")

    def withdraw(self, link: object) -> bool:
        return False


@contextmanager
def chronyd(folder: Path) -> Iterator[Callable[[], str]]:
    """A real chronyd that leaves the clock alone; what it says of its sources."""
    program, client = shutil.which("chronyd"), shutil.which("chronyc")
    assert program
    assert client
    sources, run = folder / "sources", folder / "run"
    for each in (sources, run):
        each.mkdir()
        each.chmod(0o750)
    configuration = folder / "chrony.conf"
    configuration.write_text(
        f"sourcedir {sources}\nbindcmdaddress {run}/chronyd.sock\npidfile {run}/pid\ncmdport 0\nport 0\nuser root\n")
    process = subprocess.Popen([program, "-x", "-d", "-f", str(configuration)], stderr=subprocess.DEVNULL)
    try:
        wait_until((run / "chronyd.sock").exists, 10, "chronyd listens")
        yield lambda: subprocess.run(
            [client, "-n", "-h", f"{run}/chronyd.sock", "sources"], capture_output=True, text=True, check=True).stdout
    finally:
        process.terminate()
        process.wait()


@pytest.mark.root
def test_a_real_chronyd_takes_and_drops_them(tmp_path: Path) -> None:  # rule 98
    with chronyd(tmp_path) as sources:
        daemon = CHRONY._replace(
            programs=(shutil.which("chronyd") or "",), folder=str(tmp_path / "sources"),
            running=str(tmp_path / "run" / "chronyd.sock"),
            command=(shutil.which("chronyc") or "", "-h", str(tmp_path / "run" / "chronyd.sock"), *CHRONY.command[1:]))
        TimeServers(daemon).update({"eth0": (FIRST, SECOND)}, ())
        assert [str(each) in sources() for each in (FIRST, SECOND)] == [True, True]
        TimeServers(daemon).update({"eth0": (SECOND,)}, ())
        assert [str(each) in sources() for each in (FIRST, SECOND)] == [False, True]
        TimeServers(daemon).update({}, ())
        assert str(SECOND) not in sources()
        assert os.listdir(tmp_path / "sources") == []
