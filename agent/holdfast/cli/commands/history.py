"""``holdfast history``: the outcomes on disk as a table; needs no agent."""

from __future__ import annotations

import os
import time
from typing import Any, Mapping, Sequence

import click

from holdfast.cli.exits import FAILED, NO_INTERFACE, NOT_PERMITTED, CliError
from holdfast.cli.options import (
    config_option,
    folders_of,
    interface_argument,
    interface_names,
    json_option,
    no_such_interface,
)
from holdfast.cli.output import columns, complain, echo, echo_json, shortened, styled
from holdfast.cli.times import local_time, since
from holdfast.escape import printable
from holdfast.observe.outcomes import history_path, interfaces_with_history, read_history
from holdfast.observe.words import duration, latency
from holdfast.settings.dirs import search_guard_dirs, search_state_dirs

Record = Mapping[str, Any]

_COLOURS = {"acquired": "green", "renewed": "green", "moved": "yellow", "kept": "yellow", "held": "yellow",
            "refused": "red", "expired": "red", "conflict": "red"}
_HEADINGS = ("TIME", "RESULT", "PATH", "TRIES", "LATENCY", "SERVER", "LEFT", "CAUSE")


def _since(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else since(value, time.time())
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


@click.command("history", short_help="Show the outcome of every renewal.")
@interface_argument(required=False)
@json_option
@click.option("--since", "start", metavar="T", callback=_since,
              help="Only outcomes from T on, as journalctl has it: 2h, -1h, yesterday, 08:00, or ISO 8601.")
@click.option("--html", "page", metavar="FILE", type=click.Path(dir_okay=False),
              help="Write one page with a time line, that needs nothing else, to FILE.")
@config_option
def command(
    interface: str | None, as_json: bool, start: float | None, page: str | None, config: str | None
) -> None:
    """Show the outcome of every acquisition and renewal of IFACE, or of all interfaces, oldest first."""
    configured = folders_of(config).state_dir
    folders = search_state_dirs(configured)
    both = dict.fromkeys((*folders, *search_guard_dirs(configured)))
    known = [(name, folder) for folder in both for name in _names(folder)]
    if interface is not None:
        known = [(name, folder) for name, folder in known if name == interface]
        if not known and interface not in interface_names():
            raise CliError(NO_INTERFACE, no_such_interface(interface))
    records = [record for name, folder in known for record in _read(folder, name, start)]
    records.sort(key=lambda record: str(record["time"]))
    if page is not None:
        _write_page(page, records)
    elif as_json:
        echo_json(records)
    elif records:
        _print_table(records, several=len({name for name, _ in known}) > 1)
    else:
        where = " or ".join(folders)
        complain(f"no outcome {'since then ' if start else ''}is recorded in {where}")


def _names(folder: str) -> list[str]:
    """The interfaces with a history in ``folder``. CliError when it may not be read: that is not the same as none."""
    try:
        return interfaces_with_history(folder)
    except PermissionError:
        raise CliError(NOT_PERMITTED, f"not permitted to read {folder}; run as root") from None


def _write_page(path: str, records: Sequence[Record]) -> None:
    from holdfast.observe.history_page import render  # noqa: PLC0415 - seldom wanted

    try:
        with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(render(records, time.time()))
    except OSError as error:
        raise CliError(NOT_PERMITTED if isinstance(error, PermissionError) else FAILED,
                       f"{path} cannot be written: {error.strerror}") from None
    complain(f"{os.path.abspath(path)} is written")


def _read(folder: str, name: str, start: float | None) -> list[dict[str, Any]]:
    try:
        return read_history(folder, name, since=start)
    except PermissionError as error:
        raise CliError(NOT_PERMITTED, f"not permitted to read {error.filename}; run as root") from None
    except OSError as error:
        path = error.filename or history_path(folder, name)
        raise CliError(FAILED, f"the history {path} cannot be read: {error.strerror}; move it away, and the agent "
                               "starts a new one") from None


def _print_table(records: Sequence[Record], *, several: bool) -> None:
    headings = ("IFACE", *_HEADINGS) if several else _HEADINGS
    rows = [headings, *(((_text(record, "interface"),) if several else ()) + _row(record) for record in records)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(headings) - 1)]
    for number, row in enumerate(rows):
        cells = [cell.rjust(width) if heading in ("TRIES", "LATENCY", "LEFT") else cell.ljust(width)
                 for heading, cell, width in zip(headings, row, widths)]  # noqa: B905 - the cause has no width
        # On a terminal a long cause is cut rather than wrapped; a file or a pipe gets all of it.
        text = shortened("  ".join([*cells, row[-1]]).rstrip(), columns())
        result = row[headings.index("RESULT")]
        echo(text, style=styled(result, _COLOURS[result]) if number and result in _COLOURS else None, dim=not number)


def _row(record: Record) -> tuple[str, ...]:
    took = record.get("latency")
    left = record.get("seconds_left")
    if record.get("former_address") is None and not left:
        left = None  # there was no lease before
    return (
        local_time(str(record["time"])),
        _text(record, "result"),
        _text(record, "path"),
        _text(record, "attempts"),
        latency(took) if isinstance(took, (int, float)) else "-",
        _text(record, "server"),
        duration(left) if isinstance(left, (int, float)) else _plain(left),
        _text(record, "cause"),
    )


def _text(record: Record, key: str) -> str:
    return _plain(record.get(key))


def _plain(value: object) -> str:
    """``value`` as one cell, escaped: it comes from a file and is printed on a terminal."""
    text = "-" if value is None or value == "" else str(value)
    return printable(text)
