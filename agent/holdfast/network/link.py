"""What the first DISCOVER needs to know of an interface: read by ioctl, which needs no library.

netdevice(7) gives the requests and ``struct ifreq``: 16 bytes of name, then a union. A hardware address
there has at most 14 bytes, which is no loss: the client speaks to Ethernet only.
"""

from __future__ import annotations

import _socket as socket  # `socket` itself makes enums of its constants: 5 ms before the first DISCOVER
import errno
import fcntl
import os
import struct
from time import monotonic, sleep

from holdfast.network import LinkError
from holdfast.wire.lean import array, contextmanager, suppress
from holdfast.wire.record import TYPE_CHECKING, NamedTuple, record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv4Address

SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914
SIOCGIFHWADDR, SIOCGIFINDEX = 0x8927, 0x8933
SIOCGIFCONF, SIOCETHTOOL = 0x8912, 0x8946
ETHTOOL_GLINK = 0x0A

IFF_UP, IFF_LOOPBACK, IFF_POINTOPOINT, IFF_RUNNING = 0x1, 0x8, 0x10, 0x40
ARPHRD_ETHER = 1

#: IFNAMSIZ is 16 with the terminating NUL.
MAX_NAME = 15

_IFREQ = 40  # sizeof(struct ifreq) where pointers have 8 bytes; 32 elsewhere
#: Seconds for which the carrier of a link that was set up may settle by itself (a link without a cable is waited for so
#: long, and others after it), and between two looks.
SETTLING, _LOOK = 0.004, 0.0002
#: Interfaces' addresses that are looked at: far more than any host has.
_MAX_ADDRESSES = 65536


@record
class Link(NamedTuple):
    """One interface as it is now. ``flags`` are the lower 16 bits of IFF_* (an ioctl returns no more)."""

    name: str
    ifindex: int
    mac: bytes
    htype: int
    flags: int

    @property
    def up(self) -> bool:
        """Administratively up."""
        return bool(self.flags & IFF_UP)

    @property
    def carrier(self) -> bool:
        """Up and able to carry packets. IFF_RUNNING is RFC 2863's operational state; links that have
        none (dummy, tun) count as running."""
        return self.flags & (IFF_UP | IFF_RUNNING) == IFF_UP | IFF_RUNNING


def find(name: str) -> Link:
    """The interface called ``name`` (an alternative name works too; ``Link.name`` is the real one).

    Raises LinkError, whose ``errno`` is ENODEV when there is none of that name.
    """
    with _control() as control:
        try:
            ifindex = struct.unpack_from("=i", _ioctl(control, SIOCGIFINDEX, name), 16)[0]
            name = socket.if_indextoname(ifindex)
            htype, mac = struct.unpack_from("=H6s", _ioctl(control, SIOCGIFHWADDR, name), 16)
            flags = _flags(control, name)
        except OSError as error:
            raise _explained(name, error) from None
    return Link(name, ifindex, mac, htype, flags)


def ethernet(name: str) -> Link:
    """``find``, and a LinkError when DHCP cannot be spoken there: loopback, a tunnel, InfiniBand."""
    link = find(name)
    if link.htype != ARPHRD_ETHER or link.flags & (IFF_LOOPBACK | IFF_POINTOPOINT):
        raise LinkError(
            errno.EOPNOTSUPP,
            f"{link.name} is not an Ethernet interface (hardware type {link.htype}): "
            "DHCP is spoken on Ethernet only; name another interface",
        )
    return link


def set_up(name: str) -> None:
    """Bring the interface up; nothing happens when it is. Raises LinkError."""
    with _control() as control:
        try:
            flags = _flags(control, name)
            if not flags & IFF_UP:
                fcntl.ioctl(control, SIOCSIFFLAGS, _ifreq(name, struct.pack("=H", flags | IFF_UP)))
        except OSError as error:
            raise _explained(name, error) from None


def has_address(ifname: str, address: IPv4Address) -> bool:
    """True when ``address`` is on ``ifname``. False when the kernel gives no answer."""
    return address.packed in addresses(ifname)


def addresses(ifname: str) -> list[bytes]:
    """The IPv4 addresses on ``ifname``, secondary ones and those with a label included, four bytes each. Empty when the
    kernel gives no answer."""
    name = ifname.encode()
    return [address for holder, address in _all_addresses() if holder == name]


