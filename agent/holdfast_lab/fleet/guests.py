"""The guests: `holdfast run` and node_exporter, each pair in namespaces of its own, and the server that they share."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType

from holdfast_lab.testbed.faults import Lease, Unicast
from holdfast_lab.testbed.netns import Namespace, Switch
from holdfast_lab.testbed.server import LabServer
from holdfast_lab.testbed.stage import LINK, agent_environment, hardware_address, holdfast_command

SERVER, EXPORTER_PORT = "192.0.2.1", 9100


class Guest:
    """One machine with the agent and the exporter."""

    def __init__(self, name: str, switch: Switch) -> None:
        self.name = name
        self.machine = Namespace(name)
        switch.plug(self.machine, LINK)
        self.mac = self.machine.run(lambda: hardware_address(LINK))
        self._metrics = self.machine.directory / "metrics"
        self._metrics.mkdir()

    def start(self) -> None:
        """Start both programs; they end with the machine."""
        folder = self.machine.directory
        configuration = folder / "holdfast.toml"
        configuration.write_text(f'[agent]\nmetrics_dir = "{self._metrics}"\n', encoding="utf-8")
        self._spawn("holdfast", [*holdfast_command(), "run", "--config", str(configuration), LINK])
        self._spawn("exporter", [
            "prometheus-node-exporter", "--collector.disable-defaults", "--collector.textfile",
            f"--collector.textfile.directory={self._metrics}", f"--web.listen-address=:{EXPORTER_PORT}",
        ])

    def _spawn(self, name: str, command: list[str]) -> None:
        with (self.machine.directory / f"{name}.log").open("wb") as log:
            environment = agent_environment(self.machine.directory)
            self.machine.start_client(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def log(self) -> str:
        """What the agent has said."""
        return (self.machine.directory / "holdfast.log").read_text(encoding="utf-8", errors="replace")


class Fleet:
    """Guests, a switch and one DHCP server; a context manager."""

    def __init__(self, guests: int, lease: Lease) -> None:
        self._stack = ExitStack()
        self._lease = lease
        self._server: LabServer | None = None
        try:
            self.watcher = self._stack.enter_context(Namespace("watcher"))
            switch = self._stack.enter_context(Switch())
            switch.plug(self.watcher, "srv0")
            self.watcher.run(lambda: self.watcher.rtnl.add_address("srv0", f"{SERVER}/24"))
            self.guests = [Guest(f"guest-{number}", switch) for number in range(1, guests + 1)]
            for guest in self.guests:
                self._stack.callback(guest.machine.close)
            self._stack.callback(self.kill_server)
            self.start_server()
        except BaseException:
            self._stack.close()
            raise

    def start_server(self) -> None:
        """Start it, without memory of what it has given."""
        self._server = LabServer(self.watcher, address=f"{SERVER}/24", lease=self._lease)

    def deafen_server(self) -> None:
        """From now on unicast is not heard, as behind nova-network."""
        assert self._server is not None
        self._server.faults = replace(self._server.faults, unicast=Unicast.SILENT)

    def kill_server(self) -> None:
        """End it; what it has given stays with the guests."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def addresses(self) -> dict[str, str]:
        """Guest -> the address that the server has given it."""
        if self._server is None:
            return {}
        given = {guest.name: self._server.address_of(guest.mac) for guest in self.guests}
        return {name: address for name, address in given.items() if address is not None}

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
