"""The lease that a client has stored in a file of its own: what it holds when guard starts, and that it took an ACK.

The file is looked for where its process sees it, and read as what it is: another program's text. udhcpc keeps none, and
NetworkManager's (/var/lib/NetworkManager, root's) has no times: the kernel's lifetime tells of these two.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import IPv4Address
from math import inf

from holdfast.clock import Clock
from holdfast.guard.events import LeaseStored
from holdfast.guard.programs import Client
from holdfast.managers import lease_files as paths
from holdfast.managers.formats import dhclient_leases, dhcp_options
from holdfast.managers.formats.errors import FormatError
from holdfast.managers.formats.tree import Tree
from holdfast.wire import WireError
from holdfast.wire.message import decode
from holdfast.wire.options import LEASE_TIME

#: A log of leases that nobody rotates is about so large; of a larger one the end would be missing.
LIMIT = 1 << 20


def stored_lease(client: Client, ifname: str, ifindex: int, clock: Clock,
                 proc: str = "/proc") -> LeaseStored | None:
    """The lease of ``client``, a process of this machine, on the interface. None when no file tells it."""
    read = {"dhclient": _dhclients, "dhcpcd": _dhcpcds, "networkd": _networkds}.get(client.name)
    if read is None or not client.pid:
        return None
    try:
        tree = _tree(f"{proc}/{client.pid}/root")
        try:
            return read(tree, client, ifname, ifindex, clock)
        finally:
            tree.close()
    except (OSError, FormatError, WireError, ValueError):
        return None


def _tree(root: str) -> Tree:
    """The files as the process sees them; ours, where only root may look at another user's process."""
    try:
        return Tree(root)
    except PermissionError:
        return Tree("/")


def _dhclients(tree: Tree, client: Client, ifname: str, _ifindex: int, clock: Clock) -> LeaseStored | None:
    """The last block of its log (dhclient.leases(5)); its instants are Unix seconds."""
    words = client.words
    given = [words[at + 1] for at, word in enumerate(words[:-1]) if word == "-lf"]
    for path in given or paths.DHCLIENT:
        text = tree.read(path, LIMIT)
        block = None if text is None else dhclient_leases.last_lease(text.decode("utf-8", "replace"), ifname, {})
        if block is not None:
            lasts = int.from_bytes(block.options.get(51, b""), "big") or inf
            ends = block.expire - clock.wall() + clock.boottime()
            server = block.options.get(54, b"")
            return LeaseStored(block.address, IPv4Address(server) if len(server) == 4 else None,
                               ends - lasts if max(ends, lasts) < inf else clock.boottime(), ends)
    return None


def _dhcpcds(tree: Tree, _client: Client, ifname: str, _ifindex: int, clock: Clock) -> LeaseStored | None:
    """The reply as it came, from its first octet; when it came is the file's time."""
    for path in paths.dhcpcd(ifname):
        data = tree.read(path, LIMIT)
        if data is not None:
            reply, at = decode(data), _changed(tree, path, clock)
            lasts = int.from_bytes(reply.options.get(LEASE_TIME, b""), "big")
            forever = lasts in (0, dhcp_options.FOREVER)
            return LeaseStored(reply.yiaddr, reply.server_id, at, inf if forever else at + lasts)
    return None


def _networkds(tree: Tree, _client: Client, _ifname: str, ifindex: int, clock: Clock) -> LeaseStored | None:
    """KEY=VALUE lines without a date: it writes the file anew with each lease."""
    path = os.path.join(paths.NETWORKD, str(ifindex))
    said: Mapping[str, str] = dict(
        line.split("=", 1) for line in (tree.text(path) or "").splitlines() if "=" in line and line[:1] != "#"
    )
    address = dhcp_options.address(said.get("ADDRESS"))
    if address is None:
        return None
    at = _changed(tree, path, clock)
    server = dhcp_options.address(said.get("SERVER_ADDRESS"))
    return LeaseStored(address, server, at, at + dhcp_options.seconds(said.get("LIFETIME")))


def _changed(tree: Tree, path: str, clock: Clock) -> float:
    """When the file was written, as a BOOTTIME instant."""
    status = tree.stat(path)
    return clock.boottime() if status is None else status.st_mtime - clock.wall() + clock.boottime()
