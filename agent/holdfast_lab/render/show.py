"""``./dev lab`` on a terminal: progress while it runs, then the time line and the verdict."""

from __future__ import annotations

import sys
from math import inf

from holdfast_lab.render.timeline import AMBER, BOLD, DIM, GREEN, RED, TEAL, Screen
from holdfast_lab.scenario.result import Result
from holdfast_lab.scenario.scenario import Scenario

_COLOURS = {"unicast": AMBER, "broadcast": AMBER, "ack": GREEN, "nak": RED, "lost": DIM}


def screen() -> Screen:
    """Standard output."""
    return Screen(sys.stdout)


def heading(out: Screen, scenario: Scenario, client: str) -> None:
    """What is about to happen."""
    lease = scenario.lease
    out.plain(out.paint(f"{client}: {scenario.title}", BOLD))
    out.plain(f"  {scenario.story}")
    out.plain(f"  Expected: {scenario.expect.text}")
    out.plain(f"  Lease {lease.time} s, T1 {lease.t1} s, T2 {lease.t2} s; 0 s is the first ACK.\n")


class Progress:
    """One line that is overwritten while a scenario runs."""

    def __init__(self, out: Screen, scenario: Scenario) -> None:
        self._out, self._lease = out, scenario.lease.time
        self._last = -1

    def __call__(self, now: float, end: float, words: str) -> None:
        """Show, ten times a second at most."""
        if int(now * 10) == self._last or not self._out.live:
            return
        self._last = int(now * 10)
        if now < 0:
            self._out.status(f"{words} ...")
            return
        done = min(1.0, now / end)
        bar = "#" * round(done * 30) + "." * (30 - round(done * 30))
        more = "" if now <= end else "  waiting for an answer after the server's return"
        self._out.status(f"{now:6.1f} of {end:.0f} s  {bar}  {words}{more}")


class Tally:
    """One line while the matrix runs; without a terminal, a line for every tenth run."""

    def __init__(self) -> None:
        self._out = Screen(sys.stderr)
        self._told = 0

    def __call__(self, done: int, total: int, words: str) -> None:
        """Show."""
        self._out.status(f"run {done} of {total}  {words}")
        if not self._out.live and done >= self._told + 10:
            self._told = done
            self._out.plain(f"run {done} of {total}")

    def done(self) -> None:
        """The line goes."""
        self._out.wipe()


def timeline(out: Screen, result: Result) -> None:
    """Messages, addresses and deeds in order of time."""
    out.wipe()
    lines: list[tuple[float, str, str, str]] = []
    for mark in result.marks:
        actor = "client" if mark.sign in {"unicast", "broadcast", "ask"} else "server"
        lines.append((mark.at, actor, mark.words, _COLOURS.get(mark.sign, "")))
    for band in result.present:
        lines.append((band.start, "kernel", f"{band.what} is there", TEAL))
        if band.end < result.ended - 0.05:
            lines.append((band.end, "kernel", f"{band.what} is gone", TEAL))
    for gap in result.gaps:
        lines.append((gap.start, "probes", f"no answer for {gap.end - gap.start:.2f} s", RED))
    lines += [(at, "lab", words, BOLD) for at, words in result.deeds]
    for at, actor, words, colour in sorted(lines, key=lambda line: line[0]):
        out.event(at, actor, words, "", *([colour] if colour else []))


def verdict(out: Screen, result: Result) -> bool:
    """Promise by promise, then the figures; True when all were kept."""
    out.plain()
    out.plain(out.paint("Verdict, from the wire, from netlink and from probes of the address", BOLD))
    if not result.bound:
        out.plain(f"  {out.paint('BROKEN', RED, BOLD)}  it never had an address")
    for number, kept, text in result.findings:
        word = out.paint("kept  ", GREEN) if kept else out.paint("BROKEN", RED, BOLD)
        out.plain(f"  promise {number}  {word}  {text}")
    out.plain()
    out.plain(f"  unreachable while the lease was valid     {result.unreachable:.2f} s")
    if result.recovery is not None:
        words = "never" if result.recovery == inf else f"{result.recovery:.2f} s"
        out.plain(f"  from the server's return to a fresh lease {words}")
    out.plain(f"  longest wait for a renewal                {result.waited:.2f} s")
    out.plain(f"  packets sent                              {result.packets}")
    return not result.broken
