"""The machine is short of something, or something of it hangs."""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

from holdfast_lab.attack.arena import RENEW, T1, Arena, Attack, Scale, descriptors
from holdfast_lab.testbed.netns import MS_BIND, MS_REMOUNT, make_read_only, mount
from holdfast_lab.testbed.stage import LINK, hardware_address
from holdfast_lab.witness.wirelog import boottime

#: Addresses that others put on the machine at once: more messages than a netlink socket holds.
BURST = 3000
#: The kernel takes every octet but "/", ":" and white space (dev_valid_name).
ODD_NAME = "e'\"$(x);&|*"
#: The second interface, and the seconds after T1 within which its renewals are in time.
OTHER, IN_TIME = "eth1", 2.0
#: What the agent says of a lease file that it cannot write then.
_READ_ONLY = "lease.json cannot be written: Read-only file system"
_DISK = ("-m", "holdfast_lab.attack.disk", "{switch}")


@contextmanager
def limited(pid: int, kind: int, limit: int) -> Iterator[None]:
    """A process with a soft limit."""
    _soft, hard = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (limit, hard))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            resource.prlimit(pid, kind, (_soft, hard))


def no_descriptors(arena: Arena, scale: Scale) -> str:
    """The agent can open nothing, while the link flaps and netlink messages are lost."""
    end = boottime() + scale.seconds
    turns = 0
    while boottime() < end:
        with limited(arena.pid, resource.RLIMIT_NOFILE, 0):
            burst(arena)
            arena.pull_cable()
            time.sleep(0.5)  # the cable is out
            arena.plug_cable()
            for _ in arena.during(4):
                pass
        turns += 1
        for _ in arena.during(2):
            pass
    return f"{turns} times, {descriptors(arena.pid)} open"


def burst(arena: Arena) -> None:
    """Others add and remove addresses elsewhere while the agent does not read."""
    os.kill(arena.pid, signal.SIGSTOP)
    try:
        lines = [f"address {verb} 10.{n >> 8}.{n & 255}.1/32 dev lo" for verb in ("add", "del") for n in range(BURST)]
        batch = arena.client.directory / "batch"
        batch.write_text("\n".join(lines) + "\n", encoding="ascii")
        arena.client.output(["ip", "-force", "-batch", str(batch)], timeout=60)
    finally:
        os.kill(arena.pid, signal.SIGCONT)


def overrun(arena: Arena, scale: Scale) -> str:
    """More netlink messages than the agent's socket holds, again and again."""
    count = 0
    for _ in arena.during(scale.seconds):
        burst(arena)
        count += 2 * BURST
    return f"{count:,} messages"


def full_disk(arena: Arena, scale: Scale) -> str:
    """Not a byte is left where the lease and the history are; then there is room again."""
    with filled(arena):
        for _ in arena.during(scale.seconds):
            pass
        arena.wait_until(lambda: "No space left" in arena.log(), RENEW, "the full disk is noticed")
    return f"{scale.seconds:g} s"


@contextmanager
def filled(arena: Arena) -> Iterator[None]:
    """The agent's folder of leases is on a file system that is full; the agent is started anew for it."""
    folder = str(arena.state)
    arena.kill()
    kept = {path.name: path.read_bytes() for path in arena.state.iterdir() if path.is_file()}
    arena.client.run(lambda: mount("tmpfs", folder, "tmpfs", 0, "size=64k"))

    def put(name: str, data: bytes) -> None:
        Path(folder, name).write_bytes(data)

    for name, data in kept.items():
        arena.client.run(lambda name=name, data=data: put(name, data))  # type: ignore[misc]
    arena.start()
    arena.renewed()
    arena.client.run(lambda: _fill(Path(folder, "fill")))
    try:
        yield
    finally:
        arena.client.run(Path(folder, "fill").unlink)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(512))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def read_only(arena: Arena, scale: Scale) -> str:
    """The file system is mounted read-only, as after an error."""
    folder = str(arena.state)
    arena.kill()  # the agent's mounts are those of when it starts
    arena.client.run(lambda: mount(folder, folder, None, MS_BIND))
    arena.start()
    for times in (1, 2):
        arena.client.run(lambda: make_read_only(folder))
        for _ in arena.during(scale.seconds / 2):
            pass
        arena.wait_until(lambda times=times: arena.log().count(_READ_ONLY) >= times, RENEW,  # type: ignore[misc]
                         "the read-only file system is noticed")
        arena.client.run(lambda: mount("none", folder, None, MS_REMOUNT | MS_BIND))
        arena.renewed()
    return f"{scale.seconds:g} s"


def bad_disk(arena: Arena, scale: Scale) -> str:
    """While the switch is on, the disk fails, or does not answer at all: renewals go on."""
    arena.switch_file.touch()
    before = len(arena.granted())
    for _ in arena.during(scale.seconds):
        pass
    arena.wait_until(lambda: len(arena.granted()) > before, RENEW, "a renewal is answered while the disk is bad")
    renewals = len(arena.granted()) - before
    arena.switch_file.unlink()
    return f"{renewals} renewals meanwhile"


