"""A real keepalived pair on two guests that get their addresses by DHCP: the master must stay the master.

keepalived watches its interface by netlink and sends from its first address, so a client that flushes, removes or
re-makes addresses when it renews disturbs it: the other guest takes over, and every connection to the virtual
address with it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from holdfast_lab.peers import ALL
from holdfast_lab.peers.running import Running
from holdfast_lab.testbed.faults import NO_FAULTS, Faults, Lease, Unicast
from holdfast_lab.testbed.netns import Namespace, Switch
from holdfast_lab.testbed.server import LabServer
from holdfast_lab.testbed.stage import LINK, hardware_address
from holdfast_lab.witness.watch import Event, NetlinkWatch
from holdfast_lab.witness.wirelog import Seen, boottime

pytestmark = pytest.mark.root
VIRTUAL = "192.0.2.99/24"
#: T1 and T2 early, so that two renewals of both guests fit into ten seconds.
LEASE = Lease(time=14, t1=4, t2=7)
#: The client under test; others for whoever wants to compare.
CLIENT = os.environ.get("HOLDFAST_TEST_CLIENT", "holdfast")
#: The priority is the process's: a master that has no processor for a second is one that has gone, to the other.
CONFIG = """
global_defs {{
    router_id {name}
    vrrp_version 3
    vrrp_priority -20
}}
vrrp_instance both {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority {priority}
    advert_int 0.3
    virtual_ipaddress {{
        192.0.2.99/24
    }}
}}
"""


class Guest:
    """One machine with a DHCP client and keepalived."""

    def __init__(self, name: str, switch: Switch, priority: int, folder: Path, stack: ExitStack) -> None:
        self.machine = stack.enter_context(Namespace(name, private_files=False))
        switch.plug(self.machine, LINK)
        self.mac = self.machine.run(lambda: hardware_address(LINK))
        self.watch = NetlinkWatch(self.machine)
        stack.callback(self.watch.close)
        self._folder = folder / name
        self._folder.mkdir()
        (self._folder / "keepalived.conf").write_text(CONFIG.format(name=name, priority=priority))
        self.log = self._folder / "keepalived.log"
        self._stack = stack

    def bind(self) -> None:
        """Start the DHCP client."""
        client = Running(ALL[CLIENT], self.machine, LINK, self._folder / "client.log")
        self._stack.callback(client.kill)
        self.watch.wait_for(lambda event: event.kind == "address+" and event.what.startswith("192.0.2."), 20)

    def guard(self) -> None:
        """Start keepalived; it ends with the machine."""
        files = [f"--{name}={self._folder / name}.pid" for name in ("pid", "vrrp_pid")]
        with self.log.open("ab") as log:
            self.machine.popen(
                ["keepalived", "--vrrp", "--dont-fork", "--log-console", "--log-detail",
                 f"--use-file={self._folder / 'keepalived.conf'}", *files],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def virtual(self) -> list[Event]:
        """What happened to the virtual address here."""
        return [event for event in self.watch.events("address+", "address-") if event.what == VIRTUAL]


class Pair:
    """Two guests and a server on one switch; ``master`` has the virtual address."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.switch = stack.enter_context(Switch())
        far = stack.enter_context(Namespace("server"))
        self.switch.plug(far, "srv0")
        far.run(lambda: far.rtnl.add_address("srv0", "192.0.2.1/24"))
        self.server = stack.enter_context(LabServer(far, lease=LEASE))
        self.master = Guest("master", self.switch, 150, folder, stack)
        self.backup = Guest("backup", self.switch, 100, folder, stack)
        self.since = 0.0

    def settle(self) -> None:
        """Both bound, the master elected, and all of that over."""
        for guest in (self.master, self.backup):
            guest.bind()
        self.master.guard()
        self.master.watch.wait_for(lambda event: event.kind == "address+" and event.what == VIRTUAL, 20)
        self.backup.guard()
        self.server.wire.wait_for(lambda seen: renewed(seen, self.backup), 20, since=boottime())
        self.since = boottime()

    def wait_acks(self, count: int) -> None:
        """So many renewals of each guest from now on."""
        for guest in (self.master, self.backup):
            self.server.wire.wait_for(lambda seen, guest=guest: renewed(seen, guest), 40, since=self.since, count=count)

    def assert_calm(self) -> None:
        """The virtual address was on the master all the time, and never on the other.

        It may be told of again where it is: the kernel does so when a secondary address becomes the first one.
        """
        assert {event.kind for event in self.master.virtual()} == {"address+"}
        assert self.backup.virtual() == []
        assert "MASTER STATE" not in self.backup.log.read_text()


def renewed(seen: Seen, guest: Guest) -> bool:
    return seen.kind == "ACK" and seen.mac == guest.mac


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    if shutil.which("keepalived") is None:
        pytest.skip("keepalived is not installed")
    with ExitStack() as stack:
        found = Pair(tmp_path, stack)
        yield found
        for guest in (found.master, found.backup):
            print(guest.log.read_text() if guest.log.exists() else "", guest.log.with_name("client.log").read_text())


def renewals(pair: Pair) -> None:
    pair.wait_acks(2)


def rebinds(pair: Pair) -> None:
    pair.server.faults = Faults(unicast=Unicast.SILENT)
    pair.wait_acks(2)


def refusals(pair: Pair) -> None:
    pair.server.faults = Faults(nak=((-inf, inf),))
    for guest in (pair.master, pair.backup):
        pair.server.wire.wait_for(
            lambda seen, guest=guest: seen.kind == "NAK" and seen.mac == guest.mac, 20, since=pair.since
        )
    pair.server.faults = NO_FAULTS
    pair.wait_acks(2)


def moves(pair: Pair) -> None:
    """First the backup's address, then the master's, from which it sends its advertisements."""
    faults = Faults(move_at=0.0, move_to="192.0.2.78", move_only=pair.backup.mac)
    for guest in (pair.backup, pair.master):
        pair.server.faults = faults
        new = faults.move_to
        guest.watch.wait_for(lambda event, new=new: event.kind == "address+" and event.what == f"{new}/24", 40)
        guest.watch.wait_for(lambda event: event.kind == "address-" and event.what != VIRTUAL, 40, since=pair.since)
        faults = replace(faults, move_to="192.0.2.77", move_only=pair.master.mac)
    pair.wait_acks(3)


@pytest.mark.parametrize("what", [renewals, rebinds, refusals, moves])
def test_the_master_stays_the_master(pair: Pair, what: Callable[[Pair], None]) -> None:  # rules 56, 57, 58
    pair.settle()
    what(pair)
    pair.assert_calm()
