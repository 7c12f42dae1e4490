"""status, renew, rebind and release against a real control socket, and against none."""

from __future__ import annotations

import errno
import json
import os
import socket
import tempfile
from ipaddress import IPv4Address
from math import inf
from pathlib import Path
from typing import Callable, Iterator

import pytest
from tests.support.control import LEASE, OUTCOME, WALL, ControlBench, FakeClient, Impostor

from holdfast.cli import main, options, status_text
from holdfast.cli.commands import status
from holdfast.control import client
from holdfast.control.interface import agent_path
from holdfast.core import events as ev
from holdfast.core.client import Snapshot
from holdfast.core.lease import Gateway
from holdfast.core.outcome import Result
from holdfast.runtime import control_service as room
from holdfast.settings import dirs


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TZ", "UTC")
    status.time.tzset()
    monkeypatch.setattr(options.socket, "if_nameindex", lambda: [(1, "lo"), (2, "eth0")])
    monkeypatch.setattr(dirs, "search_config_dirs", lambda: (str(tmp_path),))
    monkeypatch.setattr(status.time, "time", lambda: WALL)
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("nameserver 192.0.2.53\n")
    monkeypatch.setattr(status_text, "RESOLV_CONF", str(resolv_conf))


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="hf") as folder:
        monkeypatch.setattr(dirs, "RUNTIME_DIR", folder)
        monkeypatch.setenv("RUNTIME_DIRECTORY", folder)
        yield folder


@pytest.fixture
def bench(folder: str) -> Iterator[ControlBench]:
    with ControlBench(folder) as bench:
        yield bench


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*argv: str) -> tuple[int, str, str]:
        code = main(list(argv))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


STATUS = """\
eth0: BOUND, 10.0.0.5/24 from 10.0.0.1
  lease     2 min, since 2023-11-14 22:12:20, 1 min ago
  T1        2023-11-14 22:13:20, 0 s ago
  T2        2023-11-14 22:14:05, in 45 s
  expiry    2023-11-14 22:14:20, in 1 min
  unicast   not heard by the server; renewed by broadcast; round trip 0.25 s
  routes    default via 10.0.0.1
  DNS       10.0.0.1 (search example.org)
  resolver  RESOLV_CONF has 192.0.2.53; not 10.0.0.1
  MTU       1450
  note      MTU 12 is ignored
  last      renewed 10.0.0.5 from 10.0.0.1 by unicast in 10.0 ms (1 message; operator), 1 min were left \
(2023-11-14 22:13:19)
  dropped   3 xid
"""


#: What a pipe gets: nothing is cut.
LINE = """\
IFACE  STATE  ADDRESS      SERVER    LEFT   FLAGS        NOW
eth0   BOUND  10.0.0.5/24  10.0.0.1  1 min  deaf server  renewed 10.0.0.5 from 10.0.0.1 by unicast in 10.0 ms \
(1 message; operator), 1 min were left, 1 s ago
"""


def test_status(bench: ControlBench, run: Run) -> None:
    whole = STATUS.replace("RESOLV_CONF", status_text.RESOLV_CONF)
    assert run("status", "eth0") == (0, whole, "")
    assert run("status", "eth0", "eth0") == (0, whole, "")
    assert run("status") == (0, LINE, "")


def test_status_as_json(bench: ControlBench, run: Run) -> None:
    code, out, _ = run("status", "eth0", "--json")
    (client,) = json.loads(out)
    assert (code, client["lease"]["expiry"]["seconds"], client["last_outcome"]["result"]) == (0, 60.0, "renewed")


def test_status_of_several_interfaces(bench: ControlBench, run: Run) -> None:
    second = FakeClient("eth5")
    second.link = second.spec = None
    second.shot = Snapshot("INIT", None, None, None, {}, None)
    bench.run(lambda: bench.control.add(second))
    assert run("status") == (0, LINE + "eth5   INIT   -            -         -      gone         -\n", "")
    code, out, _ = run("status", "eth0", "eth5")
    assert code == 0
    assert out.endswith("\n\neth5: INIT, the interface is not there, no address\n  dropped  nothing\n")


def test_status_of_an_address_that_is_held_beyond_its_lease(bench: ControlBench, run: Run) -> None:
    # rule 40
    now = LEASE.expires_at
    held = LEASE._replace(ended_at=now - 61.0, expires_at=now - 30.0)
    gateway = Gateway(IPv4Address("10.0.0.1"), bytes.fromhex("020000000ff1"))
    bench.client.shot = Snapshot("SELECTING", held, None, None, {}, None, gateway)
    shown = run("status", "eth0")[1]
    assert shown.startswith("eth0: SELECTING, 10.0.0.5/24 from 10.0.0.1, held beyond its lease\n")
    assert "\n  held      as long as the gateway answers; now until 2023-11-14 22:13:50, in 30 s\n" in shown
    assert "\n  expiry    2023-11-14 22:13:19, 1 s ago\n" in shown
    assert "\n  gateway   10.0.0.1 02:00:00:00:0f:f1\n" in shown


