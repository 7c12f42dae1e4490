"""Real clients taken over from and handed back to, on a real kernel with a real server, and nobody notices.

networkd, NetworkManager and ifupdown are under tests/vm: they want a systemd. Here there is none, so the agent runs in
the foreground (`holdfast run IFACE --takeover`).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.support.machine import ADDRESS, NEIGHBOUR, VIRTUAL, Machine
from tests.support.monitor import boottime
from tests.support.servers import Service
from tests.support.site import CLIENT

pytestmark = pytest.mark.root
MakeMachine = Callable[..., Machine]


class Old(NamedTuple):
    """One client, and what it needs. ``asks_anew``: DISCOVERs that its own start after a hand-back costs."""

    argv: tuple[str, ...]
    files: dict[str, str]
    asks_anew: int = 0


DHCPCD = "option domain_name_servers, domain_name\noption classless_static_routes\npersistent\n"
CLIENTS = {
    "dhclient": Old(("dhclient", CLIENT), {}),
    "dhclient -i": Old(("dhclient", "-i", "-lf", "/var/lib/dhcp/own.leases", "-pf", "/run/own.pid", CLIENT), {}),
    "dhclient, client-id in conf": Old(
        ("dhclient", "-1", "-cf", "/etc/dhcp/own.conf", CLIENT),
        {"/etc/dhcp/own.conf": 'send dhcp-client-identifier "a guest";\nsend vendor-class-identifier "lab";\n'},
    ),
    "dhcpcd": Old(("dhcpcd", "-4", CLIENT), {}),
    "dhcpcd, clientid": Old(("dhcpcd", "-4", CLIENT), {"/etc/dhcpcd.conf": "clientid\n" + DHCPCD}),
    "dhcpcd, its own id": Old(
        ("dhcpcd", "-4", CLIENT), {"/etc/dhcpcd.conf": "clientid a-guest\nhostname guest\n" + DHCPCD},
    ),
    # It knows no INIT-REBOOT: docs/decisions says what that costs.
    "udhcpc": Old(("udhcpc", "-b", "-i", CLIENT), {}, asks_anew=1),
    "udhcpc -C": Old(("udhcpc", "-C", "-b", "-x", "hostname:guest", f"-i{CLIENT}"), {}, asks_anew=1),
}


@pytest.fixture
def make_machine(tmp_path: Path) -> Iterator[MakeMachine]:
    """Make the test's guest, with one client bound on it and others' addresses and routes beside."""
    machines: list[Machine] = []

    def make(client: str = "dhclient", service: Service | None = None) -> Machine:
        old = CLIENTS[client]
        if shutil.which(old.argv[0], path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None:
            pytest.skip(f"{old.argv[0]} is not installed")
        machine = Machine(tmp_path / str(len(machines)), service, files=old.files)
        machines.append(machine)
        machine.server.start()
        begun = machine.start(*old.argv)
        machine.wait(machine.has, 30, f"{client} has its address")
        machine.wait(lambda: any("default" in route for route in machine.routes()), 10, "and its default route")
        machine.wait(lambda: "nameserver 10.77.0.1" in machine.resolv(), 10, "and its name server: its script is done")
        machine.wait(lambda: begun.poll() is not None, 20, "and is a daemon: nothing of its start is left")
        machine.furnish()
        return machine

    yield make
    for machine in machines:
        print((machine.folder / "machine.log").read_text(errors="replace")[-6000:])
        machine.close()


def said(machine: Machine) -> str:
    return (machine.folder / "machine.log").read_text(errors="replace")


def take(machine: Machine, *options: str) -> subprocess.Popen[bytes]:
    """`holdfast run --takeover` on the guest, begun."""
    return machine.start(*machine.holdfast_argv, "run", CLIENT, "--takeover", *options,
                         environment=machine.environment)


def taken(machine: Machine, run: subprocess.Popen[bytes], words: str = f"{CLIENT} is Holdfast's") -> None:
    machine.wait(lambda: words in said(machine) or run.poll() is not None, 40, words)
    assert run.poll() is None, said(machine)


def foreign(machine: Machine) -> list[object]:
    """What is none of our business: addresses with all that ip(8) says of them, routes."""
    beside = [entry for entry in machine.addresses() if entry["local"] in (VIRTUAL, NEIGHBOUR)]
    return [beside, [route for route in machine.routes() if route.startswith("192.0.2.128")]]


def guest_state(machine: Machine) -> tuple[object, ...]:
    """Every file of the guest's overlays, and its processes."""
    files = {}
    for folder in ("/etc", "/var/lib", "/run"):
        root = machine.inside(folder)
        for path in sorted(root.rglob("*")):
            if path.is_file() and not path.is_symlink() and ".cage" not in path.parts:
                files[str(path)] = path.read_bytes()
    return files, machine.processes(), machine.addresses()[0]["local"], machine.routes()


