"""Checks of the installation: package, user, units and configuration."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatchcase

from holdfast.doctor.finding import BAD, NOTE, OK, Finding
from holdfast.managers.formats import systemd_units
from holdfast.managers.formats.tree import Tree
from holdfast.managers.served_links import read_settings, started
from holdfast.settings.dirs import CONFIG_DIR, CONFIG_NAME
from holdfast.settings.model import SettingsError

AGENT = "/usr/lib/holdfast/agent"
DPKG_SUMS = "/var/lib/dpkg/info/holdfast.md5sums"
CLEAN_HOOK = "/etc/cloud/clean.d/50-holdfast"
SERVICE, TEMPLATE, WAIT = "holdfast.service", "holdfast@.service", "holdfast-wait-online.service"
#: Folder and name of what 0.1 kept managers off with.
_FORMER = (
    ("/etc/systemd/network", "0*-holdfast*.network"), ("/etc/NetworkManager/conf.d", "90-holdfast*.conf"),
    ("/etc/systemd/system/networking.service.d", "[59]0-holdfast*.conf"),
)
#: Files of a package whose checksums are compared; the package has some hundreds.
FILE_LIMIT = 4096


def check_package(tree: Tree, *, live: bool = False) -> Iterator[Finding]:
    """Every file of the package is there and has its checksum. ``live``: this very program runs from the tree."""
    sums = dict(list(_checksums(tree))[:FILE_LIMIT])
    if not sums:
        if tree.is_file(AGENT):
            yield Finding("package", NOTE, f"{AGENT} is there; its package is checked with `rpm --verify holdfast`")
        elif live or systemd_units.exists(tree, TEMPLATE):
            yield Finding("package", NOTE, "Holdfast was not installed by a package; its files are not checked")
        else:
            yield Finding("package", BAD, "Holdfast is not installed", "install its .deb or .rpm")
        return
    wrong = sorted(path for path, digest in sums.items() if _digest(tree, path) != digest)
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        yield Finding("package", BAD, f"{wrong[0]}{more}: missing or changed since it was installed",
                      "install the package again")
    else:
        yield Finding("package", OK, "1 file is as it was installed" if len(sums) == 1 else
                      f"{len(sums)} files are as they were installed")


def _checksums(tree: Tree) -> Iterator[tuple[str, str]]:
    """(path, MD5 in hexadecimal) from dpkg's list; files that an administrator edits are not in it."""
    for line in (tree.text(DPKG_SUMS) or "").splitlines():
        digest, _, path = line.partition("  ")
        if path:
            yield f"/{path}", digest


def _digest(tree: Tree, path: str) -> str | None:
    data = tree.read(path)
    return None if data is None else hashlib.md5(data, usedforsecurity=False).hexdigest()


def check_user(tree: Tree) -> Iterator[Finding]:
    """The daemon's user exists, or will at the first boot (sysusers.d(5))."""
    entries = (tree.text("/etc/passwd") or "").splitlines()
    if any(line.startswith("holdfast:") for line in entries):
        yield Finding("user", OK, "the user holdfast exists")
    elif any(tree.is_file(f"{folder}/holdfast.conf") for folder in ("/usr/lib/sysusers.d", "/etc/sysusers.d")):
        yield Finding("user", OK, "systemd-sysusers creates the user holdfast at boot")
    elif not systemd_units.exists(tree, TEMPLATE):
        yield Finding("user", NOTE, "Holdfast was not installed by a package: it has no user of its own")
    else:
        yield Finding("user", BAD, "the agent's user holdfast does not exist", "install the package again")


def check_configuration(tree: Tree) -> Iterator[Finding]:
    """It can be read, and every machine made from it has a client-id of its own."""
    try:
        settings = read_settings(tree)
    except SettingsError as error:
        for line in str(error).splitlines():
            yield Finding("configuration", BAD, line, "correct the file; the agent does not start with it")
        return
    files = ", ".join(settings.files) or "there is none, and none is needed"
    yield Finding("configuration", OK, files)
    sections = {"defaults": settings.defaults, **{f"interfaces.{n}": one for n, one in settings.interfaces.items()}}
    for name, one in sections.items():
        if one.client_id and one.client_id.partition(":")[0] not in ("mac", "duid", "networkd", "none"):
            yield Finding("client-id", BAD, f"[{name}] client_id is one fixed value: all copies of this system "
                          "would request the same address", 'use client_id = "mac" or "duid"')


