"""dhcpcd: one process for one interface, or a manager for all of them, which then keeps all but DHCPv4 of the link.

Facts, tried with 9.4.1: SIGKILL to the whole process group (it separates privileges) leaves the interface as it is;
``-k`` releases, ``-x`` flushes unless the configuration says ``persistent``. Started with a lease on disk it begins
with INIT-REBOOT and takes address and routes that are there for its own. ``dhcpcd -N`` beside a ``dhcpcd -4`` does
not find it and starts a second one: SIGUSR1 to the process asks for the same renewal. It overwrites its own command
line with a title, so what it was started with is known only from its unit, or as far as the title tells it. A manager
that is killed and started again adopts the addresses of its other links by their leases, IPv6's by the same routers and
servers; with ``noipv4`` for a link it leaves all that is IPv4 there alone.
"""

from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from math import inf

from holdfast.managers import lease_files
from holdfast.managers.dhcpcd import CONFIGURATION, UNIT, claim, does_dhcpv4, options, starts
from holdfast.managers.dhcpcd_settings import DUID_FILES
from holdfast.managers.formats import dhcp_options
from holdfast.takeover.adapters import interface, process
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Host
from holdfast.takeover.model import Change, FileChange, ForeignLease, Found, Ownership
from holdfast.takeover.overlay_ownership import own_by_overlay
from holdfast.takeover.processes import Process
from holdfast.wire import WireError
from holdfast.wire import message as msg
from holdfast.wire import options as opt

STOP_PATIENCE, BIND_PATIENCE = 5.0, 5.0
#: Processes of a dhcpcd that separates privileges; the one that speaks DHCP has no such name.
_HELPER = re.compile(r"dhcpcd: \[(privileged|network|control|BPF|launcher)")
#: The one that was started, until the daemon is bound.
_LAUNCHER = "dhcpcd: [launcher]"
_MANAGER = re.compile(r"dhcpcd: \[(manager|master)\]")


