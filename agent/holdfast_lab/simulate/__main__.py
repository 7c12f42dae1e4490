"""``./dev simulate``: a fleet of clients on a virtual clock."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any

import click

from holdfast.cli import invoke
from holdfast.cli.exits import FAILED, CliError
from holdfast.cli.options import json_option
from holdfast_lab.render.tables import console, grid, markdown_table
from holdfast_lab.render.terminal import Screen
from holdfast_lab.simulate import frontier, report
from holdfast_lab.simulate.blocks import Job, run_jobs
from holdfast_lab.simulate.models import BY_NAME
from holdfast_lab.simulate.scenario import Outage, Scenario, cells

OURS = "holdfast"
FRONTIER_PAGE = Path("docs/decisions/0026-the-frontier-of-short-leases.md")
FRONTIER_PICTURE = Path("docs/pictures/simulate-frontier.svg")
#: What stands around the table in FRONTIER_PAGE.
TABLE_BEGINS, TABLE_ENDS = "<!-- made by ./dev simulate --frontier --write-docs -->", "<!-- end of the table -->"


def _start_and_duration(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[float, float] | None:
    if value is None:
        return None
    try:
        start, duration = map(float, value.split(":"))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not START:SECONDS, for example 40000:7200", ctx, param) from None
    return start, duration


@click.command("simulate", short_help="Many clients, a server and an outage, on a virtual clock.")
@click.option("--clients", type=int, default=1000, show_default=True, metavar="N", help="How many.")
@click.option("--client", "names", multiple=True, metavar="NAME",
              help="holdfast (the default), or a model of another; several times to compare; `all` for every one.")
@click.option("--lease", type=float, default=3600.0, show_default=True, metavar="S", help="What the server grants.")
@click.option("--span", type=float, default=86400.0, show_default=True, metavar="S", help="How long to simulate.")
@click.option("--boot-within", type=float, metavar="S",
              help="All start within S seconds; a few are a boot storm. Half a lease by default.")
@click.option("--servers", type=click.IntRange(1, 2), default=1, show_default=True,
              help="Two share one database; the outage is the first one's.")
@click.option("--capacity", type=float, metavar="N",
              help="Messages a server reads per second; without a limit by default.")
@click.option("--queue", type=int, default=1000, show_default=True, metavar="N", help="Messages that can wait for it.")
@click.option("--loss", type=float, default=0.0, metavar="P", help="The chance of a message being lost, each way.")
@click.option("--deaf", is_flag=True, help="No server hears unicast.")
@click.option("--outage", metavar="START:SECONDS", callback=_start_and_duration,
              help="The server is away for SECONDS from START on.")
@click.option("--forgets", is_flag=True, help="It comes back without its leases.")
@click.option("--naks", is_flag=True, help="It refuses what it does not know, instead of being silent.")
@click.option("--discover-ceiling", type=float, default=64.0, show_default=True, metavar="S",
              help="The setting `discover_ceiling`, of Holdfast only.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same run.")
@click.option("--matrix", is_flag=True,
              help="Instead: leases of 120 s, 1 h and 24 h, four outages, unicast heard and not, as Markdown.")
@click.option("--storm", is_flag=True, help="With --matrix: a fleet that booted within 10 s.")
@click.option("--frontier", "as_frontier", is_flag=True,
              help="Instead: leases of 120 s, what several schedules lose and how hard they ask, as Markdown.")
@click.option("--write-docs", is_flag=True, help=f"With --frontier: write it to {FRONTIER_PAGE} and its picture.")
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Draw it as well.")
@json_option
def command(
    names: tuple[str, ...], matrix: bool, storm: bool, as_frontier: bool, write_docs: bool, svg: Path | None,
    as_json: bool, **options: Any,
) -> None:
    """Simulate a fleet of clients and a server on a virtual clock, without a socket.

    Shows leases lost (and those lost after the server's return, which a better schedule could have kept), the time
    from its return to the lease, over the clients that were asking then, and the load on the server.
    """
    wanted = _names(names)
    if svg is not None:
        _check_writable(svg)  # before a run that takes minutes
    if as_frontier:
        _frontier(options["clients"], options["seed"], svg, write_docs=write_docs)
        return
    if matrix:
        _matrix(wanted, options["clients"], options["seed"], storm=storm, svg=svg)
        return
    scenario = _scenario(options)
    with Screen(sys.stderr) as screen:
        rows = run_jobs([Job(name, scenario) for name in wanted], screen.progress)
    if as_json:
        click.echo(json.dumps([row.as_dict() for row in rows], indent=2))
    else:
        out = console()
        out.print(grid(report.table(rows)), *report.notes(rows), sep="\n")
    if svg is not None:
        from holdfast_lab.render.fleet import load_picture  # noqa: PLC0415 - matplotlib

        _write(svg, load_picture(scenario, rows))


def _names(names: Sequence[str]) -> list[str]:
    known = [OURS, *BY_NAME]
    if "all" in names:
        return known
    found = {name.lower(): name for name in known}
    for name in names:
        if name.lower() not in found:
            raise click.UsageError(f"no client is called {name!r}; there are {', '.join(known)}")
    return [found[name.lower()] for name in names] or [OURS]


def _scenario(options: dict[str, Any]) -> Scenario:
    outage = _outage(options.pop("outage"), forgets=options.pop("forgets"), naks=options.pop("naks"))
    within, capacity = options.pop("boot_within"), options.pop("capacity")
    try:
        return Scenario(
            outage=outage, capacity=inf if capacity is None else capacity,
            boot_within=min(options["lease"] / 2, options["span"]) if within is None else within, **options,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _outage(when: tuple[float, float] | None, *, forgets: bool, naks: bool) -> Outage | None:
    if when is None:
        if forgets or naks:
            raise click.UsageError("--forgets and --naks say how an outage ends; give --outage as well")
        return None
    return Outage(*when, forgets=forgets, naks=naks)


def _matrix(names: Sequence[str], clients: int, seed: int, *, storm: bool, svg: Path | None) -> None:
    found = list(cells(clients, seed, storm=storm))
    with Screen(sys.stderr) as screen:
        rows = iter(run_jobs([Job(name, cell.scenario) for cell in found for name in names], screen.progress))
    results = [(cell, [next(rows) for _ in names]) for cell in found]
    click.echo("\n".join(report.markdown(results)))
    if svg is not None:
        from holdfast_lab.render.fleet import trade_picture  # noqa: PLC0415 - matplotlib

        _write(svg, trade_picture(results))


def _frontier(clients: int, seed: int, svg: Path | None, *, write_docs: bool) -> None:
    with Screen(sys.stderr) as screen:
        results = frontier.frontier(clients, seed, screen.progress)
    text = markdown_table(frontier.table(results))
    click.echo(text)
    if write_docs:
        svg = FRONTIER_PICTURE
        page = FRONTIER_PAGE.read_text(encoding="utf-8")
        before, after = page.split(TABLE_BEGINS)[0], page.split(TABLE_ENDS)[1]
        _write(FRONTIER_PAGE, f"{before}{TABLE_BEGINS}\n\n{text}\n\n{TABLE_ENDS}{after}")
    if svg is not None:
        from holdfast_lab.render.fleet import frontier_picture  # noqa: PLC0415 - matplotlib

        _write(svg, frontier_picture(clients, results))


def _check_writable(path: Path) -> None:
    parent = path.absolute().parent
    if not parent.is_dir():
        raise CliError(FAILED, f"{path} cannot be written: No such file or directory; name another file")
    if not os.access(path if path.exists() else parent, os.W_OK):
        raise CliError(FAILED, f"{path} cannot be written: Permission denied; name another file")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CliError(FAILED, f"{path} cannot be written: {error.strerror}; name another file") from None


def main(argv: list[str] | None = None) -> int:
    """Simulate a fleet; the exit status."""
    return invoke(command, argv, "./dev simulate")


if __name__ == "__main__":
    sys.exit(main())
