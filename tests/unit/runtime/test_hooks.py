"""runtime.hooks with real programs, on the real loop."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from math import inf
from pathlib import Path
from typing import Any

import pytest

from holdfast.core.outcome import Outcome, Purpose, Result, Via
from holdfast.eventloop.loop import Loop
from holdfast.eventloop.signals import Signals
from holdfast.network.spec import NetworkSpec, Route
from holdfast.runtime.host import hooks as room
from holdfast.runtime.host.hooks import MAX_RUNNING, MAX_WAITING, Hooks, describe
from holdfast.runtime.host.notifications import NOT_FOR_HOOKS
from holdfast_lab.testbed.fair_time import wait_until
from holdfast_lab.testbed.virtual_host import VirtualClock, VirtualLoop

OURS, SERVER = IPv4Address("192.0.2.50"), IPv4Address("192.0.2.1")
OUTCOME = Outcome(Purpose.ACQUIRE, Result.ACQUIRED, Via.DISCOVER, 2, 0.01, SERVER, OURS, None, 120.0, 0.0, "start", 7,
                  999.0, 999.01)

#: A hook waits for the test, but not for ever: it must end by itself when the test was killed.
UNTIL_GO = "i=0; while [ ! -e $out/go ] && [ $i -lt 6000 ]; do i=$((i + 1)); sleep 0.01; done"


def children() -> set[int]:
    """The processes that this one has started and not yet reaped."""
    return {int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


class Bench:
    """A folder of hooks, and a loop that reaps them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "hooks.d"
        self.folder.mkdir()
        self.out = folder
        self._others = children()
        self.said: list[str] = []
        self.loop = Loop()
        self.hooks = self.make(self.loop)
        self.signals = Signals(self.loop, stop=self.loop.stop, child_ended=self._reap, hangup=lambda: None)

    def make(self, loop: Loop | VirtualLoop, time_limit: float = 10.0) -> Hooks:
        self.hooks = Hooks(str(self.folder), loop, lambda _, text: self.said.append(text), time_limit=time_limit)
        return self.hooks

    def _reap(self) -> None:
        self.hooks.reap()

    def add(self, name: str, script: str, mode: int = 0o755) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\nout={self.out}\n{script}\n")
        path.chmod(mode)

    def run_until(self, condition: Callable[[], object], what: str) -> None:
        def step() -> object:
            self.loop.run_once(0.05)
            return condition()

        wait_until(step, 20, what)

    def running(self) -> set[int]:
        """The hooks that run, or have ended and were not reaped: when the last is reaped, none waits either."""
        return children() - self._others

    def idle(self) -> bool:
        return not self.running()

    def close(self) -> None:
        (self.out / "go").touch()  # after a test that failed its hooks still wait for it
        self.hooks.close()
        self.signals.close()
        self.loop.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(Bench(tmp_path)) as bench:
        yield bench


