"""Would a second DHCP client serve the same links at the next boot? Read from configuration files alone.

One function per network manager: each yields a BAD finding for every one of our links (names or patterns) that the
manager would configure, an OK one when it is there and keeps off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from holdfast.doctor.finding import BAD, CHECK, Finding, verdict
from holdfast.doctor.globs import covers, overlaps
from holdfast.doctor.ifupdown import check_ifupdown
from holdfast.doctor.kernel import check_command_line
from holdfast.managers.formats import systemd_units
from holdfast.managers.formats.tree import Tree

#: What stands for the file that netplan or cloud-init's own renderer write for each link at boot.
_RENDERED = "10-"
_TRUE = ("1", "yes", "true", "on")
_FALSE = ("0", "no", "false", "off")


def check_rivals(tree: Tree, links: Sequence[str], *, booted: bool = False) -> Iterator[Finding]:
    """All managers, for all our links. ``booted``: what cloud-init writes has been written already."""
    renderer = "" if booted else cloud_init_renderer(tree)
    yield from _networkd(tree, links, renderer)
    yield from check_ifupdown(tree, links, renderer)
    yield from check_command_line(tree, links, booted=booted)
    for manager in (_network_manager, _dhcpcd, _others, _network_scripts):
        yield from manager(tree, links)


def cloud_init_renderer(tree: Tree) -> str:
    """For whom cloud-init will write the configuration at the first boot; "" without cloud-init."""
    if not tree.is_file("/usr/bin/cloud-init"):
        return ""
    order = ["netplan", "eni", "sysconfig", "network-manager", "networkd"]
    folder = "/etc/cloud/cloud.cfg.d"
    for path in ("/etc/cloud/cloud.cfg", *(f"{folder}/{name}" for name in tree.names(folder) if name.endswith(".cfg"))):
        found = re.findall(r"^\s*renderers:\s*\[(.*?)\]", tree.text(path) or "", re.MULTILINE | re.DOTALL)
        if found:
            order = [word.strip(" '\"\n") for word in found[-1].split(",")]
    programs = {"netplan": "netplan", "eni": "ifup", "sysconfig": "ifup", "network-manager": "nmcli"}
    for name in order:
        folders = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
        if name not in programs or any(tree.is_file(f"{folder}/{programs[name]}") for folder in folders):
            return name
    return ""


# --- systemd-networkd, also under netplan ------------------------------------------------------------------------


class NetworkFile(NamedTuple):
    """What a .network file says: for which links, whether that is all that [Match] says, what it does with them."""

    name: str
    names: tuple[str, ...]
    certain: bool
    unmanaged: bool


def _networkd(tree: Tree, links: Sequence[str], renderer: str) -> Iterator[Finding]:
    unit = "systemd-networkd.service"
    rendered = renderer in ("netplan", "networkd") or _netplan(tree)
    if not systemd_units.exists(tree, unit) or systemd_units.masked(tree, unit):
        return
    if not (rendered or systemd_units.enabled(tree) & {unit, "systemd-networkd.socket"}):
        return
    files = sorted([*_network_files(tree), *([NetworkFile(_RENDERED, ("*",), False, False)] if rendered else [])])

    def rival(link: str) -> str | None:
        for file in files:
            if file.certain and any(covers(name, link) for name in file.names):
                return None if file.unmanaged else file.name
            if not file.unmanaged and any(overlaps(name, link) for name in file.names):
                return "what netplan or cloud-init write at boot" if file.name == _RENDERED else file.name
        return None

    yield from verdict("systemd-networkd", links, rival,
                        "put cloud-init/image/etc/systemd/network/05-holdfast.network there")
    yield from _networkd_wait(tree, links, files)


def _netplan(tree: Tree) -> bool:
    """Whether netplan has something to write for networkd; it starts networkd then."""
    texts = [tree.text(f"/etc/netplan/{name}") or "" for name in tree.names("/etc/netplan") if name.endswith(".yaml")]
    ours = [text for text in texts if not re.search(r"renderer:\s*NetworkManager", text)]
    return bool(ours) and tree.is_file("/usr/sbin/netplan")


def _network_files(tree: Tree) -> Iterator[NetworkFile]:
    folders = ("/usr/lib/systemd/network", "/run/systemd/network", "/etc/systemd/network")
    found = {name: folder for folder in folders for name in tree.names(folder) if name.endswith(".network")}
    for name in sorted(found):
        if tree.link(f"{found[name]}/{name}") == "/dev/null":
            continue
        names: tuple[str, ...] = ("*",)
        certain, unmanaged, manages = True, False, False
        for section, key, value in systemd_units.settings_in(tree.text(f"{found[name]}/{name}") or ""):
            if (section, key) == ("Match", "Name"):
                names = ("*",) if value.startswith("!") else tuple(value.split())
                certain = certain and not value.startswith("!")
            elif section == "Match" and (key, value) != ("Type", "ether"):
                certain = False
            elif (section, key) == ("Link", "Unmanaged"):
                unmanaged = value.lower() in _TRUE
            elif section in ("Network", "Address", "DHCPv4"):
                manages = True
        if unmanaged or manages:
            yield NetworkFile(name, names, certain, unmanaged)


def _networkd_wait(tree: Tree, links: Sequence[str], files: Sequence[NetworkFile]) -> Iterator[Finding]:
    """networkd's own waiting fails after two minutes when no link is its own (seen with 252)."""
    unit = "systemd-networkd-wait-online.service"
    replaced = any(
        (key == "ExecStart" and not value)
        or (key == "ConditionPathExists" and value.startswith("!") and tree.is_file(value[1:]))
        for _, key, value in systemd_units.drop_ins(tree, unit)
    )
    ours = any(file.unmanaged and covers(name, link) for file in files for name in file.names for link in links)
    if ours and unit in systemd_units.enabled(tree) and not replaced:
        yield Finding("wait-online", BAD, f"{unit} would wait two minutes for links that are not networkd's",
                      f"put cloud-init/image/etc/systemd/system/{unit}.d/90-holdfast.conf there, or mask it")


