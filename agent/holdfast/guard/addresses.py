"""The IPv4 addresses of all interfaces with their lifetimes, and a note when they change (rtnetlink(7))."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from ipaddress import IPv4Address
from math import inf

from holdfast.network import LinkError
from holdfast.network.netlink import NetlinkSocket
from holdfast.network.rtnl import ifaddrmsg
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
        request = ifaddrmsg()
        request["family"] = socket.AF_INET
        found: dict[IPv4Address, Held] = {}
        for answer in self._requests.dump(request, RTM_GETADDR, "reading addresses", lambda _: True):
            message = ifaddrmsg(answer)
            message.decode()
            local = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
            times = message.get_attr("IFA_CACHEINFO") or {"ifa_valid": FOREVER}
            valid = inf if times["ifa_valid"] == FOREVER else float(times["ifa_valid"])
            with suppress(ValueError):
                found[IPv4Address(local)] = Held(struct.unpack_from("=I", answer, 20)[0], valid)
        return found

    def close(self) -> None:
        """Stop watching."""
        self._news.close()
        self._requests.close()
