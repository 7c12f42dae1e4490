"""``holdfast status``: every interface at a glance, or the whole of some, from the running agents."""

from __future__ import annotations

import time
from typing import Any, Mapping, Sequence

import click

from holdfast.cli import guarded
from holdfast.cli.asking import agents, ask, call, waiting_agent
from holdfast.cli.exits import NO_AGENT, USAGE, CliError
from holdfast.cli.interrupt import until_interrupted
from holdfast.cli.options import config_option, folders_of, interface_argument, json_option
from holdfast.cli.output import clear_screen, columns, echo, echo_json, shortened, styled
from holdfast.cli.status_text import HEADINGS, Line, block, line_of
from holdfast.settings.model import Settings

Facts = Mapping[str, Any]

#: Seconds between two looks of ``--watch``.
INTERVAL = 1.0


@click.command("status", short_help="Show state, address, times, last outcome and counters.")
@interface_argument(required=False, nargs=-1)
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
@json_option
@config_option
def command(interfaces: tuple[str, ...], watch: bool, as_json: bool, config: str | None) -> None:
    """Show every interface on a line: state, address, server, time left, flags, and what goes on now; those that guard
    stands beside, too.

    With IFACE: all that is known of it, counters of ignored messages included. --json always has the whole.
    """
    if watch and as_json:
        raise CliError(USAGE, "--watch goes without --json; `holdfast monitor --json` is for programs")
    settings = folders_of(config)
    names = list(dict.fromkeys(interfaces))
    if not watch:
        _show(settings, names, as_json=as_json)
        return
    with until_interrupted() as interrupted:
        while not interrupted():
            clear_screen()
            try:
                _show(settings, names, as_json=False)
            except CliError as error:  # an agent that is restarted
                echo(error.format_message())
            time.sleep(INTERVAL)


def _show(settings: Settings, names: Sequence[str], *, as_json: bool) -> None:
    guards = [one for one in guarded.guarded(settings) if not names or one["interface"] in names]
    clients = _chosen(settings, names, {one["interface"] for one in guards}) if names else _all(settings)
    waits = None if clients else waiting_agent(settings)
    if not clients and not guards and waits is None:
        raise CliError(NO_AGENT, "no agent is running; start one with `holdfast run IFACE`")
    lines = [*map(line_of, clients), *map(guarded.line_of, guards)]
    if as_json:
        echo_json([*clients, *guards])
        return
    if not clients and waits is not None:
        echo(f"no interface is served: {waits}")
    if not names and lines:
        print_lines(lines)
        return
    for number, (text, line) in enumerate(zip([*map(block, clients), *map(guarded.lines, guards)], lines)):  # noqa: B905
        for one in ([""] if number else []) + list(text):
            echo(one, style=styled(line.cells[1], line.colour))


def _chosen(settings: Settings, names: Sequence[str], guards: set[str]) -> list[Facts]:
    """Those of ``names`` that agents serve. CliError for one that neither an agent nor guard knows."""
    served = agents(settings)
    return [client for name in names if name in served or name not in guards
            for client in ask(settings, name, "Status")["clients"]]


def _all(settings: Settings) -> list[Facts]:
    clients: list[Facts] = []
    for name, path in agents(settings).items():
        answer = call(path, "Status", {"interface": name})
        clients += answer["clients"] if answer else []  # a socket that a crash left behind
    return clients


def print_lines(lines: Sequence[Line]) -> None:
    """One line each, no wider than the terminal."""
    rows = [HEADINGS, *(line.cells for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS) - 1)]
    for row, colour in zip(rows, [None, *(line.colour for line in lines)]):  # noqa: B905 - Python 3.10
        cells = [cell.ljust(width) for cell, width in zip(row, widths)]  # noqa: B905 - the last has no width
        text = shortened("  ".join([*cells, row[-1]]).rstrip(), columns())
        echo(text, style=None if colour is None else styled(row[1], colour), dim=colour is None)
