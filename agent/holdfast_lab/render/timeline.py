"""The demo on a terminal: what happens as it happens, then the verdict. Colours only on a terminal."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import TextIO

from holdfast_lab.render.picture import Row
from holdfast_lab.testbed.faults import Lease
from holdfast_lab.testbed.stage import Stage
from holdfast_lab.witness.verdict import Finding
from holdfast_lab.witness.watch import Event
from holdfast_lab.witness.wirelog import Seen, boottime

RED, GREEN, AMBER, DIM, BOLD, TEAL = "31", "32", "33", "2", "1", "36"
#: Events this young may still be overtaken by one from the other witness; they are shown in order of time.
SETTLING = 0.15


class Screen:
    """Lines on a terminal, or plain lines in a file or a pipe."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self.live = out.isatty()
        self.colours = self.live and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self._status = False

    def paint(self, words: str, *codes: str) -> str:
        """``words`` in these colours, where there are colours."""
        return f"\x1b[{';'.join(codes)}m{words}\x1b[0m" if self.colours and codes else words

    def plain(self, words: str = "") -> None:
        """One line, above the status line if there is one."""
        self.wipe()
        self._out.write(words + "\n")
        self._out.flush()

    def wipe(self) -> None:
        """Take the status line away."""
        if self._status:
            self._out.write("\r\x1b[K")
            self._status = False

    def status(self, words: str) -> None:
        """A line that the next one replaces; only on a terminal."""
        if self.live:
            self.wipe()
            self._out.write(words[: shutil.get_terminal_size().columns - 1])
            self._out.flush()
            self._status = True

    def event(self, at: float, actor: str, words: str, note: str = "", *codes: str) -> None:
        """One line of the time line."""
        self.plain(f"{at:7.2f} s  {actor:<9} {self.paint(f'{words:<43}', *codes)} {note}".rstrip())

    def heading(self, lease: Lease, peer: str | None) -> None:
        """What is about to be shown."""
        self.plain(self.paint("The fault: a DHCP server that does not hear unicast", BOLD))
        self.plain(f"  Lease {lease.time} s; a client renews by unicast at about T1 = {lease.t1} s, and by broadcast")
        self.plain(f"  only from T2 = {lease.t2} s on. Server and client run in network namespaces of their own;")
        self.plain("  nothing else on this machine is touched." + (f" {peer} runs beside Holdfast." if peer else ""))
        self.plain()

    def comparison(self, rows: Sequence[Row], until: float) -> None:
        """How long each client's requests went unanswered."""
        self.plain()
        self.plain(self.paint("From the first unanswered unicast to the ACK", BOLD))
        for row in rows:
            waits = [f"{end - start:.2f} s" for start, end in row.waits(until) if end < until]
            self.plain(f"  {row.title:<16} {', '.join(waits) or 'not within this run':<32} ({row.subtitle})")

    def verdict(self, findings: Sequence[Finding], enough: bool, probes: int) -> bool:
        """Promise by promise; True when all were kept."""
        self.plain()
        self.plain(self.paint(f"Verdict, from the wire, from netlink and from {probes} probes of the address", BOLD))
        for finding in findings:
            word = self.paint("kept  ", GREEN) if finding.kept else self.paint("BROKEN", RED, BOLD)
            self.plain(f"  promise {finding.promise}  {word}  {finding.text}")
        if not enough:
            self.plain(f"  {self.paint('BROKEN', RED, BOLD)}  fewer than two renewals were seen")
        return enough and all(finding.kept for finding in findings)

    def history(self, table: str) -> None:
        """The client's own records."""
        self.plain()
        self.plain(self.paint("holdfast history eth0", BOLD))
        self.plain("\n".join("  " + line.rstrip() for line in table.rstrip().splitlines()))


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

    def finish(self) -> None:
        """The status line goes."""
        self._screen.wipe()

    def _on_wire(self, at: float, seen: Seen) -> None:
        if seen.mac == self._rival_mac:
            self._on_rivals_wire(at, seen)
            return
        say = self._screen.event
        if seen.unicast_renewal:
            self._asked.setdefault(seen.xid, at)
            say(at, "holdfast", f"REQUEST -> {seen.destination}  by unicast, at T1", "nobody answers", RED)
        elif seen.broadcast_renewal:
            waited = at - self._asked.get(seen.xid, at)
            known = "" if len(self._acks) < 2 else ": the server is known to be deaf"
            say(at, "holdfast", "REQUEST -> everybody  by broadcast", f"{waited:.2f} s later{known}", AMBER)
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
        self._screen.event(at, "server", f"ACK {seen.yiaddr}", note, GREEN)

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
        self._screen.event(at, str(self._rival), words, note, DIM)

    def _on_host(self, at: float, event: Event) -> None:
        say = self._screen.event
        if event.kind == "address+":
            first = len(self._acks) < 2
            words = f"{event.what} on eth0" if first else f"{event.what} stays on eth0"
            say(at, "kernel", words, f"valid for {event.valid} s", TEAL)
        elif event.kind == "address-":
            say(at, "kernel", f"{event.what} REMOVED", "", RED, BOLD)

    def _stock(self, ripe: float) -> None:
        """Once: when a client that follows RFC 2131 would have asked everybody."""
        if self._stock_told or not self._acks or self._rival:
            return
        at = self._acks[0] + (self._lease.t2 or 0)
        if ripe - self._start >= at:
            self._stock_told = True
            waited = (self._lease.t2 or 0) - (self._lease.t1 or 0)
            words = "(a stock client broadcasts only now, at T2,"
            self._screen.event(at, "", words, f"{waited} s after its first unanswered REQUEST)", DIM)

    def _status(self) -> None:
        if not self._acks:
            return
        now = boottime() - self._start
        left = max(0.0, self._lease.time - (now - self._acks[-1]))
        full = round(left / self._lease.time * 30)
        bar = "#" * full + "." * (30 - full)
        if self._screen.live:
            self._screen.status(f"{now:7.2f} s  lease {bar} {left:4.1f} s left")
