"""``./dev bench``: Holdfast and its peers side by side. Start reading here.

What is measured: ``measure.py`` (starts, idle, fault), ``code.py`` (decode, imports), ``flood.py``. Where: ``room.py``
and ``peers/``. What comes of it: ``figures.py`` (the numbers), ``report.py`` (tables and verdicts), ``docs.py`` (the
page, from a template, and its pictures by ``render/charts.py``).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from holdfast_lab.bench import docs, report
from holdfast_lab.bench.code import ImportTimer, measure_decode
from holdfast_lab.bench.figures import Figures
from holdfast_lab.bench.flood import measure_flood
from holdfast_lab.bench.measure import groups, measure_fault, measure_idle, measure_starts
from holdfast_lab.peers import ALL, FLOOR, HOLDFAST, IN_A_SHELL, Peer, bundle_code, by_python, installed, version_of
from holdfast_lab.render.tables import console, grid
from holdfast_lab.render.terminal import Screen

PARTS = ("starts", "idle", "fault", "decode", "flood")
IN_PYTHON = ("holdfast", "pyroute2")
SETTLE = 15
"""Seconds from the address to the idle window. NetworkManager's dispatcher stays for 10."""
DOCS = Path("docs/benchmarks")
NOT_PERMITTED, FAILED, MISSED = 5, 1, 3


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 0 done, 1 could not measure, 2 usage, 3 a budget is missed (with --check), 5 not root. Without
    --check a missed budget is a result, not an error."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    if options.read:
        figures = Figures.from_json(json.loads(Path(options.read).read_text(encoding="utf-8")))
    else:
        if os.geteuid() != 0:
            print("holdfast bench: needs root, to make namespaces for each client; use sudo", file=sys.stderr)
            return NOT_PERMITTED
        try:
            with Screen(sys.stderr, headings=True) as screen:
                figures = measure(options, screen)
        except RuntimeError as error:
            print(f"holdfast bench: {error}", file=sys.stderr)
            return FAILED
        except KeyboardInterrupt:
            print("holdfast bench: interrupted; nothing is kept", file=sys.stderr)
            return 128 + signal.SIGINT
    show(figures)
    if options.json:
        Path(options.json).write_text(json.dumps(figures.as_json(), indent=1) + "\n", encoding="utf-8")
    if options.write_docs:
        for path in docs.write(figures, DOCS):
            print(f"wrote {path}")
    return MISSED if options.check and any(one.met is False for one in report.verdicts(figures)) else 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line; argparse ends the process with status 2 on bad usage."""
    parser = argparse.ArgumentParser(prog="./dev bench", description="Measure Holdfast beside other DHCP clients.")
    parser.add_argument("--runs", type=positive, default=10, help="counted starts of each client (10)")
    parser.add_argument(
        "--clients", nargs="+", choices=list(ALL), default=list(ALL), metavar="CLIENT",
        help=f"which of {', '.join(ALL)} (all that are installed)",
    )  # fmt: skip
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART",
        help=f"which of {', '.join(PARTS)} (all)",
    )  # fmt: skip
    parser.add_argument(
        "--python", nargs="+", default=[], metavar="PYTHON",
        help="start Holdfast and the floor by these, too: versions that ./dev finds, `all`, or interpreters",
    )  # fmt: skip
    parser.add_argument("--idle", type=positive, default=60, help="length of the idle window in seconds (60)")
    parser.add_argument("--json", metavar="FILE", help="write the raw figures there")
    parser.add_argument("--read", metavar="FILE", help="measure nothing; show the figures of an earlier --json")
    parser.add_argument("--check", action="store_true", help="fail with status 3 when a budget is missed")
    parser.add_argument("--write-docs", action="store_true", help=f"write {DOCS}/ (page, pictures, raw figures)")
    return parser.parse_args(arguments)


def positive(text: str) -> int:
    """A whole number from 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def measure(options: argparse.Namespace, screen: Screen) -> Figures:
    """Take the figures that were asked for."""
    versions, missing = installed(options.clients)
    clients = list(versions)
    figures = Figures(machine=docs.machine(), versions=versions, missing=missing)
    others = " --python all" if options.python else ""  # ./dev gives the paths that these have here
    figures.command = f"sudo ./dev bench --runs {options.runs}{others} --write-docs"

    def tell(words: str) -> None:
        heading, _, details = words.partition(": ")
        screen.progress(heading, words=details)

    if "starts" in options.parts:
        imports = ImportTimer()
        more = more_starts(options.python) if "holdfast" in clients else []
        figures.versions |= {peer.name: version_of(peer) or "unknown" for peer in more}
        figures.starts = measure_starts(clients, options.runs, tell, beside=imports.once, more=more)
        figures.imports = imports.medians()
    if "idle" in options.parts:
        for group in groups(clients, IN_PYTHON):
            figures.idle |= measure_idle(group, options.idle, SETTLE, tell)
    if "decode" in options.parts:
        tell("decode: Holdfast and scapy in turns")
        figures.decode = measure_decode()
    if "flood" in options.parts and "holdfast" in clients:
        figures.flood = measure_flood("holdfast", tell)
    if "fault" in options.parts:
        figures.fault = measure_fault(clients, tell)
    return figures


def more_starts(pythons: list[str]) -> list[Peer]:
    """What is started beside the clients: Holdfast in a shell, the floor, and both kinds by other ``pythons``."""
    others = [peer for python in pythons for peer in by_python(python)]
    for python in (HOLDFAST.command[0], *pythons):
        bundle_code(python)
    return [IN_A_SHELL, FLOOR, *others]


def show(figures: Figures) -> None:
    """The tables, on standard output."""
    out = console()
    for table in (report.main_table(figures), report.ratio_table(figures)):
        out.print(grid(table), "", sep="\n")
    out.print(grid(report.verdict_table(report.verdicts(figures)), words=True), "", sep="\n")
    for line in report.left_out(figures):
        print(line)


if __name__ == "__main__":
    sys.exit(main())
