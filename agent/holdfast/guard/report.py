"""What guard's history says, for a person who must decide: counts, and a verdict with the next command."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from statistics import median
from typing import Any

from holdfast.core.outcome import Purpose, Via
from holdfast.guard.actions import STOPPED, Verdict
from holdfast.guard.machine import IGNORE_FOREIGN_NAKS
from holdfast.observe.words import counted
from holdfast.wire.record import NamedTuple, record

Record = Mapping[str, Any]

_ANSWERED = (Verdict.RENEWED, Verdict.ANSWERED, Verdict.IGNORED)


class Finding(str, Enum):
    """What is wrong, the worst first. A fixed set."""

    DEAF = "deaf-to-unicast"  # no unicast was answered, and broadcasts were
    UNICAST_LOST = "unicast-lost"  # some unicasts were not answered, and broadcasts were
    UNREACHABLE = "unreachable"  # nothing was answered
    UNANSWERED = "unanswered"  # some renewals were not answered in any way
    IGNORED = "ignored"  # the client did not take the answer
    REFUSED = "refused"  # NAK
    SILENT = "silent"  # the lease ended, and the client had not asked
    NOTHING_SEEN = "nothing-seen"  # no renewal is recorded
    OTHER_SERVERS = "other-servers"
    WELL = "well"


@record
class Report(NamedTuple):
    """The renewals of one interface. Times are UTC in ISO 8601, spans are seconds, None where there is none.

    ``renewals`` are those whose end is known: answered by unicast, answered only by broadcast (the client's or a
    rebroadcast), unanswered, and refused by a NAK add up to it. ``undecided`` were open when guard ended. ``ignored``
    are answered ones that the client did not take. ``delay_median`` and ``delay_worst`` are of those whose first
    message was not answered, from that message to the answer. ``lost`` leases ended without an answer.
    ``silence`` is the longest time between two exchanges while guard was watching. ``verdict`` is one sentence,
    ``commands`` are what can be done.
    """

    interface: str
    clients: tuple[str, ...]
    servers: tuple[str, ...]
    begin: str
    end: str
    renewals: int
    by_unicast: int
    by_broadcast: int
    unanswered: int
    refused: int
    undecided: int
    ignored: int
    rebroadcasts: int
    delay_median: float | None
    delay_worst: float | None
    lost: int
    silence: float | None
    others: tuple[str, ...]
    finding: Finding
    verdict: str
    commands: tuple[str, ...]


class _Renewals:
    """The renewals among the records of an interface, sorted by how they ended."""

    def __init__(self, records: Sequence[Record]) -> None:
        asked = [one for one in records if one.get("purpose") == Purpose.T1 and _number(one, "attempts")]
        self.undecided = [one for one in asked if _undecided(one)]
        self.all = [one for one in asked if not _undecided(one)]
        self.refused = [one for one in self.all if _refused(one)]
        self.by_unicast = [one for one in self.all if _by_unicast(one)]
        self.by_broadcast = [one for one in self.all if _answered(one) and not _by_unicast(one)]
        self.unanswered = [one for one in self.all if not _answered(one) and not _refused(one)]
        self.ignored = [one for one in self.all if one.get("result") == Verdict.IGNORED]
        self.lost = [one for one in records if one.get("result") == Verdict.EXPIRED]
        self.not_asked = [one for one in self.lost if not _number(one, "attempts")]
        self.unicast = [one for one in self.all if _number(one, "unicasts") and not _refused(one)]
        self.failed_unicast = [one for one in self.unicast if not _by_unicast(one)]
        #: Of these, the ones that a broadcast followed.
        self.followed = [one for one in self.failed_unicast if _broadcasts(one)]


def report_of(interface: str, records: Sequence[Record]) -> Report:
    """The report of ``records``, which are guard's of ``interface``, at least one, oldest first."""
    renewals = _Renewals(records)
    delays = [_number(one, "latency") for one in (*renewals.by_unicast, *renewals.by_broadcast)
              if _number(one, "attempts") + _number(one, "rebroadcasts") > 1]
    clients = _texts(one.get("client") for one in records)
    servers = _texts(one.get("server") for one in renewals.failed_unicast or renewals.all)
    others = _texts(other for one in records if isinstance(one.get("others"), list) for other in one["others"])
    finding = _finding(renewals, others)
    return Report(
        interface=interface,
        clients=clients,
        servers=servers,
        begin=str(records[0]["time"]),
        end=str(records[-1]["time"]),
        renewals=len(renewals.all),
        by_unicast=len(renewals.by_unicast),
        by_broadcast=len(renewals.by_broadcast),
        unanswered=len(renewals.unanswered),
        refused=len(renewals.refused),
        undecided=len(renewals.undecided),
        ignored=len(renewals.ignored),
        rebroadcasts=int(sum(_number(one, "rebroadcasts") for one in renewals.all)),
        delay_median=round(median(delays), 4) if delays else None,
        delay_worst=max(delays, default=None),
        lost=len(renewals.lost),
        silence=_longest_silence(records),
        others=others,
        finding=finding,
        verdict=_verdict(finding, renewals, ", ".join(servers) or "the server", others),
        commands=_commands(finding, renewals, interface, repeats=not others or IGNORE_FOREIGN_NAKS.issuperset(clients)),
    )


# -- what was found ------------------------------------------------------------------------------


