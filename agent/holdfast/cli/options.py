"""What several commands share: arguments, the settings, which interfaces there are."""

from __future__ import annotations

import socket
from typing import Any, Callable, TypeVar

import click

from holdfast import settings as configuration
from holdfast.cli.exits import CONFIGURATION, CliError
from holdfast.cli.output import complain
from holdfast.settings.checks import seconds
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


class Duration(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """Seconds: a number, or a duration such as ``90s`` or ``1m``, within bounds that are both included. ``whole``: an
    integer."""

    name = "duration"

    def __init__(self, low: float, high: float, *, whole: bool = False) -> None:
        self._check, self._whole = seconds(low, high), whole

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """``value`` in seconds."""
        try:
            found = float(self._check(value))
            return int(found) if self._whole else found
        except ValueError as error:
            self.fail(str(error), param, ctx)


config_option = click.option(
    "--config", "config", metavar="FILE", type=click.Path(),
    help="Read this file instead of /etc/holdfast/holdfast.toml and holdfast.d/*.toml.",
)
confirm_within_option = click.option(
    "--confirm-within", metavar="TIME", type=Duration(5, 86400, whole=True),
    help="Undo the take-over unless `holdfast confirm IFACE` is run within this time, such as 300 or 5m.",
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