def test_status_of_a_lease_without_end_and_without_server(bench: ControlBench, run: Run) -> None:
    endless = LEASE._replace(t1_at=inf, t2_at=inf, expires_at=inf, lease_time=inf, server_id=None, verified=False)
    bench.client.spec = None
    bench.client.shot = Snapshot("BOUND", endless, None, None, {}, None)
    assert run("status", "eth0")[1] == """\
eth0: BOUND, 10.0.0.5, not yet verified
  lease    for ever, since 2023-11-14 22:12:20, 1 min ago
  T1       never
  T2       never
  expiry   never
  unicast  not possible: the server gave no identifier; renewed by broadcast
  dropped  nothing
"""


@pytest.mark.parametrize(("name", "event"), [("renew", ev.Renew()), ("rebind", ev.Rebind())])
def test_a_renewal_that_works(bench: ControlBench, run: Run, name: str, event: ev.Event) -> None:
    assert run(name, "eth0") == (
        0, "eth0: renewed 10.0.0.5 from 10.0.0.1 by unicast in 10.0 ms (1 message; operator), 1 min were left\n", "")
    assert bench.client.submitted == [event]


@pytest.mark.parametrize("name", ["renew", "release"])
def test_an_outcome_that_was_not_asked_for_is_a_failure(bench: ControlBench, run: Run, name: str) -> None:
    kept = OUTCOME._replace(result=Result.KEPT, latency=None, cause="nobody answered")
    bench.client.on_submit = lambda: [listener(kept) for listener in list(bench.client.listeners)]  # type: ignore
    assert run(name, "eth0") == (
        1, "", "eth0: kept 10.0.0.5 without renewal (1 message; nobody answered), 1 min are left\n")


def test_release(bench: ControlBench, run: Run) -> None:
    released = OUTCOME._replace(result=Result.RELEASED, address=None)
    bench.client.on_submit = lambda: [listener(released) for listener in list(bench.client.listeners)]  # type: ignore
    assert run("release", "eth0") == (0, "eth0: released 10.0.0.5 to 10.0.0.1, 1 min were left\n", "")


def test_nothing_to_release(bench: ControlBench, run: Run) -> None:
    bench.client.shot = Snapshot("SELECTING", None, None, None, {}, None)
    assert run("release", "eth0") == (1, "", "holdfast: eth0 has no lease to release\n")


def test_the_link_is_away(bench: ControlBench, run: Run) -> None:
    bench.client.link = None
    assert run("renew", "eth0") == (4, "", "holdfast: eth0 is not there now; the agent waits for it\n")


def test_nobody_answers_the_agent(bench: ControlBench, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "ANSWER_TIMEOUT", 0.0)
    bench.client.on_submit = lambda: None
    assert run("renew", "eth0") == (1, "", "holdfast: no server answered within 0 s; the agent goes on trying; "
                                           "see `holdfast status eth0`\n")


def test_no_agent(folder: str, run: Run) -> None:
    assert run("status") == (3, "", "holdfast: no agent is running; start one with `holdfast run IFACE`\n")
    assert run("status", "eth0") == (
        3, "", "holdfast: no agent is running for eth0; start one with `holdfast run eth0`\n")
    assert run("renew", "eth7") == (4, "", "holdfast: there is no interface eth7 (there are: lo, eth0)\n")


def test_an_agent_that_waits_for_links(bench: ControlBench, folder: str, run: Run) -> None:
    bench.run(lambda: bench.control.serve_patterns(("en*", "eth*")))
    assert run("status") == (0, LINE, "")
    bench.run(lambda: bench.control.remove("eth0"))
    waits = f"the agent (pid {os.getpid()}) waits for a link that fits en* or eth*"
    assert run("status") == (0, f"no interface is served: {waits}\n", "")
    assert run("status", "--json") == (0, "[]\n", "")
    there_are = "there is no interface eth7 (there are: lo, eth0)"
    assert run("status", "eth7") == (4, "", f"holdfast: {there_are}; {waits}\n")
    assert run("status", "wlan0") == (4, "", "holdfast: there is no interface wlan0 (there are: lo, eth0)\n")


def test_an_agent_that_does_not_say_for_what_it_waits(folder: str, run: Run) -> None:
    path = agent_path(folder)
    with Impostor(path, b'{"parameters":{"version":"1","pid":7,"clients":[],"patterns":7}}\0'):
        assert run("status") == (
            1, "", f"holdfast: the agent at {path} gave no proper answer: patterns is not an array\n")


