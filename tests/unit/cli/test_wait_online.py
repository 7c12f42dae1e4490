"""wait-online against real control sockets: agents that are there, that come later, that go."""

from __future__ import annotations

import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.control import ControlBench, FakeClient

from holdfast import online, start
from holdfast.cli import main
from holdfast.control import client
from holdfast.eventloop import folder_changes
from holdfast.publish import publisher
from holdfast.settings import dirs, links
from holdfast_lab.testbed import fair_time
from holdfast_lab.testbed.fair_time import wait_until


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    monkeypatch.setattr(dirs, "search_config_dirs", lambda: (str(tmp_path),))
    with tempfile.TemporaryDirectory(prefix="hf") as folder:
        monkeypatch.setattr(dirs, "RUNTIME_DIR", folder)
        monkeypatch.setenv("RUNTIME_DIRECTORY", folder)
        yield folder


@contextmanager
def waiting(*words: str) -> Iterator[Callable[[], int | None]]:
    """The command in a thread: its exit status once there is one."""
    status: list[int] = []
    thread = threading.Thread(target=lambda: status.append(main(["wait-online", *words])))
    thread.start()
    try:
        yield lambda: status[0] if status else None
    finally:
        thread.join(fair_time.longest(20))
        assert not thread.is_alive()


def asked(client: FakeClient, count: int = 1) -> None:
    """Return when somebody waits for ``client``."""
    wait_until(lambda: len(client.online_listeners) == count, 10, "the agent is asked")


def test_everything_is_online_already(folder: str) -> None:
    with ControlBench(folder):
        assert main(["wait-online", "--timeout", "5"]) == 0
        assert main(["wait-online", "eth0"]) == 0


def test_it_waits_until_the_agent_says_so(folder: str) -> None:
    with ControlBench(folder) as bench:
        bench.client.online = False
        with waiting("--timeout", "20") as status:
            asked(bench.client)
            assert status() is None
            bench.run(bench.client.come_online)
        assert status() == 0
        assert bench.client.online_listeners == []


def test_all_or_any(folder: str) -> None:
    with ControlBench(folder) as bench:
        other = FakeClient("eth1")
        bench.client.online = other.online = False
        bench.run(lambda: bench.control.add(other))
        with waiting() as every, waiting("--any") as one:
            asked(bench.client, 2)
            asked(other, 2)
            bench.run(other.come_online)
            wait_until(lambda: one() == 0, 10, "one is enough")
            assert every() is None
            bench.run(bench.client.come_online)
        assert every() == 0


def test_an_agent_that_comes_later(folder: str) -> None:
    with waiting("--timeout", "20") as status:
        assert status() is None
        with ControlBench(folder):
            wait_until(lambda: status() is not None, 10, "it is found")
    assert status() == 0


def test_an_agent_that_is_started_again(folder: str) -> None:
    with waiting("eth0", "--timeout", "20") as status:
        bench = ControlBench(folder)
        bench.client.online = False  # before the loop runs
        with bench:
            asked(bench.client)
        assert status() is None
        with ControlBench(folder):
            wait_until(lambda: status() is not None, 10, "it is asked again")
    assert status() == 0


def test_what_the_configuration_names_is_waited_for(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "holdfast.toml").write_text("[interfaces.eth0]\n[interfaces.eth1]\n")
    with ControlBench(folder):
        assert main(["wait-online", "--timeout", "2"]) == 1  # in which eth0's agent is to answer
        assert capsys.readouterr().err == "holdfast: not online after 2 s: eth1\n"
        assert main(["wait-online", "--timeout", "5", "--any"]) == 0


def test_nothing_is_served(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["wait-online", "--timeout", "0.3"]) == 1
    assert capsys.readouterr().err == "holdfast: not online after 0.3 s: no interface is served\n"


