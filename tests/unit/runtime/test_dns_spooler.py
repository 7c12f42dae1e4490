"""runtime.dns_spooler: the daemon's side of name servers, with a program that a test writes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from tests.support.leases import make_spec

from holdfast.network.spec import NetworkSpec
from holdfast.publish import publisher
from holdfast.publish.spool import read_all
from holdfast.runtime import dns_spooler
from holdfast.runtime.dns_spooler import TRY_AGAIN, DnsSpooler
from holdfast_lab.testbed.fair_time import wait_until
from holdfast_lab.testbed.virtual_host import VirtualClock, VirtualLoop

SPEC = make_spec()._replace(dns=(IPv4Address("10.0.0.2"),), search=("example.org",))


class Bench:
    """A publisher whose program ends as ``exits`` says, one after the other; 0 when the list is empty."""

    def __init__(self, folder: Path, *, root: bool = True) -> None:
        self.spool, self.resolv_conf = folder / "dns", folder / "resolv.conf"
        self.resolv_conf.write_text("nameserver 192.0.2.53\n")
        self.loop = VirtualLoop(VirtualClock())
        self.said: list[str] = []
        self.exits: list[tuple[int, str]] = []
        self.runs = 0
        self.pid: int | None = None  # of the program that was started last and is not reaped yet
        self.refusal: OSError | None = None  # what starting the program meets
        self.spooler = DnsSpooler(
            str(self.spool), self.loop, lambda priority, text: self.said.append(text), self.start if root else None,
            resolv_conf=str(self.resolv_conf),
        )

    def start(self) -> tuple[int, int]:
        if self.refusal is not None:
            raise self.refusal
        self.runs += 1
        code, text = self.exits.pop(0) if self.exits else (0, "")
        said = os.memfd_create("said")
        os.write(said, text.encode())
        self.pid = os.posix_spawn("/bin/sh", ["sh", "-c", f"exit {code}"], {})
        return self.pid, said

    def ended(self) -> None:
        """The program ends, and SIGCHLD is told."""
        assert self.pid is not None
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        self.pid = None
        self.spooler.reap()  # which may start it again

    def publish(self, spec: NetworkSpec = SPEC, name: str = "eth0") -> None:
        self.spooler.publish(name, 2, spec)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    if made.pid is not None:
        os.waitpid(made.pid, 0)
    made.spooler.close()


def test_a_file_is_written_and_the_program_run(bench: Bench) -> None:
    bench.publish()
    wanted, problems = read_all(str(bench.spool))
    assert problems == {}
    assert wanted["eth0"].names.dns == SPEC.dns
    assert wanted["eth0"].names.default_route
    assert (bench.spool / "eth0.json").stat().st_mode & 0o777 == 0o644
    bench.ended()
    assert (bench.runs, bench.said) == (1, [])


def test_a_renewal_with_the_same_names_is_nothing_to_do(bench: Bench) -> None:
    bench.publish()
    bench.ended()
    bench.publish(SPEC._replace(valid_until=7.0))
    assert bench.runs == 1
    bench.publish(SPEC._replace(search=()))
    assert bench.runs == 2


def test_somebody_else_s_resolv_conf_is_a_reason_to_publish_again(bench: Bench) -> None:
    bench.publish()
    bench.ended()
    bench.resolv_conf.unlink()
    bench.resolv_conf.write_text("nameserver 192.0.2.99\n")
    bench.publish()
    bench.ended()
    bench.publish()
    assert bench.runs == 2


def test_what_comes_while_it_runs_is_done_after_it(bench: Bench) -> None:
    bench.publish()
    bench.publish(SPEC._replace(search=()))
    bench.spooler.withdraw("eth0", 2)
    assert bench.runs == 1
    bench.ended()
    assert bench.runs == 2
    bench.ended()
    assert bench.runs == 2
    assert read_all(str(bench.spool)) == ({}, {})


def test_withdrawing_what_was_never_published_is_nothing_to_do(bench: Bench) -> None:
    bench.spooler.withdraw("eth0", 2)
    assert bench.runs == 0
    bench.spool.mkdir()
    (bench.spool / "eth0.json").write_text("of an earlier life")
    bench.spooler.withdraw("eth0", 2)
    assert bench.runs == 1


def test_a_new_name_replaces_the_old_one(bench: Bench) -> None:
    bench.publish()
    bench.publish(name="wan0")
    assert list(read_all(str(bench.spool))[0]) == ["wan0"]


def test_a_failure_for_the_time_being_is_told_once_and_tried_again(bench: Bench) -> None:
    bench.exits = [(TRY_AGAIN, "holdfast: eth0: name servers: not yet\n")] * 3
    bench.publish()
    for run in range(1, 4):
        bench.ended()
        assert bench.runs == run
        bench.loop.run(10)
    bench.ended()
    bench.loop.run(100)
    assert bench.runs == 4
    assert bench.said == ["eth0: name servers: not yet; trying again", "name servers are published"]


def test_a_failure_for_good_waits_for_a_change(bench: Bench) -> None:
    bench.exits = [(1, "holdfast: eth0: name servers: another manager owns it\n"), (3, "")]
    bench.publish()
    bench.ended()
    bench.loop.run(1000)
    assert bench.runs == 1
    bench.publish(SPEC._replace(search=()))
    bench.ended()
    assert bench.said == ["eth0: name servers: another manager owns it", "the publisher of name servers ended with 3"]


def test_a_program_that_cannot_be_started_is_tried_again(bench: Bench) -> None:
    bench.refusal = OSError(11, "Resource temporarily unavailable")
    bench.publish()
    assert bench.said == [f"name servers cannot be published: {sys.executable} cannot be started: Resource temporarily "
                          "unavailable (are memory and processes left?); trying again"]
    bench.refusal = None
    bench.loop.run(2)
    assert bench.runs == 1


def test_another_user_only_writes(tmp_path: Path) -> None:
    bench = Bench(tmp_path, root=False)
    bench.publish()
    bench.spooler.reap()
    assert "eth0" in read_all(str(bench.spool))[0]
    assert bench.runs == 0
    bench.spooler.close()


def test_what_systemd_did_not_see_it_is_told_again(tmp_path: Path) -> None:
    """A path unit does not watch while its service runs."""
    bench = Bench(tmp_path, root=False)

    def reminded(seconds: float) -> bool:
        os.utime(bench.spool, (1, 1))
        bench.loop.run(seconds)
        return bench.spool.stat().st_mtime != 1

    bench.publish()
    assert [reminded(4.0), reminded(2.0), reminded(100.0)] == [False, True, False]
    bench.spooler.withdraw("eth0", 2)
    assert reminded(6.0)
    bench.publish()
    (bench.spool / "eth0.json").unlink()
    bench.spool.rmdir()
    bench.loop.run(6.0)
    bench.publish(SPEC._replace(search=()))
    bench.spooler.close()
    assert not reminded(100.0)


def test_the_real_program_finds_its_way(tmp_path: Path) -> None:
    pid, said = dns_spooler.start_program(str(tmp_path / "dns"), str(tmp_path / "state"))
    _, status = os.waitpid(pid, 0)
    text = os.pread(said, 1000, 0).decode()
    os.close(said)
    assert (os.waitstatus_to_exitcode(status), text) == (0, "")
    assert (tmp_path / "state" / "lock").exists()
    assert publisher.LATER == TRY_AGAIN


def test_no_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(OSError, match="nothing"):
        dns_spooler.start_program(str(tmp_path), str(tmp_path))


def test_without_a_resolv_conf(bench: Bench) -> None:
    bench.resolv_conf.unlink()
    bench.publish()
    wait_until(lambda: bench.runs == 1, 1, "it is run")
    bench.ended()
    bench.publish()
    assert bench.runs == 1
