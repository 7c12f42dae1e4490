"""The demo itself, as a user runs it: on a terminal, with a picture, and interrupted."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from holdfast_lab.testbed import fair_time

pytestmark = pytest.mark.root
ROOT = Path(__file__).resolve().parents[2]


def read_all(terminal: int, child: subprocess.Popen[bytes], until: bytes | None, timeout: float) -> bytes:
    """What is written to a terminal until ``until`` is seen or the other side is closed."""
    said = b""
    while child.poll() is None or select.select([terminal], [], [], 0)[0]:
        assert select.select([terminal], [], [], fair_time.longest(timeout))[0], said.decode()
        try:
            said += os.read(terminal, 65536)
        except OSError:  # EIO: the last writer has gone
            break
        if until is not None and until in said:
            break
    return said


def start(terminal: int, *options: str) -> subprocess.Popen[bytes]:
    """The demo with a terminal for its output."""
    command = [sys.executable, "-m", "holdfast_lab.demo", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "agent"), "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    return subprocess.Popen(
        command, stdout=terminal, stderr=terminal, stdin=subprocess.DEVNULL, env=environment,
        # Ignored when the tests themselves run in the background of a shell.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


def test_the_demo_ends_with_a_verdict_and_a_picture(tmp_path: Path) -> None:  # rules 35, 56, 74
    reading, writing = os.openpty()
    picture = tmp_path / "fault.svg"
    with start(writing, "--lease", "12", "--svg", str(picture)) as demo:
        os.close(writing)
        said = read_all(reading, demo, None, 30).decode()
        os.close(reading)
    assert demo.returncode == 0, said
    assert "nobody answers" in said
    assert "\x1b[32mkept" in said, "colours on a terminal"
    assert "BROKEN" not in said
    assert "a stock client broadcasts only now" in said
    assert "renewed   broadcast" in said, "the history"
    assert ET.parse(picture).getroot().tag.endswith("svg")


def test_ctrl_c_leaves_nothing_behind() -> None:
    reading, writing = os.openpty()
    with start(writing) as demo:
        os.close(writing)
        read_all(reading, demo, b"on eth0", 20)
        tasks = Path(f"/proc/{demo.pid}/task").glob("*/children")  # the client is a child of its namespace's thread
        children = [pid for task in tasks for pid in task.read_text().split()]
        assert children, "holdfast runs"
        demo.send_signal(signal.SIGINT)
        said = read_all(reading, demo, None, 20).decode()
        os.close(reading)
    assert demo.returncode == 130, said
    left = lambda: [pid for pid in children if Path(f"/proc/{pid}").exists()]  # noqa: E731
    fair_time.wait_until(lambda: not left(), 10, "its programs are gone")


def test_a_user_namespace_is_enough() -> None:
    code = (
        "from holdfast_lab.testbed.netns import enter_user_namespace, cable\n"
        "enter_user_namespace()\n"
        "with cable() as (client, server):\n"
        "    print(client.output(['id', '-u']).strip(), client.run(lambda: client.rtnl.addresses('eth0')))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "agent")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout) == (0, "0 []\n"), done.stderr


def test_a_machine_without_user_namespaces_is_told_what_to_do() -> None:
    code = (
        "import sys, holdfast_lab.demo as demo\n"
        "demo.os.geteuid = lambda: 1000\n"
        "sys.exit(demo.main([]))\n"
    )
    without = ["unshare", "--user", "--map-root-user", "sh", "-c",
               'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"', "sh"]  # user_namespaces(7)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "agent")}
    done = subprocess.run(
        [*without, sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 2
    assert "sudo" in done.stderr


@pytest.mark.long
def test_the_demo_of_guard_shows_both_machines() -> None:
    reading, writing = os.openpty()
    with start(writing, "--guard") as demo:
        os.close(writing)
        said = read_all(reading, demo, None, 90).decode()
        os.close(reading)
    assert demo.returncode == 0, said
    assert "by guard, 1.0" in said
    assert "the server does not hear unicast" in said, "the report"
    assert not [line for line in said.splitlines() if "guarded " in line and "REMOVED" in line]
