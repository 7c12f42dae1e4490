"""publish.publisher: from the spool to the machine's resolver, whatever was done before. Never the machine's own."""

from __future__ import annotations

import fcntl
import json
import os
from ipaddress import IPv4Address
from pathlib import Path
from time import time as wall_clock

import pytest

from holdfast.network import ResolverError
from holdfast.publish import publisher
from holdfast.publish.resolvconf import ResolvConf, Target
from holdfast.publish.spool import LinkNames, Names, render
from holdfast.state import atomic

FORMER = "nameserver 192.0.2.53\n"
LINKS = {"eth0": 2, "eth1": 3}


class Service:
    """A backend in memory, which is there or not."""

    name = "service"

    def __init__(self) -> None:
        self.there = True
        self.links: dict[int, Names] = {}
        self.error: ResolverError | None = None

    def publish(self, link: Target, names: Names) -> bool:
        if self.there and self.error is not None:
            raise self.error
        if self.there:
            self.links[link.ifindex] = names
        return self.there

    def withdraw(self, link: Target) -> bool:
        if self.error is not None:
            raise self.error
        self.links.pop(link.ifindex, None)
        return self.there


class Machine:
    """A spool, a resolv.conf, a service."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.spool, self.state, self.file = folder / "dns", folder / "state", folder / "resolv.conf"
        for path in (self.spool, self.state):
            path.mkdir()
        self.file.write_text(FORMER)
        self.links = dict(LINKS)
        self.boot = folder / "boot_id"
        self.boot.write_text("one\n")
        self.service = Service()
        self.watched = 0
        monkeypatch.setattr(publisher, "BOOT_ID", str(self.boot))
        monkeypatch.setattr(publisher, "MIN_INTERVAL", 0)

    def want(self, name: str, *servers: str, ifindex: int | None = None) -> None:
        wanted = LinkNames(ifindex or self.links[name], Names(tuple(map(IPv4Address, servers)), (), default_route=True))
        (self.spool / f"{name}.json").write_bytes(render(wanted))

    def unwant(self, name: str) -> None:
        (self.spool / f"{name}.json").unlink()

    def run(self) -> int:
        return self.work(0)

    def work(self, wait: int | None) -> int:
        plain = ResolvConf(str(self.state / "saved"), atomic.write, path=str(self.file),
                           interfaces=lambda: list(self.links))
        made = publisher.Publisher(str(self.spool), str(self.state), (self.service, plain),
                                   lambda name: self.links.get(name, 0), watched=lambda: self.watched)
        return publisher.work(made, str(self.state), wait)

    @property
    def servers(self) -> list[str]:
        return [line.split()[1] for line in self.file.read_text().splitlines() if line.startswith("nameserver")]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_what_is_wanted_is_published_and_withdrawn(machine: Machine) -> None:
    machine.want("eth0", "10.0.0.2")
    machine.want("eth1", "10.1.0.2")
    assert machine.run() == publisher.DONE
    assert {ifindex: [str(server) for server in names.dns] for ifindex, names in machine.service.links.items()} == {
        2: ["10.0.0.2"], 3: ["10.1.0.2"]}
    before = sorted(machine.state.iterdir())
    assert machine.run() == publisher.DONE  # as often as one likes
    assert sorted(machine.state.iterdir()) == before
    machine.unwant("eth0")
    assert machine.run() == publisher.DONE
    assert list(machine.service.links) == [3]


def test_what_is_done_is_told_in_the_words_of_the_spool(machine: Machine) -> None:
    told = Path(f"{machine.spool.parent}-dns")

    def settled() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in told.iterdir()}

    machine.want("eth0", "10.0.0.2")
    machine.want("eth1", "10.1.0.2")
    machine.run()
    assert settled() == {name: (machine.spool / name).read_bytes() for name in ("eth0.json", "eth1.json")}
    machine.unwant("eth1")
    machine.want("eth0", "10.0.0.9")
    machine.service.error = ResolverError("later", temporary=True)  # before D-Bus: what can be done has been
    assert machine.run() == publisher.LATER
    assert settled() == {"eth0.json": (machine.spool / "eth0.json").read_bytes()}


def test_what_somebody_else_repeats_is_not_told(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.want("eth0", "10.0.0.2")
    machine.service.error = ResolverError("D-Bus is not there yet", temporary=True)
    assert machine.work(None) == publisher.LATER
    assert capsys.readouterr().err == ""
    assert machine.work(0) == publisher.LATER
    assert "D-Bus is not there yet" in capsys.readouterr().err


def test_the_file_is_put_back_when_a_service_comes_up(machine: Machine) -> None:
    machine.service.there = False
    machine.want("eth0", "10.0.0.2")
    machine.run()
    assert machine.servers == ["10.0.0.2"]
    machine.service.there = True
    machine.run()
    assert machine.servers == ["192.0.2.53"]
    assert list(machine.service.links) == [2]


def test_a_renamed_interface_keeps_its_servers(machine: Machine) -> None:
    machine.want("eth0", "10.0.0.2")
    machine.run()
    machine.links = {"wan0": 2}
    machine.want("wan0", "10.0.0.2")
    machine.run()  # the old file is still there
    assert list(machine.service.links) == [2]
    machine.unwant("eth0")
    machine.run()
    assert list(machine.service.links) == [2]


def test_an_interface_that_is_gone_is_nobody_s(machine: Machine) -> None:
    machine.want("eth0", "10.0.0.2")
    machine.want("eth9", "10.9.0.2", ifindex=9)
    machine.run()
    del machine.links["eth0"]
    assert machine.run() == publisher.DONE
    assert machine.service.links == {}


def test_a_reboot_forgets_services_and_not_the_file(machine: Machine) -> None:
    machine.service.there = False
    machine.want("eth0", "10.0.0.2")
    machine.run()
    machine.boot.write_text("two\n")
    machine.unwant("eth0")
    machine.run()
    assert machine.file.read_text() == FORMER
    machine.service.there = True
    machine.want("eth1", "10.1.0.2")
    machine.run()
    machine.boot.write_text("three\n")
    machine.unwant("eth1")
    machine.service.links[3] = Names((), (), default_route=False)  # somebody else's by now
    machine.run()
    assert list(machine.service.links) == [3]


def test_a_bad_file_leaves_things_as_they_are(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.want("eth0", "10.0.0.2")
    machine.want("eth1", "10.1.0.2")
    machine.run()
    (machine.spool / "eth0.json").write_text("{")
    machine.want("eth1", "10.1.0.3")
    assert machine.run() == publisher.FAILED
    assert [str(names.dns[0]) for names in machine.service.links.values()] == ["10.0.0.2", "10.1.0.3"]
    assert capsys.readouterr().err == f"holdfast: {machine.spool}/eth0.json is not used: not JSON\n"


@pytest.mark.parametrize(("temporary", "status"), [(True, publisher.LATER), (False, publisher.FAILED)])
def test_a_service_that_refuses(
    machine: Machine, temporary: bool, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.service.error = ResolverError("it is busy", temporary=temporary)
    machine.want("eth0", "10.0.0.2")
    assert machine.run() == status
    assert capsys.readouterr().err == "holdfast: eth0: name servers: it is busy\n"


def test_what_changes_meanwhile_is_done_too(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    real = machine.service.publish

    def publish(link: Target, names: Names) -> bool:
        if link.ifindex == 2 and str(names.dns[0]) == "10.0.0.2":
            machine.want("eth0", "10.0.0.3")
        return real(link, names)

    monkeypatch.setattr(machine.service, "publish", publish)
    machine.want("eth0", "10.0.0.2")
    assert machine.run() == publisher.DONE
    assert str(machine.service.links[2].dns[0]) == "10.0.0.3"


def test_what_a_backend_looks_at_changes_meanwhile(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """networkd begins to manage a link while resolved is told: systemd would start the unit no second time."""
    real, asked = machine.service.publish, []

    def publish(link: Target, names: Names) -> bool:
        asked.append(link)
        machine.watched = 1
        return real(link, names)

    monkeypatch.setattr(machine.service, "publish", publish)
    machine.want("eth0", "10.0.0.2")
    assert machine.run() == publisher.DONE
    assert len(asked) == 2


@pytest.mark.parametrize("content", [
    "", "[]", "{}", '{"boot_id": "one"}', '{"boot_id": "one", "used": []}',
    '{"boot_id": "one", "used": {"x": ["a", "b"]}}',
    '{"boot_id": "one", "used": {"2": ["a"]}}', '{"boot_id": "one", "used": {"2": 7}}', "[" * 20000,
])
def test_a_damaged_memory_is_an_empty_one(machine: Machine, content: str) -> None:
    (machine.state / publisher.PUBLISHED).write_text(content)
    machine.want("eth0", "10.0.0.2")
    assert machine.run() == publisher.DONE
    assert json.loads((machine.state / publisher.PUBLISHED).read_text())["used"] == {"2": ["service", "eth0"]}


# -- the program ---------------------------------------------------------------------------------


def main(*words: str) -> int:
    return publisher.main(list(words))


def test_nothing_to_do(tmp_path: Path) -> None:
    assert main("--spool", str(tmp_path / "dns"), f"--state-dir={tmp_path}/state") == publisher.DONE
    assert os.listdir(tmp_path / "state") == ["lock"]


@pytest.mark.parametrize("words", [["--spool"], ["--colour=red"], ["eth0"], ["--spool="]])
def test_wrong_arguments(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(*words)
    assert caught.value.code == publisher.WRONG_USAGE
    assert capsys.readouterr().err.count("\n") == 1


def test_a_folder_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main("--spool", str(tmp_path), "--state-dir", str(tmp_path / "file" / "x")) == publisher.FAILED
    assert main("--spool", str(tmp_path / "file"), "--state-dir", str(tmp_path / "state")) == publisher.FAILED
    assert capsys.readouterr().err.count("\n") == 2


def test_another_one_that_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(publisher, "TIME_LIMIT", 1)
    with open(tmp_path / "lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert main("--spool", str(tmp_path), "--state-dir", str(tmp_path)) == publisher.LATER
    assert "not done after 1 s" in capsys.readouterr().err


def test_the_state_folder_is_systemd_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}/state:/other")
    assert main("--spool", str(tmp_path / "dns")) == publisher.DONE
    assert (tmp_path / "state" / "lock").exists()




def test_what_is_not_there_yet_is_waited_for(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Early in a boot D-Bus is not there, and systemd-resolved cannot be told: neither an error, nor a line."""
    machine.service.error = ResolverError("it does not answer", temporary=True)
    machine.want("eth0", "10.0.0.2")
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            machine.want("eth0", "10.0.0.3")  # a renewal meanwhile
        if len(pauses) == 3:
            machine.service.error = None

    monkeypatch.setattr(publisher, "sleep", sleep)
    assert machine.work(5) == publisher.DONE
    assert pauses == [publisher.PAUSE] * 3
    assert str(machine.service.links[2].dns[0]) == "10.0.0.3"
    assert capsys.readouterr().err == ""


