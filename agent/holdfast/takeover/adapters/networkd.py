"""systemd-networkd, also as netplan's backend.

Facts, each tried with systemd 252:
- ``systemctl restart`` ends networkd with SIGUSR2 (RestartKillSignal), which leaves every link as it is. ``systemctl
  stop`` takes the leased address away, and ``networkctl reload``
  everything from links whose files have changed.
- Of all .network files that match a link the first by name counts, whatever folder it is in; so netplan and
  cloud-init may write theirs as often as they like.
- When it starts, it takes all addresses and routes off the links that it manages, other programs' too, and begins
  with DISCOVER. (In a container, where there is no udev, it takes nothing.) With KeepConfiguration=yes it takes nothing
  and begins with INIT-REBOOT for the address that it finds; the address has no lifetime then.
- From 257 on a networkd that is asked to end hands the next one a list of what it has by DHCPv4. Where that one does no
  DHCPv4, it removes all of it, whatever KeepConfiguration= says. One that is killed hands nothing on, and leaves the
  links as they are, as every version's restart does; the next one finds addresses and routes that it keeps. Its routes
  from router advertisements have nexthop objects (ip-nexthop(8)), and the next one adds its own beside them.
- With KeepConfiguration=dhcp and DHCP=no it takes neither addresses with a lifetime nor routes of protocol dhcp, at
  restart, reload, reconfigure and carrier loss; with yes it takes nothing.

The lease: /run/systemd/netif/leases/<index>, one KEY=VALUE a line, without a date; networkd deletes it when it lets
go of the link. The address's lifetime in the kernel says how much time is left.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from ipaddress import IPv4Interface
from math import inf

from holdfast.managers import lease_files
from holdfast.managers.formats import dhcp_options, ini
from holdfast.managers.networkd import OVERLAID, UNIT, NetworkFile, network_file
from holdfast.takeover.adapters import interface
from holdfast.takeover.adapters.process import main_pid
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Host
from holdfast.takeover.model import FileChange, ForeignLease, Found, Ownership
from holdfast.takeover.overlay_ownership import own_by_overlay
from holdfast.takeover.processes import Process

#: systemd's first version with KeepConfiguration=.
FIRST_VERSION = 243
#: The first that may hand a list of its addresses on (systemd 256 was not tried).
HANDS_ON = 256
#: Seconds for systemd to see that it was killed.
KILL_PATIENCE = 5.0
#: Seconds for routers to answer a solicitation: at most 0.5 s, and 3 s after another answer (RFC 4861, 6.2.6).
ADVERTISEMENT_PATIENCE = 4.0
_NEXTHOP = re.compile(r"id (\d+) (via \S+ dev \S+)")
#: Seconds for networkd to have its lease again. INIT-REBOOT is asked at once; 30 s allow for six tries.
LEASE_TIMEOUT = 30.0


class Networkd:
    """See ``model.Adapter``."""

    name = "systemd-networkd"

    def find(self, host: Host, ifname: str) -> Found | None:
        """A running networkd that holds a lease for the interface."""
        process = _process(host)
        if process is None:
            return None
        index = host.ifindex(ifname)
        state = _variables(host.text(f"/run/systemd/netif/links/{index}"))
        path = f"{lease_files.NETWORKD}/{index}"
        if state.get("ADMIN_STATE") in (None, "unmanaged") or not host.exists(path):
            return None
        network = state.get("NETWORK_FILE", "")
        return Found(
            client=self.name, manager="netplan" if "netplan" in os.path.basename(network) else self.name,
            ifname=ifname, pids=(process.pid,), unit=UNIT, argv=process.argv,
            evidence=f"{UNIT} manages {ifname} with {network or 'no file'}; its lease is {path}",
            facts={"network_file": network, "lets_go_by": _lets_go_by(host, index)},
        )

    def read(self, host: Host, found: Found) -> ForeignLease:
        """The lease, its times from the address's lifetime in the kernel."""
        path = f"{lease_files.NETWORKD}/{host.ifindex(found.ifname)}"
        stat = host.stat(path)
        lease = _variables(host.text(path))
        if stat is None or not lease:
            raise TakeoverError(f"{found.ifname}: {path} has no lease; wait until networkd has one, then try again")
        address = _address(lease, path)
        options = _options(lease)
        duration = dhcp_options.seconds(lease.get("LIFETIME"))
        left = interface.lifetime(host, found.ifname, address)
        now = host.boottime()
        if duration == inf:
            started = now
        elif left == inf:  # KeepConfiguration= or netplan's `critical`: the file's date is the best that is known
            started = min(now, host.from_wall(stat.st_mtime))
        else:
            started = min(now, now + left - duration)
        t1 = dhcp_options.seconds(lease.get("T1"), duration * 0.5)
        t2 = dhcp_options.seconds(lease.get("T2"), duration * 0.875)
        client_id = lease.get("CLIENTID")
        file = _network_file(host, found)
        return ForeignLease(
            address=address, server_id=dhcp_options.address(lease.get("SERVER_ADDRESS")), started_at=started,
            # Of unknown age: asked for at once.
            t1_at=now if left == inf != duration else started + t1,
            t2_at=max(now, started + t2) if left == inf != duration else started + t2,
            expires_at=max(now, started + duration), options=options,
            client_id=None if client_id is None else dhcp_options.hexadecimal(client_id),
            vendor_class=(file.last("DHCPv4", "VendorClassIdentifier") or "").encode() or None,
            hostname=_hostname(host, file), source=path,
        )

    def own(self, host: Host, found: Found, lease: ForeignLease) -> Ownership:  # noqa: ARG002 - as the others
        """The overlay; for the present boot networkd keeps all that is on the link."""
        _refuse_old_version(host, found.ifname)
        # First, so that the overlay takes it up: networkd is started anew, and other programs' addresses stay.
        return own_by_overlay(host, found, first=(_kept(found.facts["network_file"]),))

    def stop(self, host: Host, found: Found) -> None:
        """Restart networkd: it does all but DHCPv4 on this link, and the others keep their configuration."""
        index = host.ifindex(found.ifname)
        _keep(host, _other_files(host, index))
        _restart(host)
        state, lease = f"/run/systemd/netif/links/{index}", f"{lease_files.NETWORKD}/{index}"

        def left() -> bool:
            now = _variables(host.text(state))
            return bool(OVERLAID.match(now.get("NETWORK_FILE", ""))) and not host.exists(lease)

        if not host.wait(left, 10.0):
            raise TakeoverError(f"{found.ifname}: networkd still does DHCPv4; is there a .network file before ours?")

    def give_back(self, host: Host, found: Found, lease_now: ForeignLease) -> None:
        """Restart networkd, so that it requests the present address and removes nothing."""
        index = host.ifindex(found.ifname)
        _keep(host, {found.facts["network_file"], *_other_files(host, index)})
        _restart(host)
        path = f"{lease_files.NETWORKD}/{index}"
        interface.await_lease(host, found, lease_now.address, lambda: _variables(host.text(path)).get("ADDRESS"),
                              LEASE_TIMEOUT)