@pytest.mark.parametrize("client", CLIENTS)
def test_there_and_back(make_machine: MakeMachine, client: str) -> None:
    """rules 8, 47, 56, 58: the same address and client-id, nothing lost, and back again."""
    machine = make_machine(client)
    before, routes, resolver = foreign(machine), machine.routes(), machine.resolv()
    identifiers = {message.client_id for message in machine.tap.asked()}
    classes = {message.message.options.get(60) for message in machine.tap.asked()}
    machine.watch()

    began = boottime()
    run = take(machine)
    taken(machine, run)
    took = boottime() - began
    between = len(machine.tap.asked(machine.since))
    assert not machine.runs(CLIENTS[client].argv[0]), "the old client is gone"
    assert [route for route in machine.routes() if route.startswith("default")] == [
        f"default via 10.77.0.1 dev {CLIENT} proto dhcp src {ADDRESS} metric 100"
    ]
    held = machine.addresses()[0]
    assert (held["local"], held["label"]) == (ADDRESS, CLIENT)
    assert 100 <= held["valid_life_time"] <= 120, "the kernel ends it when the lease does (promise 3)"
    assert foreign(machine) == before
    assert "DISCOVER" not in machine.tap.kinds(machine.since)

    back_at = boottime()
    machine.holdfast("handback", CLIENT)
    machine.wait(lambda: machine.runs(CLIENTS[client].argv[0]), 10, "the old client runs")
    machine.wait(lambda: len(machine.tap.asked(back_at)) >= 2 + CLIENTS[client].asks_anew, 20, "it has asked")
    machine.wait(lambda: machine.tap.kinds(back_at)[-1] == "ACK", 10, "and was answered")
    took_back = boottime() - back_at
    machine.wait(lambda: machine.resolv() == resolver, 10, "its name servers are back")
    machine.wait(lambda: run.poll() is not None, 10, "the agent has ended")

    assert machine.flaws() == []
    assert machine.tap.kinds(back_at).count("DISCOVER") == CLIENTS[client].asks_anew
    assert {message.client_id for message in machine.tap.asked()} == identifiers
    assert {message.message.options.get(60) for message in machine.tap.asked()} == classes
    assert foreign(machine) == before
    machine.wait(lambda: sorted(machine.routes()) == sorted(routes), 10, f"its routes are as before: {routes}")
    assert not machine.inside("/var/lib/holdfast-takeover/hf0.json").exists()
    print(f"MEASURED {client}: {machine.missed()} of {machine.asked()} probes missed; taken over in {took:.2f} s with "
          f"{between} messages, handed back in {took_back:.2f} s with {len(machine.tap.asked(back_at))}")


def test_twice(make_machine: MakeMachine) -> None:
    """What a hand-back leaves can be taken over again; udhcpc then has our words in its command line."""
    machine = make_machine("udhcpc")
    machine.watch()
    for _ in range(2):
        (machine.folder / "machine.log").write_text("")
        run = take(machine)
        taken(machine, run)
        machine.holdfast("handback", CLIENT)
        machine.wait(lambda: machine.runs("udhcpc"), 10, "udhcpc runs")
        machine.wait(lambda: machine.tap.kinds()[-1] == "ACK" and machine.tap.kinds()[-4] == "DISCOVER", 10, "bound")
        flag = machine.inside("/var/lib/holdfast-takeover/udhcpc-hf0.first")
        machine.wait(lambda flag=flag: not flag.exists(), 10, "its script was called")
    assert machine.flaws() == []
    words = f"udhcpc -b -i {CLIENT} -s /var/lib/holdfast-takeover/udhcpc-{CLIENT}.script -r {ADDRESS}"

    def clients() -> list[str]:
        return [line for line in machine.processes().values() if line.startswith("udhcpc")]

    machine.wait(lambda: clients() == [words], 10, f"one process, a daemon by now: {words}")


@pytest.mark.parametrize("client", ["dhclient", "dhcpcd", "udhcpc"])
def test_dry_run_changes_nothing(make_machine: MakeMachine, client: str) -> None:
    machine = make_machine(client)
    before = guest_state(machine)
    since = boottime()

    done = machine.holdfast("takeover", CLIENT, "--dry-run")

    assert f"client        {client}: pid " in done.stdout
    assert f"lease         {ADDRESS}/24" in done.stdout
    assert "Nothing was changed" in done.stdout
    assert f"write the lease file /var/lib/holdfast/{CLIENT}.lease.json" in done.stdout
    assert guest_state(machine) == before
    assert machine.tap.kinds(since) == []


