"""NetworkManager: which devices its configuration leaves alone (NetworkManager.conf(5))."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from holdfast.managers.formats import ini, systemd_units
from holdfast.managers.formats.link_patterns import covers, overlaps
from holdfast.managers.formats.tree import Tree

UNIT = "NetworkManager.service"
CONFIGURATION = "/etc/NetworkManager/NetworkManager.conf"
#: The strongest folder first; what is below /etc is read after ``CONFIGURATION``, the rest before it.
FOLDERS = ("/etc/NetworkManager/conf.d", "/run/NetworkManager/conf.d", "/usr/lib/NetworkManager/conf.d")


def starts(tree: Tree) -> bool:
    """True if it runs after the next boot."""
    return UNIT in systemd_units.enabled(tree)


def configuration(tree: Tree) -> Iterator[tuple[str, str, str]]:
    """(section, key, value) of its configuration in the order in which it is read."""
    files = tree.merged(FOLDERS, ".conf").values()
    for folder in (FOLDERS[2], FOLDERS[1], "", FOLDERS[0]):
        paths = [path for path in files if path.startswith(f"{folder}/")] if folder else [CONFIGURATION]
        for path in paths:
            yield from ini.settings(tree.text(path) or "")


def unmanaged_devices(tree: Tree) -> list[str]:
    """The device specs that ``unmanaged-devices`` holds after all files, and those of [device*] sections with
    managed=0."""
    specs: list[str] = []
    devices: dict[str, dict[str, str]] = {}
    for section, key, value in configuration(tree):
        items = ini.items(value)
        if (section, key) == ("keyfile", "unmanaged-devices"):
            specs = items
        elif (section, key) == ("keyfile", "unmanaged-devices+"):
            specs += items
        elif (section, key) == ("keyfile", "unmanaged-devices-"):
            specs = [spec for spec in specs if spec not in items]
        elif section.startswith("device"):
            devices.setdefault(section, {})[key] = value
    for device in devices.values():
        if ini.is_off(device.get("managed")):
            specs += ini.items(device.get("match-device", "*"))
    return specs


def claim(specs: Sequence[str], link: str) -> str | None:
    """Why NetworkManager would configure ``link`` (a name or a pattern) with ``specs`` as its unmanaged devices, or
    might; None when it keeps off."""
    if any(spec.startswith("except:") and overlaps(_names(spec[7:]) or "*", link) for spec in specs):
        return "an exception in unmanaged-devices"
    if any((names := _names(spec)) and covers(names, link) for spec in specs):
        return None
    return "no unmanaged-devices names it"


def _names(spec: str) -> str | None:
    """The pattern of names that a device spec fits, None when it goes by something else."""
    if spec == "type:ethernet":
        return "*"
    kind, colon, rest = spec.partition(":")
    if not colon:
        return spec
    return rest.removeprefix("=") if kind == "interface-name" else None
