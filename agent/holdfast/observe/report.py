"""Reports what happens on one interface to the journal or stderr, the history and the metrics.

Implements ``runtime.ports.Reporter``. Nothing here raises, blocks, or grows with what a peer sends:
counters and held-back lines have keys of ours (DropReason, NoticeCode, ...), never a
peer's. Everything that is not needed before the first DISCOVER is imported where it is used.
"""

from __future__ import annotations

import time

from holdfast.observe import ids
from holdfast.observe.limit import Limiter, SayOnce
from holdfast.observe.log import Log
from holdfast.observe.observations import Observations
from holdfast.wire.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from ipaddress import IPv4Address

    from holdfast.core.actions import Dropped, Noticed, Transitioned
    from holdfast.core.events import Received
    from holdfast.core.lease import Lease
    from holdfast.core.outcome import Outcome
    from holdfast.observe.metrics import Textfile
    from holdfast.observe.outcomes import OutcomeJournal, Record
    from holdfast.wire.message import Message

#: Notices of one kind that are written at once, before the rest are counted: a renewal has a few, an attack
#: thousands.
NOTICE_BURST = 5
#: Outcomes of one result that are written at once; a 10 s lease renews 12 times a minute.
OUTCOME_BURST = 30

#: The results that bring a lease.
WON = ("acquired", "renewed", "moved")

