"""Ending and starting again: by the rules, by SIGKILL at any moment, with a damaged memory, on a bad disk."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from tests.support.bench import ADDRESS, OTHER
from tests.support.servers import Service

from holdfast_lab.testbed.fair_time import wait_until

pytestmark = pytest.mark.root


def lease_file(folder: Path) -> Path:
    """The one lease file in a state folder."""
    [found] = [path for path in folder.iterdir() if path.name.endswith(".lease.json")]
    return found


def fill_up(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(512))


def test_sigterm_keeps_everything(make_bench: Any) -> None:
    """SIGTERM: no RELEASE, nothing flushed, the lease saved, gone in under 2 s; and taken up again."""
    bench = make_bench("dhcpd", Service(lease_time=60, t1=20, t2=40))
    bench.acquire()
    before = bench.routes()

    assert bench.agent.terminate(timeout=2.0) == 0  # rule 51

    assert bench.agent.addresses() == [ADDRESS]
    assert bench.routes() == before
    saved = json.loads(lease_file(bench.agent.state).read_text())
    assert ADDRESS in json.dumps(saved)

    asked = bench.server.log.read_text().count("DHCP")
    bench.agent.start()
    bench.agent.wait(lambda: bench.agent.said().count("-> BOUND") == 2, 10, "BOUND after the restart")

    # rule 47: carried on, with nothing touched and nobody asked.
    assert bench.server.log.read_text().count("DHCP") == asked
    assert bench.routes() == before
    assert "DHCPRELEASE" not in bench.server.log.read_text()  # rules 14, 51
    bench.assert_held()


@pytest.mark.long
def test_killed_fifty_times(make_bench: Any) -> None:
    """SIGKILL at fifty random moments of start and renewal: the address is never lost (rule 52)."""
    rng = random.Random(52)
    bench = make_bench("dhcpd", Service(lease_time=600, t1=2, t2=6))  # no life may be long enough for a renewal
    bench.acquire()

    for _ in range(50):
        bench.agent.kill()
        bench.agent.start()
        time.sleep(rng.uniform(0.0, 0.6))  # the moment of the next kill; nothing is waited for

    renewed = len(bench.agent.results("renewed"))
    bench.agent.wait_result("renewed", count=renewed + 2)
    assert bench.agent.addresses() == [ADDRESS]
    bench.agent.wait(lambda: list(bench.agent.state.glob("*.tmp*")) == [], 10, "no file is half written")
    bench.assert_held()


def test_killed_before_the_first_lease(make_bench: Any) -> None:
    """SIGKILL at random moments from the first instant on: it converges on one address."""
    rng = random.Random(53)
    bench = make_bench("dhcpd")
    bench.server.start()
    bench.agent.start()

    for _ in range(12):
        time.sleep(rng.uniform(0.0, 0.25))  # the moment of the kill
        bench.agent.kill()
        bench.agent.start()

    bench.agent.wait_address(ADDRESS)
    bench.watch(ADDRESS)
    renewed = len(bench.agent.results("renewed"))
    bench.agent.wait_result("renewed", count=renewed + 1)
    assert bench.agent.addresses() == [ADDRESS]
    bench.assert_held()


def test_killed_in_the_middle_of_a_move(make_bench: Any) -> None:
    """SIGKILL in the millisecond after the new address came, four times: the old one goes in the end."""
    rng = random.Random(54)
    bench = make_bench("dnsmasq")
    bench.acquire(ADDRESS, OTHER)

    for turn in range(4):
        former, latter = (ADDRESS, OTHER) if turn % 2 == 0 else (OTHER, ADDRESS)
        mark = bench.monitor.mark()
        killed = threading.Event()

        def kill(killed: threading.Event = killed, after: float = rng.uniform(0.0, 0.001)) -> None:
            time.sleep(after)  # the moment of the kill
            bench.agent.process.kill()
            killed.set()

        wanted = IPv4Address(latter)
        bench.monitor.when(lambda change, wanted=wanted: change.address == wanted, kill)
        bench.server.reconfigure(Service(pool=latter))
        wait_until(killed.is_set, 20, f"{latter} has come")
        bench.agent.kill()
        bench.agent.start()

        bench.agent.wait(lambda latter=latter: bench.agent.addresses() == [latter], 20, f"{latter} alone")
        gone = lambda former=former, mark=mark: bench.monitor.lost_addresses(former, mark)  # noqa: E731
        bench.agent.wait(gone, 5, f"the monitor has seen {former} go")
        gained, lost = bench.monitor.given_addresses(latter, mark), gone()
        assert len(lost) == 1
        assert gained[0].at < lost[0].at  # rules 52, 57
        assert bench.monitor.lost_addresses(latter, mark) == []


DAMAGED = {
    "empty": b"",
    "not JSON": b"\x00\xff{{{",
    "cut off": None,
    "another version": b'{"version": 999999}',
    "an array": b"[]",
    "deep": b"[" * 200_000,
    "wrong types": b'{"version": 1, "lease": {"address": [], "expires_at": "soon"}}',
    "NaN": b'{"version": 1, "lease": NaN}',
}


def test_damaged_lease_files(make_bench: Any) -> None:
    """Whatever is in the lease file: it is set aside with a message, and the address stays (rule 53)."""
    bench = make_bench("dhcpd")
    bench.acquire()

    for kind, content in DAMAGED.items():
        bench.agent.kill()
        path = lease_file(bench.agent.state)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] if content is None else content)
        said = len(bench.agent.said())
        done = len(bench.agent.outcomes())
        bench.agent.start()
        bench.agent.wait(
            lambda done=done: any(o["address"] == ADDRESS for o in bench.agent.outcomes()[done:]),
            20,
            f"a lease after the file was damaged: {kind}",
        )
        assert "lease" in bench.agent.said()[said:], kind
        bench.agent.wait(
            lambda: ADDRESS in lease_file(bench.agent.state).read_text(), 5, f"a new lease file after: {kind}"
        )
    bench.assert_held()


def test_full_disk(make_bench: Any) -> None:
    """A full disk: renewals go on, the old lease file stays whole, and all is written when there is room."""
    bench = make_bench("dhcpd", Service(lease_time=20, t1=2, t2=6))
    bench.server.start()
    bench.agent.start(mounts=f"mount -t tmpfs -o size=64k tmpfs {bench.agent.state}")
    bench.agent.wait_address(ADDRESS)
    bench.watch(ADDRESS)
    state = bench.agent.inside(bench.agent.state)
    history = state / "hf0.outcomes.jsonl"
    bench.agent.wait(lambda: any(state.glob("*.lease.json")), 5, "the lease is saved")
    bench.agent.wait(lambda: history.exists() and "acquired" in history.read_text(), 5, "the first outcome")
    fill_up(state / "fill")
    before = lease_file(state).read_bytes()
    recorded = history.read_text().count("\n")

    bench.agent.wait(lambda: len(bench.lifetimes()) >= 2, 20, "two renewals on a full disk")

    assert lease_file(state).read_bytes() == before
    assert json.loads(before)
    bench.agent.wait(lambda: "No space left" in bench.agent.said(), 5, "the full disk is spoken of")
    (state / "fill").unlink()
    bench.agent.wait(lambda: lease_file(state).read_bytes() != before, 20, "the lease is saved again")
    bench.agent.wait(
        lambda: history.read_text().count("\n") >= recorded + 3, 20, "the outcomes meanwhile are written"
    )
    bench.assert_held()


def test_read_only_state_folder(make_bench: Any) -> None:
    """A read-only state folder: the stored lease is used, renewals go on, and it is said."""
    bench = make_bench("dhcpd", Service(lease_time=20, t1=2, t2=6))
    bench.acquire()
    bench.agent.terminate()
    state = bench.agent.state

    bench.agent.start(mounts=f"mount --bind {state} {state}; mount -o remount,ro,bind {state}")
    updates = len(bench.lifetimes())
    bench.agent.wait(lambda: len(bench.lifetimes()) >= updates + 2, 20, "two renewals")

    bench.agent.wait(lambda: "Read-only file system" in bench.agent.said(), 10, "it is told")
    bench.assert_held()


def test_no_server_after_a_reboot(make_bench: Any) -> None:
    """INIT-REBOOT that nobody answers: the lease is valid, so it is used, and recorded as unverified."""
    bench = make_bench("dnsmasq")
    bench.acquire()
    bench.agent.terminate()
    assert bench.probe is not None
    bench.probe.finish()
    bench.server.kill()
    bench.site.on_client("ip", "addr", "flush", "dev", "hf0")  # what a reboot does

    bench.agent.start()
    bench.agent.wait_address(ADDRESS, timeout=30)  # rule 48

    bench.agent.wait(lambda: bench.agent.results("kept"), 10, "the reboot's outcome")
    assert bench.agent.results("kept")[-1]["purpose"] == "reboot"
    bench.watch(ADDRESS)
    bench.server.start()
    done = len(bench.agent.results("renewed", "acquired"))
    bench.agent.wait_result("renewed", "acquired", count=done + 1, timeout=30)
    bench.assert_held()


def test_slept_while_it_was_not_running(make_bench: Any) -> None:
    """Started in a time namespace whose CLOCK_BOOTTIME is past T1: the time counts, and the renewal is at once."""
    bench = make_bench("dhcpd", Service(lease_time=600, t1=300, t2=500))
    bench.acquire()
    bench.agent.terminate()
    daemon = [sys.executable, "-m", "holdfast.runtime"]
    bench.agent.start(launcher=["unshare", "--time", "--boottime", "400", "--fork", "--kill-child", *daemon])
    outcome = bench.agent.wait_result("renewed", timeout=10)
    assert outcome["purpose"] == "t1"  # rule 45
    assert 150 < outcome["seconds_left"] < 200
    bench.assert_held()
    bench.agent.kill()  # unshare passes no signals on, and takes the daemon along when it is killed
