"""A whole bench in one object: server, client, witnesses, and the same `holdfast run` that ships."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from holdfast_lab.testbed import fair_time
from holdfast_lab.testbed.faults import NO_FAULTS, Faults, Lease
from holdfast_lab.testbed.netns import Namespace, Switch, connect
from holdfast_lab.testbed.rtnl import Address, Route
from holdfast_lab.testbed.server import LabServer
from holdfast_lab.witness.exchanges import spans
from holdfast_lab.witness.processor import ProcessorWatch
from holdfast_lab.witness.verdict import Evidence, Finding, judge, unrecorded
from holdfast_lab.witness.watch import NetlinkWatch, Prober
from holdfast_lab.witness.wirelog import Seen, boottime, merged

LINK = "eth0"
T = TypeVar("T")


def holdfast_command() -> list[str]:
    """The installed `holdfast`, or the same through this interpreter when it has no script beside it."""
    script = Path(sys.executable).with_name("holdfast")
    if script.exists():
        return [str(script)]
    return [sys.executable, "-c", "import sys; from holdfast.cli import main; sys.exit(main())"]


def agent_environment(folder: Path) -> dict[str, str]:
    """For an agent whose state and sockets are below ``folder``, and that tells no service manager anything."""
    hidden = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM", "LISTEN_FDS", "LISTEN_PID"}
    folders = {"STATE_DIRECTORY": str(folder / "state"), "RUNTIME_DIRECTORY": str(folder / "run")}
    return {key: value for key, value in os.environ.items() if key not in hidden} | folders


def hardware_address(link: str) -> str:
    """The MAC of a link in the calling thread's namespace, as "02:00:00:00:00:01"."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as probe:
        probe.bind((link, 0))
        address: bytes = probe.getsockname()[4]
        return address.hex(":")