def served(tree: Tree) -> list[str]:
    """Names and patterns of the links that an enabled agent serves."""
    on = systemd_units.enabled(tree, SERVICE, "holdfast@*")
    names = {unit[len("holdfast@"):-len(".service")] for unit in on
             if unit.startswith("holdfast@") and unit.endswith(".service")} - {""}
    if SERVICE in on:
        try:
            settings = read_settings(tree)
        except SettingsError:
            return sorted(names)
        names |= {*settings.interfaces, *settings.serve}
    with suppress(SettingsError):  # said by the check for a second client
        names |= {*started(tree)}
    return sorted(names)


def check_units(tree: Tree, *, live: bool = False) -> Iterator[Finding]:
    """An agent starts at boot, and has something to serve. ``live``: a guest that may be served by hand, for now."""
    on = sorted(systemd_units.enabled(tree, SERVICE, "holdfast@*"))
    try:
        listed = started(tree)
    except SettingsError as error:
        for problem in error.problems:
            yield Finding("unit", BAD, problem, "correct the list; no agent starts by it")
        return
    if not on and not listed:
        stopped = next((unit for unit in (SERVICE, TEMPLATE) if systemd_units.masked(tree, unit)), "")
        if stopped:
            yield Finding("unit", BAD, f"{stopped} is masked", f"systemctl unmask {stopped}, and enable it")
        elif live:
            yield Finding("unit", NOTE, "no agent starts at the next boot: the links go back to their former clients",
                          "holdfast takeover IFACE makes Holdfast the client of a link, for good")
        else:
            yield Finding("unit", BAD, "no unit of Holdfast is enabled",
                          f"systemctl enable {SERVICE}, or holdfast@IFACE.service for one link")
        return
    missing = [unit for unit in on if not systemd_units.exists(tree, SERVICE if unit == SERVICE else TEMPLATE)]
    if missing:
        yield Finding("unit", BAD, f"{missing[0]} is enabled, but has no file", "install the package again")
    names = served(tree)
    if names:
        how = f"{' '.join(on)} enabled" if on else "started by the list"
        yield Finding("unit", OK, f"{how}, for {' '.join(names)}")
    else:
        yield Finding("unit", BAD, f"{SERVICE} is enabled, but the configuration names no link",
                      f'write serve = ["en*", "eth*"] below [agent] in {CONFIG_DIR}/{CONFIG_NAME}')


def check_wait(tree: Tree) -> Iterator[Finding]:
    """network-online.target means that there is an address."""
    with suppress(SettingsError):  # said by the check of the units
        if started(tree):
            yield Finding("wait-online", OK, f"{WAIT} is started by the list")
            return
    if systemd_units.enabled(tree, WAIT):
        yield Finding("wait-online", OK, f"{WAIT} is enabled")
    else:
        yield Finding("wait-online", NOTE, f"{WAIT} is not enabled: network-online.target does not wait for an address")


def check_former(tree: Tree) -> Iterator[Finding]:
    """What 0.1 wrote keeps managers off links altogether."""
    for folder, name in _FORMER:
        for found in (each for each in tree.names(folder) if fnmatchcase(each, name)):
            yield Finding("former", NOTE, f"{folder}/{found}, of Holdfast 0.1, keeps a manager from all that it would "
                          "do on the links, IPv6 too", "see docs/migrating.md, From 0.1")


def check_cloud_init(tree: Tree) -> Iterator[Finding]:
    """The hook of `cloud-init clean`, and a DHCP client for cloud-init."""
    if not tree.is_file("/usr/bin/cloud-init"):
        return
    mode = tree.mode(CLEAN_HOOK)
    if mode is None or not stat.S_ISREG(mode) or not mode & stat.S_IXUSR:
        yield Finding("clean-hook", BAD, f"{CLEAN_HOOK} is missing or not executable: `cloud-init clean` leaves the "
                      "lease behind", "install the package again")
    else:
        yield Finding("clean-hook", OK, "`cloud-init clean` also calls `holdfast clean`")
    clients = [name for name in ("dhclient", "dhcpcd", "udhcpc")
               if any(tree.is_file(f"{folder}/{name}") for folder in ("/usr/sbin", "/sbin", "/usr/bin", "/bin"))]
    if not clients:
        yield Finding("cloud-init", NOTE, "cloud-init has no DHCP client of its own (dhclient, dhcpcd or udhcpc), "
                      "which it needs on clouds whose metadata service is asked before the network is up")