def test_a_card_without_a_cable_is_no_reason_to_wait(folder: str) -> None:
    with ControlBench(folder) as bench:
        other = FakeClient("eth1")
        other.online = other.awaited = False
        bench.run(lambda: bench.control.add(other))
        assert main(["wait-online", "--timeout", "5"]) == 0
        bench.client.online = bench.client.awaited = False
        assert main(["wait-online", "--timeout", "0.6"]) == 1  # one at least
        with waiting("eth1", "--timeout", "20") as status:  # who names it means it
            asked(other)
            bench.run(other.come_online)
        assert status() == 0


def test_a_socket_that_gives_no_answer_is_asked_again(folder: str) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/eth0.varlink")
        server.listen(5)
        server.settimeout(fair_time.longest(10))
        with waiting("--timeout", "20") as status:
            for answer in (b"nonsense\0", b'{"parameters": {"online": 7}}\0', b"[]\0", b""):
                connection, _ = server.accept()
                connection.recv(1000)
                connection.sendall(answer)
                connection.close()
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b'{"parameters": ')
                assert status() is None
                connection.sendall(b'{"online": true}}\0')
                wait_until(lambda: status() is not None, 10, "it is understood")
    assert status() == 0


def test_who_may_not_ask_is_told(
    folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Refusing(client.socket.socket):
        def connect(self, address: object) -> None:
            raise PermissionError(13, "Permission denied")

    with socket.socket(socket.AF_UNIX) as there:
        there.bind(f"{folder}/eth0.varlink")
    monkeypatch.setattr(client.socket, "socket", Refusing)
    assert main(["wait-online"]) == 5
    assert "control_group" in capsys.readouterr().err


def test_a_pattern_is_waited_for_until_a_link_that_fits_is_served(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with ControlBench(folder) as bench:
        assert main(["wait-online", "et*", "--timeout", "5"]) == 0
        assert main(["wait-online", "en*", "--timeout", "0.3"]) == 1
        assert capsys.readouterr().err == "holdfast: not online after 0.3 s: en*\n"
        with waiting("en*", "--timeout", "20") as status:
            bench.run(lambda: bench.control.add(FakeClient("ens3")))
            wait_until(lambda: status() is not None, 10, "it is found")
        assert status() == 0


class Names:
    """What the agent asks of the publisher, and the publisher's word that it is done."""

    def __init__(self, folder: str) -> None:
        self.asked, self.done = Path(folder, "dns"), Path(folder + "-dns")

    def ask(self, name: str, text: str) -> None:
        self.asked.mkdir(exist_ok=True)
        (self.asked / f"{name}.json").write_text(text)

    def tell(self, name: str, text: str) -> None:
        self.done.mkdir(exist_ok=True)
        draft = self.done / "draft"
        draft.write_text(text)
        draft.rename(self.done / f"{name}.json")


@pytest.fixture
def names(folder: str) -> Iterator[Names]:
    made = Names(folder)
    yield made
    shutil.rmtree(made.done, ignore_errors=True)


def test_online_means_that_names_are_published(folder: str, names: Names) -> None:
    names.ask("eth0", "new")
    names.tell("eth0", "of the former lease")
    with ControlBench(folder), waiting("--timeout", "20") as status:
        with pytest.raises(AssertionError, match="never"):
            wait_until(lambda: status() is not None, 0.5, "never")
        names.tell("eth0", "new")
        wait_until(lambda: status() is not None, 10, "it is published")
    assert status() == 0


def test_a_publisher_that_does_nothing_holds_no_boot_up(
    folder: str, names: Names, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(online, "NAMES_WITHIN", 0.3)
    names.ask("eth0", "new")
    with ControlBench(folder):
        assert main(["wait-online", "--timeout", "20"]) == 0
    assert capsys.readouterr().err == "holdfast: name servers not in use after 0.3 s: eth0; going on without them\n"


def test_what_is_waited_for_wakes_it(folder: str, names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the first thread of a process: it would look again after an hour."""
    monkeypatch.setattr(folder_changes, "LOOK_RARELY", 3600.0)
    monkeypatch.setattr(sys, "argv", ["holdfast", "wait-online"])
    bench = ControlBench(folder)
    names.ask("eth0", "new")
    later = threading.Timer(0.3, bench.__enter__)
    last = threading.Timer(0.6, names.tell, ("eth0", "new"))
    later.start()
    last.start()
    try:
        assert start.main() == 0
    finally:
        later.join()
        last.join()
        bench.__exit__(None, None, None)
    assert signal.getsignal(signal.SIGIO) is signal.SIG_DFL


def test_a_boot_publishes_the_names_itself(
    folder: str, names: Names, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """holdfast-wait-online.service: after the lease another program's start would be waited for."""
    asked: list[tuple[str, str, int | None]] = []

    def publish(spool: str, state: str, wait: int | None) -> int:
        asked.append((spool, state, wait))
        names.tell("eth0", "new")
        return publisher.DONE

    monkeypatch.setattr(publisher, "publish", publish)
    monkeypatch.setattr(sys, "argv", ["holdfast", "wait-online", "--publish"])
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    with ControlBench(folder):
        assert start.main() == 0  # there are no names
        names.ask("eth0", "new")
        assert start.main() == 0
        assert start.main() == 0  # they are published
    assert asked == [(f"{folder}/dns", str(tmp_path), None)]


def test_a_boot_publishes_the_names_of_each_link_as_it_comes_and_no_failure_twice(
    folder: str, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def publish(spool: str, state: str, wait: int | None) -> int:
        asked.append(spool)
        return publisher.FAILED

    monkeypatch.setattr(publisher, "publish", publish)
    monkeypatch.setattr(folder_changes, "LOOK_AGAIN", 0.02)  # in a thread it looks often
    monkeypatch.setattr(online, "NAMES_WITHIN", 0.1)
    status: list[int] = []
    with ControlBench(folder) as bench:
        other = FakeClient("eth1")
        other.online = False
        bench.run(lambda: bench.control.add(other))
        names.ask("eth0", "new")
        thread = threading.Thread(target=lambda: status.append(online.main(publish=True)))
        thread.start()
        wait_until(lambda: asked != [], 10, "the names of the first link are published")
        wait_until(lambda: len(other.online_listeners) == 1, 10, "the other one is asked")
        assert len(asked) == 1
        names.ask("eth1", "newer")
        bench.run(other.come_online)
        thread.join(fair_time.longest(20))
    assert status == [0]
    assert len(asked) == 2


@pytest.fixture
def lists(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The list of links, and the folders of those that are refused and given back."""
    for name, path in (("LIST", "links"), ("REFUSED_DIR", "refused"), ("FALLEN_DIR", "fallen")):
        monkeypatch.setattr(links, name, str(tmp_path / path))
    monkeypatch.setattr(online, "APPEARANCE", 0.5)
    return tmp_path


def test_what_the_list_names_is_waited_for(folder: str, lists: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (lists / "links").write_text("eth0\neth1\neth2\neth3\nen*\n")
    for name in ("refused/eth2", "fallen/eth3"):
        (lists / name).parent.mkdir()
        (lists / name).touch()
    with ControlBench(folder):
        assert main(["wait-online", "--timeout", "1.5"]) == 1
        assert capsys.readouterr().err == "holdfast: not online after 1.5 s: eth1\n"


def test_a_list_of_patterns_that_no_link_fits_is_no_reason_to_wait(folder: str, lists: Path) -> None:
    (lists / "links").write_text("en*\n")
    assert main(["wait-online", "--timeout", "20"]) == 0


def test_a_wrong_list_is_told(folder: str, lists: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (lists / "links").write_text("a b\n")
    assert main(["wait-online", "--timeout", "20"]) == 6
    assert "line 1" in capsys.readouterr().err


def test_an_interface_that_is_not_there_is_told_at_once_and_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["wait-online", "eth9", "--timeout", "1s"]) == 1
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("holdfast: there is no interface eth9 (there are: ")
    assert first.endswith("; waiting for it")
    assert "not online after 1 s: eth9" in last
