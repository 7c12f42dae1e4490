"""All output of the commands: text of agents, files, images and the network is escaped before it reaches the
terminal. Colours are for terminals that have them (NO_COLOR: no-color.org)."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from typing import NamedTuple

import click

from holdfast.escape import printable

#: Columns where the terminal does not tell, and the most that a line of sentences has.
COLUMNS, WIDEST = 80, 120


class Style(NamedTuple):
    """The first occurrence of ``word`` is printed in ``colour``."""

    word: str
    colour: str


def styled(word: str, colour: str) -> Style:
    """A style for ``echo``."""
    return Style(word, colour)


def coloured(stream: object = None) -> bool:
    """True when ``stream`` (stdout) is a terminal that shows colours, and NO_COLOR is not set."""
    out = sys.stdout if stream is None else stream
    isatty = getattr(out, "isatty", lambda: False)
    return bool(isatty()) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def columns() -> int | None:
    """The width of the terminal; None when stdout is none: a file or a pipe gets everything."""
    return shutil.get_terminal_size((COLUMNS, 24)).columns if sys.stdout.isatty() else None


def shortened(text: str, width: int | None) -> str:
    """``text``, escaped, in ``width`` columns, with an ellipsis where something is cut."""
    text = printable(text)
    return text if width is None or len(text) <= width else text[:max(width - 1, 0)].rstrip() + "\u2026"


def clear_screen() -> None:
    """Begin anew at the top of a terminal; an empty line elsewhere."""
    click.echo("\x1b[H\x1b[2J" if sys.stdout.isatty() else "", nl=not sys.stdout.isatty())


def wrapped(text: str, margin: int) -> list[str]:
    """``text``, escaped, as lines that leave ``margin`` columns free; no word is broken. At least one line."""
    room = max(min(columns() or COLUMNS, WIDEST) - margin, 20)
    return textwrap.wrap(printable(text), room, break_long_words=False, break_on_hyphens=False) or [""]


def echo(text: str = "", *, err: bool = False, style: Style | None = None, dim: bool = False) -> None:
    """Print ``text`` as one line, escaped, and in ``style`` or ``dim`` on a terminal. Raises BrokenPipeError when the
    reader has gone."""
    stream = sys.stderr if err else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    line = printable(text).encode(encoding, "backslashreplace").decode(encoding)
    if coloured(stream):
        if style is not None:
            line = line.replace(style.word, click.style(style.word, fg=style.colour, bold=True), 1)
        elif dim:
            line = click.style(line, dim=True)
    click.echo(line, file=stream, color=coloured(stream))


def complain(text: str) -> None:
    """Print ``text`` as one line on stderr, after "holdfast: "."""
    echo(f"holdfast: {text}", err=True)


def echo_line(text: str) -> None:
    """Print ``text``, JSON in ASCII on one line, for programs that read a pipe: at once."""
    click.echo(text)
    sys.stdout.flush()


def echo_json(value: object) -> None:
    """Print ``value`` as JSON in ASCII."""
    import json  # noqa: PLC0415 - for programs only

    click.echo(json.dumps(value, indent=2, ensure_ascii=True))
