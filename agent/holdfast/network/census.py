"""The links of this network namespace, and new ones: for patterns of names, which no link may fit yet.

Read before the first DISCOVER, so the few attributes that matter are taken from the messages by hand:
RTM_NEWLINK is ``struct ifinfomsg`` and attributes of length (u16), type (u16), value (rtnetlink(7)).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

from holdfast.network import LinkError
from holdfast.network.link import ARPHRD_ETHER, IFF_LOOPBACK, IFF_POINTOPOINT
from holdfast.network.watch import MAX_DATAGRAM, MAX_DATAGRAMS, RTM_NEWLINK, RTMGRP_LINK, split
from holdfast.wire.record import NamedTuple, record

RTM_GETLINK = 18
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST_DUMP = 0x301
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MASTER, IFLA_LINKINFO, IFLA_EXT_MASK, IFLA_INFO_KIND = 1, 3, 10, 18, 29, 1
IFLA_PERM_ADDRESS = 54  # Linux 5.6
RTEXT_FILTER_SKIP_STATS = 8
IFF_SLAVE = 0x800
#: Seconds for the whole answer, which the kernel gives within the system call; and the number of links that are read,
#: since a host of containers may have thousands.
TIMEOUT = 1.0
MAX_LINKS = 4096


@record
class Found(NamedTuple):
    """A link. ``kind`` is what the kernel calls a device of its own making ("bridge", "veth", ...), "" for
    hardware and what a hypervisor shows as such. ``enslaved``: it belongs to a bridge, a bond, a failover. ``macs``:
    its hardware addresses, the permanent one too, as aa:bb:cc:dd:ee:ff."""

    name: str
    ifindex: int
    htype: int
    flags: int
    kind: str
    enslaved: bool
    macs: tuple[str, ...] = ()

    @property
    def ethernet(self) -> bool:
        """True where DHCP can be spoken."""
        return self.htype == ARPHRD_ETHER and not self.flags & (IFF_LOOPBACK | IFF_POINTOPOINT)


class Census:
    """Reports links that appear, are renamed, or change in any other way. Raises LinkError."""

    def __init__(self) -> None:
        self._socket = _open(RTMGRP_LINK, "cannot watch for links")
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """For a selector."""
        return self._socket.fileno()

    def read(self) -> list[Found]:
        """The links that changed since the last call; all links when messages were lost. Never blocks or raises."""
        found: list[Found] = []
        for _ in range(MAX_DATAGRAMS):
            try:
                data = self._socket.recv(MAX_DATAGRAM)
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS: messages were lost, because the socket's buffer was full
                return all_links()
            found += links_in(data)
        return found

    def close(self) -> None:
        """Stop watching."""
        self._socket.close()


def all_links() -> list[Found]:
    """Every link of this network namespace, in the kernel's order; empty when the kernel does not answer."""
    found: list[Found] = []
    request = struct.pack("=IHHII", 40, RTM_GETLINK, NLM_F_REQUEST_DUMP, 1, 0) + bytes(16)
    request += struct.pack("=HHI", 8, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
    try:
        with _open(0, "cannot ask for links") as asking:
            asking.settimeout(TIMEOUT)
            asking.send(request)
            while len(found) < MAX_LINKS:
                data = asking.recv(MAX_DATAGRAM)
                found += links_in(data)
                if not data or any(kind in (NLMSG_DONE, NLMSG_ERROR) for kind, _ in split(data)):
                    break
    except OSError:
        pass
    return found


def links_in(data: bytes) -> list[Found]:
    """The links in a datagram. Messages of a bridge about its ports (family AF_BRIDGE) are not
    about links."""
    found = []
    for kind, message in split(data):
        if kind == RTM_NEWLINK and len(message) >= 32 and message[16] == socket.AF_UNSPEC:
            one = _read(message)
            if one is not None:
                found.append(one)
    return found


def _read(message: bytes) -> Found | None:
    htype, ifindex, flags = struct.unpack_from("=HiI", message, 18)
    attributes = dict(_attributes(message[32:]))
    name = os.fsdecode(attributes.get(IFLA_IFNAME, b"").split(b"\0")[0])
    if not name:
        return None
    info = dict(_attributes(attributes.get(IFLA_LINKINFO, b"")))
    kind = info.get(IFLA_INFO_KIND, b"").split(b"\0")[0].decode("ascii", "replace")
    enslaved = bool(flags & IFF_SLAVE) or any(attributes.get(IFLA_MASTER, b""))
    macs = tuple(attributes[key].hex(":") for key in (IFLA_ADDRESS, IFLA_PERM_ADDRESS) if key in attributes)
    return Found(name, ifindex, htype, flags, kind, enslaved, macs)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, position)
        if length < 4 or position + length > len(data):
            return
        yield kind & 0x3FFF, data[position + 4:position + length]  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER
        position += (length + 3) & ~3


def _open(groups: int, what: str) -> socket.socket:
    try:
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        opened.bind((0, groups))
    except OSError as error:
        raise LinkError(error.errno, f"{what}: {error.strerror}") from None
    return opened
