"""Records and notices of one guarded interface: history, journal or stderr."""

from __future__ import annotations

import time
from collections.abc import Callable
from ipaddress import IPv4Address
from math import inf

from holdfast.guard.actions import NoticeCode, Noticed, Recorded, Verdict
from holdfast.observe import ids
from holdfast.observe.limit import Limiter
from holdfast.observe.log import Log
from holdfast.observe.outcomes import OutcomeJournal, as_record, boot_id, read_history
from holdfast.observe.words import counted, duration, latency
from holdfast.wire.record import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from holdfast.observe.metrics import Textfile

#: Lines of one kind that are written at once, before the rest are counted.
BURST = 30

_LEADS = {
    Verdict.ACQUIRED: "acquired {address}",
    Verdict.RENEWED: "renewed {address}",
    Verdict.ANSWERED: "was answered about {address}",
    Verdict.IGNORED: "was answered about {address} and ignored it",
    Verdict.REFUSED: "was refused {address} by NAK",
    Verdict.KEPT: "got no answer about {address}",
    Verdict.EXPIRED: "lost {address}: its lease ended",
    Verdict.RELEASED: "released {address}",
}
_PRIORITIES = {Verdict.IGNORED: 4, Verdict.REFUSED: 4, Verdict.KEPT: 4, Verdict.EXPIRED: 3}


class Last(NamedTuple):
    """The last exchange that is over: its time (UTC in ISO 8601), its result, and one line for people."""

    time: str
    result: str
    text: str


class Reporter:
    """Writes what the guard of ``ifname`` reports. Nothing here raises. ``wall`` and ``boottime`` are two clocks.
    ``metrics``: the file that is kept, if any. What is counted is counted since ``watched_since``, boot-time
    seconds."""

    def __init__(self, ifname: str, log: Log, state_dir: str, boottime: Callable[[], float],
                 wall: Callable[[], float] = time.time, metrics: Textfile | None = None) -> None:
        self.ifname = ifname
        self.last: Last | None = None
        self.results: dict[str, int] = {}
        self.notices: dict[str, int] = {}
        self.rebroadcasts = 0
        self.keeps = True  # a history
        self.watched_since = boottime()
        self._last_answer: float | None = None
        self._metrics = metrics
        self._log, self._boottime, self._wall = log, boottime, wall
        self._history = OutcomeJournal(state_dir, ifname)
        self._state_dir = state_dir
        self._limiter = Limiter()

    def others_before(self) -> tuple[IPv4Address, ...]:
        """The other servers that were recorded in this boot."""
        found: list[IPv4Address] = []
        try:
            for record in read_history(self._state_dir, self.ifname):
                if record.get("boot_id") == boot_id() and isinstance(record.get("others"), list):
                    found += [IPv4Address(text) for text in record["others"]]
        except (OSError, ValueError):
            pass
        return tuple(dict.fromkeys(found))

    def recorded(self, action: Recorded) -> None:
        """One line of the history, and one of the log."""
        record = as_record(action.outcome, self.ifname, boottime=self._boottime(), wall=self._wall())
        whole = extended(dict(record), action, self.watched_since)
        try:
            if self.keeps:
                self._history.append(whole)
        except OSError as error:
            self._tell("not-recorded", 4, f"the history cannot be written: {self._history.path}: {error.strerror}")
        result, text = action.verdict.value, text_of(action)
        self.last = Last(record["time"], result, text)
        self.results[result] = self.results.get(result, 0) + 1
        if action.outcome.latency is not None:
            self._last_answer = action.outcome.ended_at
        self._tell(result, _PRIORITIES.get(action.verdict, 6), text,
                   {"HOLDFAST_RESULT": result, "HOLDFAST_CLIENT": action.client,
                    "HOLDFAST_REBROADCASTS": str(action.rebroadcasts)})

    def noticed(self, action: Noticed) -> None:
        """One line of the log; repeated ones are counted."""
        self.notices[action.code.value] = self.notices.get(action.code.value, 0) + 1
        priority = 5 if action.code is NoticeCode.OTHER_SERVER else 4
        self._tell(action.code.value, priority, action.detail, {"HOLDFAST_NOTICE": action.code.value})

    def repeated(self) -> None:
        """Guard sent a packet."""
        self.rebroadcasts += 1

    def to_wall(self, instant: float) -> float:
        """The Unix time of a boot-time instant."""
        return instant - self._boottime() + self._wall()

    def write_metrics(self, client: str, expiry: float | None, others: int) -> None:
        """Keep the file of metrics, where there is to be one; ``expiry`` is the lease's, boot-time seconds."""
        if self._metrics is None:
            return
        from holdfast.guard.metrics import Facts, render  # noqa: PLC0415 - seldom configured

        facts = Facts(
            self.ifname, client, self._wall(), None if expiry in (None, inf) else self.to_wall(expiry or 0.0),
            None if self._last_answer is None else self.to_wall(self._last_answer), self.results, self.notices,
            self.rebroadcasts, others,
        )
        try:
            self._metrics.replace(render(facts))
        except OSError as error:
            self._tell("metrics", 4, f"the metrics cannot be written: {self._metrics.path}: {error.strerror}")

    def line(self, priority: int, text: str) -> None:
        """Write one line with a syslog priority."""
        self._log.write(priority, f"{self.ifname}: {text}")

    def _tell(self, kind: str, priority: int, text: str, fields: dict[str, str] | None = None) -> None:
        more = self._limiter.allow(kind, self._boottime(), burst=BURST)
        if more is None:
            return
        text += f" ({more} more like this since the last line)" if more else ""
        entry = {"MESSAGE_ID": ids.LINE.message_id, "INTERFACE": self.ifname}
        self._log.write(priority, f"{self.ifname}: {text}", {**entry, **(fields or {})})


def extended(record: dict[str, Any], action: Recorded, watched_since: float) -> dict[str, Any]:
    """The agent's record of ``action.outcome``, with what guard knows beyond it. ``watched_since``: boot-time
    seconds when this guard began to watch the interface."""
    return {
        **record, "result": action.verdict.value, "client": action.client, "program": action.program,
        "taken": action.taken, "former_taken": action.former_taken, "on_wire": action.on_wire,
        "unicasts": action.unicasts, "rebroadcasts": action.rebroadcasts, "watched_since": round(watched_since, 3),
        "others": [str(server) for server in action.others],
    }


def text_of(action: Recorded) -> str:
    """``action`` in one line."""
    outcome = action.outcome
    text = f"{action.program} {_LEADS[action.verdict].format(address=outcome.address or 'an address')}"
    if outcome.latency is not None:
        text += f" from {outcome.server} in {latency(outcome.latency)}"
    if outcome.attempts:
        text += f", {counted(outcome.attempts, 'message')}"
    if action.rebroadcasts:
        text += f" and {counted(action.rebroadcasts, 'rebroadcast')}"
    if action.on_wire is False:
        text += ", none of which reached the wire: ARP for the server was not answered"
    if outcome.former_address is not None:
        text += f", {duration(outcome.seconds_left)} of the lease left"
    return text + (f" ({outcome.cause})" if outcome.cause != "T1" else "")
