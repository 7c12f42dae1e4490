"""Debian's ifupdown: dhclient, dhcpcd or udhcpc, started by ``ifup`` for an ``iface IF inet dhcp``.

Facts, tried with ifupdown 0.8.41:
- ``ifdown`` (also ``systemctl restart networking``, and every shutdown) runs ``dhclient -r``, which sends a RELEASE
  for whatever the lease file says; so it must not see the interface.
- ``ifup`` passes over an interface that /run/network/ifstate.IF says is up, and ``ifdown -a`` one that has
  ``no-auto-down``. Both can be said for each interface by itself, without a change to any other file.
  EXCLUDE_INTERFACES does both, but is one variable for all; it serves until the next boot.

The client itself is handled by its own adapter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from holdfast.managers.formats.interfaces5 import INTERFACES, Interfaces
from holdfast.managers.formats.link_patterns import is_pattern
from holdfast.managers.ifupdown import STATE, UNIT, excluded, hotplug_unit, logical_name, read
from holdfast.takeover.adapters import interface
from holdfast.takeover.adapters.process import RELOAD
from holdfast.takeover.errors import TakeoverError
from holdfast.takeover.host import Host
from holdfast.takeover.model import Adapter, Change, Command, FileChange, ForeignLease, Found, Ownership

#: Stanzas that a DHCPv4 client, or the kernel, replaces wholly; and settings of theirs that do no harm when ignored.
_METHODS = {("inet", "dhcp"), ("inet6", "auto"), ("inet6", "manual")}
_SETTINGS = {"hostname", "leasehours", "leasetime", "vendor", "client", "metric", "accept_ra", "autoconf", "privext"}


class Ifupdown:
    """See ``model.Adapter``. ``clients`` are the adapters of the clients that it may run."""

    name = "ifupdown"

    def __init__(self, clients: Sequence[Adapter]) -> None:
        self._clients = {adapter.name: adapter for adapter in clients}

    def find(self, host: Host, ifname: str) -> Found | None:
        """A client that serves an interface which ifup has brought up."""
        logical = host.ask(logical_name, ifname)
        if logical is None or not any(stanza.dhcp for stanza in host.ask(read).of(logical)):
            return None
        for adapter in self._clients.values():
            found = adapter.find(host, ifname)
            if found is not None:
                evidence = f"{found.evidence}; {INTERFACES} has `iface {logical} inet dhcp`, and ifup has brought it up"
                facts = {**found.facts, "logical": logical}
                return replace(found, manager=self.name, evidence=evidence, unit="", facts=facts)
        return None

    def read(self, host: Host, found: Found) -> ForeignLease:
        """The client's lease."""
        return self._client(found).read(host, found)

    def own(self, host: Host, found: Found, lease: ForeignLease) -> Ownership:  # noqa: ARG002 - as the others
        """Until the next boot: excluded from ``ifup -a`` and ``ifdown -a``. After it: up already, and never down.
        Without systemd nothing starts Holdfast at boot, so nothing keeps the old client away then."""
        ifname = found.ifname
        interfaces = host.ask(read)
        _refuse_other_settings(interfaces, ifname, found.facts["logical"])
        if not host.systemd:
            return Ownership()
        environment = f"/run/network/holdfast-{ifname}.env"
        excluding = " ".join([*host.ask(excluded), ifname])
        volatile: tuple[Change, ...] = (
            Command(RELOAD, RELOAD),  # changes are undone in reverse: this one is the last, then
            FileChange(environment, f'EXCLUDE_INTERFACES="{excluding}"\n'.encode()),
            FileChange(f"/run/systemd/system/{UNIT}.d/40-holdfast-{ifname}.conf",
                       _drop_in(ifname, f"EnvironmentFile={environment}")),
            FileChange(f"/run/systemd/system/{hotplug_unit(ifname)}.d/40-holdfast.conf",
                       _drop_in(ifname, "ExecStop=")),
            Command(RELOAD),
        )
        up = _mark_up(ifname)
        persistent: tuple[Change, ...] = (
            Command(RELOAD, RELOAD),
            FileChange(_own_file(interfaces, ifname), f"{interface.comment(ifname)}no-auto-down {ifname}\n".encode()),
            FileChange(f"/etc/systemd/system/{UNIT}.d/50-holdfast-{ifname}.conf", _drop_in(ifname, up)),
            FileChange(f"/etc/systemd/system/{hotplug_unit(ifname)}.d/50-holdfast.conf",
                       _drop_in(ifname, f"{up}\nExecStop=")),
            Command(RELOAD),
        )
        return Ownership(volatile, persistent)

    def stop(self, host: Host, found: Found) -> None:
        """Stop the client; ifupdown itself does not run."""
        self._client(found).stop(host, found)

    def give_back(self, host: Host, found: Found, lease_now: ForeignLease) -> None:
        """Start the client as ifup had; ifupdown still believes that the interface is up."""
        for path, line in ((f"{STATE}.{found.ifname}", found.facts["logical"]),
                           (STATE, f"{found.ifname}={found.facts['logical']}")):
            lines = host.text(path).splitlines()
            if line not in lines:  # after a boot, where ifup has passed over it
                host.write(path, "".join(f"{each}\n" for each in [*lines, line]).encode())
        self._client(found).give_back(host, found, lease_now)

    def _client(self, found: Found) -> Adapter:
        return self._clients[found.client]


def _refuse_other_settings(interfaces: Interfaces, ifname: str, logical: str) -> None:
    """TakeoverError when ifup does more for the interface than to start a DHCPv4 client."""
    others = []
    for stanza in interfaces.of(logical):
        if (stanza.family, stanza.method) not in _METHODS:
            others.append(f"iface {logical} {stanza.family} {stanza.method}")
        others += [f"inherits {stanza.inherits}"] if stanza.inherits else []
        others += [f"{option} ..." for option, _ in stanza.options if option not in _SETTINGS]
    if others:
        raise TakeoverError(
            f"{ifname}: {INTERFACES} also says `{'`, `'.join(others)}`, which ifup would not do any more at the next "
            "boot; move that elsewhere first"
        )


def _own_file(interfaces: Interfaces, ifname: str) -> str:
    """The path of a file of ours that /etc/network/interfaces reads."""
    plain = "holdfast-" + re.sub(r"[^a-zA-Z0-9_-]", "_", ifname)
    for source in interfaces.sources:
        for name in (plain, f"{plain}.cfg", f"{plain}.conf"):
            if source.path == INTERFACES and not is_pattern(source.folder) and source.reads(name):
                return f"{source.folder}/{name}"
    raise TakeoverError(
        f"{INTERFACES} reads no other files; first add the line `source /etc/network/interfaces.d/*` to it"
    )


def _mark_up(ifname: str) -> str:
    """A line for a unit that marks the interface as up before ifup runs. No character of an interface's name
    that passed ``find`` means anything to a shell or to systemd, but for %."""
    name = ifname.replace("%", "%%")
    return (
        f"ExecStartPre=/bin/sh -c 'mkdir -p /run/network && echo {name} >/run/network/ifstate.{name} && "
        f"(grep -qsx {name}={name} /run/network/ifstate || echo {name}={name} >>/run/network/ifstate)'"
    )


def _drop_in(ifname: str, lines: str) -> bytes:
    return f"{interface.comment(ifname)}[Service]\n{lines}\n".encode()
