"""Which processes are believed (rule 93): on a fake machine for every adapter, and on this kernel."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.fake_host import FakeHost

from holdfast.takeover import detection
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Completed, Host, search_path
from holdfast.takeover.model import Adapter
from holdfast.takeover.processes import Process
from holdfast_lab.testbed.fair_time import wait_until

USER = 65534
ALL_HIS = (USER, USER, USER, USER)
ARGV = {
    "dhclient": ("dhclient", "-lf", "/home/user/leases", "eth0"), "dhcpcd": ("dhcpcd", "eth0"),
    "udhcpc": ("udhcpc", "-s", "/home/user/script", "-i", "eth0"), "NetworkManager": ("/usr/sbin/NetworkManager",),
    "ifupdown": ("dhclient", "eth0"), "ifcfg": ("dhclient", "eth0"),
}
ADAPTERS = [adapter for adapter in detection.ADAPTERS if adapter.name in ARGV]


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    """A machine whose every manager says that it serves eth0, if it is there."""
    host = FakeHost(tmp_path)
    host.put("/run/network/ifstate", "eth0=eth0\n")
    host.put("/etc/network/interfaces", "iface eth0 inet dhcp\n")
    host.put("/etc/sysconfig/network-scripts/ifcfg-eth0", "BOOTPROTO=dhcp\n")
    host.answers["nmcli --terse --escape no --fields GENERAL"] = Completed(
        0, "GENERAL.STATE:100 (connected)\nGENERAL.CON-UUID:1\n", "")
    host.answers["nmcli --terse --escape no --fields DHCP4"] = Completed(
        0, "DHCP4.OPTION[1]:ip_address = 192.0.2.9\n", "")
    host.put("/home/user/client", "a program", 0o755)
    for path in ("/home/user", "/home/user/client"):
        os.chown(host.path(path), USER, USER)
    return host


def finds(host: FakeHost, adapter: Adapter) -> list[int]:
    found = adapter.find(host, "eth0")
    return [] if found is None else list(found.pids)


@pytest.mark.root
@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.name)
@pytest.mark.parametrize("uids", [ALL_HIS, (USER, 0, 0, 0), (0, USER, 0, 0), (0, 0, USER, 0), (0, 0, 0, USER)])
def test_another_users_client(host: FakeHost, adapter: Adapter, uids: tuple[int, int, int, int]) -> None:  # rule 93
    """rule 93: it is none, beside the real one and without it."""
    host.add_process(20, *ARGV[adapter.name], uids=uids)
    assert finds(host, adapter) == []
    host.add_process(30, *ARGV[adapter.name])
    assert finds(host, adapter) == [30]


@pytest.mark.root
@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.name)
def test_a_program_that_a_user_can_change(host: FakeHost, adapter: Adapter) -> None:  # rule 93
    """rule 93: though root runs it."""
    host.add_process(20, *ARGV[adapter.name], exe="/home/user/client")
    assert finds(host, adapter) == []
    link = Path(host.path("/proc/20/exe"))
    link.unlink()
    assert finds(host, adapter) == [], "a program that cannot be told"
    host.put("/usr/sbin/setuid", "a program", 0o4755)
    link.symlink_to("/usr/sbin/setuid")
    assert finds(host, adapter) == [], "anybody starts it, under any name"
    host.put("/usr/sbin/client", "a program", 0o755)
    link.unlink()
    link.symlink_to("/usr/sbin/client")
    assert finds(host, adapter) == [20]


@pytest.mark.root
def test_a_script(host: FakeHost) -> None:  # rule 93
    """rule 93: the interpreter is root's, and the script is not."""
    host.put("/home/user/dhclient", "#!/bin/sh\n", 0o755)
    host.put("/usr/local/sbin/dhclient", "#!/bin/sh\n", 0o755)
    for script, option in (("/home/user/dhclient", ()), ("/home/user/dhclient", ("-e",)), ("dhclient", ())):
        host.add_process(20, "/bin/sh", *option, script, "eth0", comm="dhclient")
        assert host.processes() == []
    host.add_process(20, "/bin/sh", "/usr/local/sbin/dhclient", "eth0", comm="dhclient")
    assert [process.pid for process in host.processes()] == [20]
    host.add_process(20, "busybox", "udhcpc", "-i", "eth0", comm="udhcpc", exe="/bin/busybox")
    assert [process.pid for process in host.processes()] == [20], "a name of busybox's, and no script"