class Dhcpcd:
    """See ``model.Adapter``."""

    name = "dhcpcd"

    def find(self, host: Host, ifname: str) -> Found | None:
        """The dhcpcd of the interface, else the one for all when it has a lease there; its whole process group."""

        def look() -> list[Process]:
            mine = [process for process in host.processes() if process.comm == "dhcpcd" and not _helper(process)]
            named = [process for process in mine if _names(process, ifname)]
            if named or lease_path(host, ifname) is None or not host.ask(does_dhcpv4, ifname):
                return named
            return [process for process in mine if _manages(process)]

        serving = process.serving(host, self.name, ifname, look)  # processes get their names a moment after they start
        if not serving:
            return None
        main = serving[0]
        group = [each.pid for each in host.processes() if each.comm == "dhcpcd" and each.group == main.group]
        pids = (main.pid, *(pid for pid in group if pid != main.pid))
        found = process.found(
            host, self.name, self.name, ifname, main, process.evidence(main), pids=pids,
            facts={"manages": "all" if _manages(main) else "", "group": str(main.group)},
        )
        if _keeps_link(host, found):
            found = replace(found, facts={**found.facts, "lets_go_by": f"SIGKILL, and systemctl start {UNIT}"})
        return _with_command_line(found)

    def read(self, host: Host, found: Found) -> ForeignLease:
        """The reply in its lease file."""
        if not _keeps_link(host, found):
            interface.refuse_dhcpv6(host, found.ifname, self.name)
        if found.facts.get("manages") and not _keeps_link(host, found):
            others = [name for name in host.interfaces() if name not in ("lo", found.ifname) and lease_path(host, name)]
            if others:
                raise TakeoverError(
                    f"dhcpcd (pid {found.pids[0]}) serves {found.ifname} and {', '.join(others)}, and ending it would "
                    "end both: first run one dhcpcd for each interface"
                )
        path = lease_path(host, found.ifname)
        if path is None:
            raise TakeoverError(f"{lease_files.DHCPCD} has no lease of {found.ifname}; is dhcpcd (pid {found.pids[0]}) "
                                "bound?")
        host.require_root(path, "dhcpcd's lease file")
        return _read(host, found, path)

    def ask_renewal(self, host: Host, found: Found) -> None:
        """See ``model.RenewalTrigger``."""
        process.ask(host, found)

    def own(self, host: Host, found: Found, lease: ForeignLease) -> Ownership:  # noqa: ARG002 - as the others
        """The manager that its unit starts keeps the link, and is told to leave IPv4 alone there. Of any other the own
        unit does not start it, and ``denyinterfaces`` keeps one for all links off this one."""
        if _keeps_link(host, found):
            return own_by_overlay(host, found)
        owned = process.unit_ownership(host, found)
        persistent: tuple[Change, ...] = owned.persistent
        text = host.read(CONFIGURATION)
        if text is not None and claim(host.ask(options), found.ifname) is not None:
            line = f"\n# Holdfast serves it; see `holdfast handback {found.ifname}`\ndenyinterfaces {found.ifname}\n"
            before, mark, after = text.partition(b"\ninterface ")  # what follows such a line is that interface's
            status = host.stat(CONFIGURATION)
            content = before.rstrip(b"\n") + b"\n" + line.encode() + (mark + after if mark else b"")
            persistent += (FileChange(CONFIGURATION, content, status.st_mode & 0o777 if status else 0o644),)
        return Ownership((*owned.volatile, *interface.kernel_router_advertisements(host, found.ifname)), persistent)

    def stop(self, host: Host, found: Found) -> None:
        """The whole group, and what it forked in the meantime; a manager is started again, with the overlay. Its lease
        file goes: by that ``find`` tells a manager that has a lease there from one that has none."""
        keeps_link = _keeps_link(host, found)
        self._end(host, found)
        if keeps_link:
            path = lease_path(host, found.ifname)
            if path is not None:
                host.remove(path)
            _start_unit(host)

    def _end(self, host: Host, found: Found) -> None:
        process.stop(host, found)

        def emptied() -> bool:
            every = [each for each in host.processes() if each.comm == "dhcpcd"]
            orphans = all(_launches(each) for each in every)  # a launcher whose daemon is gone waits without end
            left = [each.pid for each in every if orphans or str(each.group) == found.facts.get("group")]
            host.kill(left, still=lambda each: each.comm == "dhcpcd")
            return not left

        if not host.wait(emptied, STOP_PATIENCE):
            raise TakeoverError(f"dhcpcd on {found.ifname} still forks {STOP_PATIENCE:g} s after SIGKILL")

    def give_back(self, host: Host, found: Found, lease_now: ForeignLease) -> None:
        """Start it with the lease in its file; returns when it is a daemon, or after ``BIND_PATIENCE``."""
        if _keeps_link(host, found):
            now = [each for each in host.processes() if each.comm == "dhcpcd" and host.unit_of(each.pid) == UNIT]
            if now:
                self._end(host, replace(found, pids=tuple(each.pid for each in now),
                                        facts={**found.facts, "group": str(now[0].group)}))
        try:
            write_lease(host, found.ifname, lease_now)
        finally:  # on a full disk it is started with its old lease file
            if _keeps_link(host, found):
                _start_unit(host)
            else:
                process.start_again(host, found)
        # It becomes a daemon when it is bound; without a server that takes too long to wait for.
        host.wait(lambda: not any(map(_launches, host.processes())), BIND_PATIENCE)


def _keeps_link(host: Host, found: Found) -> bool:
    """It is the manager that its unit starts, at the next boot too."""
    return bool(found.facts.get("manages")) and found.unit == UNIT and host.systemd and host.ask(starts)


def _start_unit(host: Host) -> None:
    """Start the unit when systemd has seen that its process has gone; what is active is not started. Without waiting:
    some units have it wait for an address. Reset the start limit first: it must not stay stopped after repeated
    attempts."""
    host.wait(lambda: not process.main_pid(host, UNIT), STOP_PATIENCE)
    host.run(["systemctl", "reset-failed", UNIT])
    host.must(["systemctl", "start", "--no-block", UNIT])


def _helper(process: Process) -> bool:
    return _HELPER.match(" ".join(process.argv)) is not None


def _launches(process: Process) -> bool:
    return " ".join(process.argv).startswith(_LAUNCHER)


def _manages(process: Process) -> bool:
    """It serves every interface that is not denied. Before version 9 a command line without a name says so."""
    title = " ".join(process.argv)
    if title.startswith("dhcpcd: "):
        return _MANAGER.match(title) is not None
    return not any(not word.startswith("-") for word in process.argv[1:])


def _names(process: Process, ifname: str) -> bool:
    return ifname in " ".join(process.argv).split()[1:]