def _finding(renewals: _Renewals, others: tuple[str, ...]) -> Finding:
    saved = any(_answered(one) for one in renewals.followed)
    tests = (
        (Finding.DEAF, saved and len(renewals.failed_unicast) == len(renewals.unicast)),
        (Finding.UNICAST_LOST, saved),
        (Finding.UNREACHABLE, renewals.unanswered and len(renewals.unanswered) == len(renewals.all)),
        (Finding.UNANSWERED, renewals.unanswered),
        (Finding.IGNORED, renewals.ignored),
        (Finding.REFUSED, renewals.refused),
        (Finding.SILENT, renewals.not_asked),
        (Finding.NOTHING_SEEN, not renewals.all),
        (Finding.OTHER_SERVERS, others),
    )
    return next((finding for finding, true in tests if true), Finding.WELL)


def _verdict(finding: Finding, renewals: _Renewals, server: str, others: tuple[str, ...]) -> str:
    if finding in (Finding.DEAF, Finding.UNICAST_LOST):
        return _unicast_verdict(finding, renewals, server)
    total = f"of {len(renewals.all)} renewals"
    if finding is Finding.UNREACHABLE:
        tried = "also by broadcast" if any(map(_broadcasts, renewals.all)) else "and none was sent by broadcast"
        return f"None {total} was answered by {server}, {tried}{_losses(renewals)}."
    return {
        Finding.UNANSWERED: f"{len(renewals.unanswered)} {total} got no answer from {server}{_losses(renewals)}: the "
                            "server or the way to it was away at times.",
        Finding.IGNORED: f"{len(renewals.ignored)} {total} got an answer from {server} that the client ignored.",
        Finding.REFUSED: f"{len(renewals.refused)} {total} got a NAK from {server}: it does not know the lease.",
        Finding.SILENT: f"The lease ended {counted(len(renewals.not_asked), 'time')} because the client did not ask.",
        Finding.NOTHING_SEEN: "No renewal was seen yet; clients ask when half of the lease has passed.",
        Finding.OTHER_SERVERS: f"All renewals were answered by {server}, but {', '.join(others)} answers here, too.",
        Finding.WELL: f"{len(renewals.all)} {total} were answered by {server}: nothing is to be done.",
    }[finding]


def _unicast_verdict(finding: Finding, renewals: _Renewals, server: str) -> str:
    """The verdict that this program is for."""
    failed, followed = renewals.failed_unicast, renewals.followed
    saved = sum(map(_answered, followed))
    broadcasts = f"all {len(followed)}" if saved == len(followed) else f"{saved} of {len(followed)}"
    why = "unicast to the server is lost at times"
    if finding is Finding.DEAF:
        why = "the server does not hear unicast"
    if all(one.get("on_wire") is False for one in failed):
        why = "they did not leave this machine, because the server does not answer ARP"
    return (f"{len(failed)} of {len(renewals.unicast)} unicast renewals to {server} were not answered, {broadcasts} "
            f"broadcasts were{_losses(renewals)}: {why}.")


def _losses(renewals: _Renewals) -> str:
    return f", and the lease was lost {counted(len(renewals.lost), 'time')}" if renewals.lost else ""


def _commands(finding: Finding, renewals: _Renewals, interface: str, *, repeats: bool) -> tuple[str, ...]:
    """The next commands, the least change first. ``repeats``: guard would repeat a renewal here."""
    cure = f"holdfast takeover {interface}"
    untried = finding is Finding.UNREACHABLE and not any(map(_broadcasts, renewals.all))
    if finding in (Finding.DEAF, Finding.UNICAST_LOST) or untried:
        return (f"holdfast guard {interface} --rebroadcast", cure) if repeats else (cure,)
    if finding is Finding.UNREACHABLE:
        return (f"holdfast doctor {interface}",)
    if finding in (Finding.IGNORED, Finding.SILENT):
        return (cure,)
    return {
        Finding.NOTHING_SEEN: (f"holdfast guard {interface}",), Finding.WELL: (),
    }.get(finding, (f"holdfast history {interface}",))


# -- records -------------------------------------------------------------------------------------


def _longest_silence(records: Sequence[Record]) -> float | None:
    """Between two exchanges of one boot that one run of guard saw, seconds; a released lease asks for none."""
    longest, since, boot = None, None, None
    for one in records:
        watched = since is not None and one.get("boot_id") == boot and _number(one, "watched_since") <= since
        if watched and since is not None:
            longest = max(longest or 0.0, _number(one, "started_at") - since)
        if _number(one, "attempts"):
            since, boot = _number(one, "ended_at"), one.get("boot_id")
        elif one.get("result") == Verdict.RELEASED:
            since = None
    return None if longest is None else round(longest, 3)


def _undecided(one: Record) -> bool:
    return one.get("cause") == STOPPED and not _answered(one)


def _answered(one: Record) -> bool:
    return one.get("result") in _ANSWERED


def _by_unicast(one: Record) -> bool:
    return _answered(one) and one.get("path") == Via.UNICAST


def _refused(one: Record) -> bool:
    return one.get("result") == Verdict.REFUSED


def _broadcasts(one: Record) -> float:
    return _number(one, "attempts") - _number(one, "unicasts") + _number(one, "rebroadcasts")


def _number(one: Record, key: str) -> float:
    """Zero for what is no number: the file may be damaged."""
    value = one.get(key)
    return value if isinstance(value, (int, float)) else 0


def _texts(values: Iterable[object]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if isinstance(value, str) and value))
