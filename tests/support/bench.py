"""A site with a server, the daemon, a monitor and a probe: what every integration test starts from."""

from __future__ import annotations

import os
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

from tests.support.agent import Agent
from tests.support.monitor import Change, Monitor, boottime
from tests.support.probe import Probe
from tests.support.servers import SERVERS, Server, Service
from tests.support.site import BRIDGE, CLIENT, Site

from holdfast_lab.testbed.fair_time import Stopwatch

#: Seconds that a witness may be off by. What anybody waited for a processor is counted apart (``Bench.stopwatch``).
TOLERANCE = 0.25
ADDRESS = "10.77.0.50"
OTHER = "10.77.0.60"


class Bench:
    """Everything is made, nothing is started but the monitor. Use it as a context manager."""

    def __init__(self, server: str, folder: Path, service: Service | None = None) -> None:
        self._stack = ExitStack()
        self.folder = folder
        self.site = Site()
        self._stack.callback(self.site.close)
        self.server: Server = SERVERS[server](self.site.server, BRIDGE, folder, service or Service())
        self._stack.callback(self.server.kill)
        self.agent = Agent(self.site.client, CLIENT, folder / "agent")
        self._stack.callback(self.agent.close)
        self.monitor = Monitor(self.site.client)
        self._stack.callback(self.monitor.close)
        self.probe: Probe | None = None
        self.held_from = 0

    def acquire(self, *probed: str) -> None:
        """Start server and daemon; return when the lease is there, watched and probed from then on."""
        self.server.start()
        self.agent.start()
        self.agent.wait_result("acquired")
        self.agent.wait_address(ADDRESS)
        socket = self.agent.runtime / f"{self.agent.interface}.varlink"
        self.agent.wait(socket.exists, 20, "commands reach it")  # that comes after the first lease
        self.watch(*(probed or (ADDRESS,)))

    def watch(self, *probed: str) -> None:
        """From now on nothing may be lost; ``probed`` are the addresses to ask."""
        self.held_from = self.monitor.mark()
        self.probe = Probe(self.site.server, *probed)
        self._stack.callback(self.probe.finish)

    def assert_held(self, address: str = ADDRESS, *, until: float = float("inf"), since: float = 0.0) -> None:
        """Since ``watch`` no address and no route has gone, and every question was answered.

        ``until`` and ``since`` are instants of CLOCK_BOOTTIME that narrow it down.
        """
        assert self.probe is not None
        self.probe.finish()
        lost = self.monitor.lost_addresses(address, self.held_from)
        lost += self.monitor.lost_routes(self.held_from)
        assert [change for change in lost if since <= change.at <= until] == []
        assert self.probe.missed(address, since, until) == []
        asked = self.probe.asked(address, since, until)
        assert asked, "the probe has not asked anything"
        # Twenty questions in a second, but this process has to wait for a processor as every other does.
        gaps = [later - earlier for earlier, later in pairwise(asked)]
        assert self.probe.watch.own(max(gaps, default=0.0)) < 1.0, "the probe itself was held up"

    def assert_moved(self, former: str = ADDRESS, latter: str = OTHER) -> None:
        """The new address was there before the old one went, and one of them always answered."""
        assert self.probe is not None
        self.probe.finish()
        gained = self.monitor.given_addresses(latter, self.held_from)
        lost = self.monitor.lost_addresses(former, self.held_from)
        assert gained, f"{latter} never came"
        assert len(lost) == 1, lost
        assert gained[0].at < lost[0].at, "the old address went first"
        assert self.monitor.lost_addresses(latter, self.held_from) == []
        assert self.probe.silent() == [], "neither of them answered"
        assert self.probe.gaps(former) == [], "the old address went and came"
        assert self.probe.gaps(latter) == [], "the new address went and came"

    def stopwatch(self) -> Stopwatch:
        """To be started before a cause: judges what daemon, server and witness took of time."""
        server = [] if self.server.process is None else [self.server.process.pid]
        return self.agent.stopwatch(os.getpid(), *server)

    def routes(self) -> list[str]:
        """The routes of the client's main table, as ip(8) prints them, without trailing spaces."""
        return [line.strip() for line in self.site.on_client("ip", "-4", "route").splitlines()]

    def lifetimes(self) -> list[Change]:
        """Every RTM_NEWADDR of the address since ``watch``."""
        return self.monitor.given_addresses(ADDRESS, self.held_from)

    def close(self) -> None:
        """End everything, in the reverse of the order in which it began."""
        self._stack.close()

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


__all__ = ["ADDRESS", "OTHER", "TOLERANCE", "Bench", "boottime"]
