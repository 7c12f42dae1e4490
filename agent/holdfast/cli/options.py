"""What several commands share: arguments, the settings, which interfaces there are."""

from __future__ import annotations

import socket
from typing import Any, Callable, TypeVar

import click

from holdfast import settings as configuration
from holdfast.cli.exits import CONFIGURATION, CliError
from holdfast.cli.output import complain
from holdfast.settings.model import Settings

F = TypeVar("F", bound=Callable[..., Any])


def interface_names() -> list[str]:
    """The interfaces of this machine."""
    return [name for _, name in socket.if_nameindex()]


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    return [name for name in interface_names() if name.startswith(incomplete) and name != "lo"]


def interface_argument(*, required: bool = True, nargs: int = 1) -> Callable[[F], F]:
    """A click argument IFACE with shell completion; ``nargs=-1`` for any number of them."""
    name = "interfaces" if nargs == -1 else "interface"
    metavar = ("IFACE" if required else "[IFACE]") + ("..." if nargs == -1 else "")
    return click.argument(name, metavar=metavar, required=required, nargs=nargs, shell_complete=_complete)


config_option = click.option(
    "--config", "config", metavar="FILE", type=click.Path(),
    help="Read this file instead of /etc/holdfast/holdfast.toml and holdfast.d/*.toml.",
)
confirm_within_option = click.option(
    "--confirm-within", metavar="S", type=click.IntRange(5, 86400),
    help="Undo the take-over unless `holdfast confirm IFACE` is run within S seconds.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON with all facts, for programs.")


def read_settings(config: str | None) -> Settings:
    """The settings. Raises CliError with one line for each problem, as SettingsError has them."""
    try:
        return configuration.read(config)
    except configuration.SettingsError as error:
        raise CliError(CONFIGURATION, *str(error).split("\n")) from None


def folders_of(config: str | None) -> Settings:
    """The settings for a command that only needs the folders. A wrong file is reported and ignored, so that an agent
    which was started before the file became wrong is still found. Raises CliError when ``config`` names the file."""
    try:
        return configuration.read(config)
    except configuration.SettingsError as error:
        if config is not None:
            raise CliError(CONFIGURATION, *str(error).split("\n")) from None
        complain("the configuration is wrong and not used; see `holdfast config check`")
        return Settings()


def no_such_interface(name: str) -> str:
    """The message about an interface that does not exist."""
    return f"there is no interface {name} (there are: {', '.join(interface_names())})"
