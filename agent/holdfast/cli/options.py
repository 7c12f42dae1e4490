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
    """IFACE, completed by the shell."""
    name = "interfaces" if nargs == -1 else "interface"
    metavar = ("IFACE" if required else "[IFACE]") + ("..." if nargs == -1 else "")
    return click.argument(name, metavar=metavar, required=required, nargs=nargs, shell_complete=_complete)


config_option = click.option(
    "--config", "config", metavar="FILE", type=click.Path(),
    help="Read this file instead of /etc/holdfast/holdfast.toml and holdfast.d/*.toml.",
)
confirm_within_option = click.option(
    "--confirm-within", metavar="S", type=click.IntRange(5, 86400),
    help="Wait so many seconds for `holdfast confirm IFACE`, else take all back.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="JSON for programs, with all facts.")


def read_settings(config: str | None) -> Settings:
    """The settings, or the end of the command with every problem named."""
    try:
        return configuration.read(config)
    except configuration.SettingsError as error:
        raise CliError(CONFIGURATION, *str(error).split("\n")) from None


def folders_of(config: str | None) -> Settings:
    """The settings for a command that only asks where things are: an agent that was started before the
    configuration broke must still be found."""
    try:
        return configuration.read(config)
    except configuration.SettingsError as error:
        if config is not None:
            raise CliError(CONFIGURATION, *str(error).split("\n")) from None
        complain("the configuration is wrong and not used; see `holdfast config check`")
        return Settings()


def no_such_interface(name: str) -> str:
    """The line for a name that no interface has."""
    return f"there is no interface {name} (there are: {', '.join(interface_names())})"
