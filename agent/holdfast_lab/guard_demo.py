"""``./dev demo --guard``: a stock dhclient before a server that does not hear unicast, without and with guard beside
it.

Two machines on one switch, in network namespaces of their own. What is printed comes from the wire and from netlink;
the guard is the `holdfast guard` that ships.
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from holdfast_lab.peers import ALL, find, version_of
from holdfast_lab.render.terminal import Screen
from holdfast_lab.testbed.faults import Faults, Lease, Unicast
from holdfast_lab.testbed.guarded import GuardedMachine
from holdfast_lab.testbed.netns import Namespace, NamespaceError, Switch
from holdfast_lab.testbed.server import LabServer
from holdfast_lab.testbed.stage import LINK, hardware_address
from holdfast_lab.witness.exchanges import Course
from holdfast_lab.witness.watch import Event
from holdfast_lab.witness.wirelog import Seen, boottime

CLIENT = "dhclient"
#: T2 is near the end, as in RFC 2131; two renewals beside guard fit before it.
LEASE = Lease(time=40, t1=12, t2=34)
#: Seconds of the whole demo at most, and those for which events wait for older ones of another witness.
LONGEST, SETTLING = 60.0, 0.15
NAMES = ("alone", "guarded")


class Side:
    """One of the two machines: its name, what is beside the client, and what is seen of it."""

    def __init__(self, name: str, guarded: GuardedMachine, mac: str) -> None:
        self.name, self.guarded, self.mac = name, guarded, mac
        self.asked: Seen | None = None
        self.bound = False

    def wire(self, server: LabServer) -> list[Seen]:
        """Its messages and the answers to them."""
        return [seen for seen in server.wire.all() if seen.mac == self.mac]

    def course(self, server: LabServer) -> Course:
        """Its run, in seconds from its first ACK."""
        wire = self.wire(server)
        acks = [seen.at for seen in wire if seen.kind == "ACK"]
        start = acks[0] if acks else boottime()
        return Course(
            f"{CLIENT} {self.name}", f"{version_of(ALL[CLIENT])}, measured in this run", [at - start for at in acks],
            [seen.at - start for seen in wire if seen.unicast_renewal],
            [seen.at - start for seen in wire if seen.broadcast_renewal],
        )


def run() -> int:
    """Show it; 0 when the guarded client was answered at once and kept its address. NamespaceError."""
    if find(CLIENT) is None:
        raise NamespaceError(f"{CLIENT} is not installed here")
    with ExitStack() as stack, Screen(sys.stdout) as screen:
        server, sides = _stage(stack)
        _heading(screen)
        started = boottime()
        for side in sides:
            side.guarded.client(CLIENT)
        _watch(screen, server, sides, started)
        screen.wipe()
        return _verdict(screen, server, sides)


def _stage(stack: ExitStack) -> tuple[LabServer, list[Side]]:
    switch = stack.enter_context(Switch())
    far = stack.enter_context(Namespace("server"))
    switch.plug(far, "srv0")
    far.run(lambda: far.rtnl.add_address("srv0", "192.0.2.1/24"))
    server = stack.enter_context(LabServer(far, lease=LEASE, faults=Faults(unicast=Unicast.SILENT)))
    sides = []
    for name in NAMES:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="demo-")))
        machine = stack.enter_context(Namespace(name, private_files=False))
        switch.plug(machine, LINK)
        guarded = stack.enter_context(GuardedMachine(machine, LINK, folder))
        sides.append(Side(name, guarded, machine.run(lambda: hardware_address(LINK))))
    sides[1].guarded.guard("--rebroadcast")
    return server, sides


def _heading(screen: Screen) -> None:
    screen.line(("The fault: a DHCP server that does not hear unicast", "bold"))
    screen.line(f"  Two machines with the same {CLIENT}, which nobody has changed. Lease {LEASE.time} s, "
                f"T1 {LEASE.t1} s, T2 {LEASE.t2} s.")
    screen.line("  Beside the second one runs `holdfast guard eth0 --rebroadcast`.\n")


def _watch(screen: Screen, server: LabServer, sides: list[Side], started: float) -> None:
    """Print what is new until the client without guard has been answered, too."""
    shown: set[tuple[float, str]] = set()
    while boottime() - started < LONGEST:
        ripe = boottime() - SETTLING
        for side in sides:
            seen: list[Seen | Event] = [*side.wire(server), *side.guarded.watch.events()]
            for what in sorted(seen, key=lambda one: one.at):
                if what.at <= ripe and (what.at, side.name) not in shown:
                    shown.add((what.at, side.name))
                    _tell(screen, side, what.at - started, what)
        if len(sides[0].course(server).acks) > 1 and len(sides[1].course(server).acks) > 2:
            return
        screen.progress(f"{boottime() - started:6.1f} s", (boottime() - started) / LONGEST)
        time.sleep(0.05)


def _tell(screen: Screen, side: Side, at: float, what: Seen | Event) -> None:
    style = "dim" if side.name == NAMES[0] else ""
    if isinstance(what, Event):
        if what.kind == "address-" and side.bound:
            screen.event(at, side.name, f"{what.what} REMOVED", "", "bold red")
    elif what.unicast_renewal:
        side.asked = what
        screen.event(at, side.name, f"REQUEST -> {what.destination}  by unicast", "nobody answers", style or "red")
    elif what.broadcast_renewal:
        asked = side.asked
        repeat = asked is not None and (what.xid, what.secs) == (asked.xid, asked.secs)
        note = f"{'by guard, ' if repeat else ''}{what.at - asked.at:.2f} s later" if asked is not None else ""
        screen.event(at, side.name, "REQUEST -> everybody  by broadcast", note, style or "yellow")
    elif what.kind == "ACK":
        side.bound = True
        screen.event(at, side.name, f"ACK {what.yiaddr}", f"for {what.lease_time} s", style or "green")


def _verdict(screen: Screen, server: LabServer, sides: list[Side]) -> int:
    screen.line(("\nFrom the first unanswered unicast to the ACK", "bold"))
    waits = []
    for side in sides:
        course = side.course(server)
        until = max([*course.acks, 0.0])
        found = [end - start for start, end in course.waits(until)]
        waits.append(found)
        words = ", ".join(f"{wait:.2f} s" for wait in found) or f"not within {LONGEST:.0f} s"
        screen.line(f"  {course.title:<18} {words:<28} ({course.subtitle})")
    first = next((seen.at for seen in sides[1].wire(server) if seen.kind == "ACK"), 0.0)
    removed = [event for event in sides[1].guarded.watch.events("address-") if event.at > first]
    records = sides[1].guarded.renewals()
    screen.line(("\nholdfast guard --report", "bold"))
    for line in sides[1].guarded.machine.output(sides[1].guarded.command("guard", "--report")).splitlines():
        screen.line(f"  {line}")
    kept = len(waits[1]) > 1 and max(waits[1]) < 3.0 and not removed and all(one["taken"] for one in records)
    screen.line("\n", ("Guard kept it: ", "bold green") if kept else ("Guard did not keep it: ", "bold red"),
                f"{len(records)} renewals, each taken by the client" if kept else "see above")
    return 0 if kept else 1
