"""NetworkManager, with its own DHCP client or with dhclient.

Facts, each tried with NetworkManager 1.42:
- ``systemctl stop NetworkManager`` leaves all devices as they are. At its start NetworkManager takes over without a
  change what its state file (/run/NetworkManager/devices/INDEX) names as its own, by the UUID of its connection: with a
  profile of that UUID that says ``method=manual`` or ``disabled`` the address, its routes and everything else stay,
  and it sends no DHCP message.
- ``nmcli device modify``, ``managed yes`` and ``managed no`` by a file that is loaded take every address away.
- With DHCPv4 it asks for the address in /var/lib/NetworkManager/internal-UUID-IF.lease by INIT-REBOOT.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Interface
from math import inf

from holdfast.managers import served_links
from holdfast.managers.formats import dhcp_options
from holdfast.managers.formats.tree import Tree
from holdfast.managers.networkmanager import OURS, PROFILES, STAND_IN, UNIT, takeout
from holdfast.takeover.adapters import interface
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Host
from holdfast.takeover.model import ForeignLease, Found, Ownership
from holdfast.takeover.overlay_ownership import own_by_overlay
from holdfast.takeover.processes import Process

_SENT = ("ipv4.dhcp-send-hostname", "ipv4.dhcp-hostname", "ipv4.dhcp-vendor-class-identifier")
#: Options by their names in nmcli's output: code and parser.
_ADDRESSES = {1: "subnet_mask", 3: "routers", 6: "domain_name_servers", 28: "broadcast_address", 33: "static_routes",
              42: "ntp_servers", 54: "dhcp_server_identifier"}
_TEXTS = {12: "host_name", 15: "domain_name", 17: "root_path"}
_DURATIONS = {51: "dhcp_lease_time", 58: "dhcp_renewal_time", 59: "dhcp_rebinding_time"}
#: Seconds for NetworkManager to have its lease again after its start.
LEASE_TIMEOUT = 45.0


class NetworkManager:
    """See ``model.Adapter``."""

    name = "NetworkManager"

    def find(self, host: Host, ifname: str) -> Found | None:
        """A running NetworkManager with an active connection and a DHCPv4 lease on the interface."""
        processes = host.processes()
        manager = next((each for each in processes if each.program == "NetworkManager"), None)
        if manager is None:
            return None
        device = _device(host, ifname)
        uuid = device.get("GENERAL.CON-UUID", "")
        if not device.get("GENERAL.STATE", "").startswith("100") or not uuid or not _options(host, ifname):
            return None
        client = _dhclient_of(processes, manager, ifname)
        pids = (manager.pid,) if client is None else (client.pid, manager.pid)
        return Found(
            client=self.name if client is None else "dhclient", manager=self.name, ifname=ifname, pids=pids, unit=UNIT,
            argv=manager.argv,
            evidence=f"{UNIT}: connection {device.get('GENERAL.CONNECTION', uuid)!r} ({uuid}) is active on {ifname}",
            facts={"uuid": uuid, "kind": device.get("GENERAL.TYPE", ""),
                   "lets_go_by": f"systemctl restart {UNIT}, with its profile without DHCPv4"},
        )

    def read(self, host: Host, found: Found) -> ForeignLease:
        """The lease from the output of ``nmcli``."""
        reported = _options(host, found.ifname)
        try:
            address = IPv4Interface(f"{reported['ip_address']}/{reported['subnet_mask']}")
        except (KeyError, ValueError):
            raise TakeoverError(
                f"{found.ifname}: `nmcli -f DHCP4 device show {found.ifname}` has no address and mask; try again later"
            ) from None
        duration = dhcp_options.seconds(reported.get("dhcp_lease_time"))
        now = host.boottime()
        left = interface.lifetime(host, found.ifname, address)
        if reported.get("expiry", "").isdigit() and left != inf:
            left = min(left, host.from_wall(float(reported["expiry"])) - now)
        started = now if duration == inf else min(now, now + min(left, duration) - duration)
        sent = _connection(host, found.facts["uuid"], _SENT)
        wants_name = sent.get("ipv4.dhcp-send-hostname", "yes") == "yes"
        client_id = reported.get("dhcp_client_identifier")
        return ForeignLease(
            address=address, server_id=dhcp_options.address(reported.get("dhcp_server_identifier")), started_at=started,
            t1_at=started + dhcp_options.seconds(reported.get("dhcp_renewal_time"), duration * 0.5),
            t2_at=started + dhcp_options.seconds(reported.get("dhcp_rebinding_time"), duration * 0.875),
            expires_at=started + duration, options=_raw_options(reported),
            client_id=None if client_id is None else dhcp_options.hexadecimal(client_id),
            vendor_class=sent.get("ipv4.dhcp-vendor-class-identifier", "").encode() or None,
            hostname=(sent.get("ipv4.dhcp-hostname") or interface.machine_name(host)) if wants_name else None,
            source=f"nmcli -f DHCP4 device show {found.ifname}",
        )

    def own(self, host: Host, found: Found, lease: ForeignLease) -> Ownership:  # noqa: ARG002 - as the others
        """The profile without DHCPv4, below /run."""
        owned = own_by_overlay(host, found)
        uuid = found.facts["uuid"]
        if not host.ask(_shadowed, found.ifname, uuid):
            raise TakeoverError(f"{found.ifname}: its connection {uuid} is not the one that comes up at boot; activate "
                                "that one, or let this one connect automatically")
        return owned

    def stop(self, host: Host, found: Found) -> None:
        """Start NetworkManager anew: it takes the device over as it is, with the profile that has no DHCPv4."""
        if _without_dhcp(host, found):
            return
        host.run(["systemctl", "reset-failed", UNIT])  # also how often it was started lately, which has a limit
        host.must(["systemctl", "restart", UNIT], 60.0)
        host.kill(found.pids, still=lambda each: each.program == "dhclient")  # its own one, when it is left over
        if not host.wait(lambda: _without_dhcp(host, found), 20.0):
            raise TakeoverError(f"{found.ifname}: NetworkManager does not use its profile below "
                                f"{PROFILES[0]}; see `nmcli --fields NAME,FILENAME connection show`")

    def give_back(self, host: Host, found: Found, lease_now: ForeignLease) -> None:
        """Stop it, write into its state file that it manages the device, and start it."""
        uuid, index = found.facts["uuid"], host.ifindex(found.ifname)
        host.must(["systemctl", "stop", UNIT], 60.0)
        host.run(["ip", "address", "delete", STAND_IN, "dev", found.ifname])
        host.write(f"/run/NetworkManager/devices/{index}", (
            f"[device]\nmanaged=true\nconnection-uuid={uuid}\nnm-owned=false\n"
        ).encode())
        host.write(f"/var/lib/NetworkManager/internal-{uuid}-{found.ifname}.lease", (
            f"# This is private data. Do not parse.\nADDRESS={lease_now.address.ip}\n"
        ).encode())
        host.run(["systemctl", "reset-failed", UNIT])
        host.must(["systemctl", "start", UNIT], 60.0)
        interface.await_lease(host, found, lease_now.address,
                              lambda: _options(host, found.ifname).get("ip_address"), LEASE_TIMEOUT)


def _shadowed(tree: Tree, ifname: str, uuid: str) -> bool:
    """True if the overlay takes DHCPv4 out of the profile with that UUID."""
    taken = takeout(tree, served_links.describe(tree, ifname))
    return taken is not None and any(f"{OURS}{uuid}-" in entry.path for entry in taken.entries)


def _without_dhcp(host: Host, found: Found) -> bool:
    """True if the device is NetworkManager's with the connection of old, and that has no DHCPv4."""
    uuid = found.facts["uuid"]
    method = _nmcli(host, "connection", "show", "uuid", uuid).get("ipv4.method", "")
    return method in ("disabled", "manual") and _device(host, found.ifname).get("GENERAL.CON-UUID") == uuid


