"""A machine in a folder: files below a root, processes in its /proc, commands that are only noted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from holdfast.network.link import Link
from holdfast.network.plan import Observed, Op
from holdfast.takeover.host import Completed, Host
from holdfast.takeover.processes import Process


class FakeHost(Host):
    """``ran`` are the commands in order; ``answers`` maps the head of a command line (as text) to what it
    leaves, and everything else succeeds. ``started``, ``killed``: what was asked for. Clocks stand still."""

    def __init__(self, root: Path, *, mac: bytes = bytes.fromhex("020000000001")) -> None:
        super().__init__(str(root))
        self.folder = root
        self.ran: list[tuple[str, ...]] = []
        self.answers: dict[str, Completed | Callable[[Sequence[str]], Completed]] = {}
        self.started: list[tuple[tuple[str, ...], dict[str, str]]] = []
        self.killed: list[tuple[int, int]] = []
        self.observed = Observed()
        self.performed: list[Op] = []
        self.links = {"eth0": Link("eth0", 2, mac, 1, 0x1043)}
        self.now = 10_000.0
        self.unix = 1_800_000_000.0

    # -- furnishing ------------------------------------------------------------------------------

    def put(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        """A file of the machine."""
        real = Path(self.path(path))
        real.parent.mkdir(parents=True, exist_ok=True)
        real.write_bytes(content.encode() if isinstance(content, str) else content)
        real.chmod(mode)

    def add_process(
        self, pid: int, *argv: str, ppid: int = 1, group: int = 0, unit: str = "",
        environment: Mapping[str, str] | None = None, comm: str = "", uids: tuple[int, int, int, int] = (0, 0, 0, 0),
        exe: str = "",
    ) -> None:
        """A process of the machine, with what /proc tells of it. ``exe`` is its program, by default root's."""
        name = argv[0].split(":")[0].rsplit("/", 1)[-1]
        fields = f"S {ppid} {group or pid}" + " 0" * 16 + f" {100 + pid} 0"
        self.put(f"/proc/{pid}/stat", f"{pid} ({comm or name[:15]}) {fields}")
        self.put(f"/proc/{pid}/status", f"Name:\t{comm or name}\nUid:\t{' '.join(map(str, uids))}\n")
        program = exe or (argv[0] if argv[0].startswith("/") else f"/usr/sbin/{name}")
        if not self.exists(program):
            self.put(program, "a program", 0o755)
        link = Path(self.path(f"/proc/{pid}/exe"))
        link.unlink(missing_ok=True)
        link.symlink_to(program)
        self.put(f"/proc/{pid}/cmdline", "\0".join(argv) + "\0")
        self.put(f"/proc/{pid}/environ", "".join(f"{k}={v}\0" for k, v in (environment or {}).items()))
        self.put(f"/proc/{pid}/cgroup", f"0::/system.slice/{unit}\n" if unit else "0::/\n")

    def stat(self, path: str) -> os.stat_result | None:
        """What /proc/PID/exe leads to is a file of this machine."""
        return super().stat(self.readlink(path) or path)

    def remove_process(self, pid: int) -> None:
        """It is gone."""
        for name in self.listdir(f"/proc/{pid}"):
            self.remove(f"/proc/{pid}/{name}")

    def boot_systemd(self) -> None:
        """systemd is PID 1."""
        (self.folder / "run/systemd/system").mkdir(parents=True, exist_ok=True)

    def tree(self) -> dict[str, bytes]:
        """Every file with its content."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted(self.folder.rglob("*")) if path.is_file()
        }

    # -- what Host does --------------------------------------------------------------------------

    def run(self, argv: Sequence[str], timeout: float = 30.0, env: Mapping[str, str] | None = None) -> Completed:
        self.ran.append(tuple(argv))
        line = " ".join(argv)
        heads = [head for head in self.answers if line == head or line.startswith(head + " ")]
        if not heads:
            return Completed(0, "", "")
        answer = self.answers[max(heads, key=len)]
        return answer(argv) if callable(answer) else answer

    def start(
        self, argv: Sequence[str], env: Mapping[str, str], cwd: str = "/", executable: str | None = None
    ) -> int:
        self.started.append((tuple(argv), dict(env)))
        pid = 5000 + len(self.started)
        self.add_process(pid, *argv, environment=env)
        return pid

    def kill(
        self, pids: Iterable[int], number: int = 9, timeout: float = 5.0,
        still: Callable[[Process], bool] | None = None,
    ) -> None:
        for pid in pids:
            process = self.process(pid)
            if still is not None and (process is None or not still(process)):
                continue
            self.killed.append((pid, number))
            if number in (9, 15):
                self.remove_process(pid)

    def wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        return any(condition() for _ in range(3))

    def interfaces(self) -> list[str]:
        return ["lo", *self.links]

    def nodename(self) -> str:
        return "guest"

    def link(self, ifname: str) -> Link:
        if ifname in self.links:
            return self.links[ifname]
        return super().link(ifname)  # the real error of a name that there is none of

    def observe(self, ifname: str) -> Observed:
        return self.observed

    def perform(self, ifname: str, ops: Iterable[Op], say: Callable[[str], None]) -> None:
        self.performed += list(ops)

    def boottime(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.unix

    def which(self, program: str) -> str | None:
        return f"/usr/sbin/{program}"