def _process(host: Host) -> Process | None:
    """networkd, which runs as a user of its own: so it is the one that root's systemd names, and no other."""
    return host.named_by_systemd(int(pid)) if (pid := main_pid(host, UNIT)) else None


def _restart(host: Host) -> None:
    """Without anything handed on from the running one. Reset the start limit first: systemd starts a unit at most five
    times in ten seconds, and networkd must not stay stopped after repeated attempts."""
    host.run(["systemctl", "reset-failed", UNIT])
    version = _version(host)
    if version is None or version < HANDS_ON:
        host.must(["systemctl", "restart", UNIT])
        return
    former, nexthops = main_pid(host, UNIT), _advertised(host)
    host.must(["systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", UNIT])
    host.wait(lambda: main_pid(host, UNIT) != former, KILL_PATIENCE)
    host.must(["systemctl", "start", UNIT])  # it may have started by itself already (Restart=)
    _remove_duplicates(host, nexthops)


def _advertised(host: Host) -> dict[str, str]:
    """The nexthop objects from router advertisements: number -> gateway and link."""
    lines = host.run(["ip", "-6", "nexthop", "show"]).stdout.splitlines()
    return {found[1]: found[2] for line in lines if (found := _NEXTHOP.match(line)) and "proto ra" in line}


def _remove_duplicates(host: Host, former: Mapping[str, str]) -> None:
    """Remove those of ``former`` whose gateway has another one by now, with their routes; a router that has not
    answered yet keeps the former one, which ends with its lifetime."""

    def doubled() -> list[str]:
        now = _advertised(host)
        renewed = {gateway for number, gateway in now.items() if number not in former}
        return [number for number, gateway in former.items() if number in now and gateway in renewed]

    host.wait(lambda: len(doubled()) == len(former), ADVERTISEMENT_PATIENCE)
    for number in doubled():
        host.run(["ip", "nexthop", "del", "id", number])