@pytest.mark.root
def test_separated_privileges(host: FakeHost) -> None:  # rule 93
    """rule 93: dhcpcd's process that speaks DHCP is not root's, and the one that started it is."""
    host.add_process(20, "dhcpcd: eth0 [ip4]", group=20, uids=(101, 101, 101, 101))
    host.add_process(21, "dhcpcd: [privileged proxy] eth0 [ip4]", ppid=20, group=20)
    host.add_process(22, "dhcpcd: [network proxy] eth0", ppid=20, group=20, uids=(101, 101, 101, 101))
    # He runs the same program, as he may, and calls himself the same.
    host.add_process(30, "dhcpcd: eth0 [ip4]", group=30, uids=ALL_HIS)
    host.add_process(31, "dhcpcd: eth0 [ip4]", ppid=21, group=31, uids=ALL_HIS)
    host.add_process(32, "dhcpcd: eth0 [ip4]", ppid=21, group=20, uids=ALL_HIS, exe="/home/user/client")
    assert [process.pid for process in host.processes()] == [20, 21, 22]
    assert [pid for pid in (20, 21, 22, 30, 31, 32) if host.process(pid) is not None] == [20, 21, 22]
    adapter = detection.adapter_called("dhcpcd")
    assert finds(host, adapter) == [20, 21, 22]


@pytest.mark.root
def test_what_was_passed_over_is_told(host: FakeHost) -> None:
    """Root's own process that is not believed; another user's is nobody's business."""
    host.add_process(20, "dhclient", "eth0", exe="/home/user/client")
    host.add_process(21, "dhclient", "eth0", uids=ALL_HIS)
    host.add_process(22, "sshd", exe="/home/user/client")
    with pytest.raises(TakeoverError) as caught:
        detection.find_client(host, "eth0")
    assert "passed over: dhclient (pid 20): /home/user belongs to uid 65534" in str(caught.value)
    assert "pid 21" not in str(caught.value)
    assert "pid 22" not in str(caught.value)


# -- on this kernel --------------------------------------------------------------------------------


@contextmanager
def running(*argv: str, uid: int = 0, executable: str | None = None) -> Iterator[int]:
    """A process of ``uid``, when its exec is over: its name is there before its words are. Its pid."""
    with subprocess.Popen(argv, executable=executable, user=uid, group=uid, cwd="/") as child:
        try:
            words = b"".join(os.fsencode(word) + b"\0" for word in argv)
            wait_until(lambda: Path(f"/proc/{child.pid}/cmdline").read_bytes() == words, 10, f"{argv[0]} runs")
            yield child.pid
        finally:
            child.kill()


@pytest.mark.root
def test_processes_of_this_machine() -> None:  # rule 93
    """rule 93: root's sleep is believed, another user's is not, and is not signalled."""
    host = Host()
    with running("/bin/sleep", "60") as mine, running("/bin/sleep", "60", uid=USER) as his:
        believed = {process.pid for process in host.processes()}
        assert mine in believed
        assert his not in believed
        assert host.process(his) is None
        host.kill([his, mine], signal.SIGKILL)
        assert host.process(mine) is None
        assert "sleep" in Path(f"/proc/{his}/comm").read_text(), "it lives"


def test_a_process_that_has_ended_has_no_environment() -> None:
    """Linux 6.18 says ESRCH where older ones say nothing: a client that forks ends while it is looked at."""
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie from now on
        assert Host().environment(child.pid) == {}


@pytest.mark.root
def test_a_program_of_this_machine_in_a_folder_of_everybody(tmp_path: Path) -> None:  # rule 93
    """rule 93: as below /tmp."""
    tmp_path.chmod(0o1777)
    program = tmp_path / "sleep"
    shutil.copy("/bin/sleep", program)
    with running(str(program), "60") as pid:
        assert Host().process(pid) is None
        assert any(f"(pid {pid}): everybody can write /" in each for each in Host().passed_over(["sleep"]))
        program.unlink()
        assert Host().process(pid) is None, "deleted, and its folder is everybody's still"


