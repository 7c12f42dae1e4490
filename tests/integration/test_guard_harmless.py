"""What a guard must not do: cost without bound, send in its own name, leave something behind; and what it says instead
of working where it cannot."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.integration.test_guard import LEASE, PATIENCE, Guest
from tests.support.interpreter import unmeasured

from holdfast.guard.nflog import TABLE
from holdfast.wire import message as m
from holdfast.wire import options as opt
from holdfast.wire.frame import build_udp
from holdfast_lab.bench.flood import RATE, start_sender
from holdfast_lab.testbed import fair_time
from holdfast_lab.testbed.fair_time import crowd, wait_until
from holdfast_lab.testbed.faults import Faults
from holdfast_lab.testbed.stage import LINK, hardware_address

pytestmark = pytest.mark.root
#: Bytes that a guard may grow by in a flood: what is waiting is read in batches.
GROWTH = 8 << 20


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Guest]:
    with ExitStack() as stack:
        made = stack.enter_context(Guest(tmp_path, stack))
        yield made
        print(made.said() or "no guard was started")


def pss(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(text.split("\nPss:")[1].split()[0]) << 10


def processor(pid: int) -> float:
    """Seconds that it has run (proc(5): schedstat)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


# -- floods ----------------------------------------------------------------------------------------


def test_a_flood_of_replies_costs_little_and_no_renewal(guest: Guest) -> None:
    guard = guest.guard("--rebroadcast")
    guest.client("dhclient")
    bound = guest.server.wire.wait_for(lambda seen: seen.kind == "ACK", PATIENCE)
    before, worked, began = pss(guard.pid), processor(guard.pid), time.monotonic()
    seconds = (LEASE.t1 or 0) + 4.0
    sender = start_sender(guest.far, bound, rate=RATE, seconds=seconds)
    guest.renewal(PATIENCE)
    sender.communicate()
    assert processor(guard.pid) - worked < 0.75 * (time.monotonic() - began)
    assert pss(guard.pid) - before < GROWTH
    # A message or its answer may be lost to the client in the flood: then its next one is repeated.
    wait_until(lambda: any((one["result"], one["path"]) == ("renewed", "broadcast") for one in guest.renewals()),
               PATIENCE, "the client is answered")
    assert all(1 <= one["rebroadcasts"] <= one["unicasts"] for one in guest.renewals())
    assert guest.watch.events("address-") == []


_ASKING = """
import socket, sys, time
link, payload, seconds = sys.argv[1], bytes.fromhex(sys.argv[2]), float(sys.argv[3])
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as out:
    until, number = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        number += 1
        for at in range(50):  # a transaction of its own each time
            changed = payload[:32] + number.to_bytes(3, "big") + bytes([at]) + payload[36:]
            out.sendto(changed[:26] + bytes(2) + changed[28:], ("192.0.2.1", 0))
        time.sleep(0.02)
"""


def test_a_flood_of_renewals_brings_one_packet_a_second_at_most(guest: Guest) -> None:
    """2500 a second, each a transaction of its own, from the address that is there."""
    guest.machine.output(["ip", "address", "add", "192.0.2.50/24", "dev", LINK, "valid_lft", "600", "preferred_lft",
                          "600"])
    mac = bytes.fromhex(guest.machine.run(lambda: hardware_address(LINK)).replace(":", ""))
    guest.server.faults = Faults(silent=((-1e9, 1e9),), ignores=("REQUEST",))
    guard = guest.guard("--rebroadcast")
    guest.client("networkd", command=("sleep", "1000"))  # a name that guard would repeat for
    before = pss(guard.pid)
    request = m.Message(m.BOOTREQUEST, 0, ciaddr=m.IPv4Address("192.0.2.50"), chaddr=mac,
                        options={opt.MESSAGE_TYPE: bytes([m.REQUEST])})
    source = m.IPv4Address("192.0.2.50")
    packet = build_udp(source, m.IPv4Address("192.0.2.1"), 68, 67, m.encode(request))
    seconds = 4.0
    began = time.monotonic()
    guest.machine.output(["python3", "-I", "-S", "-c", _ASKING, LINK, packet.hex(), str(seconds)])
    wait_until(lambda: guest.server.wire.all() != [], PATIENCE, "something was heard")
    time.sleep(2.0)  # in which the last of them is repeated, if at all
    took = time.monotonic() - began
    repeats = [seen for seen in guest.server.wire.all() if seen.broadcast_renewal]
    assert len(repeats) <= took
    assert pss(guard.pid) - before < GROWTH
    assert len(guest.said().splitlines()) < 100


# -- the end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [0.05, 0.2, 0.4, 0.6, 0.8, 1.0, 1.3])
def test_killed_at_any_moment_it_leaves_nothing(guest: Guest, delay: float) -> None:
    guest.guard()  # writes the configuration
    guest.stop_guards()
    before = guest.tables()
    child = guest.machine.popen(guest.command("guard", LINK, "--rebroadcast"), stderr=subprocess.DEVNULL)
    time.sleep(delay * crowd())
    child.send_signal(signal.SIGKILL)
    child.wait(10)
    wait_until(lambda: guest.tables() == before, 5, "no table is left")
    assert TABLE not in guest.tables()
    again = guest.guard()  # nothing is in its way
    assert again.poll() is None