def no_memory(arena: Arena, scale: Scale) -> str:
    """The agent's memory limit is what it has, while there is work; who runs into it ends, and is started again."""
    end = boottime() + scale.seconds
    times = 0
    while boottime() < end:
        with suppress(OSError), limited(arena.pid, resource.RLIMIT_AS, 1 << 20):
            times += 1
            arena.command("renew", LINK)
            arena.command("status", LINK)
            for _ in arena.during(1.5):
                pass
        arena.revive()
        arena.renewed()
    return f"{times} times, {arena.restarts} ends"


def stopped_children(arena: Arena, scale: Scale) -> str:
    """Every program that the agent starts (hooks, the publisher) is stopped; so is the system's D-Bus. The renewals of
    an interface that nobody asks anything of are in time meanwhile."""
    other = _second_link(arena)
    hooks = arena.client.directory / "hooks"
    hook = hooks / "10-waits"
    hook.write_text("#!/bin/sh\nexec sleep 600\n", encoding="ascii")
    hook.chmod(0o755)
    stopped: set[int] = set()
    bus = socket.socket(socket.AF_UNIX)
    began = boottime()
    try:
        arena.client.run(lambda: _listen(bus))
        for _ in arena.during(max(scale.seconds, 2 * T1)):
            for pid in _children(arena.pid) - stopped:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
                    stopped.add(pid)
            arena.command("renew", LINK)
        arena.wait_until(lambda: renewals_since(arena, other, began)[0] >= 2, RENEW, f"{OTHER} renews twice")
    finally:
        bus.close()
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    assert stopped, "the agent started nothing"
    renewals, latest = renewals_since(arena, other, began)
    assert latest < IN_TIME, f"{OTHER} renewed {latest:.1f} s after T1"
    return f"{len(stopped)} programs, {renewals} renewals of {OTHER}, {max(latest, 0.0):.1f} s after T1 at the most"


def _second_link(arena: Arena) -> str:
    """Serve one more interface of the same server, bound; its hardware address."""
    arena.switch.plug(arena.client, OTHER)
    mac = arena.client.run(lambda: hardware_address(OTHER))
    arena.terminate()
    arena.links = [LINK, OTHER]
    arena.start()
    arena.wait_until(lambda: arena.client.run(lambda: arena.client.rtnl.addresses(OTHER)), 30, f"{OTHER} is bound")
    arena.renewed()
    return mac


def renewals_since(arena: Arena, mac: str, since: float) -> tuple[int, float]:
    """How often an interface was granted its lease since then, and the seconds by which the latest was after T1, less
    those that the agent and the server had no processor."""
    granted = [seen.at for seen in arena.server.wire.all() if seen.mac == mac and seen.kind == "ACK"]
    before = [at for at in granted if at <= since][-1:]
    renewals = [at for at in granted if at > since]
    moments = [*(before or [since]), *renewals, boottime()]  # the one that is due now counts, too
    gaps = [end - start - arena.waited(start, end) for start, end in pairwise(moments)]
    return len(renewals), max(gaps) - T1


def _listen(bus: socket.socket) -> None:
    os.makedirs("/run/dbus", exist_ok=True)
    bus.bind("/run/dbus/system_bus_socket")
    bus.listen(1)


def _children(pid: int) -> set[int]:
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            found |= set(map(int, (task / "children").read_text().split()))
    return found


def odd_name(arena: Arena, scale: Scale) -> str:
    """An interface whose name a shell would run."""
    arena.switch.plug(arena.client, ODD_NAME)
    arena.terminate()
    arena.links = [LINK, ODD_NAME]
    arena.start()
    arena.wait_until(lambda: arena.client.run(lambda: arena.client.rtnl.addresses(ODD_NAME)), 30, "it has an address")
    for _ in arena.during(scale.seconds):
        answer = arena.command("renew", ODD_NAME)
        assert answer.returncode == 0, answer.stderr
    return ODD_NAME


ATTACKS = (
    Attack("no-descriptors", "no descriptor is left, in a flap and an overrun", no_descriptors),
    Attack("overrun", "netlink messages are lost", overrun),
    Attack("full-disk", "ENOSPC", full_disk, records=False),
    Attack("read-only", "a read-only remount", read_only, records=False),
    Attack("bad-disk", "EIO on every write", bad_disk, program=(*_DISK, "fails"), records=False),
    Attack("hanging-disk", "the disk does not answer", bad_disk, program=(*_DISK, "hangs"), records=False),
    Attack("no-memory", "no memory is left", no_memory, mortal=True, records=False),
    Attack("stopped-children", "hooks, the publisher and D-Bus are stopped", stopped_children,
           config='[agent]\nhooks_dir = "{directory}/hooks"\n'),
    Attack("odd-name", "a name with quotes and a command", odd_name),
)
