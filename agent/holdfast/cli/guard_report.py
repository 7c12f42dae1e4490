"""``holdfast guard --report``: what guard has recorded, as text, JSON or a page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import click

from holdfast.cli.exits import FAILED, NOT_PERMITTED, CliError
from holdfast.cli.options import folders_of
from holdfast.cli.output import complain, echo, echo_json
from holdfast.cli.times import local_time, since
from holdfast.guard.report import Report, report_of
from holdfast.observe.outcomes import interfaces_with_history, read_history
from holdfast.observe.words import duration, latency
from holdfast.settings.dirs import search_guard_dirs


def report(interfaces: tuple[str, ...], start: str | None, config: str | None, *, as_json: bool,
           page: str | None) -> None:
    """Print the report of ``interfaces`` (names and patterns; none: all) from ``start`` on, or write it to ``page``.
    CliError when the records cannot be read."""
    try:
        begin = None if start is None else since(start, time.time())
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from None
    folders = search_guard_dirs(folders_of(config).state_dir)
    histories = dict(_histories(folders, interfaces, begin))
    reports = [report_of(name, records) for name, records in histories.items()]
    if as_json:
        echo_json([one._asdict() for one in reports])
    elif page is not None:
        from holdfast.guard.page import render  # noqa: PLC0415 - seldom asked for

        _write_page(page, render(list(zip(reports, histories.values(), strict=True))))
    elif not reports:
        complain(f"guard has recorded nothing {'since then ' if start else ''}in {' or '.join(folders)}; "
                 "`holdfast guard` begins")
    else:
        for number, one in enumerate(reports):
            for line in ([""] if number else []) + _lines(one):
                echo(line)


def _histories(
    folders: tuple[str, ...], interfaces: tuple[str, ...], begin: float | None
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    try:
        for folder in folders:
            for name in interfaces_with_history(folder):
                if not interfaces or any(fnmatchcase(name, pattern) for pattern in interfaces):
                    records = read_history(folder, name, since=begin)
                    if records:
                        yield name, records
    except PermissionError as error:
        raise CliError(NOT_PERMITTED, f"not permitted to read {error.filename}; run as root") from None
    except OSError as error:
        raise CliError(FAILED, f"{error.filename} cannot be read: {error.strerror}") from None


def _write_page(path: str, text: str) -> None:
    if path == "-":
        for line in text.splitlines():
            echo(line)
        return
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise CliError(FAILED, f"{path} cannot be written: {error.strerror}") from None


def _delay(report: Report) -> str:
    if report.delay_median is None or report.delay_worst is None:
        return "-"
    return (f"median {latency(report.delay_median)}, worst {latency(report.delay_worst)}, where the first message got "
            "none")


def _lines(report: Report) -> list[str]:
    """``report`` for people."""
    rows = [
        ("renewals", str(report.renewals)),
        ("answered by unicast", str(report.by_unicast)),
        ("only by broadcast", str(report.by_broadcast)),
        ("unanswered", str(report.unanswered)),
        *((label, str(number)) for label, number in (
            ("refused by NAK", report.refused), ("ignored by the client", report.ignored),
            ("open when guard ended", report.undecided), ("packets guard sent", report.rebroadcasts)) if number),
        ("time to the answer", _delay(report)),
        ("leases lost", str(report.lost)),
        ("longest silence", "-" if report.silence is None else duration(report.silence)),
        ("other servers", ", ".join(report.others) or "-"),
    ]
    head = f"{report.interface}: {', '.join(report.clients)}, {local_time(report.begin)} to {local_time(report.end)}"
    width = max(len(label) for label, _ in rows)
    return [head, *(f"  {label.ljust(width)}  {value}" for label, value in rows), report.verdict,
            *(f"  next: sudo {line}" for line in report.commands)]
