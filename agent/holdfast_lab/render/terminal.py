"""What is shown while something runs: lines that stay, one line of progress that does not; colours on a terminal."""

from __future__ import annotations

from math import inf
from typing import TextIO

from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from holdfast_lab.render.tables import console
from holdfast_lab.scenario.result import Result
from holdfast_lab.scenario.scenario import Scenario


class Screen:
    """Lines on a terminal, or plain lines in a file or a pipe. A context manager: at its end the progress goes.

    ``headings``: where lines cannot be written over, each new heading of the progress is a line.
    """

    def __init__(self, out: TextIO, *, headings: bool = False) -> None:
        self._console = console(out)
        self._headings, self._heading = headings, ""
        live = self._console.is_terminal
        columns = (TextColumn("{task.description}"), BarColumn(30), TextColumn("{task.fields[words]}", markup=False))
        self._progress = Progress(*columns, console=self._console, transient=True, disable=not live)
        self._task = self._progress.add_task("", words="")

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self.wipe()

    def line(self, *parts: str | tuple[str, str]) -> None:
        """One line, above the progress if there is one; a part is text, or text and its style."""
        self._console.print(Text.assemble(*parts), soft_wrap=True)

    def progress(self, heading: str, share: float | None = None, words: str = "") -> None:
        """The line that the next one replaces; without ``share`` (0 to 1) nobody knows how long it takes."""
        self._progress.start()
        total = None if share is None else 1.0
        self._progress.update(self._task, description=heading, total=total, completed=share or 0.0, words=words)
        if self._headings and not self._console.is_terminal and heading != self._heading:
            self._heading = heading
            self.line(heading)

    def wipe(self) -> None:
        """Take the progress away."""
        self._progress.stop()

    def event(self, at: float, actor: str, words: str, note: str = "", style: str = "") -> None:
        """One line of the time line."""
        self.line(f"{at:7.2f} s  {actor:<9} ", (f"{words:<43}" if note else words, style), f" {note}" if note else "")

    def verdict(self, number: int, kept: bool, text: str) -> None:
        """One promise, and whether it was kept."""
        self.line(f"  promise {number}  ", ("kept  ", "green") if kept else ("BROKEN", "bold red"), f"  {text}")


_STYLES = {"unicast": "yellow", "broadcast": "yellow", "ack": "green", "nak": "red", "lost": "dim"}


def show_scenario(out: Screen, scenario: Scenario, client: str) -> None:
    """What is about to happen."""
    lease = scenario.lease
    out.line((f"{client}: {scenario.title}", "bold"))
    out.line(f"  {scenario.story}")
    out.line(f"  Expected: {scenario.expect.text}")
    out.line(f"  Lease {lease.time} s, T1 {lease.t1} s, T2 {lease.t2} s; 0 s is the first ACK.\n")


def show_progress(out: Screen, now: float, end: float, words: str) -> None:
    """How far a run has come: seconds after the first ACK, those at its end, and what is going on."""
    if now < 0:
        out.progress(f"{words} ...")
        return
    more = "" if now <= end else "  waiting for an answer after the server's return"
    out.progress(f"{now:6.1f} of {end:.0f} s", min(1.0, now / end), words + more)


def show_result(out: Screen, result: Result) -> bool:
    """Messages, addresses and deeds in order of time, then promise by promise; True when all were kept."""
    out.wipe()
    for at, actor, words, style in sorted(_events(result), key=lambda event: event[0]):
        out.event(at, actor, words, style=style)
    out.line()
    out.line(("Verdict, from the wire, from netlink and from probes of the address", "bold"))
    if not result.bound:
        out.line(("  BROKEN", "bold red"), "  it never had an address")
    for finding in result.findings:
        out.verdict(*finding)
    out.line(f"\n  unreachable while the lease was valid     {result.unreachable:.2f} s")
    if result.recovery is not None:
        words = "never" if result.recovery == inf else f"{result.recovery:.2f} s"
        out.line(f"  from the server's return to a fresh lease {words}")
    out.line(f"  longest wait for a renewal                {result.waited:.2f} s")
    out.line(f"  packets sent                              {result.packets}")
    return not result.broken


def _events(result: Result) -> list[tuple[float, str, str, str]]:
    """Instant, who, words and style of each."""
    events = []
    for mark in result.marks:
        actor = "client" if mark.sign in {"unicast", "broadcast", "ask"} else "server"
        events.append((mark.at, actor, mark.words, _STYLES.get(mark.sign, "")))
    for band in result.present:
        events.append((band.start, "kernel", f"{band.what} is there", "cyan"))
        if band.end < result.ended - 0.05:
            events.append((band.end, "kernel", f"{band.what} is gone", "cyan"))
    events += [(gap.start, "probes", f"no answer for {gap.end - gap.start:.2f} s", "red") for gap in result.gaps]
    return events + [(at, "lab", words, "bold") for at, words in result.deeds]
