"""Hostile users of the machine itself: an ordinary one, a member of the control group, the agent's own."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from holdfast_lab.attack.arena import Arena, Attack, Scale
from holdfast_lab.testbed.stage import LINK

#: Connections that are held open at once.
CONNECTIONS = 300
#: nobody.
UID = 65534
_SENDER = """
import os, socket, sys, time
address, seconds, link = sys.argv[1], float(sys.argv[2]), sys.argv[3]
os.setgid(65534); os.setuid(65534)
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sent, end = 0, time.monotonic() + seconds
def attempt(step):
    try:
        step()
        return 1
    except OSError:
        return 0
reached = 0
while time.monotonic() < end:
    for target in (address, "127.0.0.1", "255.255.255.255"):
        for size in (0, 1, 240, 300, 1400):
            sent += attempt(lambda: out.sendto(os.urandom(size), (target, 68)))
    for path in sys.argv[4:]:
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(0.1)
            reached += attempt(lambda: control.connect(path))
print(sent, reached)
"""


def user(arena: Arena, scale: Scale) -> str:
    """A user without rights: datagrams to port 68 by every address of the machine, and the control socket."""
    sockets = [str(path) for path in sorted((arena.client.directory / "run").rglob("*")) if path.is_socket()]
    words = [sys.executable, "-I", "-c", _SENDER, arena.address(), str(scale.seconds), LINK, *sockets]
    with arena.in_client(words, stdout=subprocess.PIPE, text=True) as child:
        while child.poll() is None:
            for _ in arena.during(0.5):
                pass
        assert child.stdout is not None
        sent, reached = map(int, child.stdout.read().split())
    assert reached == 0, f"the control socket took {reached} connections of a user without rights"
    return f"{sent:,} datagrams"


def control(arena: Arena, scale: Scale) -> str:
    """Somebody who may ask: garbage, halves, endless lines, connections that are held. Who asks properly is served."""
    rng = random.Random(11)
    path = str(arena.client.directory / "run" / f"{LINK}.varlink")
    question = json.dumps({"method": "io.holdfast.Agent.Status", "parameters": {}}).encode()
    ways: list[Callable[[], bytes]] = [
        lambda: rng.randbytes(rng.randrange(1, 4000)), lambda: question, lambda: question[:20],
        lambda: b"\0" * 1000, lambda: b"[" * 20_000, lambda: b"x" * 2_000_000, lambda: (question + b"\0") * 300,
        lambda: question.replace(b"{}", json.dumps({"interface": "\x1b" * 9000}).encode()) + b"\0",
        lambda: json.dumps({"method": "a" * 100_000, "more": True}).encode() + b"\0",
    ]
    sent = 0
    for _ in arena.during(scale.seconds):
        with ExitStack() as held:
            for _ in range(CONNECTIONS):
                caller = held.enter_context(socket.socket(socket.AF_UNIX))
                caller.setblocking(False)
                with suppress(OSError):
                    caller.connect(path)
                    caller.send(rng.choice(ways)())
                    sent += 1
        answer = arena.command("status", LINK)
        assert answer.returncode == 0, f"status is refused: {answer.stderr}"
    return f"{sent:,} connections"


def files(arena: Arena, scale: Scale) -> str:
    """The agent's own user, between two runs: its files are links, pipes, folders, halves, giants, or gone."""
    rng, victim = random.Random(12), arena.client.directory / "precious"
    victim.write_text("precious", encoding="ascii")
    count = 0
    for _ in arena.during(scale.seconds):
        arena.kill()
        for folder in (arena.state, arena.client.directory / "run"):
            for path in sorted(path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()):
                if path.suffix != ".lock" and rng.random() < 0.7:
                    _spoil(path, victim, rng)
                    count += 1
        arena.start()
        arena.renewed()
        assert victim.read_text(encoding="ascii") == "precious", "a file that is not the agent's was changed"
        for path in arena.state.rglob("*"):
            if path.is_dir() and not path.is_symlink():
                with suppress(OSError):
                    path.rmdir()
    return f"{count} files"


def _spoil(path: Path, victim: Path, rng: random.Random) -> None:
    data = path.read_bytes() if path.is_file() else b""
    path.unlink()
    way = rng.randrange(7)
    if way == 0:
        path.symlink_to(victim)
    elif way == 1:
        os.mkfifo(path)
    elif way == 2:
        path.mkdir()
    elif way == 3:
        path.write_bytes(data[: len(data) // 2])
    elif way == 4:
        path.write_bytes(rng.randbytes(2000))
    elif way == 5:
        path.write_bytes(b"[" * 3_000_000)
    # else: it is gone


ATTACKS = (
    Attack("user", "a user without rights: datagrams, the control socket", user),
    Attack("control", "one who may ask: garbage and held connections", control),
    Attack("files", "the agent's user: its files are not what they were", files, mortal=True, records=False),
)
