"""The one place where commands print: nothing that an agent, a file, an image or the network says reaches the
terminal as anything but visible text."""

from __future__ import annotations

import sys

import click

from holdfast.escape import printable


def echo(text: str = "", *, err: bool = False) -> None:
    """One line, whatever is in ``text``. BrokenPipeError when nobody reads."""
    encoding = getattr(sys.stderr if err else sys.stdout, "encoding", None) or "utf-8"
    click.echo(printable(text).encode(encoding, "backslashreplace").decode(encoding), err=err)


def complain(text: str) -> None:
    """One line on stderr that says whose it is."""
    echo(f"holdfast: {text}", err=True)


def echo_json(value: object) -> None:
    """``value`` for programs: everything beyond printable ASCII is escaped as JSON does."""
    import json  # noqa: PLC0415 - for programs only

    click.echo(json.dumps(value, indent=2, ensure_ascii=True))