def test_a_folder_that_is_not_there_is_no_agent(
    folder: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", folder + "/none")
    assert run("status")[0] == 3


def test_a_socket_that_a_crash_left_is_no_agent(folder: str, run: Run) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(folder + "/eth0.varlink")
    assert run("status", "eth0")[0] == 3
    assert run("status")[0] == 3


@pytest.mark.parametrize(("data", "line"), [
    (b"", "ended before it had answered; try again"),
    (b"x\0", "gave no proper answer: no value at character 0"),
    (b'{"parameters":{"version":"1","pid":7,"patterns":[],"clients":[{"interface":"eth0"}]}}\0',
     "gave no proper answer: clients[0].state is missing"),
    (b'{"error":"org.varlink.service.MethodNotFound","parameters":{"method":"x"}}\0',
     'answered org.varlink.service.MethodNotFound {"method": "x"}'),
])
def test_answers_of_something_else(
    folder: str, run: Run, data: bytes, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.os, "geteuid", lambda: 0)
    path = folder + "/eth0.varlink"
    with Impostor(path, data):
        assert run("status", "eth0") == (1, "", f"holdfast: the agent at {path} {line}\n")


def test_an_agent_that_does_not_serve_the_interface(folder: str, run: Run) -> None:
    path = folder + "/eth0.varlink"
    with Impostor(path, b'{"error":"io.holdfast.Agent.NoSuchInterface","parameters":{"interface":"eth0"}}\0'):
        assert run("status", "eth0") == (3, "", f"holdfast: the agent at {path} does not serve eth0\n")


def test_an_agent_that_stands_still(folder: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TIMEOUT", 0.01)
    path = folder + "/eth0.varlink"
    with socket.socket(socket.AF_UNIX) as still:
        still.bind(path)
        still.listen()
        assert run("status", "eth0") == (1, "", f"holdfast: the agent at {path} did not answer within 0 s\n")


@pytest.mark.parametrize(("error", "status_code", "line"), [
    (PermissionError(), 5, "not permitted to use {path}; run as root, or as a member of the group that control_group "
                           "names"),
    (OSError(11, "Resource temporarily unavailable"), 1,
     "the agent at {path} cannot be asked: Resource temporarily unavailable; try again"),
])
def test_a_socket_that_refuses(
    folder: str, run: Run, monkeypatch: pytest.MonkeyPatch, error: OSError, status_code: int, line: str
) -> None:
    class Refusing(client.socket.socket):
        def connect(self, address: object) -> None:
            raise error

    path = folder + "/eth0.varlink"
    with socket.socket(socket.AF_UNIX) as there:
        there.bind(path)
    monkeypatch.setattr(client.socket, "socket", Refusing)
    assert run("status", "eth0") == (status_code, "", f"holdfast: {line.format(path=path)}\n")


def test_a_folder_that_may_not_be_looked_into(folder: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> list[str]:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(client.os, "listdir", refuse)
    assert run("status") == (5, "", f"holdfast: not permitted to read {folder}; run as root\n")


def test_a_broken_configuration_does_not_hide_a_running_agent(bench: ControlBench, run: Run, tmp_path: Path) -> None:
    (tmp_path / "holdfast.toml").write_text("nonsense")
    assert run("status") == (
        0, LINE, "holdfast: the configuration is wrong and not used; see `holdfast config check`\n")
    code, _, err = run("status", "--config", str(tmp_path / "holdfast.toml"))
    assert (code, "is not TOML" in err) == (6, True)


def test_an_outcome_of_another_version(bench: ControlBench) -> None:
    from holdfast.cli.outcome import in_words

    assert in_words({"result": "teleported"}) == "teleported"


def test_the_agent_is_asked_as_whoever_we_are(bench: ControlBench) -> None:
    assert os.stat(bench.path).st_uid == os.geteuid()


def test_yield_is_said_and_shown(bench: ControlBench, run: Run) -> None:
    assert run("yield", "eth0") == (0, "eth0: yielded, until `holdfast yield --back eth0`\n", "")
    bench.client.rival = "dhclient (pid 42)"
    shown = run("status", "eth0")[1]
    assert shown.startswith("eth0: BOUND (yielded), 10.0.0.5/24")
    assert "nothing is put back on the interface until `holdfast yield --back eth0`" in shown
    assert "another program removes what is put on the interface: dhclient (pid 42)" in shown
    assert run("yield", "eth0", "--back") == (0, "eth0: taken back\n", "")
    assert not bench.client.yielded
    bench.client.yield_error = OSError(30, "Read-only file system")
    code, _, told = run("yield", "eth0")
    assert (code, told) == (1, "holdfast: eth0: this cannot be stored (Read-only file system); "
                               "nothing was changed\n")


def test_renew_without_carrier_says_so_at_once(bench: ControlBench, run: Run) -> None:
    bench.client.shot = bench.client.shot._replace(carrier=False)
    assert run("renew", "eth0") == (1, "", (
        "holdfast: eth0 has no carrier, so nobody can be asked: the cable is out, or the switch's port is down; the "
        "lease is checked as soon as it is back\n"))
    assert bench.client.submitted == []
