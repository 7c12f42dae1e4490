"""The command line of ``./dev guests``."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.support.guests.cases.case import Case, CaseError, read_all
from tests.support.guests.cases.run import Outcome, run
from tests.support.guests.cases.table import table
from tests.support.guests.install import payload
from tests.support.guests.place import ROOT, remove_leftovers, why_not
from tests.support.guests.tree import RELEASES, tree


def main(words: Sequence[str]) -> int:
    """Run the cases; 0 when each ended as it should, 1 when one did not, 2 when they cannot be run."""
    arguments = _arguments(words)
    try:
        cases = read_all(arguments.cases, arguments.names)
    except CaseError as error:
        print(f"guests: {error}", file=sys.stderr)
        return 2
    reason = why_not()
    if reason is not None:
        print(f"guests: {reason}", file=sys.stderr)
        return 2
    remove_leftovers()
    tree(arguments.release)
    payload()  # once, before the cases want it
    outcomes = _run(cases, arguments.release, arguments.jobs)
    print(table(outcomes))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([outcome._asdict() for outcome in outcomes], indent=1) + "\n")
    return 0 if all(one.as_wanted(case) for one, case in zip(outcomes, cases, strict=True)) else 1


def _run(cases: Sequence[Case], release: str, jobs: int) -> list[Outcome]:
    """Each in a process of its own, so many at once; in the order of ``cases``."""
    found: dict[str, Outcome] = {}
    context = multiprocessing.get_context("spawn")  # a guest's network lives in threads, which a fork would lose
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        for future in as_completed([pool.submit(run, case, release) for case in cases]):
            outcome = future.result()
            found[outcome.case] = outcome
            differs = outcome.verdict in {"accepted", "baked"}
            word = "the same" if outcome.same else "differs" if differs else outcome.verdict
            progress = f"guests: {len(found)} of {len(cases)}: {outcome.case}: {word} ({outcome.whole:.0f} s)"
            print(progress, file=sys.stderr, flush=True)
    return [found[case.name] for case in cases]


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev guests", description="Take guests of many configurations over and tell what differs afterwards."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="the cases to run; all of the folder's otherwise")
    parser.add_argument("--cases", type=Path, default=ROOT / "tests" / "guests", metavar="FOLDER",
                        help="a folder of cases (tests/guests)")
    parser.add_argument("--release", choices=RELEASES, default="bookworm", help="Debian's release in the guests")
    parser.add_argument("-j", "--jobs", type=int, default=2, metavar="N", help="guests at once (2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the outcomes there, too")
    return parser.parse_args(words)