def test_server_gone_before(make_machine: MakeMachine) -> None:
    """Refused: the old client is not even touched."""
    machine = make_machine("dhclient")
    machine.server.kill()
    machine.watch()
    pids = list(machine.processes())

    run = take(machine)
    machine.wait(lambda: run.poll() is not None, 30, "refused")

    assert run.returncode == 1
    assert "no server answered a REQUEST for 10.77.0.50" in said(machine)
    assert list(machine.processes()) == pids
    assert machine.flaws() == []


@pytest.mark.parametrize("client", ["dhclient", "dhcpcd", "udhcpc"])
def test_server_gone_in_the_middle(make_machine: MakeMachine, client: str) -> None:
    """The proof fails, so all is taken back by itself; the old client runs again, the address was never lost."""
    machine = make_machine(client)
    routes = machine.routes()
    machine.watch()

    run = take(machine)
    machine.wait(lambda: not machine.runs(client), 20, "the old client is stopped")
    machine.server.kill()
    machine.wait(lambda: "All was taken back" in said(machine), 90, "taken back")
    machine.wait(lambda: run.poll() is not None, 10, "the agent has ended")

    assert "because: the renewal that was to prove the take-over failed" in said(machine)
    machine.wait(lambda: machine.runs(client), 20, f"{client} runs again")
    machine.wait(lambda: sorted(machine.routes()) == sorted(routes), 10, f"its routes are as before: {routes}")
    assert not machine.inside("/var/lib/holdfast-takeover/hf0.json").exists()
    assert machine.flaws() == []


def test_not_confirmed_in_time(make_machine: MakeMachine) -> None:
    """The dead-man gives it back, though nobody is left who could ask for it."""
    machine = make_machine("dhclient")
    machine.watch()

    run = take(machine, "--confirm-within", "5")
    machine.wait(lambda: not machine.runs("dhclient"), 40, "dhclient is stopped")
    machine.wait(lambda: "say `holdfast confirm hf0` within 5 s" in said(machine), 40, "it is taken over")
    machine.wait(lambda: machine.runs("dhclient", CLIENT) and run.poll() is not None, 30, "dhclient runs again")
    machine.wait(lambda: not machine.inside("/var/lib/holdfast-takeover/hf0.json").exists(), 20, "all is over")

    assert machine.flaws() == []
    assert "DISCOVER" not in machine.tap.kinds(machine.since)
    late = machine.holdfast("confirm", CLIENT, check=False)
    assert late.returncode == 1
    assert "was not confirmed in time and was rolled back to dhclient; `holdfast takeover hf0" in late.stderr


def test_confirmed_in_time(make_machine: MakeMachine) -> None:
    machine = make_machine("dhcpcd")
    conf = machine.inside("/etc/dhcpcd.conf")
    before = conf.read_text()
    machine.watch()

    run = take(machine, "--confirm-within", "60")
    taken(machine, run, "say `holdfast confirm hf0` within 60 s")
    assert conf.read_text() == before, "nothing that outlives a reboot before it is confirmed"
    assert machine.runs("time.sleep", "handback"), "the dead-man waits"
    machine.holdfast("confirm", CLIENT)

    assert conf.read_text().endswith(f"\ndenyinterfaces {CLIENT}\n")
    assert conf.read_text().startswith(before.rstrip("\n"))
    machine.wait(lambda: not machine.runs("time.sleep", "handback"), 10, "the dead-man is gone")
    assert machine.holdfast("handback", CLIENT, "--unconfirmed").returncode == 0, "it is confirmed: nothing to do"
    assert run.poll() is None
    again = machine.holdfast("takeover", CLIENT, "--dry-run", check=False)
    assert "Holdfast serves hf0 already" in again.stderr
    machine.holdfast("handback", CLIENT)
    assert conf.read_text() == before
    assert machine.flaws() == []


#: Ends its own process, as the kernel would, when the journal has come to a phase ("!": just before it is written).
_DYING = """
import os, sys
from holdfast.takeover.journal.file import JournalFile
save, at = JournalFile.save, sys.argv.pop(1)
def dying(self, journal):
    if at == "!" + journal.phase.name:
        os.kill(os.getpid(), 9)
    save(self, journal)
    if at == journal.phase.name:
        os.kill(os.getpid(), 9)
JournalFile.save = dying
from holdfast.cli import main
sys.exit(main())
"""
PHASES = ("PLANNED", "OWNING", "STOPPING", "ADOPTING", "PROVEN", "CONFIRMING", "CONFIRMED")


