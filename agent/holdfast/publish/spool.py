"""What the daemon tells the publisher of name and time servers: one small JSON file for each interface.

The daemon may be an unprivileged user, and the publisher is root: to it the file is hostile input. Every
value is checked, and no value of a bad file is ever shown (it could be a link to a secret).
"""

from __future__ import annotations

import os

from holdfast import json_text
from holdfast.state import folder as folders
from holdfast.wire import options as opt
from holdfast.wire.address import IPv4Address
from holdfast.wire.record import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

SUFFIX = ".json"
VERSION = 1
#: What network/spec.py lets through is eight servers of each kind and sixteen domains; 253 bytes each at the most.
SIZE_LIMIT = 8 << 10
MAX_SERVERS, MAX_DOMAINS = 8, 16
#: Interfaces that are looked at: more than one agent serves (runtime/host/hotplug.py).
MAX_FILES = 128


class DnsFileError(ValueError):
    """What is wrong with a file, without anything of its content."""


class Names(NamedTuple):
    """What a lease says about names. ``default_route``: queries about any domain may go to these servers.
    ``search_routes``: queries about the domains of ``search`` go there, and nothing is searched in them."""

    dns: tuple[IPv4Address, ...]
    search: tuple[str, ...]
    default_route: bool
    search_routes: bool = False

    @property
    def searched(self) -> tuple[str, ...]:
        """The domains for a resolver that knows none to route by."""
        return () if self.search_routes else self.search


class LinkNames(NamedTuple):
    """What is wanted for the interface with the number ``ifindex``; ``ntp``: its time servers."""

    ifindex: int
    names: Names
    ntp: tuple[IPv4Address, ...] = ()


def render(wanted: LinkNames) -> bytes:
    """The file's content."""
    names = wanted.names
    return json_text.dumps({
        "version": VERSION,
        "ifindex": wanted.ifindex,
        "dns": [str(server) for server in names.dns],
        "search": list(names.search),
        "default_route": names.default_route,
        "search_routes": names.search_routes,
        "ntp": [str(server) for server in wanted.ntp],
    }).encode() + b"\n"


def parse(data: bytes) -> LinkNames:
    """What ``data`` says. Raises DnsFileError and nothing else."""
    if len(data) > SIZE_LIMIT:
        raise DnsFileError(f"larger than {SIZE_LIMIT} bytes")
    try:
        document = json_text.loads(data)
    except (ValueError, RecursionError):
        raise DnsFileError("not JSON") from None
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise DnsFileError(f"not version {VERSION}")
    ifindex, default_route = document.get("ifindex"), document.get("default_route")
    if type(ifindex) is not int or not 0 < ifindex < 1 << 31:
        raise DnsFileError("ifindex is not the number of an interface")
    if not isinstance(default_route, bool):
        raise DnsFileError("default_route is not true or false")
    search_routes = document.get("search_routes", False)  # not in a file of Holdfast 0.1
    if not isinstance(search_routes, bool):
        raise DnsFileError("search_routes is not true or false")
    servers = _servers(document, "dns")
    ntp = _servers(document, "ntp") if "ntp" in document else ()  # not in a file of Holdfast 0.1
    search = tuple(map(_domain, _texts(document, "search", MAX_DOMAINS)))
    return LinkNames(ifindex, Names(servers, search, default_route, search_routes), ntp)


def _texts(document: dict[str, Any], key: str, limit: int) -> list[str]:
    values = document.get(key)
    if not isinstance(values, list) or len(values) > limit or not all(isinstance(value, str) for value in values):
        raise DnsFileError(f"{key} is not a list of up to {limit} texts")
    return values


def _servers(document: dict[str, Any], key: str) -> tuple[IPv4Address, ...]:
    try:
        servers = tuple(map(IPv4Address, _texts(document, key, MAX_SERVERS)))
    except ValueError as error:
        if isinstance(error, DnsFileError):
            raise
        raise DnsFileError(f"{key} has something that is no IPv4 address") from None
    if any(server.packed[0] >> 4 == 0xE or int(server) in (0, 0xFFFFFFFF) for server in servers):
        raise DnsFileError(f"{key} has an address that is no host's")
    return servers


def _domain(text: str) -> str:
    """A domain, which may end with a dot."""
    domain = opt.domain(text.removesuffix(".").encode("utf-8", "replace"))
    if domain is None:
        raise DnsFileError("search has something that is no domain")
    return f"{domain}." if text.endswith(".") else domain


def read_all(folder: str) -> tuple[dict[str, LinkNames], dict[str, str]]:
    """What the files in ``folder`` want, and what is wrong with the others, by interface. A folder that is not
    there wants nothing. OSError when it cannot be read."""
    wanted: dict[str, LinkNames] = {}
    problems: dict[str, str] = {}
    try:
        folder_fd = folders.open_folder(folder, anyones=True)
    except FileNotFoundError:
        return {}, {}
    try:
        for name in folders.names_at(folder_fd)[:MAX_FILES]:
            ifname = name.removesuffix(SUFFIX)
            if ifname == name or not ifname or ifname[0] == "." or len(os.fsencode(ifname)) > 15:
                continue
            try:
                wanted[ifname] = parse(folders.read_at(folder_fd, name, SIZE_LIMIT + 1))
            except FileNotFoundError:
                continue  # withdrawn at this moment
            except OSError as error:
                problems[ifname] = f"{folder}/{name} is not used: {error.strerror}"
            except DnsFileError as error:
                problems[ifname] = f"{folder}/{name} is not used: {error}"
    finally:
        os.close(folder_fd)
    return wanted, problems
