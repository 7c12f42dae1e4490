"""renew, rebind, release: call the agent, wait, print the outcome."""

from __future__ import annotations

from typing import Any, Mapping

import click

from holdfast.cli.asking import ask
from holdfast.cli.exits import FAILED
from holdfast.cli.options import folders_of
from holdfast.cli.output import echo
from holdfast.observe.outcomes import as_outcome
from holdfast.observe.words import outcome_text


def tell_outcome(method: str, interface: str, config: str | None, *, good: tuple[str, ...]) -> None:
    """Call ``method`` for ``interface`` and print its outcome; exit status 1 unless it is a ``good`` one."""
    outcome = ask(folders_of(config), interface, method)["outcome"]
    done = outcome["result"] in good
    echo(f"{interface}: {in_words(outcome)}", err=not done)
    if not done:
        click.get_current_context().exit(FAILED)


def in_words(record: Mapping[str, Any]) -> str:
    """One outcome as a line; its bare result when another version of the agent wrote it."""
    try:
        return outcome_text(as_outcome(record), None)
    except (KeyError, TypeError, ValueError, OverflowError):
        return str(record["result"])
