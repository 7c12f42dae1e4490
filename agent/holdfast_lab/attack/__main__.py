"""``./dev attack``: a table of what was done to the agent, and what was lost."""

from __future__ import annotations

import os
import sys

import click

from holdfast.cli import invoke
from holdfast.cli.exits import FAILED, NOT_PERMITTED, USAGE, CliError
from holdfast_lab.attack import kills, local, many, neighbour, scarcity
from holdfast_lab.attack.arena import Attack, Scale, Verdict, fight
from holdfast_lab.render.tables import console, grid, seconds_text
from holdfast_lab.render.terminal import Screen

ATTACKS: tuple[Attack, ...] = (
    *neighbour.ATTACKS, *local.ATTACKS, *scarcity.ATTACKS, *many.ATTACKS, *kills.ATTACKS,
)


@click.command("attack")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--minutes", type=click.FloatRange(0.1, 600), metavar="N",
              help="Minutes for all attacks together, without kills and what they wait for; 20 s each without it. "
                   "Leaves out what takes minutes by itself, unless it is named.")
@click.option("--kills", "kill_count", type=click.IntRange(1, 100_000), default=100, show_default=True, metavar="N",
              help="SIGKILLs, twice: with room on the disk and without.")
@click.option("--list", "listing", is_flag=True, help="Name the attacks.")
def command(names: tuple[str, ...], minutes: float | None, kill_count: int, listing: bool) -> int:
    """Attack the agent in namespaces, and tell what was lost: nothing, or what. Exit status 1 when something was.

    A lease of 24 s is held while a neighbour forges and floods, users of the machine misbehave, descriptors, memory and
    disk run out or hang, and the agent is killed. The verdict is the lab's: packets, netlink and ARP probes.
    """
    if listing:
        console().print(grid([["Attack", ""], *([one.name, one.title] for one in ATTACKS)], words=True))
        return 0
    chosen = chosen_of(names, minutes)
    unknown = set(names) - {one.name for one in ATTACKS}
    if unknown:
        raise CliError(USAGE, f"no attack {', '.join(sorted(unknown))}; see `./dev attack --list`")
    if os.geteuid() != 0:
        raise CliError(NOT_PERMITTED, "attacks are made in namespaces and need root; use sudo")
    scale = Scale(20.0 if minutes is None else minutes * 60 / len(chosen), kill_count)
    verdicts = []
    with Screen(sys.stderr, headings=True) as screen:
        for number, attack in enumerate(chosen):
            screen.progress(f"attack {number + 1} of {len(chosen)}", number / len(chosen), attack.title)
            verdicts.append(fight(attack, scale))
            click.echo(f"{attack.name}: {'; '.join(verdicts[-1].lost) or 'nothing lost'}", err=True)
    console().print(grid(table(chosen, verdicts), words=True))
    return FAILED if any(verdict.lost for verdict in verdicts) else 0


def chosen_of(names: tuple[str, ...], minutes: float | None) -> list[Attack]:
    """The attacks of a command line."""
    if names:
        return [one for one in ATTACKS if one.name in names]
    return [one for one in ATTACKS if minutes is None or not one.lengthy]


def table(attacks: list[Attack], verdicts: list[Verdict]) -> list[list[str]]:
    """One row for each attack."""
    rows = [["attack", "", "done", "restarts", "memory", "took", "lost"]]
    for attack, verdict in zip(attacks, verdicts, strict=True):
        grown = f"{verdict.grown / (1 << 20):+.1f} MiB" if verdict.grown else "-"
        lost = f"{len(verdict.lost)}, see above" if verdict.lost else "nothing"
        rows.append([attack.name, attack.title, verdict.did or "-", str(verdict.restarts or "-"), grown,
                     seconds_text(verdict.took), lost])
    return rows


def main(argv: list[str] | None = None) -> int:
    """Run the command; its exit status."""
    return invoke(command, argv, "./dev attack")


if __name__ == "__main__":
    sys.exit(main())
