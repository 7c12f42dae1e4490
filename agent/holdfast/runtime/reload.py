"""The configuration read again while the agent runs: what of it changes at once, and what needs a restart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from holdfast.settings import SettingsError
from holdfast.settings.model import InterfaceSettings

if TYPE_CHECKING:
    from holdfast.runtime.interface import Interface
    from holdfast.settings.model import Settings

#: Keys of [agent] that are read at the start alone.
NEEDS_RESTART = ("state_dir", "runtime_dir", "serve", "metrics_dir", "control_group", "log")
#: Those that are used as they are at each moment.
AT_ONCE = ("hooks_dir", "log_level")


def agent_changes(former: Settings, latter: Settings) -> Iterator[str]:
    """A line for each key of [agent] that has changed."""
    for key in AT_ONCE:
        if getattr(former, key) != getattr(latter, key):
            yield f"{key} has changed"
    for key in NEEDS_RESTART:
        if getattr(former, key) != getattr(latter, key):
            yield f"{key} has changed, which takes a restart; the addresses stay"


def apply(interface: Interface, former: Settings, latter: Settings) -> Iterator[tuple[int, str]]:
    """Have ``interface`` use ``latter``; syslog priority and text of what there is to say."""
    before, after = former.interface(interface.name), latter.interface(interface.name)
    changed = [key for key in InterfaceSettings._fields if getattr(before, key) != getattr(after, key)]
    if not changed:
        return
    try:
        same = interface.reload()
    except SettingsError as error:
        yield 3, f"{error}; nothing is changed"
        return
    if same:
        yield 5, f"{', '.join(changed)} changed; the lease is kept"
    else:
        yield 4, f"{', '.join(changed)} changed, and with the client-id this is another client to the server: " \
            "restart the agent for what is sent; the address stays"
