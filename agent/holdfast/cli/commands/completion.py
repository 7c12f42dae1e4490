"""``holdfast completion``: what a package installs for the shells, for who installed by pip."""

from __future__ import annotations

import click

from holdfast.cli import completions
from holdfast.cli.output import echo


@click.command("completion", short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(completions.SHELLS))
def command(shell: str) -> None:
    """Print the script that makes SHELL complete commands, options and names of interfaces.

    \b
    bash: holdfast completion bash > ~/.local/share/bash-completion/completions/holdfast
    zsh:  holdfast completion zsh > "${fpath[1]}/_holdfast"
    fish: holdfast completion fish > ~/.config/fish/completions/holdfast.fish

    A package has installed these scripts already.
    """
    for line in completions.script(shell).splitlines():
        echo(line)