# --- NetworkManager ----------------------------------------------------------------------------------------------


def _network_manager(tree: Tree, links: Sequence[str]) -> Iterator[Finding]:
    if "NetworkManager.service" not in systemd_units.enabled(tree):
        return
    specs = _unmanaged_specs(tree)

    def rival(link: str) -> str | None:
        if any(spec.startswith("except:") and overlaps(_spec_name(spec[7:]) or "*", link) for spec in specs):
            return "an exception in unmanaged-devices"
        if any((name := _spec_name(spec)) and covers(name, link) for spec in specs):
            return None
        return "no unmanaged-devices names it"

    yield from verdict("NetworkManager", links, rival,
                        "put cloud-init/image/etc/NetworkManager/conf.d/90-holdfast.conf there")


def _unmanaged_specs(tree: Tree) -> list[str]:
    """What ``unmanaged-devices`` holds after all files, and the devices of [device*] sections with managed=0."""
    folders = ("/usr/lib/NetworkManager/conf.d", "/run/NetworkManager/conf.d", "/etc/NetworkManager/conf.d")
    found = {name: folder for folder in folders for name in tree.names(folder) if name.endswith(".conf")}
    paths = ["/etc/NetworkManager/NetworkManager.conf", *(f"{found[name]}/{name}" for name in sorted(found))]
    specs: list[str] = []
    devices: dict[str, dict[str, str]] = {}
    for path in paths:
        for section, key, value in systemd_units.settings_in(tree.text(path) or ""):
            items = [item for item in re.split("[;,]", value) if item]
            if (section, key) == ("keyfile", "unmanaged-devices"):
                specs = items
            elif (section, key) == ("keyfile", "unmanaged-devices+"):
                specs += items
            elif (section, key) == ("keyfile", "unmanaged-devices-"):
                specs = [spec for spec in specs if spec not in items]
            elif section.startswith("device"):
                devices.setdefault(section, {})[key] = value
    for device in devices.values():
        if device.get("managed", "").lower() in _FALSE:
            specs += [item for item in re.split("[;,]", device.get("match-device", "*")) if item]
    return specs


def _spec_name(spec: str) -> str | None:
    """The pattern of names that a device spec fits (NetworkManager.conf(5)), None when it goes by something else."""
    if spec == "type:ethernet":
        return "*"
    kind, colon, rest = spec.partition(":")
    if not colon:
        return spec
    return rest.removeprefix("=") if kind == "interface-name" else None


# --- the rest ----------------------------------------------------------------------------------------------------


def _dhcpcd(tree: Tree, links: Sequence[str]) -> Iterator[Finding]:
    if "dhcpcd.service" not in systemd_units.enabled(tree):
        return
    denied: list[str] = []
    allowed: list[str] = []
    for line in (tree.text("/etc/dhcpcd.conf") or "").splitlines():
        key, *words = line.split() or [""]
        denied += words if key == "denyinterfaces" else []
        allowed += words if key == "allowinterfaces" else []

    def rival(link: str) -> str | None:
        if any(covers(pattern, link) for pattern in denied):
            return None
        return None if allowed and not any(overlaps(pattern, link) for pattern in allowed) else "nothing denies it"

    yield from verdict("dhcpcd", links, rival, "add `denyinterfaces` to /etc/dhcpcd.conf, or disable dhcpcd.service")


def _others(tree: Tree, links: Sequence[str]) -> Iterator[Finding]:
    """Managers that serve whatever there is, and the element of diskimage-builder that does."""
    on = systemd_units.enabled(tree)
    for unit in ("wicked.service", "connman.service", "dhclient.service"):
        if unit in on:
            yield Finding(CHECK, BAD, f"{unit} is enabled and would configure {' '.join(links)} too", f"disable {unit}")
    if tree.is_file("/usr/local/sbin/dhcp-all-interfaces.sh"):
        yield Finding(CHECK, BAD, "the image was built with the element dhcp-all-interfaces",
                      "build it without (DIB's simple-init and cloud-init do without it)")


def _network_scripts(tree: Tree, links: Sequence[str]) -> Iterator[Finding]:
    """ifcfg files, where something other than NetworkManager reads them."""
    folder = "/etc/sysconfig/network-scripts"
    if not tree.is_file(f"{folder}/ifup-eth"):
        return
    for name in tree.names(folder):
        text = tree.text(f"{folder}/{name}") if name.startswith("ifcfg-") else None
        values = dict(re.findall(r"^\s*([A-Z]+)=[\"']?([^\"'\s#]*)", text or "", re.MULTILINE))
        device = values.get("DEVICE", name[6:])
        if values.get("BOOTPROTO", "").lower() == "dhcp" and values.get("ONBOOT", "yes").lower() not in _FALSE:
            yield from (Finding(CHECK, BAD, f"network-scripts would configure {link} too: {name}", "set BOOTPROTO=none")
                        for link in links if overlaps(device, link))
