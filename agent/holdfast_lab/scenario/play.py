"""Plays one scenario with one client, and judges it. Also a program: what ``compare`` runs in a process of its own."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from math import inf, isfinite
from pathlib import Path

from holdfast_lab.peers import ALL, version_of
from holdfast_lab.scenario.result import Result, judged
from holdfast_lab.scenario.scenario import Scenario, find
from holdfast_lab.testbed.fair_time import FairTimer, wait_until
from holdfast_lab.testbed.place import Place

#: Fair seconds that a client may take to its first lease. dhcpcd needs 8 s, a client that declines waits 10 s more.
BIND = 30.0
#: Seconds between two looks at the scenario's clock.
TICK = 0.02
Tell = Callable[[float, float, str], None]
"""Told while it runs: seconds after the first ACK (negative: before it), those at the end, and what is going on."""


def play(scenario: Scenario, client: str, *, tell: Tell | None = None, log: Path | None = None) -> Result:
    """Run it; what came of it. RuntimeError when the client cannot be started."""
    version = version_of(ALL[client]) or "not installed"
    with Place(scenario, client, log=log) as place:
        run = _Run(scenario, place, tell or (lambda *_: None))
        run.go()
        evidence = place.evidence(foreign=place.foreign, records=False)
        evidence = replace(
            evidence,
            events=place.watch.events(),
            records=place.recorded(evidence.wire) if client == "holdfast" else None,
            orphaned=place.running is not None and not place.running.pids(),
            meddled=tuple(place.meddled),
            contested=frozenset(place.contested),
            delay=max([scenario.faults.delay, *(window.value.get("delay", 0.0) for window in scenario.windows)]),
        )
        result = judged(scenario, evidence, place.started_at, client=client, version=version)
        return replace(result, deeds=tuple(run.done), log=place.log())


class _Run:
    """The clock of a run: what is due is done, late rather than never."""

    def __init__(self, scenario: Scenario, place: Place, tell: Tell) -> None:
        self._scenario, self._place, self._tell = scenario, place, tell
        self.done: list[tuple[float, str]] = []
        """What was done, and when it was."""
        self._due = self._agenda()

    def _agenda(self) -> list[tuple[float, str, Callable[[], None]]]:
        """(seconds after the first ACK, in words, what to do), in order."""
        scenario, place = self._scenario, self._place
        due: list[tuple[float, str, Callable[[], None]]] = []
        for window in scenario.windows:
            for text in (window.start, window.end):
                due.append((scenario.moment(text), "", self._set_faults))
        for deed in scenario.deeds:
            due.append((scenario.moment(deed.at), f"{deed.kind} {deed.what}", lambda deed=deed: place.do(deed)))  # type: ignore[misc]
        for window in scenario.neighbours:
            who = f"somebody answers ARP for {window.value}"
            for text, present in ((window.start, True), (window.end, False)):
                words = who if present else f"no more: {who}"
                due.append(
                    (scenario.moment(text), words, lambda w=window.value, p=present: place.neighbour(w, p))  # type: ignore[misc]
                )
        if scenario.flood:
            flood = scenario.flood
            due.append((scenario.moment(flood.at), f"{flood.rate} bad packets/s", lambda: place.flood(flood)))
        if scenario.second:
            due.append((scenario.moment(scenario.second.start), "another server", self._second_server))
        return sorted((entry for entry in due if entry[0] < inf), key=lambda entry: entry[0])

    def go(self) -> None:
        """Start the client, and do what is due until the end."""
        self._do_due(-inf)
        self._place.start()
        if not self._wait_for_lease():
            return
        end = self._scenario.moment(self._scenario.until)
        while (now := self._place.server.elapsed) < end or self._not_yet(now, end):
            self._do_due(now)
            self._tell(now, end, self.done[-1][1] if self.done else "")
            time.sleep(TICK)

    def _wait_for_lease(self) -> bool:
        timer = FairTimer(BIND)

        def looked() -> bool:
            self._tell(-max(0.0, timer.left), 0.0, "waiting for the first lease")
            return self._place.server.first_ack_at is not None or timer.over()

        wait_until(looked, BIND * 2, "the first lease", pause=TICK)
        return self._place.server.first_ack_at is not None

    def _do_due(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            _at, words, action = self._due.pop(0)
            action()
            if words:
                self.done.append((round(self._place.server.elapsed, 2) if isfinite(now) else 0.0, words))

    def _set_faults(self) -> None:
        server = self._place.server
        server.faults = self._scenario.faults_at(-1.0 if server.first_ack_at is None else server.elapsed)

    def _second_server(self) -> None:
        second = self._scenario.second
        assert second is not None
        self._place.add_server(second.address, lease=self._scenario.lease, faults=second.faults)

    def _not_yet(self, now: float, end: float) -> bool:
        """True while it is worth waiting for the client's answer after the server's return."""
        if self._scenario.back is None or now > end + self._scenario.patience:
            return False
        back = (self._place.server.first_ack_at or 0.0) + self._scenario.moment(self._scenario.back)
        return not any(seen.kind == "ACK" and seen.at >= back for seen in self._place.wire()[-10:])


def main(arguments: list[str]) -> int:
    """SCENARIO CLIENT LEASE: the result as JSON on standard output; for ``compare``."""
    name, client, lease = arguments
    result = play(find(name).scaled(int(lease) if int(lease) else None), client)
    json.dump(result.as_json(), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
