"""The demo on a terminal: what happens as it happens, then the verdict."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast_lab.render.terminal import Screen
from holdfast_lab.testbed.faults import Lease
from holdfast_lab.testbed.stage import Stage
from holdfast_lab.witness.exchanges import Course
from holdfast_lab.witness.verdict import Finding
from holdfast_lab.witness.watch import Event
from holdfast_lab.witness.wirelog import Seen, boottime

#: Events this young may still be overtaken by one from the other witness; they are shown in order of time.
SETTLING = 0.15


def show_heading(out: Screen, lease: Lease, peer: str | None) -> None:
    """What is about to be shown."""
    out.line(("The fault: a DHCP server that does not hear unicast", "bold"))
    out.line(f"  Lease {lease.time} s; a client renews by unicast at about T1 = {lease.t1} s, and by broadcast")
    out.line(f"  only from T2 = {lease.t2} s on. Server and client run in network namespaces of their own;")
    out.line("  nothing else on this machine is touched." + (f" {peer} runs beside Holdfast.\n" if peer else "\n"))


def show_comparison(out: Screen, courses: Sequence[Course], until: float) -> None:
    """How long each client's requests went unanswered."""
    out.line(("\nFrom the first unanswered unicast to the ACK", "bold"))
    for course in courses:
        waits = [f"{end - start:.2f} s" for start, end in course.waits(until) if end < until]
        out.line(f"  {course.title:<16} {', '.join(waits) or 'not within this run':<32} ({course.subtitle})")


def show_verdict(out: Screen, findings: Sequence[Finding], enough: bool, probes: int) -> bool:
    """Promise by promise; True when all were kept."""
    out.line((f"\nVerdict, from the wire, from netlink and from {probes} probes of the address", "bold"))
    for finding in findings:
        out.verdict(finding.promise, finding.kept, finding.text)
    if not enough:
        out.line(("  BROKEN", "bold red"), "  fewer than two renewals were seen")
    return enough and all(finding.kept for finding in findings)


def show_history(out: Screen, table: str) -> None:
    """The client's own records."""
    out.line(("\nholdfast history eth0", "bold"))
    out.line("\n".join("  " + line.rstrip() for line in table.rstrip().splitlines()))


class Timeline:
    """Turns what the witnesses saw into lines."""

    def __init__(
        self, screen: Screen, stage: Stage, lease: Lease, *, rival: str | None = None, rival_mac: str | None = None
    ) -> None:
        self._screen, self._stage, self._lease = screen, stage, lease
        self._rival, self._rival_mac = rival, rival_mac
        self._start = 0.0
        self._shown: set[tuple[str, int]] = set()
        self._asked: dict[int, float] = {}
        self._fell_back: set[int] = set()
        self._acks: list[float] = []
        self._stock_told = self._rival_bound = False

    def began(self, at: float) -> None:
        """The instant from which the time line counts."""
        self._start = at
        self._screen.event(0.0, "holdfast", "holdfast run eth0")

    def show(self) -> None:
        """Print what is new, oldest first, and refresh the status line."""
        ripe = boottime() - SETTLING
        wire = [(seen.at, "wire", n, seen) for n, seen in enumerate(self._stage.server.wire.all())]
        host = [(event.at, "host", n, event) for n, event in enumerate(self._stage.watch.events())]
        fresh = [entry for entry in [*wire, *host] if (entry[1], entry[2]) not in self._shown and entry[0] <= ripe]
        for at, source, number, what in sorted(fresh, key=lambda entry: entry[0]):
            self._shown.add((source, number))
            if isinstance(what, Seen):
                self._on_wire(at - self._start, what)
            elif isinstance(what, Event):
                self._on_host(at - self._start, what)
        self._stock(ripe)
        self._status()

    def _on_wire(self, at: float, seen: Seen) -> None:
        if seen.mac == self._rival_mac:
            self._on_rivals_wire(at, seen)
            return
        say = self._screen.event
        if seen.unicast_renewal:
            self._asked.setdefault(seen.xid, at)
            say(at, "holdfast", f"REQUEST -> {seen.destination}  by unicast, at T1", "nobody answers", "red")
        elif seen.broadcast_renewal:
            waited = at - self._asked.get(seen.xid, at)
            known = "" if len(self._acks) < 2 else ": the server is known to be deaf"
            say(at, "holdfast", "REQUEST -> everybody  by broadcast", f"{waited:.2f} s later{known}", "yellow")
        elif seen.kind == "ACK":
            self._on_ack(at, seen)
        elif seen.direction == "in":
            say(at, "holdfast", f"{seen.kind} -> everybody", "")
        else:
            say(at, "server", f"{seen.kind} {seen.yiaddr}")

    def _on_ack(self, at: float, seen: Seen) -> None:
        note = f"for {seen.lease_time} s"
        if self._acks:
            left = self._lease.time - (at - self._acks[-1])
            note = f"{left:.0f} s of the lease were left"
        self._acks.append(at)
        self._screen.event(at, "server", f"ACK {seen.yiaddr}", note, "green")

    def _on_rivals_wire(self, at: float, seen: Seen) -> None:
        """The other client, dimmed; the start of its life is of no interest."""
        if seen.unicast_renewal:
            words, note = f"REQUEST -> {seen.destination}  by unicast", "nobody answers"
        elif seen.broadcast_renewal:
            words, note = "REQUEST -> everybody  by broadcast", ""
        elif seen.kind == "DISCOVER" and self._rival_bound:
            words, note = "DISCOVER -> everybody", "its lease has ended"
        elif seen.kind == "ACK":
            self._rival_bound = True
            words, note = f"ACK {seen.yiaddr}", f"to {self._rival}"
        else:
            return
        self._screen.event(at, str(self._rival), words, note, "dim")

    def _on_host(self, at: float, event: Event) -> None:
        say = self._screen.event
        if event.kind == "address+":
            first = len(self._acks) < 2
            words = f"{event.what} on eth0" if first else f"{event.what} stays on eth0"
            say(at, "kernel", words, f"valid for {event.valid} s", "cyan")
        elif event.kind == "address-":
            say(at, "kernel", f"{event.what} REMOVED", "", "bold red")

    def _stock(self, ripe: float) -> None:
        """Once: when a client that follows RFC 2131 would have asked everybody."""
        if self._stock_told or not self._acks or self._rival:
            return
        at = self._acks[0] + (self._lease.t2 or 0)
        if ripe - self._start >= at:
            self._stock_told = True
            waited = (self._lease.t2 or 0) - (self._lease.t1 or 0)
            words = "(a stock client broadcasts only now, at T2,"
            self._screen.event(at, "", words, f"{waited} s after its first unanswered REQUEST)", "dim")

    def _status(self) -> None:
        if self._acks:
            now = boottime() - self._start
            left = max(0.0, self._lease.time - (now - self._acks[-1]))
            self._screen.progress(f"{now:7.2f} s  lease", left / self._lease.time, f"{left:4.1f} s left")