@pytest.mark.root
def test_a_program_that_an_upgrade_has_replaced() -> None:
    """It was root's, in root's folder: it is believed, and what is there now would be started."""
    folder = Path(tempfile.mkdtemp(dir=sys.prefix))  # /tmp is everybody's
    folder.chmod(0o755)
    try:
        shutil.copy("/bin/sleep", folder / "sleep")
        with running(str(folder / "sleep"), "60") as pid:
            (folder / "sleep").unlink()
            assert Host().process(pid) is not None
            assert Host().executable(pid) == ""
            shutil.copy("/bin/sleep", folder / "sleep")
            assert Host().process(pid) is not None
    finally:
        shutil.rmtree(folder)


@pytest.mark.root
def test_a_pid_that_is_another_process_by_now() -> None:  # rule 93
    """rule 93: nothing is signalled but what the caller means."""
    host = Host()
    with running("/bin/sleep", "60") as pid:
        process = host.process(pid)
        assert process is not None
        assert host.same(process)
        assert not host.same(Process(pid, process.ppid, process.comm, process.argv, process.group, process.started - 1))
        host.kill([pid], signal.SIGKILL, still=lambda each: each.comm == "dhclient")
        assert host.same(process)
        host.kill([pid], signal.SIGKILL, still=lambda each: each.comm == "sleep")
        assert not host.same(process)


@pytest.mark.root
@pytest.mark.parametrize("missing", ["pidfd_open", "pidfd_send_signal", "Python's"])
def test_without_pidfds(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Before Linux 5.3, in an old sandbox, and where Python was built without them."""
    def none(*_: int) -> int:
        raise OSError(38, "Function not implemented")

    if missing == "Python's":
        monkeypatch.delattr(os, "pidfd_open")
    else:
        monkeypatch.setattr(os if missing == "pidfd_open" else signal, missing, none)
    with running("/bin/sleep", "60") as pid:
        Host().kill([pid], signal.SIGKILL)
        assert Host().process(pid) is None


@pytest.mark.root
def test_where_programs_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # rule 93
    """rule 93: only in folders that only root can write, whatever our PATH says; and by what is run, too."""
    for name in ("systemctl", "nmcli"):
        (tmp_path / name).write_text("#!/bin/sh\necho his\n")
        (tmp_path / name).chmod(0o755)
    tmp_path.chmod(0o1777)
    monkeypatch.setenv("PATH", f"{tmp_path}::.:bin:/usr/bin")
    assert search_path() == "/usr/bin:/usr/sbin:/sbin:/bin"
    assert str(tmp_path) not in (Host().which("systemctl") or "")
    assert Host().run(["nmcli-of-nobody"]).status == 127
    assert "his" not in Host().run(["nmcli", "--version"]).stdout
    assert Host().run(["sh", "-c", "echo $PATH"]).stdout == "/usr/bin:/usr/sbin:/sbin:/bin\n"
    assert Host().which(str(tmp_path / "nmcli")) is None


@pytest.mark.root
def test_where_root_writes(host: FakeHost) -> None:  # rule 93
    """rule 93: not into a folder that others can write, nor through a link of theirs."""
    for path in ("/home/user/leases", "/home/user/new/leases"):
        with pytest.raises(TakeoverError, match=r"the folder /home/user.*: others than root can change it"):
            host.write(path, b"")
    os.symlink("/etc", host.path("/home/user/link"))
    with pytest.raises(TakeoverError, match="others than root can change it"):
        host.write("/home/user/link/passwd", b"")
    assert not host.exists("/etc/passwd")
    assert host.listdir("/home/user") == ["client", "link"]


def test_our_own_interpreter_is_believed() -> None:
    """Wherever it is: who can change it is root already."""
    with running(sys.executable, "-c", "import time; time.sleep(60)", uid=os.getuid()) as pid:
        assert (Host().process(pid) is not None) == (os.getuid() == 0)
