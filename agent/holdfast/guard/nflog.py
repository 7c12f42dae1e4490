"""What the machine sends to a DHCP server, seen in the output hook (NFLOG): before ARP, and before the guest's filter.

A packet socket sees what leaves the interface. A unicast whose neighbour does not answer ARP never does. So a table of
our own logs UDP from port 68 to 67 to a netlink group. The table is made with the owner flag (Linux 5.12): the kernel
removes it when our socket is closed, also by SIGKILL. It has one chain that accepts, and one rule that logs; it drops
nothing. The messages are few and fixed, so they are written here by hand: linux/netfilter/nf_tables.h,
linux/netfilter/nfnetlink_log.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress

from holdfast.network.watch import split
from holdfast.wire.record import NamedTuple

TABLE = "holdfast-guard"
#: Datagrams read in one wake-up; a client sends one in seconds.
BATCH = 64
LONGEST = 1 << 14
#: Seconds to wait for the kernel, which answers within the system call.
TIMEOUT = 1.0
#: Before the filters (0) and connection tracking (-200) of the guest.
PRIORITY = -350

_CAP_NET_ADMIN = 12
_NETLINK_NETFILTER = 12
_REQUEST, _ACK, _EXCL, _CREATE, _APPEND = 0x1, 0x4, 0x200, 0x400, 0x800
_NLMSG_ERROR = 2
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NFTABLES, _ULOG = 10, 4  # NFNL_SUBSYS_*
_NEWTABLE, _DELTABLE, _NEWCHAIN, _NEWRULE = 0, 2, 3, 6
#: NFT_TABLE_F_OWNER; a kernel before 5.12 refuses it.
OWNER = 0x2
_LOCAL_OUT, _ACCEPT = 3, 1
_NFPROTO_UNSPEC, _NFPROTO_IPV4 = 0, 2
_CFG_CMD, _CFG_MODE, _CFG_QTHRESH = 1, 2, 5
_CMD_BIND, _COPY_PACKET = 1, 2
_OUTDEV, _PAYLOAD = 5, 9
_NESTED = 0x8000


class NflogError(OSError):
    """The output hook cannot be seen. ``strerror`` says why, in one line."""


class Logged(NamedTuple):
    """One packet: the interface that it is about to leave by, and its bytes from the IP header on."""

    ifindex: int
    packet: bytes


class Nflog:
    """The table and the group. Raises NflogError. ``outlived``: a kernel that does not remove the table by itself gets
    it, too, because somebody calls ``remove_table`` when this process has ended."""

    def __init__(self, group: int, *, outlived: bool = False) -> None:
        self._tables = self._log = None
        self._owned = True
        try:
            self._log = _open()
            _acknowledged(self._log, [_bind(group), _mode(group), _at_once(group)], f"NFLOG group {group}")
            self._tables = _open()
            self._make_table(group, outlived=outlived)
            self._log.setblocking(False)
        except OSError:
            self.close()
            raise

    def _make_table(self, group: int, *, outlived: bool) -> None:
        assert self._tables is not None
        try:
            _acknowledged(self._tables, _table(group, OWNER), f"the table {TABLE}")
        except NflogError as error:
            if not outlived or error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
            self._owned = False
            self._tables.close()  # what the kernel said to the rest of it is waiting there
            self._tables = _open()
            _acknowledged(self._tables, _table(group, 0), f"the table {TABLE}")

    def fileno(self) -> int:
        """For a selector."""
        assert self._log is not None
        return self._log.fileno()

    def read(self) -> tuple[list[Logged], bool]:
        """What was sent since, of at most BATCH datagrams, and whether there may be more. Never blocks or raises."""
        assert self._log is not None
        found: list[Logged] = []
        for _ in range(BATCH):
            try:
                data = self._log.recv(LONGEST)
            except BlockingIOError:
                return found, False
            except OSError:  # ENOBUFS: a flood; what was lost is lost
                continue
            found += [one for kind, message in split(data) if kind == _ULOG << 8 and (one := _logged(message))]
        return found, True

    def close(self) -> None:
        """Close both sockets; the kernel removes the table."""
        if self._tables is not None and not self._owned:
            remove_table()
        for sock in (self._tables, self._log):
            if sock is not None:
                sock.close()


def remove_table() -> None:
    """Remove what a guard has left, on a kernel that does not. One that another guard owns stays. Never raises."""
    with suppress(OSError), _open() as sock:
        _acknowledged(sock, _removal(), f"the table {TABLE}")


def _open() -> socket.socket:
    try:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
    except OSError as error:
        raise NflogError(error.errno, f"no netfilter in this kernel: {error.strerror}") from None
    sock.settimeout(TIMEOUT)
    sock.bind((0, 0))
    return sock


def _acknowledged(sock: socket.socket, messages: list[bytes], what: str) -> None:
    """Send ``messages``, and wait for the acknowledgement of those that ask for one."""
    wanted = {struct.unpack_from("=I", one, 8)[0] for one in messages if struct.unpack_from("=H", one, 6)[0] & _ACK}
    try:
        sock.send(b"".join(messages))
        while wanted:
            for kind, answer in split(sock.recv(LONGEST)):
                if kind != _NLMSG_ERROR:
                    continue
                code, sequence = struct.unpack_from("=i", answer, 16)[0], struct.unpack_from("=I", answer, 8)[0]
                if code:
                    raise OSError(-code, os.strerror(-code))
                wanted.discard(sequence)
    except OSError as error:
        raise NflogError(error.errno, _reason(error, what)) from None


def _reason(error: OSError, what: str) -> str:
    if error.errno == errno.EPERM and not _may_administer():
        return f"{what}: CAP_NET_ADMIN is missing"
    if error.errno in (errno.EBUSY, errno.EEXIST, errno.EPERM):  # the last one for what another socket owns
        return f"{what} is in use by another program"
    return f"{what}: {error.strerror or error}"


def _may_administer() -> bool:
    """True with CAP_NET_ADMIN (proc(5): status, CapEff)."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        line = next((line for line in file if line.startswith("CapEff:")), "CapEff: 0")
    return bool(int(line.split()[1], 16) >> _CAP_NET_ADMIN & 1)