@pytest.mark.parametrize("phase", [*PHASES, "!ADOPTING", "!PROVEN", "!CONFIRMED"])
def test_killed_on_the_way(make_machine: MakeMachine, phase: str) -> None:
    """rule 52: SIGKILL to the take-over at any step; the next hand-back, as the dead-man does it, converges."""
    machine = make_machine("dhclient")
    routes = machine.routes()
    journal = machine.inside("/var/lib/holdfast-takeover/hf0.json")
    machine.watch()

    run = machine.start(sys.executable, "-c", _DYING, phase, "run", CLIENT, "--takeover",
                        environment=machine.environment)
    machine.wait(lambda: run.poll() is not None or dead_child(machine, run), 30, "killed")
    if phase != "CONFIRMED" and run.poll() is None:  # the agent is left alone
        assert machine.runs("holdfast.runtime")
    machine.holdfast("handback", CLIENT, *(["--unconfirmed"] if phase != "CONFIRMED" else []))

    machine.wait(lambda: sum(line.startswith("dhclient") for line in machine.processes().values()) == 1, 10,
                 "one dhclient runs, a daemon by now")
    machine.wait(lambda: sorted(machine.routes()) == sorted(routes), 10, f"its routes are as before: {routes}")
    machine.wait(lambda: not machine.runs("time.sleep", "handback"), 10, "the dead-man is gone")
    machine.wait(lambda: not machine.runs("holdfast.runtime"), 10, "the agent is gone")
    machine.wait(lambda: not journal.exists(), 10, "the journal is closed")
    assert machine.flaws() == []
    assert "DISCOVER" not in machine.tap.kinds(machine.since)


def dead_child(machine: Machine, run: subprocess.Popen[bytes]) -> bool:
    """The process that proves has gone, and the agent that it came from is still there."""
    lines = list(machine.processes().values())
    return any("holdfast.runtime" in line for line in lines) and not any("JournalFile" in line for line in lines)


def killed(machine: Machine) -> bool:
    """Send SIGKILL to what runs of Holdfast, but for the dead-man; True when there is nothing."""
    pids = [pid for pid, line in machine.processes().items() if "holdfast" in line and "handback" not in line]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return not pids


def test_a_second_call_converges(make_machine: MakeMachine) -> None:
    """Killed between two clients, and called again: what was left is taken back, and then taken over."""
    machine = make_machine("dhcpcd")
    machine.watch()
    run = machine.start(sys.executable, "-c", _DYING, "!ADOPTING", "run", CLIENT, "--takeover",
                        environment=machine.environment)
    machine.wait(lambda: run.poll() is not None, 30, "killed")
    machine.wait(lambda: not machine.runs("dhcpcd"), 10, "dhcpcd is stopped")
    machine.wait(lambda: killed(machine), 10, "nothing of the first call is left but its dead-man")

    again = take(machine)
    taken(machine, again)

    assert "an earlier take-over was not finished" in said(machine)
    machine.wait(lambda: not machine.runs("dhcpcd"), 10, "dhcpcd is gone")
    assert machine.flaws() == []


def test_two_clients(make_machine: MakeMachine) -> None:
    machine = make_machine("dhclient")
    machine.start("udhcpc", "-f", "-s", "/bin/true", "-i", CLIENT)
    # not nsenter(1) or env(1), which have its name among their words until they become it
    machine.wait(lambda: any(line.startswith("udhcpc") for line in machine.processes().values()), 10, "it runs, too")

    done = machine.holdfast("takeover", CLIENT, "--dry-run", check=False)

    assert done.returncode == 1
    assert done.stderr.startswith("holdfast: 2 DHCP clients serve hf0: dhclient (pid ")
    assert "Nothing was changed" in done.stderr


def test_unicast_unanswered(make_machine: MakeMachine) -> None:
    """The fault that Holdfast is for: the server is deaf to unicast. udhcpc's lease is learned all the same."""
    machine = make_machine("udhcpc")
    machine.site.drop_unicast()
    machine.watch()

    run = take(machine)
    taken(machine, run)

    assert machine.addresses()[0]["valid_life_time"] <= 120
    assert machine.flaws() == []


def test_beside_a_guard_the_client_is_not_made_to_renew(make_machine: MakeMachine) -> None:
    machine = make_machine("udhcpc")
    machine.start(*machine.holdfast_argv, "guard", CLIENT, environment=machine.environment)
    machine.wait(lambda: f"guard: watching {CLIENT}" in said(machine), 20, "the guard watches")
    pid, = [pid for pid, line in machine.processes().items() if line.startswith("udhcpc")]
    asked_at = boottime()
    os.kill(pid, signal.SIGUSR1)
    machine.wait(lambda: "ACK" in machine.tap.kinds(asked_at), 10, "a renewal is answered, and guard has heard it")
    machine.watch()

    run = take(machine)
    taken(machine, run)

    assert machine.flaws() == []
    assert "(the address on hf0, and what guard has heard)" in said(machine)
    # The first question is the take-over's own; the client would have asked by unicast.
    assert machine.tap.asked(machine.since)[0].destination == "255.255.255.255"
