"""The former client's settings for its messages and for the use of replies, as settings of ours.

Servers choose pools and names by the former; the latter decide which name servers are used, and which of two interfaces
has the default route. Our own configuration takes precedence.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from holdfast.network.plan import Observed
from holdfast.network.spec import NetworkSpec
from holdfast.settings.checks import hostname as checked_hostname
from holdfast.settings.dirs import CONFIG_DIR, CONFIG_PARTS
from holdfast.settings.model import InterfaceSettings, Settings
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Host
from holdfast.takeover.link_state import DEFAULT
from holdfast.takeover.model import FileChange, ForeignLease


@dataclass(frozen=True)
class SettingsOverride:
    """``settings`` as the agent will have them; ``file`` is the configuration file for them, None when none is
    needed."""

    settings: InterfaceSettings
    file: FileChange | None


def override_settings(
    host: Host, ifname: str, settings: Settings, lease: ForeignLease, decided: Mapping[str, bool | int],
    before: Observed,
) -> SettingsOverride:
    """The interface's ``settings`` with those of the former client added. ``decided``: what the adapter has
    read (``model.SettingsSource``). ``before``: the interface with the former client."""
    ours = settings.interface(ifname)
    learned: dict[str, Any] = _names(host, ours, lease)
    metric = _metric(host, ifname, before)
    for key, value in {**({} if metric is None else {"metric": metric}), **decided}.items():
        if not _configured(settings, ifname, key) and getattr(ours, key) != value:
            learned[key] = value
    if not learned:
        return SettingsOverride(ours, None)
    path = os.path.join(CONFIG_DIR, CONFIG_PARTS, f"50-takeover-{ifname}.toml")
    head = f"# Written by `holdfast takeover {ifname}`: what the former client sent and did with answers.\n"
    lines = "".join(f"{key} = {_toml(value)}\n" for key, value in learned.items())
    content = f'{head}[interfaces."{ifname}"]\n{lines}'.encode()
    return SettingsOverride(ours._replace(**learned), FileChange(path, content))


def check_default_route(ifname: str, before: Observed, spec: NetworkSpec) -> None:
    """TakeoverError when the agent would add a default route where the former client has none."""
    offered = next((route for route in spec.routes if route.destination == DEFAULT), None)
    if offered is None or any(route.destination == DEFAULT for route in before.routes):
        return
    raise TakeoverError(
        f"the server of {ifname} offers {offered}, and {ifname} has no default route: the present client is told to "
        f"leave it out, or somebody took it away. Say use_routes = false below [interfaces.{ifname}] in "
        f"{CONFIG_DIR}/holdfast.toml, or put the route back"
    )


def _names(host: Host, ours: InterfaceSettings, lease: ForeignLease) -> dict[str, Any]:
    """Options 12 and 60."""
    learned: dict[str, Any] = {}
    if lease.hostname and ours.hostname is None:
        name = "@system" if lease.hostname == host.nodename() else lease.hostname
        with suppress(ValueError):  # not a valid name
            learned["hostname"] = name if name == "@system" else checked_hostname(name)
    if lease.vendor_class and ours.vendor_class is None:
        text = lease.vendor_class.decode("ascii", "replace")
        if text.isprintable() and not set(text) & set('"\\\ufffd'):
            learned["vendor_class"] = text
    return learned


def _metric(host: Host, ifname: str, before: Observed) -> int | None:
    """The metric of the default route, when another interface has one too: the lowest metric is used."""
    ours = [route.metric for route in before.routes if route.destination == DEFAULT]
    return min(ours) if ours and _others_have_default(host, ifname) else None


def _others_have_default(host: Host, ifname: str) -> bool:
    """/proc/net/route (proc(5)): the interface, then destination, gateway, flags, ..., metric, mask in hexadecimal."""
    rows = [line.split() for line in host.text("/proc/net/route").splitlines()[1:]]
    return any(row[0] != ifname and row[1] == row[7] == "00000000" for row in rows if len(row) > 7)


def _configured(settings: Settings, ifname: str, key: str) -> bool:
    return f"interfaces.{ifname}.{key}" in settings.origins or f"defaults.{key}" in settings.origins


def _toml(value: bool | int | str) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()
