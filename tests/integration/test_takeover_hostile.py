"""Another user's processes beside a take-over and a hand-back: they take no part, and they stop nothing.

The hostile user is uid 65534. His "dhclient" is a copy of the shell with a script of his, and names a lease file of
his own; whoever runs it as root leaves the file ``root-ran``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.machine import ADDRESS, Machine
from tests.support.monitor import boottime
from tests.support.site import CLIENT

pytestmark = pytest.mark.root
HOSTILE = 65534
AS_HOSTILE = ("setpriv", f"--reuid={HOSTILE}", f"--regid={HOSTILE}", "--clear-groups", "--")
FOLDER = "/var/hostile"
_SCRIPT = f"""\
if [ "$(id -u)" = 0 ]; then : >{FOLDER}/root-ran; fi
read -r line <{FOLDER}/never
"""
_LEASE = """\
lease {{
  interface "{ifname}";
  fixed-address {address};
  option subnet-mask 255.255.255.0;
  option dhcp-lease-time 120;
  option dhcp-server-identifier 10.77.0.1;
  renew never;
  rebind never;
  expire never;
}}
"""


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Machine]:
    """A guest with dhclient bound on it, and the hostile user's folder with the files of the attack."""
    if shutil.which("dhclient", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None:
        pytest.skip("dhclient is not installed")
    with Machine(tmp_path / "guest") as machine:
        machine.server.start()
        begun = machine.start("dhclient", CLIENT)
        machine.wait(machine.has, 30, "dhclient has its address")
        machine.wait(lambda: "nameserver 10.77.0.1" in machine.resolv(), 10, "its script is done")
        machine.wait(lambda: begun.poll() is not None and len(clients(machine)) == 1, 10, "it is a daemon")
        folder = machine.inside(FOLDER)
        folder.mkdir()
        shutil.copy("/bin/sh", folder / "dhclient")
        (folder / "script").write_text(_SCRIPT)
        (folder / "leases").write_text(_LEASE.format(ifname=CLIENT, address=ADDRESS))
        os.mkfifo(folder / "never")
        for path in (folder, *folder.iterdir()):
            os.chown(path, HOSTILE, HOSTILE)
        yield machine


def false_client(machine: Machine, *user: str) -> int:
    """The pid of a false dhclient; ``user`` are the words that make it the hostile user's."""
    argv = (f"{FOLDER}/dhclient", f"{FOLDER}/script", "-lf", f"{FOLDER}/leases", CLIENT)
    before = set(machine.processes())
    machine.start(*user, *argv)

    def its_pids() -> list[int]:
        return [pid for pid, line in machine.processes().items() if pid not in before and line.startswith(argv[0])]

    machine.wait(lambda: len(its_pids()) == 1, 10, "the false client runs")
    return its_pids()[0]


def clients(machine: Machine) -> list[int]:
    """The pids of the real dhclient."""
    return [pid for pid, line in machine.processes().items() if line.split(" ")[0].rsplit("/", 1)[-1] == "dhclient"
            and FOLDER not in line]


def kill_real(machine: Machine) -> None:
    for pid in clients(machine):
        os.kill(pid, 9)
    machine.wait(lambda: not clients(machine), 10, "the real client is gone, and its address stays")


def said(machine: Machine) -> str:
    return (machine.folder / "machine.log").read_text(errors="replace")


def take(machine: Machine) -> subprocess.Popen[bytes]:
    """`holdfast run --takeover` on the guest, to its end or until it is Holdfast's."""
    run = machine.start(*machine.holdfast_argv, "run", CLIENT, "--takeover", environment=machine.environment)
    machine.wait(lambda: f"{CLIENT} is Holdfast's" in said(machine) or run.poll() is not None, 40, "taken or refused")
    return run


def untouched(machine: Machine, pid: int) -> None:
    """The false client was neither run as root nor killed, and its lease file is as it was."""
    assert not machine.inside(f"{FOLDER}/root-ran").exists(), "root has run another user's program"
    assert machine.inside(f"{FOLDER}/leases").read_text() == _LEASE.format(ifname=CLIENT, address=ADDRESS)
    assert pid in machine.processes(), "it is no business of ours"


def handed_back(machine: Machine, run: subprocess.Popen[bytes]) -> None:
    machine.holdfast("handback", CLIENT)
    machine.wait(lambda: len(clients(machine)) == 1, 10, "the real client runs again")
    machine.wait(lambda: run.poll() is not None, 10, "the agent has ended")
    assert machine.flaws() == []


@pytest.mark.parametrize("user", [AS_HOSTILE, ()], ids=["his process", "root's process, his program"])
def test_false_client_alone(guest: Machine, user: tuple[str, ...]) -> None:  # rule 93
    """rule 93: another user's process is no client, nor is a root process of a program in that user's folder."""
    kill_real(guest)
    pid = false_client(guest, *user)
    if not user:  # root ran it before we came
        guest.wait(guest.inside(f"{FOLDER}/root-ran").exists, 10, "it runs")
        guest.inside(f"{FOLDER}/root-ran").unlink()

    run = take(guest)

    assert run.poll() == 1, said(guest)
    assert f"no DHCP client that can be taken over serves {CLIENT}" in said(guest)
    untouched(guest, pid)
    assert guest.has()


def test_false_client_beside_the_real_one(guest: Machine) -> None:  # rule 93
    """rule 93: it does not block."""
    pid = false_client(guest, *AS_HOSTILE)
    guest.watch()

    run = take(guest)
    assert run.poll() is None, said(guest)
    assert clients(guest) == []
    handed_back(guest, run)
    untouched(guest, pid)


def test_false_client_comes_between(guest: Machine) -> None:  # rule 93
    """rule 93: who appears before the hand-back is not taken for the former client."""
    guest.watch()
    run = take(guest)
    assert run.poll() is None, said(guest)
    pid = false_client(guest, *AS_HOSTILE)

    handed_back(guest, run)
    untouched(guest, pid)


def refused(machine: Machine, run: subprocess.Popen[bytes], words: str) -> None:
    """The hand-back says one line, and Holdfast serves on."""
    done = machine.holdfast("handback", CLIENT, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert run.poll() is None
    assert machine.has()
    assert f"{CLIENT}" in machine.holdfast("status", CLIENT).stdout
    assert clients(machine) == []


def test_program_replaced_before_the_hand_back(guest: Machine) -> None:  # rule 93
    """rule 93: what the journal names is looked at again before root runs it."""
    kill_real(guest)
    own = guest.inside("/var/own")
    own.mkdir()
    shutil.copy(guest.inside("/usr/sbin/dhclient"), own / "dhclient")
    since = boottime()
    begun = guest.start("/var/own/dhclient", CLIENT)
    guest.wait(lambda: begun.poll() is not None and len(clients(guest)) == 1 and "ACK" in guest.tap.kinds(since), 20,
               "bound, and a daemon")
    guest.watch()
    run = take(guest)
    assert run.poll() is None, said(guest)

    os.chown(own / "dhclient", HOSTILE, HOSTILE)
    refused(guest, run, "/var/own/dhclient")
    os.chown(own / "dhclient", 0, 0)
    own.chmod(0o1777)
    refused(guest, run, "/var/own")
    own.chmod(0o755)
    handed_back(guest, run)


def test_journal_of_another_user(guest: Machine) -> None:  # rule 93
    """rule 93: a journal that others could write is not believed."""
    guest.watch()
    run = take(guest)
    assert run.poll() is None, said(guest)
    journal = guest.inside(f"/var/lib/holdfast-takeover/{CLIENT}.json")

    for path in (journal, journal.parent):
        os.chown(path, HOSTILE, HOSTILE)
        refused(guest, run, "it is not believed, and nothing was done")
        os.chown(path, 0, 0)
    handed_back(guest, run)


@pytest.mark.parametrize("option", ["-lf", "-cf"])
def test_files_that_a_user_can_write(guest: Machine, option: str) -> None:  # rule 93
    """rule 93: root's dhclient with a lease file or a configuration in a user's folder: told, and left alone."""
    kill_real(guest)
    guest.inside(f"{FOLDER}/conf").write_text("")
    path = {"-lf": f"{FOLDER}/leases", "-cf": f"{FOLDER}/conf"}[option]
    since = boottime()
    guest.start("dhclient", option, path, CLIENT)
    guest.wait(lambda: len(clients(guest)) == 0 and any(path in line for line in guest.processes().values())
               and "ACK" in guest.tap.kinds(since), 20, "bound")

    run = take(guest)

    assert run.poll() == 1, said(guest)
    assert f"{path}" in said(guest)
    assert "others than root can change it" in said(guest)
    assert any(path in line for line in guest.processes().values()), "it runs on"


def test_separated_privileges(tmp_path: Path) -> None:  # rule 93
    """rule 93: dhcpcd's process that speaks DHCP has given root's rights up, and is believed as a part of root's; the
    same program, run by another user, is not."""
    if shutil.which("dhcpcd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None:
        pytest.skip("dhcpcd is not installed")
    with Machine(tmp_path / "guest") as machine:
        machine.server.start()
        with machine.inside("/etc/passwd").open("a") as users:
            users.write("dhcpcd:x:871:871::/var/empty:/bin/false\n")
        machine.inside("/var/empty").mkdir(exist_ok=True)
        machine.start("dhcpcd", "-4", CLIENT)
        machine.wait(machine.has, 30, "dhcpcd has its address")
        machine.wait(lambda: "nameserver 10.77.0.1" in machine.resolv(), 10, "its script is done")
        machine.wait(lambda: 871 in uids(machine), 10, "it has given its rights up")
        machine.watch()

        run = take(machine)
        assert run.poll() is None, said(machine)
        assert uids(machine) == [], "all of its processes are gone"
        machine.holdfast("handback", CLIENT)
        machine.wait(lambda: 871 in uids(machine), 10, "it runs again")
        assert machine.flaws() == []


def uids(machine: Machine) -> list[int]:
    """Whose dhcpcd's processes are."""
    found = []
    for pid, line in machine.processes().items():
        if "dhcpcd" in line:
            with suppress(OSError):  # a script of its own that has ended
                found.append(Path(f"/proc/{pid}").stat().st_uid)
    return found
