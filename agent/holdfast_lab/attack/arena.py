"""Where an attack takes place, and what is said of it afterwards."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast_lab.peers.running import size_in
from holdfast_lab.testbed.faults import NO_FAULTS, Faults, Lease
from holdfast_lab.testbed.netns import Namespace
from holdfast_lab.testbed.stage import LINK, Stage
from holdfast_lab.witness.verdict import Finding
from holdfast_lab.witness.wirelog import Seen, boottime

#: Seconds. Several renewals fall into every attack.
T1 = 6
LEASE = Lease(24, T1, 20)
#: Fair seconds until the first lease, and until the renewal after an attack.
BIND = RENEW = 40.0
#: systemd's RestartSec= of the units.
RESTART = 2.0
#: What a process may grow by in an attack, bytes of its own memory: what is imported late, and what Python keeps of it.
GROWTH = 6 << 20
_SECONDS = re.compile(r"\d+(\.\d+)? s\b")
_MAIN = "import sys; from holdfast.runtime.__main__ import main; sys.exit(main())"


@dataclass(frozen=True)
class Scale:
    """How much of an attack there is. ``seconds``: of each; ``kills``: SIGKILLs."""

    seconds: float
    kills: int


@dataclass(frozen=True)
class Attack:
    """``act(arena, scale)`` attacks, and returns what was done. ``mortal``: the agent may end, and systemd starts it
    again. ``records``: its journal can be read from outside, so promise 6 is judged. ``config``: the agent's, in which
    "{directory}" is a folder of the client's machine. ``program``: Python's words that start the agent, in which
    "{switch}" is a file to be made and removed. ``lengthy``: takes minutes, and is left out of a run of so many
    minutes that names no attack."""

    name: str
    title: str
    act: Callable[[Arena, Scale], str]
    config: str = ""
    faults: Faults = NO_FAULTS
    mortal: bool = False
    records: bool = True
    grows: int = GROWTH
    lease: Lease = LEASE
    program: tuple[str, ...] = ()
    lengthy: bool = False


@dataclass(frozen=True)
class Verdict:
    """What came of one attack; nothing ``lost`` means that it was held."""

    attack: str
    did: str
    lost: tuple[str, ...]
    restarts: int
    grown: int
    took: float


class Arena(Stage):
    """Client, server and a neighbour on a switch; the agent is started again when it ends, as its unit does it."""

    def __init__(self, attack: Attack) -> None:
        super().__init__(lease=attack.lease, faults=attack.faults, switch=True)
        directory = self.client.directory
        (directory / "hooks").mkdir()
        (directory / "holdfast.toml").write_text(attack.config.replace("{directory}", str(directory)), encoding="utf-8")
        self.attack = attack
        self.restarts = 0
        self.foreign: set[str] = set()
        self.neighbour = Namespace("neighbour")
        self.on_close(self.neighbour.close)
        self.switch.plug(self.neighbour, LINK)
        self.switch_file = self.client.directory / "switch"
        self.links = [LINK]

    def __enter__(self) -> Arena:
        return self

    def given(self) -> set[str]:
        """The address of the link that is judged: 250 links that are probed 20 times a second would be a flood."""
        found = {server.address_of(self.mac) for server in self.servers}
        return {address for address in found if address is not None}

    def start(self) -> None:
        """Start the agent, by ``attack.program`` where that is set."""
        program = self.attack.program or ("-c", _MAIN)
        words = [sys.executable, *(word.replace("{switch}", str(self.switch_file)) for word in program),
                 "--config", str(self.client.directory / "holdfast.toml"), *self.links]
        with self.log_path.open("a", encoding="utf-8") as log:
            self.started_at = boottime()
            self.process = self.client.start_client(
                words, env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def revive(self, after: float = RESTART) -> bool:
        """Start the agent again if it has ended; whether it had."""
        if self.process is not None and self.process.poll() is None:
            return False
        time.sleep(after)  # systemd's own delay
        self.restarts += 1
        self.start()
        return True

    @property
    def pid(self) -> int:
        """Of the agent, which runs."""
        assert self.process is not None
        return self.process.pid

    @property
    def state(self) -> Path:
        """The agent's folder of leases and history."""
        return self.client.directory / "state"

    def address(self) -> str:
        """What the last ACK gave."""
        return [seen.yiaddr for seen in self.wire() if seen.kind == "ACK"][-1]

    def during(self, seconds: float) -> Iterator[float]:
        """The seconds that are left, about ten times a second, until there are none; the agent is revived meanwhile."""
        end = boottime() + seconds
        while (left := end - boottime()) > 0:
            yield left
            self.revive()
            time.sleep(min(left, 0.1))  # the pace of the attack

    def waited(self, start: float, end: float) -> float:
        """Seconds that agent and servers had no processor between two instants, all together."""
        samples = self.processor.samples()
        until = [next((total for at, total in samples if at >= moment), samples[-1][1]) for moment in (start, end)]
        return until[1] - until[0]

    def granted(self) -> list[Seen]:
        """The ACKs so far."""
        return [seen for seen in self.wire() if seen.kind == "ACK"]

    def renewed(self, timeout: float = RENEW) -> None:
        """Return when one more ACK was sent and the address is there; AssertionError."""
        before = len(self.granted())

        def done() -> bool:
            self.revive()
            return len(self.granted()) > before

        self.wait_until(done, timeout, "a renewal is answered")
        self.wait_until(lambda: any(str(a.interface.ip) == self.address() for a in self.addresses()), 10, "it is used")

    def inside(self, path: Path) -> Path:
        """``path`` as the agent sees it."""
        return Path(f"/proc/{self.pid}/root{path}")

    @contextmanager
    def in_client(self, words: list[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
        """A program on the client's machine, ended afterwards."""
        child = self.client.popen(words, **options)
        try:
            yield child
        finally:
            child.kill()
            child.wait()


def memory(pid: int) -> int:
    """A process's own memory (anonymous) in bytes; 0 for one that has ended. Not PSS: its share of the interpreter's
    file grows when another Python on the machine ends, by hundreds of KiB."""
    with suppress(OSError):
        return size_in(Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii"), "Anonymous")
    return 0


def descriptors(pid: int) -> int:
    """How many a process has open."""
    with suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0


def broken(findings: Iterable[Finding]) -> list[str]:
    """What was not kept, each once: texts that differ in seconds alone are one, with how often it was."""
    times: dict[tuple[int, str], list[str]] = {}
    for one in findings:
        if not one.kept:
            times.setdefault((one.promise, _SECONDS.sub("s", one.text)), []).append(one.text)
    return [f"promise {promise}: {texts[0]}" + (f" ({len(texts):,} such)" if len(texts) > 1 else "")
            for (promise, _text), texts in times.items()]


def fight(attack: Attack, scale: Scale) -> Verdict:
    """Bind, attack, see a renewal afterwards, and judge."""
    began = time.monotonic()
    did, lost, grown = "", [], 0
    with Arena(attack) as arena:
        try:
            arena.bind(BIND)
            arena.renewed()
            pid, before, opened = arena.pid, memory(arena.pid), descriptors(arena.pid)
            did = attack.act(arena, scale)
            arena.renewed()
            if arena.pid == pid:
                grown = memory(pid) - before
                if grown > attack.grows:
                    lost.append(f"it grew by {grown / (1 << 20):.1f} MiB")
                left = descriptors(pid) - opened
                if left > 4:
                    lost.append(f"it has {left} descriptors more")
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            lost.append(str(error).partition("; the client said")[0][:300])
        if arena.restarts and not attack.mortal:
            lost.append("the agent ended: " + " | ".join(arena.log().strip().splitlines()[-3:])[-400:])
        findings = arena.findings(foreign=arena.foreign, records=attack.records and not arena.restarts)
        lost += broken(findings)
        restarts = arena.restarts
    return Verdict(attack.name, did, tuple(lost), restarts, grown, time.monotonic() - began)
