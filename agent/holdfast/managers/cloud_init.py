"""cloud-init: for whom it will write the network's configuration."""

from __future__ import annotations

import re

from holdfast.managers.formats.tree import Tree

PROGRAM = "/usr/bin/cloud-init"
_CONFIGURATION = "/etc/cloud/cloud.cfg"
#: cloudinit/net/renderers.py: the order in which it looks, and the program that a renderer's manager is known by.
_ORDER = ("netplan", "eni", "sysconfig", "network-manager", "networkd")
_PROGRAMS = {"netplan": "netplan", "eni": "ifup", "sysconfig": "ifup", "network-manager": "nmcli"}
_FOLDERS = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")


def renderer(tree: Tree) -> str:
    """The renderer that it will use at the first boot, by cloud-init's own name for it; "" without cloud-init."""
    if not tree.is_file(PROGRAM):
        return ""
    order = list(_ORDER)
    folder = f"{_CONFIGURATION}.d"
    for path in (_CONFIGURATION, *(f"{folder}/{name}" for name in tree.names(folder) if name.endswith(".cfg"))):
        found = re.findall(r"^\s*renderers:\s*\[(.*?)\]", tree.text(path) or "", re.MULTILINE | re.DOTALL)
        if found:
            order = [word.strip(" '\"\n") for word in found[-1].split(",")]
    for name in order:
        program = _PROGRAMS.get(name)
        if program is None or any(tree.is_file(f"{folder}/{program}") for folder in _FOLDERS):
            return name
    return ""
