"""A take-over on a fake machine: a client to take over from, an agent, and death at any step.

``Mortal`` is a fake machine that dies (raises Killed) at the n-th thing that is done to it, and does nothing
afterwards, as a process that got SIGKILL. A second one over the same folder is what the next process sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

from tests.support.fake_host import FakeHost

from holdfast.network.plan import Address, Observed, Op
from holdfast.network.spec import Route
from holdfast.settings.model import Settings
from holdfast.takeover.adapters import process
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Completed, Host
from holdfast.takeover.model import Command, FileChange, ForeignLease, Found, Ownership
from holdfast.takeover.plan import TakeoverTarget
from holdfast.takeover.processes import Process

ADDRESS = IPv4Interface("192.0.2.9/24")
GATEWAY = IPv4Address("192.0.2.1")
DEFAULT = Route(IPv4Network("0.0.0.0/0"), GATEWAY, 0, None, 3)
OWN_FILE, RUN_FILE = "/etc/old/own.conf", "/run/old/off"
AGENT_FILE = "/run/holdfast/agent.up"


class Killed(BaseException):
    """SIGKILL: nothing of this process happens any more."""


class Mortal(FakeHost):
    """Raises at the ``dies_at``-th act; 0: never."""

    def __init__(self, root: Path, dies_at: int = 0) -> None:
        super().__init__(root)
        self.acts = 0
        self.dies_at = dies_at
        self.observed = Observed((Address(ADDRESS, valid=3000.0, preferred=3000.0),), (DEFAULT,))

    def act(self) -> None:
        self.acts += 1
        if self.dies_at and self.acts >= self.dies_at:
            raise Killed

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        self.act()
        super().write(path, content, mode)

    def remove(self, path: str) -> None:
        if not path.startswith("/proc"):
            self.act()
        super().remove(path)

    def run(self, argv: Sequence[str], timeout: float = 30.0, env: Mapping[str, str] | None = None) -> Completed:
        self.act()
        return super().run(argv, timeout, env)

    def start(
        self, argv: Sequence[str], env: Mapping[str, str], cwd: str = "/", executable: str | None = None
    ) -> int:
        self.act()
        if argv[0].endswith("systemd-run"):  # it becomes what it runs
            argv = argv[list(argv).index("--") + 1:]
        taken = {int(name) for name in self.listdir("/proc") if name.isdigit() and self.listdir(f"/proc/{name}")}
        pid = 5000
        while pid in taken:
            pid += 1
        self.started.append((tuple(argv), dict(env)))
        self.add_process(pid, *argv, environment=env)
        return pid

    def kill(
        self, pids: Iterable[int], number: int = 9, timeout: float = 5.0,
        still: Callable[[Process], bool] | None = None,
    ) -> None:
        self.act()
        super().kill(pids, number, timeout, still)

    def perform(self, ifname: str, ops: Iterable[Op], say: Callable[[str], None]) -> None:
        self.act()
        super().perform(ifname, ops, say)


class OldClient:
    """An adapter: a process "oldclient eth0" that keeps its lease in /var/lib/old."""

    name = "oldclient"

    def find(self, host: Host, ifname: str) -> Found | None:
        for one in host.processes():
            if one.program == "oldclient" and one.argv[1:] == (ifname,):
                return process.found(host, self.name, self.name, ifname, one, f"pid {one.pid}")
        return None

    def read(self, host: Host, found: Found) -> ForeignLease:
        return foreign_lease(host.boottime())

    def own(self, host: Host, found: Found, lease: ForeignLease) -> Ownership:
        del host, found, lease
        return Ownership(
            (FileChange(RUN_FILE, b"off\n"), Command(("oldctl", "off"), ("oldctl", "on"))),
            (FileChange(OWN_FILE, b"mine = no\n"), Command(("oldctl", "disable"), ("oldctl", "enable"))),
        )

    def stop(self, host: Host, found: Found) -> None:
        process.stop(host, found)

    def give_back(self, host: Host, found: Found, lease_now: ForeignLease) -> None:
        assert not host.exists(AGENT_FILE), "two clients at once"
        assert not host.exists(RUN_FILE), "it is still kept off"
        host.write("/var/lib/old/lease", str(lease_now.address).encode())
        process.start_again(host, found)


class FakeAgent:
    """Stands in for ``agent.Agent``: up while a file is there. ``fault``: what the renewal answers instead."""

    fault = ""

    def __init__(self, host: Host, ifname: str, runtime_dir: str, unit: str) -> None:
        del ifname, runtime_dir
        self._host, self.unit = host, unit

    @property
    def serving(self) -> bool:
        return self._host.exists(AGENT_FILE)

    def start(self) -> None:
        assert OldClient().find(self._host, "eth0") is None, "two clients at once"
        self._host.write(AGENT_FILE, b"")

    def wait(self) -> None:
        if not self.serving:
            raise TakeoverError("the agent did not come up")

    def renew(self) -> str:
        if self.fault:
            raise TakeoverError(self.fault)
        return "renewed by unicast from 192.0.2.1"

    def stop(self) -> None:
        self._host.remove(AGENT_FILE)


def foreign_lease(now: float, client_id: bytes | None = b"\x01old") -> ForeignLease:
    """An hour's lease, ten minutes old."""
    return ForeignLease(
        ADDRESS, GATEWAY, now - 600, now + 1200, now + 2550, now + 3000,
        {1: b"\xff\xff\xff\0", 3: GATEWAY.packed, 51: (3600).to_bytes(4, "big"), 54: GATEWAY.packed},
        client_id, None, None, "/var/lib/old/lease",
    )


def furnish(host: FakeHost) -> None:
    """The machine before anything."""
    host.put("/proc/sys/kernel/random/boot_id", "a-boot\n")
    host.put(OWN_FILE, "mine = yes\n", 0o640)
    host.put("/usr/sbin/oldclient", "a program", 0o755)
    host.add_process(100, "oldclient", "eth0", environment={"HOME": "/root"})


def place(settings: Settings | None = None) -> TakeoverTarget:
    """Where Holdfast has its things."""
    return TakeoverTarget(
        "eth0", settings or Settings(), "/var/lib/holdfast", "/run/holdfast", "/var/lib/holdfast-dns",
        "/var/lib/holdfast-takeover",
    )