def _with_command_line(found: Found) -> Found:
    """A command line made from the process's title, which has replaced it and cannot be run at the hand-back."""
    title = " ".join(found.argv)
    if not title.startswith("dhcpcd: "):
        return found
    argv = ["dhcpcd"]
    if "[ip4]" in title and "[ip6]" not in title:
        argv.append("-4")
    argv += ["-b"] if found.facts.get("manages") else [found.ifname]
    # The environment was overwritten with the title, too.
    return replace(found, argv=tuple(argv), environment=process.BARE, cwd="/")


def lease_path(host: Host, ifname: str) -> str | None:
    """Its lease file; None when there is none."""
    return next((path for path in lease_files.dhcpcd(ifname) if host.exists(path)), None)


def _read(host: Host, found: Found, path: str) -> ForeignLease:
    """The reply as it came (BOOTP, from its first octet); when it came is the file's time."""
    data, status = host.read(path, 4096), host.stat(path)
    try:
        reply = msg.decode(data or b"")
    except WireError as error:
        raise TakeoverError(f"{path} is no lease that can be read ({error}); `kill -USR1 {found.pids[0]}` makes dhcpcd "
                            "renew and write it again") from None
    lasts = _seconds(reply.options.get(opt.LEASE_TIME), inf)
    began = host.from_wall(status.st_mtime if status else host.wall())
    mask = reply.options.get(opt.SUBNET_MASK, b"\xff\xff\xff\xff")
    try:
        address = IPv4Interface(f"{reply.yiaddr}/{IPv4Address(mask)}")
    except ValueError:
        raise TakeoverError(f"{path} has a subnet mask that is none: {mask.hex()}") from None
    return ForeignLease(
        address=address, server_id=reply.server_id, started_at=began,
        t1_at=began + _seconds(reply.options.get(opt.RENEWAL_TIME), lasts / 2),
        t2_at=began + _seconds(reply.options.get(opt.REBINDING_TIME), lasts * 7 / 8),
        expires_at=began + lasts, options=reply.options, client_id=_client_id(host, found.ifname),
        vendor_class=None, hostname=None, source=path,
    )


def _seconds(value: bytes | None, missing: float) -> float:
    if value is None or len(value) != 4:
        return missing
    number = int.from_bytes(value, "big")
    return inf if number == dhcp_options.FOREVER else float(number)


def _client_id(host: Host, ifname: str) -> bytes | None:
    """Option 61 by the configuration; None when it must be captured on the wire."""
    configuration = host.ask(options)
    heads = configuration.names()
    # An interface's own lines, a class, a name: what it sends is then heard instead of worked out. Without
    # "vendorclassid" it sends a class of its own, and with the bare word none.
    if {"interface", "ssid", "profile", "iaid", "ia_na", "hostname", "fqdn", "anonymous"} & heads:
        return None
    if "vendorclassid" not in heads:
        return None
    if any(len(line) > 1 for line in configuration.lines if line[0] in ("clientid", "duid", "vendorclassid")):
        return None
    mac = host.mac(ifname)
    if "duid" in heads:
        texts = (host.text(path, 1024).strip() for path in DUID_FILES if host.exists(path))
        duid = dhcp_options.hexadecimal(next(texts, ""))
        return None if duid is None else b"\xff" + mac[-4:] + duid  # RFC 4361; its IAID is the address's end
    return b"\x01" + mac if "clientid" in heads else None


def write_lease(host: Host, ifname: str, lease: ForeignLease) -> None:
    """The lease as the reply that dhcpcd would have stored, and its time as the file's."""
    path = lease_path(host, ifname) or f"{lease_files.DHCPCD}/{ifname}.lease"
    kept = {code: value for code, value in lease.options.items() if code != opt.MESSAGE_TYPE}
    reply = msg.Message(
        op=msg.BOOTREPLY, xid=0, yiaddr=lease.address.ip, chaddr=host.mac(ifname),
        options={opt.MESSAGE_TYPE: bytes([msg.ACK]), **kept},
    )
    status = host.stat(path)
    try:
        content = msg.encode(reply)
    except WireError as error:
        raise TakeoverError(f"the lease cannot be written for dhcpcd: {error}") from None
    host.write(path, content, status.st_mode & 0o777 if status else 0o644)
    host.set_time(path, lease.started_at - host.boottime() + host.wall())
