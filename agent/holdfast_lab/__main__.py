"""``./dev lab``: the same faults for Holdfast and for every other DHCP client on this machine."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from holdfast.cli import invoke
from holdfast.cli.exits import FAILED, NOT_PERMITTED, USAGE, CliError

if TYPE_CHECKING:
    from holdfast_lab.scenario.result import Result
    from holdfast_lab.scenario.scenario import Scenario


@click.group("lab", short_help="Put Holdfast and other DHCP clients through the same faults.")
def command() -> None:
    """Put DHCP clients through scripted faults, in network namespaces of their own.

    Nothing else on this machine is touched. Needs root.
    """


@command.command("list")
def list_command() -> None:
    """Name the scenarios, and the clients that are installed here."""
    from holdfast_lab.peers import ALL, installed  # noqa: PLC0415
    from holdfast_lab.scenario import scenario  # noqa: PLC0415

    width = max(map(len, scenario.names()))
    click.echo("Scenarios")
    for name in scenario.names():
        click.echo(f"  {name:<{width}}  {scenario.find(name).title}")
    versions, missing = installed(ALL)
    click.echo("\nClients")
    for name, version in versions.items():
        click.echo(f"  {name:<{width}}  {version}")
    for name in missing:
        click.echo(f"  {name:<{width}}  not installed")


@command.command("run")
@click.argument("name", metavar="SCENARIO")
@click.option("--client", default="holdfast", show_default=True, metavar="NAME", help="Which client.")
@click.option("--lease", type=click.IntRange(10, 3600), metavar="S", help="Another lease; T1 and T2 follow it.")
@click.option("--svg", type=click.Path(dir_okay=False), metavar="FILE", help="Draw the run as well.")
@click.option("--log", is_flag=True, help="Show what the client said, too.")
def run_command(name: str, client: str, lease: int | None, svg: str | None, log: bool) -> int:
    """Run one scenario, show its time line and the verdict. Exit status 1 when a promise was broken."""
    _ready()
    from holdfast_lab.render import bands, show  # noqa: PLC0415
    from holdfast_lab.scenario.play import play  # noqa: PLC0415

    scenario = _scenarios(name)[0].scaled(lease)
    _clients(client)
    screen = show.screen()
    show.heading(screen, scenario, client)
    try:
        result: Result = play(scenario, client, tell=show.Progress(screen, scenario))
    except RuntimeError as error:
        screen.wipe()
        raise CliError(FAILED, str(error)) from None
    show.timeline(screen, result)
    kept = show.verdict(screen, result)
    if log:
        screen.plain(f"\n{client} said\n{result.log}")
    if svg:
        Path(svg).write_text(bands.draw(scenario, [result]), encoding="utf-8")
        screen.plain(f"\nThe picture is in {svg}")
    return 0 if kept else FAILED


@command.command("compare")
@click.option("--clients", metavar="NAME,...", help="Which clients; all that are installed without it.")
@click.option("--scenarios", metavar="NAME,...", help="Which scenarios; all without it.")
@click.option("--lease", type=click.IntRange(10, 3600), metavar="S", help="Another lease for all scenarios.")
@click.option("-j", "jobs", type=click.IntRange(1, 64), default=4, show_default=True, metavar="N",
              help="Runs at the same time.")
@click.option("--out", default="lab-compare", show_default=True, type=click.Path(file_okay=False), metavar="DIR",
              help="Where the tables, JSON and pictures go.")
def compare_command(
    clients: str | None, scenarios: str | None, lease: int | None, jobs: int, out: str
) -> int:
    """Run every client through every scenario; tables here, and as Markdown, JSON and pictures in a folder."""
    _ready()
    from holdfast_lab.bench.report import text_table  # noqa: PLC0415
    from holdfast_lab.compare import __main__ as compare  # noqa: PLC0415
    from holdfast_lab.compare.report import HEADINGS, summary, table  # noqa: PLC0415
    from holdfast_lab.render import show  # noqa: PLC0415

    line = "./dev lab compare" + "".join(
        f" {option} {value}" for option, value in
        (("--clients", clients), ("--scenarios", scenarios), ("--lease", lease), ("-j", jobs)) if value
    )  # fmt: skip
    progress = show.Tally()
    matrix = compare.run(
        _clients(clients), _scenarios(scenarios), lease=lease, jobs=jobs, command=line, tell=progress
    )
    progress.done()
    for heading, cell in HEADINGS:
        click.echo(f"{heading}\n\n{text_table(table(matrix, cell))}\n")
    click.echo(text_table(summary(matrix)))
    for name in matrix.missing:
        click.echo(f"{name} is not installed; left out")
    written = compare.write(matrix, Path(out))
    names = ", ".join(path.name for path in written[:2])
    click.echo(f"\nWritten to {out}: {names}, and a picture of each scenario (lab-*.svg)")
    broken = [result for result in matrix.results if result.client == "holdfast" and result.broken]
    for result in broken:
        click.echo(f"holdfast in {result.scenario}: {'; '.join(result.broken)}", err=True)
    return FAILED if broken else 0


def _ready() -> None:
    if os.geteuid() != 0:
        raise CliError(NOT_PERMITTED, "the lab makes namespaces for each client and needs root; use sudo")
    if shutil.which("unshare") is None:  # pragma: no cover - util-linux is everywhere
        raise CliError(FAILED, "the lab needs unshare and nsenter, of util-linux")
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def _scenarios(names: str | None) -> list[Scenario]:
    from holdfast_lab.scenario import scenario  # noqa: PLC0415

    known = scenario.names()
    wanted = known if names is None else [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in known:
            raise CliError(USAGE, f"no scenario {name}; see `./dev lab list`")
    return [scenario.find(name) for name in wanted]


def _clients(names: str | None) -> list[str]:
    from holdfast_lab.peers import ALL, installed  # noqa: PLC0415

    wanted = list(ALL) if names is None else [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in ALL:
            raise CliError(USAGE, f"no client {name}; known are {', '.join(ALL)}")
    if names is not None and len(installed(wanted)[1]) == len(wanted):
        raise CliError(FAILED, f"not installed: {', '.join(wanted)}")
    return wanted


def main(argv: list[str] | None = None) -> int:
    """Run one command of the lab; its exit status."""
    return invoke(command, argv, "./dev lab")


if __name__ == "__main__":
    sys.exit(main())
