"""Shell completions: click's own scripts, which ask `holdfast` what fits."""

from __future__ import annotations

from click.shell_completion import get_completion_class

from holdfast.cli import command

SHELLS = ("bash", "zsh", "fish")


def script(shell: str) -> str:
    """The script for one of SHELLS. ValueError for a shell that click does not know."""
    kind = get_completion_class(shell)
    if kind is None:
        raise ValueError(f"click knows no completion for {shell}")
    complete = kind(command, {}, "holdfast", "_HOLDFAST_COMPLETE")
    # Not source(): for bash it runs the bash of this machine to see how old it is.
    # click 8.5's for fish cuts a description at its first comma.
    template = complete.source_template.replace('string split ","', 'string split -m 1 ","')
    return template.strip() % complete.source_vars() + "\n"
