"""Debian's ifupdown: dhclient, dhcpcd or udhcpc, started by ``ifup`` for an ``iface IF inet dhcp``.

Facts, tried with ifupdown 0.8.41:
- ``ifdown`` (also ``systemctl restart networking``, and every shutdown) runs ``dhclient -r``, which sends a RELEASE
  for whatever the lease file says; so it must not see the interface.
- ``ifup`` passes over an interface that /run/network/ifstate.IF says is up, and ``ifdown -a`` one that has
  ``no-auto-down``. Both can be said for each interface by itself, without a change to any other file.
  EXCLUDE_INTERFACES does both, but is one variable for all; it serves until the next boot.

The client itself is the business of its own adapter.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from holdfast.takeover.adapters.process import RELOAD
from holdfast.takeover.host import Host
from holdfast.takeover.model import Adapter, Change, Command, FileChange, ForeignLease, Found, Ownership, TakeoverError

INTERFACES = "/etc/network/interfaces"
UNIT = "networking.service"
#: Files that read each other; interfaces(5) has no limit of its own.
MAX_FILES = 256
#: Stanzas that a DHCPv4 client, or the kernel, replaces wholly; and settings of theirs that do no harm when ignored.
_METHODS = {("inet", "dhcp"), ("inet6", "auto"), ("inet6", "manual")}
_SETTINGS = {"hostname", "leasehours", "leasetime", "vendor", "client", "metric", "accept_ra", "autoconf", "privext"}
#: interfaces(5): what ``source-directory`` reads.
_SOURCED_NAME = re.compile(r"[a-zA-Z0-9_-]+")


@dataclass(frozen=True)
class Stanza:
    """One ``iface`` of interfaces(5) and the names of what is set in it."""

    family: str
    method: str
    settings: tuple[str, ...]


class Ifupdown:
    """See ``model.Adapter``. ``clients`` are the adapters of the clients that it may run."""

    name = "ifupdown"

    def __init__(self, clients: Sequence[Adapter]) -> None:
        self._clients = {adapter.name: adapter for adapter in clients}

    def find(self, host: Host, ifname: str) -> Found | None:
        """A client that serves an interface which ifup has brought up."""
        logical = _logical_name(host, ifname)
        if logical is None:
            return None
        methods = [(stanza.family, stanza.method) for stanza in _stanzas(host, logical)]
        if ("inet", "dhcp") not in methods:
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
        _refuse_other_settings(host, ifname, found.facts["logical"])
        if not host.systemd:
            return Ownership()
        environment = f"/run/network/holdfast-{ifname}.env"
        excluded = f"{_excluded(host)} {ifname}".strip()
        volatile: tuple[Change, ...] = (
            Command(RELOAD, RELOAD),  # changes are undone in reverse: this one is the last, then
            FileChange(environment, f'EXCLUDE_INTERFACES="{excluded}"\n'.encode()),
            FileChange(f"/run/systemd/system/{UNIT}.d/40-holdfast-{ifname}.conf",
                       _drop_in(ifname, f"EnvironmentFile={environment}")),
            FileChange(f"/run/systemd/system/{_hotplug_unit(ifname)}.d/40-holdfast.conf",
                       _drop_in(ifname, "ExecStop=")),
            Command(RELOAD),
        )
        up = _mark_up(ifname)
        persistent: tuple[Change, ...] = (
            Command(RELOAD, RELOAD),
            FileChange(_own_file(host, ifname), _comment(ifname) + f"no-auto-down {ifname}\n".encode()),
            FileChange(f"/etc/systemd/system/{UNIT}.d/50-holdfast-{ifname}.conf", _drop_in(ifname, up)),
            FileChange(f"/etc/systemd/system/{_hotplug_unit(ifname)}.d/50-holdfast.conf",
                       _drop_in(ifname, f"{up}\nExecStop=")),
            Command(RELOAD),
        )
        return Ownership(volatile, persistent)

    def stop(self, host: Host, found: Found) -> None:
        """Stop the client; ifupdown itself does not run."""
        self._client(found).stop(host, found)

    def give_back(self, host: Host, found: Found, lease_now: ForeignLease) -> None:
        """Start the client as ifup had; ifupdown still believes that the interface is up."""
        for path, line in ((f"/run/network/ifstate.{found.ifname}", found.facts["logical"]),
                           ("/run/network/ifstate", f"{found.ifname}={found.facts['logical']}")):
            lines = host.text(path).splitlines()
            if line not in lines:  # after a boot, where ifup has passed over it
                host.write(path, "".join(f"{each}\n" for each in [*lines, line]).encode())
        self._client(found).give_back(host, found, lease_now)

    def _client(self, found: Found) -> Adapter:
        return self._clients[found.client]


def _logical_name(host: Host, ifname: str) -> str | None:
    """How /etc/network/interfaces calls the interface, None when ifup has not brought it up."""
    for line in host.text("/run/network/ifstate").splitlines():
        name, _, logical = line.strip().partition("=")
        if name == ifname:
            return logical or name
    return None


def _lines(host: Host, path: str, seen: set[str]) -> Iterator[str]:
    """Logical lines of interfaces(5), those of sourced files in their place."""
    if path in seen or len(seen) > MAX_FILES:
        return
    seen.add(path)
    for line in host.text(path).replace("\\\n", " ").splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] in ("source", "source-directory"):
            for pattern in words[1:]:
                for file in _sourced(host, words[0], pattern):
                    yield from _lines(host, file, seen)
        else:
            yield line.strip()


def _sourced(host: Host, keyword: str, pattern: str) -> list[str]:
    """The files that a ``source`` line reads, sorted. Only their last part may have wildcards here."""
    pattern = pattern if pattern.startswith("/") else f"/etc/network/{pattern}"
    folder, name = (pattern.rstrip("/"), "*") if keyword == "source-directory" else pattern.rsplit("/", 1)
    return [f"{folder}/{each}" for each in host.listdir(folder) if _reads(keyword, name, each)]


def _reads(keyword: str, pattern: str, name: str) -> bool:
    if keyword == "source-directory":
        return _SOURCED_NAME.fullmatch(name) is not None
    return fnmatch.fnmatchcase(name, pattern) and (pattern.startswith(".") or not name.startswith("."))


def _stanzas(host: Host, logical: str) -> list[Stanza]:
    """What is configured for the interface."""
    found: list[Stanza] = []
    inside = False
    for line in _lines(host, INTERFACES, set()):
        words = line.split()
        if words[0] == "iface":
            inside = len(words) >= 2 and words[1] == logical
            if inside:
                family, method = (*words[2:4], "", "")[:2]
                found.append(Stanza(family, method, ("inherits",) if "inherits" in words else ()))
        elif words[0] in ("auto", "mapping", "rename", "template", "no-scripts", "no-auto-down") or \
                words[0].startswith("allow-"):
            inside = False
        elif inside:
            found[-1] = replace(found[-1], settings=(*found[-1].settings, words[0]))
    return found


def _refuse_other_settings(host: Host, ifname: str, logical: str) -> None:
    """TakeoverError when ifup does more for the interface than to start a DHCPv4 client."""
    others = []
    for stanza in _stanzas(host, logical):
        if (stanza.family, stanza.method) not in _METHODS:
            others.append(f"iface {logical} {stanza.family} {stanza.method}")
        others += [f"{setting} ..." for setting in stanza.settings if setting not in _SETTINGS]
    if others:
        raise TakeoverError(
            f"{ifname}: {INTERFACES} also says `{'`, `'.join(others)}`, which ifup would not do any more at the next "
            "boot; move that elsewhere first"
        )


def _own_file(host: Host, ifname: str) -> str:
    """The path of a file of ours that /etc/network/interfaces reads."""
    plain = "holdfast-" + re.sub(r"[^a-zA-Z0-9_-]", "_", ifname)
    for line in host.text(INTERFACES).splitlines():
        words = line.split()
        if len(words) < 2 or words[0] not in ("source", "source-directory"):
            continue
        pattern = words[1] if words[1].startswith("/") else f"/etc/network/{words[1]}"
        folder, last = (pattern.rstrip("/"), "*") if words[0] == "source-directory" else pattern.rsplit("/", 1)
        for name in (plain, f"{plain}.cfg", f"{plain}.conf"):
            if "*" not in folder and _reads(words[0], last, name):
                return f"{folder}/{name}"
    raise TakeoverError(
        f"{INTERFACES} reads no other files; first add the line `source /etc/network/interfaces.d/*` to it"
    )


def _excluded(host: Host) -> str:
    """EXCLUDE_INTERFACES of /etc/default/networking, which ours would hide."""
    found = ""
    for line in host.text("/etc/default/networking").splitlines():
        key, _, value = line.strip().partition("=")
        if key == "EXCLUDE_INTERFACES":
            found = " ".join(re.sub(r"[\"'\\]", " ", value).split())
    return found


def _mark_up(ifname: str) -> str:
    """A line for a unit: before ifup runs, it is told that the interface is up. No character of an interface's name
    that passed ``find`` means anything to a shell or to systemd, but for %."""
    name = ifname.replace("%", "%%")
    return (
        f"ExecStartPre=/bin/sh -c 'mkdir -p /run/network && echo {name} >/run/network/ifstate.{name} && "
        f"(grep -qsx {name}={name} /run/network/ifstate || echo {name}={name} >>/run/network/ifstate)'"
    )


def _hotplug_unit(ifname: str) -> str:
    """``ifup@`` for ``allow-hotplug`` interfaces, escaped as systemd.unit(5) says."""
    return "ifup@" + re.sub(r"[^a-zA-Z0-9:_.]", lambda match: f"\\x{ord(match.group()):02x}", ifname) + ".service"


def _comment(ifname: str) -> bytes:
    return f"# {ifname} is served by Holdfast. `holdfast handback {ifname}` removes this file.\n".encode()


def _drop_in(ifname: str, lines: str) -> bytes:
    return _comment(ifname) + f"[Service]\n{lines}\n".encode()
