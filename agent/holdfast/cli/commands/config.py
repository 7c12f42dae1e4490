"""``holdfast config show`` and ``holdfast config check``."""

from __future__ import annotations

import os
from typing import Any, Iterator, Mapping

import click

from holdfast.cli.options import config_option, read_settings
from holdfast.cli.output import complain, echo
from holdfast.settings.model import Settings
from holdfast.settings.schema import AGENT, GUARD, INTERFACE, Key


@click.group("config", short_help="Show or check the configuration.")
def command() -> None:
    """Show or check the configuration."""


@command.command("show")
@config_option
def show(config: str | None) -> None:
    """Print every setting with its meaning and the file that set it, as TOML."""
    settings = read_settings(config)
    for line in _show(settings):
        echo(line)


@command.command("check")
@config_option
def check(config: str | None) -> None:
    """Check the configuration; exit status 6 when it is wrong."""
    settings = read_settings(config)
    for warning in _warnings(settings):
        complain(warning)
    files = ", ".join(settings.files) or "there is no file, and none is needed"
    echo(f"the configuration is right: {files}")


def _show(settings: Settings) -> Iterator[str]:
    yield from (f"# read: {path}" for path in settings.files or ("nothing; these are the defaults",))
    yield from _table("agent", AGENT, settings, settings, meanings=True)
    yield from _table("guard", GUARD, settings.guard, settings, meanings=True)
    yield from _table("defaults", INTERFACE, settings.defaults, settings, meanings=True)
    for name in dict.fromkeys(name for name, _ in settings.tables):
        own = {key: known for key, known in INTERFACE.items() if f"interfaces.{name}.{key}" in settings.origins}
        if own or name in settings.interfaces:
            yield from _table(f"interfaces.{name}", own, settings.interface(name), settings, meanings=False)


def _table(
    name: str, keys: Mapping[str, Key], model: object, settings: Settings, *, meanings: bool
) -> Iterator[str]:
    yield ""
    yield f"[{_quoted(name)}]"
    for key, known in keys.items():
        value, origin = getattr(model, key), settings.origins.get(f"{name}.{key}")
        if meanings:
            yield f"# {known.meaning}"
        assignment = f"{key} = {toml_value(value)}" if value is not None else f"# {key} ="
        yield assignment + (f"  # {origin}" if origin else "")


def toml_value(value: Any) -> str:
    """A value of the settings as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, str):
        escaped = "".join(_ESCAPES.get(char, char) if char.isprintable() else f"\\u{ord(char):04X}"
                          for char in value)
        return f'"{escaped}"'
    return str(value)


_ESCAPES = {'"': '\\"', "\\": "\\\\"}


def _quoted(name: str) -> str:
    """A dotted table name; an interface such as eth0.100 needs quotes there."""
    table, _, interface = name.partition(".")
    plain = interface.replace("-", "").replace("_", "")
    return name if not interface or (plain.isalnum() and plain.isascii()) else f"{table}.{toml_value(interface)}"


def _warnings(settings: Settings) -> Iterator[str]:
    yield from settings.warnings
    for key in ("hooks_dir", "metrics_dir"):
        folder = getattr(settings, key)
        if folder is not None and not os.path.isdir(folder):
            yield f"key agent.{key}: {folder} is not a folder now"
    from holdfast.runtime.control_service import group_id  # noqa: PLC0415 - pulls in half the agent

    try:
        group_id(settings.control_group)
    except KeyError:
        yield f"key agent.control_group: there is no group {settings.control_group} now; only root can ask"
