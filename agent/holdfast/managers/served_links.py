"""Which links Holdfast serves instead of their managers, and what managers match those by."""

from __future__ import annotations

from holdfast.managers.formats import systemd_units
from holdfast.managers.formats.tree import Tree
from holdfast.managers.model import Link
from holdfast.settings import Settings
from holdfast.settings import links as lists
from holdfast.settings.dirs import CONFIG_DIR, CONFIG_NAME, CONFIG_PARTS

SERVICE = "holdfast.service"
#: What starts agents and overlay at boot, by the list alone.
GENERATORS = ("/usr/lib/systemd/system-generators/holdfast-generator", "/etc/systemd/system-generators/holdfast")
#: Bytes of a file in /sys or of udev's that are read.
_LIMIT = 64 << 10
#: linux/if_arp.h: ARPHRD_ETHER.
_ETHERNET = "1"


def read_settings(tree: Tree) -> Settings:
    """The administrator's configuration in the tree. Raises SettingsError."""
    folder = f"{CONFIG_DIR}/{CONFIG_PARTS}"
    paths = [f"{folder}/{name}" for name in tree.names(folder) if name.endswith(".toml") and name[0] != "."]
    main = f"{CONFIG_DIR}/{CONFIG_NAME}"
    paths = ([main] if tree.is_file(main) else []) + paths
    if not paths:
        return Settings()
    from holdfast.settings.load import SIZE_LIMIT, load  # noqa: PLC0415 - TOML, and seldom a file

    return load(paths, lambda path: tree.read(path, SIZE_LIMIT + 1) or b"")


def read(tree: Tree) -> tuple[Link, ...]:
    """The links of the lists, and those that the configuration names where the agent for all of them starts at boot;
    without those whose agent did not come up in this boot. SettingsError for a wrong list or configuration: then
    nothing may be overlaid."""
    links = lists.read(lambda path: tree.read(path, lists.SIZE_LIMIT + 1), tree.names)
    if any(map(lists.is_pattern, links)) or systemd_units.enabled(tree, SERVICE):
        settings = read_settings(tree)
        links = tuple(dict.fromkeys((*links, *settings.interfaces, *settings.serve)))
    fallen = tree.names(lists.FALLEN_DIR)
    return tuple(describe(tree, name) for name in links if name not in fallen)


def started(tree: Tree) -> tuple[str, ...]:
    """The names and patterns of the lists, where the generator starts an agent for them at boot. SettingsError."""
    if not any(tree.is_file(path) for path in GENERATORS):
        return ()
    return lists.read(lambda path: tree.read(path, lists.SIZE_LIMIT + 1), tree.names)


def describe(tree: Tree, name: str) -> Link:
    """The link ``name`` with what the tree's /sys and udev's database know of it: nothing of a pattern, or of a link
    that is not there."""
    device = f"/sys/class/net/{name}"
    index = _line(tree, f"{device}/ifindex")
    if lists.is_pattern(name) or not index:
        return Link(name)
    mac = _line(tree, f"{device}/address") or None
    udev = _properties(tree, f"/run/udev/data/n{index}", "E:")
    kind = _properties(tree, f"{device}/uevent", "").get("DEVTYPE")
    if kind is None and _line(tree, f"{device}/type") == _ETHERNET:
        kind = "ether"
    driver = tree.link(f"{device}/device/driver")
    return Link(
        name, mac, mac if _line(tree, f"{device}/addr_assign_type") == "0" else None,
        udev.get("ID_NET_DRIVER") or (driver.rpartition("/")[2] if driver else None), udev.get("ID_PATH"), kind,
        int(index) if index.isascii() and index.isdigit() else None,
    )


def _line(tree: Tree, path: str) -> str:
    try:
        return (tree.read(path, _LIMIT) or b"").decode("utf-8", "replace").strip()
    except OSError:
        return ""  # a link that goes away meanwhile


def _properties(tree: Tree, path: str, prefix: str) -> dict[str, str]:
    """KEY=value lines that start with ``prefix``."""
    lines = [line[len(prefix):].partition("=") for line in _line(tree, path).splitlines() if line.startswith(prefix)]
    return {key: value for key, equals, value in lines if equals}