def _version(host: Host) -> int | None:
    """systemd's, None when it does not say."""
    words = host.run(["networkctl", "--version"]).stdout.split()  # systemd 252 (252.39-1) ...
    return int(words[1]) if len(words) > 1 and words[1].isascii() and words[1].isdigit() else None


def _variables(text: str) -> dict[str, str]:
    """KEY=VALUE lines."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))


def _address(lease: Mapping[str, str], path: str) -> IPv4Interface:
    try:
        return IPv4Interface(f"{lease['ADDRESS']}/{lease['NETMASK']}")
    except (KeyError, ValueError):
        raise TakeoverError(f"{path} has no address and netmask; leave the interface to networkd") from None


def _options(lease: Mapping[str, str]) -> dict[int, bytes]:
    """The server's options as it sent them, from what networkd keeps of them."""
    options: dict[int, bytes | None] = {
        1: dhcp_options.addresses(lease.get("NETMASK")), 3: dhcp_options.addresses(lease.get("ROUTER")),
        6: dhcp_options.addresses(lease.get("DNS")), 12: dhcp_options.text(lease.get("HOSTNAME")),
        15: dhcp_options.text(lease.get("DOMAINNAME")), 26: dhcp_options.number(lease.get("MTU"), 2),
        28: dhcp_options.addresses(lease.get("BROADCAST")), 42: dhcp_options.addresses(lease.get("NTP")),
        51: dhcp_options.duration(lease.get("LIFETIME")), 54: dhcp_options.addresses(lease.get("SERVER_ADDRESS")),
        58: dhcp_options.duration(lease.get("T1")), 59: dhcp_options.duration(lease.get("T2")),
        119: dhcp_options.domains(lease.get("DOMAIN_SEARCH_LIST")),
        121: dhcp_options.classless_routes(lease.get("CLASSLESS_ROUTES")),
    }
    for key, value in lease.items():
        number = key.removeprefix("OPTION_")
        if number != key and number.isascii() and number.isdigit() and 0 < int(number) < 255:
            options[int(number)] = dhcp_options.hexadecimal(value)
    return {code: value for code, value in options.items() if value}


def _network_file(host: Host, found: Found) -> NetworkFile:
    """The .network file in use, with its drop-ins."""
    return host.ask(network_file, found.facts.get("network_file", ""))


def _hostname(host: Host, file: NetworkFile) -> str | None:
    """What it sends as option 12: by default the machine's own name."""
    if ini.is_off(file.last("DHCPv4", "SendHostname")):
        return None
    return file.last("DHCPv4", "Hostname") or interface.machine_name(host)


def _refuse_old_version(host: Host, ifname: str) -> None:
    """TakeoverError when networkd could not be kept from taking addresses away when it starts."""
    version = _version(host)
    if version is not None and version < FIRST_VERSION:
        raise TakeoverError(
            f"{ifname}: networkd {version} knows no KeepConfiguration= (systemd {FIRST_VERSION} does): "
            "its start would take addresses away"
        )


def _other_files(host: Host, index: int) -> set[str]:
    """The .network files of the links that networkd manages beside this one."""
    states = (
        _variables(host.text(f"/run/systemd/netif/links/{name}"))
        for name in host.listdir("/run/systemd/netif/links") if name != str(index)
    )
    return {state.get("NETWORK_FILE", "") for state in states if state.get("ADMIN_STATE") not in (None, "unmanaged")}


def _lets_go_by(host: Host, index: int) -> str:
    """For people."""
    others = ", ".join(sorted(filter(None, _other_files(host, index))))
    kept = f", with KeepConfiguration=yes until the next boot for {others}" if others else ""
    return f"systemctl restart {UNIT}{kept}"


def _keep(host: Host, networks: set[str]) -> None:
    """Let networkd keep what is on the links of these files when it starts. Until the next boot, and not shorter:
    networkd would take everything off a link whose files have changed when somebody reloads."""
    for network in sorted(filter(None, networks)):
        kept = _kept(network)
        host.write(kept.path, kept.content or b"")


def _kept(network: str) -> FileChange:
    """The drop-in that has networkd keep what it finds on the links of ``network``."""
    return FileChange(_keep_file(network), (
        b"# Holdfast has started networkd anew: it keeps what it finds on the link.\n"
        b"[Network]\nKeepConfiguration=yes\n"
    ))


def _keep_file(network: str) -> str:
    """A drop-in for a .network file; in /run, so that it is gone after a boot."""
    return f"/run/systemd/network/{os.path.basename(network)}.d/90-holdfast.conf"
