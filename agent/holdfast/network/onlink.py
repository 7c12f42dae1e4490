"""Small questions to the kernel by ioctl (netdevice(7)), because they are asked before the first packet."""

from __future__ import annotations

import array
import fcntl
import socket
import struct
from contextlib import suppress
from ipaddress import IPv4Address

_SIOCGIFCONF = 0x8912
_SIOCGIFHWADDR = 0x8927
_SIOCETHTOOL = 0x8946
_ETHTOOL_GLINK = 0x0A
_IFREQ = 40  # sizeof(struct ifreq) where pointers have 8 bytes; 32 elsewhere
#: Interfaces' addresses that are looked at: a host with more is no virtual machine's guest.
_MAX_ADDRESSES = 1024


def has_address(ifname: str, address: IPv4Address) -> bool:
    """True when ``address`` is on ``ifname``, secondary ones and those with a label included
    (netdevice(7): SIOCGIFCONF). False when the kernel does not tell."""
    size = _IFREQ if struct.calcsize("P") == 8 else 32
    buffer = array.array("B", bytes(size * _MAX_ADDRESSES))
    start, length = buffer.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        try:
            answer = fcntl.ioctl(control, _SIOCGIFCONF, struct.pack("@iP", length, start))
        except OSError:
            return False
    data = buffer.tobytes()[:struct.unpack_from("@i", answer)[0]]
    for at in range(0, len(data) - size + 1, size):
        label = data[at:at + 16].split(b"\0")[0].split(b":")[0]
        if label == ifname.encode() and data[at + 20:at + 24] == address.packed:
            return True
    return False


def settle_carrier(ifname: str) -> None:
    """Let the kernel bring the interface's operational state up to date with its carrier. It does so by
    itself only within a second of setting the link up (net/core/link_watch.c), but at once when asked for
    the link by ethtool."""
    value = array.array("I", [_ETHTOOL_GLINK, 0])  # struct ethtool_value
    request = struct.pack("@16sP16x", ifname.encode(), value.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control, suppress(OSError):
        fcntl.ioctl(control, _SIOCETHTOOL, request)


def own_macs() -> set[bytes]:
    """The hardware addresses of all interfaces of this network namespace (rule 71)."""
    macs: set[bytes] = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(control, _SIOCGIFHWADDR, struct.pack("16s24s", name.encode(), b""))
            except OSError:
                continue  # it went away meanwhile
            macs.add(answer[18:24])
    return macs - {bytes(6)}
