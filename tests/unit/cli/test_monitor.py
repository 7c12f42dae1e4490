"""``holdfast monitor``: every event as it comes, from an agent that may be started anew."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from tests.support.control import OUTCOME, ControlBench

from holdfast.cli import main
from holdfast.cli.commands import monitor
from holdfast.settings import dirs
from holdfast_lab.testbed import fair_time


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="hf") as folder:
        monkeypatch.setattr(dirs, "RUNTIME_DIR", folder)
        monkeypatch.setattr(dirs, "search_config_dirs", lambda: (folder,))
        monkeypatch.setenv("RUNTIME_DIRECTORY", folder)
        yield folder


def steps(monkeypatch: pytest.MonkeyPatch, *acts: Callable[[], None]) -> None:
    """Perform one of ``acts`` before each wait, then end as Ctrl-C does."""
    left, wait = iter(acts), monitor.Follower.wait

    def step(self: monitor.Follower) -> None:
        wait(self)
        act = next(left, None)
        if act is None:
            raise KeyboardInterrupt
        act()

    monkeypatch.setattr(monitor.Follower, "wait", step)


def start(stack: ExitStack, folder: str) -> None:
    """Another agent."""
    stack.enter_context(ControlBench(folder))


def watched(bench: ControlBench) -> None:
    """Return when there is somebody who watches: he was told of the state."""
    fair_time.wait_until(lambda: bool(bench.client.watchers), 10, "it watches")


def tell(bench: ControlBench, *what: object) -> None:
    """Something happens, and there is somebody who watches."""
    watched(bench)
    bench.run(lambda: [watcher(*what) for watcher in list(bench.client.watchers)])


def test_events_as_lines(folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with ControlBench(folder) as bench:
        steps(monkeypatch, lambda: tell(bench, "transition", "BOUND -> RENEWING (T1)", None, None), lambda: None)
        assert main(["monitor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("  ")[2] for line in lines] == ["eth0: BOUND, 10.0.0.5", "eth0: BOUND -> RENEWING (T1)"]


def test_events_as_json(folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with ControlBench(folder) as bench:
        steps(monkeypatch, lambda: tell(bench, "outcome", "renewed", None, OUTCOME), lambda: None)
        assert main(["monitor", "eth0", "--json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["kind"], second["kind"], second["outcome"]["result"]) == ("state", "outcome", "renewed")


def test_an_agent_that_is_started_anew(
    folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as former, ExitStack() as latter:
        bench = former.enter_context(ControlBench(folder))
        steps(monkeypatch, lambda: watched(bench), former.close, lambda: None, lambda: start(latter, folder),
              lambda: None, lambda: None)
        assert main(["monitor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "waiting" in line] == ["eth0: the agent has ended; waiting for it"]
    assert sum("BOUND, 10.0.0.5" in line for line in lines) == 2


def test_nothing_to_watch(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitor"]) == 3
    assert main(["monitor", "nothing0"]) == 4
    assert "there is no interface nothing0" in capsys.readouterr().err
