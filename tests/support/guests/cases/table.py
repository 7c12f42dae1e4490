"""The outcomes as an aligned table, and the count."""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.guests.cases.run import Outcome

_HEAD = ("case", "take-over", "s", "missed", "at once", "after a reboot")


def table(outcomes: Sequence[Outcome]) -> str:
    """One row a case: words for what differs, then below the table the differences and reasons in full."""
    rows = [_HEAD, *map(_row, outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*lines, *_details(outcomes), count(outcomes)])


def count(outcomes: Sequence[Outcome]) -> str:
    """How many there are of each kind."""
    verdicts = [outcome.verdict for outcome in outcomes]
    differ = sum(outcome.verdict in {"accepted", "baked"} and not outcome.same for outcome in outcomes)
    return (
        f"{len(outcomes)} cases: {sum(outcome.same for outcome in outcomes)} the same, {differ} differ, "
        f"{verdicts.count('refused')} refused, {verdicts.count('failed')} failed; "
        f"{sum(outcome.missed for outcome in outcomes)} probes missed"
    )


def _row(outcome: Outcome) -> tuple[str, ...]:
    if outcome.verdict == "failed":
        return (outcome.case, "failed", "-", "-", "-", "-")
    baked = outcome.verdict == "baked"
    return (
        outcome.case, outcome.verdict, "-" if baked else f"{outcome.seconds:.1f}",
        "-" if baked else f"{outcome.missed}/{outcome.asked}", "-" if baked else _kinds(outcome.at_once),
        "-" if outcome.verdict == "refused" else _kinds(outcome.after_reboot),
    )


def _kinds(differences: Sequence[str]) -> str:
    return " ".join(dict.fromkeys(text.partition(":")[0] for text in differences)) or "same"


def _details(outcomes: Sequence[Outcome]) -> list[str]:
    lines = [""]
    for outcome in outcomes:
        told = [outcome.reason] if outcome.reason else []
        told += [f"at once: {text}" for text in outcome.at_once]
        told += [f"after a reboot: {text}" for text in outcome.after_reboot]
        if told:
            lines += [f"{outcome.case}:", *(f"  {text}" for text in told)]
    return [*lines, ""] if len(lines) > 1 else lines
