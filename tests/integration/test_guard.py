"""A guard beside real clients whose server does not hear unicast."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from holdfast import __version__
from holdfast.guard.nflog import TABLE
from holdfast_lab.peers import ALL
from holdfast_lab.testbed import fair_time
from holdfast_lab.testbed.fair_time import Stopwatch, wait_until
from holdfast_lab.testbed.faults import Faults, Lease, Unicast
from holdfast_lab.testbed.guarded import GuardedMachine
from holdfast_lab.testbed.netns import Namespace, connect
from holdfast_lab.testbed.server import LabServer
from holdfast_lab.testbed.stage import LINK
from holdfast_lab.witness.exchanges import renewals as exchanges

pytestmark = pytest.mark.root
LEASE = Lease(time=20, t1=6, t2=17)
#: dhclient writes its file once in 15 s at most, and renews some seconds before T1.
RARE = Lease(time=50, t1=20, t2=45)
#: dhcpcd probes the address first. udhcpc asks at half of the lease, whatever T1 is (10 s), is answered a second later,
#: and has 8 s to show that it did not take the answer.
PATIENCE = 40.0


class Guest(GuardedMachine):
    """One machine with a client, a server that is deaf to unicast, and a guard between them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        machine = stack.enter_context(Namespace("guarded", private_files=False))
        self.far = stack.enter_context(Namespace("server"))
        connect(machine, LINK, self.far, "srv0")
        self.far.run(lambda: self.far.rtnl.add_address("srv0", "192.0.2.1/24"))
        self.server = stack.enter_context(LabServer(self.far, lease=LEASE, faults=Faults(unicast=Unicast.SILENT)))
        super().__init__(machine, LINK, folder)

    def tables(self) -> str:
        """The nftables tables of the machine, as the kernel tells them."""
        return self.machine.run(tables_here)


def tables_here() -> str:
    """The nftables tables of this thread's network namespace."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as asking:  # NETLINK_NETFILTER, NFT_MSG_GETTABLE
        asking.send(struct.pack("=IHHIIBBH", 20, 10 << 8 | 1, 0x301, 1, 0, 0, 0, 0))
        return asking.recv(1 << 16).decode("latin-1")


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Guest]:
    with ExitStack() as stack:
        made = stack.enter_context(Guest(tmp_path, stack))
        yield made
        print(made.said() or "no guard was started")


@pytest.mark.parametrize(("client", "result", "taken"), [
    ("dhclient", "renewed", True), ("dhcpcd", "renewed", True), ("udhcpc", "answered", None),
    ("networkd", "renewed", True), ("NetworkManager", "renewed", True),
])
def test_a_renewal_that_nobody_hears_is_answered_after_a_second(
    guest: Guest, client: str, result: str, taken: bool | None
) -> None:
    watch = Stopwatch(os.getpid(), guest.guard("--rebroadcast").pid)
    guest.client(client)
    record = guest.renewal(PATIENCE)
    assert (record["result"], record["taken"], record["rebroadcasts"]) == (result, taken, 1)
    assert (record["client"], record["server"], record["path"]) == (client, "192.0.2.1", "broadcast")
    assert record["on_wire"] is True
    assert record["latency"] >= 0.99
    assert watch.own(record["latency"]) < 2.5
    first = exchanges(guest.server.wire.all())[0]
    assert first.latency is not None
    assert first.latency > 0.9
    assert watch.own(first.latency) < 2.5
    assert guest.watch.events("address-") == []
    if client != "udhcpc":  # it has no lifetime there
        assert guest.records()[0]["result"] == "acquired"


#: dhclient's script as Enterprise Linux 7 and older distributions have it: no lifetimes.
SCRIPT = f"""#!/bin/sh
[ "$reason" = BOUND ] && exec ip address replace "$new_ip_address/24" dev {LINK}
exit 0
"""


def test_a_client_that_was_there_before_and_sets_no_lifetime(guest: Guest) -> None:
    script = guest.folder / "lifeless"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    guest.server.faults, guest.server.lease = Faults(), RARE
    program, *words = ALL["dhclient"].command
    guest.client("dhclient", command=(program, "-sf", str(script), *words))
    guest.watch.wait_for(lambda event: event.kind == "address+", PATIENCE)
    guest.guard()
    record = guest.renewal(PATIENCE)
    assert (record["result"], record["taken"], record["client"]) == ("renewed", True, "dhclient")
    assert (record["server"], record["former_address"]) == ("192.0.2.1", "192.0.2.50")
    assert RARE.t2 - RARE.t1 < record["seconds_left"] < RARE.time


def test_the_configuration_gives_leave_and_status_and_metrics_tell(guest: Guest) -> None:
    guest.guard(interfaces=(), settings='rebroadcast = true\ninterfaces = ["et*"]\n')
    guest.client("networkd")
    guest.server.wire.wait_for(lambda seen: seen.kind == "ACK", PATIENCE)
    guest.server.lease = Lease(time=600)  # no second renewal before all have told of the first
    assert guest.renewal(PATIENCE)["rebroadcasts"] == 1
    file = guest.folder / f"holdfast_guard_{LINK}.prom"
    told = f'holdfast_guard_outcomes_total{{interface="{LINK}",result="renewed"}} 1'
    wait_until(lambda: told in file.read_text(), PATIENCE, "the metrics say so")  # they follow the history
    metrics = file.read_text()
    assert f'holdfast_guard_build_info{{interface="{LINK}",version="{__version__}",client="networkd"}} 1' in metrics
    one, = json.loads(guest.machine.output(guest.command("status", LINK, "--json")))
    assert (one["guarded"], one["client"], one["lease"]["address"]) == (True, "networkd", "192.0.2.50")
    assert (one["results"]["renewed"], one["rebroadcasts"]) == (1, 1)


def test_without_leave_it_sends_nothing_and_tells(guest: Guest) -> None:
    child = guest.guard()
    guest.client("dhclient")
    sent = guest.server.wire.wait_for(lambda seen: seen.unicast_renewal, PATIENCE)
    assert sent.ciaddr == "192.0.2.50"
    child.send_signal(signal.SIGTERM)
    assert fair_time.wait(child, 10) == 0
    record = guest.renewal(PATIENCE)
    assert (record["result"], record["rebroadcasts"], record["path"]) == ("kept", 0, "unicast")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_its_end_leaves_nothing_behind(guest: Guest, number: signal.Signals) -> None:
    child = guest.guard("--rebroadcast")
    assert TABLE in guest.tables()
    child.send_signal(number)
    child.wait(10)
    wait_until(lambda: TABLE not in guest.tables(), 5, "the table is gone")


def test_a_second_guard_is_told_of_the_first(guest: Guest) -> None:
    guest.guard()
    second = guest.machine.popen(guest.command("guard", LINK), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 text=True)
    _, said = fair_time.communicate(second, 20)
    assert second.returncode == 1
    assert said == "holdfast: another guard watches the interfaces of this network namespace\n"
