"""All output of the commands: text of agents, files, images and the network is escaped before it reaches the
terminal."""

from __future__ import annotations

import sys

import click

from holdfast.escape import printable


def echo(text: str = "", *, err: bool = False) -> None:
    """Print ``text`` as one line, escaped. Raises BrokenPipeError when the reader has gone."""
    encoding = getattr(sys.stderr if err else sys.stdout, "encoding", None) or "utf-8"
    click.echo(printable(text).encode(encoding, "backslashreplace").decode(encoding), err=err)


def complain(text: str) -> None:
    """Print ``text`` as one line on stderr, after "holdfast: "."""
    echo(f"holdfast: {text}", err=True)


def echo_json(value: object) -> None:
    """Print ``value`` as JSON in ASCII."""
    import json  # noqa: PLC0415 - for programs only

    click.echo(json.dumps(value, indent=2, ensure_ascii=True))