def test_waiting_ends(machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    machine.service.error = ResolverError("it does not answer", temporary=True)
    machine.want("eth0", "10.0.0.2")
    now = 100.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(publisher, "sleep", sleep)
    monkeypatch.setattr(publisher, "monotonic", lambda: now)
    assert machine.work(5) == publisher.LATER
    assert 105.0 <= now < 105.0 + 2 * publisher.PAUSE
    assert capsys.readouterr().err == "holdfast: eth0: name servers: it does not answer\n"


def test_a_problem_that_stays_is_not_waited_for(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.service.error = ResolverError("it is busy", temporary=False)
    machine.want("eth0", "10.0.0.2")
    monkeypatch.setattr(publisher, "sleep", lambda _seconds: pytest.fail("it waited"))
    assert machine.work(5) == publisher.FAILED


@pytest.mark.parametrize("wait", ["", "-1", "x", "1e3", "61", "nan"])
def test_how_long_to_wait_is_checked(wait: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(f"--wait={wait}")
    assert caught.value.code == publisher.WRONG_USAGE
    assert capsys.readouterr().err.count("\n") == 1


class Time:
    """A wall clock that only sleeping moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.slept = wall_clock() + 0.25, [0.0]
        self.meanwhile = lambda: None
        monkeypatch.setattr(publisher, "time", lambda: self.now)
        monkeypatch.setattr(publisher, "sleep", self.sleep)
        monkeypatch.setattr(publisher, "MIN_INTERVAL", 1.0)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self.meanwhile()


def test_runs_that_follow_each_other_are_a_second_apart(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes the spool can have the publisher started in a loop."""
    time = Time(monkeypatch)
    machine.want("eth0", "10.0.0.2")
    machine.run()
    assert time.slept == [0.0]  # the first one waits for nothing
    time.now += 0.25
    began = time.now
    for _ in range(4):
        machine.run()
    assert time.slept == pytest.approx([0.0, 0.75, 1.0, 1.0, 1.0])
    assert time.now - began == pytest.approx(3.75)
    time.now += 1.0
    machine.run()
    assert len(time.slept) == 5


def test_a_boot_waits_neither_for_a_second_nor_for_who_does(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = Time(monkeypatch)
    machine.run()
    machine.want("eth0", "10.0.0.2")
    in_between: list[set[int]] = []

    def boot() -> None:
        time.meanwhile = lambda: None
        assert machine.work(None) == publisher.DONE
        in_between.append(set(machine.service.links))

    time.meanwhile = boot
    assert machine.run() == publisher.DONE
    assert in_between == [{2}]
    assert time.slept[2:] == [1.0]  # the other one, once more


def test_what_is_written_while_a_run_waits_is_published_by_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = Time(monkeypatch)
    machine.want("eth0", "10.0.0.2")
    machine.run()
    time.meanwhile = lambda: machine.want("eth0", "10.0.0.3")
    machine.want("eth0", "10.0.0.9")
    machine.run()
    assert [str(server) for server in machine.service.links[2].dns] == ["10.0.0.3"]


def test_a_run_that_fails_counts_too(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time(monkeypatch)
    machine.spool.rmdir()
    machine.spool.write_text("no folder")
    for _ in range(2):
        with pytest.raises(OSError, match="dns"):
            machine.run()
    assert time.slept == [0.0, 1.0]


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_clock_that_was_set_holds_nobody_up(machine: Machine, monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    time = Time(monkeypatch)
    machine.run()
    time.now += step
    machine.run()
    assert time.slept == [0.0]
