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
from collections.abc import Mapping
from dataclasses import replace

from holdfast.managers.formats import ini
from holdfast.managers.formats.shell_assignments import assignments
from holdfast.managers.ifcfg import IfcfgFile, files, files_of
from holdfast.managers.networkmanager import UNIT as NETWORKMANAGER
from holdfast.takeover.adapters import interface
from holdfast.takeover.adapters.networkmanager import unmanaged
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Host
from holdfast.takeover.model import Adapter, Change, FileChange, ForeignLease, Found, Ownership

_BOOTPROTO = re.compile(rb"^([ \t]*(?:export[ \t]+)?BOOTPROTO=)[^\r\n#;]*?([ \t]*(?:[#;][^\r\n]*)?\r?)$", re.MULTILINE)
CLOUD_INIT = "/etc/cloud/cloud.cfg.d/99-holdfast-network.cfg"


class Ifcfg:
    """See ``model.Adapter``. ``dhclient`` is its adapter."""

    name = "ifcfg"

    def __init__(self, dhclient: Adapter) -> None:
        self._dhclient = dhclient

    def find(self, host: Host, ifname: str) -> Found | None:
        """A dhclient on an interface whose ifcfg file says BOOTPROTO=dhcp, not one of NetworkManager's."""
        file = next(iter(_by_dhcp(host, ifname)), None)
        if file is None:
            return None
        found = self._dhclient.find(host, ifname)
        if found is None or _run_by_networkmanager(found):
            return None
        persistent = "" if "-1" in found.argv else ", and PERSISTENT_DHCLIENT"
        evidence = f"{found.evidence}; {file.path} says BOOTPROTO=dhcp{persistent}"
        return replace(found, manager=self.name, evidence=evidence, unit="", facts={**found.facts, "ifcfg": file.path})

    def read(self, host: Host, found: Found) -> ForeignLease:
        """dhclient's lease."""
        return self._dhclient.read(host, found)

    def decided(self, host: Host, found: Found) -> Mapping[str, bool | int]:
        """See ``model.SettingsSource``."""
        settings = assignments(host.text(found.facts["ifcfg"]))
        return {
            **({"use_dns": False} if ini.is_off(settings.get("PEERDNS")) else {}),
            **interface.metric(settings.get("METRIC", "")),
        }

    def own(self, host: Host, found: Found, lease: ForeignLease) -> Ownership:  # noqa: ARG002 - as the others
        """BOOTPROTO=none, at the confirmation. Nothing is needed before: the file is read at the next ``ifup``."""
        path = found.facts["ifcfg"]
        settings = assignments(host.text(path))
        static = sorted(key for key in settings if re.fullmatch(r"IPADDR\d*", key) and settings[key])
        if static:
            raise TakeoverError(
                f"{found.ifname}: {path} also sets {', '.join(static)}, which BOOTPROTO=dhcp hides and BOOTPROTO=none "
                "would not; remove it first"
            )
        others = [one.path for one in _by_dhcp(host, found.ifname) if one.path != path]
        if others:
            raise TakeoverError(f"{found.ifname}: {path} and {', '.join(others)} say BOOTPROTO=dhcp for it; leave one")
        content, stat = host.read(path), host.stat(path)
        if content is None or stat is None:
            raise TakeoverError(f"{path} is gone; try again")
        changes: list[Change] = [FileChange(path, without_dhcp(content), stat.st_mode & 0o7777)]
        if b"cloud-init" in content.split(b"BOOTPROTO", 1)[0]:
            # It says so in its first lines; it would write BOOTPROTO=dhcp again.
            changes.append(FileChange(CLOUD_INIT, _comment(found.ifname) + b"network: {config: disabled}\n"))
        if not ini.is_off(settings.get("NM_CONTROLLED")) and \
                host.unit_enabled(NETWORKMANAGER) == "enabled":
            # NetworkManager reads ifcfg files too, and for it BOOTPROTO=none means an interface without an address.
            path = f"/etc/NetworkManager/conf.d/90-holdfast-{found.ifname}.conf"
            changes.append(FileChange(path, unmanaged(found.ifname)))
        return Ownership((), tuple(changes))

    def stop(self, host: Host, found: Found) -> None:
        """Stop dhclient; the scripts themselves do not run. Its pid file is removed, so that ifdown signals no other
        process."""
        self._dhclient.stop(host, found)
        for folder in ("/run", "/var/run"):
            host.remove(f"{folder}/dhclient-{found.ifname}.pid")

    def give_back(self, host: Host, found: Found, lease_now: ForeignLease) -> None:
        """Start dhclient as ifup-eth had."""
        self._dhclient.give_back(host, found, lease_now)


def _by_dhcp(host: Host, ifname: str) -> list[IfcfgFile]:
    """The files by which the interface gets a DHCPv4 client."""
    return [one for one in files_of(host.ask(files), ifname, host.mac(ifname)) if one.dhcp]


def without_dhcp(content: bytes) -> bytes:
    """The file with BOOTPROTO=none wherever it sets it, and nothing else changed."""
    return _BOOTPROTO.sub(rb"\1none\2", content)


def _run_by_networkmanager(found: Found) -> bool:
    return any("nm-dhcp" in word or "/NetworkManager/" in word for word in found.argv)


def _comment(ifname: str) -> bytes:
    return (
        f"# {ifname} is served by Holdfast, and cloud-init would give it back to dhclient at the next rendering.\n"
        f"# `holdfast handback {ifname}` removes this file.\n"
    ).encode()
