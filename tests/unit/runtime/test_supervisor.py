"""runtime.supervisor: the real process with a real server; and what it does with parts that fail."""

from __future__ import annotations

import errno
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.bench import ADDRESS, Bench

from holdfast.clock import Jump
from holdfast.network import LinkError
from holdfast.network.census import Found
from holdfast.observe.log import Log
from holdfast.runtime.factory import AgentContext, AlreadyServedError, make_deps, make_reporter
from holdfast.runtime.host import hotplug
from holdfast.runtime.supervisor import COLLECT_EVERY, Collector, Supervisor, why_not
from holdfast.settings.model import Settings
from holdfast_lab.testbed import fair_time
from holdfast_lab.testbed.virtual_host import VirtualClock

DAEMON = [sys.executable, "-m", "holdfast.runtime"]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench("dnsmasq", tmp_path) as bench:
        yield bench


@pytest.mark.root
def test_systemd_hears_of_readiness_status_life_and_end(bench: Bench, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(fair_time.longest(20))
        told: list[str] = []

        def hear(wanted: str) -> None:
            while wanted not in told:
                told.append(manager.recv(1000).decode())

        bench.agent.start(launcher=["env", f"NOTIFY_SOCKET={tmp_path}/notify", "WATCHDOG_USEC=200000", *DAEMON])
        hear("READY=1")  # a boot does not wait for a server: there is none yet
        bench.server.start()
        hear(f"STATUS=hf0: BOUND {ADDRESS}")
        told.clear()
        hear("WATCHDOG=1")
        assert bench.agent.terminate() == 0
        hear("STOPPING=1")
    assert bench.agent.addresses() == [ADDRESS]


@pytest.mark.root
def test_an_interface_that_is_missing_is_waited_for(bench: Bench) -> None:
    bench.server.start()
    bench.site.unplug()
    bench.agent.start()
    bench.agent.wait(lambda: "no interface called 'hf0'" in bench.agent.said(), 10, "it says what it waits for")
    bench.site.plug()
    bench.agent.wait_address(ADDRESS)
    assert "hf0 is here" in bench.agent.said()


@pytest.mark.root
def test_one_interface_does_not_wait_for_another(bench: Bench) -> None:
    bench.server.start()
    bench.agent.start(launcher=[*DAEMON, "hf9", "lo"])  # hf9 is never there, and lo cannot be served
    bench.agent.wait_address(ADDRESS)
    bench.agent.wait(lambda: "waiting for it" in bench.agent.said(), 10, "hf9 is told of")
    bench.agent.wait(lambda: "lo is not an Ethernet interface" in bench.agent.said(), 10, "lo is told of")
    bench.agent.wait((bench.agent.runtime / "hf9.varlink").exists, 10, "commands reach it")
    status = bench.agent.command("status", "hf9", "--json")
    assert status.returncode == 0, status.stderr


@pytest.mark.root
def test_a_second_agent_is_refused_and_the_first_goes_on(bench: Bench) -> None:
    bench.server.start()
    bench.agent.start()
    bench.agent.wait_address(ADDRESS)
    second = bench.site.client.popen(
        [*DAEMON, "hf0"], env=bench.agent.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    _, said = fair_time.communicate(second, 20)
    assert second.returncode == 7
    assert "is served by another holdfast" in said
    assert said.count("\n") == 1
    bench.agent.wait(lambda: bench.agent.status().get("state") == "BOUND", 10, "the first one is there and asked")


@pytest.mark.root
def test_hooks_run_after_changes_and_sighup_touches_no_lease(bench: Bench, tmp_path: Path) -> None:
    hooks = tmp_path / "hooks.d"
    hooks.mkdir()
    hook = hooks / "10-show"
    hook.write_text(f"#!/bin/sh\ncat > {tmp_path}/told.new && mv {tmp_path}/told.new {tmp_path}/told\n")
    hook.chmod(0o755)
    bench.agent.config.write_text(f'[agent]\nhooks_dir = "{hooks}"\ncontrol_group = "nonesuch"\n')
    bench.server.start()
    bench.agent.start()
    bench.agent.wait((tmp_path / "told").exists, 20, "the hook was run")
    told = json.loads((tmp_path / "told").read_text())
    assert told["outcome"]["result"] == "acquired"
    assert told["network"]["address"] == f"{ADDRESS}/24"
    bench.agent.wait(lambda: "there is no group nonesuch" in bench.agent.said(), 10, "the group is told of")

    assert bench.agent.process is not None
    bench.agent.process.send_signal(signal.SIGHUP)
    bench.agent.wait(lambda: "reload: done" in bench.agent.said(), 10, "SIGHUP is answered")
    bench.agent.wait(lambda: bench.agent.status().get("state") == "BOUND", 10, "it is bound as before")
    assert bench.agent.terminate() == 0  # rule 51


@pytest.mark.root
def test_a_reload_changes_what_it_can_and_says_what_it_cannot(bench: Bench, tmp_path: Path) -> None:
    bench.agent.config.write_text("[interfaces.hf0]\nmetric = 70\n")
    bench.agent.interfaces = []
    bench.acquire()

    def reload(text: str, told: str) -> None:
        done = bench.agent.said().count(told)
        bench.agent.config.write_text(text)
        assert bench.agent.process is not None
        bench.agent.process.send_signal(signal.SIGHUP)
        bench.agent.wait(lambda: bench.agent.said().count(told) > done, 10, told)

    reload("[interfaces.hf0]\nmetric = 71\n", "reload: done")
    assert "reload: hf0: metric changed; the lease is kept" in bench.agent.said()

    def default_routes() -> list[bool]:
        return ["metric 71" in route for route in bench.routes() if route.startswith("default")]

    bench.agent.wait(lambda: default_routes() == [True], 10, "the default route has the metric, and there is one")
    reload("[interfaces.hf0]\nmetrik = 72\n", "reload: the configuration is wrong, so nothing is changed")
    assert 'key interfaces.hf0.metrik: unknown key; did you mean "metric"?' in bench.agent.said()
    reload(f'[agent]\nmetrics_dir = "{tmp_path}"\n[interfaces.hf0]\nclient_id = "none"\n', "reload: done")
    assert "reload: metrics_dir has changed, which takes a restart" in bench.agent.said()
    assert "this is another client to the server: restart the agent" in bench.agent.said()
    reload("[interfaces.hf9]\n", "reload: done")
    assert "reload: hf0 is named no more; its address stays" in bench.agent.said()
    assert ADDRESS in bench.agent.addresses()
    assert bench.monitor.lost_addresses(ADDRESS, bench.held_from) == []


@pytest.mark.root
def test_folders_of_another_user_are_not_worked_in(bench: Bench, tmp_path: Path) -> None:  # rule 92
    for name in ("state", "run"):
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, 65534, 65534)
    bench.server.start()
    bench.agent.start(launcher=[*DAEMON, "--state-dir", f"{tmp_path}/state", "--runtime-dir", f"{tmp_path}/run"])
    bench.agent.wait_address(ADDRESS)
    for name, lacking in (("state", "no lease outlives a restart"), ("run", "no command reaches this agent")):
        told = f"{tmp_path}/{name} belongs to user nobody and not to root or the agent's user, so nothing is done there"
        bench.agent.wait(lambda told=told: told in bench.agent.said(), 10, "the folder is told of")
        assert f"going on without it, so {lacking}" in bench.agent.said()
    assert bench.agent.terminate() == 0
    assert os.listdir(tmp_path / "state") == os.listdir(tmp_path / "run") == []


@pytest.mark.root
def test_a_folder_that_cannot_be_made_is_a_notice(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    bench.server.start()
    bench.agent.start(launcher=[*DAEMON, "--state-dir", f"{tmp_path}/file/state", "--runtime-dir",
                                f"{tmp_path}/file/run"])
    bench.agent.wait_address(ADDRESS)
    told = f"{tmp_path}/file/state cannot be made: Not a directory; going on without it, so no lease outlives a restart"
    assert told in bench.agent.said()
    told = f"hf0: no control socket in {tmp_path}/file/run: "
    bench.agent.wait(lambda: told in bench.agent.said(), 10, "the socket is told of")


# -- in this process -----------------------------------------------------------------------------


def test_the_line_about_an_interface_names_it() -> None:
    assert why_not("eth0", OSError(24, "Too many open files")) == "eth0 cannot be served: Too many open files"
    assert why_not("lo", LinkError(95, "lo is not an Ethernet interface")) == "lo is not an Ethernet interface"
    assert why_not("eth0", AlreadyServedError("eth0 is served by another")) == "eth0 is served by another"


def test_a_set_wall_clock_is_told_and_harmless(tmp_path: Path) -> None:
    read, write = os.pipe()
    log = Log("stderr", fd=write)
    supervisor = Supervisor([], Settings(), str(tmp_path / "state"), str(tmp_path / "run"), log, VirtualClock())
    supervisor.start()
    supervisor.loop.on_jump(Jump(asleep=0.0, stepped=-3600.0))  # rule 44
    supervisor.loop.on_jump(Jump(asleep=60.0, stepped=0.0))
    supervisor.close()
    os.close(write)
    with open(read, encoding="utf-8") as said:
        assert said.read().splitlines() == [
            "the wall clock was set by -3600.0 s; leases do not depend on it", "ended; there was no address to keep"]


def test_memory_is_collected_now_and_then() -> None:
    class Ring:
        """Nothing but a collection ends it."""

    rings = weakref.WeakSet[Ring]()
    collector = Collector()
    gc.disable()
    try:
        for _ in range(3 * COLLECT_EVERY):
            ring = Ring()
            ring.itself = ring  # type: ignore[attr-defined]
            rings.add(ring)
            collector.outcome()
    finally:
        gc.enable()
    assert len(rings) < COLLECT_EVERY


def test_old_news_of_a_link_that_is_gone_serves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of links may lag behind: what it calls a newcomer has gone, and no netlink message follows."""
    lists = [[Found("gone0", ifindex, 1, 0x1043, "", False)] for ifindex in (4711, 4712)]
    monkeypatch.setattr(hotplug, "all_links", lambda: lists.pop(0) if lists else [])
    monkeypatch.setattr(hotplug.UdevDatabase, "done_with", lambda *_: True)
    log = Log("stderr")
    supervisor = Supervisor(
        [], Settings(), str(tmp_path / "state"), str(tmp_path / "run"), log, VirtualClock(), patterns=("gone*",)
    )
    try:
        supervisor.start()
        [former] = supervisor.interfaces
        supervisor.loop.run_once(0)
        [later] = supervisor.interfaces
        assert later is not former, "its name may come back"
        supervisor.loop.run_once(0)
        assert supervisor.interfaces == lists == []
    finally:
        supervisor.close()


def test_real_backends_are_made_when_they_are_asked_for(tmp_path: Path) -> None:
    log = Log("stderr")
    settings = Settings(metrics_dir=str(tmp_path), defaults=Settings().defaults._replace(use_dns=False, use_ntp=False))
    clock = VirtualClock()
    supervisor = Supervisor([], settings, str(tmp_path), str(tmp_path), log, clock)
    context = AgentContext(settings, str(tmp_path), str(tmp_path), log, clock, supervisor.loop, supervisor.resolver)
    try:
        deps = make_deps("eth0", context, make_reporter("eth0", context))
        assert deps.backends.resolver() is None
        assert "namespace" in deps.port_holder() or "pid" in deps.port_holder() or "found" in deps.port_holder()
        assert supervisor.resolver() is supervisor.resolver()
        with pytest.raises(OSError, match="no interface called 'nonesuch0'") as caught:
            deps.find("nonesuch0")
        assert caught.value.errno == errno.ENODEV
    finally:
        supervisor.close()