def unmanaged(ifname: str) -> bytes:
    """Configuration that keeps NetworkManager off the interface (NetworkManager.conf(5))."""
    return f"{interface.comment(ifname)}[keyfile]\nunmanaged-devices+=interface-name:={ifname}\n".encode()


def _nmcli(host: Host, *arguments: str) -> dict[str, str]:
    """``key:value`` lines of nmcli's terse output; empty when it fails."""
    done = host.run(["nmcli", "--terse", "--escape", "no", *arguments])
    return dict(line.split(":", 1) for line in done.stdout.splitlines() if ":" in line) if done.ok else {}


def _device(host: Host, ifname: str) -> dict[str, str]:
    return _nmcli(host, "--fields", "GENERAL", "device", "show", ifname)


def _connection(host: Host, uuid: str, keys: tuple[str, ...]) -> dict[str, str]:
    """Those settings of a connection that it has."""
    shown = _nmcli(host, "connection", "show", "uuid", uuid)
    if not shown:
        raise TakeoverError(f"NetworkManager has no connection {uuid} any more")
    return {key: shown[key].strip() for key in keys if key in shown}


def _options(host: Host, ifname: str) -> dict[str, str]:
    """What NetworkManager knows of the DHCPv4 lease: name -> text; empty without one."""
    lines = _nmcli(host, "--fields", "DHCP4", "device", "show", ifname).values()
    return dict(line.split(" = ", 1) for line in lines if " = " in line)


def _raw_options(reported: Mapping[str, str]) -> dict[int, bytes]:
    options: dict[int, bytes | None] = {
        **{code: dhcp_options.addresses(reported.get(name)) for code, name in _ADDRESSES.items()},
        **{code: dhcp_options.text(reported.get(name)) for code, name in _TEXTS.items()},
        **{code: dhcp_options.duration(reported.get(name)) for code, name in _DURATIONS.items()},
        26: dhcp_options.number(reported.get("interface_mtu"), 2),
        119: dhcp_options.domains(reported.get("domain_search")),
        121: dhcp_options.classless_routes(reported.get("rfc3442_classless_static_routes")),
        249: dhcp_options.classless_routes(reported.get("ms_classless_static_routes")),
    }
    for name, value in reported.items():
        code = name.removeprefix("private_").removeprefix("unknown_")
        if code != name and code.isascii() and code.isdigit() and 0 < int(code) < 255:
            options[int(code)] = dhcp_options.hexadecimal(value)
    return {code: value for code, value in options.items() if value}


def _dhclient_of(processes: list[Process], manager: Process, ifname: str) -> Process | None:
    """The dhclient that NetworkManager runs for the interface, when it is told to use that."""
    return next((
        each for each in processes
        if each.program == "dhclient" and each.ppid == manager.pid and each.argv[-1] == ifname and "-6" not in each.argv
    ), None)