def test_a_hook_gets_one_json_object_on_stdin_and_nothing_else(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    bench.add("10-show", 'cat > $out/stdin; env > $out/env; echo "$#" > $out/args; echo noise')
    bench.hooks.fire({"name": "$(touch /tmp/never); `x` ; 'quoted'"})
    bench.run_until(bench.idle, "the hook has ended")
    assert json.loads((bench.out / "stdin").read_text()) == {"name": "$(touch /tmp/never); `x` ; 'quoted'"}  # rule 73
    assert "SECRET" not in (bench.out / "env").read_text()
    assert (bench.out / "args").read_text() == "0\n"
    assert bench.said == []


def test_what_is_no_hook_is_not_run(bench: Bench) -> None:
    for name, mode in (("plain", 0o644), (".hidden", 0o755), ("editor~", 0o755), ("a.dpkg-old", 0o755)):
        bench.add(name, f"touch $out/ran-{name}", mode)
    (bench.folder / "folder").mkdir()
    bench.hooks.fire({})
    assert bench.idle()
    Hooks(str(bench.out / "none"), bench.loop, lambda *_: None).fire({})


def test_failures_are_told(bench: Bench) -> None:
    bench.add("10-exit", "exit 3")
    bench.add("20-signal", "kill -9 $$")
    (bench.folder / "30-broken").write_text("#!/nonesuch/interpreter\n")
    (bench.folder / "30-broken").chmod(0o755)
    bench.hooks.fire({})
    bench.run_until(bench.idle, "all have ended")
    said = " ".join(bench.said)
    assert "10-exit failed: exit status 3" in said
    assert "20-signal failed: signal 9" in said
    assert "30-broken cannot be run: No such file or directory; see its first line and its mode" in said


def test_a_hook_that_hangs_is_killed_with_its_children(bench: Bench) -> None:
    loop = VirtualLoop(VirtualClock())
    bench.make(loop, time_limit=0.2)
    bench.add("10-hang", "sleep 1000 & echo $! > $out/child.new; mv $out/child.new $out/child; sleep 1000")
    bench.hooks.fire({})
    wait_until((bench.out / "child").exists, 20, "it has a child")
    loop.run(0.2)
    bench.run_until(bench.idle, "it was killed")
    assert "took longer than 0.2 s" in bench.said[0]
    child = int((bench.out / "child").read_text())

    def ended() -> bool:
        try:
            return Path(f"/proc/{child}/stat").read_text().split()[2] in "ZX"
        except OSError:
            return True

    wait_until(ended, 5, "its child was killed too")


def test_only_so_many_run_and_wait(bench: Bench) -> None:
    for number in range(MAX_RUNNING + 2):
        bench.add(f"{number:02}", UNTIL_GO + "; echo x >> $out/done")
    for _ in range(8):
        bench.hooks.fire({})
    assert len(bench.running()) == MAX_RUNNING
    left_out = sum("is left out" in line for line in bench.said)
    assert left_out == 8 * (MAX_RUNNING + 2) - MAX_RUNNING - MAX_WAITING
    (bench.out / "go").touch()
    bench.run_until(bench.idle, "all have had their turn")
    assert len((bench.out / "done").read_text().split()) == MAX_RUNNING + MAX_WAITING


def test_hooks_that_run_at_the_end_are_left_to_end(bench: Bench) -> None:
    bench.add("10-slow", "echo $$ > $out/pid; " + UNTIL_GO + "; touch $out/ended")
    bench.hooks.fire({})
    wait_until(lambda: (bench.out / "pid").exists() and (bench.out / "pid").read_text(), 10, "it has started")
    bench.hooks.close()
    (bench.out / "go").touch()
    wait_until((bench.out / "ended").exists, 10, "it ended by itself")


def test_an_overdue_hook_that_has_just_ended(bench: Bench) -> None:
    bench.add("10-quick", "exit 0")
    loop = VirtualLoop(VirtualClock())
    hooks = Hooks(str(bench.folder), loop, lambda _, text: bench.said.append(text), time_limit=10.0)
    for seconds in (0.0, 11.0):
        hooks.fire({})
        [pid] = bench.running()
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        loop.run(seconds)  # a zombie's group can still be signalled, or not: neither is an error
        hooks.reap()
        assert bench.idle()
        assert loop.timers == {}
    assert [line.split(" took ")[1] for line in bench.said] == ["longer than 10 s and was killed"]


def test_what_is_told_to_hooks() -> None:
    route = Route(IPv4Network("0.0.0.0/0"), SERVER, 100, OURS)
    spec = NetworkSpec(IPv4Interface("192.0.2.50/24"), IPv4Address("192.0.2.255"), (route,), 1400, (SERVER,),
                       ("example.org",), domain="example.org", hostname="guest", valid_until=1120.0)
    told: dict[str, Any] = describe("eth0", OUTCOME, spec, {224: b"A", 6: bytes(4)}, now=1000.0, wall=1_700_000_000.0)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["outcome"]["result"] == "acquired"
    assert told["network"]["routes"] == [{"destination": "0.0.0.0/0", "gateway": "192.0.2.1", "metric": 100}]
    assert told["network"]["expires"] == "2023-11-14T22:15:20.000Z"
    endless = NetworkSpec(IPv4Interface("192.0.2.50/32"), routes=(route, Route(route.destination, None, 1, None)),
                          valid_until=inf)
    assert describe("eth0", OUTCOME, endless, {}, now=0.0, wall=0.0)["network"]["expires"] is None
    assert describe("eth0", OUTCOME, None, {}, now=0.0, wall=0.0)["network"] is None
    assert told["version"] == room.VERSION
    assert told["options"] == {"6": "00000000", "224": "41"}


def test_signals_are_restored_in_the_hook(bench: Bench) -> None:
    # The hook's shell must not inherit our handlers or a blocked SIGTERM.
    bench.add("10-term", "kill -TERM $$; touch $out/survived")
    bench.hooks.fire({})
    bench.run_until(bench.idle, "it has ended")
    assert not (bench.out / "survived").exists()
    assert bench.said == [f"hook {bench.folder}/10-term failed: signal {signal.SIGTERM.value}"]


def test_the_manual_has_an_example_of_each_event() -> None:
    """docs/hooks.md: one object for each event, with members that hooks really get, the first one with all."""
    text = (Path(__file__).resolve().parents[3] / "docs" / "hooks.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"\n## ([a-z0-9-]+)\n.*?```json\n(.*?)```", text, re.DOTALL))
    assert set(sections) == {result.value for result in Result} - set(NOT_FOR_HOOKS)
    whole = json.loads(sections["acquired"])
    told = describe("eth0", OUTCOME, NetworkSpec(IPv4Interface("192.0.2.50/24")), {}, now=0.0, wall=0.0)
    assert (set(whole), set(whole["outcome"]), set(whole["network"])) == (
        set(told), set(told["outcome"]), set(told["network"]))
    for name, section in sections.items():
        example = json.loads(section)
        assert example["outcome"]["result"] == name
        assert set(example["outcome"]) <= set(told["outcome"])
