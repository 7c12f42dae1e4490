"""The stage of one scenario: any client in a cage of its own, the server, and whoever else there is."""

from __future__ import annotations

import json
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from holdfast_lab.bench.flood import start_sender
from holdfast_lab.peers import ALL
from holdfast_lab.peers.running import Running
from holdfast_lab.scenario.scenario import Deed, Flood, Scenario
from holdfast_lab.testbed.netns import Namespace
from holdfast_lab.testbed.stage import LINK, Stage
from holdfast_lab.witness.exchanges import spans
from holdfast_lab.witness.wirelog import boottime

#: How long after another program deleted the address nobody expects it back (rule 60: one second).
RESTORE = 1.25


class Place(Stage):
    """One client and one scenario; ``play.py`` makes things happen here."""

    running: Running | None = None

    def __init__(self, scenario: Scenario, client: str, *, log: Path | None = None) -> None:
        super().__init__(
            lease=scenario.lease,
            faults=scenario.faults_at(-1.0),
            switch=True,
            identity=scenario.identity,
            private_files=False,  # the cage brings its own
        )
        self.scenario = scenario
        self.peer = ALL[client]
        self.log_path = log or self.log_path
        self.foreign: set[str] = set()
        self.meddled: list[float] = []
        self.contested: set[str] = set()
        self._neighbours: dict[str, Namespace] = {}

    def __enter__(self) -> Place:
        return self

    # --- the client -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the client in its cage, or once more in the same one."""
        if self.running is None:
            self.running = Running(self.peer, self.client, LINK, self.log_path)
            self.on_close(self.running.kill)
            self.started_at = self.running.started
        else:
            self.running.again()

    def records(self) -> list[dict[str, Any]]:
        """Holdfast's journal of outcomes, which is the promise that is judged by it."""
        assert self.running is not None
        path = self.running.inside(f"/var/lib/holdfast/{LINK}.outcomes.jsonl")
        with suppress(OSError, IndexError):
            return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
        return []

    def pids(self) -> list[int]:
        """The client's processes."""
        return [] if self.running is None else self.running.pids()

    def _ended(self) -> bool:
        return not self.pids()

    def address(self) -> str | None:
        """What the last ACK gave."""
        given = spans(self.wire())
        return given[-1].address if given else None

    # --- what happens ---------------------------------------------------------------------------------------------

    def do(self, deed: Deed) -> None:
        """Do one deed of the scenario."""
        {
            "cable": self._cable,
            "client": self._client,
            "server": lambda _what: self.server.forget(),
            "gateway": lambda _what: self._gateway_silent(),
            "delete": lambda _what: self._delete(),
            "add_address": self._add_address,
            "add_route": self._add_route,
        }[deed.kind](deed.what)

    def _cable(self, what: str) -> None:
        if what == "out":
            self.pull_cable()
        else:
            self.plug_cable()

    def _client(self, what: str) -> None:
        assert self.running is not None
        if what == "start":
            self.start()
        else:
            self.running.end(signal.SIGKILL if what == "kill" else signal.SIGTERM)

    def _delete(self) -> None:
        """As ``ip address del`` does it."""
        address = self.address()
        for entry in self.addresses():
            if str(entry.interface.ip) == address:
                self._delete_one(str(entry.interface))

    def _delete_one(self, what: str) -> None:
        at = boottime()
        self._excused.append((at, at + RESTORE))
        self.client.run(lambda: self.client.rtnl.delete_address(LINK, what))
        gone = self.watch.wait_for(lambda event: (event.kind, event.what) == ("address-", what), 10, since=at)
        self.meddled.append(gone.at)  # when the witness saw it, as all that the verdict compares it with

    def _add_address(self, what: str) -> None:
        self.client.run(lambda: self.client.rtnl.add_address(LINK, what))
        self.foreign.add(what)

    def _add_route(self, what: str) -> None:
        destination, _via, gateway = what.partition(" via ")
        self.client.run(lambda: self.client.rtnl.add_route(LINK, destination, gateway, metric=7))
        self.foreign.add(f"{destination} via {gateway} metric 7 proto 4")  # as the witness says it

    # --- the others -----------------------------------------------------------------------------------------------

    def neighbour(self, answers: str, present: bool) -> None:
        """Another machine that has an address, or the client's; or a gateway that answers ARP for everything: the
        server, or ("everything, as 192.0.2.254") a router that is not the server."""
        what, _as, router = answers.partition(", as ")
        if answers == "everything":
            self._proxy_arp(self.server_machine, "srv0")
            return
        if not present:
            self._neighbours.pop(answers).close()
            return
        machine = Namespace("neighbour")
        self.on_close(machine.close)
        self._neighbours[answers] = machine
        self.switch.plug(machine, LINK)
        if what == "everything":
            machine.run(lambda: machine.rtnl.add_address(LINK, f"{router}/24"))
            self._proxy_arp(machine, LINK)
            return
        address = (self.address() or answers) if answers == "the client's address" else answers
        self.contested.add(address)
        machine.run(lambda: machine.rtnl.add_address(LINK, f"{address}/24"))

    def _proxy_arp(self, machine: Namespace, link: str) -> None:
        """The kernel answers ARP for what it would send out of another link: here, for all of the subnet."""
        machine.run(lambda: machine.rtnl.add_veth("far", "farther", machine.fd))
        for end in ("far", "farther"):
            machine.run(lambda end=end: machine.rtnl.set_link(end, up=True))  # type: ignore[misc]
        for half in ("192.0.2.0/25", "192.0.2.128/25"):  # more specific than the subnet itself
            machine.run(lambda half=half: machine.rtnl.add_route("far", half))  # type: ignore[misc]
        for key in ("forwarding", "proxy_arp"):
            machine.sysctl(f"net/ipv4/conf/{link}/{key}", 1)
        machine.sysctl(f"net/ipv4/neigh/{link}/proxy_delay", 0)

    def _gateway_silent(self) -> None:
        """ARP for the server's machine stays without an answer (ip-sysctl: arp_ignore). DHCP goes on."""
        self.server_machine.sysctl("net/ipv4/conf/srv0/arp_ignore", 8)

    def flood(self, flood: Flood) -> None:
        """Send malformed packets to the client from the server's side, for a while."""
        bound = next(seen for seen in self.wire() if seen.kind == "ACK")
        start_sender(self.server_machine, bound, rate=flood.rate, seconds=flood.seconds)
