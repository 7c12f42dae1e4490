"""The interfaces that guard stands beside, as guard tells of them: for ``holdfast status``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from holdfast.cli.asking import no_answer
from holdfast.cli.status_text import Line, ago
from holdfast.cli.times import local_time
from holdfast.control import client
from holdfast.control.interface import GUARD, guard_path
from holdfast.observe.words import duration
from holdfast.settings.dirs import search_guard_runtime_dirs
from holdfast.settings.model import Settings

Facts = Mapping[str, Any]


def guarded(settings: Settings, interface: str | None = None) -> list[Facts]:
    """What the guard that runs here knows of ``interface``, or of each; ``guarded`` is true in it. Empty when no guard
    runs. CliError when it gives no answer."""
    try:
        answer = _ask(settings, "Status")
    except client.ControlError as error:
        raise no_answer(error) from None
    return [{"guarded": True, "rebroadcast": answer["rebroadcast"], "blind": answer["blind"], **one}
            for one in answer["interfaces"] if interface in (None, one["interface"])] if answer else []


def silenced(settings: Settings) -> bool:
    """False when a guard runs that cannot be told to write nothing more."""
    try:
        _ask(settings, "KeepNothing")
    except client.ControlError:
        return False
    return True


def _ask(settings: Settings, method: str) -> dict[str, Any] | None:
    """The answer of the guard that runs, None when none does. Raises ControlError."""
    for folder in search_guard_runtime_dirs(settings.runtime_dir):
        with suppress(client.NoAgentError):
            return client.call(guard_path(folder), method, {}, interface=GUARD)
    return None


def line_of(facts: Facts) -> Line:
    """One interface at a glance."""
    lease, last = facts["lease"] or {"address": "-", "server": None, "expiry": 0.0}, facts["last"]
    left = "for ever" if lease["expiry"] is None else duration(max(lease["expiry"], 0.0)) if facts["lease"] else "-"
    now = "renewing" if facts["asking"] else "-" if last is None else f"{last['text']}, {ago(last['time'])}"
    return Line((facts["interface"], "guarded", lease["address"], lease["server"] or "-", left, facts["client"], now),
                "cyan")


def lines(facts: Facts) -> Iterator[str]:
    """``facts`` of one interface for people."""
    lease = facts["lease"]
    held = "no lease known"
    if lease is not None:
        held = lease["address"] + (f" from {lease['server']}" if lease["server"] else "")
    yield f"{facts['interface']}: guarded beside {facts['program']}, {held}{', renewing' if facts['asking'] else ''}"
    rows = list(_rows(facts))
    width = max(len(label) for label, _ in rows)
    yield from (f"  {label:<{width}}  {text}" for label, text in rows)


def _rows(facts: Facts) -> Iterator[tuple[str, str]]:
    lease, last = facts["lease"], facts["last"]
    if lease is not None:
        ends = lease["expiry"]
        yield "expiry", "never" if ends is None else f"in {duration(ends)}" if ends > 0 else f"{duration(-ends)} ago"
    if last is not None:
        yield "last", f"{last['text']} ({local_time(last['time'])})"
    counts = ", ".join(f"{count} {result}" for result, count in sorted(facts["results"].items()))
    yield "seen", f"{counts or 'nothing'} since {local_time(facts['watched_since'])}"
    sent = "unanswered renewals are repeated by broadcast" if facts["rebroadcast"] else "nothing is sent"
    yield "guard", sent + (f"; {facts['rebroadcasts']} so far" if facts["rebroadcast"] else "")
    if facts["others"]:
        yield "others", f"{', '.join(facts['others'])} answers here, too"
    if facts["blind"] is not None:
        yield "blind", f"where the server does not answer ARP: {facts['blind']}"
