"""One fake machine for each adapter, with its client at work on eth0: what the contract test and others furnish."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import NamedTuple

from tests.support.fake_host import FakeHost

from holdfast.network.plan import Address, Observed
from holdfast.takeover.host import Completed
from holdfast.takeover.model import Adapter, FileChange, Found, Ownership
from holdfast.wire import message as msg

ADDRESS = IPv4Interface("10.77.0.80/24")
SERVER = IPv4Address("10.77.0.1")
UUID = "6a1b3ab6-1d5c-4d8f-9a5b-2f2f0c7d9e11"
NM_UNIT, PROFILE = "NetworkManager.service", "/etc/NetworkManager/system-connections/wired.nmconnection"
NMCLI = "nmcli --terse --escape no"
LEASES = "/var/lib/dhcp/dhclient.eth0.leases"
NETWORK = "/etc/systemd/network/20-wired.network"
STATE, LEASE = "/run/systemd/netif/links/2", "/run/systemd/netif/leases/2"
DHCLIENT_LEASE = """lease {
  interface "eth0";
  fixed-address 10.77.0.80;
  option subnet-mask 255.255.255.0;
  option dhcp-lease-time 600;
  option dhcp-server-identifier 10.77.0.1;
  renew 5 2027/01/15 08:04:00;
  rebind 5 2027/01/15 08:07:00;
  expire 5 2027/01/15 08:08:20;
}
"""
_MANAGED = f"ADMIN_STATE=configured\nNETWORK_FILE={NETWORK}\n"
_KEPT = "ADDRESS=10.77.0.80\nNETMASK=255.255.255.0\nSERVER_ADDRESS=10.77.0.1\nLIFETIME=600\nCLIENTID=01020000000001\n"
_OPTIONS = {"dhcp_client_identifier": "01:02:00:00:00:00:01", "dhcp_lease_time": "600", "ip_address": "10.77.0.80",
            "dhcp_server_identifier": "10.77.0.1", "subnet_mask": "255.255.255.0"}


class Machine(NamedTuple):
    """``make`` boots it below a folder. ``start(host, pid)`` starts the client, or one more of it. ``lease``: the file
    that it keeps its lease in, "" for none. ``unit`` is its manager's, and ``installed`` what makes that run at boot.
    ``alone``: each process of it serves one link. ``configuration``: files that it reads, and so does the adapter."""

    adapter: str
    client: str
    boot: Callable[[FakeHost], None]
    start: Callable[[FakeHost, int], None]
    lease: str
    unit: str = ""
    installed: Mapping[str, str] = {}
    alone: bool = True
    configuration: tuple[str, ...] = ()

    @property
    def manager_of_all(self) -> bool:
        """Whether one process of it serves every link."""
        return not self.alone

    def make(self, root: Path, *, running: bool = True) -> FakeHost:
        """Everything is there, and the client holds ``ADDRESS`` when it is ``running``."""
        host = FakeHost(root)
        host.boot_systemd()
        host.answers["systemctl is-enabled"] = Completed(1, "disabled\n", "")
        host.observed = Observed((Address(ADDRESS, valid=500.0),))
        self.boot(host)
        if running:
            self.start(host, 64)
        return host


def find(host: FakeHost, adapter: Adapter) -> Found:
    """The client of eth0, which is there."""
    found = adapter.find(host, "eth0")
    assert found is not None
    return found


def own(host: FakeHost, adapter: Adapter) -> Ownership:
    """What keeps that client off eth0."""
    found = find(host, adapter)
    return adapter.own(host, found, adapter.read(host, found))


def files(changes: tuple[object, ...]) -> dict[str, str]:
    """Path -> content of the files that are changed."""
    return {change.path: (change.content or b"").decode() for change in changes if isinstance(change, FileChange)}


def _dhclient(host: FakeHost) -> None:
    host.put(LEASES, DHCLIENT_LEASE)


def _start_dhclient(host: FakeHost, pid: int) -> None:
    host.add_process(pid, "/sbin/dhclient", "-lf", LEASES, "eth0")


def _dhcpcd(host: FakeHost) -> None:
    options = {53: b"\x05", 1: b"\xff\xff\xff\0", 51: b"\0\0\x02\x58", 54: SERVER.packed}
    reply = msg.Message(op=2, xid=7, chaddr=host.mac("eth0"), yiaddr=ADDRESS.ip, options=options)
    host.put("/var/lib/dhcpcd/eth0.lease", msg.encode(reply))
    os.utime(host.path("/var/lib/dhcpcd/eth0.lease"), (host.unix - 100, host.unix - 100))
    host.put("/etc/dhcpcd.conf", "clientid\nvendorclassid\n")


def _start_dhcpcd(host: FakeHost, pid: int) -> None:
    host.add_process(pid, "dhcpcd: eth0 [ip4]", comm="dhcpcd")


def _start_udhcpc(host: FakeHost, pid: int) -> None:
    host.put("/etc/udhcpc/default.script", "#!/bin/sh\n", 0o755)
    host.add_process(pid, "udhcpc", "-i", "eth0")


def _ifupdown(host: FakeHost) -> None:
    _dhclient(host)
    host.put("/sbin/ifup", "")
    host.put("/etc/systemd/system/multi-user.target.wants/networking.service", "[Unit]\n")
    host.put("/etc/network/interfaces", "source /etc/network/interfaces.d/*\nauto eth0\niface eth0 inet dhcp\n")
    host.put("/run/network/ifstate", "lo=lo\neth0=eth0\n")


def _ifcfg(host: FakeHost) -> None:
    _dhclient(host)
    host.put("/etc/sysconfig/network-scripts/ifcfg-eth0", "DEVICE=eth0\nBOOTPROTO=dhcp\nNM_CONTROLLED=no\n")


#: What networkd says of a link that the overlay covers.
_OVERLAID = "ADMIN_STATE=configured\nNETWORK_FILE=/run/systemd/network/05-holdfast-eth0.network\n"


def _networkd(host: FakeHost) -> None:
    host.put("/lib/systemd/system/systemd-networkd.service", "[Service]\n")
    host.put("/etc/systemd/system/multi-user.target.wants/systemd-networkd.service", "")
    host.put(NETWORK, "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\n")

    def restart(_: object) -> Completed:
        """It takes what its files say, as far as the contract needs it."""
        ours = host.exists("/run/holdfast-overlay/links.d/eth0")
        host.put(STATE, _OVERLAID if ours else _MANAGED)
        host.put(LEASE, _KEPT)
        if ours:
            host.remove(LEASE)
        return Completed(0, "", "")

    host.answers["systemctl restart systemd-networkd.service"] = restart


def _start_networkd(host: FakeHost, pid: int) -> None:
    unit = "systemd-networkd.service"
    host.add_process(pid, "/lib/systemd/systemd-networkd", unit=unit, uids=(998, 998, 998, 998))
    host.answers[f"systemctl show --property=MainPID --value {unit}"] = Completed(0, f"{pid}\n", "")
    host.put(STATE, _MANAGED)
    host.put(LEASE, _KEPT)


def _networkmanager(host: FakeHost) -> None:
    host.put(f"/etc/systemd/system/multi-user.target.wants/{NM_UNIT}", "")
    host.put(f"/lib/systemd/system/{NM_UNIT}", "[Install]\nWantedBy=multi-user.target\n")
    host.put(PROFILE, f"[connection]\nuuid={UUID}\ntype=ethernet\ninterface-name=eth0\n")
    host.answers[f"systemctl restart {NM_UNIT}"] = lambda _: _manage(host, "manual")
    host.answers[f"systemctl start {NM_UNIT}"] = lambda _: _manage(host, "auto")


def _manage(host: FakeHost, method: str) -> Completed:
    host.answers[f"{NMCLI} connection show uuid {UUID}"] = Completed(0, f"ipv4.method:{method}\n", "")
    shown = f"GENERAL.TYPE:ethernet\nGENERAL.STATE:100 (connected)\nGENERAL.CON-UUID:{UUID}\n"
    options = "".join(f"DHCP4.OPTION[{at}]:{name} = {value}\n" for at, (name, value) in enumerate(_OPTIONS.items()))
    host.answers[f"{NMCLI} --fields GENERAL device show eth0"] = Completed(0, shown, "")
    host.answers[f"{NMCLI} --fields DHCP4 device show eth0"] = Completed(
        0, options if method == "auto" else "", "")
    return Completed(0, "", "")


def _start_networkmanager(host: FakeHost, pid: int) -> None:
    host.add_process(pid, "/usr/sbin/NetworkManager", "--no-daemon", unit="NetworkManager.service")
    _manage(host, "auto")


MACHINES = {machine.adapter: machine for machine in (
    Machine("dhclient", "dhclient", _dhclient, _start_dhclient, LEASES, configuration=("/etc/dhcp/dhclient.conf",)),
    Machine("dhcpcd", "dhcpcd", _dhcpcd, _start_dhcpcd, "/var/lib/dhcpcd/eth0.lease",
            configuration=("/etc/dhcpcd.conf",)),
    Machine("udhcpc", "udhcpc", lambda _: None, _start_udhcpc, ""),
    Machine("ifupdown", "dhclient", _ifupdown, _start_dhclient, LEASES, "networking.service", {"/sbin/ifup": ""},
            configuration=("/etc/network/interfaces", "/run/network/ifstate")),
    Machine("ifcfg", "dhclient", _ifcfg, _start_dhclient, LEASES, "",
            {"/etc/sysconfig/network-scripts/ifup-eth": ""},
            configuration=("/etc/sysconfig/network-scripts/ifcfg-eth0",)),
    Machine("systemd-networkd", "systemd-networkd", _networkd, _start_networkd, LEASE, "systemd-networkd.service",
            alone=False, configuration=(NETWORK, STATE)),
    Machine("NetworkManager", "NetworkManager", _networkmanager, _start_networkmanager, "", "NetworkManager.service",
            alone=False),
)}