class Stage:
    """Server and client on one cable (with ``switch``: on a switch, so that carrier can go), all in namespaces.

    ``config`` is the text of a configuration file for the client; ``identity`` the server's identifier when it is not
    its address; ``private_files`` is False for a client that brings its own view of the file system. Use it as a
    context manager; leaving it ends everything. ``client.directory`` and ``server_machine.directory`` are temporary.
    """

    def __init__(
        self,
        *,
        lease: Lease | None = None,
        faults: Faults = NO_FAULTS,
        switch: bool = False,
        config: str = "",
        identity: str | None = None,
        private_files: bool = True,
    ) -> None:
        self._stack = ExitStack()
        self.servers: list[LabServer] = []
        try:
            self.client = self._stack.enter_context(Namespace("client", private_files=private_files))
            self.server_machine = self._stack.enter_context(Namespace("server"))
            self.port = self._wire(switch)
            self.rtnl = self.server_machine.rtnl
            self.server = self.add_server("192.0.2.1/24", identity=identity, lease=lease, faults=faults)
            self.ifindex = self.client.run(lambda: socket.if_nametoindex(LINK))
            self.mac = self.client.run(lambda: hardware_address(LINK))
            self.watch = NetlinkWatch(self.client)
            self._stack.callback(self.watch.close)
            self.prober = Prober(self.server_machine, self.given, only=self.mac)
            self._stack.callback(self.prober.close)
            self.process: subprocess.Popen[Any] | None = None
            self.processor = ProcessorWatch(self._awaited)
            self._stack.callback(self.processor.close)
        except BaseException:
            self._stack.close()
            raise
        self.started_at = 0.0
        self._config = self.client.directory / "holdfast.toml"
        self._config.write_text(config, encoding="utf-8")
        self.log_path = self.client.directory / "holdfast.log"
        self._excused: list[tuple[float, float]] = []

    def _wire(self, switch: bool) -> str | None:
        if not switch:
            connect(self.client, LINK, self.server_machine, "srv0")
            return None
        self.switch = self._stack.enter_context(Switch())
        port = self.switch.plug(self.client, LINK)
        self.switch.plug(self.server_machine, "srv0")
        return port

    def given(self) -> set[str]:
        """Every address that an ACK has given."""
        return {address for server in self.servers for address in server.given}

    def _awaited(self) -> list[tuple[int, int | None]]:
        """Who has to get a processor before a renewal is answered: the client and the servers."""
        servers: list[tuple[int, int | None]] = [(os.getpid(), server.thread) for server in self.servers]
        return [*((pid, None) for pid in self.pids()), *servers]

    def pids(self) -> list[int]:
        """The client's processes."""
        return [] if self.process is None or self.process.returncode is not None else [self.process.pid]

    def add_server(
        self, address: str, *, identity: str | None = None, lease: Lease | None = None, faults: Faults = NO_FAULTS
    ) -> LabServer:
        """Another server on the same cable; its log is its own."""
        self.server_machine.run(lambda: self.rtnl.add_address("srv0", address))  # again does no harm
        name = address.partition("/")[0]
        log = self.server_machine.directory / f"wire-{name}.jsonl"
        machine = self.server_machine
        server = LabServer(machine, address=address, identity=identity, lease=lease, faults=faults, log=log)
        self._stack.callback(server.close)
        self.servers.append(server)
        return server

    # --- the client -----------------------------------------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        """The client's: its folders are on the stage, and no service manager is told anything."""
        return agent_environment(self.client.directory)

    def start(self) -> None:
        """Start `holdfast run eth0`."""
        words = [*holdfast_command(), "run", "--config", str(self._config), LINK]
        with self.log_path.open("a", encoding="utf-8") as log:
            self.started_at = boottime()
            self.process = self.client.start_client(
                words, env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def bind(self, timeout: float = 20) -> float:
        """Start, and wait until the address is there; the instant."""
        self.start()
        return self.watch.wait_for(
            lambda event: event.kind == "address+" and event.ifindex == self.ifindex, timeout, since=self.started_at
        ).at

    def terminate(self, timeout: float = 10) -> float:
        """SIGTERM; the seconds it took to end, not counting those without a processor."""
        assert self.process is not None
        return fair_time.end(self.process, signal.SIGTERM, timeout)

    def stopwatch(self) -> fair_time.Stopwatch:
        """To be started before a cause: judges what the client, the servers and the witnesses took of time."""
        return fair_time.Stopwatch(os.getpid(), *self.pids())

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def command(self, *words: str, timeout: float = 20) -> subprocess.CompletedProcess[str]:
        """Run a `holdfast` command beside the client."""
        command = [*holdfast_command(), *words]
        return self.client.run(lambda: fair_time.run(command, timeout, env=self.environment(), text=True))

    def log(self) -> str:
        """What the client has said so far."""
        with suppress(OSError):
            return self.log_path.read_text(encoding="utf-8")
        return ""

    def records(self) -> list[dict[str, Any]]:
        """The client's journal of outcomes."""
        path = self.client.directory / "state" / f"{LINK}.outcomes.jsonl"
        with suppress(OSError):
            return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
        return []

    def recorded(self, wire: Sequence[Seen], timeout: float = 10) -> list[dict[str, Any]]:
        """The client's journal as soon as each renewal that was answered on the ``wire`` is in it: it is written after
        the answer. As it is then, when the client has ended, and after ``timeout`` fair seconds."""
        with suppress(AssertionError):
            self.wait_until(lambda: unrecorded(wire, self.records()) <= 0 or self._ended(), timeout)
        return self.records()

    def _ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def addresses(self) -> list[Address]:
        """What the client's link has now."""
        return self.client.run(lambda: self.client.rtnl.addresses(LINK))

    def routes(self) -> list[Route]:
        """The routes over the client's link now."""
        return self.client.run(lambda: self.client.rtnl.routes(LINK))

    def wait_until(self, condition: Callable[[], T | None], timeout: float, what: str = "a condition") -> T:
        """What ``condition`` returns as soon as that is true; for what leaves no event. AssertionError after
        ``timeout`` fair seconds."""

        def told() -> str:
            return f"; the client said:\n{self.log()}"

        value = fair_time.wait_until(condition, timeout, what, told=told)
        assert value is not None
        return value

    # --- the cable ------------------------------------------------------------------------------------------------

    def pull_cable(self) -> None:
        """The client loses carrier. Until ``plug_cable`` nobody expects it to answer."""
        assert self.port is not None, "the stage has no switch"
        self._excused.append((boottime(), float("inf")))
        self.switch.carrier(self.port, up=False)

    def plug_cable(self) -> None:
        """The carrier comes back."""
        assert self.port is not None, "the stage has no switch"
        self.switch.carrier(self.port, up=True)
        start, _end = self._excused.pop()
        self._excused.append((start, boottime() + 1.0))  # ports need a moment to forward

    # --- the verdict ----------------------------------------------------------------------------------------------

    def wire(self) -> list[Seen]:
        """What client and servers have said to each other so far, each message once."""
        return [seen for seen in merged([server.wire.all() for server in self.servers]) if seen.mac == self.mac]

    def evidence(self, *, foreign: Iterable[str] = (), released: bool = False, records: bool = True) -> Evidence:
        """All that was seen until now, and the records of it."""
        wire = self.wire()
        return Evidence(
            wire=wire,
            events=self.watch.events(),
            ended_at=boottime(),
            ifindex=self.ifindex,
            probes={span.address: self.prober.probes(span.address) for span in spans(wire)},
            records=self.recorded(wire) if records else None,
            foreign=frozenset(foreign),
            excused=tuple(self._excused),
            released=released,
            waits=self.processor.samples(),
        )

    def findings(self, **options: Any) -> list[Finding]:
        """The verdict on what was seen until now."""
        return judge(self.evidence(**options))

    def on_close(self, action: Callable[[], object]) -> None:
        """Do this when the stage is cleared, before what was made earlier goes."""
        self._stack.callback(action)

    def close(self) -> None:
        """End everything."""
        self._stack.close()

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):  # pytest shows this when a test fails
            print(f"--- the client said:\n{self.log()}")
        self.close()
