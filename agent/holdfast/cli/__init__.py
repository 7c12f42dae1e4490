"""The command line. One file per command in ``commands/``, imported when it is used."""

from __future__ import annotations

import copy
import importlib
import sys
from keyword import iskeyword

import click

from holdfast import __version__
from holdfast.cli.exits import EPILOG, FAILED, USAGE, CliError
from holdfast.cli.output import complain, echo
from holdfast.escape import printable

COMMANDS = (
    "run", "status", "monitor", "history", "explain", "doctor", "renew", "rebind", "release", "guard", "takeover",
    "confirm", "handback", "overlay", "wait-online", "yield", "clean", "config", "completion",
)


#: What click 8.2 raises for a group without a command; 8.1 prints the help by itself.
_HELP_INSTEAD: type[click.UsageError] | tuple[()] = getattr(click.exceptions, "NoArgsIsHelpError", ())


class LazyGroup(click.Group):
    """A group whose commands are ``holdfast.cli.commands.<name>.command``, a hyphen being an
    underscore there, and ``yield`` ``yield_``."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names of the commands in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_") + ("_" if iskeyword(cmd_name) else "")
        module = importlib.import_module(f"holdfast.cli.commands.{name}")
        command: click.Command = module.command
        return command


    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that ``args`` begins with; with --help it names this machine's interfaces. UsageError with the
        nearest one for an unknown one."""
        try:
            name, found, rest = super().resolve_command(ctx, args)
            if found is not None and {"-h", "--help"} & set(rest):
                found = _with_interfaces(found)
            return name, found, rest
        except click.UsageError:
            from holdfast.settings.checks import nearest  # noqa: PLC0415 - only after a mistake

            raise click.UsageError(f'there is no command "{args[0]}"{nearest(args[0], COMMANDS)}', ctx) from None


def _with_interfaces(found: click.Command) -> click.Command:
    """``found``, whose help ends with the interfaces that IFACE may be here."""
    if not any("IFACE" in (param.metavar or "") for param in found.params):
        return found
    from holdfast.cli.options import interface_names  # noqa: PLC0415 - only for the help

    names = [printable(name) for name in interface_names() if name != "lo"]
    shown = copy.copy(found)
    here = ", ".join(names) or "there is none but lo"
    shown.epilog = f"{found.epilog or ''}\n\nIFACE on this machine: {here}.".strip()
    return shown


@click.group(
    cls=LazyGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def command() -> None:
    """Holdfast: a DHCPv4 client that never lets go of a valid lease."""


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit status. ``argv``: the arguments, sys.argv's by default."""
    return invoke(command, argv, "holdfast")


def invoke(program: click.Command, argv: list[str] | None, name: str) -> int:
    """Run a click program; its exit status. Errors are one line on stderr and a status (see ``exits``)."""
    try:
        status = program.main(argv, prog_name=name, standalone_mode=False)
    except _HELP_INSTEAD as error:
        for line in error.format_message().splitlines():  # the help
            echo(line, err=True)
        return USAGE
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else name
        return _fail(f"{error.format_message().rstrip('.')}; see `{path} --help`", USAGE)
    except CliError as error:
        return _fail(error.format_message(), error.status)
    except click.Abort:
        return 130  # 128 + SIGINT, as a shell reports it
    except BrokenPipeError:
        # `holdfast history | head`: the reader has gone. Without this Python would report it again when it flushes.
        sys.stdout = None
        return FAILED
    return status if isinstance(status, int) else 0


def _fail(text: str, status: int) -> int:
    for line in text.splitlines():
        complain(line)
    return status
