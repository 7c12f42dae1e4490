"""``./dev soak``: leases of 10 s with flaps, floods and forgeries; memory and descriptors over time."""

from __future__ import annotations

import os
import random
import sys
from typing import NamedTuple

import click

from holdfast.cli import invoke
from holdfast.cli.exits import FAILED, NOT_PERMITTED, CliError
from holdfast_lab.attack import neighbour
from holdfast_lab.attack.arena import BIND, Arena, Attack, Scale, broken, descriptors, memory
from holdfast_lab.render.tables import console, grid
from holdfast_lab.render.terminal import Screen
from holdfast_lab.testbed.faults import Lease
from holdfast_lab.witness.wirelog import boottime

#: Seconds: T1 at half of the lease.
LEASE = Lease(10, 5, 8)
#: The first part of the run is left out of the slope: what is imported late, and what Python's allocator keeps.
WARM_UP = 0.25
#: KiB an hour that are none: one page (4 KiB) in a minute, which is how memory that fragments is got from the kernel.
FLAT = 256.0
#: The shortest run whose slope says anything, minutes.
LONG_ENOUGH = 20.0
#: Samples of which the one with the fewest descriptors counts.
FEW = 5


class Sample(NamedTuple):
    """At ``at`` (seconds of CLOCK_BOOTTIME): own memory in bytes, open descriptors."""

    at: float
    memory: int
    descriptors: int


def slope(samples: list[Sample]) -> float:
    """KiB an hour by least squares, without the warm-up; 0 for fewer than two samples."""
    rest = samples[int(len(samples) * WARM_UP):]
    if len(rest) < 2:
        return 0.0
    at = [sample.at for sample in rest]
    size = [sample.memory / 1024 for sample in rest]
    mean_at, mean_size = sum(at) / len(at), sum(size) / len(size)
    above = sum((x - mean_at) * (y - mean_size) for x, y in zip(at, size, strict=True))
    return 3600 * above / sum((x - mean_at) ** 2 for x in at)


def lowest(samples: list[Sample]) -> int:
    """The fewest descriptors: a file that is being written, and a command that asks, have one for a moment."""
    return min(sample.descriptors for sample in samples)


def disturb(arena: Arena, rng: random.Random) -> str:
    """One disturbance; its name. A lease of 10 s does not last through a long one."""
    kind = rng.choice(("flap", "claims", "naks", "malformed", "replies", "arp", "garbage", "renew"))
    brief = Scale(2.0, 0)
    if kind == "flap":
        arena.pull_cable()
        for _ in arena.during(rng.uniform(0.1, 1.5)):
            pass
        arena.plug_cable()
    elif kind == "renew":
        arena.command("renew", arena.links[0])
    else:
        {"claims": neighbour.claims, "naks": neighbour.naks, "malformed": neighbour.malformed,
         "replies": neighbour.replies, "arp": neighbour.arp, "garbage": neighbour.garbage}[kind](arena, brief)
    return kind


@click.command("soak")
@click.option("--minutes", type=click.FloatRange(0.5, 1440), default=60.0, show_default=True, metavar="N",
              help="How long.")
def command(minutes: float) -> int:
    """Hold leases of 10 s through flaps, floods and forgeries, and watch memory and descriptors.

    Memory is the agent's own (anonymous), and its slope is that of the last three quarters of the run. Exit status 1
    when a promise was broken, the agent ended, descriptors grew, or memory did over 20 minutes or more.
    """
    if os.geteuid() != 0:
        raise CliError(NOT_PERMITTED, "a soak is made in namespaces and needs root; use sudo")
    rng, samples, done = random.Random(14), list[Sample](), dict[str, int]()
    attack = Attack("soak", "leases of 10 s", lambda _arena, _scale: "", lease=LEASE, faults=neighbour.SLOW)
    with Arena(attack) as arena, Screen(sys.stderr, headings=True) as screen:
        arena.bind(BIND)
        arena.renewed()
        began = boottime()
        while (passed := boottime() - began) < minutes * 60:
            samples.append(Sample(boottime(), memory(arena.pid), descriptors(arena.pid)))
            screen.progress(f"minute {int(passed / 60) + 1} of {minutes:g}", passed / (minutes * 60), "soak")
            kind = disturb(arena, rng)
            done[kind] = done.get(kind, 0) + 1
            for _ in arena.during(3):
                pass
        arena.renewed()
        samples.append(Sample(boottime(), memory(arena.pid), descriptors(arena.pid)))
        findings = arena.findings()
        renewals, restarts = len(arena.granted()) - 1, arena.restarts
    lost = broken(findings)
    lost += ["the agent ended"] if restarts else []
    rate = slope(samples)
    first, last = samples[int(len(samples) * WARM_UP)], samples[-1]
    opened = lowest(samples[int(len(samples) * WARM_UP):][:FEW]), lowest(samples[-FEW:])
    if opened[1] > opened[0]:
        lost.append(f"{opened[0]} descriptors became {opened[1]}")
    if minutes >= LONG_ENOUGH and rate > FLAT:
        lost.append(f"memory grows by {rate:.0f} KiB an hour")
    console().print(grid([
        ["", "figure"], ["minutes", f"{minutes:g}"], ["renewals answered", f"{renewals:,}"],
        ["disturbances", ", ".join(f"{number} {kind}" for kind, number in sorted(done.items()))],
        ["own memory", f"{first.memory / (1 << 20):.2f} to {last.memory / (1 << 20):.2f} MiB"],
        ["slope", f"{rate:+.0f} KiB an hour"], ["descriptors", f"{opened[0]} to {opened[1]}"],
        ["lost", "nothing" if not lost else f"{len(lost)}, see below"],
    ], words=True))
    for text in lost:
        click.echo(text, err=True)
    return FAILED if lost else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command; its exit status."""
    return invoke(command, argv, "./dev soak")


if __name__ == "__main__":
    sys.exit(main())
