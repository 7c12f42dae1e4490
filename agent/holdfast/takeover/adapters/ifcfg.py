"""network-scripts' ifcfg files (RHEL, CentOS, Rocky, Alma, Oracle Linux, Fedora): dhclient, started by ``ifup-eth``.

Facts, from the source of network-scripts (ifup-eth, ifdown-eth, network-functions), the same from RHEL 5 on:
- With BOOTPROTO=dhcp or bootp, ifup-eth runs ``dhclient $DHCLIENTARGS $ONESHOT -q [-cf ...] -lf LEASES -pf
  /run/dhclient-IF.pid [-H NAME | -F NAME] IF``. ONESHOT is ``-1``, or nothing with PERSISTENT_DHCLIENT=yes.
- With any other BOOTPROTO and no IPADDR, it sets the link up, and that is all.
- ifdown-eth ends the process in the pid file, then flushes the interface and sets the link down, in any case.

So one word of one file changes, and only at the confirmation; everything else in it stays.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import replace

from holdfast.takeover.adapters.networkmanager import unmanaged
from holdfast.takeover.host import Host
from holdfast.takeover.model import Adapter, Change, FileChange, ForeignLease, Found, Ownership, TakeoverError

FOLDER = "/etc/sysconfig/network-scripts"
#: Files that network-scripts passes over (the list in /etc/init.d/functions), and editors' leftovers.
_IGNORED = (".bak", ".old", ".orig", ".rpmnew", ".rpmorig", ".rpmsave", ".swp", ",v", "~")
_ASSIGNMENT = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)=(.*)$")
_BOOTPROTO = re.compile(rb"^([ \t]*(?:export[ \t]+)?BOOTPROTO=)[^\r\n#;]*?([ \t]*(?:[#;][^\r\n]*)?\r?)$", re.MULTILINE)
_DYNAMIC = ("dhcp", "bootp")
CLOUD_INIT = "/etc/cloud/cloud.cfg.d/99-holdfast-network.cfg"


class Ifcfg:
    """See ``model.Adapter``. ``dhclient`` is its adapter."""

    name = "ifcfg"

    def __init__(self, dhclient: Adapter) -> None:
        self._dhclient = dhclient

    def find(self, host: Host, ifname: str) -> Found | None:
        """A dhclient on an interface whose ifcfg file says BOOTPROTO=dhcp, not one of NetworkManager's."""
        path = _file_of(host, ifname)
        if path is None or _settings(host, path).get("BOOTPROTO", "").lower() not in _DYNAMIC:
            return None
        found = self._dhclient.find(host, ifname)
        if found is None or _run_by_networkmanager(found):
            return None
        persistent = "-1" not in found.argv
        evidence = f"{found.evidence}; {path} says BOOTPROTO=dhcp" + (", and PERSISTENT_DHCLIENT" if persistent else "")
        return replace(found, manager=self.name, evidence=evidence, unit="", facts={**found.facts, "ifcfg": path})

    def read(self, host: Host, found: Found) -> ForeignLease:
        """dhclient's lease."""
        return self._dhclient.read(host, found)

    def decided(self, host: Host, found: Found) -> Mapping[str, bool | int]:
        """See ``model.Decides``."""
        settings = _settings(host, found.facts["ifcfg"])
        metric = settings.get("METRIC", "")
        return {
            **({"use_dns": False} if settings.get("PEERDNS", "").lower() in ("no", "n", "false", "0") else {}),
            **({"metric": int(metric)} if metric.isascii() and metric.isdigit() and int(metric) < 1 << 32 else {}),
        }

    def own(self, host: Host, found: Found, lease: ForeignLease) -> Ownership:  # noqa: ARG002 - as the others
        """BOOTPROTO=none. Nothing before that: until the next ``ifup`` nobody reads the file."""
        path = found.facts["ifcfg"]
        settings = _settings(host, path)
        static = sorted(key for key in settings if re.fullmatch(r"IPADDR\d*", key) and settings[key])
        if static:
            raise TakeoverError(
                f"{found.ifname}: {path} also sets {', '.join(static)}, which BOOTPROTO=dhcp hides and BOOTPROTO=none "
                "would not; remove it first"
            )
        content, stat = host.read(path), host.stat(path)
        if content is None or stat is None:
            raise TakeoverError(f"{path} is gone; try again")
        changes: list[Change] = [FileChange(path, without_dhcp(content), stat.st_mode & 0o7777)]
        if b"cloud-init" in content.split(b"BOOTPROTO", 1)[0]:
            # It says so in its first lines; it would write BOOTPROTO=dhcp again.
            changes.append(FileChange(CLOUD_INIT, _comment(found.ifname) + b"network: {config: disabled}\n"))
        if settings.get("NM_CONTROLLED", "yes").lower() not in ("no", "n", "false", "0") and \
                host.unit_enabled("NetworkManager.service") == "enabled":
            # It reads ifcfg files, too, and BOOTPROTO=none means to it that the interface shall have no address.
            path = f"/etc/NetworkManager/conf.d/90-holdfast-{found.ifname}.conf"
            changes.append(FileChange(path, unmanaged(found.ifname)))
        return Ownership((), tuple(changes))

    def stop(self, host: Host, found: Found) -> None:
        """Stop dhclient; the scripts themselves do not run. Its pid file goes, so that ifdown kills nobody else."""
        self._dhclient.stop(host, found)
        for folder in ("/run", "/var/run"):
            host.remove(f"{folder}/dhclient-{found.ifname}.pid")

    def give_back(self, host: Host, found: Found, lease_now: ForeignLease) -> None:
        """Start dhclient as ifup-eth had."""
        self._dhclient.give_back(host, found, lease_now)


def without_dhcp(content: bytes) -> bytes:
    """The file with BOOTPROTO=none wherever it sets it, and nothing else changed."""
    return _BOOTPROTO.sub(rb"\1none\2", content)


def _file_of(host: Host, ifname: str) -> str | None:
    """The file that ``ifup IF`` takes: by its name, else by HWADDR, else by DEVICE."""
    names = [
        name for name in host.listdir(FOLDER) if name.startswith("ifcfg-") and not name.endswith(_IGNORED)
    ]
    if f"ifcfg-{ifname}" in names:
        return f"{FOLDER}/ifcfg-{ifname}"
    mac = host.mac(ifname).hex(":")
    settings = {name: _settings(host, f"{FOLDER}/{name}") for name in names}
    for key, value in (("HWADDR", mac), ("DEVICE", ifname)):
        for name in names:
            if settings[name].get(key, "").lower() == value.lower():
                return f"{FOLDER}/{name}"
    return None


def _settings(host: Host, path: str) -> Mapping[str, str]:
    """The plain assignments of a file that shell scripts source; the last one counts."""
    settings: dict[str, str] = {}
    for line in host.text(path).splitlines():
        match = _ASSIGNMENT.match(line)
        if match:
            try:
                words = shlex.split(match.group(2), comments=True)
            except ValueError:  # a quotation mark that nobody closes
                continue
            settings[match.group(1)] = words[0].strip() if words else ""
    return settings


def _run_by_networkmanager(found: Found) -> bool:
    return any("nm-dhcp" in word or "/NetworkManager/" in word for word in found.argv)


def _comment(ifname: str) -> bytes:
    return (
        f"# {ifname} is served by Holdfast, and cloud-init would give it back to dhclient at the next rendering.\n"
        f"# `holdfast handback {ifname}` removes this file.\n"
    ).encode()
