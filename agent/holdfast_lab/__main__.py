"""``./dev lab``: the same faults for Holdfast and for every other DHCP client on this machine."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import click

from holdfast.cli import invoke
from holdfast.cli.exits import FAILED, NOT_PERMITTED, USAGE, CliError
from holdfast_lab.peers import ALL, installed
from holdfast_lab.render.tables import console, grid
from holdfast_lab.render.terminal import Screen, show_progress, show_result, show_scenario
from holdfast_lab.scenario import scenario as files
from holdfast_lab.scenario.play import play
from holdfast_lab.scenario.scenario import Scenario


@click.group("lab", short_help="Put Holdfast and other DHCP clients through the same faults.")
def command() -> None:
    """Put DHCP clients through scripted faults, in network namespaces of their own.

    Nothing else on this machine is touched. Needs root.
    """


@command.command("list")
def list_command() -> None:
    """Name the scenarios, and the clients that are installed here."""
    scenarios = [["Scenario", ""], *([name, files.find(name).title] for name in files.names())]
    versions, missing = installed(ALL)
    clients = [["Client", ""], *versions.items(), *((name, "not installed") for name in missing)]
    console().print(grid(scenarios, words=True), "", grid(clients, words=True), sep="\n")


@command.command("run")
@click.argument("name", metavar="SCENARIO")
@click.option("--client", default="holdfast", show_default=True, metavar="NAME", help="Which client.")
@click.option("--lease", type=click.IntRange(10, 3600), metavar="S", help="Another lease; T1 and T2 follow it.")
@click.option("--svg", type=click.Path(dir_okay=False), metavar="FILE", help="Draw the run as well.")
@click.option("--log", is_flag=True, help="Show what the client said, too.")
def run_command(name: str, client: str, lease: int | None, svg: str | None, log: bool) -> int:
    """Run one scenario, show its time line and the verdict. Exit status 1 when a promise was broken."""
    _ready()
    scenario = _scenarios(name)[0].scaled(lease)
    _clients(client)
    with Screen(sys.stdout) as screen:
        show_scenario(screen, scenario, client)
        try:
            result = play(scenario, client, tell=lambda *how: show_progress(screen, *how))
        except RuntimeError as error:
            raise CliError(FAILED, str(error)) from None
        kept = show_result(screen, result)
    if log:
        click.echo(f"\n{client} said\n{result.log}")
    if svg:
        from holdfast_lab.render.scenario import draw  # noqa: PLC0415 - matplotlib

        Path(svg).write_text(draw(scenario, [result]), encoding="utf-8")
        click.echo(f"\nThe picture is in {svg}")
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
    from holdfast_lab.compare.matrix import run  # noqa: PLC0415
    from holdfast_lab.compare.report import HEADINGS, summary, table, write  # noqa: PLC0415 - matplotlib

    line = "./dev lab compare" + "".join(
        f" {option} {value}" for option, value in
        (("--clients", clients), ("--scenarios", scenarios), ("--lease", lease), ("-j", jobs)) if value
    )  # fmt: skip
    with Screen(sys.stderr, headings=True) as screen:
        def tell(done: int, total: int, words: str) -> None:
            screen.progress(f"run {done - done % 10} of {total}", done / total, words)

        matrix = run(_clients(clients), _scenarios(scenarios), lease=lease, jobs=jobs, command=line, tell=tell)
    shown = console()
    for heading, cell in HEADINGS:
        shown.print(heading, "", grid(table(matrix, cell)), "", sep="\n")
    shown.print(grid(summary(matrix)))
    for name in matrix.missing:
        click.echo(f"{name} is not installed; left out")
    written = write(matrix, Path(out))
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
    known = files.names()
    wanted = known if names is None else [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in known:
            raise CliError(USAGE, f"no scenario {name}; see `./dev lab list`")
    return [files.find(name) for name in wanted]


def _clients(names: str | None) -> list[str]:
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
