"""The messages of rtnetlink(7) as far as a DHCP client speaks it: a fixed structure, then attributes.

An attribute is ``struct rtattr``: length (u16) with its header, type (u16), value, and padding to four bytes. Numbers
are in the machine's byte order. Nothing here raises on what a kernel sends.
"""

from __future__ import annotations

from struct import Struct, pack
from sys import byteorder

#: The structures behind the 16 bytes of struct nlmsghdr (linux/rtnetlink.h, linux/if_addr.h).
LINK = Struct("=BxHiII")  # ifinfomsg: family type index flags change
ADDRESS = Struct("=4BI")  # ifaddrmsg: family prefixlen flags scope index
ROUTE = Struct("=8BI")  # rtmsg: family dst_len src_len tos table protocol scope type flags
HEADER = 16

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO, IFLA_AF_SPEC = 1, 3, 4, 10, 18, 26
IFLA_EXT_MASK, IFLA_EVENT, IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA, IFLA_VRF_PORT_TABLE = 29, 44, 4, 5, 1
IFA_ADDRESS, IFA_LOCAL, IFA_LABEL, IFA_BROADCAST, IFA_CACHEINFO = 1, 2, 3, 4, 6
IFA_FLAGS, IFA_RT_PRIORITY, IFA_PROTO = 8, 9, 11
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_METRICS, RTA_VIA = 1, 4, 5, 6, 7, 8, 18
RTA_MULTIPATH = 9
RTA_TABLE, RTAX_MTU = 15, 2
#: Of RTA_METRICS, by their names in ip-route(8).
RTAX = {"initcwnd": 11, "initrwnd": 14, "quickack": 15}
RT_TABLE_COMPAT, RT_TABLE_MAIN, RT_TABLE_LOCAL = 252, 254, 255

_RTATTR = Struct("=HH")
_TYPE = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded."""
    return _RTATTR.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def u32(kind: int, value: int) -> bytes:
    """An attribute with a number."""
    return attribute(kind, pack("=I", value))


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes in ``data`` by their types; of one type the first. What is cut off is left out."""
    found: dict[int, bytes] = {}
    position = 0
    while position + 4 <= len(data):
        length, kind = _RTATTR.unpack_from(data, position)
        if length < 4 or position + length > len(data):
            break
        found.setdefault(kind & _TYPE, data[position + 4:position + length])
        position += (length + 3) & ~3
    return found


def number(value: bytes | None) -> int:
    """A number of any size; 0 where there is none."""
    return int.from_bytes(value or b"", byteorder)


def text(value: bytes | None) -> str | None:
    """A string, which ends with a zero byte."""
    return None if value is None else value.split(b"\0")[0].decode("utf-8", "surrogateescape")