# -- what it says ----------------------------------------------------------------------------------


def said_by(guest: Guest, *words: str, **options: Any) -> tuple[int, str]:
    """Exit status and complaint of a guard that does not stay."""
    child = guest.machine.popen(guest.command("guard", *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, env=unmeasured(), **options)
    _, said = fair_time.communicate(child, 60)
    return child.returncode, said


def test_on_loopback(guest: Guest) -> None:
    guest.guard()
    assert said_by(guest, "lo") == (4, "holdfast: lo is the loopback interface: no DHCP client serves it\n")


def test_without_rights(guest: Guest) -> None:
    guest.guard()
    guest.stop_guards()
    for path in (guest.folder, *guest.folder.parents):
        if path.stat().st_uid == os.getuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o055)
    status, said = said_by(guest, LINK, user=65534, group=65534, extra_groups=[])
    assert status == 5
    assert "not permitted" in said
    assert "CAP_NET_RAW" in said
    assert len(said.splitlines()) == 1


def test_where_holdfast_itself_serves(guest: Guest) -> None:
    (guest.folder / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(guest.folder / "run" / f"{LINK}.varlink"))
        guest.guard("--rebroadcast")
        assert f"{LINK}: Holdfast itself serves this interface; there is nothing to guard" in guest.said()
        guest.client("dhclient")
        guest.server.wire.wait_for(lambda seen: seen.unicast_renewal, PATIENCE)
    assert guest.records() == []


def test_an_interface_that_holdfast_comes_to_serve_is_let_go(guest: Guest) -> None:
    guest.guard("--rebroadcast")
    guest.client("dhclient")
    guest.server.wire.wait_for(lambda seen: seen.kind == "ACK", PATIENCE)
    (guest.folder / "run").mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(guest.folder / "run" / f"{LINK}.varlink"))
        guest.server.wire.wait_for(lambda seen: seen.unicast_renewal, PATIENCE)
        wait_until(lambda: "it is guarded no more" in guest.said(), PATIENCE, "it is let go")
    assert guest.renewals() == []


def test_a_group_that_another_program_has(guest: Guest) -> None:
    with guest.machine.run(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)) as other:
        # struct nlmsghdr, struct nfgenmsg, NFULA_CFG_CMD: NFULNL_CFG_CMD_BIND (linux/netfilter/nfnetlink_log.h)
        other.send(struct.pack("=IHHIIBBHHHB3x", 28, 4 << 8 | 1, 5, 1, 0, 0, 0, socket.htons(6867), 5, 1, 1))
        assert struct.unpack_from("=i", other.recv(4096), 16)[0] == 0
        guest.guard()
    assert "NFLOG group 6867 is in use by another program; using the packet socket alone" in guest.said()


def test_a_client_of_a_container_is_not_this_machines(guest: Guest) -> None:
    """Its DISCOVER leaves by our interface: a macvlan of a container's, a bridge's port."""
    guest.guard("--rebroadcast")
    discover = m.Message(m.BOOTREQUEST, 7, chaddr=bytes.fromhex("02000000beef"),
                         options={opt.MESSAGE_TYPE: bytes([m.DISCOVER])})
    packet = build_udp(m.ANY, m.BROADCAST, 68, 67, m.encode(discover))

    def send() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as out:
            out.sendto(packet, (LINK, 0x0800, 0, 0, b"\xff" * 6))

    for _ in range(2):
        guest.machine.run(send)
    wait_until(lambda: "02:00:00:00:be:ef" in guest.said(), PATIENCE, "it is told")
    assert guest.said().count("02:00:00:00:be:ef") == 1
    assert guest.records() == []


# -- interfaces ------------------------------------------------------------------------------------


def test_an_interface_on_an_interface_comes_and_goes(guest: Guest) -> None:
    """As a VLAN's: what it sends leaves by the one below, too, whose client it is not."""
    guest.guard("--rebroadcast", interfaces=())
    name = f"{LINK}.5"
    guest.machine.output(["ip", "link", "add", "link", LINK, "name", name, "type", "macvlan", "mode", "private"])
    guest.machine.output(["ip", "link", "set", name, "up"])
    guest.link = name
    guest.client("dhclient")
    record = guest.renewal(PATIENCE)
    assert (record["interface"], record["result"], record["rebroadcasts"]) == (name, "renewed", 1)
    guest.machine.output(["ip", "link", "del", name])
    guest.link = LINK
    assert guest.records() == []  # nothing of it is the parent's


def test_a_bridge_and_not_its_port(guest: Guest) -> None:
    guest.machine.output(["ip", "link", "add", "br7", "type", "bridge", "forward_delay", "0"])
    guest.machine.output(["ip", "link", "set", LINK, "master", "br7"])
    guest.machine.output(["ip", "link", "set", "br7", "up"])
    guest.guard("--rebroadcast", interfaces=())
    guest.link = "br7"
    guest.client("dhclient")
    record = guest.renewal(PATIENCE)
    assert (record["interface"], record["result"], record["rebroadcasts"]) == ("br7", "renewed", 1)
    guest.link = LINK
    assert guest.records() == []
