"""The machine as a take-over sees it: /proc, files of others, commands."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.fake_host import FakeHost

from holdfast.takeover import files
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Host
from holdfast_lab.testbed.fair_time import wait_until


def test_files(tmp_path: Path) -> None:
    host = Host(str(tmp_path))
    host.write("/etc/a/b", b"text", 0o640)
    assert (host.read("/etc/a/b"), host.text("/etc/a/b")) == (b"text", "text")
    assert Path(host.path("/etc/a/b")).stat().st_mode & 0o777 == 0o640
    host.set_time("/etc/a/b", 1000.0)
    status = host.stat("/etc/a/b")
    assert status is not None
    assert status.st_mtime == 1000.0
    assert host.listdir("/etc/a") == ["b"]
    assert (host.read("/etc/none"), host.text("/none")) == (None, "")
    assert (host.stat("/none"), host.listdir("/none")) == (None, [])
    host.remove("/etc/a/b")
    host.remove("/etc/a/b")
    assert not host.exists("/etc/a/b")


def test_files_that_are_none(tmp_path: Path) -> None:
    host = Host(str(tmp_path))
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(b"x" * 100)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TakeoverError, match="/fifo is not a regular file"):
        host.read("/fifo")
    with pytest.raises(TakeoverError, match="/large is larger than 99 bytes"):
        host.read("/large", 99)
    assert host.read("/file/below") is None
    with pytest.raises(TakeoverError, match="/file/below cannot be written"):
        host.write("/file/below", b"")
    with pytest.raises(TakeoverError, match="cannot be removed"):
        host.remove("/file/below")
    with pytest.raises(TakeoverError, match="the time of /none cannot be set"):
        host.set_time("/none", 1.0)


@pytest.mark.parametrize(("number", "todo"), [
    (errno.ENOSPC, "No space left on device; make room there"),
    (errno.EROFS, "Read-only file system; make it writable (mount -o remount,rw)"),
    (errno.EACCES, "Permission denied; run as root"), (errno.ENXIO, "No such device or address"),
])
def test_what_can_be_done_about_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, todo: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.atomic, "write", fail)
    with pytest.raises(TakeoverError) as caught:
        Host(str(tmp_path)).write("/etc/a", b"")
    assert str(caught.value) == f"/etc/a cannot be written: {todo}"


def test_processes_of_a_fake_machine(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    host.add_process(10, "/sbin/dhclient", "-v", "eth0", ppid=3, group=9, unit="a.service", environment={"A": "b=c"})
    host.add_process(11, "dhcpcd: [manager] [ip4]", comm="x) S 9 (y")
    host.put("/proc/12/stat", "12 (gone) Z 1 1 0")
    host.put("/proc/12/cmdline", "gone\0")
    host.put("/proc/13/stat", "nonsense")
    host.put("/proc/13/cmdline", "nonsense\0")
    host.put("/proc/14/stat", "14 (kworker) S 2 0 0")
    host.put("/proc/14/cmdline", "")
    first, second = host.processes()
    assert (first.pid, first.ppid, first.group, first.program) == (10, 3, 9, "dhclient")
    assert first.argv == ("/sbin/dhclient", "-v", "eth0")
    assert (second.comm, second.program) == ("x) S 9 (y", "dhcpcd")
    assert host.environment(10) == {"A": "b=c"}
    assert (host.unit_of(10), host.unit_of(11), host.unit_of(99)) == ("a.service", "", "")


def test_real_processes() -> None:
    host = Host()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        found = lambda: [process for process in host.processes() if process.pid == child.pid]  # noqa: E731
        process, = wait_until(found, 10, "it is there")  # in an exec it has no words
        assert process.argv[1:] == ("-c", "import time; time.sleep(60)")
        assert process.ppid == os.getpid()
        assert os.path.samefile(host.executable(child.pid), sys.executable)
        assert host.cwd(child.pid) == os.getcwd()
        host.kill([child.pid], signal.SIGKILL)
        assert host.process(child.pid) is None, "a zombie is none"
        host.kill([child.pid, 1 << 22])
    assert child.returncode == -signal.SIGKILL


def test_commands() -> None:
    host = Host()
    done = host.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (done.status, done.stdout, done.complaint, done.ok) == (3, "out\n", "err", False)
    assert host.run(["false"]).complaint == "exit status 1"
    assert host.run(["/nowhere/program"]).status == 127
    assert host.run(["sleep", "10"], timeout=0.05).status == 124
    with pytest.raises(TakeoverError, match="`false x` failed: exit status 1"):
        host.must(["false", "x"])
    assert host.run(["sh", "-c", "echo $A"], env={"A": "b"}).stdout == "b\n"


def test_start(tmp_path: Path) -> None:
    host = Host()
    out = tmp_path / "out"
    pid = host.start(["own-name", "-c", f"echo $0 $A $(pwd) > {out}.new; mv {out}.new {out}"], {"A": "b"}, "/",
                     executable="/bin/sh")
    assert host.wait(out.exists, 10)
    assert out.read_text().split()[1:] == ["b", "/"]
    os.waitpid(pid, 0)
    with pytest.raises(TakeoverError, match="/nowhere/program cannot be started"):
        host.start(["/nowhere/program"], {})


def test_where_a_process_is(tmp_path: Path) -> None:
    """Only a folder that it can be started in again."""
    host = Host(str(tmp_path))
    (tmp_path / "proc/7").mkdir(parents=True)
    (tmp_path / "root").mkdir()
    for path, expected in (("/root", "/root"), ("/root/gone", "/"), ("/gone (deleted)", "/"), ("/proc/7", "/")):
        (tmp_path / "proc/7/cwd").unlink(missing_ok=True)
        (tmp_path / "proc/7/cwd").symlink_to(path)
        assert host.cwd(7) == expected
    assert host.cwd(8) == "/"


def test_start_where_nothing_is_any_more(tmp_path: Path) -> None:
    """In /; and it hears SIGHUP though we do not."""
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        pid = Host().start(["/bin/sh", "-c", 'test "$(pwd)" = / && kill -HUP $$'], {}, str(tmp_path / "gone"))
    finally:
        signal.signal(signal.SIGHUP, former)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGHUP


def test_without_systemd(tmp_path: Path) -> None:
    host = Host(str(tmp_path))
    assert (host.systemd, host.unit_state("a.service"), host.unit_enabled("a.service")) == (False, "", "")


def test_the_kernel() -> None:
    host = Host()
    assert host.link("lo").ifindex == host.ifindex("lo")
    assert "lo" in host.interfaces()
    with pytest.raises(TakeoverError, match="nosuch0"):
        host.mac("nosuch0")
    assert host.nodename() == os.uname().nodename
    assert abs(host.from_wall(host.wall() + 5) - host.boottime() - 5) < 0.5
    assert host.from_wall(float("inf")) == float("inf")


@pytest.mark.root
def test_looking_at_an_interface() -> None:
    assert any(str(held.interface.ip) == "127.0.0.1" for held in Host().observe("lo").addresses)
    with pytest.raises(TakeoverError, match="nosuch0"):
        Host().observe("nosuch0")
    with pytest.raises(TakeoverError, match="nosuch0"):
        Host().perform("nosuch0", [], str)
