"""network-scripts' ifcfg files (RHEL, CentOS, Rocky, Alma, Oracle Linux, Fedora): dhclient, started by ``ifup-eth``.

Facts, from the source of network-scripts (ifup-eth, ifdown-eth, network-functions), the same from RHEL 5 on:
- With BOOTPROTO=dhcp or bootp, ifup-eth runs ``dhclient $DHCLIENTARGS $ONESHOT -q [-cf ...] -lf LEASES -pf
  /run/dhclient-IF.pid [-H NAME | -F NAME] IF``. ONESHOT is ``-1``, or nothing with PERSISTENT_DHCLIENT=yes.
- With any other BOOTPROTO and no IPADDR, it sets the link up, and that is all.
- ifdown-eth ends the process in the pid file, then flushes the interface and sets the link down, in any case.

So one word of the file changes, in the overlay; everything else in it stays.
"""

from __future__ import annotations

from dataclasses import replace

from holdfast.managers.ifcfg import IfcfgFile, files, files_of
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Host
from holdfast.takeover.model import Adapter, ForeignLease, Found, Ownership
from holdfast.takeover.overlay_ownership import own_by_overlay


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

    def own(self, host: Host, found: Found, lease: ForeignLease) -> Ownership:  # noqa: ARG002 - as the others
        """A copy of the file with BOOTPROTO=none. TakeoverError when two files say BOOTPROTO=dhcp for the link."""
        others = [one.path for one in _by_dhcp(host, found.ifname) if one.path != found.facts["ifcfg"]]
        if others:
            raise TakeoverError(f"{found.ifname}: {found.facts['ifcfg']} and {', '.join(others)} say BOOTPROTO=dhcp "
                                "for it; leave one")
        return own_by_overlay(host, found)

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


def _run_by_networkmanager(found: Found) -> bool:
    return any("nm-dhcp" in word or "/NetworkManager/" in word for word in found.argv)