#: What a record's facts are called in the journal. ``time`` and ``boot_id`` are missing: journald
#: keeps its own, as __REALTIME_TIMESTAMP and _BOOT_ID.
FIELDS = {
    "address": "DHCP_ADDRESS",
    "server": "DHCP_SERVER",
    "xid": "DHCP_XID",
    "result": "HOLDFAST_RESULT",
    "path": "HOLDFAST_PATH",
    "purpose": "HOLDFAST_PURPOSE",
    "attempts": "HOLDFAST_ATTEMPTS",
    "latency": "HOLDFAST_LATENCY",
    "former_address": "HOLDFAST_FORMER_ADDRESS",
    "lease_time": "HOLDFAST_LEASE_TIME",
    "seconds_left": "HOLDFAST_SECONDS_LEFT",
    "cause": "HOLDFAST_CAUSE",
    "boottime": "HOLDFAST_BOOTTIME",
    "started_at": "HOLDFAST_STARTED_AT",
    "ended_at": "HOLDFAST_ENDED_AT",
}
#: What to do about a file that cannot be written.
CURE = "make room, or let the agent's user write there"


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class InterfaceReporter:
    """Reports and counts what happens on one interface.

    ``outcomes`` and ``metrics`` may be None: nothing is kept then. The counters are plain
    dictionaries from our own words to numbers.
    """

    def __init__(
        self,
        ifname: str,
        log: Log,
        outcomes: OutcomeJournal | None = None,
        metrics: Textfile | None = None,
        *,
        boottime: Callable[[], float] = _boottime,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.ifname = ifname
        self.state = "INIT"
        self.lease: Lease | None = None
        self.drops: dict[str, int] = {}
        self.results: dict[str, int] = {}
        self.paths: dict[str, int] = {}
        self.notices: dict[str, int] = {}
        self._log = log
        self._outcomes = outcomes
        self._metrics = metrics
        self._boottime = boottime
        self._wall = wall
        self._limiter = Limiter()
        self._said = SayOnce(self.line)
        self._last_success: float | None = None
        self._last: Outcome | None = None
        self._unwritten = ""
        self.observations = Observations()
        self._watchers: list[Callable[[str, str, str | None, Outcome | None], None]] = []

    def transitioned(self, action: Transitioned, lease: Lease | None) -> None:
        """The state changed; ``lease`` is the one in use now."""
        self.state, self.lease = action.state, lease
        text = f"{action.former} -> {action.state} ({action.reason.value})"
        fields = {"HOLDFAST_FORMER_STATE": action.former, "HOLDFAST_CAUSE": action.reason.value}
        self._tell(ids.TRANSITION, text, fields)
        self._publish("transition", text)
        self._flush_history()
        self._write_metrics()

    def dropped(self, action: Dropped) -> None:
        """A message was ignored: always counted, and reported at a limited rate (rule 15)."""
        reason = action.reason.value
        _count(self.drops, reason)
        server = f" from {action.server}" if action.server else ""
        detail = f": {action.detail}" if action.detail else ""
        fields = {"HOLDFAST_DROP_REASON": reason}
        if action.server:
            fields["DHCP_SERVER"] = str(action.server)
        self._limited(ids.DROPPED, "drop " + reason, f"ignored a message{server} ({reason}){detail}", fields)

    def sent(self, message: Message) -> None:
        """A message was sent, or tried to be."""
        self.observations.on_sent(message, self._boottime())

    def received(self, received: Received) -> None:
        """A message came in, whoever it is for."""
        self.observations.on_received(received, self._boottime())

    def claimed(self, address: IPv4Address, by: bytes) -> None:
        """The hardware address ``by`` claims ``address`` by ARP."""
        self.observations.on_claim(address, by, self._boottime())

    def malformed(self, number: int = 1, detail: str = "", tagged: int = 0) -> None:
        """``number`` packets could not be read at all (rule 22), ``tagged`` of them because of a VLAN tag."""
        self.observations.tagged += tagged
        _count(self.drops, "malformed", number)
        text = "ignored a packet that is not a DHCP message" + (f": {detail}" if detail else "")
        self._limited(ids.MALFORMED, "malformed", text, {"HOLDFAST_DROP_REASON": "malformed"})

    def recorded(self, outcome: Outcome) -> None:
        """An acquisition or renewal ended: history, journal, metrics (promise 6)."""
        from holdfast.observe.outcomes import as_record  # noqa: PLC0415

        self.observations.on_outcome()
        now = self._boottime()
        result = outcome.result.value
        _count(self.results, result)
        if result in WON:
            self._last_success = now
            if outcome.via is not None:
                _count(self.paths, outcome.via.value)
        self._last = outcome
        record = as_record(outcome, self.ifname, boottime=now, wall=self._wall())
        self._keep(record)
        self._tell_outcome(outcome, record)
        self._write_metrics()

    def noticed(self, action: Noticed) -> None:
        """Something worth a line; repeated ones are counted."""
        code = action.code.value
        self.observations.on_notice(action, self._boottime())
        _count(self.notices, code)
        kind = ids.NOTICES.get(code, ids.LINE)
        text = f"{code.replace('-', ' ').replace('nak', 'NAK')}: {action.detail}"
        self._limited(kind, "notice " + code, text, {"HOLDFAST_NOTICE": code}, NOTICE_BURST)
        self._publish("notice", text, code)

    def contention(self, rival: str, removals: int, seconds: float) -> None:
        """Contention has begun: another program, perhaps ``rival``, made ``removals`` within ``seconds``."""
        _count(self.notices, "fight")
        text = (f"fight: another program ({rival}) and this one undo each other's work: {removals} times within "
                f"{seconds:.0f} s; what it takes is put back ever more slowly; stop it, or leave the interface to it "
                f"with `holdfast yield {self.ifname}`")
        self._tell(ids.NOTICES["fight"], text, {"HOLDFAST_NOTICE": "fight", "HOLDFAST_RIVAL": rival})
        self._publish("notice", text, "fight")
        self._write_metrics()

    def line(self, priority: int, text: str) -> None:
        """Write one line with a syslog priority."""
        self._tell(ids.LINE._replace(priority=priority), text)

    def line_once(self, topic: str, priority: int, *texts: str) -> None:
        """Write ``texts``, a line each, unless they are the last ones about ``topic``."""
        self._said.say(topic, priority, *texts)

    def line_over(self, topic: str) -> None:
        """Forget what was written about ``topic``, so that its next texts are written in any case."""
        self._said.forget(topic)

    def watch(self, callback: Callable[[str, str, str | None, Outcome | None], None]) -> Callable[[], None]:
        """Call ``callback(kind, text, code, outcome)`` with every transition, outcome and notice from now on, until the
        returned function is called."""
        self._watchers.append(callback)
        return lambda: self._watchers.remove(callback)

    def _publish(self, kind: str, text: str, code: str | None = None, outcome: Outcome | None = None) -> None:
        for watcher in list(self._watchers):
            watcher(kind, text, code, outcome)

    @property
    def problems(self) -> dict[str, str]:
        """What ``line_once`` wrote last about each topic that is not over, and a history that cannot be written."""
        unwritten = {"history": self._unwritten} if self._outcomes is not None and self._outcomes.pending else {}
        return {**self._said.said, **unwritten}

    def keep_nothing(self) -> None:
        """Write no history from now on; everything else goes on."""
        self._outcomes = None

    def counters(self) -> dict[str, dict[str, int]]:
        """All counters: drops by reason, results, ways of the answers, notices by code."""
        return {"drops": dict(self.drops), "results": dict(self.results), "paths": dict(self.paths),
                "notices": dict(self.notices)}

    def close(self) -> None:
        """Write the outcomes that are not written yet. The log belongs to the process and stays open."""
        self._flush_history()
        if self._outcomes is not None:
            self._outcomes.close()
        self._write_metrics()

    def _keep(self, record: Record) -> None:
        if self._outcomes is None:
            return
        try:
            self._outcomes.append(record)
        except OSError as error:
            self._not_recorded(self._outcomes, error)

    def _flush_history(self) -> None:
        """Write the outcomes that are not written yet, if any."""
        if self._outcomes is None or not self._outcomes.pending:
            return
        try:
            self._outcomes.flush()
        except OSError as error:
            self._not_recorded(self._outcomes, error)

    def _not_recorded(self, outcomes: OutcomeJournal, error: OSError) -> None:
        from holdfast.observe.words import counted  # noqa: PLC0415

        lost = f", {outcomes.lost} {'is' if outcomes.lost == 1 else 'are'} lost" if outcomes.lost else ""
        waiting = f"{counted(outcomes.pending, 'outcome')} {'waits' if outcomes.pending == 1 else 'wait'}"
        why = f"the history cannot be written: {outcomes.path}: {error.strerror}"
        text = self._unwritten = f"{why}; {waiting}{lost}: {CURE}"
        self._limited(ids.NOT_RECORDED, "not-recorded", text, {"ERRNO": str(error.errno)})

    def _tell_outcome(self, outcome: Outcome, record: Record) -> None:
        """The line about ``outcome``. A lease that it won is in use by now: ``transitioned`` came before."""
        from holdfast.observe.words import outcome_text  # noqa: PLC0415

        renew_in = self.lease.t1_at - self._boottime() if self.lease and self._won(outcome) else None
        fields = {FIELDS[key]: str(value) for key, value in record.items()
                  if key in FIELDS and value is not None}
        result = outcome.result.value
        text = outcome_text(outcome, renew_in)
        self._limited(ids.RESULTS[result], "result " + result, text, fields, OUTCOME_BURST)
        self._publish("outcome", text, None, outcome)

    def _won(self, outcome: Outcome) -> bool:
        """Whether the lease in use is the one that ``outcome`` brought."""
        return self.lease is not None and self.lease.started_at >= outcome.started_at

    def _write_metrics(self) -> None:
        if self._metrics is None:
            return
        from holdfast.observe.metrics import Facts  # noqa: PLC0415

        now = self._boottime()
        facts = Facts(
            interface=self.ifname, state=self.state, now=now, wall=self._wall(), lease=self.lease,
            last_success=self._last_success, last=self._last, drops=self.drops, results=self.results,
            paths=self.paths, notices=self.notices, log_lines_lost=self._log.lost,
        )
        try:
            self._metrics.write(facts)
        except OSError as error:
            text = f"the metrics cannot be written: {self._metrics.path}: {error.strerror}; {CURE}"
            self._limited(ids.LINE._replace(priority=4), "metrics", text, {"ERRNO": str(error.errno)})

    def _limited(
        self, kind: ids.Kind, key: str, text: str, fields: Mapping[str, str], burst: int = 1
    ) -> None:
        more = self._limiter.allow(key, self._boottime(), burst=burst)
        if more is None:
            return
        if more:
            text += f" ({more} more like this since the last line)"
        self._tell(kind, text, fields)

    def _tell(self, kind: ids.Kind, text: str, fields: Mapping[str, str] | None = None) -> None:
        entry = {"MESSAGE_ID": kind.message_id, "INTERFACE": self.ifname, "DHCP_STATE": self.state}
        self._log.write(kind.priority, f"{self.ifname}: {text}", {**entry, **(fields or {})})


def _count(counters: dict[str, int], key: str, number: int = 1) -> None:
    counters[key] = counters.get(key, 0) + number
