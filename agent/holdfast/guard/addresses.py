"""The IPv4 addresses of all interfaces with their lifetimes, and a note when they change (rtnetlink(7))."""

from __future__ import annotations

import socket
from contextlib import suppress
from ipaddress import IPv4Address
from math import inf

from holdfast.network import LinkError, rtnl
from holdfast.network.netlink import NetlinkSocket
from holdfast.network.watch import MAX_DATAGRAM, MAX_DATAGRAMS, RTMGRP_IPV4_IFADDR
from holdfast.wire.record import NamedTuple

RTM_GETADDR = 22
FOREVER = 0xFFFFFFFF


class Held(NamedTuple):
    """An address of the interface ``ifindex``. ``valid``: seconds that the kernel keeps it, inf for ever."""

    ifindex: int
    valid: float


class AddressWatch:
    """Becomes readable when an address is added, changed or removed. Making one raises LinkError or KernelError."""

    def __init__(self) -> None:
        self._requests = NetlinkSocket()
        try:
            self._news = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
            )
            self._news.bind((0, RTMGRP_IPV4_IFADDR))
        except OSError as error:
            self._requests.close()
            raise LinkError(error.errno, f"cannot watch addresses: {error.strerror}") from None

    def fileno(self) -> int:
        """For a selector."""
        return self._news.fileno()

    def drain(self) -> None:
        """Make it unreadable; what the messages say is read anew by ``read``."""
        for _ in range(MAX_DATAGRAMS):
            try:
                self._news.recv(MAX_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:  # ENOBUFS: messages were lost, which is no loss here
                continue

    def read(self) -> dict[IPv4Address, Held]:
        """All addresses now. Raises KernelError."""
        request = rtnl.ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0)
        found: dict[IPv4Address, Held] = {}
        for answer in self._requests.dump(request, RTM_GETADDR, "reading addresses", lambda _: True):
            ifindex = rtnl.ADDRESS.unpack_from(answer, rtnl.HEADER)[4]
            held = rtnl.attributes(answer[rtnl.HEADER + rtnl.ADDRESS.size:])
            local = held.get(rtnl.IFA_LOCAL) or held.get(rtnl.IFA_ADDRESS, b"")
            valid = rtnl.number(held.get(rtnl.IFA_CACHEINFO, b"\xff" * 8)[4:8])  # struct ifa_cacheinfo
            with suppress(ValueError):
                found[IPv4Address(local)] = Held(ifindex, inf if valid == FOREVER else float(valid))
        return found

    def close(self) -> None:
        """Stop watching."""
        self._news.close()
        self._requests.close()