def holders(address: IPv4Address) -> list[str]:
    """The interfaces that have ``address``, sorted. Empty when the kernel gives no answer."""
    wanted = address.packed
    return sorted({os.fsdecode(holder) for holder, held in _all_addresses() if held == wanted})


def _all_addresses() -> Iterator[tuple[bytes, bytes]]:
    """The IPv4 addresses of this network namespace with their interfaces' names (netdevice(7): SIOCGIFCONF)."""
    size = _IFREQ if struct.calcsize("P") == 8 else 32
    with _control() as control:
        try:  # first how much there is, with some more room for what comes meanwhile
            needed = struct.unpack_from("@i", fcntl.ioctl(control, SIOCGIFCONF, struct.pack("@iP", 0, 0)))[0]
            buffer = array("B", bytes(min(needed + 64 * size, size * _MAX_ADDRESSES)))
            start, length = buffer.buffer_info()
            answer = fcntl.ioctl(control, SIOCGIFCONF, struct.pack("@iP", length, start))
        except OSError:
            return
    data = buffer.tobytes()[:struct.unpack_from("@i", answer)[0]]
    for at in range(0, len(data) - size + 1, size):
        yield data[at:at + 16].split(b"\0")[0].split(b":")[0], data[at + 20:at + 24]  # without the label's end


def settle_carrier(ifname: str) -> None:
    """Have the interface's operational state (IFF_RUNNING) follow its carrier, as it does some moments after the link
    was set up (net/core/link_watch.c).

    The kernel's own turn is waited for: the other end of a virtual cable has its turn with it, and until then a bridge
    drops what comes from there, the first DISCOVER. It may be a second away, so after SETTLING the kernel is asked for
    the link by ethtool, which brings this one up to date at once. A link that is down has nothing to settle."""
    value = array("I", [ETHTOOL_GLINK, 0])  # struct ethtool_value
    request = struct.pack("@16sP16x", ifname.encode(), value.buffer_info()[0])
    until = monotonic() + SETTLING
    with _control() as control, suppress(OSError):
        while _flags(control, ifname) & (IFF_UP | IFF_RUNNING) == IFF_UP:
            if monotonic() >= until:
                fcntl.ioctl(control, SIOCETHTOOL, request)
                return
            sleep(_LOOK)


def own_macs() -> dict[int, bytes]:
    """The hardware addresses of all interfaces of this network namespace, by their indices. OSError."""
    macs: dict[int, bytes] = {}
    with _control() as control:
        for ifindex, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(control, SIOCGIFHWADDR, struct.pack("16s24s", name.encode(), b""))
            except OSError:
                continue  # it went away meanwhile
            macs[ifindex] = answer[18:24]
    return {ifindex: mac for ifindex, mac in macs.items() if mac != bytes(6)}


@contextmanager
def _control() -> Iterator[socket.socket]:
    """A socket for requests by ioctl."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        yield opened
    finally:
        opened.close()


def _flags(control: socket.socket, name: str) -> int:
    flags: int = struct.unpack_from("=H", _ioctl(control, SIOCGIFFLAGS, name), 16)[0]
    return flags


def _ioctl(control: socket.socket, request: int, name: str) -> bytes:
    return fcntl.ioctl(control, request, _ifreq(name))


def _ifreq(name: str, union: bytes = b"") -> bytes:
    encoded = os.fsencode(name)
    if not 1 <= len(encoded) <= MAX_NAME or b"\0" in encoded:
        raise OSError(errno.ENODEV, "not a name that an interface can have")
    return struct.pack("16s24s", encoded, union)


def _explained(name: str, error: OSError) -> LinkError:
    code = error.errno or 0
    if code in (errno.ENODEV, errno.ENXIO):
        names = [other for _, other in socket.if_nameindex()]
        shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        return LinkError(errno.ENODEV, f"there is no interface called {name!r} (there are: {shown})")
    if code == errno.EPERM:
        return LinkError(code, f"not permitted to bring up {name}: run as root, or with CAP_NET_ADMIN")
    return LinkError(code, f"{name}: {os.strerror(code)} ({errno.errorcode.get(code, code)})")