# -- messages


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _nest(kind: int, *attributes: bytes) -> bytes:
    return _attribute(kind | _NESTED, b"".join(attributes))


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, text.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack("!i", value))


def _message(kind: int, flags: int, sequence: int, family: int, resource: int, *attributes: bytes) -> bytes:
    """struct nlmsghdr, struct nfgenmsg (family, version, resource id in network order), attributes."""
    body = struct.pack("!BBH", family, 0, resource) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), kind, flags | _REQUEST, sequence, 0) + body


def _bind(group: int) -> bytes:
    return _message(_ULOG << 8 | 1, _ACK, 1, _NFPROTO_UNSPEC, group, _attribute(_CFG_CMD, bytes([_CMD_BIND])))


def _mode(group: int) -> bytes:
    mode = struct.pack("!IBx", 0xFFFF, _COPY_PACKET)  # struct nfulnl_msg_config_mode
    return _message(_ULOG << 8 | 1, _ACK, 2, _NFPROTO_UNSPEC, group, _attribute(_CFG_MODE, mode))


def _at_once(group: int) -> bytes:
    """Each packet wakes us; by default a hundred are gathered, or a second's."""
    return _message(_ULOG << 8 | 1, _ACK, 3, _NFPROTO_UNSPEC, group, _number(_CFG_QTHRESH, 1))


def _change(kind: int, flags: int, sequence: int, *attributes: bytes) -> bytes:
    return _message(_NFTABLES << 8 | kind, flags | _ACK, sequence, _NFPROTO_IPV4, 0, *attributes)


def _removal() -> list[bytes]:
    return [
        _message(_BATCH_BEGIN, 0, 1, _NFPROTO_UNSPEC, _NFTABLES),
        _change(_DELTABLE, 0, 2, _text(1, TABLE)),
        _message(_BATCH_END, 0, 3, _NFPROTO_UNSPEC, _NFTABLES),
    ]


def _table(group: int, table_flags: int) -> list[bytes]:
    return [
        _message(_BATCH_BEGIN, 0, 1, _NFPROTO_UNSPEC, _NFTABLES),
        _change(_NEWTABLE, _CREATE | _EXCL, 2, _text(1, TABLE), _number(2, table_flags)),
        _change(_NEWCHAIN, _CREATE | _EXCL, 3, _text(1, TABLE), _text(3, "output"),
               _nest(4, _number(1, _LOCAL_OUT), _number(2, PRIORITY)), _number(5, _ACCEPT), _text(7, "filter")),
        _change(_NEWRULE, _CREATE | _APPEND, 4, _text(1, TABLE), _text(2, "output"), _nest(4, *_rule(group))),
        _message(_BATCH_END, 0, 5, _NFPROTO_UNSPEC, _NFTABLES),
    ]


def _rule(group: int) -> Iterator[bytes]:
    """meta l4proto udp, udp sport 68 dport 67, log group ``group``."""
    def expression(name: str, *attributes: bytes) -> bytes:
        return _nest(1, _text(1, name), _nest(2, *attributes))

    def equals(value: bytes) -> bytes:  # register 1, NFT_CMP_EQ
        return expression("cmp", _number(1, 1), _number(2, 0), _nest(3, _attribute(1, value)))

    yield expression("meta", _number(1, 1), _number(2, 16))  # dreg, NFT_META_L4PROTO
    yield equals(bytes([socket.IPPROTO_UDP]))
    # dreg, NFT_PAYLOAD_TRANSPORT_HEADER, offset, length
    yield expression("payload", _number(1, 1), _number(2, 2), _number(3, 0), _number(4, 4))
    yield equals(struct.pack("!HH", 68, 67))
    yield expression("log", _attribute(1, struct.pack("!H", group)))


def _logged(message: bytes) -> Logged | None:
    ifindex, packet, position = 0, b"", 20
    while position + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, position)
        if length < 4 or position + length > len(message):
            break
        value = message[position + 4:position + length]
        if kind & 0x3FFF == _OUTDEV and len(value) == 4:
            ifindex = int.from_bytes(value, "big")
        elif kind & 0x3FFF == _PAYLOAD:
            packet = value
        position += (length + 3) & ~3
    return Logged(ifindex, packet) if ifindex and packet else None
