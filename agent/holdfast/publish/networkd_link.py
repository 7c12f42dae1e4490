"""Name servers of a link that systemd-networkd manages, by its D-Bus interface org.freedesktop.network1(5).

systemd-resolved takes those of such a link from networkd, and refuses others (LinkBusy). What networkd is told replaces
all that it has of its own: DNS= and Domains=, and the servers of DHCPv6 and router advertisements. So it is asked to
forget what it was told, its own are read from its state file of the link, and both together are told. networkd writes
the state file anew whenever something of the link changes, and forgets what it was told when it starts: a file that is
not the one of our last call has the step repeated.
"""

from __future__ import annotations

import os
from _socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from collections.abc import Callable, Sequence

from holdfast import json_text
from holdfast.publish.resolvconf import Target, Write
from holdfast.publish.spool import Names
from holdfast.state import folder as folders
from holdfast.wire.record import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

STATES = "/run/systemd/netif/links"
#: Bytes of a state file, and of our record.
_LIMIT = 64 << 10
#: resolved.conf(5), DNS=: an address, with a port (behind brackets for IPv6), a link and a name for TLS.
_SERVER = (
    r"(?:\[(?P<six>[^\]]+)\](?::(?P<port6>\d+))?|(?P<four>[\d.]+)(?::(?P<port4>\d+))?|(?P<bare>[0-9A-Fa-f:.]+))"
    r"(?:%[^#]+)?(?:#(?P<name>.+))?"
)

#: (method, signature, body); raises ResolverError.
Call = Callable[[str, str, "tuple[Any, ...]"], None]


class Server(NamedTuple):
    """A name server as networkd writes it."""

    address: str
    port: int = 0
    name: str = ""


class NetworkdLinks:
    """Merges and tells. ``record``: a folder for what was told last. ``said(path, key)``: the words of DNS= or Domains=
    of a .network file."""

    def __init__(
        self, record: str, write: Write, said: Callable[[str, str], Sequence[str]], states: str = STATES
    ) -> None:
        self._record, self._write, self._said, self._states = record, write, said, states

    def publish(self, link: Target, names: Names, call: Call) -> None:
        """Tell networkd the servers and domains of ``names`` beside its own. OSError; what ``call`` raises."""
        if self._told(link) == self._wanted(link, names):
            return
        call("RevertLinkDNS", "i", (link.ifindex,))
        own = self._variables(link)
        if names.dns:
            servers = self._merged(own, names)
            plain = [_packed(one.address) for one in servers]
            if any(one.port or one.name for one in servers):
                extended = [(*pair, one.port, one.name) for pair, one in zip(plain, servers, strict=True)]
                call("SetLinkDNSEx", "ia(iayqs)", (link.ifindex, extended))
            else:
                call("SetLinkDNS", "ia(iay)", (link.ifindex, plain))
        if names.search:
            leased = (names.searched, names.search if names.search_routes else ())
            call("SetLinkDomains", "ia(sb)", (link.ifindex, [
                (each, routed) for routed, key in ((False, "DOMAINS"), (True, "ROUTE_DOMAINS"))
                for each in self._domains(own, key, leased[routed])]))
        self._write(self._path(link), json_text.dumps(self._wanted(link, names)).encode() + b"\n", 0o644)

    def withdraw(self, link: Target, call: Call) -> None:
        """Have networkd forget what it was told. OSError; what ``call`` raises."""
        call("RevertLinkDNS", "i", (link.ifindex,))
        self.forget(link)

    def forget(self, link: Target) -> None:
        """The link is not networkd's any more."""
        try:
            os.unlink(self._path(link))
        except FileNotFoundError:
            return

    def _merged(self, own: dict[str, str], names: Names) -> list[Server]:
        """Those of the .network file, those of the lease, and those that came by other ways: networkd's own order."""
        every = [server for word in own.get("DNS", "").split() if (server := _server(word))]
        words = self._said(own.get("NETWORK_FILE", ""), "DNS")
        static = {server.address for word in words if (server := _server(word))}
        leased = [Server(str(address)) for address in names.dns]
        return list(dict.fromkeys((
            *(one for one in every if one.address in static), *leased,
            *(one for one in every if one.address not in static),
        )))

    def _domains(self, own: dict[str, str], key: str, leased: Sequence[str]) -> list[str]:
        """Likewise, of the state file's ``key``."""
        every = own.get(key, "").split()
        static = {word.lstrip("~").rstrip(".") for word in self._said(own.get("NETWORK_FILE", ""), "Domains")}
        return list(dict.fromkeys((
            *(one for one in every if one.rstrip(".") in static), *leased,
            *(one for one in every if one.rstrip(".") not in static),
        )))

    def _variables(self, link: Target) -> dict[str, str]:
        try:
            # The folder is networkd's, a user of its own, which decides about the link's name servers anyway.
            with open(f"{self._states}/{link.ifindex}", encoding="utf-8", errors="replace") as file:
                text = file.read(_LIMIT)
        except FileNotFoundError:
            return {}
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))

    def _wanted(self, link: Target, names: Names) -> list[Any]:
        """What identifies a call and the state file after it: networkd replaces the file."""
        try:
            now = os.stat(f"{self._states}/{link.ifindex}")
        except FileNotFoundError:
            return []
        return [link.ifindex, [str(each) for each in names.dns], [*names.search, names.search_routes], now.st_ino,
                now.st_mtime_ns]

    def _told(self, link: Target) -> object:
        try:
            return json_text.loads(folders.read(self._path(link), _LIMIT))
        except (OSError, ValueError, RecursionError):
            return None

    def _path(self, link: Target) -> str:
        return os.path.join(self._record, f"networkd-{link.ifname}.json")


def states(folder: str = STATES) -> list[tuple[str, int, int]]:
    """What changes whenever networkd writes the state of a link anew."""
    try:
        with os.scandir(folder) as entries:
            return sorted((each.name, each.inode(), each.stat().st_mtime_ns) for each in entries)
    except FileNotFoundError:  # no networkd, or a file that is being replaced
        return []


def _server(word: str) -> Server | None:
    """A word of DNS=, None when it is no server."""
    import re  # noqa: PLC0415 - only for networkd's links: a boot waits for this module

    found = re.fullmatch(_SERVER, word)
    if found is None:
        return None
    try:
        family, packed = _packed(found["six"] or found["four"] or found["bare"])
        return Server(inet_ntop(family, packed), int(found["port6"] or found["port4"] or 0), found["name"] or "")
    except (OSError, ValueError):
        return None


def _packed(address: str) -> tuple[int, bytes]:
    """The family and the bytes of an address. OSError, ValueError."""
    family = AF_INET6 if ":" in address else AF_INET
    return family, inet_pton(family, address)


def said(network_file: str, key: str) -> Sequence[str]:
    """The words of ``key`` in [Network] of a .network file of this machine with its drop-ins. OSError."""
    from holdfast.managers.formats.errors import FormatError  # noqa: PLC0415 - only for networkd's links
    from holdfast.managers.formats.tree import Tree  # noqa: PLC0415
    from holdfast.managers.networkd import network_file as read  # noqa: PLC0415

    try:
        return read(Tree("/"), network_file).every("Network", key) if network_file else ()
    except FormatError:
        return ()
