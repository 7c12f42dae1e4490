"""Does the kernel's command line have the links configured before anybody else, by the kernel itself or an initramfs?

`ip=` is read by the kernel (Documentation/admin-guide/nfs/nfsroot.rst), by initramfs-tools in the same form, by dracut
(dracut.cmdline(7): `ip=dhcp`, `ip=IFACE:dhcp`) and by systemd-network-generator(8), which writes files for networkd.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from holdfast.doctor.finding import BAD, CHECK, Finding
from holdfast.managers.formats.link_patterns import overlaps
from holdfast.managers.formats.tree import Tree

#: What has a DHCP client started.
_DHCP = ("dhcp", "on", "any", "both")
_GRUB = "/etc/default/grub"


def check_command_line(tree: Tree, links: Sequence[str], *, booted: bool) -> Iterator[Finding]:
    """A BAD finding for each of ``links`` and each `ip=` that has it configured by DHCP. ``booted``: read the command
    line that this boot had, else the files that the next one is made from. Raises OSError and FormatError."""
    for path, line in _lines(tree, booted=booted):
        for word in re.findall(r"(?<![\w.-])ip=([^\s\"']+)", line):
            device = _asked_for(word)
            if device is None:
                continue
            todo = "take it out"
            if booted:
                todo += " of the boot loader's configuration"
            elif "grub" in path:
                todo += " and run update-grub or grub2-mkconfig"
            for link in links:
                if overlaps(device, link):
                    text = f"the kernel's command line would have {link} configured too: `ip={word}` in {path}"
                    yield Finding(CHECK, BAD, text, todo)


def _lines(tree: Tree, *, booted: bool) -> Iterator[tuple[str, str]]:
    """(path, its words for the kernel)."""
    if booted:
        yield "/proc/cmdline", tree.text("/proc/cmdline") or ""
        return
    folder = f"{_GRUB}.d"
    for path in (_GRUB, *(f"{folder}/{name}" for name in tree.names(folder) if name.endswith(".cfg"))):
        lines = (tree.text(path) or "").splitlines()
        yield path, "\n".join(line for line in lines if line.lstrip().startswith("GRUB_CMDLINE_LINUX"))
    yield "/etc/kernel/cmdline", tree.text("/etc/kernel/cmdline") or ""


def _asked_for(word: str) -> str | None:
    """The link that `ip=WORD` has a DHCP client started for, "*" for any, None for none."""
    fields = re.sub(r"\[[^]]*\]", "x", word).split(":")  # IPv6 addresses have colons of their own
    if len(fields) == 1:
        return "*" if fields[0] in _DHCP else None
    if len(fields) >= 7:  # client, server, gateway, mask, host name, device, how
        return (fields[5] or "*") if fields[6] in _DHCP else None
    return fields[0] if fields[1] in _DHCP else None
