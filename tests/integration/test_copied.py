"""A disk that is copied, and one that is cleaned before (rule 49)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.bench import ADDRESS, boottime
from tests.support.servers import Service

pytestmark = pytest.mark.root

#: The daemon's own view of /etc/machine-id.
MACHINE_ID = "f" * 32
ANOTHER_MACHINE = f"mount -t tmpfs none /mnt && echo {MACHINE_ID} > /mnt/id && mount --bind /mnt/id /etc/machine-id"


def test_the_copy_starts_clean(make_bench: Callable[..., Any]) -> None:  # rule 49
    """Another machine-id: no question about the former lease, nothing of its history; and that is told."""
    bench = make_bench("dhcpd", Service(lease_time=60, t1=30, t2=50))  # the REQUESTs of renewals are not counted
    bench.agent.config.write_text('[agent]\nlog_level = "debug"\n[interfaces.hf0]\nclient_id = "01:aa:bb"\n')
    bench.acquire()
    bench.agent.terminate()
    (bench.agent.state / "old9.lease.json").write_bytes((bench.agent.state / "hf0.lease.json").read_bytes())
    bench.site.on_client("ip", "addr", "flush", "dev", "hf0")  # what a boot is like
    bench.server.stop()
    bench.server.forget()
    bench.server.start()
    asked = bench.server.log.read_text().count("DHCPREQUEST")
    copied_at = boottime()

    bench.agent.config.write_text('[agent]\nlog_level = "debug"\n')
    bench.agent.start(mounts=ANOTHER_MACHINE)
    outcome = bench.agent.wait_result("acquired", since=copied_at)  # the former machine's record is there until then
    bench.agent.wait_address(ADDRESS)

    assert bench.agent.results("acquired") == [outcome]  # the former machine's is gone
    assert outcome["purpose"] == "acquire"
    assert not (bench.agent.state / "old9.lease.json").exists()
    lease = bench.agent.state / "hf0.lease.json"
    bench.agent.wait(lease.exists, 10, "the new lease is kept")
    assert json.loads(lease.read_text())["client_id"] != "01aabb"
    assert bench.server.log.read_text().count("DHCPREQUEST") == asked + 1
    said = bench.agent.said()
    assert "is not used: the machine-id is another" in said
    assert "this disk was another machine's: what it remembered is removed (hf0, old9)" in said


def test_leases_of_interfaces_that_are_not_there_tell_it_too(make_bench: Callable[..., Any]) -> None:
    """The copy's only interface has another name: nothing is read, and still the former machine's files go."""
    bench = make_bench("dhcpd")
    bench.acquire()
    bench.agent.terminate()
    (bench.agent.state / "hf0.lease.json").rename(bench.agent.state / "old9.lease.json")
    (bench.agent.state / "hf0.outcomes.jsonl").rename(bench.agent.state / "old9.outcomes.jsonl")
    bench.agent.start(mounts=ANOTHER_MACHINE)
    bench.agent.wait(lambda: "another machine's" in bench.agent.said(), 10, "it is told")
    bench.agent.wait(lambda: list(bench.agent.state.glob("old9.*")) == [], 10, "its files are removed")
    bench.agent.wait_address(ADDRESS)


def test_clean_beside_a_running_agent(make_bench: Callable[..., Any]) -> None:
    """The lease stays in use and is renewed, and nothing is written any more. The next start remembers nothing, and
    asks the server for the address that it finds with our mark (rule 89), or for any after a boot."""
    bench = make_bench("dhcpd", Service(lease_time=20, t1=2, t2=6))
    bench.acquire()
    done = bench.agent.command("clean")
    assert (done.returncode, done.stderr) == (0, "")
    assert "removed" in done.stdout
    updates = len(bench.lifetimes())
    bench.agent.wait(lambda: len(bench.lifetimes()) >= updates + 2, 20, "two renewals")
    assert [path.name for path in bench.agent.state.iterdir()] == []
    assert bench.agent.command("clean").stdout == "there is nothing to remove\n"
    bench.assert_held()
    assert bench.agent.terminate() == 0
    assert [path.name for path in bench.agent.state.iterdir()] == []
    bench.agent.start()
    assert bench.agent.wait_result("renewed")["path"] == "broadcast"
    assert bench.agent.command("clean").returncode == 0
    assert bench.agent.terminate() == 0
    bench.site.on_client("ip", "addr", "flush", "dev", "hf0")  # what a boot is like
    bench.agent.start()
    bench.agent.wait_result("acquired")
