"""/etc/holdfast/holdfast.toml as it is installed: every key with its meaning and default, all commented out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import wrap

from holdfast.cli.commands.config import toml_value
from holdfast.settings.model import GuardSettings, InterfaceSettings, Settings
from holdfast.settings.schema import AGENT, GUARD, INTERFACE, Key

HEAD = """\
# Holdfast, a DHCPv4 client. None of this is needed: what is commented out is the default.
#
# More files: /etc/holdfast/holdfast.d/*.toml, read after this one, in the order of their names.
# Check: holdfast config check. Explained: holdfast.toml(5).
"""

INTERFACES = """\

# One table for each interface that holdfast.service is to serve; it may be empty, or have any key of [defaults].
#[interfaces.eth0]
"""


def render() -> str:
    """The file."""
    return HEAD + "".join((*table("agent", AGENT, Settings()), *table("guard", GUARD, GuardSettings()), INTERFACES,
                           *table("defaults", INTERFACE, InterfaceSettings())))


def table(name: str, keys: Mapping[str, Key], defaults: object) -> Iterator[str]:
    """One table, empty as long as its keys are comments."""
    yield f"\n[{name}]\n"
    for key, known in keys.items():
        for line in wrap(known.meaning, 110):
            yield f"# {line}\n"
        value = getattr(defaults, key)
        yield f"#{key} =\n" if value is None else f"#{key} = {toml_value(value)}\n"
